# hot
"""Translation of single packets: addresses, ports, TTL and both checksums, incrementally (RFC 1624, RFC 3022 4.1-4.2).

Everything else stays as it was, and a wrong checksum stays wrong. The same function serves both directions: the caller
hands in the constants of the flow. Offsets are those of option-free IPv4 headers except in `generic`.
"""

from __future__ import annotations

from struct import Struct

from hognose.nat.flow import TTL_STEP
from hognose.units import Buffer
from hognose.wire import ipv4
from hognose.wire.checksum import ones_sum

_TCP_READ = Struct(">IHIH12x12sH")  # version…length, ID, flags…protocol, checksum, -, seq…window, TCP checksum
_UDP_READ = Struct(">IHIH12xHH")  # …, UDP length, UDP checksum
_TCP_WRITE = Struct(">IHIH12s12sH")
_UDP_WRITE = Struct(">IHIH12sHH")
_HALF = Struct(">H")
_CHECKSUM_AT = {ipv4.TCP: 16, ipv4.UDP: 6, ipv4.ICMP: 2}


def tcp(data: Buffer, l3: int, end: int, wire: bytes, ip_delta: int, l4_delta: int, partial: bool = False) -> bytes:
    """The translated packet of an option-free header with at least 40 bytes and TTL > 1.

    partial: the checksum field holds the pseudo-header sum, and takes part in the sum that completes it.
    """
    vlen, ident, frag_ttl, ip_checksum, middle, checksum = _TCP_READ.unpack_from(data, l3)
    if partial:
        checksum = -ones_sum(data[l3 + 20 : end])
    head = _TCP_WRITE.pack(
        vlen,
        ident,
        frag_ttl - TTL_STEP,
        (ip_checksum + ip_delta) % 0xFFFF,
        wire,
        middle,
        (checksum + l4_delta) % 0xFFFF,
    )
    return head + data[l3 + 38 : end]


def udp(data: Buffer, l3: int, end: int, wire: bytes, ip_delta: int, l4_delta: int, partial: bool = False) -> bytes:
    """The same for UDP, at least 28 bytes; checksum 0 (none) stays 0 (RFC 3022 section 4.1, RFC 768)."""
    vlen, ident, frag_ttl, ip_checksum, length, checksum = _UDP_READ.unpack_from(data, l3)
    if partial:
        checksum = (l4_delta - ones_sum(data[l3 + 20 : end])) % 0xFFFF or 0xFFFF
    elif checksum:
        checksum = (checksum + l4_delta) % 0xFFFF or 0xFFFF
    head = _UDP_WRITE.pack(vlen, ident, frag_ttl - TTL_STEP, (ip_checksum + ip_delta) % 0xFFFF, wire, length, checksum)
    return head + data[l3 + 28 : end]


def generic(
    data: Buffer, l3: int, l4: int, end: int, wire: bytes, ip_delta: int, l4_delta: int, partial: bool = False
) -> bytes:
    """Any TCP, UDP or ICMP echo packet, options included. partial: the checksum field holds the pseudo-header sum.

    wire: source, destination and the 4 bytes of ports, or for ICMP the 2 bytes of the identifier.
    """
    packet = bytearray(data[l3:end])
    l4 -= l3
    protocol = packet[9]
    at = l4 + _CHECKSUM_AT[protocol]
    checksum = _HALF.unpack_from(packet, at)[0]
    if partial:
        # Completing: the field takes part in the sum, with the old pseudo-header; then both deltas apply.
        checksum = (l4_delta - ones_sum(packet[l4:])) % 0xFFFF
        if protocol == ipv4.UDP:
            checksum = checksum or 0xFFFF
    elif protocol != ipv4.UDP:
        checksum = (checksum + l4_delta) % 0xFFFF
    elif checksum:
        checksum = (checksum + l4_delta) % 0xFFFF or 0xFFFF
    _HALF.pack_into(packet, at, checksum)
    packet[8] -= 1
    _HALF.pack_into(packet, 10, (_HALF.unpack_from(packet, 10)[0] + ip_delta) % 0xFFFF)
    packet[12:20] = wire[:8]
    if protocol == ipv4.ICMP:
        packet[l4 + 4 : l4 + 6] = wire[8:]
        if not checksum and not any(packet[l4:]):
            packet[at : at + 2] = b"\xff\xff"  # see icmpv4.build
    else:
        packet[l4 : l4 + 4] = wire[8:]
    return bytes(packet)
