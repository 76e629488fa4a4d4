"""The stages of CI leave no test out: those that one stage deselects are run by another one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "tests" / "tests.mk").read_text(encoding="utf-8").replace("\\\n", " ")


def recipe(target: str) -> str:
    """The commands of a make target."""
    match = re.search(rf"^{target}:[^=\n]*\n((?:\t.*\n)+)", RULES, re.M)
    assert match, target
    return match[1]


def test_what_is_left_out_of_coverage_runs_on_the_static_interpreter() -> None:
    assert '-m "not stress"' in recipe("coverage")
    taken = re.findall(r"tests/unit/\S+", recipe("static-interpreter"))
    marked = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "pytest.mark.stress" in path.read_text(encoding="utf-8") and path != Path(__file__)
    ]
    assert marked
    assert [one for one in marked if not one.startswith(tuple(taken))] == []
    assert "stress" not in recipe("static-interpreter")


@pytest.mark.parametrize(("stage", "folders"), [("interop", ["interop"]), ("machines", ["vm", "hvt"])])
def test_what_must_be_alone_is_run_alone(stage: str, folders: list[str]) -> None:
    together, alone = recipe(stage).splitlines()
    assert '-m "not alone"' in together
    assert "-m alone" in alone
    for folder in folders:
        assert f"tests/{folder}" in together
        marked = any("pytest.mark.alone" in one.read_text() for one in (ROOT / "tests" / folder).glob("test_*.py"))
        assert (f"tests/{folder}" in alone) is marked


def test_every_folder_of_tests_has_a_stage() -> None:
    """Only what is run by hand has none."""
    by_hand = {"load"}
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    named = {one.rstrip("/") for one in re.findall(r"tests/[a-z]+", RULES + (ROOT / "Makefile").read_text())}
    tops = {folder.relative_to(ROOT).parts[1] for folder in folders}
    assert {top for top in tops - by_hand if f"tests/{top}" not in named} == set()
