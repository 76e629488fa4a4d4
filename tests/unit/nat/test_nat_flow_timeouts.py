"""Time-outs by virtual clock, TCP state, and the wheel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.packet import Packet
from tests.unit.nat.nat_packets import OUTSIDE, SERVER, Bench, echo, tcp, udp

from hognose.drops import DropReason, Stat
from hognose.nat.flow import ClientFlows, Flow, Mapping
from hognose.nat.flow_timeouts import (
    DNS_TIMEOUT,
    EXPIRE_BATCH,
    GRANULARITY,
    ICMP_TIMEOUT,
    TCP_ESTABLISHED,
    TCP_TRANSITORY,
    UDP_TIMEOUT,
    Wheel,
)
from hognose.units import MS, SECOND

SLACK = 2 * GRANULARITY


def back(flags: str, dport: int = 5000) -> IP:
    return tcp(80, dport, flags=flags, seq=9, src=SERVER, dst=OUTSIDE)


def established(bench: Bench) -> None:
    bench.send(tcp(flags="S"))
    bench.now += 10 * MS
    assert isinstance(bench.receive(back("SA")), tuple)
    bench.now += 10 * MS
    bench.send(tcp(flags="A"))


def lives(bench: Bench, timeout: int) -> None:
    """The one flow ends `timeout` after now, not earlier and at most SLACK later."""
    bench.advance(timeout - 50 * MS)
    assert bench.nat.flows == 1
    bench.advance(50 * MS + SLACK)
    assert bench.nat.flows == 0
    assert bench.counters.stats[Stat.NAT_FLOWS_EXPIRED] == 1
    assert bench.nat.next_deadline() is None


@pytest.mark.parametrize("start", [0, 10**15])
@pytest.mark.parametrize(
    ("packet", "timeout"),
    [
        (udp(), UDP_TIMEOUT),
        (udp(dport=53), DNS_TIMEOUT),
        (echo(), ICMP_TIMEOUT),
        (tcp(flags="S"), TCP_TRANSITORY),
        (tcp(), TCP_TRANSITORY),
    ],
)
def test_unanswered(packet: Packet, timeout: int, start: int) -> None:
    bench = Bench(start)
    bench.send(packet)
    lives(bench, timeout)


def test_udp_is_refreshed_from_inside_only() -> None:
    bench = Bench()
    bench.send(udp())
    for _ in range(4):
        bench.advance(200 * SECOND)
        bench.send(udp())
    assert bench.nat.flows == 1
    bench.advance(200 * SECOND)
    assert isinstance(bench.receive(udp(3478, 5000, src=SERVER, dst=OUTSIDE)), tuple)
    lives(bench, 100 * SECOND)
    assert bench.receive(udp(3478, 5000, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING


def test_tcp_established() -> None:
    bench = Bench()
    established(bench)
    lives(bench, TCP_ESTABLISHED)


def test_tcp_refreshed_by_the_hot_path() -> None:
    bench = Bench()
    established(bench)
    bench.advance(7000 * SECOND)
    assert len(bench.hot(tcp(payload=b"x"))[0]) == 1
    lives(bench, TCP_ESTABLISHED)


def test_tcp_picked_up_in_the_middle() -> None:
    bench = Bench()
    bench.send(tcp(flags="A"))
    bench.now += MS
    bench.receive(back("A"))
    bench.now += MS
    bench.send(tcp(flags="A"))
    lives(bench, TCP_ESTABLISHED)


def test_tcp_half_open_from_our_side() -> None:
    bench = Bench()
    bench.send(tcp(flags="S"))
    bench.advance(50 * SECOND)
    bench.receive(back("SA"))
    lives(bench, TCP_TRANSITORY)


def test_answers_do_not_refresh() -> None:
    bench = Bench()
    bench.send(tcp(flags="S"))
    bench.receive(back("SA"))
    bench.advance(100 * SECOND)
    for flags in ("SA", "A", "SA"):
        bench.receive(back(flags))
    lives(bench, TCP_TRANSITORY - 100 * SECOND)


def test_tcp_closed_by_both() -> None:
    bench = Bench()
    established(bench)
    bench.advance(SECOND)
    bench.send(tcp(flags="FA"))
    bench.advance(SECOND)
    bench.receive(back("FA"))
    bench.now += MS
    bench.send(tcp(flags="A"))
    lives(bench, TCP_TRANSITORY)


def test_tcp_half_closed_is_alive() -> None:
    bench = Bench()
    established(bench)
    bench.send(tcp(flags="FA"))
    lives(bench, TCP_ESTABLISHED)


@pytest.mark.parametrize("inside", [True, False])
def test_tcp_reset_lingers(inside: bool) -> None:
    bench = Bench()
    established(bench)
    bench.advance(SECOND)
    if inside:
        bench.send(tcp(flags="R"))
    else:
        bench.receive(back("R"))
    lives(bench, TCP_TRANSITORY)


def test_forged_reset_does_not_end_a_connection_in_use() -> None:
    bench = Bench()
    established(bench)
    bench.advance(SECOND)
    bench.receive(back("RA"))
    bench.advance(SECOND)
    bench.hot(tcp(payload=b"still here"))
    lives(bench, TCP_ESTABLISHED)


def test_reset_of_an_unanswered_syn() -> None:
    bench = Bench()
    bench.send(tcp(flags="S"))
    bench.receive(back("RA"))
    lives(bench, TCP_TRANSITORY)


def test_a_new_connection_on_the_same_ports() -> None:
    bench = Bench()
    established(bench)
    bench.send(tcp(flags="FA"))
    bench.receive(back("FA"))
    bench.send(tcp(flags="S"))
    bench.now += MS
    bench.receive(back("SA"))
    bench.now += MS
    bench.send(tcp(flags="A"))
    lives(bench, TCP_ESTABLISHED)


def test_tcp_simultaneous_open() -> None:
    """RFC 5382 REQ-2 a: the SYNs cross, each side answers with SYN and ACK."""
    bench = Bench()
    for inside, flags in ((True, "S"), (False, "S"), (True, "SA"), (False, "SA"), (True, "A")):
        bench.now += MS
        if inside:
            bench.send(tcp(flags=flags))
        else:
            assert isinstance(bench.receive(back(flags)), tuple)
    lives(bench, TCP_ESTABLISHED)


def test_a_repeated_flag_changes_nothing() -> None:
    bench = Bench()
    established(bench)
    bench.receive(back("FA"))
    bench.send(tcp(flags="FA"))
    bench.advance(200 * SECOND)
    bench.receive(back("FA"))
    lives(bench, 40 * SECOND)


def test_mapping_lives_as_long_as_one_flow() -> None:
    bench = Bench()
    bench.send(udp(5000, src="10.8.0.9"), client=9)
    (left,) = bench.send(udp(dport=1))
    bench.advance(200 * SECOND)
    assert bench.send(udp(dport=2))[0].sport == left.sport
    bench.advance(200 * SECOND)
    assert bench.nat.flows == 1
    assert bench.receive(udp(1, left.sport, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_FILTERED
    assert bench.send(udp(dport=3))[0].sport == left.sport


def test_expiry_is_bounded_per_call() -> None:
    bench = Bench()
    count = 2 * EXPIRE_BATCH + 10
    for sport in range(2000, 2000 + count):
        bench.send(udp(sport))
    later = bench.now + UDP_TIMEOUT + SLACK
    left = []
    while (due := bench.nat.next_deadline()) is not None and due <= later:
        bench.nat.handle_deadline(later)
        left.append(bench.nat.flows)
    assert left == [count - EXPIRE_BATCH, count - 2 * EXPIRE_BATCH, 0]


def flow() -> Flow:
    return Flow(Mapping(ClientFlows(bytes(4)), 17, bytes(4), 2, 3), bytes(4), bytes(4), 6, 0)


@given(st.lists(st.tuples(st.sampled_from(("add", "remove", "move", "due")), st.integers(0, 30)), max_size=60))
def test_wheel_is_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    wheel = Wheel()
    model: dict[Flow, int] = {}
    for verb, value in steps:
        when = value * SECOND // 3
        if verb == "add":
            new = flow()
            wheel.add(new, when)
            model[new] = when
        elif verb == "remove" and model:
            gone = list(model)[value % len(model)]
            wheel.remove(gone)
            del model[gone]
        elif verb == "move" and model:
            moved = list(model)[value % len(model)]
            wheel.move(moved, when)
            model[moved] = when
        elif verb == "due":
            due = wheel.take_due(when, 3)
            assert len(due) == min(3, sum((at // GRANULARITY + 1) * GRANULARITY <= when for at in model.values()))
            for found in due:
                assert model.pop(found) < when
        first = wheel.next_deadline()
        assert first == (min((at // GRANULARITY + 1) * GRANULARITY for at in model.values()) if model else None)
