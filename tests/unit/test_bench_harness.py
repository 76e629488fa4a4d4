"""The comparison of two trees runs, measures the tree it was told, and says which is slower."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench.harness import ROOT, measure, table


def test_every_row_of_this_tree_is_measured() -> None:
    """Packets that go missing would end the process: they would make a row look fast."""
    rows = measure(ROOT, 12)
    assert set(rows) == {"up", "down", "up 64 B", "ping"}
    assert all(microseconds > 0 for microseconds in rows.values())


def test_a_folder_without_the_source_is_not_measured_as_another_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"was measured, not|No module named"):
        measure(tmp_path, 12)


def test_the_minima_are_compared() -> None:
    base = [{"up": 8.0, "ping": 100.0}, {"up": 10.0, "ping": 130.0}]
    new = [{"up": 9.0, "ping": 90.0}, {"up": 8.8, "ping": 95.0}]
    lines, worst = table(base, new)
    assert [line.split()[-1] for line in lines[1:]] == ["1.100", "0.900"]
    assert worst == pytest.approx(1.1)
