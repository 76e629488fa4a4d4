"""The report of `make test` is red for everything that is not a passed test or a skip of its table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.explore.results import Sums
from tests.report import ALLOWED, Allowed, main, outcomes
from tests.world import old_clients

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("check", "unit", "image")
LOOP = Allowed(("unit",), "tests/interop/test_volume.py", r"no loop device here: .*", "Containers have none.")
SKIP = "SKIPPED [1] tests/interop/test_volume.py:38: no loop device here: losetup: cannot find an unused one"


def green(folder: Path) -> None:
    """Three stages that ran and passed, the last one without tests."""
    (folder / "test-report").write_text("check: exit 0, 3 s\nunit: exit 0, 70 s\nimage: exit 0, 9 s\n")
    (folder / "check.log").write_text("All checks passed!\n12 passed in 1.00s\n")
    (folder / "unit.log").write_text("....\n3000 passed in 60.23s (0:01:00)\n")
    (folder / "image.log").write_text("built\n")


def report(folder: Path) -> int:
    return main(folder, STAGES, (LOOP,))


def test_stages_that_passed_are_green(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    green(tmp_path)
    assert report(tmp_path) == 0
    told = capsys.readouterr().out
    assert told.endswith("skips:\nnone\n\nred:\nnone\n\n3012 passed, 0 failed, 0 skipped\n")


def test_a_skip_of_the_table_is_green(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    green(tmp_path)
    (tmp_path / "unit.log").write_text(f"{SKIP}\n9 passed, 1 skipped in 60.23s\n")
    assert report(tmp_path) == 0
    assert f"unit: {SKIP}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("unit", "SKIPPED [1] tests/unit/test_a.py:3: could not import 'scapy'"),
        ("unit", "SKIPPED [1] tests/unit/test_a.py: unconditional skip"),
        ("unit", SKIP.replace("test_volume", "test_another")),  # the reason of another file
        ("unit", SKIP.replace("no loop device", "really no loop device")),  # only a part of the reason
        ("check", SKIP),  # in a stage in which it must not be skipped
        (
            "unit",
            "SKIPPED [8] tests/compat/test_matrix.py:50: openvpn 2.5: the mirror does not serve it from bullseye: 404",
        ),
    ],
)
def test_any_other_skip_is_red(tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str, line: str) -> None:
    green(tmp_path)
    number = re.findall(r"\[(\d)\]", line)[0]
    (tmp_path / f"{stage}.log").write_text(f"{line}\n9 passed, {number} skipped in 60.23s\n")
    assert report(tmp_path) == 1
    assert f"red:\n{stage}: not an allowed skip: {line}\n" in capsys.readouterr().out


@pytest.mark.parametrize("lines", ["", f"{SKIP}\n"])
def test_a_skip_without_a_reason_is_red(tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: str) -> None:
    green(tmp_path)
    (tmp_path / "unit.log").write_text(f"{lines}9 passed, 2 skipped in 60.23s\n")
    assert report(tmp_path) == 1
    assert f"red:\nunit: 2 skipped, reasons of {len(lines) and 1}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("closing", "words"),
    [
        ("no tests ran in 0.02s", "no tests ran"),
        ("1 failed, 9 passed in 1.00s", "1 failed"),
        ("1 error in 1.00s", "1 error"),
        ("9 passed, 2 errors in 1.00s", "2 error"),
        ("9 passed, 1 xfailed in 1.00s", "1 xfailed"),
        ("===== 9 passed, 1 xpassed in 1.00s =====", "1 xpassed"),
        ("9 passed, 1 rerun in 1.00s", "1 rerun"),
        ("", "no test passed"),
    ],
)
def test_outcomes_that_are_red(tmp_path: Path, capsys: pytest.CaptureFixture[str], closing: str, words: str) -> None:
    """Even where the stage itself ended with 0."""
    green(tmp_path)
    (tmp_path / "unit.log").write_text(f"....\n{closing}\n")
    assert report(tmp_path) == 1
    assert f"unit: {words}\n" in capsys.readouterr().out.partition("red:\n")[2]


def test_what_is_deselected_is_red_but_in_a_stage_whose_runs_share_the_tests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    green(tmp_path)
    for stage in ("check", "unit"):
        (tmp_path / f"{stage}.log").write_text("9 passed, 4 deselected in 1.00s\n")
    assert report(tmp_path) == 1
    assert "red:\ncheck: 4 deselected\n\n" in capsys.readouterr().out


def test_a_stage_that_passed_this_week_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The words count for the stage that they name."""
    green(tmp_path)
    (tmp_path / "check.log").write_text("check: passed this week: cryptography 50\n")
    assert report(tmp_path) == 0
    (tmp_path / "check.log").write_text("unit: passed this week: cryptography 50\n")
    assert report(tmp_path) == 1
    assert "check: no test passed" in capsys.readouterr().out


