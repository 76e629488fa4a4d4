"""Reassembly against scapy's fragments in any order; bounds, attacks, time; our fragmentation back through scapy."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_RR
from scapy.layers.inet import fragment as scapy_fragment
from scapy.packet import Raw

from hognose.drops import Counters, DropReason
from hognose.ip.fragments import MAX_FRAGMENTS, TIMEOUT, Reassembler, fragment
from hognose.limits import IpLimits
from hognose.wire import ipv4

NOW = 5_000_000_000


def datagram(size: int, ident: int = 7, source: str = "1.2.3.4", **fields: Any) -> bytes:
    payload = bytes(i * 7 & 0xFF for i in range(size))
    return bytes(IP(src=source, dst="10.0.0.2", id=ident, flags=0, **fields) / UDP(sport=5, dport=6) / Raw(payload))


def cut(packet: bytes, size: int) -> list[bytes]:
    return [bytes(piece) for piece in scapy_fragment(IP(packet), fragsize=size)]


def raw_fragment(offset: int, payload: bytes, *, more: bool, protocol: int = 17, ident: int = 7) -> bytes:
    flags = "MF" if more else 0
    return bytes(
        IP(src="1.2.3.4", dst="10.0.0.2", id=ident, proto=protocol, flags=flags, frag=offset // 8) / Raw(payload)
    )


def make(**bounds: int) -> tuple[Reassembler, Counters]:
    counters = Counters()
    return Reassembler(IpLimits(**bounds), counters), counters


def feed(reassembler: Reassembler, piece: bytes, now: int = NOW) -> bytes | DropReason | None:
    return reassembler.receive(b"eth" + piece + b"pad", 3, 3 + len(piece), now)


@given(st.integers(20, 6000), st.sampled_from((8, 24, 512, 1480)), st.randoms(use_true_random=False), st.booleans())
def test_any_order_gives_the_truth(size: int, unit: int, random: Random, duplicated: bool) -> None:
    packet = datagram(size)
    pieces = cut(packet, unit)
    order = pieces * (2 if duplicated else 1)
    random.shuffle(order)
    reassembler, counters = make()
    results = [feed(reassembler, piece) for piece in order] if len(pieces) > 1 else [packet]
    assert results.count(packet) >= 1
    assert all(result in (None, packet) for result in results)
    assert not counters.non_zero()


def test_header_is_of_the_first_fragment_with_options() -> None:
    options = [IPOption_RR(routers=["9.9.9.9"])]
    packet = datagram(2000, options=options, ttl=9, tos=4)
    first, second = cut(packet, 1480)
    reassembler, _ = make()
    assert feed(reassembler, second) is None
    whole = feed(reassembler, first)
    assert whole == packet
    assert reassembler.next_deadline() is None


def test_two_datagrams_do_not_mix() -> None:
    one, two = datagram(2000, ident=1), datagram(2000, ident=2)
    a, b = cut(one, 1480), cut(two, 1480)
    reassembler, _ = make()
    assert [feed(reassembler, piece) for piece in (a[0], b[1])] == [None, None]
    assert feed(reassembler, a[1]) == one
    assert feed(reassembler, b[0]) == two


@pytest.mark.parametrize(
    "bad",
    [
        raw_fragment(8, b"", more=False),
        raw_fragment(8, b"x" * 9, more=True),  # not a multiple of eight, not the last
        raw_fragment(65528, b"x" * 8, more=False),  # beyond 65535 with the header
        raw_fragment(0, b"x" * 16, more=True, protocol=ipv4.TCP),  # RFC 1858: tiny first
        raw_fragment(16, b"x" * 8, more=False, protocol=ipv4.TCP),  # RFC 3128: begins inside the TCP header
    ],
)
def test_unsound_fragments(bad: bytes) -> None:
    reassembler, _ = make()
    assert feed(reassembler, bad) is DropReason.FRAGMENT_BAD
    assert reassembler.next_deadline() is None


def test_tcp_in_fragments() -> None:
    packet = bytes(IP(src="1.2.3.4", dst="10.0.0.2", flags=0) / TCP(sport=1, dport=2) / Raw(b"y" * 100))
    reassembler, _ = make()
    results = [feed(reassembler, piece) for piece in cut(packet, 24)]
    assert results[-1] == packet


@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 16, True), (8, 16, True)],
        [(8, 16, True), (0, 16, True)],
        [(0, 32, True), (8, 8, True)],  # inside
        [(0, 16, True), (0, 24, True)],  # same start, other length
        [(16, 8, False), (24, 8, True)],  # beyond the known end
        [(24, 8, True), (8, 8, False)],  # the end before known bytes
        [(16, 8, False), (32, 8, False)],  # two ends
    ],
)
def test_overlap_ends_the_datagram(pieces: list[tuple[int, int, bool]]) -> None:
    reassembler, _ = make()
    results = [feed(reassembler, raw_fragment(at, b"x" * size, more=more)) for at, size, more in pieces]
    assert results == [None, DropReason.FRAGMENT_OVERLAP]
    assert reassembler.next_deadline() is None


def test_duplicate_with_other_bytes_is_an_overlap() -> None:
    reassembler, _ = make()
    assert feed(reassembler, raw_fragment(0, b"x" * 16, more=True)) is None
    assert feed(reassembler, raw_fragment(0, b"y" * 16, more=True)) is DropReason.FRAGMENT_OVERLAP


def test_too_many_pieces() -> None:
    reassembler, _ = make()
    for index in range(MAX_FRAGMENTS):
        assert feed(reassembler, raw_fragment(8 + index * 8, b"x" * 8, more=True)) is None
    assert feed(reassembler, raw_fragment(0, b"x" * 8, more=True)) is DropReason.FRAGMENT_BAD


def test_time_out_returns_the_first_fragment() -> None:
    first, second = cut(datagram(2000, ident=1), 1480)
    other = cut(datagram(2000, ident=2), 1480)[1]
    reassembler, counters = make()
    feed(reassembler, first, NOW)
    feed(reassembler, other, NOW + 5)
    assert reassembler.next_deadline() == NOW + TIMEOUT
    assert reassembler.handle_deadline(NOW + TIMEOUT - 1) == []
    (quoted,) = reassembler.handle_deadline(NOW + TIMEOUT)
    assert quoted == first
    assert reassembler.next_deadline() == NOW + 5 + TIMEOUT
    assert reassembler.handle_deadline(NOW + 5 + TIMEOUT) == []
    assert counters.non_zero() == {"drop_fragment_timeout": 2}
    assert feed(reassembler, second) is None


def test_one_datagram_larger_than_the_bound() -> None:
    reassembler, counters = make(reassembly_bytes=4000)
    first, second = cut(datagram(2000), 1480)
    assert feed(reassembler, first) is None
    assert feed(reassembler, second) is DropReason.FRAGMENT_TABLE_FULL
    assert (reassembler.next_deadline(), reassembler.held, counters.non_zero()) == (None, 0, {})


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5), st.booleans(), st.integers(0, 3)), max_size=60))
def test_garbage_stays_within_bounds(pieces: list[tuple[int, int, bool, int]]) -> None:
    reassembler, _ = make(reassembly_bytes=4000)
    for offset, size, more, ident in pieces:
        result = feed(reassembler, raw_fragment(offset * 8, b"x" * size * 8, more=more, ident=ident))
        if isinstance(result, bytes):
            parsed = ipv4.parse(result, 0, len(result))
            assert isinstance(parsed, tuple)
            assert parsed[1] == len(result)
        assert reassembler.held <= 4000
    assert len(reassembler.handle_deadline(NOW + TIMEOUT)) <= 3
    assert (reassembler.next_deadline(), reassembler.held) == (None, 0)


@given(st.integers(0, 5000), st.integers(68, 1500))
def test_fragments_of_ours_are_whole_again(size: int, mtu: int) -> None:
    packet = datagram(size)
    pieces = fragment(packet, mtu)
    assert all(len(piece) <= mtu for piece in pieces)
    reassembler, _ = make()
    for piece in pieces:
        assert isinstance(ipv4.parse(piece, 0, len(piece)), tuple)
    if len(pieces) == 1:
        assert pieces == [packet]
    elif len(pieces) <= MAX_FRAGMENTS:
        assert [feed(reassembler, piece) for piece in pieces][-1] == packet


def test_fragment_like_scapy() -> None:
    packet = datagram(4000)
    assert fragment(packet, 1500) == cut(packet, 1480)


def test_fragment_of_a_fragment() -> None:
    packet = datagram(4000)
    middle = cut(packet, 1480)[1]
    pieces = [cut(packet, 1480)[0], *fragment(middle, 576), cut(packet, 1480)[2]]
    assert len(pieces) == 5
    reassembler, _ = make()
    assert [feed(reassembler, piece) for piece in pieces][-1] == packet


def test_only_copied_options_stand_in_later_fragments() -> None:
    copied = b"\x82\x0b" + b"s" * 9  # RFC 1108 security: copied
    options = b"\x01" + b"\x07\x07\x04" + bytes(4) + copied + b"\x00"  # NOP, record route (not copied), security, end
    packet = datagram(2000, options=options)
    first, *later = fragment(packet, 1500)
    assert first[20:40] == packet[20:40]
    for piece in later:
        assert piece[20:32] == copied + b"\0"
        assert isinstance(ipv4.parse(piece, 0, len(piece)), tuple)
    reassembler, _ = make()
    assert [feed(reassembler, piece) for piece in (first, *later)][-1] == packet
