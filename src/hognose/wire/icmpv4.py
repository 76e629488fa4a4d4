"""ICMP for IPv4 (RFC 792): type(1) code(1) checksum(2) rest of header(4) payload.

The rest of header is one int: identifier and sequence number of an echo, next-hop MTU in the low 16 bits of
"fragmentation needed" (RFC 1191 section 4).
"""

from __future__ import annotations

from struct import Struct

from hognose.drops import DropReason
from hognose.units import Buffer
from hognose.wire.checksum import ones_sum

ECHO_REPLY = 0
UNREACHABLE = 3
SOURCE_QUENCH = 4
REDIRECT = 5
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12

# Codes of UNREACHABLE (RFC 792, RFC 1812 section 5.2.7.1)
NET_UNREACHABLE = 0
HOST_UNREACHABLE = 1
PROTOCOL_UNREACHABLE = 2
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4
ADMIN_PROHIBITED = 13

# Codes of TIME_EXCEEDED
TTL_EXCEEDED = 0
REASSEMBLY_TIMEOUT = 1

LEAST_MTU = 68  # that a link has (RFC 791 section 3.2)

HEADER_LEN = 8
HEADER = Struct(">BBHI")

# The sizes of links that there are, without those above 64 KiB and below 68 (RFC 1191 section 7.1).
_PLATEAUS = (32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68)
_ERRORS = frozenset((UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM))


def is_error(icmp_type: int) -> bool:
    """True for types that quote a packet; never answered with another error (RFC 1122 section 3.2.2)."""
    return icmp_type in _ERRORS


def next_hop_mtu(told: int, length: int) -> int:
    """The MTU of the link for which a packet of `length` bytes was too large; 0 when the message cannot be true.

    told: by the message. Routers from before RFC 1191 say 0: it is the next smaller plateau then (section 5).
    """
    if not told:
        return next((size for size in _PLATEAUS if size < length), 0)
    return told if LEAST_MTU <= told < length else 0


def parse(data: Buffer, l4: int, end: int) -> tuple[int, int, int] | DropReason:
    """(type, code, rest) of the message at l4 … end with its checksum verified, else BAD_ICMP, BAD_ICMP_CHECKSUM."""
    if end - l4 < HEADER_LEN:
        return DropReason.BAD_ICMP
    icmp_type, code, checksum, rest = HEADER.unpack_from(data, l4)
    if ones_sum(data[l4:end]) or not (checksum or icmp_type or code or rest or any(data[l4:end])):  # see build
        return DropReason.BAD_ICMP_CHECKSUM
    return icmp_type, code, rest


def build(icmp_type: int, code: int, rest: int, payload: bytes) -> bytes:
    """A message with its checksum; rest is the 32-bit second word."""
    field = -((icmp_type << 8) + code + rest + ones_sum(payload)) % 0xFFFF
    if not (field or icmp_type or code or rest or any(payload)):
        field = 0xFFFF  # without a pseudo-header a message can be all zero, and is not valid with a zero field
    return HEADER.pack(icmp_type, code, field, rest) + payload
