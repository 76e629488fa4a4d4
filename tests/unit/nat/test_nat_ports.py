"""Choice of outside ports: preservation, ranges, parity, hold-down, exhaustion."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.nat.nat_packets import OTHER, Bench, tcp, udp

from hognose.drops import DropReason
from hognose.limits import NatLimits
from hognose.nat.ports import HOLD_DOWN, PROBES, Ports
from hognose.units import SECOND

A, B = 1, 2


def ports(protocol: int = 17, reserved: frozenset[int] = frozenset()) -> Ports:
    return Ports(protocol, reserved, random.Random(3).randbytes)


@given(st.integers(1, 65535))
def test_a_free_port_is_preserved(port: int) -> None:
    assert ports().take(port, A, 10, 0) == port


@given(st.integers(0, 65535), st.sampled_from((6, 17)))
def test_range_and_parity_are_kept(port: int, protocol: int) -> None:
    table = ports(protocol, frozenset({port}))
    chosen = table.take(port, A, 10, 0)
    assert chosen is not None
    assert chosen != port
    assert chosen % 2 == port % 2
    assert (0 < chosen < 1024) == (0 < port < 1024)
    assert chosen < 65536


def test_any_identifier_serves_icmp() -> None:
    table = ports(1)
    assert table.take(0, A, 10, 0) == 0
    assert table.take(0, B, 10, 0) != 0
    taken = [table.take(7, client, 10, 0) for client in range(300)]
    assert len(set(taken)) == 300
    assert {port % 2 for port in taken if port is not None} == {0, 1}


def test_unpredictable() -> None:
    one = ports()
    two = Ports(17, frozenset(), random.Random(4).randbytes)
    for table in (one, two):
        table.take(5000, A, 10, 0)
    assert one.take(5000, B, 11, 0) != two.take(5000, B, 11, 0)


def test_low_ports_run_over_into_the_high_ones() -> None:
    table = ports()
    taken = [table.take(7, client, 10, 0) for client in range(600)]
    assert None not in taken
    assert len(set(taken)) == 600
    low = [port for port in taken if port is not None and port < 1024]
    assert len(low) == 512
    assert all(port is not None and port % 2 for port in taken)
    even = ports()
    assert sum(port < 1024 for port in (even.take(8, client, 10, 0) or 0 for client in range(600))) == 511


def test_clusters_of_preserved_ports_are_no_obstacle() -> None:
    # Eight clients with the same four thousand ports: every one finds a place.
    table = ports()
    taken = [table.take(1024 + port, client, client, 0) for client in range(8) for port in range(4000)]
    assert None not in taken
    assert len(set(taken)) == 32_000
    assert sum(port == 1024 + index % 4000 for index, port in enumerate(taken)) >= 4000
    assert all(port is not None and port % 2 == index % 2 for index, port in enumerate(taken))


def test_hold_down_is_for_others() -> None:
    table = ports()
    assert table.take(5000, A, 10, 0) == 5000
    table.give_back(5000, A, 10, 0)
    assert table.take(5000, A, 10, 1) == 5000
    table.give_back(5000, A, 10, 2)
    assert table.take(5000, B, 11, HOLD_DOWN + 1) != 5000
    assert table.take(5000, B, 11, HOLD_DOWN + 2) == 5000


def test_hold_down_ends_for_each_port_by_itself() -> None:
    table = ports()
    for port in (5000, 5002):
        table.take(port, A, 10, 0)
    table.give_back(5000, A, 10, 0)
    table.give_back(5002, A, 10, 5)
    assert table.take(5000, B, 11, HOLD_DOWN) == 5000
    assert table.take(5002, B, 11, HOLD_DOWN) != 5002


def test_hold_down_is_per_inside_address() -> None:
    table = ports()
    table.take(5000, A, 10, 0)
    table.give_back(5000, A, 10, 0)
    assert table.take(5000, A, 11, 1) != 5000


def test_a_port_used_again_does_not_hold_up_the_others() -> None:
    table = ports()
    for port in (5000, 5002):
        table.take(port, A, 10, 0)
    table.give_back(5000, A, 10, 0)
    table.give_back(5002, A, 10, 5)
    table.take(5000, A, 10, 6)
    table.give_back(5000, A, 10, 10)
    assert table.take(5002, B, 11, HOLD_DOWN + 5) == 5002
    assert table.take(5000, B, 11, HOLD_DOWN + 9) != 5000


def test_exhaustion_is_bounded_work() -> None:
    calls = []

    def counting(size: int) -> bytes:
        calls.append(size)
        return bytes(size)

    table = Ports(17, frozenset(range(65536)), counting)
    assert table.take(5000, A, 10, 0) is None
    assert table.take(80, A, 10, 0) is None
    assert len(calls) == 5
    nearly = Ports(17, frozenset(range(65536)) - {1024 + 2 * (PROBES - 1)}, bytes)
    assert nearly.take(5000, A, 10, 0) == 1024 + 2 * (PROBES - 1)


def test_no_port_is_an_answerable_refusal() -> None:
    bench = Bench()
    bench.nat = type(bench.nat)(
        address=1,
        reserved_ports=frozenset((17, port) for port in range(65536)),
        limits=NatLimits(flows=9, flows_per_client=9),
        random=bytes,
        counters=bench.counters,
    )
    assert bench.refuse(udp()) is DropReason.NAT_NO_PORT
    assert bench.nat.flows == 0


def test_a_closed_flow_leaves_its_port_at_rest() -> None:
    bench = Bench()
    bench.send(tcp(5000, flags="S"))
    bench.nat.forget(1)
    assert bench.send(tcp(5000, flags="S", src=OTHER), client=2)[0].sport != 5000
    assert bench.send(tcp(5000, flags="S"))[0].sport == 5000
    bench.nat.forget(1)
    bench.advance(HOLD_DOWN + SECOND)
    assert bench.send(tcp(5000, 81, flags="S", src="10.8.0.4"), client=4)[0].sport == 5000
