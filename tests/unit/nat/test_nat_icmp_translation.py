"""ICMP errors in both directions (RFC 5508): golden packets by scapy."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR
from scapy.packet import Raw
from tests.unit.nat.nat_packets import CLIENT, OTHER, OUTSIDE, SERVER, STRANGER, Bench, echo, rebuilt, tcp, udp

from hognose.drops import DropReason
from hognose.units import SECOND

ROUTER = "9.9.9.9"
INNER_ROUTER = "10.8.0.2"


def error(quoted: IP | bytes, src: str = ROUTER, dst: str = OUTSIDE, kind: int = 3, code: int = 1, **ip: Any) -> IP:
    return (
        IP(**{"src": src, "dst": dst, "ttl": 50, **ip})
        / ICMP(type=kind, code=code, nexthopmtu=1400)
        / Raw(bytes(quoted))
    )


def crowded() -> Bench:
    """Port and identifier 5000 are taken by the other client, so that ours are translated."""
    bench = Bench()
    bench.send(udp(5000, src=OTHER), tcp(5000, src=OTHER), echo(5000, src=OTHER), client=2)
    return bench


PACKETS = {
    "udp": udp(5000, payload=b"hello"),
    "tcp": tcp(5000, payload=b"hello", flags="S"),
    "echo": echo(5000),
    "udp without checksum": udp(5000) / Raw(b""),
    "quoted options": udp(5000, options=[IPOption_RR(routers=["0.0.0.0"])]),
}
PACKETS["udp without checksum"][UDP].chksum = 0


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS)
@pytest.mark.parametrize(("kind", "code"), [(3, 1), (3, 4), (11, 0), (12, 0)])
def test_inward(packet: IP, kind: int, code: int) -> None:
    bench = crowded()
    (left,) = bench.send(packet)
    result = bench.receive_error(error(left, kind=kind, code=code))
    assert isinstance(result, tuple)
    client, inner = result
    assert client == 1
    quoted = IP(bytes(packet))
    quoted.ttl -= 1  # as it left us
    quoted = IP(rebuilt(quoted)) if quoted.proto != 17 or quoted[UDP].chksum else rebuilt_header(quoted)
    expected = error(quoted, dst=CLIENT, kind=kind, code=code, ttl=49)
    assert bytes(inner) == bytes(expected)


def rebuilt_header(packet: IP) -> IP:
    packet = IP(bytes(packet))
    del packet.chksum
    return IP(bytes(packet))


@pytest.mark.parametrize("packet", [udp(5000), tcp(5000, flags="S"), echo(5000)])
def test_inward_with_only_eight_bytes_quoted(packet: IP) -> None:
    bench = crowded()
    (left,) = bench.send(packet)
    _, inner = bench.accept_error(error(bytes(left)[:28]))
    quoted = IP(bytes(packet))
    quoted.ttl -= 1
    assert bytes(inner)[28:] == rebuilt(quoted)[:28]
    assert rebuilt(inner)[:24] == bytes(inner)[:24]


def test_outward() -> None:
    bench = crowded()
    (left,) = bench.send(udp(5000, 3478))
    arrived = bench.accept(udp(3478, left.sport, src=SERVER, dst=OUTSIDE, ttl=30))[1][0]
    complaint = error(arrived, src=CLIENT, dst=SERVER, code=3)
    (sent,) = bench.send(complaint)
    quoted = udp(3478, left.sport, src=SERVER, dst=OUTSIDE, ttl=29)
    assert bytes(sent) == bytes(error(quoted, src=OUTSIDE, dst=SERVER, code=3, ttl=49))


def test_outward_about_an_echo_reply() -> None:
    bench = crowded()
    (left,) = bench.send(echo(5000))
    arrived = bench.accept(echo(left[ICMP].id, kind=0, src=SERVER, dst=OUTSIDE))[1][0]
    (sent,) = bench.send(error(arrived, src=CLIENT, dst=SERVER, kind=11, code=1))
    quoted = echo(left[ICMP].id, kind=0, src=SERVER, dst=OUTSIDE, ttl=63)
    assert bytes(sent) == bytes(error(quoted, src=OUTSIDE, dst=SERVER, kind=11, code=1, ttl=49))


def test_outward_needs_a_flow_of_this_client() -> None:
    bench = crowded()
    bench.send(udp(7000, src=OTHER), client=2)
    quoted = udp(3478, 7000, src=SERVER, dst=OTHER)
    assert bench.refuse(error(quoted, src=CLIENT, dst=SERVER)) is DropReason.NAT_NO_MAPPING
    assert bench.refuse(error(quoted, src=CLIENT, dst=SERVER), client=3) is DropReason.NAT_NO_MAPPING


def test_outward_goes_to_the_sender_of_the_packet_only() -> None:
    bench = Bench()
    bench.send(udp(5000, 3478))
    quoted = udp(3478, 5000, src=SERVER, dst=CLIENT)
    assert bench.refuse(error(quoted, src=CLIENT, dst=STRANGER)) is DropReason.NAT_NO_MAPPING
    assert bench.refuse(error(quoted, src=CLIENT, dst=SERVER)) is None


def test_outward_malformed() -> None:
    bench = Bench()
    bench.send(udp(5000, 3478))
    assert bench.refuse(error(b"short", src=CLIENT, dst=SERVER)) is DropReason.BAD_ICMP
    assert bench.refuse(echo(7, kind=0)) is DropReason.NAT_NO_MAPPING


def test_options_of_the_error_itself_are_kept() -> None:
    bench = crowded()
    (left,) = bench.send(udp(5000))
    outer = error(left, options=[IPOption_RR(routers=["0.0.0.0"])])
    _, inner = bench.accept_error(outer)
    assert inner.ihl > 5
    assert bytes(inner) == rebuilt(inner)


def quoted_by(**fields: object) -> bytes:
    packet = IP(bytes(udp(5000, src=OUTSIDE)))
    for name, value in fields.items():
        setattr(packet, name, value)
    return bytes(packet)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (error(quoted_by()[:27]), DropReason.BAD_ICMP),
        (error(quoted_by(version=6)), DropReason.BAD_ICMP),
        (error(quoted_by(ihl=4)), DropReason.BAD_ICMP),
        (error(quoted_by(ihl=15)), DropReason.BAD_ICMP),
        (error(quoted_by(frag=1)), DropReason.NAT_NO_MAPPING),
        (error(quoted_by(proto=47)), DropReason.NAT_NO_MAPPING),
        (error(quoted_by(dst=STRANGER)), DropReason.NAT_NO_MAPPING),
        (error(echo(5000, src=OUTSIDE, kind=13)), DropReason.NAT_NO_MAPPING),
        (error(quoted_by(), kind=5), DropReason.NAT_NO_MAPPING),
        (error(quoted_by(), kind=4), DropReason.NAT_NO_MAPPING),
        (error(quoted_by(), kind=0), DropReason.NAT_NO_MAPPING),
        (error(quoted_by(), ttl=1), DropReason.TTL_EXCEEDED),
        (IP(src=ROUTER, dst=OUTSIDE) / ICMP(type=3, chksum=1) / Raw(quoted_by()), DropReason.BAD_ICMP_CHECKSUM),
        (IP(src=ROUTER, dst=OUTSIDE, proto=1) / Raw(b"\x03\0\0\0"), DropReason.BAD_ICMP),
    ],
)
def test_refused(packet: IP, reason: DropReason) -> None:
    bench = Bench()
    bench.send(udp(5000))
    assert bench.receive_error(packet) is reason
    assert bench.nat.flows == 1


def test_errors_neither_end_nor_refresh_a_flow() -> None:
    bench = Bench()
    (left,) = bench.send(udp(5000))
    for _ in range(29):
        bench.advance(10 * SECOND)
        assert isinstance(bench.receive_error(error(left)), tuple)
    bench.advance(13 * SECOND)
    assert bench.nat.flows == 0
    assert bench.receive_error(error(left)) is DropReason.NAT_NO_MAPPING


def test_a_corrupt_quoted_checksum_stays_corrupt() -> None:
    bench = crowded()
    packet = tcp(5000, payload=b"hello")
    (left,) = bench.send(packet)
    wrong = IP(bytes(left))
    wrong[TCP].chksum = (wrong[TCP].chksum + 7) % 0xFFFF
    _, inner = bench.accept_error(error(wrong))
    quoted = IP(bytes(inner)[28:])
    assert (quoted[TCP].chksum - IP(rebuilt(quoted))[TCP].chksum) % 0xFFFF == 7


@pytest.mark.parametrize("size", range(8))
@pytest.mark.parametrize("kind", [0, 3, 8, 11])
def test_a_message_without_its_whole_header(kind: int, size: int) -> None:
    """Down to one byte and none: refused on every way, nothing is read after its end, no flow is opened."""
    bench = Bench()
    message = bytes((kind, 0, 0, 0, 0, 33, 0, 1))[:size]

    def cut(src: str, dst: str) -> bytes:
        return bytes(IP(src=src, dst=dst, proto=1) / Raw(message))

    assert bench.refuse(cut(CLIENT, SERVER)) is DropReason.BAD_ICMP
    assert bench.hairpin(1, cut(CLIENT, OUTSIDE)) is DropReason.BAD_ICMP
    assert bench.receive(cut(SERVER, OUTSIDE)) is DropReason.NAT_BAD_PACKET
    assert bench.receive_error(cut(SERVER, OUTSIDE)) is DropReason.BAD_ICMP
    assert bench.nat.flows == 0
