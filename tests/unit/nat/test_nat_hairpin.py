"""Hairpinning: clients meet at our outside address (RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.packet import Packet, Raw
from tests.unit.nat.nat_packets import CLIENT, OTHER, OUTSIDE, SERVER, VPN_PORT, Bench, Make, echo, rebuilt, tcp, udp

from hognose.drops import DropReason
from hognose.limits import NatLimits
from hognose.nat.flow_timeouts import TCP_TRANSITORY, UDP_TIMEOUT
from hognose.units import SECOND

L4 = {6: TCP, 17: UDP}


def hairpin(bench: Bench, packet: IP, client: int) -> tuple[int, IP] | DropReason:
    result = bench.hairpin(client, bytes(packet))
    return result if isinstance(result, DropReason) else (result[0], IP(result[1]))


def hairpinned(bench: Bench, packet: IP, client: int) -> tuple[int, IP]:
    """`hairpin` of what comes through."""
    result = hairpin(bench, packet, client)
    assert isinstance(result, tuple), result
    return result


def met(make: Make) -> tuple[Bench, int, int]:
    """Both clients use inside port 5000 and have sent to each other's outside port; the bench and these ports."""
    bench = Bench()
    (one,) = bench.send(make(5000, 99))
    (two,) = bench.send(make(5000, 99, src=OTHER), client=2)
    assert one.sport != two.sport
    assert hairpin(bench, make(5000, two.sport, dst=OUTSIDE), 1) is DropReason.NAT_FILTERED
    return bench, one.sport, two.sport


@settings(max_examples=30)
@given(
    st.sampled_from((tcp, udp)),
    st.binary(max_size=60),
    st.integers(2, 255),
    st.integers(0, 255),
    st.sampled_from((None, [IPOption_RR(routers=["0.0.0.0"])])),
)
def test_both_ways_with_the_external_source(make: Make, payload: bytes, ttl: int, tos: int, options: object) -> None:
    bench, one, two = met(make)
    for _ in range(2):
        for client, source, inside, to, other_inside in ((2, two, OTHER, one, CLIENT), (1, one, CLIENT, two, OTHER)):
            fields = {"options": options} if options and make is udp else {}
            sent = make(5000, to, payload=payload, src=inside, dst=OUTSIDE, ttl=ttl, tos=tos, **fields)
            result = hairpin(bench, sent, client)
            assert isinstance(result, tuple)
            number, inner = result
            assert number == 3 - client
            expected = IP(bytes(sent))
            expected.src, expected.dst, expected.ttl = OUTSIDE, other_inside, ttl - 1
            expected[L4[expected.proto]].sport, expected[L4[expected.proto]].dport = source, 5000
            assert bytes(inner) == rebuilt(expected)


def test_a_bad_checksum_stays_bad() -> None:
    bench, one, two = met(udp)
    packet = IP(bytes(udp(5000, one, src=OTHER, dst=OUTSIDE)))
    packet[UDP].chksum = (packet[UDP].chksum + 7) % 0xFFFF
    _, inner = hairpinned(bench, packet, 2)
    assert (inner[UDP].chksum - IP(rebuilt(inner))[UDP].chksum) % 0xFFFF == 7
    assert two


def test_a_client_meets_itself() -> None:
    bench = Bench()
    for sport, dport in ((5000, 6000), (6000, 5000)):
        bench.send(udp(sport, 99))
        hairpin(bench, udp(sport, dport, dst=OUTSIDE), 1)
    client, inner = hairpinned(bench, udp(5000, 6000, dst=OUTSIDE), 1)
    assert (client, inner.src, inner.sport, inner.dst, inner.dport) == (1, OUTSIDE, 5000, CLIENT, 6000)


def test_tcp_connects_when_both_open() -> None:
    """Simultaneous open through the filter (RFC 5382 REQ-2): the first SYN is lost silently, the second arrives."""
    bench, one, two = met(tcp)
    assert hairpin(bench, tcp(5000, two, "S", dst=OUTSIDE), 1) is DropReason.NAT_FILTERED
    assert isinstance(hairpin(bench, tcp(5000, one, "S", src=OTHER, dst=OUTSIDE), 2), tuple)
    for flags, client in (("SA", 1), ("SA", 2), ("A", 1), ("A", 2)):
        bench.now += SECOND
        source, to = (CLIENT, two) if client == 1 else (OTHER, one)
        assert isinstance(hairpin(bench, tcp(5000, to, flags, src=source, dst=OUTSIDE), client), tuple)
    bench.advance(TCP_TRANSITORY + 5 * SECOND)
    assert bench.nat.flows == 2  # the two of the connection; those to the outside were never answered


