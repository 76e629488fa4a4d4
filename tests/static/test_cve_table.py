"""docs/dev/cve-tests.md names tests and constructs that exist, and all tests that are named after a CVE."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "dev" / "cve-tests.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if re.match(r"\| \d{4}-\d+ \|", line)]
CONSTRUCTS = sorted(set(re.findall(r"`(?!tests/)([\w/]+\.py)::([\w.]+)`", TEXT)))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_named_tests_exist(file: str, name: str) -> None:
    assert name in functions_of(ROOT / file)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_cve_has_a_test_or_a_reason(row: list[str]) -> None:
    assert len(row) == 4
    if row[3].startswith("not applicable"):
        assert row[2] == "–"
    else:
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row[3])
        assert re.search(r"`[\w/]+\.py::[\w.]+`", row[2]), "name the construct that rules this kind out"


def names_of(path: Path) -> set[str]:
    """Names that a module defines, those in classes as Class.name: methods, fields, and what self gets."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        found |= _defined(node)
        if isinstance(node, ast.ClassDef):
            inner = {name for one in node.body for name in _defined(one)}
            fields = (one for one in ast.walk(node) if isinstance(one, ast.Attribute))
            inner |= {one.attr for one in fields if isinstance(one.ctx, ast.Store) and ast.unparse(one.value) == "self"}
            found |= {f"{node.name}.{name}" for name in inner}
    return found


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize(("file", "name"), CONSTRUCTS)
def test_named_constructs_exist(file: str, name: str) -> None:
    assert name in names_of(ROOT / "src" / "hognose" / file)


def test_the_review_has_a_day_and_a_version() -> None:
    assert re.search(r"\*\*Reviewed on \d{4}-\d\d-\d\d\*\*, to OpenVPN \d\.\d\.\d+", TEXT)


def test_every_test_that_is_named_after_a_cve_stands_in_its_row() -> None:
    cells = {row[0]: row[3] for row in ROWS}
    assert len(cells) == len(ROWS)
    found = 0
    for path in sorted((ROOT / "tests" / "unit").rglob("test_*.py")):
        for name in functions_of(path):
            for year, number in re.findall(r"cve_(\d{4})_(\d+)", name):
                assert f"`{path.relative_to(ROOT)}::{name}`" in cells[f"{year}-{number}"], name
                found += 1
    assert found >= 30
