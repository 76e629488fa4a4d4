"""The headers of a connection's segments against scapy's, byte by byte."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import IP, TCP

from hognose.tcp.path import Path

LOCAL, REMOTE = bytes((10, 1, 2, 3)), bytes((198, 51, 100, 77))
LOCAL_PORT, REMOTE_PORT = 1194, 51_877
MSS = 1448


def path(*, timestamps: bool) -> Path:
    return Path(LOCAL + LOCAL_PORT.to_bytes(2, "big"), REMOTE + REMOTE_PORT.to_bytes(2, "big"), timestamps)


def expected(ident: int, payload: bytes, *, flags: str, stamps: tuple[int, int] | None, more: bytes = b"") -> bytes:
    """The packet, with the sum of its pseudo-header alone where the checksum of TCP goes."""
    options: list[object] = [("NOP", None), ("NOP", None), ("Timestamp", stamps)] if stamps else []
    if more:
        options += [("NOP", None), ("NOP", None), ("SAck", struct.unpack(">II", more[4:]))]
    header = IP(src="10.1.2.3", dst="198.51.100.77", id=ident, flags="DF", ttl=64) / TCP(
        sport=LOCAL_PORT, dport=REMOTE_PORT, seq=0xFEDCBA98, ack=0x01234567, flags=flags, window=4321, options=options
    )
    built = bytes(header / payload)
    length = len(built) - 20
    words = struct.unpack(">6H", LOCAL + REMOTE + struct.pack(">HH", 6, length))
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return built[:36] + total.to_bytes(2, "big") + built[38:]


SACK = b"\1\1\5\x0a" + struct.pack(">II", 5_000, 6_000)


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("more", [b"", SACK], ids=["plain", "sack"])
@pytest.mark.parametrize("size", [0, 1, MSS - 1, MSS])
def test_a_segment_is_what_scapy_builds(timestamps: bool, more: bytes, size: int) -> None:
    made = path(timestamps=timestamps)
    for ident in range(1, 4):
        pieces = [bytes(size)] if size else []
        destination, vnet, sent = made.segment(
            0xFEDCBA98, 0x01234567, 0x18, 4321, (77, 88), pieces, size, MSS, more
        )  # fmt: skip
        assert sent is pieces
        assert destination == REMOTE
        stamps = (77, 88) if timestamps else None
        assert b"".join(sent) == expected(ident, bytes(size), flags="PA", stamps=stamps, more=more)
        # flags NEEDS_CSUM, no GSO; the checksum begins after 14 and 20 bytes, its field 16 bytes later
        assert struct.unpack("<BBHHHHH", vnet) == (1, 0, 0, 0, 34, 16, 0)


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("size", [MSS + 1, 2 * MSS, 10 * MSS])
def test_a_super_segment_is_one_packet_for_the_device_to_cut(timestamps: bool, size: int) -> None:
    """Its id is any: with DF set it says nothing (RFC 6864 section 4.1)."""
    made = path(timestamps=timestamps)
    _, vnet, sent = made.segment(0xFEDCBA98, 0x01234567, 0x10, 4321, (77, 88), [bytes(size)], size, MSS)
    header_len = 14 + 20 + (32 if timestamps else 20)
    assert struct.unpack("<BBHHHHH", vnet) == (1, 1, header_len, MSS, 34, 16, 0)
    stamps = (77, 88) if timestamps else None
    ident = int.from_bytes(sent[0][4:6], "big")
    assert b"".join(sent) == expected(ident, bytes(size), flags="A", stamps=stamps)


def test_ids_go_round() -> None:
    made = path(timestamps=False)
    for _ in range(0xFFFF):
        made.segment(0, 0, 0x10, 0, (0, 0), [], 0, MSS)
    _, _, sent = made.segment(0xFEDCBA98, 0x01234567, 0x10, 4321, (0, 0), [], 0, MSS)
    assert b"".join(sent) == expected(0, b"", flags="A", stamps=None)
    _, _, sent = made.segment(0xFEDCBA98, 0x01234567, 0x10, 4321, (0, 0), [], 0, MSS)
    assert b"".join(sent) == expected(1, b"", flags="A", stamps=None)
