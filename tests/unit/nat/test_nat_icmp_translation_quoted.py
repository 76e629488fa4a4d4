"""Lengths of what an ICMP error quotes, and the checksums in it (RFC 792, RFC 1812 section 4.3.2.3, RFC 5508)."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.packet import Packet, Raw
from tests.unit.nat.nat_packets import CLIENT, OTHER, OUTSIDE, SERVER, Bench, Make, echo, rebuilt, tcp, udp

from hognose.drops import DropReason

ROUTER = "9.9.9.9"
OPTIONS = [IPOption_RR(routers=["0.0.0.0"])]  # 8 bytes with their padding


def error(quoted: Packet | bytes, kind: int = 3, code: int = 1) -> IP:
    return IP(src=ROUTER, dst=OUTSIDE, ttl=50) / ICMP(type=kind, code=code) / Raw(bytes(quoted))


def crowded() -> Bench:
    """Port and identifier 5000 are taken by the other client, so that ours are translated."""
    bench = Bench()
    bench.send(udp(5000, src=OTHER), tcp(5000, src=OTHER), echo(5000, src=OTHER), client=2)
    return bench


@pytest.mark.parametrize("options", [[], OPTIONS])
@pytest.mark.parametrize("make", [udp, tcp, echo])
def test_any_length_from_eight_bytes_on(make: Make, options: object) -> None:
    """Each byte that is quoted is the one that the client sent, with its TTL taken down; less than 8 are refused."""
    bench = crowded()
    packet = make(5000, payload=b"0123456789")
    packet[IP].options = options
    (left,) = bench.send(packet)
    whole = bytes(left)
    sent = IP(bytes(packet))
    sent.ttl -= 1
    expected = rebuilt(sent)
    header_len = left.ihl * 4
    for length in range(20, header_len + 8):
        assert bench.receive_error(error(whole[:length])) is DropReason.BAD_ICMP
    # A checksum of which one byte is quoted cannot be changed.
    checksum_at = header_len + {6: 16, 17: 6, 1: 2}[left.proto]
    for length in range(header_len + 8, len(whole) + 1):
        client, inner = bench.accept_error(error(whole[:length]))
        quoted = bytearray(expected[:length])
        if length == checksum_at + 1:
            quoted[checksum_at] = whole[checksum_at]
        assert client == 1
        assert bytes(inner)[28:] == quoted
        assert rebuilt(inner)[:28] == bytes(inner)[:28]


def summed(make: Make, wanted: int, **fields: object) -> IP:
    """A packet with payload words by which its right checksum is `wanted`."""
    packet = make(5000, payload=b"\0\0\0\1", **fields)
    layer = TCP if packet.proto == 6 else UDP if packet.proto == 17 else ICMP
    there = IP(bytes(packet))[layer].chksum
    word = (there - wanted) % 0xFFFF
    packet[Raw].load = word.to_bytes(2, "big") + b"\0\1"
    return packet


@pytest.mark.parametrize("wanted", [0, 1, 0xFFFE])
@pytest.mark.parametrize("make", [udp, tcp, echo])
def test_a_quoted_checksum_is_that_of_the_packet_as_it_was_sent(make: Make, wanted: int) -> None:
    """Also where it is zero, which UDP writes as 0xffff (RFC 768)."""
    bench = crowded()
    packet = summed(make, wanted)
    (left,) = bench.send(packet)
    sent = IP(bytes(packet))
    sent.ttl -= 1
    _, inner = bench.accept_error(error(left))
    assert bytes(inner)[28:] == rebuilt(sent)
    layer = TCP if sent.proto == 6 else UDP if sent.proto == 17 else ICMP
    assert IP(rebuilt(sent))[layer].chksum == (wanted or (0xFFFF if layer is UDP else 0))


@pytest.mark.parametrize("wanted", [0, 1, 0xFFFE])
def test_a_checksum_that_becomes_zero_in_an_echo_reply(wanted: int) -> None:
    """Zero is right for a message that is not all zero; 0xffff would be the checksum of no message (RFC 1071)."""
    bench = crowded()
    (left,) = bench.send(echo(5000))
    reply = summed(echo, wanted, kind=0, src=SERVER, dst=CLIENT, ttl=63)
    assert IP(bytes(reply))[ICMP].chksum == wanted
    came = IP(bytes(reply))
    came.dst, came.ttl, came[ICMP].id = OUTSIDE, 64, left[ICMP].id
    _, (inner,) = bench.accept(rebuilt(came))
    assert bytes(inner) == bytes(reply)


@pytest.mark.parametrize("kind", [0, 3, 8, 13, 15, 17])
def test_an_error_is_about_an_echo_and_no_other_message(kind: int) -> None:
    """Of the message types those with the identifier of a flow at the same place are told apart by the type."""
    bench = Bench()
    (left,) = bench.send(echo(5000))
    quoted = IP(bytes(left))
    quoted[ICMP].type = kind
    result = bench.receive_error(error(rebuilt(quoted)))
    assert isinstance(result, tuple) if kind in (0, 8) else result is DropReason.NAT_NO_MAPPING


@pytest.mark.parametrize("flags", [0, "DF", "MF", "evil"])
def test_flags_of_the_quoted_header_say_nothing(flags: object) -> None:
    bench = Bench()
    (left,) = bench.send(udp(5000))
    left.flags = flags
    for fragment, taken in ((0, True), (1, False), (0x1000, False), (0x1FFF, False)):
        left.frag = fragment
        result = bench.receive_error(error(rebuilt(left)))
        assert isinstance(result, tuple) if taken else result is DropReason.NAT_NO_MAPPING
