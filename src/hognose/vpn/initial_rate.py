"""Limits on packets that belong to no session, by their source and in all.

OpenVPN answers `connect-freq-initial` hard resets of all clients together, so that forged ones lock all clients out.
Here a prefix has a share of its own. Over that, and over the limit of all, a packet is only remembered, and one that
comes again from the same address with the same session id after 0.8 to 4.8 s passes, within budgets of their own: a
client repeats its hard reset after 1 to 2.5 s, the forged sources of a flood do not repeat theirs, or at once.
router/syn_sieve.py does so for SYNs.
"""

from __future__ import annotations

from array import array

from hognose.base.fair_table import prefix_of
from hognose.base.rate import FixedWindow, KeyedWindow
from hognose.units import MS, SECOND, Nanos

PREFIXES = 4096  # that are counted in a second; packets of further ones pass as over the limit of all
PER_PREFIX = 20  # packets in a second
REPEATS_PER_PREFIX = 200  # likewise, repeated ones: forged packets of a prefix do not lock its hosts out
_PLACE_BITS = 18
PLACES = 1 << _PLACE_BITS  # of 4 bytes, which exist only while packets are over the limit
SLOT: Nanos = 200 * MS
FLOOD_LIFE: Nanos = 5 * SECOND  # after the last packet over the limit
_RIPE, _OVERRIPE = 5, 24  # slots between a packet and its repetition
_SLOT_MASK = 0x3FF
_MARK_MASK = 0xFFFFFFFF & ~_SLOT_MASK


class InitialRate:
    """Decides which packets of one kind are worth work.

    Bounds: `most` packets in `length`, as many repeated ones; of a prefix in a second PER_PREFIX, and of repeated ones
    REPEATS_PER_PREFIX; PREFIXES, PLACES.
    """

    __slots__ = ("_all", "_flood_at", "_key", "_length", "_most", "_prefixes", "_repeats", "_repeats_of", "_seen")

    def __init__(self, most: int, length: Nanos, secret: bytes, now: Nanos) -> None:
        """secret: keeps senders from choosing places in the table."""
        self._most = most
        self._length = length
        self._key = secret[:8]
        self._all = FixedWindow(now)
        self._repeats = FixedWindow(now)
        self._prefixes = KeyedWindow(now)
        self._repeats_of = KeyedWindow(now)  # a prefix; PREFIXES of them
        self._flood_at: Nanos = 0
        self._seen: array[int] | None = None

    def allows(self, key: bytes, session_id: bytes, now: Nanos) -> bool:
        """Count a packet and say whether it is worth work; key: address and port of its source as on the wire."""
        prefixes = self._prefixes
        prefixes.begins(now)
        prefix = prefix_of(key)
        known = len(prefixes) < PREFIXES or prefixes.knows(prefix)
        if known and prefixes.count(prefix) <= PER_PREFIX and self._all.count(now, self._length) <= self._most:
            self._calm(now)
            return True
        if not self._is_repeat(key + session_id, now):
            return False
        repeats_of = self._repeats_of  # its prefix first: those of one do not use up what all have
        repeats_of.begins(now)
        known = len(repeats_of) < PREFIXES or repeats_of.knows(prefix)
        if not known or repeats_of.count(prefix) > REPEATS_PER_PREFIX:
            return False
        return self._repeats.count(now, self._length) <= self._most

    def _calm(self, now: Nanos) -> None:
        if self._seen is not None and now - self._flood_at > FLOOD_LIFE:
            self._seen = None

    def _is_repeat(self, ident: bytes, now: Nanos) -> bool:
        """Remember a packet; True when it came before, and not just now."""
        self._flood_at = now
        if self._seen is None:
            self._seen = array("I", [0]) * PLACES
        spot = hash(self._key + ident)
        place = spot & PLACES - 1
        mark = spot >> _PLACE_BITS & _MARK_MASK | now // SLOT & _SLOT_MASK
        age = mark - self._seen[place]  # in slots, if it is the same packet
        if not 0 <= age < _RIPE:  # one that comes at once does not make the first look younger
            self._seen[place] = mark
        return _RIPE <= age < _OVERRIPE