def test_a_connection_that_both_sides_close_ends_soon() -> None:
    """Its flows learn the other side's FIN too (RFC 5382 REQ-5: the transitory time-out)."""
    bench, one, two = met(tcp)
    ways = {1: (CLIENT, two), 2: (OTHER, one)}
    for flags, client in (("S", 2), ("SA", 1), ("A", 2), ("A", 1), ("FA", 1), ("A", 2), ("FA", 2), ("A", 1)):
        bench.now += SECOND
        source, to = ways[client]
        hairpinned(bench, tcp(5000, to, flags, src=source, dst=OUTSIDE), client)
    bench.advance(TCP_TRANSITORY - 2 * SECOND)
    assert bench.nat.flows == 2
    bench.advance(4 * SECOND)
    assert bench.nat.flows == 0


@pytest.mark.parametrize("first", [1, 2])
@pytest.mark.parametrize("flags", ["FA", "R"])
def test_a_connection_of_hours_ends_within_minutes(flags: str, first: int) -> None:
    """Each packet belongs to the flows of both clients, and brings forward the times of both."""
    bench, one, two = met(tcp)
    ways = {1: (CLIENT, two), 2: (OTHER, one)}

    def sent(client: int, said: str) -> None:
        bench.now += SECOND // 100
        source, to = ways[client]
        hairpinned(bench, tcp(5000, to, said, seq=9, src=source, dst=OUTSIDE), client)  # what the other one expects

    for said, client in (("S", 2), ("SA", 1), ("A", 2), ("A", 1), ("A", 2)):
        sent(client, said)
    bench.advance(3600 * SECOND)
    assert bench.nat.flows == 2
    sent(first, flags)
    if flags == "FA":
        bench.advance(300 * SECOND)
        assert bench.nat.flows == 2  # half closed
        sent(3 - first, flags)
    bench.advance(239 * SECOND)
    assert bench.nat.flows == 2
    bench.advance(3 * SECOND)
    assert bench.nat.flows == 0


def test_what_is_sent_keeps_the_flow_of_the_sender_alone() -> None:
    bench, one, two = met(udp)
    hairpinned(bench, udp(5000, one, src=OTHER, dst=OUTSIDE), 2)
    for _ in range(4):  # the flows to the outside keep the mappings
        bench.advance(200 * SECOND)
        bench.send(udp(5000, 99))
        bench.send(udp(5000, 99, src=OTHER), client=2)
        hairpin(bench, udp(5000, two, dst=OUTSIDE), 1)
    assert bench.nat.flows == 3
    assert hairpin(bench, udp(5000, two, dst=OUTSIDE), 1) is DropReason.NAT_FILTERED
    assert isinstance(hairpin(bench, udp(5000, one, src=OTHER, dst=OUTSIDE), 2), tuple)


def test_nothing_of_the_link_matches_a_hairpin_flow() -> None:
    """A stranger that sends with our own address as source is filtered (RFC 1812 section 5.3.8)."""
    bench, one, two = met(udp)
    assert isinstance(hairpin(bench, udp(5000, one, src=OTHER, dst=OUTSIDE), 2), tuple)
    assert bench.receive(udp(two, one, src=OUTSIDE, dst=OUTSIDE)) is DropReason.NAT_FILTERED


