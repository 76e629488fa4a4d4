"""A fault of our own while a flow opens: the caller hears of it, and it costs a packet and no port."""

from __future__ import annotations

import pytest
from tests.unit.nat.nat_packets import OTHER, Bench, udp

from hognose.nat.flow_timeouts import Wheel
from hognose.nat.ports import HOLD_DOWN
from hognose.units import SECOND


def refuse(*_: object) -> None:
    raise RuntimeError("planted")


def test_a_fault_costs_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    with monkeypatch.context() as patch:
        patch.setattr(Wheel, "add", refuse)
        with pytest.raises(RuntimeError, match="planted"):
            bench.send(udp(5000, 99))
    assert bench.nat.flows == 0
    (sent,) = bench.send(udp(5000, 99))
    assert sent.sport == 5000


def test_a_fault_at_a_second_flow_leaves_the_port_to_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.send(udp(5000, 99))
    with monkeypatch.context() as patch:
        patch.setattr(Wheel, "add", refuse)
        with pytest.raises(RuntimeError, match="planted"):
            bench.send(udp(5000, 100))
    assert bench.nat.flows == 1
    bench.now += HOLD_DOWN + SECOND
    (sent,) = bench.send(udp(5000, 99, src=OTHER), client=2)
    assert sent.sport != 5000
