"""A fault that few inputs show: found by any seed, and again by the same one at the same place."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.explore import fuzzing, worlds
from tests.explore.mutator import Mutator
from tests.explore.property_plugin import multiply
from tests.explore.results import Sums, line, without
from tests.sim.world import SimWorld

ROOT = Path(__file__).resolve().parents[3]
CORPUS = [bytes(range(64)), b"\x02\x04\x05\xb4" * 9]
NEVER = float("inf")
PROPERTY = """
from hypothesis import given
from hypothesis import strategies as st

@given(st.integers(0, 2**32 - 1))
def test_rare(number: int) -> None:
    assert number % 13 != 11

def test_no_property() -> None:
    raise AssertionError
"""


@pytest.fixture(autouse=True)
def _urandom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", os.urandom)


def rare(data: bytes) -> None:
    """Fails when two fields in the same half have the values: one of some hundred inputs."""
    half = data[: len(data) // 2]
    if b"\xff\xff" in half and b"\x02\x04" in half:
        raise IndexError(len(data))


def crash(seed: int) -> fuzzing.Run:
    return fuzzing.run(rare, Mutator(CORPUS, seed, 200), until=NEVER, executions=5000)


def test_a_rare_crash_is_found_by_any_seed_and_again_by_the_same() -> None:
    found = [crash(seed) for seed in range(1, 6)]
    assert all(run.failure for run in found)
    assert len({run.executions for run in found}) >= 4
    assert [crash(seed) for seed in range(1, 6)] == found
    assert max(run.executions for run in found) >= 100


def test_as_many_executions_as_the_failure_says_end_with_it() -> None:
    first = crash(1)
    again = fuzzing.run(rare, Mutator(CORPUS, 1, 200), until=0.0, executions=first.executions)
    assert again == first
    before = fuzzing.run(rare, Mutator(CORPUS, 1, 200), until=0.0, executions=first.executions - 1)
    assert before.failure is None


def test_time_ends_what_does_not_fail() -> None:
    ticks = count(100.0, 0.01)
    run = fuzzing.run(len, Mutator(CORPUS, 1, 200), until=103.0, clock=lambda: next(ticks))  # type: ignore[arg-type]  # a stand-in
    assert run.failure is None
    assert 295 <= run.executions <= 305


def test_what_is_told_of_a_failure_repeats_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failure = fuzzing.Failure(b"\x01\x02", 77, "Traceback")
    fuzzing.report("framing", 5, failure, tmp_path)
    said = capsys.readouterr().out
    assert "alone: python -m tests.explore.fuzzing --seed 5 --executions 77 framing\n" in said
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"\x01\x02"
    assert f"alone: python -m tests.explore.fuzzing --input {kept} framing\n" in said
    assert "input: 0102\n" in said


@pytest.mark.parametrize("name", ["framing", "tcp-options", "control-wrap"])
def test_a_target_gets_the_same_inputs_for_a_seed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(fuzzing, "TARGETS", {name: seen.append})
    for seed in (5, 5, 6):
        fuzzing.explore(name, seed, until=0.0, executions=50)
    first, again, other = (seen[at + 1 : at + 51] for at in (0, 51, 102))
    assert first == again
    assert first != other


def test_an_input_that_does_not_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "INPUT_SECONDS", 0.01)

    def endless(_: bytes) -> None:
        try:
            while True:
                pass
        except Exception:
            return

    run = fuzzing.run(fuzzing.guarded(endless), Mutator(CORPUS, 1, 200), until=NEVER, executions=1)
    assert run.executions == 1
    assert run.failure is not None
    assert "TooSlow: an input takes longer than 0.01 s" in run.failure.text


def _broken(self: SimWorld) -> None:
    """A gateway that fails at one packet."""
    inner, number = self.gateway.service._forward, [0]

    def forward(peer: object, packets: list[bytes], now: int) -> int:
        number[0] += 1
        if number[0] == 30:
            raise KeyError(number[0])
        return inner(peer, packets, now)  # type: ignore[arg-type]  # a stand-in

    self.gateway.service._forward = forward  # type: ignore[method-assign]  # a spy
    _WHOLE(self)


_WHOLE = SimWorld.run


def test_a_world_that_fails_is_told_and_fails_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimWorld, "run", _broken)
    first, again = (worlds.explore(3, NEVER, (0.1, 0.1)) for _ in range(2))
    assert first.count == again.count
    assert "alone: python -m tests.sim.world --seed " in first.failure
    assert first.failure.splitlines()[-1] == again.failure.splitlines()[-1]
    assert "KeyError" in first.failure


def rounds(folder: Path, *words: str) -> tuple[int, str]:
    """The exit status and output of a round with that one file."""
    path = folder / "test_rare.py"
    path.write_text(PROPERTY)
    command = (
        sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT),
        "-p", "no:cacheprovider", "-p", "tests.conftest", "-p", "tests.explore.property_plugin", *words, str(path),
    )  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_property_fails_again_by_the_seed_that_is_told(tmp_path: Path) -> None:
    """Tests that are no properties are left out."""
    status, said = rounds(tmp_path, "--hypothesis-profile=explore", "--hypothesis-seed=8")
    assert (status, "1 failed in" in said) == (1, True), said
    (alone,) = [each for each in said.splitlines() if each.startswith("alone: ")]
    told = [word for word in alone.split() if word.startswith(("--hypothesis", "--explore"))]
    assert "--hypothesis-seed=8" in told
    assert "@reproduce_failure" in said
    again = rounds(tmp_path, *told)[1]
    falsifying = [each for each in said.splitlines() if "number=" in each]
    assert falsifying
    assert [each for each in again.splitlines() if "number=" in each] == falsifying


@pytest.mark.parametrize(("factor", "examples"), [(0.25, 10), (3.0, 120), (0.001, 1)])
def test_a_round_has_so_many_times_the_examples(factor: float, examples: int) -> None:
    """Whatever number a property has of its own."""
    seen: list[int] = []

    @settings(max_examples=40)
    @given(st.integers())
    def test_fine(number: int) -> None:
        seen.append(number)

    multiply(SimpleNamespace(obj=test_fine), factor)  # type: ignore[arg-type]  # a stand-in
    test_fine()
    assert len(seen) == examples


def test_what_the_processes_say_is_added_up() -> None:
    sums = Sums()
    first = line(properties={"a": 100, "b": 25}, collected=["a", "b", "c"], rounds=1)
    sums.add(f"....\n{first}\n2 passed\n{line(worlds=3, client_hours=1.5)}\n")
    sums.add(line(properties={"a": 7}, collected=["a", "b", "c"], rounds=1))
    sums.add(line(fuzz={"framing": 4000, "tcp-options": 5}))
    assert sums.text() == [
        "properties: 2 of 3 tests, 132 examples, 2 rounds",
        "properties: not reached: c",
        "worlds: 3, 1.5 connected client-hours",
        "fuzz: 2 targets, 4,005 executions (framing 4,000, tcp-options 5)",
    ]
    assert without(f"....\n{first}\n2 passed") == "....\n2 passed"
