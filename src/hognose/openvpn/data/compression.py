"""Compression framings without compression: a byte per packet says "not compressed" (OpenVPN comp.h, compstub.c).

| framing | on the wire |
|---|---|
| comp-lzo | FA, packet |
| stub (`compress`, `compress lz4`) | FB, packet from its second byte on, its first byte |
| stub-v2 | packet; one that begins with 50 has 50 00 in front |

It applies to pings and OCC messages too. We never compress, and a packet that a peer compressed is dropped: compressing
before encrypting leaks (the VORACLE attack).
"""

from __future__ import annotations

from hognose.drops import DropReason
from hognose.vocabulary import Framing

NO_COMPRESS = 0xFA
NO_COMPRESS_SWAP = 0xFB
LZO = 0x66
LZ4 = 0x69
V2_ESCAPE = 0x50  # followed by the algorithm: 00 none, 01 LZ4, 02 LZO
_MARKERS = (NO_COMPRESS, NO_COMPRESS_SWAP, LZO, LZ4, V2_ESCAPE)


def frame(framing: Framing, packets: list[bytes]) -> list[bytes]:
    """The payloads for a batch of packets to send; empty packets stay empty."""
    if framing == "comp-lzo":
        return [b"\xfa" + packet if packet else packet for packet in packets]
    if framing == "stub":
        return [b"\xfb" + packet[1:] + packet[:1] if packet else packet for packet in packets]
    if framing == "stub-v2":
        return [b"\x50\x00" + packet if packet[:1] == b"\x50" else packet for packet in packets]
    return packets


def unframe(framing: Framing, plain: bytes) -> bytes | DropReason:
    """The packet in an authentic payload; COMPRESSED or BAD_COMPRESSION_BYTE when it cannot be read."""
    if not plain:
        return plain
    first = plain[0]
    if framing == "comp-lzo":
        if first == NO_COMPRESS:
            return plain[1:]
        return DropReason.COMPRESSED if first in _MARKERS else DropReason.BAD_COMPRESSION_BYTE
    if framing == "stub":
        if first == NO_COMPRESS_SWAP:
            return plain[-1:] + plain[1:-1] if len(plain) > 1 else b""
        return DropReason.COMPRESSED if first in _MARKERS else DropReason.BAD_COMPRESSION_BYTE
    if framing == "stub-v2" and plain.startswith(b"\x50\x00"):
        return plain[2:]
    # No packet of the Internet Protocol, ping or OCC message begins with one of these.
    return DropReason.COMPRESSED if first in _MARKERS else plain
