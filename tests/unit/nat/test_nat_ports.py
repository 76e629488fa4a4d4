"""Choice of outside ports: preservation, ranges, parity, hold-down, exhaustion."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP
from tests.unit.nat.nat_packets import CLIENT, OTHER, OUTSIDE, SERVER, Bench, echo, named, tcp, udp

from hognose.address import parse_ipv4
from hognose.drops import DropReason
from hognose.limits import NatLimits
from hognose.nat.ports import HOLD_DOWN, PROBES, Ports
from hognose.units import SECOND

A, B = named(1), named(2)
HOST, NEXT_HOST = bytes((10, 8, 0, 2)), bytes((10, 8, 0, 3))


def ports(protocol: int = 17, reserved: frozenset[int] = frozenset()) -> Ports:
    return Ports(protocol, reserved, random.Random(3).randbytes)


@given(st.integers(1, 65535))
def test_a_free_port_is_preserved(port: int) -> None:
    assert ports().take(port, A, HOST, 0) == port


@given(st.integers(0, 65535), st.sampled_from((6, 17)))
def test_range_and_parity_are_kept(port: int, protocol: int) -> None:
    table = ports(protocol, frozenset({port}))
    chosen = table.take(port, A, HOST, 0)
    assert chosen is not None
    assert chosen != port
    assert chosen % 2 == port % 2
    assert (0 < chosen < 1024) == (0 < port < 1024)
    assert chosen < 65536


@pytest.mark.parametrize("port", [1, 2, 511, 512, 1022, 1023, 1024, 1025, 65_534, 65_535, 0])
def test_ends_of_the_ranges(port: int) -> None:
    """RFC 4787 REQ-3 a: 1 to 1023 and 1024 to 65535 are ranges of their own, port 0 belongs to neither."""
    for number in (0, 1, 254, 255, 256, 510, 511, 512, 32_255, 32_256, 2**64 - 1):
        chosen = Ports(17, frozenset({port}), drawn(number)).take(port, A, HOST, 0)
        assert chosen is not None
        assert (1 <= chosen <= 1023) is (1 <= port <= 1023)
        assert chosen % 2 == port % 2
        assert chosen != port


@pytest.mark.parametrize(
    ("upper", "stride"),
    [(1, 1), (5, 5), (11, 11), (32_255, 32_255), (32_256 + 5, 5), (0, 1), (2, 5), (7, 11)],
)
def test_the_upper_half_of_what_is_drawn_is_the_stride(upper: int, stride: int) -> None:
    """Eight bytes; the second port that is tried is so far from the first, or by the next number prime to 32,256."""
    number = (upper << 32) + 10
    calls = []

    def draw(size: int) -> bytes:
        calls.append(size)
        return number.to_bytes(size, "big")

    first = 1024 + 2 * (number % 32_256)
    assert Ports(17, frozenset({5000}), draw).take(5000, A, HOST, 0) == first
    second = 1024 + 2 * ((number + stride) % 32_256)
    assert Ports(17, frozenset({5000, first}), draw).take(5000, A, HOST, 0) == second
    assert calls == [8, 8]


def test_any_identifier_serves_icmp() -> None:
    table = ports(1)
    assert table.take(0, A, HOST, 0) == 0
    assert table.take(0, B, HOST, 0) != 0
    taken = [table.take(7, named(client), HOST, 0) for client in range(300)]
    assert len(set(taken)) == 300
    assert {port % 2 for port in taken if port is not None} == {0, 1}


def test_unpredictable() -> None:
    one = ports()
    two = Ports(17, frozenset(), random.Random(4).randbytes)
    for table in (one, two):
        table.take(5000, A, HOST, 0)
    assert one.take(5000, B, NEXT_HOST, 0) != two.take(5000, B, NEXT_HOST, 0)


def test_low_ports_run_over_into_the_high_ones() -> None:
    table = ports()
    taken = [table.take(7, named(client), HOST, 0) for client in range(600)]
    assert None not in taken
    assert len(set(taken)) == 600
    low = [port for port in taken if port is not None and port < 1024]
    assert len(low) == 512
    assert all(port is not None and port % 2 for port in taken)
    even = ports()
    assert sum(port < 1024 for port in (even.take(8, named(client), HOST, 0) or 0 for client in range(600))) == 511


def test_clusters_of_preserved_ports_are_no_obstacle() -> None:
    # Eight clients with the same four thousand ports: every one finds a place.
    table = ports()
    taken = [table.take(1024 + port, named(client), named(client), 0) for client in range(8) for port in range(4000)]
    assert None not in taken
    assert len(set(taken)) == 32_000
    assert sum(port == 1024 + index % 4000 for index, port in enumerate(taken)) >= 4000
    assert all(port is not None and port % 2 == index % 2 for index, port in enumerate(taken))


def test_hold_down_is_for_others() -> None:
    table = ports()
    assert table.take(5000, A, HOST, 0) == 5000
    table.give_back(5000, A, HOST, 0)
    assert table.take(5000, A, HOST, 1) == 5000
    table.give_back(5000, A, HOST, 2)
    assert table.take(5000, B, NEXT_HOST, HOLD_DOWN + 1) != 5000
    assert table.take(5000, B, NEXT_HOST, HOLD_DOWN + 2) == 5000


def test_hold_down_ends_for_each_port_by_itself() -> None:
    table = ports()
    for port in (5000, 5002):
        table.take(port, A, HOST, 0)
    table.give_back(5000, A, HOST, 0)
    table.give_back(5002, A, HOST, 5)
    assert table.take(5000, B, NEXT_HOST, HOLD_DOWN) == 5000
    assert table.take(5002, B, NEXT_HOST, HOLD_DOWN) != 5002


def test_hold_down_is_per_inside_address() -> None:
    table = ports()
    table.take(5000, A, HOST, 0)
    table.give_back(5000, A, HOST, 0)
    assert table.take(5000, A, NEXT_HOST, 1) != 5000


def test_a_port_used_again_does_not_hold_up_the_others() -> None:
    table = ports()
    for port in (5000, 5002):
        table.take(port, A, HOST, 0)
    table.give_back(5000, A, HOST, 0)
    table.give_back(5002, A, HOST, 5)
    table.take(5000, A, HOST, 6)
    table.give_back(5000, A, HOST, 10)
    assert table.take(5002, B, NEXT_HOST, HOLD_DOWN + 5) == 5002
    assert table.take(5000, B, NEXT_HOST, HOLD_DOWN + 9) != 5000


def test_exhaustion_is_bounded_work() -> None:
    calls = []

    def counting(size: int) -> bytes:
        calls.append(size)
        return bytes(size)

    table = Ports(17, frozenset(range(65536)), counting)
    assert table.take(5000, A, HOST, 0) is None
    assert table.take(80, A, HOST, 0) is None
    assert len(calls) == 5
    nearly = Ports(17, frozenset(range(65536)) - {1024 + 2 * (PROBES - 1)}, bytes)
    assert nearly.take(5000, A, HOST, 0) == 1024 + 2 * (PROBES - 1)


def test_no_port_is_an_answerable_refusal() -> None:
    bench = Bench()
    bench.nat = type(bench.nat)(
        address=parse_ipv4(OUTSIDE),
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
    bench.forget(1)
    assert bench.send(tcp(5000, flags="S", src=OTHER), client=2)[0].sport != 5000
    assert bench.send(tcp(5000, flags="S"))[0].sport == 5000
    bench.forget(1)
    bench.advance(HOLD_DOWN + SECOND)
    assert bench.send(tcp(5000, 81, flags="S", src="10.8.0.4"), client=4)[0].sport == 5000


def all_but(*free: int) -> frozenset[int]:
    return frozenset(range(65536)) - set(free)


@pytest.mark.parametrize("protocol", [1, 6, 17])
def test_512_ports_are_tried_and_not_one_more(protocol: int) -> None:
    """With a full table a mapping costs bounded work: of each row of ports the first 512 that are drawn."""
    first, step = (0, 1) if protocol == 1 else (1024, 2)
    # Zeros are drawn: the row is gone through in its order.
    assert Ports(protocol, all_but(first + 511 * step), bytes).take(5000, A, HOST, 0) == first + 511 * step
    assert Ports(protocol, all_but(first + 512 * step), bytes).take(5000, A, HOST, 0) is None


def test_a_full_table_of_low_ports_is_gone_through_once() -> None:
    """The 511 or 512 low ports of a parity are fewer than the bound: each is tried, the last too."""
    assert Ports(17, all_but(1023), bytes).take(7, A, HOST, 0) == 1023
    assert Ports(17, all_but(1022), bytes).take(8, A, HOST, 0) == 1022


def drawn(number: int) -> Callable[[int], bytes]:
    """This number is drawn, every time."""
    return lambda size: number.to_bytes(size, "big")


@pytest.mark.parametrize("parity", [0, 1])
def test_user_ports_end_with_the_last_two(parity: int) -> None:
    """32,256 of each parity are drawn from, and nothing beyond."""
    for number, chosen in ((32_255, 65_534), (32_256, 1024), (2 * 32_256 - 1, 65_534)):
        table = Ports(17, frozenset({5000 + parity}), drawn(number))
        assert table.take(5000 + parity, A, HOST, 0) == chosen + parity


def test_identifiers_end_at_65535() -> None:
    """All of 16 bits are drawn from, and nothing beyond."""
    for number in (65_535, 2 * 65_536 - 1):
        assert Ports(1, frozenset({7}), drawn(number)).take(7, A, HOST, 0) == 65_535
    for number in (0, 65_536, 2 * 65_536):
        assert Ports(1, frozenset({7}), drawn(number)).take(7, A, HOST, 0) == 0
    assert Ports(1, all_but(65_535), drawn(65_500)).take(7, A, HOST, 0) == 65_535


@pytest.mark.parametrize("number", [0, 65_535])
def test_the_first_and_the_last_identifier_go_out_and_come_back(number: int) -> None:
    bench = Bench()
    for client, src in ((2, OTHER), (1, CLIENT)):  # preserved, then translated
        (left,) = bench.send(echo(number, src=src), client=client)
        reply = echo(left[ICMP].id, kind=0, src=SERVER, dst=OUTSIDE)
        assert bench.receive(reply) == (client, [IP(bytes(echo(number, kind=0, src=SERVER, dst=src, ttl=63)))])
