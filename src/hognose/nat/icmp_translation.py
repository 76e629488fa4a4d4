"""ICMP errors about flows, both directions: the quoted packet is translated back (RFC 5508 section 4).

The ICMP checksum is verified and made anew (REQ-3); the quoted transport checksum is adjusted, not verified (REQ-3 c);
options of the quoted header are skipped (REQ-3 b). Errors never change or refresh a flow (RFC 4787 REQ-12).
"""

from __future__ import annotations

from struct import Struct

from hognose.address import Address
from hognose.drops import DropReason
from hognose.nat import flow_keys
from hognose.units import Buffer
from hognose.wire import icmpv4, ipv4

TRANSLATED_TYPES = frozenset((icmpv4.UNREACHABLE, icmpv4.TIME_EXCEEDED, icmpv4.PARAMETER_PROBLEM))

_PORTS = Struct(">HH")
_HALF = Struct(">H")
_CHECKSUM_AT = {ipv4.TCP: 16, ipv4.UDP: 6, ipv4.ICMP: 2}

# (protocol, source, key) of the quoted packet; the key is that of the packets which answer it
Quoted = tuple[int, Address, bytes]


def parse(data: Buffer, l4: int, end: int) -> Quoted | DropReason:
    """The flow that the error at l4 is about. BAD_ICMP, BAD_ICMP_CHECKSUM, NAT_NO_MAPPING for an untranslated type.

    The quoted header must be whole with 8 bytes after it (RFC 792) and no later fragment; its checksum is not judged,
    for routers quote packets whose TTL they have changed.
    """
    parsed = icmpv4.parse(data, l4, end)
    if isinstance(parsed, DropReason):
        return parsed
    if parsed[0] not in TRANSLATED_TYPES:
        return DropReason.NAT_NO_MAPPING
    quoted = l4 + icmpv4.HEADER_LEN
    if end - quoted < ipv4.HEADER_LEN + 8:
        return DropReason.BAD_ICMP
    protocol = data[quoted + 9]
    inner_l4 = quoted + (data[quoted] & 15) * 4
    if data[quoted] >> 4 != 4 or inner_l4 < quoted + ipv4.HEADER_LEN or inner_l4 + 8 > end:
        return DropReason.BAD_ICMP
    if _HALF.unpack_from(data, quoted + 6)[0] & ipv4.OFFSET_MASK or protocol not in _CHECKSUM_AT:
        return DropReason.NAT_NO_MAPPING
    if protocol == ipv4.ICMP and data[inner_l4] not in (icmpv4.ECHO_REQUEST, icmpv4.ECHO_REPLY):
        return DropReason.NAT_NO_MAPPING
    key = flow_keys.answer(data, quoted, inner_l4, protocol)
    return protocol, key[4:8], key


def translate(error: Buffer, l4: int, source: Address, destination: Address, wire: bytes, l4_delta: int) -> bytes:
    """The whole error with new outer addresses and TTL - 1, its quoted packet with the addresses and ports of `wire`.

    error: the IPv4 packet, which `parse` has taken. l4_delta: the sum to add to the quoted transport checksum, where
    enough of it is quoted. Outer options are kept.
    """
    packet = bytearray(error)
    quoted = l4 + icmpv4.HEADER_LEN
    inner_l4 = quoted + (packet[quoted] & 15) * 4
    protocol = packet[quoted + 9]
    old = sum(_PORTS.unpack_from(packet, quoted + 12) + _PORTS.unpack_from(packet, quoted + 16))
    new = sum(_PORTS.unpack_from(wire) + _PORTS.unpack_from(wire, 4))
    checksum = _HALF.unpack_from(packet, quoted + 10)[0]
    _HALF.pack_into(packet, quoted + 10, (checksum + old - new) % 0xFFFF)
    ipv4.set_addresses(packet, quoted, wire[:8])
    at = inner_l4 + _CHECKSUM_AT[protocol]
    if at + 2 <= len(packet):
        checksum = _HALF.unpack_from(packet, at)[0]
        if protocol != ipv4.UDP:
            _HALF.pack_into(packet, at, (checksum + l4_delta) % 0xFFFF)
        elif checksum:
            _HALF.pack_into(packet, at, (checksum + l4_delta) % 0xFFFF or 0xFFFF)
    if protocol == ipv4.ICMP:
        packet[inner_l4 + 4 : inner_l4 + 6] = wire[8:]
    else:
        packet[inner_l4 : inner_l4 + 4] = wire[8:]
    icmp_type, code, _, rest = icmpv4.HEADER.unpack_from(packet, l4)
    packet[l4:] = icmpv4.build(icmp_type, code, rest, bytes(packet[quoted:]))
    packet[8] -= 1
    ipv4.set_addresses(packet, 0, source + destination)
    packet[:l4] = ipv4.with_checksum(bytes(packet[:l4]))
    return bytes(packet)
