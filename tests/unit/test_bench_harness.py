"""The comparison of two trees runs, measures the tree it was told, and says which is slower."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench import beside_openvpn
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


def test_only_rounds_near_openvpns_idle_cost_count() -> None:
    rounds = [
        ({"up": 12.0, "ping": 0.5}, {"up": 10.0, "ping": 0.25}),
        ({"up": 15.0, "ping": 0.6}, {"up": 30.0, "ping": 0.75}),  # others were at work: it would flatter us
        ({"up": 13.0, "ping": 0.7}, {"up": 12.5, "ping": 0.35}),
        ({"up": 11.0, "ping": 0.7}, {"up": 12.6, "ping": 0.35}),
    ]
    idle = beside_openvpn.bars("up=10")
    assert idle == {"up": 10.0}
    assert beside_openvpn.kept(rounds, "up", idle) == [(12.0, 10.0), (13.0, 12.5)]
    assert len(beside_openvpn.kept(rounds, "ping", idle)) == 4
    up, ping = beside_openvpn.table(rounds, ["up", "ping"], idle)[1:]
    assert "  1.11 2 of 4  too few to be quoted" in up
    assert ping.endswith("  1.86 4 of 4")
    assert "no round counts" in beside_openvpn.table(rounds[1:2], ["up"], idle)[1]
