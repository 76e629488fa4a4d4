"""The gate, on a package of its own: planted are a survivor, a killed mutant, an endless one and an equivalent one."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.affected import REPO
from tests.by_module import core, modules
from tests.mutants import __main__ as gate
from tests.mutants import equivalents, groups
from tests.mutants.groups import Group, fixed_and_fresh, group_of, modules_of
from tests.mutants.operators import Mutant, mutants
from tests.mutants.running import BrokenRunError, Ended, Judge, Result, SourceCopy, Stage, Verdict, _wait

SOURCE = '''"""Toy."""


def steps(count: int) -> list[int]:
    """Whole numbers from 0."""
    found = []
    at = 0
    while at < count:
        found.append(at)
        at += 1
    return found


def is_large(count: int) -> bool:
    return count > 99


def is_even(count: int) -> bool:
    return count % 2 == 0
'''
OWN = """
from toy.part import steps

def test_steps():
    assert steps(3) == [0, 1, 2]
"""
PROFILE = 'from hypothesis import settings\nsettings.register_profile("unshrunk")\n'
FAR = """
from toy.part import is_large

def test_is_large():
    assert is_large(200)
    assert not is_large(5)
"""

WAITING = """
import time
from toy.part import is_even

def test_waits():
    time.sleep(0 if is_even(2) else 60)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one module, its own tests, and further tests in its folder; the gate knows no other."""
    root = tmp_path / "toy"
    for name, text in {
        "src/toy/__init__.py": "", "src/toy/part.py": SOURCE, "tests/part/test_part.py": OWN,
        "tests/part/test_far.py": FAR, "equivalents.txt": "# none\n", "tests/conftest.py": PROFILE,
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(gate, "REPO", root)
    monkeypatch.setattr(gate, "UNIT", root / "tests")
    monkeypatch.setattr(gate, "modules", lambda: {"toy.part": root / "src/toy/part.py"})
    monkeypatch.setattr(gate, "unit_tests", lambda name: [root / "tests/part/test_part.py"])
    monkeypatch.setattr(gate, "Judge", lambda: Judge(margin=1.0, factor=1.5))
    monkeypatch.setattr(equivalents, "TABLE", root / "equivalents.txt")
    for module in (gate, groups):
        monkeypatch.setattr(module, "GROUPS", {"toy": Group(("toy.*",), ("part",), 75)})
    return root


def planted(line: str, text: str) -> Mutant:
    """The mutant that puts this text into this line."""
    [found] = [one for one in mutants("toy.part", SOURCE.encode())
               if SOURCE.splitlines()[one.line - 1].strip() == line and one.text == text]  # fmt: skip
    return found


ENDLESS = planted("at += 1", "0")
KILLED = planted("while at < count:", "<=")
KILLED_BY_OTHERS = planted("return count > 99", "<=")
SURVIVOR = planted("return count > 99", ">=")
UNTESTED = planted("return count % 2 == 0", "!=")


def result(root: Path, folder: Path, mutant: Mutant) -> Result:
    own, folders = [root / "tests/part/test_part.py"], [root / "tests/part"]
    stages = [Stage(own, own), Stage([root / "tests/part/test_far.py"], folders)]
    return Judge(margin=1.0, factor=1.5).verdict(SourceCopy(root, folder), mutant, root / "src/toy/part.py", stages)


@pytest.mark.parametrize(
    ("mutant", "verdict", "stage"),
    [
        (KILLED, Verdict.KILLED, 0),
        (KILLED_BY_OTHERS, Verdict.KILLED, 1),
        (SURVIVOR, Verdict.SURVIVED, 2),
        (ENDLESS, Verdict.TIMED_OUT, 0),
    ],
)
def test_verdicts(toy: Path, tmp_path: Path, mutant: Mutant, verdict: Verdict, stage: int) -> None:
    found = result(toy, tmp_path / "copy", mutant)
    assert (found.verdict, found.stage) == (verdict, stage), found.output


def test_a_mutant_that_waits_longer_than_its_cpu_time_is_judged(toy: Path, tmp_path: Path) -> None:
    """As on a machine that others use: 2 s by the clock, when pytest-timeout says 1 s."""
    (toy / "tests/part/test_far.py").write_text(WAITING.replace("60", "2"))
    (toy / "pytest.ini").write_text("[pytest]\ntimeout = 1\n")
    far = [toy / "tests/part/test_far.py"]
    found = Judge().verdict(SourceCopy(toy, tmp_path / "copy"), UNTESTED, toy / "src/toy/part.py", [Stage(far, far)])
    assert found.verdict is Verdict.SURVIVED


class Script(SourceCopy):
    """A copy whose runs end as said; `asked` are the limits of each."""

    def __init__(self, *runs: Ended) -> None:
        self.runs = list(runs)
        self.asked: list[tuple[float, float]] = []
        self.ran: list[list[Path]] = []

    def run(self, tests: Sequence[Path], cpu: float | None = None, clock: float | None = None) -> Ended:
        self.asked.append((cpu or 0.0, clock or 0.0))
        self.ran.append(list(tests))
        return self.runs.pop(0)

    @contextmanager
    def changed(self, path: Path, source: bytes) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0, Verdict.SURVIVED),
        (1, Verdict.KILLED),
        (2, Verdict.KILLED),
        (-signal.SIGSEGV, Verdict.KILLED),
        (-signal.SIGXCPU, Verdict.TIMED_OUT),
        (-signal.SIGKILL, Verdict.NOT_JUDGED),  # by the clock, or for want of memory
        (-signal.SIGTERM, Verdict.NOT_JUDGED),
    ],
)
def test_how_a_run_ends_says_what_of_the_mutant(toy: Path, status: int, verdict: Verdict) -> None:
    """The clock gives half an hour more than 30 times the CPU time: others may stop the machine."""
    script = Script(Ended(0, 2.0, ""), Ended(status, 1.5, ""))
    found = Judge(10.0, 4.0).verdict(script, KILLED, toy / "src/toy/part.py", [Stage([], [Path("one")])])
    assert (found.verdict, found.seconds) == (verdict, 1.5)
    assert script.asked == [(0.0, 0.0), (18.0, 1800.0 + 30 * 18.0)]


def test_each_file_is_measured_once_and_the_quickest_runs_first(toy: Path) -> None:
    runs = [Ended(0, seconds, "") for seconds in (3.0, 1.0, 9.0, 2.0, 9.0)]
    script = Script(*runs[:3], Ended(5, 2.0, "all deselected"), runs[4])
    judge, slow, quick, other = Judge(10.0, 4.0), Path("slow"), Path("quick"), Path("other")
    for files in ([slow, quick], [quick, other]):
        judge.verdict(script, KILLED, toy / "src/toy/part.py", [Stage(files, files)])
    assert script.ran == [[slow], [quick], [quick, slow], [other], [quick, other]]
    assert [cpu for cpu, _ in script.asked] == [0.0, 0.0, 26.0, 0.0, 22.0]


def test_a_run_that_cannot_run_judges_none(toy: Path) -> None:
    script = Script(Ended(0, 2.0, ""), Ended(4, 1.0, "usage"))
    with pytest.raises(BrokenRunError, match="ended with 4"):
        Judge().verdict(script, KILLED, toy / "src/toy/part.py", [Stage([], [Path("one")])])


def test_a_run_writes_nothing_into_the_tree_and_leaves_the_copy_as_it_was(toy: Path, tmp_path: Path) -> None:
    def files(root: Path) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    before = files(toy)
    copy = SourceCopy(toy, tmp_path / "copy")
    own = files(tmp_path / "copy")
    with copy.changed(toy / "src/toy/part.py", b"x = 1\n"):
        assert (tmp_path / "copy/src/toy/part.py").read_bytes() == b"x = 1\n"
        assert copy.run([toy / "tests/part"]).status == 1
    assert copy.run([toy / "tests/part"]).status == 0
    assert files(toy) == before
    assert files(tmp_path / "copy") == own


def test_tests_that_are_red_without_a_mutant_judge_none(toy: Path, tmp_path: Path) -> None:
    (toy / "tests/part/test_part.py").write_text("def test_red():\n    assert False\n")
    with pytest.raises(BrokenRunError, match="red without a mutant"):
        result(toy, tmp_path / "copy", KILLED)


def test_a_module_without_tests_judges_none(toy: Path, tmp_path: Path) -> None:
    (toy / "tests/part/test_part.py").write_text("")
    with pytest.raises(BrokenRunError, match="ended with 5"):
        result(toy, tmp_path / "copy", KILLED)


def run(monkeypatch: pytest.MonkeyPatch, fixed: list[Mutant], new: list[Mutant], *words: str) -> int:
    """The gate with sets given by hand."""

    def chosen(found: list[Mutant], seed: int, size: int) -> list[tuple[str, list[Mutant]]]:
        known = {one.name for one in found}
        return [("fixed", [one for one in fixed if one.name in known]), ("fresh", new)]

    monkeypatch.setattr(gate, "fixed_and_fresh", chosen)
    return gate.main(["--group", "toy", *words])


def test_a_set_below_the_bar_is_red(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [KILLED, KILLED_BY_OTHERS, SURVIVOR], [KILLED], "--seed", "7") == 1
    said = capsys.readouterr().out
    assert said.startswith("repeat with: make mutants GROUP=toy SEED=7\n")
    assert f"SURVIVED {SURVIVOR.name}\n" in said
    assert "-    return count > 99\n+    return count >= 99\n" in said
    assert f"make mutants ONE='{SURVIVOR.name}'" in said
    assert (
        "toy fixed: 2 of 3 noticed (66.7 %; the bar is 75 %), 1 by the module's own tests, 0 by their time: BELOW"
        in said
    )
    assert (
        "toy fresh: 1 of 1 noticed (100.0 %; the bar is 75 %), 1 by the module's own tests, 0 by their time: good"
        in said
    )


def test_equivalents_are_left_out_and_void_entries_are_named(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One entry matches; one was for a line that has changed; one is of a module of another group."""
    lines = [SURVIVOR.name.replace(":", " ") + " planted", "part steps comparison 0123456789 gone", "other - part 0 x"]
    (toy / "equivalents.txt").write_text("# header\n\n" + "\n".join(lines) + "\n")
    assert run(monkeypatch, [KILLED, SURVIVOR], [KILLED]) == 0
    said = capsys.readouterr().out
    assert re.findall("matches no mutant: (.*)", said) == ["part:steps:comparison:0123456789"]
    assert "SURVIVED" not in said
    assert "toy fixed: 1 of 1 noticed" in said


