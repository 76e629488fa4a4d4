"""Clamping of the MSS option in SYN and SYN-ACK packets, so that TCP inside the tunnel needs no fragments.

RFC 9293 section 3.7.1 (the option), RFC 4459 section 3.2 (clamping at tunnels). The value is only ever lowered; a
packet that cannot be parsed is left alone.
"""

from __future__ import annotations

from hognose.wire import ipv4
from hognose.wire.checksum import update
from hognose.wire.tcp import CHECKSUM_OFFSET, FIXED_LEN, OPTION_END, OPTION_MSS, OPTION_NOP, SYN

SMALLEST_MSS = 536  # an inner host takes as much in any case (RFC 9293 section 3.7.1)


def clamp(packet: bytes, mss: int) -> bytes:
    """The packet with an MSS of at most `mss`; the same object unless it is a whole TCP SYN with a larger one.

    The IPv4 header was validated before. The TCP checksum is adjusted incrementally, so a wrong one stays wrong.
    """
    at = _find_mss(packet)
    if at is None:
        return packet
    old = packet[at] << 8 | packet[at + 1]
    if old <= mss:
        return packet
    l4 = (packet[0] & 15) * 4
    field = packet[l4 + CHECKSUM_OFFSET] << 8 | packet[l4 + CHECKSUM_OFFSET + 1]
    # Words count from the TCP header; after an odd number of NOPs the value straddles two of them, so that its bytes
    # weigh the other way round (RFC 1071 section 2 B).
    swap = (at - l4) & 1
    checksum = update(field, _swapped(old) if swap else old, _swapped(mss) if swap else mss)
    return b"".join(
        (
            packet[: l4 + CHECKSUM_OFFSET],
            checksum.to_bytes(2, "big"),
            packet[l4 + CHECKSUM_OFFSET + 2 : at],
            mss.to_bytes(2, "big"),
            packet[at + 2 :],
        )
    )


def _swapped(word: int) -> int:
    return (word & 0xFF) << 8 | word >> 8


def _find_mss(packet: bytes) -> int | None:
    """Offset of the value of the MSS option, or None."""
    if len(packet) < 40 or packet[9] != ipv4.TCP:
        return None
    if (packet[6] << 8 | packet[7]) & ipv4.FRAGMENTED:
        return None
    l4 = (packet[0] & 15) * 4
    if len(packet) < l4 + FIXED_LEN or not packet[l4 + 13] & SYN:
        return None
    at, end = l4 + FIXED_LEN, min(l4 + (packet[l4 + 12] >> 4) * 4, len(packet))
    while at < end:
        kind = packet[at]
        if kind == OPTION_END:
            return None
        if kind == OPTION_NOP:
            at += 1
            continue
        if at + 1 >= end or packet[at + 1] < 2 or at + packet[at + 1] > end:
            return None
        if kind == OPTION_MSS:
            return at + 2 if packet[at + 1] == 4 else None
        at += packet[at + 1]
    return None
