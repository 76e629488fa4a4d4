"""A fault of our own while a flow opens: the caller hears of it, and it costs a packet and no port."""

from __future__ import annotations

import pytest
from tests.unit.nat.nat_packets import OTHER, Bench, udp

from hognose.drops import Stat
from hognose.nat.flow_timeouts import Wheel
from hognose.nat.ports import HOLD_DOWN, Ports
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


def fail_once(patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """The method raises the first time, and works from then on."""
    works = getattr(owner, name)

    def method(*values: object) -> object:
        patch.setattr(owner, name, works)
        raise RuntimeError("planted")

    patch.setattr(owner, name, method)


def test_flows_that_were_due_when_a_fault_came_end_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    for port in range(3):
        bench.send(udp(5000 + port, 53))
    bench.now += 40 * SECOND
    fail_once(monkeypatch, Ports, "give_back")
    with pytest.raises(RuntimeError, match="planted"):
        bench.nat.handle_deadline(bench.now)
    assert bench.nat.flows == 3
    assert bench.nat.next_deadline() is not None
    bench.advance(2 * SECOND)
    assert bench.nat.flows == 0
    assert bench.nat.next_deadline() is None
    assert bench.counters.stats[Stat.NAT_FLOWS_EXPIRED] == 3


def test_a_flow_that_a_fault_kept_from_being_forgotten_ends_by_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.send(udp(5000))
    fail_once(monkeypatch, Ports, "give_back")
    with pytest.raises(RuntimeError, match="planted"):
        bench.forget(1)
    assert bench.nat.flows == 1
    assert bench.counters.stats[Stat.NAT_FLOWS_FORGOTTEN] == 0
    bench.advance(302 * SECOND)
    assert bench.nat.flows == 0
    assert bench.counters.stats[Stat.NAT_FLOWS_EXPIRED] == 1
