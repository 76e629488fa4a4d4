"""The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

Sums are kept as ints modulo 0xffff where 0 and 0xffff are the same number. A checksum field is the complement of a sum,
-sum % 0xffff: a sum of zero gives field 0, as in every stack for data that is not all zero (RFC 1624 section 3); UDP
writes 0xffff for 0 (RFC 768). Data with its field in it sums to zero. Python's big-int remainder does the
ones-complement sum: 2**16 is 1 modulo 0xffff.
"""

from __future__ import annotations

from hognose.address import Address
from hognose.units import Buffer

# Masks of the last foldings, 8 * n bits for n bytes; n is even, so that words stay aligned.
_MASK_704 = (1 << 8 * 704) - 1
_MASK_352 = (1 << 8 * 352) - 1
_MASK_176 = (1 << 8 * 176) - 1
_MASK_88 = (1 << 8 * 88) - 1


def ones_sum(data: Buffer, start: int = 0) -> int:
    """Ones-complement sum of 16-bit words plus `start`, 0 … 0xfffe; an odd last byte is the high one (RFC 1071).

    Big-endian words. Folding the big int before the remainder, with masks made once, takes 1.3 µs instead of 2.1 µs at
    1400 bytes (tests/bench/bench_nat.py); 0.65 µs of it makes the int.
    """
    size = len(data)
    value = int.from_bytes(data, "big")
    if size & 1:
        value <<= 8
    if size > 160:
        if size > 1408:
            value = _fold(value, size, 1408)
        if size > 704:
            value = (value >> 5632) + (value & _MASK_704)
        if size > 352:
            value = (value >> 2816) + (value & _MASK_352)
        value = (value >> 1408) + (value & _MASK_176)
        value = (value >> 704) + (value & _MASK_88)
    return (value + start) % 0xFFFF


def ones_sum_all(buffers: list[bytes], start: int = 0) -> int:
    """Ones-complement sum of several buffers (at least one), each as if padded to whole words, plus `start`.

    All but the last must have one size. Adding the big ints before folding costs 0.85 µs per 1400 bytes, where
    ones_sum of each costs 1.4 µs.
    """
    total = ones_sum(buffers[-1], start)
    if len(buffers) == 1:
        return total
    value = 0
    size = len(buffers[0])
    from_bytes = int.from_bytes
    for buffer in buffers[:-1]:
        value += from_bytes(buffer, "big")
    if size & 1:
        value <<= 8
    # Each addition carries at most one bit: 8 bytes more hold any number of buffers.
    return (_fold(value, size + 8, 64) + total) % 0xFFFF


def _fold(value: int, size: int, enough: int) -> int:
    """A number of at most about `enough` bytes that is the same modulo 0xffff; value has at most `size` bytes."""
    while size > enough:
        half = (size + 3) // 4 * 2
        bits = half * 8
        value = (value >> bits) + (value & ((1 << bits) - 1))
        size = half + 2
    return value


def pseudo_sum(source: Address, destination: Address, protocol: int, length: int) -> int:
    """Sum of the pseudo-header of IPv4 (RFC 9293 section 3.1) or IPv6 (RFC 8200 section 8.1).

    length: of the L4 header and payload.
    """
    return (int.from_bytes(source, "big") + int.from_bytes(destination, "big") + protocol + length) % 0xFFFF


def update(field: int, old: int, new: int) -> int:
    """Checksum field after words summing to `old` became words summing to `new` (RFC 1624 equation 3).

    HC' = ~(~HC + ~m + m'), 0 … 0xfffe; modulo 0xffff a complement is a minus. The result is never "repaired": a wrong
    field stays wrong by the same amount.
    """
    return (field + old - new) % 0xFFFF
