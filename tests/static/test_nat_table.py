"""docs/dev/nat.md names tests and probes that exist, every probe, and every requirement that applies."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "dev" / "nat.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| requirement |")
]
NAMED = sorted(set(re.findall(r"`([\w/]+)::(\w+)`", TEXT)))
REQUIREMENTS = [
    *(f"4787-{number}" for number in range(1, 15)),
    *(f"5382-{number}" for number in range(1, 11)),
    *(f"5508-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)),
    *(f"6888-{number}" for number in (4, 5, 8, 11, 12)),
    "7857 section 2",
]


def functions_of(module: str) -> set[str]:
    path = ROOT / "tests" / ("" if module.startswith("interop/") else "unit") / f"{module}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def probes() -> list[str]:
    tree = ast.parse((ROOT / "tests" / "interop" / "nat_probes.py").read_text(encoding="utf-8"))
    [table] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "PROBES"
    ]
    assert isinstance(table, ast.Tuple)
    return [element.id for element in table.elts if isinstance(element, ast.Name)]


@pytest.mark.parametrize(("module", "name"), NAMED)
def test_named_tests_exist(module: str, name: str) -> None:
    assert name in (probes() if module == "interop/nat_probes" else functions_of(module))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_requirement_has_a_test_or_a_reason(row: list[str]) -> None:
    assert len(row) == 3
    assert re.search(r"`[\w/]+::\w+`", row[2]) or row[1].startswith("not applicable")


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_requirement_has_a_row(requirement: str) -> None:
    assert any(re.search(rf"{requirement}(?!\d)", row[0]) for row in ROWS)


def test_every_probe_stands_in_the_table() -> None:
    assert set(probes()) <= {name for module, name in NAMED if module == "interop/nat_probes"}
    assert len(probes()) >= 30
