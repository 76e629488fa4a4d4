"""ARP for IPv4 over Ethernet (RFC 826): hardware 1, protocol 0x0800, lengths 6 and 4, operation, SHA SPA THA TPA."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from hognose.address import Address
from hognose.units import Buffer

PACKET = Struct(">HHBBH6s4s6s4s")
_FIELDS = Struct(">6sH6s4s6s4s")
_ETHERNET_AND_IPV4 = b"\x00\x01\x08\x00\x06\x04"
REQUEST = 1
REPLY = 2


class Arp(NamedTuple):
    """One ARP packet; hardware addresses are 6 bytes, protocol addresses 4."""

    operation: int
    sender_mac: bytes
    sender: Address
    target_mac: bytes
    target: Address


def parse(data: Buffer, offset: int = 0) -> Arp | None:
    """The packet at offset, or None when it is short or not Ethernet/IPv4."""
    if len(data) - offset < PACKET.size:
        return None
    kind, operation, sha, spa, tha, tpa = _FIELDS.unpack_from(data, offset)
    if kind != _ETHERNET_AND_IPV4 or operation not in (REQUEST, REPLY):
        return None
    return tuple.__new__(Arp, (operation, sha, spa, tha, tpa))  # a NamedTuple's own __new__ is a call more


def build(operation: int, sender_mac: bytes, sender: Address, target_mac: bytes, target: Address) -> bytes:
    """A packet of 28 bytes."""
    return PACKET.pack(1, 0x0800, 6, 4, operation, sender_mac, sender, target_mac, target)
