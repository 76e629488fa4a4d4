"""docs/cve-tests.md names tests that exist, and all that are named after a CVE."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "cve-tests.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if re.match(r"\| \d{4}-\d+ \|", line)]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_named_tests_exist(file: str, name: str) -> None:
    assert name in functions_of(ROOT / file)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_cve_has_a_test_or_a_reason(row: list[str]) -> None:
    assert len(row) == 3
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", row[2]) or row[2].startswith("not applicable")


def test_every_test_that_is_named_after_a_cve_stands_in_its_row() -> None:
    cells = {row[0]: row[2] for row in ROWS}
    assert len(cells) == len(ROWS)
    found = 0
    for path in sorted((ROOT / "tests" / "unit").rglob("test_*.py")):
        for name in functions_of(path):
            for year, number in re.findall(r"cve_(\d{4})_(\d+)", name):
                assert f"`{path.relative_to(ROOT)}::{name}`" in cells[f"{year}-{number}"], name
                found += 1
    assert found >= 30
