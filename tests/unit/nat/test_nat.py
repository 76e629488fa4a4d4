"""The NAT through its contract: mapping, filtering, both directions, refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.packet import Packet, Raw
from tests.unit.nat.nat_packets import (
    CLIENT,
    OTHER,
    OUTSIDE,
    SERVER,
    STRANGER,
    VPN_PORT,
    Bench,
    Make,
    echo,
    named,
    rebuilt,
    tcp,
    udp,
)

from hognose.address import parse_ipv4
from hognose.drops import DropReason, Stat
from hognose.limits import NatLimits
from hognose.link import Outgoing
from hognose.nat.flow_timeouts import EXPIRE_BATCH
from hognose.units import SECOND
from hognose.wire.checksum import pseudo_sum

OPTIONS = [IPOption_RR(routers=["0.0.0.0"])]
L4 = {6: TCP, 17: UDP}


@given(
    st.sampled_from((tcp, udp)),
    st.integers(0, 65535),
    st.integers(0, 65535),
    st.binary(max_size=60),
    st.integers(2, 255),
    st.integers(0, 255),
    st.integers(0, 65535),
    st.sampled_from(("DF", 0)),
    st.sampled_from((None, OPTIONS)),
)
def test_out_and_back_is_the_identity(
    make: Make, sport: int, dport: int, payload: bytes, ttl: int, tos: int, ident: int, flags: object, ip: object
) -> None:
    bench = Bench()
    extra = {"options": ip} if ip and make is udp else {}
    name = "ipflags" if make is tcp else "flags"
    idname = "ident" if make is tcp else "id"
    packet = make(sport=sport, dport=dport, payload=payload, ttl=ttl, tos=tos, **{name: flags, idname: ident}, **extra)
    (left,) = bench.send(packet)
    l4 = L4[left.proto]
    assert bytes(left) == rebuilt(left)
    assert (left.src, left.dst, left.ttl, left.tos, left.id) == (OUTSIDE, SERVER, ttl - 1, tos, ident)
    assert left.flags == IP(bytes(packet)).flags
    # The hot path gives the same as the slow one did.
    assert bytes(bench.send(packet)[0]) == bytes(left)

    back = IP(bytes(left))
    back.ttl, back.src, back.dst = ttl, left.dst, left.src
    back[l4].sport, back[l4].dport = left[l4].dport, left[l4].sport
    result = bench.receive(rebuilt(back))
    assert isinstance(result, tuple)
    client, (inner,) = result
    assert client == 1
    expected = IP(bytes(packet))
    expected.src, expected.dst, expected.ttl = SERVER, CLIENT, ttl - 1
    expected[l4].sport, expected[l4].dport = dport, sport
    assert bytes(inner) == rebuilt(expected)


@given(st.integers(0, 65535), st.binary(max_size=40), st.integers(2, 255))
def test_echo_out_and_back(ident: int, payload: bytes, ttl: int) -> None:
    bench = Bench()
    bench.send(echo(ident, src=OTHER), client=2)  # takes the identifier
    (left,) = bench.send(echo(ident, payload=payload, ttl=ttl))
    assert bytes(left) == rebuilt(left)
    assert (left.src, left.ttl) == (OUTSIDE, ttl - 1)
    assert left[ICMP].id != ident
    result = bench.receive(echo(left[ICMP].id, kind=0, src=SERVER, dst=OUTSIDE, payload=payload))
    assert isinstance(result, tuple)
    client, (inner,) = result
    assert client == 1
    assert bytes(inner) == bytes(echo(ident, kind=0, src=SERVER, dst=CLIENT, payload=payload, ttl=63))


def test_an_all_zero_echo_reply_stays_valid() -> None:
    bench = Bench()
    bench.send(echo(0, src=OTHER), client=2)
    zeros = IP(src=CLIENT, dst=SERVER) / ICMP(type=8, id=0, seq=0) / Raw(bytes(8))
    (left,) = bench.send(zeros)
    reply = IP(src=SERVER, dst=OUTSIDE) / ICMP(type=0, id=left[ICMP].id, seq=0) / Raw(bytes(8))
    result = bench.receive(reply)
    assert isinstance(result, tuple)
    assert bytes(result[1][0])[20:] == b"\0\0\xff\xff" + bytes(12)


def test_mapping_is_endpoint_independent() -> None:
    bench = Bench()
    bench.send(udp(5000, src=OTHER), client=2)  # so that 5000 is not preserved
    ports = {bench.send(udp(5000, dport, dst=dst))[0].sport for dport in (53, 123) for dst in (SERVER, STRANGER)}
    assert len(ports) == 1
    assert ports != {5000}


@pytest.mark.parametrize("make", [udp, tcp])
def test_filtering_is_address_and_port_dependent(make: Make) -> None:
    bench = Bench()
    (left,) = bench.send(make(5000, 80))
    port = left.sport
    assert isinstance(bench.receive(make(80, port, src=SERVER, dst=OUTSIDE)), tuple)
    assert bench.receive(make(81, port, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_FILTERED
    assert bench.receive(make(80, port, src=STRANGER, dst=OUTSIDE)) is DropReason.NAT_FILTERED
    unmapped = make(80, port ^ 1, src=SERVER, dst=OUTSIDE)
    assert bench.receive(unmapped) is DropReason.NAT_NO_MAPPING


def test_protocols_do_not_share_mappings() -> None:
    bench = Bench()
    bench.send(udp(5000, 80))
    assert bench.receive(tcp(80, 5000, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING
    assert bench.receive(echo(5000, kind=0, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING


def test_echo_is_filtered_too() -> None:
    bench = Bench()
    (left,) = bench.send(echo(5))
    assert bench.receive(echo(left[ICMP].id, kind=0, src=STRANGER, dst=OUTSIDE)) is DropReason.NAT_FILTERED
    assert bench.receive(echo(left[ICMP].id, kind=8, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING
    assert bench.receive(echo(left[ICMP].id, kind=13, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING


def test_clients_have_their_own_flows() -> None:
    bench = Bench()
    (one,) = bench.send(udp(5000))
    (two,) = bench.send(udp(5000, src=OTHER), client=2)
    assert one.sport != two.sport
    assert bench.accept(udp(3478, one.sport, src=SERVER, dst=OUTSIDE))[0] == 1
    client, (inner,) = bench.accept(udp(3478, two.sport, src=SERVER, dst=OUTSIDE))
    assert (client, inner.dst, inner.dport) == (2, OTHER, 5000)
    # A packet of another client's flow is no flow of this one: the caller checks its source.
    assert bench.hot(udp(5000, src=OTHER))[1] == [bytes(udp(5000, src=OTHER))]
    assert bench.nat.flows == 2
    bench.forget(2)
    assert bench.nat.flows == 1


def test_the_listening_port_is_never_given_away() -> None:
    bench = Bench()
    assert bench.send(tcp(VPN_PORT, flags="S"))[0].sport != VPN_PORT
    assert bench.send(udp(VPN_PORT))[0].sport == VPN_PORT  # reserved for TCP only


@pytest.mark.parametrize("make", [udp, tcp, echo])
def test_ttl_ends_here(make: Make) -> None:
    bench = Bench()
    assert bench.refuse(make(ttl=1)) is DropReason.TTL_EXCEEDED
    assert bench.refuse(make(ttl=0)) is DropReason.TTL_EXCEEDED
    assert bench.nat.flows == 0
    (left,) = bench.send(make())
    if make is echo:
        back = echo(left[ICMP].id, kind=0, src=SERVER, dst=OUTSIDE, ttl=1)
    else:
        back = make(left.dport, left.sport, src=SERVER, dst=OUTSIDE, ttl=1)
    assert bench.receive(back) is DropReason.TTL_EXCEEDED
    expired = bytes(make(ttl=1))
    assert bench.hot(expired) == ([], [expired])


def test_udp_without_checksum_stays_without() -> None:
    bench = Bench()
    packet = udp()
    packet[UDP].chksum = 0
    for _ in range(2):  # slow, hot
        (left,) = bench.send(packet)
        assert left[UDP].chksum == 0
    back = udp(3478, left.sport, src=SERVER, dst=OUTSIDE)
    back[UDP].chksum = 0
    assert bench.accept(back)[1][0][UDP].chksum == 0


def test_udp_never_turns_into_without_checksum() -> None:
    bench = Bench()
    for _ in range(2):  # slow, hot
        # the payload word that makes the translated sum zero: the field is 0xffff
        word = IP(bytes(udp(5000, payload=b"\0\0", src=OUTSIDE)))[UDP].chksum
        (left,) = bench.send(udp(5000, payload=word.to_bytes(2, "big")))
        assert left[UDP].chksum == 0xFFFF
        assert bytes(left) == rebuilt(left)


@pytest.mark.parametrize("options", [[], OPTIONS])
def test_completed_udp_is_never_without_checksum(options: object) -> None:
    bench = Bench()
    bench.send(udp(5000))
    word = IP(bytes(udp(3478, 5000, payload=b"\0\0", src=SERVER, dst=CLIENT)))[UDP].chksum
    back = IP(bytes(udp(3478, 5000, payload=word.to_bytes(2, "big"), src=SERVER, dst=OUTSIDE, options=options)))
    back[UDP].chksum = pseudo_sum(parse_ipv4(SERVER), parse_ipv4(OUTSIDE), 17, 10)
    _, (inner,) = bench.accept(back, partial=True)
    assert inner[UDP].chksum == 0xFFFF
    assert bytes(inner) == rebuilt(inner)


@given(st.sampled_from((tcp, udp)), st.integers(1, 0xFFFE))
def test_bad_checksum_stays_bad_by_the_same_amount(make: Make, error: int) -> None:
    bench = Bench()

    def corrupt(packet: IP) -> IP:
        whole = IP(bytes(packet))
        l4 = L4[whole.proto]
        whole[l4].chksum = (whole[l4].chksum + error) % 0xFFFF or 0xFFFF
        return whole

    def error_of(packet: IP) -> int:
        l4 = L4[packet.proto]
        return (packet[l4].chksum - IP(rebuilt(packet))[l4].chksum) % 0xFFFF

    packet = corrupt(make(payload=b"payload"))
    for _ in range(2):  # slow, hot
        (left,) = bench.send(packet)
        assert error_of(left) == error
    back = corrupt(make(left.dport, left.sport, src=SERVER, dst=OUTSIDE))
    assert error_of(bench.accept(back)[1][0]) == error


@pytest.mark.parametrize("options", [[], OPTIONS])
def test_partial_checksum_of_a_received_packet_is_completed(options: list[object]) -> None:
    bench = Bench()
    for make in (udp, tcp):
        (left,) = bench.send(make())
        l4 = L4[left.proto]
        back = make(left.dport, left.sport, src=SERVER, dst=OUTSIDE, payload=b"answer")
        back.options = options
        back = IP(bytes(back))
        back[l4].chksum = pseudo_sum(parse_ipv4(SERVER), parse_ipv4(OUTSIDE), back.proto, len(bytes(back[l4])))
        _, (inner,) = bench.accept(back, partial=True)
        assert bytes(inner) == rebuilt(inner)
        assert inner.dst == CLIENT


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (bytes(udp())[:19], DropReason.BAD_IP_HEADER),
        (udp(flags="MF"), DropReason.NAT_BAD_PACKET),
        (udp(frag=4), DropReason.NAT_BAD_PACKET),
        (udp(dst=OUTSIDE), DropReason.NO_ROUTE),
        (IP(src=CLIENT, dst=SERVER, proto=17) / Raw(b"1234567"), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=SERVER, proto=6) / Raw(b"1" * 19), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=SERVER) / TCP(dataofs=4), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=SERVER) / TCP(dataofs=6), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=SERVER) / UDP(len=9), DropReason.NAT_BAD_PACKET),
        (IP(src=CLIENT, dst=SERVER, proto=1) / Raw(b"\x08\0\0\0\0\0\0"), DropReason.BAD_ICMP),
        (IP(src=CLIENT, dst=SERVER, proto=1), DropReason.BAD_ICMP),
        (IP(src=CLIENT, dst=SERVER, proto=47) / Raw(b"gre"), DropReason.UNKNOWN_PROTOCOL),
    ],
)
def test_what_cannot_be_opened(packet: Packet | bytes, reason: DropReason) -> None:
    bench = Bench()
    assert bench.refuse(packet) is reason
    assert bench.nat.flows == 0
    assert bench.nat.next_deadline() is None


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (IP(src=SERVER, dst=OUTSIDE, proto=47) / Raw(b"x" * 20), DropReason.UNKNOWN_PROTOCOL),
        (IP(src=SERVER, dst=OUTSIDE, proto=47) / Raw(b"x"), DropReason.UNKNOWN_PROTOCOL),
        (IP(src=SERVER, dst=OUTSIDE, proto=17) / Raw(b"x" * 7), DropReason.NAT_BAD_PACKET),
        (IP(src=SERVER, dst=OUTSIDE, proto=1) / Raw(b"\0" * 7), DropReason.NAT_BAD_PACKET),
        (IP(src=SERVER, dst=OUTSIDE, proto=6) / Raw(bytes(tcp(80, 5000))[20:39]), DropReason.NAT_BAD_PACKET),
    ],
)
def test_what_cannot_come_in(packet: IP, reason: DropReason) -> None:
    bench = Bench()
    bench.send(tcp(5000, 80))
    assert bench.receive(packet) is reason


def test_options_of_a_received_packet_are_kept() -> None:
    bench = Bench()
    for make in (tcp, udp):
        (left,) = bench.send(make())
        back = make(left.dport, left.sport, src=SERVER, dst=OUTSIDE)
        back[IP].options = OPTIONS
        _, (inner,) = bench.accept(back)
        assert inner.ihl > 5
        assert bytes(inner) == rebuilt(inner)
        assert (inner.dst, inner.dport) == (CLIENT, 5000)


def test_bounds_refuse_new_flows_and_keep_the_live_ones() -> None:
    bench = Bench(limits=NatLimits(flows=5, flows_per_client=3))
    for sport in (1001, 1002, 1003):
        bench.send(udp(sport))
    assert bench.refuse(udp(1004)) is DropReason.NAT_CLIENT_FULL
    assert bench.refuse(udp(1001, 99)) is DropReason.NAT_CLIENT_FULL
    bench.send(udp(2001, src=OTHER), client=2)
    assert bench.refuse(udp(2002, src=OTHER), client=2) is DropReason.NAT_CLIENT_FULL  # as many as are free
    bench.send(udp(2003, src="10.8.0.4"), client=3)
    assert bench.refuse(udp(2003, src="10.8.0.5"), client=4) is DropReason.NAT_TABLE_FULL
    for sport in (1001, 1002, 1003):
        assert isinstance(bench.receive(udp(3478, sport, src=SERVER, dst=OUTSIDE)), tuple)
        bench.send(udp(sport))
    assert bench.nat.flows == 5
    bench.forget(4)
    assert bench.nat.flows == 5  # client 4 has none


def test_forget_ends_every_flow_of_the_client_only() -> None:
    bench = Bench()
    bench.send(udp(5000), tcp(5001, flags="S"), echo(5))
    bench.send(udp(6000, src=OTHER), client=2)
    bench.forget(1)
    bench.forget(1)
    assert bench.nat.flows == 1
    assert bench.receive(udp(3478, 5000, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING
    assert isinstance(bench.receive(udp(3478, 6000, src=SERVER, dst=OUTSIDE)), tuple)
    bench.advance(301 * SECOND)
    assert bench.nat.flows == 0
    stats = bench.counters.stats
    assert stats[Stat.NAT_FLOWS_OPENED] == 4
    assert (stats[Stat.NAT_FLOWS_FORGOTTEN], stats[Stat.NAT_FLOWS_EXPIRED]) == (3, 1)


@pytest.mark.stress
@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 6), st.integers(1, 3), st.sampled_from((6, 17, 1))), max_size=60
    )
)
def test_two_inside_endpoints_never_share_an_outside_port(flows: list[tuple[int, int, int, int]]) -> None:
    bench = Bench()
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    for client, port, peer, protocol in flows:
        src, dst = f"10.8.0.{client}", f"9.9.9.{peer}"
        if protocol == 1:
            (left,) = bench.send(echo(port, src=src, dst=dst), client=client)
            outside = left[ICMP].id
        else:
            make = udp if protocol == 17 else tcp
            (left,) = bench.send(make(1024 + port, src=src, dst=dst), client=client)
            outside = left.sport
        assert seen.setdefault((protocol, outside), (client, port)) == (client, port)


@given(st.binary(min_size=20, max_size=90), st.booleans())
def test_garbage_gives_reasons_only(data: bytes, error: bool) -> None:
    bench = Bench()
    bench.send(udp(5000), tcp(5001), echo(5))
    header = b"\x45" + data[1:8] + b"\x09" + bytes([(1, 6, 17, 99)[data[9] & 3]]) + data[10:16]
    address = bytes([10, 0, 0, 2])
    packet = header + address + data[20:]
    result = bench.receive_error(packet) if error and len(packet) > 20 else bench.receive(packet)
    assert isinstance(result, DropReason)
    out: list[Outgoing] = []
    reason = bench.nat.open_outbound(named(1), data, bench.now, out)
    assert isinstance(reason, DropReason) or out
    assert bench.hot(data) == ([], [data])


def test_flows_to_a_port_of_an_address_end_and_no_others() -> None:
    bench = Bench()
    for make in (udp, tcp):
        bench.send(make(5000, 53), make(5001, 53), make(5000, 80), make(5000, 53, dst=STRANGER))
        bench.send(make(5000, 53, src=OTHER), client=2)
    bench.send(echo(53))
    assert bench.nat.flows == 11
    bench.nat.end_flows_to(frozenset((parse_ipv4(SERVER), parse_ipv4("8.8.8.8"))), 53)
    assert bench.nat.next_deadline() == 0
    bench.nat.handle_deadline(bench.now)
    assert (bench.nat.next_deadline() or 0) > bench.now
    assert (bench.nat.flows, bench.counters.stats[Stat.NAT_FLOWS_FORGOTTEN]) == (5, 6)
    bench.advance(100_000 * SECOND)
    assert bench.nat.flows == 0


def test_many_flows_end_in_bounded_steps_and_those_that_ended_meanwhile_are_no_matter() -> None:
    bench = Bench()
    for port in range(600):
        bench.send(udp(5000 + port, 53))
    bench.nat.end_flows_to(frozenset((parse_ipv4(SERVER),)), 53)
    bench.nat.handle_deadline(bench.now)
    assert bench.nat.flows == 600 - EXPIRE_BATCH
    bench.forget(1)
    bench.send(udp(5000, 53))  # opened after the call: it is not one of them
    while bench.nat.next_deadline() == 0:
        bench.nat.handle_deadline(bench.now)
    assert (bench.nat.flows, bench.counters.stats[Stat.NAT_FLOWS_FORGOTTEN]) == (1, 600)
