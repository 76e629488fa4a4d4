"""Every row of docs/dev/tcp.md: T1 to T35 each once, in order, with modules and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "dev" / "tcp.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("| T")]
WITHOUT_TESTS = {"T16"}
TESTS = {
    name
    for folder in ("unit/tcp", "unit/gateway", "unit/router", "unit/vpn", "sim", "interop")
    for path in (ROOT / "tests" / folder).glob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_requirement_has_its_row() -> None:
    assert [row[0] for row in ROWS] == [f"T{number}" for number in range(1, 36)]
    assert {len(row) for row in ROWS} == {5}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_what_there_is(row: list[str]) -> None:
    number, _, _, modules, tests = row
    for module in re.findall(r"`([^`]+)`", modules):
        assert (ROOT / "src" / "hognose" / ("" if "/" in module else "tcp") / module).is_file(), module
    named = re.findall(r"`([^`]+)`", tests)
    assert bool(named) == (number not in WITHOUT_TESTS)
    for name in named:
        assert name in TESTS or (ROOT / name).is_dir(), name
