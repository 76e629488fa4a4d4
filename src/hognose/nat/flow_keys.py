# hot
"""Flow keys, cut out of packets: source, destination and ports of TCP and UDP, or the identifier of an ICMP echo.

A key is the bytes as they stand in the packet: source(4) destination(4) source port(2) destination port(2), or
source(4) destination(4) identifier(2).
"""

from __future__ import annotations

from hognose.drops import DropReason
from hognose.units import Buffer
from hognose.wire import icmpv4, ipv4, udp


def parse(packet: bytes) -> ipv4.Parsed | DropReason:
    """Offsets and fields of a whole packet from inside.

    NAT_BAD_PACKET for a fragment, TTL_EXCEEDED for a packet that must not be forwarded, the reasons of `ipv4.parse`.
    """
    parsed = ipv4.parse(packet, 0, len(packet))
    if isinstance(parsed, DropReason):
        return parsed
    if parsed[3] & ipv4.FRAGMENTED:
        return DropReason.NAT_BAD_PACKET
    return DropReason.TTL_EXCEEDED if packet[8] <= 1 else parsed


def outbound(packet: bytes, l4: int, end: int, protocol: int) -> bytes | DropReason:
    """Key of a packet from inside whose L4 header is whole; of ICMP the caller gives echo requests only.

    Reasons: NAT_BAD_PACKET, BAD_ICMP, UNKNOWN_PROTOCOL.
    """
    if protocol == ipv4.UDP:
        parsed = udp.parse(packet, l4, end)
        if isinstance(parsed, DropReason):
            return parsed
    elif protocol == ipv4.TCP:
        if end - l4 < 20 or not 20 <= (packet[l4 + 12] >> 4) * 4 <= end - l4:
            return DropReason.NAT_BAD_PACKET
    elif protocol == ipv4.ICMP:
        if end - l4 < icmpv4.HEADER_LEN:
            return DropReason.BAD_ICMP
        return packet[12:20] + packet[l4 + 4 : l4 + 6]
    else:
        return DropReason.UNKNOWN_PROTOCOL
    return packet[12:20] + packet[l4 : l4 + 4]


def inbound(frame: Buffer, l3: int, l4: int, end: int, protocol: int) -> bytes | DropReason:
    """Key of an echo reply, or of a packet of TCP or UDP; the IPv4 header may have options.

    Reasons: UNKNOWN_PROTOCOL, NAT_BAD_PACKET (less than 8 bytes of L4), NAT_NO_MAPPING (ICMP, but no echo reply).
    """
    if protocol not in (ipv4.TCP, ipv4.UDP, ipv4.ICMP):
        return DropReason.UNKNOWN_PROTOCOL
    if end - l4 < 8:
        return DropReason.NAT_BAD_PACKET
    if protocol != ipv4.ICMP:
        return bytes(frame[l3 + 12 : l3 + 20]) + bytes(frame[l4 : l4 + 4])
    if frame[l4] != icmpv4.ECHO_REPLY:
        return DropReason.NAT_NO_MAPPING
    return bytes(frame[l3 + 12 : l3 + 20]) + bytes(frame[l4 + 4 : l4 + 6])


def answer(data: Buffer, l3: int, l4: int, protocol: int) -> bytes:
    """Key of the packets that answer the packet at l3, which has 8 bytes of L4 at least."""
    addresses = bytes(data[l3 + 16 : l3 + 20]) + bytes(data[l3 + 12 : l3 + 16])
    if protocol == ipv4.ICMP:
        return addresses + bytes(data[l4 + 4 : l4 + 6])
    return addresses + bytes(data[l4 + 2 : l4 + 4]) + bytes(data[l4 : l4 + 2])
