"""UDP (RFC 768): source port(2) destination port(2) length(2) checksum(2) payload; checksum 0 means none."""

from __future__ import annotations

from struct import Struct

from hognose.address import Address
from hognose.drops import DropReason
from hognose.units import UDP, Buffer, Port
from hognose.wire import ipv4
from hognose.wire.checksum import ones_sum, pseudo_sum

HEADER_LEN = 8
HEADER = Struct(">HHHH")
CHECKSUM_OFFSET = 6
_TAIL = Struct(">HH")


def parse(data: Buffer, l4: int, end: int) -> tuple[Port, Port, int, int] | DropReason:
    """(source port, destination port, length, checksum); NAT_BAD_PACKET when short or length is out of range.

    length counts the header; it may be less than the IP payload (RFC 768 does not forbid bytes after the datagram).
    """
    if end - l4 < HEADER_LEN:
        return DropReason.NAT_BAD_PACKET
    sport, dport, length, checksum = HEADER.unpack_from(data, l4)
    if length < HEADER_LEN or l4 + length > end:
        return DropReason.NAT_BAD_PACKET
    return sport, dport, length, checksum


def build(source: Address, destination: Address, sport: Port, dport: Port, payload: bytes) -> bytes:
    """Header with checksum and payload; payload at most 65507 bytes."""
    length = HEADER_LEN + len(payload)
    total = pseudo_sum(source, destination, UDP, length) + sport + dport + length + ones_sum(payload)
    return HEADER.pack(sport, dport, length, -total % 0xFFFF or 0xFFFF) + payload


def heads(local: bytes, remote: bytes, size: int, ident: int = 0, tos: int = 0) -> bytes:
    """IPv4 and UDP header in front of a payload of `size` bytes, whose checksum the device completes.

    local, remote: address and port as on the wire, 6 bytes. ident 0: DF is set, and the id means nothing (RFC 6864
    section 4.1); another one: of a packet that may be cut.
    """
    length = HEADER_LEN + size
    source, destination = local[:-2], remote[:-2]
    head = ipv4.build(source, destination, UDP, length, ident=ident, tos=tos, dont_fragment=not ident)
    return head + local[-2:] + remote[-2:] + _TAIL.pack(length, pseudo_sum(source, destination, UDP, length))