def test_one_mutant_is_repeated_by_its_name(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate.main(["--one", KILLED.name]) == 0
    assert gate.main(["--one", UNTESTED.name]) == 1
    assert gate.main(["--one", "part:steps:comparison:0"]) == 2
    said = capsys.readouterr().out
    assert "+    while at <= count:\n" in said
    assert "assert [0, 1, 2, 3] == [0, 1, 2]" in said
    assert f"{KILLED.name}: killed" in said
    assert f"{UNTESTED.name}: survived" in said


def test_a_line_for_each_mutant_names_the_test_that_noticed_it(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [KILLED, SURVIVOR], [KILLED_BY_OTHERS], "--processes", "1", "--set", "fresh") == 0
    said = capsys.readouterr().out
    assert re.findall(r"^(. of .: .*) \(\d+\.\d s\)$", said, re.MULTILINE) == [
        f"1 of 1: killed by tests/part/test_far.py::test_is_large: {KILLED_BY_OTHERS.name}",
    ]
    assert "toy fixed" not in said


def test_the_own_tests_can_judge_alone(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [KILLED_BY_OTHERS], [], "--own", "--set", "fixed") == 1
    assert "toy fixed: 0 of 1 noticed" in capsys.readouterr().out


def test_what_has_not_begun_in_time_is_not_judged(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [KILLED] * 3, [], "--minutes", "0", "--set", "fixed") == 1
    assert capsys.readouterr().out.endswith("0 by the module's own tests, 0 by their time: 3 NOT JUDGED\n")


def test_a_set_with_a_mutant_that_is_not_judged_is_red() -> None:
    results = [Result(KILLED, Verdict.KILLED, 0, "")] * 99 + [Result(ENDLESS, Verdict.NOT_JUDGED, 0, "")]
    good, said = gate.verdict("toy", "fixed", results, 90)
    assert not good
    assert said.startswith("toy fixed: 99 of 100 noticed (99.0 %; the bar is 90 %), 99 by the module's own tests")
    assert said.endswith("1 NOT JUDGED")


def test_an_empty_set_is_red() -> None:
    assert gate.verdict("toy", "fixed", [], 90)[0] is False


def test_a_share_that_is_exactly_the_bar_is_good() -> None:
    results = [Result(KILLED, Verdict.KILLED, 0, "")] * 9 + [Result(SURVIVOR, Verdict.SURVIVED, 2, "")]
    assert gate.verdict("toy", "fixed", results, 90)[0] is True
    assert gate.verdict("toy", "fixed", results[1:], 90)[0] is False


MANY = mutants("toy.part", SOURCE.encode())


def sets(seed: int, found: list[Mutant] = MANY, size: int = 8) -> dict[str, list[Mutant]]:
    return dict(fixed_and_fresh(found, seed, size))


def test_the_sets_follow_from_their_seeds_and_share_no_mutant() -> None:
    assert sets(1) == sets(1, MANY[::-1])
    assert sets(1)["fixed"] == sets(2)["fixed"]
    assert sets(1)["fresh"] != sets(2)["fresh"]
    assert [len(one) for one in sets(1).values()] == [8, 8]
    assert not {one.name for one in sets(1)["fixed"]} & {one.name for one in sets(1)["fresh"]}
    assert len(MANY) > 16


def test_a_change_elsewhere_moves_only_the_last_of_the_fixed_set() -> None:
    other = mutants("toy.other", b"def f(a):\n    return a + 1 > 7\n")
    before, after = sets(1)["fixed"], sets(1, [*MANY, *other])["fixed"]
    stayed = [one for one in after if one.module == "toy.part"]
    assert stayed == before[: len(stayed)]


def test_a_small_group_gives_all_that_it_has() -> None:
    assert [len(one) for one in sets(1, MANY[:11]).values()] == [8, 3]


def test_every_group_has_modules() -> None:
    names = core()
    for name, group in groups.GROUPS.items():
        assert modules_of(name, names), name
        assert 85 <= group.bar <= 90
    assert group_of("openvpn.control.session_wrap") == "control-wrap"
    assert group_of("openvpn.session") == "session"
    assert group_of("wire.tcp") == ""
    assert {group_of(name) for name in modules()} == {"", *groups.GROUPS}


def test_the_page_has_the_groups() -> None:
    """Else: write these lines."""
    lines = [
        f"| {name} | {', '.join(f'`{one}`' for one in group.patterns)} | {group.bar} % |"
        for name, group in groups.GROUPS.items()
    ]
    text = (REPO / "docs" / "dev" / "testing.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| .* % \|$", text, re.MULTILINE) == lines


def test_the_committed_table_is_sorted_and_each_line_has_a_reason() -> None:
    table = Path(equivalents.__file__).with_name("equivalents.txt").read_text(encoding="utf-8")
    found = list(equivalents.read(table))
    assert [one.name for one in found] == sorted({one.name for one in found})
    with pytest.raises(ValueError, match="reason"):
        list(equivalents.read("part steps comparison 0123456789\n"))


def test_the_clock_ends_what_uses_no_cpu_time() -> None:
    import subprocess

    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    status, seconds = _wait(process, 0.1)
    assert status == -9
    assert seconds < 5
    assert Ended(status, seconds, "").status < 0
