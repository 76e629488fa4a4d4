# hot
"""Dropping TCP acknowledgements that a later one in the same batch supersedes (ACK filtering, RFC 3449 section 5.2.1).

A bulk download makes an ACK per two segments, and each costs as much as a data packet: decryption, NAT, a frame, the
peer's interrupt. Within one batch only the last of a row says anything new, just as after receive offloading, where
Linux sends one ACK per super-segment. What carries more than an advance stays: duplicates (they count for fast
retransmit), SACK blocks, ECN echoes, data, anything that is not a plain IPv4 header.
"""

from __future__ import annotations

from struct import Struct

KEEP_ONE_IN = 16  # about 32 segments, or 44 KB: what one super-segment holds

_BARE = 40
_WITH_TIMESTAMP = 52
_TIMESTAMP_OPTION = b"\x01\x01\x08\x0a"  # as RFC 7323 appendix A lays it out
# version/IHL/TOS/length, flags/offset/TTL/protocol, key, seq, ack, offset/flags/window
_ACK = Struct(">I2xI2x12sIII")
_FLAGS = 0x0FFF0000
_PLAIN_ACK = 0x00100000


def thin_acks(packets: list[bytes]) -> list[bytes]:
    """The packets without superseded pure ACKs, order kept; the very list when there is nothing to drop.

    The caller hands in the packets of one batch. Headers need not have been validated: a packet is dropped only in
    favour of a later one with equal addresses, ports, sequence number, TOS, and a higher acknowledgement number.
    """
    # key -> [place of the last pure ACK, its seq, its ack, its first word, how many it has replaced]
    last: dict[bytes, list[int]] = {}
    dropped: set[int] = set()
    unpack = _ACK.unpack_from
    for place, packet in enumerate(packets):
        size = len(packet)
        if size != _WITH_TIMESTAMP and size != _BARE:
            continue
        first, frag_ttl, key, seq, ack, offset_window = unpack(packet)
        if (
            first & 0xFF00FFFF != 0x45000000 | size
            or frag_ttl & 0xBFFF00FF != 6
            or offset_window & _FLAGS != _PLAIN_ACK
            or offset_window >> 28 != (size - 20) >> 2  # the header fills the packet: no data
            or (size == _WITH_TIMESTAMP and packet[40:44] != _TIMESTAMP_OPTION)
        ):
            continue
        before = last.get(key)
        if before is None:
            last[key] = [place, seq, ack, first, 0]
            continue
        replaced = 0
        if (
            before[1] == seq
            and before[3] == first
            and 0 < (ack - before[2]) & 0xFFFFFFFF < 0x80000000
            and before[4] < KEEP_ONE_IN - 1
        ):
            dropped.add(before[0])
            replaced = before[4] + 1
        last[key] = [place, seq, ack, first, replaced]
    if not dropped:
        return packets
    return [packet for place, packet in enumerate(packets) if place not in dropped]
