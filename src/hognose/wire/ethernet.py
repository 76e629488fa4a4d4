"""Ethernet II header: destination(6) source(6) type(2)."""

from __future__ import annotations

from struct import Struct

HEADER = Struct(">6s6sH")

TYPE_IPV4 = 0x0800
TYPE_ARP = 0x0806
TYPE_IPV6 = 0x86DD

BROADCAST = b"\xff" * 6


def build(destination: bytes, source: bytes, ethertype: int) -> bytes:
    """A 14-byte header; addresses are 6 bytes each."""
    return HEADER.pack(destination, source, ethertype)
