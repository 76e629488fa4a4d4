"""UDP against scapy."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from hognose.address import address_text
from hognose.drops import DropReason
from hognose.wire import udp

ADDRESSES = st.binary(min_size=4, max_size=4)
PORTS = st.integers(0, 65535)


@given(ADDRESSES, ADDRESSES, PORTS, PORTS, st.binary(max_size=100))
@example(bytes(4), bytes(4), 0, 0, b"\xff\xff" * 2 + b"\xff\xd2")  # sums to zero: the field is 0xffff, not 0
def test_build_is_what_scapy_builds(source: bytes, destination: bytes, sport: int, dport: int, payload: bytes) -> None:
    packet = IP(src=address_text(source), dst=address_text(destination)) / UDP(sport=sport, dport=dport) / Raw(payload)
    theirs = bytes(packet)[20:]
    ours = udp.build(source, destination, sport, dport, payload)
    assert ours == theirs
    assert ours[6:8] != b"\0\0"
    data = b"x" + ours + b"y"
    assert udp.parse(data, 1, len(data)) == (sport, dport, 8 + len(payload), int.from_bytes(ours[6:8], "big"))


@given(ADDRESSES, ADDRESSES, PORTS, PORTS, st.integers(0, 65_507), st.integers(0, 0xFFFF), st.integers(0, 255))
def test_heads_are_scapys_but_for_the_checksum_of_the_payload(
    source: bytes, destination: bytes, sport: int, dport: int, size: int, ident: int, tos: int
) -> None:
    local, remote = source + sport.to_bytes(2, "big"), destination + dport.to_bytes(2, "big")
    head = udp.heads(local, remote, size, ident, tos)
    ip = IP(src=address_text(source), dst=address_text(destination), id=ident, tos=tos, len=28 + size)
    ip.flags = "" if ident else "DF"
    assert head[:26] == bytes(ip / UDP(sport=sport, dport=dport, len=8 + size))[:26]


@pytest.mark.parametrize("length", [0, 7, 12])
def test_length_out_of_range(length: int) -> None:
    data = udp.HEADER.pack(1, 2, length, 0) + b"abc"
    assert udp.parse(data, 0, len(data)) is DropReason.NAT_BAD_PACKET


def test_short() -> None:
    assert udp.parse(bytes(7), 0, 7) is DropReason.NAT_BAD_PACKET
