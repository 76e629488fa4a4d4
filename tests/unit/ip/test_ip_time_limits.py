"""Time limits of reassembly, ARP and ICMP errors as numbers: a moment before, and a moment after."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet import fragment as scapy_fragment
from scapy.layers.l2 import ARP
from scapy.packet import Raw

from hognose.address import parse_ipv4
from hognose.drops import Counters
from hognose.ip.fragments import Reassembler
from hognose.ip.icmp_errors import RateLimiter
from hognose.ip.neighbor import NeighborTable
from hognose.limits import IpLimits
from hognose.wire.virtio_net import PLAIN

S = 1_000_000_000
MS = 1_000_000
T0 = 5 * S
ROUTER = parse_ipv4("10.0.0.1")


def pieces_of(ident: int) -> list[bytes]:
    packet = IP(src="1.2.3.4", dst="10.0.0.2", id=ident, flags=0) / UDP(sport=5, dport=6) / Raw(b"r" * 3000)
    return [bytes(piece) for piece in scapy_fragment(packet, fragsize=1480)]


def feed(reassembler: Reassembler, piece: bytes, now: int) -> object:
    """The fragment comes, after what was due."""
    deadline = reassembler.next_deadline()
    if deadline is not None and deadline <= now:
        reassembler.handle_deadline(now)
    return reassembler.receive(piece, 0, len(piece), now)


def test_a_datagram_has_thirty_seconds_from_its_first_fragment_on() -> None:
    """As Linux; RFC 1122 section 3.3.2 has a minute, RFC 4963 as little as can be. What comes later extends nothing."""
    for last, whole in ((30 * S - 1, True), (30 * S, False)):
        reassembler = Reassembler(IpLimits(), Counters())
        first, second, third = pieces_of(7)
        assert feed(reassembler, second, T0) is None
        assert feed(reassembler, third, T0 + 29 * S) is None
        assert isinstance(feed(reassembler, first, T0 + last), bytes) is whole


def test_what_ran_out_of_time_is_told_once_and_forgotten() -> None:
    """RFC 1122 section 3.3.2: time exceeded, with the first fragment, where that one came."""
    counters = Counters()
    reassembler = Reassembler(IpLimits(), counters)
    first = pieces_of(7)[0]
    feed(reassembler, first, T0)
    assert reassembler.handle_deadline(T0 + 30 * S - 1) == []
    assert reassembler.handle_deadline(T0 + 30 * S) == [first]
    assert reassembler.handle_deadline(T0 + 60 * S) == []
    assert counters.non_zero() == {"drop_fragment_timeout": 1}


def neighbors() -> NeighborTable:
    """The router has asked for us, and is known since T0."""
    table = NeighborTable(mac=b"\2\0\0\0\0\1", address=parse_ipv4("10.0.0.2"), limits=IpLimits(), counters=Counters())
    table.receive(bytes(ARP(op=1, hwsrc="02:00:00:00:00:aa", psrc="10.0.0.1", pdst="10.0.0.2")), 0, T0)
    table.requests()
    return table


@pytest.mark.parametrize(("after", "asks"), [(60 * S, 0), (60 * S + 1, 1)])
def test_a_neighbor_is_asked_again_after_a_minute(after: int, asks: int) -> None:
    """RFC 1122 section 2.3.2.1: entries are validated again; until then nothing is sent."""
    table = neighbors()
    assert table.lookup(ROUTER, T0 + after) is not None
    assert len(table.requests()) == asks


@pytest.mark.parametrize(("after", "used"), [(1200 * S, True), (1200 * S + 1, False)])
def test_a_neighbor_that_was_not_heard_for_twenty_minutes_is_unknown(after: int, used: bool) -> None:
    assert (neighbors().lookup(ROUTER, T0 + after) is not None) is used


def test_one_request_a_second_and_five_in_all() -> None:
    """RFC 1122 section 2.3.2.1 (flooding): one per second and destination, however many packets wait."""
    table = NeighborTable(mac=b"\2\0\0\0\0\1", address=parse_ipv4("10.0.0.2"), limits=IpLimits(), counters=Counters())
    asked = []
    for tick in range(100):
        now = T0 + tick * 100 * MS
        if tick < 45:
            table.wait((ROUTER, PLAIN, [b"x"]), ROUTER, now)
        table.handle_deadline(now)
        asked += [tick] * len(table.requests())
    assert asked == [0, 10, 20, 30, 40]
    assert table.next_deadline() is None


def test_errors_to_one_client_are_ten_at_once_and_ten_a_second() -> None:
    """RFC 1812 section 4.3.2.8."""
    limiter = RateLimiter(IpLimits())
    assert [limiter.allow(b"1", T0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert not limiter.allow(b"1", T0 + 100 * MS - 1)
    assert limiter.allow(b"1", T0 + 100 * MS)
    assert not limiter.allow(b"1", T0 + 100 * MS)
    assert sum(limiter.allow(b"1", T0 + 60 * S) for _ in range(100)) == 10, "no more than a second's worth is saved up"


def test_errors_to_all_are_fifty_at_once_and_fifty_a_second() -> None:
    limiter = RateLimiter(IpLimits())
    assert sum(limiter.allow(bytes((client,)), T0) for client in range(20) for _ in range(5)) == 50
    assert not limiter.allow(b"100", T0 + 20 * MS - 1)
    assert limiter.allow(b"101", T0 + 20 * MS)
    assert not limiter.allow(b"102", T0 + 20 * MS)