@pytest.mark.parametrize("make", [tcp, udp])
def test_ports_that_are_nobodys_open_nothing(make: Make) -> None:
    bench = Bench()
    for port in (1, 40_000):
        assert hairpin(bench, make(5000, port, dst=OUTSIDE), 1) is DropReason.NAT_NO_MAPPING
    reserved = DropReason.DESTINATION_PROHIBITED if make is tcp else DropReason.NAT_NO_MAPPING
    assert hairpin(bench, make(5000, VPN_PORT, dst=OUTSIDE), 1) is reserved
    assert bench.nat.flows == 0


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (udp(dst=OUTSIDE, ttl=1), DropReason.TTL_EXCEEDED),
        (udp(dst=OUTSIDE, flags="MF"), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=OUTSIDE, proto=17) / Raw(b"1234567"), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=OUTSIDE, proto=6) / Raw(b"1" * 19), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=OUTSIDE, proto=47) / Raw(b"gre"), DropReason.UNKNOWN_PROTOCOL),
        (echo(dst=OUTSIDE, kind=0), DropReason.NAT_NO_MAPPING),
        (IP(src=CLIENT, dst=OUTSIDE, proto=1), DropReason.BAD_ICMP),
    ],
)
def test_refused(packet: IP, reason: DropReason) -> None:
    bench = Bench()
    assert hairpin(bench, packet, 1) is reason
    assert bench.nat.flows == 0
    truncated = bytes(packet)[:19]
    assert bench.hairpin(1, truncated) is DropReason.BAD_IP_HEADER


def test_bounds_hold_here_too() -> None:
    bench = Bench(limits=NatLimits(flows_per_client=1))
    bench.send(udp(5000, 99))
    bench.send(udp(6000, 99, src=OTHER), client=2)
    assert hairpin(bench, udp(5000, 6000, dst=OUTSIDE), 1) is DropReason.NAT_CLIENT_FULL


def test_flows_end_by_time_and_with_the_client() -> None:
    bench, one, two = met(udp)
    hairpin(bench, udp(5000, one, src=OTHER, dst=OUTSIDE), 2)
    assert bench.nat.flows == 4
    bench.forget(2)
    assert bench.nat.flows == 2
    assert hairpin(bench, udp(5000, two, dst=OUTSIDE), 1) is DropReason.NAT_NO_MAPPING
    bench.advance(UDP_TIMEOUT + 5 * SECOND)
    assert bench.nat.flows == 0
    assert bench.nat.next_deadline() is None


def complaint(quoted: Packet, src: str, kind: int = 3, code: int = 3, ttl: int = 50) -> IP:
    return IP(src=src, dst=OUTSIDE, ttl=ttl) / ICMP(type=kind, code=code) / Raw(bytes(quoted))


@pytest.mark.parametrize("make", [tcp, udp])
@pytest.mark.parametrize(("kind", "code"), [(3, 3), (3, 4), (11, 1)])
def test_errors_come_back(make: Make, kind: int, code: int) -> None:
    bench, one, two = met(make)
    sent = make(5000, one, payload=b"hello", src=OTHER, dst=OUTSIDE)
    _, arrived = hairpinned(bench, sent, 2)
    result = hairpin(bench, complaint(arrived, CLIENT, kind, code), 1)
    assert isinstance(result, tuple)
    client, error = result
    quoted = IP(bytes(sent))
    quoted.ttl -= 1
    expected = IP(src=OUTSIDE, dst=OTHER, ttl=49) / ICMP(type=kind, code=code) / Raw(rebuilt(quoted))
    assert client == 2
    assert bytes(error) == bytes(expected)
    assert two


def test_errors_about_nothing_are_refused() -> None:
    bench, one, two = met(udp)
    forged = udp(two, 5000, src=OUTSIDE, dst=CLIENT)  # never sent by the other side, but its flow is not there yet
    assert hairpin(bench, complaint(forged, CLIENT), 1) is DropReason.NAT_NO_MAPPING
    assert hairpin(bench, complaint(udp(99, 5000, src=SERVER, dst=CLIENT), CLIENT), 1) is DropReason.NAT_NO_MAPPING
    assert hairpin(bench, complaint(echo(5, src=OUTSIDE, dst=CLIENT), CLIENT), 1) is DropReason.NAT_NO_MAPPING
    assert hairpin(bench, complaint(forged, "10.8.0.9"), 9) is DropReason.NAT_NO_MAPPING
    assert hairpin(bench, complaint(Raw(b"short"), CLIENT), 1) is DropReason.BAD_ICMP
    assert one


@given(st.binary(min_size=20, max_size=90))
def test_garbage_gives_reasons_only(data: bytes) -> None:
    bench, _, _ = met(udp)
    header = IP(src=CLIENT, dst=OUTSIDE, proto=(1, 6, 17, 99)[data[0] & 3], len=20 + len(data))
    result = hairpin(bench, header / Raw(data), 1)
    assert isinstance(result, (DropReason, tuple))
    assert isinstance(bench.hairpin(1, data), (DropReason, tuple))
