"""Sequence numbers: the only place with arithmetic modulo 2**32 (RFC 9293 section 3.4).

Inside the engine a connection counts each direction in stream positions: plain ints that start at 0 for the SYN and
never wrap. The wire's number of a position is `wire(initial, position)`; the position of a received number is the one
nearest to a position already known.
"""

from __future__ import annotations

MASK = 0xFFFFFFFF
HALF = 0x80000000


def wire(initial: int, position: int) -> int:
    """32-bit number of a stream position."""
    return (initial + position) & MASK


def position(initial: int, number: int, near: int) -> int:
    """Stream position of a received number: the one within half the number space of `near`; may be negative."""
    return near + ((number - initial - near + HALF) & MASK) - HALF


def positions(initial: int, pairs: tuple[tuple[int, int], ...], near: int) -> list[tuple[int, int]]:
    """Stream positions of pairs of received numbers, as `position` has them."""
    offset = HALF - initial - near
    back = near - HALF
    found = []
    for left, right in pairs:
        found.append((back + ((left + offset) & MASK), back + ((right + offset) & MASK)))
    return found


def before(a: int, b: int) -> bool:
    """True when 32-bit number a comes before b; for numbers that belong to no stream yet."""
    return ((a - b) & MASK) >= HALF
