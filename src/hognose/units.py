"""Aliases and constants that give plain ints their units; everything in the core is one of these."""

from __future__ import annotations

from collections.abc import Callable

Nanos = int  # monotonic time in nanoseconds; only differences mean anything
UnixSeconds = int  # wall clock, seconds since 1970
Ipv4Int = int  # an IPv4 address as 0 … 2**32-1, host value of the network-order bytes
Port = int  # 0 … 65535
Random = Callable[[int], bytes]  # n -> n unpredictable bytes
Buffer = bytes | bytearray | memoryview

US: Nanos = 1_000
MS: Nanos = 1_000_000
SECOND: Nanos = 1_000_000_000

KIB = 1024
MIB = 1024 * 1024


def ipv4_text(address: Ipv4Int) -> str:
    """Dotted-quad form of an address, for events and logs only."""
    return f"{address >> 24 & 255}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"


def ipv4_int(text: str) -> Ipv4Int:
    """Value of a dotted quad; ValueError unless it is four decimal numbers 0 … 255 without leading zeros."""
    parts = text.split(".")
    if len(parts) != 4:
        raise ValueError(f"not an IPv4 address: {text!r}")
    value = 0
    for part in parts:
        if not (part.isascii() and part.isdigit()) or len(part) > 3 or (len(part) > 1 and part[0] == "0"):
            raise ValueError(f"not an IPv4 address: {text!r}")
        if int(part) > 255:
            raise ValueError(f"not an IPv4 address: {text!r}")
        value = value << 8 | int(part)
    return value


def netmask(prefix_len: int) -> Ipv4Int:
    """Netmask of a prefix length 0 … 32."""
    return (0xFFFFFFFF << (32 - prefix_len)) & 0xFFFFFFFF
