"""The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

Sums are kept as ints modulo 0xffff where 0 and 0xffff are the same number; `finish` makes the 16-bit field.
Python's big-int remainder does the ones-complement sum: 2**16 is 1 modulo 0xffff.
"""

from __future__ import annotations

from hognose.units import Buffer


def ones_sum(data: Buffer, start: int = 0) -> int:
    """Ones-complement sum of 16-bit words plus `start`, 0 … 0xfffe; an odd last byte is the high one (RFC 1071).

    Big-endian words. Folding the big int in halves first is a third cheaper at 1400 bytes than one remainder.
    """
    size = len(data)
    value = int.from_bytes(data, "big")
    if size & 1:
        value <<= 8
        size += 1
    while size > 256:
        half = (size // 4) * 2  # an even number of bytes, so that words stay aligned
        bits = half * 8
        value = (value >> bits) + (value & ((1 << bits) - 1))
        size = size - half + 2
    return (value + start) % 0xFFFF


def finish(total: int) -> int:
    """Checksum field for a sum (any int): its complement, 0 … 0xfffe; UDP writes 0xffff for 0 (RFC 768).

    A sum of zero gives field 0, which is what every stack writes for data that is not all zero (RFC 1624 section 3).
    """
    return -total % 0xFFFF


def is_valid(data: Buffer, start: int = 0) -> bool:
    """True when the words including the checksum field sum to ones-complement zero; `start` as in ones_sum."""
    return ones_sum(data, start) == 0


def pseudo_sum(source: int, destination: int, protocol: int, length: int) -> int:
    """Sum of the IPv4 pseudo-header (RFC 9293 section 3.1); length is that of the L4 header and payload."""
    return (
        (source >> 16) + (source & 0xFFFF) + (destination >> 16) + (destination & 0xFFFF) + protocol + length
    ) % 0xFFFF


def update(field: int, old: int, new: int) -> int:
    """Checksum field after words summing to `old` became words summing to `new` (RFC 1624 equation 3).

    HC' = ~(~HC + ~m + m'), 0 … 0xfffe; modulo 0xffff a complement is a minus. The result is never "repaired": a wrong
    field stays wrong by the same amount.
    """
    return (field + old - new) % 0xFFFF
