"""Aliases and constants that give plain ints their units; everything in the core is one of these."""

from __future__ import annotations

from collections.abc import Callable

Nanos = int  # monotonic time in nanoseconds; only differences mean anything
UnixSeconds = int  # wall clock, seconds since 1970
Port = int  # 0 … 65535
Random = Callable[[int], bytes]  # n -> n unpredictable bytes
Buffer = bytes | bytearray | memoryview

US: Nanos = 1_000
MS: Nanos = 1_000_000
SECOND: Nanos = 1_000_000_000

# Protocol numbers of the IPv4 header (IANA).
ICMP = 1
TCP = 6
UDP = 17

KIB = 1024
MIB = 1024 * 1024
