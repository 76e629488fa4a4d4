"""Endpoint-independent filtering (RFC 4787 REQ-8): what comes in, what does not, and that it leaves no trace."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw
from tests.unit.nat.nat_packets import (
    CLIENT,
    OTHER,
    OUTSIDE,
    SERVER,
    STRANGER,
    Bench,
    Make,
    echo,
    named,
    rebuilt,
    tcp,
    udp,
)

from hognose.address import parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.limits import NatLimits
from hognose.nat.flow_timeouts import TCP_ESTABLISHED, TCP_TRANSITORY, UDP_TIMEOUT
from hognose.nat.nat import Nat
from hognose.units import MS, SECOND

L4 = {6: TCP, 17: UDP}


def opened(make: Make) -> tuple[Bench, int]:
    """Inside port 5000 of client 1, translated, and its outside port."""
    bench = Bench(limits=NatLimits(endpoint_independent_filtering=True))
    bench.send(make(5000, 99, src=OTHER), client=2)
    (left,) = bench.send(make(5000, 99))
    assert left.sport != 5000
    return bench, left.sport


@pytest.mark.parametrize("make", [tcp, udp])
def test_every_outside_host_comes_in(make: Make) -> None:
    bench, port = opened(make)
    for source, sport, payload in ((STRANGER, 7, b"hello"), (SERVER, 40_008, b"")):
        packet = make(sport, port, src=source, dst=OUTSIDE, payload=payload, ttl=9)
        result = bench.receive(packet)
        assert isinstance(result, tuple)
        client, (inner,) = result
        expected = IP(bytes(packet))
        expected.dst, expected.ttl = CLIENT, 8
        expected[L4[expected.proto]].dport = 5000
        assert client == 1
        assert bytes(inner) == rebuilt(expected)
    assert bench.nat.flows == 2
    unmapped = make(7, port ^ 1, src=STRANGER, dst=OUTSIDE)
    assert bench.receive(unmapped) is DropReason.NAT_NO_MAPPING


@pytest.mark.parametrize(
    "source",
    [OUTSIDE, "10.8.0.3", "10.8.0.1", "127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"],
)
def test_sources_that_nobody_outside_has(source: str) -> None:
    bench, port = opened(udp)
    assert bench.receive(udp(7, port, src=source, dst=OUTSIDE)) is DropReason.NAT_FILTERED


def test_a_broadcast_address_of_the_link_is_no_source() -> None:
    """Of a link other than the clients' network, and not one that its form betrays (RFC 1812 section 5.3.7)."""
    counters = Counters()
    nat = Nat(
        address=parse_ipv4(OUTSIDE),
        reserved_ports=frozenset(),
        limits=NatLimits(endpoint_independent_filtering=True),
        random=bytes,
        counters=counters,
        broadcasts=frozenset({parse_ipv4("10.0.0.127")}),
    )
    assert nat.open_outbound(named(1), bytes(udp(5000)), 0, []) is None
    for source, passes in (("10.0.0.126", True), ("10.0.0.127", False), ("10.0.0.128", True), ("1.255.255.255", True)):
        packet = bytes(udp(7, 5000, src=source, dst=OUTSIDE))
        result = nat.inbound(packet, 0, len(packet), 0, False, 0)
        assert isinstance(result, tuple) if passes else result is DropReason.NAT_FILTERED


def test_other_refusals() -> None:
    bench, port = opened(tcp)
    assert bench.receive(tcp(7, port, src=STRANGER, dst=OUTSIDE, ttl=1)) is DropReason.TTL_EXCEEDED
    short = IP(src=STRANGER, dst=OUTSIDE, proto=6) / Raw(bytes(tcp(7, port))[20:39])
    assert bench.receive(short) is DropReason.NAT_BAD_PACKET
    (left,) = bench.send(echo(0x1205))
    assert bench.receive(echo(left[ICMP].id, kind=0, src=STRANGER, dst=OUTSIDE)) is DropReason.NAT_FILTERED


@pytest.mark.parametrize("open_to_all", [False, True])
@pytest.mark.parametrize("ident", [0x1205, 0x1200, 0x0005])
def test_an_identifier_of_no_mapping_is_told_from_one_that_another_host_answers(ident: int, open_to_all: bool) -> None:
    bench = Bench(limits=NatLimits(endpoint_independent_filtering=open_to_all))
    bench.send(echo(ident))
    for asked in (0x1205, 0x1200, 0x0005, 0x0512):
        reason = DropReason.NAT_FILTERED if asked == ident else DropReason.NAT_NO_MAPPING
        assert bench.receive(echo(asked, kind=0, src=STRANGER, dst=OUTSIDE)) is reason


@pytest.mark.parametrize("open_to_all", [False, True])
def test_an_error_from_inside_about_an_echo_reply_needs_its_flow(open_to_all: bool) -> None:
    """No echo reply comes in without one, whatever the filtering is: there is nothing to complain about."""
    bench = Bench(limits=NatLimits(endpoint_independent_filtering=open_to_all))
    bench.send(echo(0x1205))
    for source, reason in ((STRANGER, DropReason.NAT_NO_MAPPING), (SERVER, None)):
        quoted = echo(0x1205, kind=0, src=source, dst=CLIENT)
        error = IP(src=CLIENT, dst=source) / ICMP(type=3, code=3) / Raw(bytes(quoted))
        assert bench.refuse(error) is reason