def explored() -> Sums:
    """The sums of a run that had a turn at everything."""
    sums = Sums(collected={"a", "b"}, rounds=2, worlds=3, client_hours=0.5)
    sums.properties.update(a=100, b=50)
    sums.fuzz.update(tcp=1000, udp=2000)
    return sums


def test_exploring_counts_what_it_has_tried(tmp_path: Path) -> None:
    """It prints sums of its own, and pytest's closing lines only with a failure."""
    green(tmp_path)
    (tmp_path / "check.log").write_text("\n".join([*explored().text(), "explored for 170 s: nothing was found"]))
    assert report(tmp_path) == 0


@pytest.mark.parametrize("part", ["properties", "worlds", "fuzz"])
def test_exploring_without_a_turn_of_one_part_is_red(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    green(tmp_path)
    sums = explored()
    setattr(sums, part, type(getattr(sums, part))())
    (tmp_path / "check.log").write_text("\n".join([*sums.text(), "explored for 170 s: nothing was found"]))
    assert report(tmp_path) == 1
    assert "check: no test passed" in capsys.readouterr().out


def test_one_run_of_several_in_a_stage(tmp_path: Path) -> None:
    """A stage that starts pytest three times is red for one of them."""
    green(tmp_path)
    (tmp_path / "unit.log").write_text("9 passed in 1.00s\nno tests ran in 0.01s\n9 passed in 1.00s\n")
    assert report(tmp_path) == 1
    assert outcomes("9 passed in 1.00s\n1 passed, 1 skipped, 2 warnings in 1.00s")[0]["passed"] == 10


@pytest.mark.parametrize("line", ["unit: exit 1, 70 s", "unit: exit 2, 0 s", "unit: exit 10, 0 s", ""])
def test_a_stage_that_failed_or_did_not_run_is_red(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    green(tmp_path)
    log = tmp_path / "test-report"
    log.write_text(log.read_text().replace("unit: exit 0, 70 s\n", line and line + "\n"))
    assert report(tmp_path) == 1
    assert f"red:\n{line + ' is red' if line else 'unit: did not run'}\n" in capsys.readouterr().out


def test_no_stage_at_all_is_red(tmp_path: Path) -> None:
    assert report(tmp_path) == 1


def test_a_stage_without_a_log_is_red(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    green(tmp_path)
    (tmp_path / "unit.log").unlink()
    assert report(tmp_path) == 1
    assert "red:\nunit: no test passed\n" in capsys.readouterr().out


KINDS = """
import pytest

def test_passes(): pass
def test_skips(): pytest.skip("for want of a nail")
@pytest.mark.skipif(True, reason="marked")
def test_marked(): pass
@pytest.mark.xfail
def test_fails(): assert 0
@pytest.mark.xfail(strict=False)
def test_passes_by_chance(): pass
"""


def test_what_pytest_prints_is_what_is_read(tmp_path: Path) -> None:
    """The lines above are those of the pytest in use."""
    (tmp_path / "test_kinds.py").write_text(KINDS)
    words = ["-q", "-ra", "-k", "not fails", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--rootdir=.", "test_kinds.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    counts, red = outcomes(told)
    assert dict(counts) == {"passed": 1, "skipped": 2, "xpassed": 1, "deselected": 1}
    assert red == ["1 deselected", "1 xpassed"]
    green(tmp_path)
    (tmp_path / "unit.log").write_text(told.replace(", 1 deselected, 1 xpassed", ""))
    table = [Allowed(("unit",), "test_kinds.py", reason, "") for reason in ("for want of a nail", "marked")]
    assert main(tmp_path, STAGES, table) == 0
    assert main(tmp_path, STAGES, table[:1]) == main(tmp_path, STAGES, table[1:]) == 1


@pytest.mark.parametrize(("release", "origin"), old_clients.ORIGINS.items(), ids=str)
def test_no_line_of_the_table_allows_a_missing_suite(release: str, origin: old_clients.Origin) -> None:
    """Clients of other releases are not there by the way: without them a stage says nothing of them."""
    reason = f"openvpn {release}: the mirror does not serve it from {origin.suite}: 404  Not Found"
    assert not [one for one in ALLOWED if re.fullmatch(one.reason, reason)]


@pytest.mark.parametrize("one", ALLOWED, ids=lambda one: f"{one.file} in {one.stages[0]}")
def test_the_table_names_skips_that_are_there(one: Allowed) -> None:
    """A line that allows nothing any more would allow the next skip of that name."""
    source = (ROOT / one.file).read_text(encoding="utf-8")
    reasons = re.findall(r"(?:pytest\.skip\(|reason=)f?\"([^\"]*?)[\"{]", source)
    assert any(re.fullmatch(one.reason, reason) for reason in reasons)
    assert one.why.endswith(".")
