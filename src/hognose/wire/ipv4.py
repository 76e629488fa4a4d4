# hot
"""The IPv4 header (RFC 791): validation at an offset, and building.

Layout: version/IHL(1) TOS(1) total length(2) ID(2) flags/fragment offset(2) TTL(1) protocol(1) checksum(2) source(4)
destination(4) options. Knows no addresses of ours and no policy besides the refusal of source routes.
"""

from __future__ import annotations

from struct import Struct

from hognose.address import Address
from hognose.drops import DropReason
from hognose.units import ICMP, TCP, UDP, Buffer
from hognose.wire.checksum import ones_sum

__all__ = [
    "DONT_FRAGMENT",
    "FRAGMENTED",
    "HEADER",
    "HEADER_LEN",
    "ICMP",
    "MORE_FRAGMENTS",
    "OFFSET_MASK",
    "OPTION_COPIED",
    "OPTION_END",
    "OPTION_NOP",
    "TCP",
    "UDP",
    "Parsed",
    "build",
    "check_options",
    "destination",
    "parse",
    "source",
    "with_checksum",
]  # fmt: skip

HEADER_LEN = 20
DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
OFFSET_MASK = 0x1FFF  # in units of 8 bytes
FRAGMENTED = MORE_FRAGMENTS | OFFSET_MASK  # any of these bits: the packet is a fragment

OPTION_END = 0
OPTION_NOP = 1
OPTION_LOOSE_SOURCE_ROUTE = 131
OPTION_STRICT_SOURCE_ROUTE = 137
OPTION_COPIED = 0x80  # stands in every fragment (RFC 791 section 3.1)

HEADER = Struct(">BBHHHBBH4s4s")
_WORDS = Struct(">IIIII")
_HEAD = Struct(">III4s4s")

# (l4 offset, end, protocol, flags+fragment offset word, source, destination)
Parsed = tuple[int, int, int, int, Address, Address]


def parse(data: Buffer, l3: int, end: int) -> Parsed | DropReason:
    """Validate the header at l3 of a packet that ends before `end` at the latest (RFC 1122 section 3.2.1).

    The result's end is l3 + total length: padding after it is cut. Offsets count in `data`. TTL is data[l3 + 8] and
    not judged here. Reasons: BAD_IP_HEADER, BAD_IP_CHECKSUM, IP_OPTIONS_SOURCE_ROUTE.
    """
    if end - l3 < HEADER_LEN:
        return DropReason.BAD_IP_HEADER
    first, second, third, from_word, to_word = _WORDS.unpack_from(data, l3)
    total_len = first & 0xFFFF
    if first >> 24 != 0x45:
        return _parse_with_options(data, l3, end)
    if total_len < HEADER_LEN or l3 + total_len > end:
        return DropReason.BAD_IP_HEADER
    if (first + second + third + from_word + to_word) % 0xFFFF:  # 32-bit words: 2**16 is 1 modulo 0xffff
        return DropReason.BAD_IP_CHECKSUM
    addresses = bytes(data[l3 + 12 : l3 + HEADER_LEN])
    return l3 + HEADER_LEN, l3 + total_len, third >> 16 & 0xFF, second & 0xFFFF, addresses[:4], addresses[4:]


def _parse_with_options(data: Buffer, l3: int, end: int) -> Parsed | DropReason:
    """`parse` for a header with options or of a wrong version."""
    header_len = (data[l3] & 15) * 4
    _, _, total_len, _, fragment, _, protocol, _, source, destination = HEADER.unpack_from(data, l3)
    if data[l3] >> 4 != 4 or header_len < HEADER_LEN or total_len < header_len or l3 + total_len > end:
        return DropReason.BAD_IP_HEADER
    header = bytes(data[l3 : l3 + header_len])
    if ones_sum(header):
        return DropReason.BAD_IP_CHECKSUM
    reason = check_options(header[HEADER_LEN:])
    if reason:
        return reason
    return l3 + header_len, l3 + total_len, protocol, fragment, source, destination


def source(data: Buffer, l3: int = 0) -> Address:
    """The source address of the packet at l3."""
    return bytes(data[l3 + 12 : l3 + 16])


def destination(data: Buffer, l3: int = 0) -> Address:
    """The destination address of the packet at l3."""
    return bytes(data[l3 + 16 : l3 + 20])


def check_options(options: bytes) -> DropReason:
    """NONE, or the reason to refuse a packet with these options: a length out of range, or a source route.

    Source routes are refused as every router does today (RFC 7126 sections 4.3 and 4.4); other options pass untouched.
    """
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == OPTION_END:
            break
        if kind == OPTION_NOP:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2 or at + options[at + 1] > len(options):
            return DropReason.BAD_IP_HEADER
        if kind in (OPTION_LOOSE_SOURCE_ROUTE, OPTION_STRICT_SOURCE_ROUTE):
            return DropReason.IP_OPTIONS_SOURCE_ROUTE
        at += options[at + 1]
    return DropReason.NONE


def build(
    source: Address,
    destination: Address,
    protocol: int,
    payload_len: int,
    *,
    ident: int = 0,
    ttl: int = 64,
    tos: int = 0,
    dont_fragment: bool = True,
) -> bytes:
    """A 20-byte header with its checksum, for payload_len (0 … 65515) bytes of payload.

    ident: the caller's counter modulo 2**16; with dont_fragment it has no meaning (RFC 6864 section 4.1).
    """
    first = 0x45000000 | tos << 16 | HEADER_LEN + payload_len
    second = ident << 16 | (DONT_FRAGMENT if dont_fragment else 0)
    third = ttl << 24 | protocol << 16
    addresses = int.from_bytes(source, "big") + int.from_bytes(destination, "big")
    third |= -(first + second + third + addresses) % 0xFFFF
    return _HEAD.pack(first, second, third, source, destination)


def with_checksum(header: bytes) -> bytes:
    """The same header (20 … 60 bytes, options included) with its checksum field recomputed."""
    bare = header[:10] + b"\0\0" + header[12:]
    return header[:10] + (-ones_sum(bare) % 0xFFFF).to_bytes(2, "big") + header[12:]


def set_addresses(packet: bytearray, l3: int, both: bytes) -> None:
    """Put source and destination, 8 bytes, into the header at l3; the caller sees to the checksum."""
    packet[l3 + 12 : l3 + 20] = both
