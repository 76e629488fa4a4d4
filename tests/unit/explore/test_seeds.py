"""One seed decides everything that a run tries, and is told."""

from __future__ import annotations

import os

import pytest
from tests.explore import __main__ as explore
from tests.explore import properties, worlds
from tests.explore.processes import Ended, Part
from tests.explore.seeding import derived, seed_urandom
from tests.explore.shares import shares
from tests.fuzz.targets import TARGETS


def commands(seed: int, began: float = 100.0) -> list[tuple[str, ...]]:
    share = shares(180.0, len(TARGETS), 2)
    return [part.command for number in range(2) for part in explore.queue(seed, number, 180.0, share, began)]


def test_the_same_seed_runs_the_same_commands() -> None:
    assert commands(5) == commands(5)


def test_another_seed_differs_in_every_part_and_so_do_the_processes() -> None:
    for mine, theirs in zip(commands(5), commands(6), strict=True):
        assert mine != theirs
    assert len(set(commands(5))) == 6


def test_the_processes_share_the_fuzz_targets() -> None:
    given = [words for words in commands(5) if "tests.explore.fuzzing" in words]
    assert len(given) == 2
    assert sorted(name for words in given for name in words if name in TARGETS) == sorted(TARGETS)


def test_a_derived_seed_depends_on_every_name() -> None:
    names = [("world", 0), ("world", 1), ("order", 0), ("world",), ("fuzz", "framing"), ("fuzz", "framin", "g")]
    assert len({derived(1, *each) for each in names} | {derived(2, *each) for each in names}) == 12
    assert derived(1, "world", 0) == 3_345_496_015


def test_urandom_follows_from_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "urandom", os.urandom)
    seed_urandom(3)
    first = os.urandom(8)
    assert os.urandom(8) != first
    seed_urandom(3)
    assert os.urandom(8) == first


def test_worlds_differ_and_repeat() -> None:
    drawn = [worlds.drawn(derived(9, "world", number), (0.1, 0.3)) for number in range(60)]
    assert drawn == [worlds.drawn(derived(9, "world", number), (0.1, 0.3)) for number in range(60)]
    assert len({each.seed for each in drawn}) == 60
    assert all(0.1 <= each.hours <= 0.3 and 2 <= each.clients + each.roamers <= 8 for each in drawn)
    assert all(0 <= each.pool < each.clients + each.roamers for each in drawn)
    assert 20 <= sum(each.roamers > 0 for each in drawn) <= 40
    assert not any(each.roamers and each.mean_restore for each in drawn)
    assert 10 <= sum(each.pool > 0 for each in drawn) <= 30
    assert 10 <= sum(each.mean_reload > 0 for each in drawn) <= 30


@pytest.mark.parametrize(
    ("seconds", "boots", "line"),
    [
        (180.0, 0, "make explore EXPLORE_SEED=7"),
        (60.0, 0, "make explore EXPLORE_SEED=7 EXPLORE_SECONDS=60"),
        (3600.0, 30, "make nightly EXPLORE_MINUTES=60 BOOTS=30 EXPLORE_SEED=7"),
    ],
)
def test_a_failure_names_the_seed(seconds: float, boots: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    part = Part("worlds", ("python", "-m", "tests.explore.worlds"), 9.0)
    explore.tell(Ended(part, 1, "the output", False, 8.0), explore.again(7, seconds, boots))
    said = capsys.readouterr().out
    assert "the output" in said
    assert "FAILED worlds (exit 1)" in said
    assert f"repeat with: {line}\n" in said


def test_a_round_of_properties_depends_on_the_seed_alone() -> None:
    line = properties.command(11, 12, 500.0, 1, backwards=True)
    assert "--hypothesis-seed=11" in line
    assert "--explore-order=12" in line
    assert "--hypothesis-profile=explore" in line
    assert "--explore-backwards" in line


@pytest.mark.parametrize(
    ("source", "has"),
    [
        ("from hypothesis import given\n@given(x)\ndef test_a(): pass", True),
        ("class Machine(RuleBasedStateMachine): pass", True),
        ("def test_a():\n    '''@given, in words'''", False),
    ],
)
def test_files_with_properties_are_found(source: str, has: bool) -> None:
    assert properties.has_properties(source) is has


def test_the_files_of_all_floors_are_among_them() -> None:
    folders = {path.parent.name for path in properties.files()}
    assert folders >= {"wire", "ip", "tcp", "nat", "openvpn", "config", "gateway", "host", "cli", "sim"}
    assert len(properties.files()) >= 44
