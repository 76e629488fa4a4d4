"""ICMP against scapy."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP
from scapy.packet import Raw

from hognose.drops import DropReason
from hognose.wire import icmpv4


@given(st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=100))
def test_echo_both_ways(identifier: int, sequence: int, payload: bytes) -> None:
    theirs = bytes(ICMP(type=8, id=identifier, seq=sequence) / Raw(payload))
    rest = identifier << 16 | sequence
    assert icmpv4.build(icmpv4.ECHO_REQUEST, 0, rest, payload) == theirs
    assert icmpv4.parse(b"abc" + theirs, 3, 3 + len(theirs)) == (8, 0, rest)


def test_an_all_zero_message_is_valid() -> None:
    # Linux computes 0xffff over eight zero bytes: a zero field would be wrong
    assert icmpv4.build(icmpv4.ECHO_REPLY, 0, 0, bytes(4)) == bytes(ICMP(type=0, id=0, seq=0) / Raw(bytes(4)))


def test_fragmentation_needed_carries_the_mtu() -> None:
    theirs = bytes(ICMP(type=3, code=4, nexthopmtu=1400) / Raw(b"q" * 28))
    assert icmpv4.build(icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED, 1400, b"q" * 28) == theirs


# RFC 1191 section 7.1, table 7-1
PLATEAUS = [65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68]


@pytest.mark.parametrize(("length", "mtu"), [*pairwise(PLATEAUS), (1500, 1492), (69, 68)])
def test_an_old_router_says_zero(length: int, mtu: int) -> None:
    assert icmpv4.next_hop_mtu(0, length) == mtu
    assert icmpv4.next_hop_mtu(0, mtu + 1) == mtu


@pytest.mark.parametrize(
    ("told", "length", "mtu"),
    [
        (1400, 1401, 1400), (1400, 65535, 1400), (1400, 1400, 0), (1400, 28, 0), (68, 69, 68), (68, 68, 0),
        (67, 1500, 0), (1, 1500, 0), (65535, 65535, 0), (0, 68, 0), (0, 28, 0), (0, 0, 0),
    ],
)  # fmt: skip
def test_the_mtu_of_a_link_is_less_than_what_did_not_fit(told: int, length: int, mtu: int) -> None:
    assert icmpv4.next_hop_mtu(told, length) == mtu


def test_short() -> None:
    assert icmpv4.parse(bytes(7), 0, 7) is DropReason.BAD_ICMP


def test_corrupt() -> None:
    message = bytearray(icmpv4.build(8, 0, 1, b"payload!"))
    message[9] ^= 1
    assert icmpv4.parse(message, 0, len(message)) is DropReason.BAD_ICMP_CHECKSUM
    assert icmpv4.parse(bytes(12), 0, 12) is DropReason.BAD_ICMP_CHECKSUM
    assert icmpv4.parse(b"\0\0\xff\xff" + bytes(8), 0, 12) == (0, 0, 0)


def test_errors_are_the_types_that_quote() -> None:
    assert [kind for kind in range(256) if icmpv4.is_error(kind)] == [3, 4, 5, 11, 12]
