# hot
"""Filter of a flood of SYNs: while the half-open table overflows, SYNs repeated after 0.4 to 4.4 s are answered.

Each SYN is filtered before anything is done for it. First SYNs are answered within a budget; beyond it they are only
remembered. A client's TCP repeats its SYN a second later (RFC 6298 section 2 and 5.5); the forged sources of a flood do
not repeat theirs, or repeat them at once. A keyed hash of addresses, ports and sequence number gives a place in a
table. Its entry holds a mark of the SYN and the slot of time in which it came last, and replaces the entry before.
Bounds: a budget per second of first SYNs and one of repeated ones; PLACES words, which exist only during a flood.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from hognose.link import L3_OFFSET
from hognose.units import MS, SECOND, Nanos, Port
from hognose.wire import ipv4
from hognose.wire.tcp import SYN

_PLACE_BITS = 20
PLACES = 1 << _PLACE_BITS  # of 4 bytes; at 100,000 SYNs a second 1 client in 10 is forgotten within a second
SLOT: Nanos = 400 * MS
FLOOD_LIFE: Nanos = 2 * SECOND  # after the last overflow of the half-open table
BURST: Nanos = 250 * MS  # the share of a budget that can be saved up
# Slots between a SYN and its repeat: 0.4 to 4.4 s, the first three repeats, after 1, 2 and 4 s more.
_RIPE, _OVERRIPE = 2, 11
_KEY_LEN = 8
_PLACE_MASK = PLACES - 1
_SLOT_MASK = 0x3FF  # in 7 minutes once a repeat is taken for a first one
_MARK_MASK = 0xFFFFFFFF & ~_SLOT_MASK

# A SYN without IP options after the vnet header.
_L4_OFFSET = L3_OFFSET + 20
_LEAST = _L4_OFFSET + 20
_TYPE_AND_VERSION = slice(L3_OFFSET - 2, L3_OFFSET + 1)
_PLAIN_IPV4 = b"\x08\x00\x45"
_PROTOCOL = L3_OFFSET + 9
_IDENT = slice(L3_OFFSET + 12, _L4_OFFSET + 8)  # addresses, ports, sequence number
_PORT = slice(_L4_OFFSET + 2, _L4_OFFSET + 4)
_FLAGS = _L4_OFFSET + 13


class SynSieve:
    """Decides which SYNs cost an answer while the half-open table overflows."""

    __slots__ = (
        "_began_at",
        "_come",
        "_firsts",
        "_key",
        "_per_second",
        "_ports",
        "_repeats",
        "_seen",
        "_slot",
        "_thin",
    )

    def __init__(self, ports: Iterable[Port], per_second: int, secret: bytes) -> None:
        self._ports = frozenset(port.to_bytes(2, "big") for port in ports)
        self._per_second = per_second
        self._key = secret[:_KEY_LEN]
        self._began_at: Nanos = 0
        self._firsts = self._repeats = 0.0
        self._come = 0  # SYNs dropped in this slot
        self._thin = 1.0  # part of the budget of first ones, the less the more come
        self._slot = 0
        self._seen: array[int] | None = None

    @property
    def sifts(self) -> bool:
        """True while SYNs flood: what the last `begin` returned."""
        return self._seen is not None

    def begin(self, overflow_at: Nanos, now: Nanos) -> bool:
        """Prepare for a batch of frames; True when it must be sifted. overflow_at: of the half-open table, last."""
        if now - overflow_at > FLOOD_LIFE:
            self._seen = None
            return False
        most = self._per_second * BURST / SECOND
        if self._seen is None:
            self._seen = array("I", [0]) * PLACES
            self._slot = now // SLOT
            self._began_at = now
            self._firsts = self._repeats = most
            self._come = 0
            self._thin = 1.0
        if now // SLOT != self._slot:
            self._slot = now // SLOT
            allowed = self._per_second * SLOT / SECOND
            self._thin = min(1.0, (allowed / self._come) ** 2) if self._come else 1.0
            self._come = 0
        elapsed = now - self._began_at
        self._began_at = now
        self._repeats = min(most, self._repeats + elapsed * self._per_second / SECOND)
        self._firsts = min(most, self._firsts + elapsed * self._per_second * self._thin / SECOND)
        return True

    def sift(self, frames: list[bytes]) -> list[bytes]:
        """The frames without SYNs that are not to be answered; after `begin`, if that said so."""
        seen, slot, key, ports = self._seen, self._slot & _SLOT_MASK, self._key, self._ports
        assert seen is not None
        firsts, repeats = self._firsts, self._repeats
        kept: list[bytes] = []
        keep = kept.append
        for frame in frames:
            if (
                len(frame) >= _LEAST
                and frame[_FLAGS] & 0x3F == SYN
                and frame[_PORT] in ports
                and frame[_PROTOCOL] == ipv4.TCP
                and frame[_TYPE_AND_VERSION] == _PLAIN_IPV4
            ):
                spot = hash(key + frame[_IDENT])  # SipHash; the key in front keeps senders from choosing places
                place = spot & _PLACE_MASK
                mark = spot >> _PLACE_BITS & _MARK_MASK | slot
                age = mark - seen[place]  # in slots, if it is the same SYN
                seen[place] = mark
                if age < 0 or age >= _OVERRIPE:
                    if firsts >= 1:
                        firsts -= 1
                        keep(frame)
                elif age >= _RIPE and repeats >= 1:
                    repeats -= 1
                    keep(frame)
            else:
                keep(frame)
        self._firsts, self._repeats = firsts, repeats
        self._come += len(frames) - len(kept)
        return kept