@pytest.mark.parametrize("make", [tcp, udp])
def test_an_error_from_inside_about_what_was_not_let_in_stays_inside(make: Make) -> None:
    """With filtering by address and port an error needs a flow to that peer; a mapping is not enough."""
    bench = Bench()
    bench.send(make(5000, 99))
    for source, sport, reason in ((STRANGER, 99, "no"), (SERVER, 98, "no"), (SERVER, 99, None)):
        quoted = make(sport, 5000, src=source, dst=CLIENT)
        error = IP(src=CLIENT, dst=source) / ICMP(type=3, code=3) / Raw(bytes(quoted))
        assert bench.refuse(error) is (DropReason.NAT_NO_MAPPING if reason else None)


def test_the_outside_neither_opens_nor_keeps_anything() -> None:
    bench, port = opened(udp)
    for index in range(200):
        bench.advance(SECOND)
        assert isinstance(bench.receive(udp(1 + index, port, src=STRANGER, dst=OUTSIDE)), tuple)
    assert bench.nat.flows == 2
    bench.advance(UDP_TIMEOUT - 198 * SECOND)
    assert bench.nat.flows == 0
    assert bench.receive(udp(7, port, src=STRANGER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING


def test_a_connection_from_outside_lives_like_any_other() -> None:
    bench, port = opened(tcp)
    bench.receive(tcp(7, port, "S", src=STRANGER, dst=OUTSIDE))
    (left,) = bench.send(tcp(5000, 7, "SA", dst=STRANGER))
    assert left.sport == port
    bench.now += MS
    bench.receive(tcp(7, port, "A", src=STRANGER, dst=OUTSIDE))
    bench.now += MS
    bench.send(tcp(5000, 7, "A", dst=STRANGER, payload=b"x"))
    bench.advance(TCP_TRANSITORY + 2 * SECOND)
    assert bench.nat.flows == 1
    bench.advance(TCP_ESTABLISHED)
    assert bench.nat.flows == 0


def test_an_error_about_an_accepted_packet_goes_out() -> None:
    bench, port = opened(udp)
    _, (arrived,) = bench.accept(udp(40_007, port, src=STRANGER, dst=OUTSIDE, ttl=30))
    error = IP(src=CLIENT, dst=STRANGER, ttl=50) / ICMP(type=3, code=3) / Raw(bytes(arrived))
    (sent,) = bench.send(error)
    quoted = udp(40_007, port, src=STRANGER, dst=OUTSIDE, ttl=29)
    assert bytes(sent) == bytes(IP(src=OUTSIDE, dst=STRANGER, ttl=49) / ICMP(type=3, code=3) / Raw(bytes(quoted)))
    stray = IP(src=CLIENT, dst=STRANGER) / ICMP(type=3, code=3) / Raw(bytes(udp(7, 5999, src=STRANGER, dst=CLIENT)))
    assert bench.refuse(stray) is DropReason.NAT_NO_MAPPING
    assert bench.refuse(error, client=3) is DropReason.NAT_NO_MAPPING


def test_hairpin_needs_no_answer_either() -> None:
    bench, port = opened(udp)
    result = bench.hairpin(2, bytes(udp(5000, port, src=OTHER, dst=OUTSIDE, payload=b"hi")))
    assert isinstance(result, tuple)
    arrived = IP(result[1])
    assert (result[0], arrived.src, arrived.sport, arrived.dst, arrived.dport) == (1, OUTSIDE, 5000, CLIENT, 5000)
    assert bytes(arrived) == rebuilt(arrived)
    complaint = IP(src=CLIENT, dst=OUTSIDE) / ICMP(type=3, code=3) / Raw(bytes(arrived))
    back = bench.hairpin(1, bytes(complaint))
    assert isinstance(back, tuple)
    assert (back[0], IP(back[1]).dst) == (2, OTHER)
    quoted = IP(back[1][28:])
    assert (quoted.src, quoted.sport, quoted.dst, quoted.dport) == (OTHER, 5000, OUTSIDE, port)


@pytest.mark.parametrize("make", [tcp, udp])
def test_an_error_about_what_was_never_sent_stays_outside(make: Make) -> None:
    """Any host may send to a mapped port, but an error has to be about a packet that a flow of ours has sent."""
    bench, port = opened(make)
    quoted = make(port, 7, src=OUTSIDE, dst=STRANGER)
    error = IP(src=STRANGER, dst=OUTSIDE) / ICMP(type=3, code=3) / Raw(bytes(quoted))
    assert bench.receive_error(error) is DropReason.NAT_NO_MAPPING
    came = make(7, port, src=STRANGER, dst=OUTSIDE)
    assert isinstance(bench.receive(came), tuple)  # what is let in does not change that: nothing was answered
    assert bench.receive_error(error) is DropReason.NAT_NO_MAPPING
    bench.send(make(5000, 7, dst=STRANGER))
    assert isinstance(bench.receive_error(error), tuple)
