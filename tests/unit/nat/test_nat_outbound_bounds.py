"""Sizes of runs as numbers, and what is no run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from scapy.layers.inet import IP, TCP
from tests.unit.nat.nat_packets import NOTHING, OUTSIDE, TIMESTAMP, Bench, rebuilt, tcp, udp

from hognose.ip.offload import lower
from hognose.link import Outgoing
from hognose.wire import virtio_net


def opened(*sports: int) -> Bench:
    bench = Bench()
    for sport in sports or (5000,):
        bench.send(tcp(sport, flags="S"))
    return bench


def row(count: int, size: int, *, sport: int = 5000, window: int = 500, options: object = ()) -> list[IP]:
    """Data segments of `size` bytes each, all alike."""
    packets = [tcp(sport, payload=bytes(size), seq=1 + at * size, ident=7 + at, options=options) for at in range(count)]
    for packet in packets:
        packet[TCP].window = window
    return packets


def translated(packet: IP) -> bytes:
    copy = IP(bytes(packet))
    copy.src, copy.ttl = OUTSIDE, copy.ttl - 1
    return rebuilt(copy)


def sizes(out: Sequence[Outgoing]) -> list[int]:
    """Total lengths in the IPv4 headers."""
    return [int.from_bytes(pieces[0][2:4], "big") for _, _, pieces in out]


def lowered(out: list[Outgoing]) -> list[bytes]:
    return [b"".join(pieces) for _, _, pieces in lower(out, NOTHING)]


@pytest.mark.parametrize(
    ("payload", "header", "first"),
    [(1574, 40, 40), (677, 40, 92), (1573, 40, 40), (1575, 40, 39), (1748, 52, 36), (1749, 52, 35)],
)
def test_a_super_segment_has_63000_bytes_at_most(payload: int, header: int, first: int) -> None:
    packets = row(100, payload, options=TIMESTAMP if header == 52 else ())
    out, rest = opened().hot(*packets)
    assert rest == []
    assert sizes(out)[0] == header + first * payload
    assert sizes(out)[0] <= 63_000 < sizes(out)[0] + payload
    assert lowered(out) == [translated(packet) for packet in packets]


@pytest.mark.parametrize(("payload", "together"), [(31_459, 2), (31_460, 2), (31_461, 1)])
def test_a_first_packet_is_31500_bytes_at_most(payload: int, together: int) -> None:
    out, _ = opened().hot(*row(4, payload))
    assert sizes(out) == [40 + together * payload] * (4 // together)


@pytest.mark.parametrize("window", [0, 1, 500, 501, 0x8000, 0xFFFF])
@pytest.mark.parametrize("last", ["PA", "A"])
def test_any_window_is_good_for_a_run(window: int, last: str) -> None:
    bench = opened()
    packets = row(4, 500, window=window)
    packets[3][TCP].flags = last
    shorter = [*row(3, 500, window=window), row(4, 499, window=window)[3]]
    shorter[3].seq = packets[3].seq
    for sent in (packets, shorter):
        out, rest = bench.hot(*sent)
        assert rest == []
        assert len(out) == 1
        assert lowered(out) == [translated(packet) for packet in sent]


@pytest.mark.parametrize("flags", ["FA", "SA", "RA", "FPA"])
def test_a_packet_that_changes_the_connection_is_in_no_run(flags: str) -> None:
    packets = row(3, 500)
    packets[2][TCP].flags = flags
    out, rest = opened().hot(*packets)
    assert sizes(out) == [1040]
    assert rest == [bytes(packets[2])]


def test_a_row_of_one_packet_is_that_packet() -> None:
    bench = opened(5000, 5001)
    packets = [*row(1, 500), *row(1, 500, sport=5001)]
    out, rest = bench.hot(*packets)
    assert rest == []
    assert [vnet for _, vnet, _ in out] == [virtio_net.PLAIN] * 2
    assert sorted(b"".join(pieces) for _, _, pieces in out) == sorted(translated(packet) for packet in packets)


@pytest.mark.parametrize("flip", [1, 0x80])
@pytest.mark.parametrize("corrupt", [0, 1, 3])
def test_a_checksum_that_is_wrong_is_not_made_right(corrupt: int, flip: int) -> None:
    """The device would make it: the packets of such a run leave as they came."""
    packets = [bytes(packet) for packet in row(4, 500)]
    wrong = bytearray(packets[corrupt])
    wrong[300] ^= flip
    packets[corrupt] = bytes(wrong)
    out, _ = opened().hot(*packets)
    assert [vnet for _, vnet, _ in out] == [virtio_net.PLAIN] * 4
    right = [packet == rebuilt(packet) for packet in lowered(out)]
    assert right == [number != corrupt for number in range(4)]


def test_no_packets_are_no_matter() -> None:
    assert opened().hot() == ([], [])


@pytest.mark.parametrize("size", [0, 1, 2])
def test_short_datagrams_of_a_flow_are_not_left_over(size: int) -> None:
    bench = Bench()
    bench.send(udp(5000))
    packet = udp(5000, payload=bytes(size))
    out, rest = bench.hot(packet)
    assert rest == []
    assert [b"".join(pieces) for _, _, pieces in out] == [translated(packet)]
