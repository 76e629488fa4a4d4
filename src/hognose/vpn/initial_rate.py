"""Limits on packets that belong to no session, by their source and in all.

OpenVPN answers `connect-freq-initial` hard resets of all clients together, so that forged ones lock all clients out.
Here a prefix has a share of its own. Over that, and over the limit of all, a packet is only remembered, and one that
comes again from the same address with the same session id after 0.8 to 4.8 s passes, within budgets of their own: a
client repeats its hard reset after 1 to 2.5 s, the forged sources of a flood do not repeat theirs, or at once.
router/syn_sieve.py does so for SYNs. While a flood lasts vpn/datagram_sieve.py asks here before a step, too.
"""

from __future__ import annotations

from array import array

from hognose.base.fair_table import prefix_of
from hognose.base.rate import FixedWindow, KeyedWindow
from hognose.units import MS, SECOND, Nanos

PREFIXES = 4096  # that are counted in a second; packets of further ones pass as over the limit of all
PER_PREFIX = 20  # packets in a second
REPEATS_PER_PREFIX = 200  # likewise, repeated ones: forged packets of a prefix do not lock its hosts out
_PLACE_BITS = 20
PLACES = 1 << _PLACE_BITS  # of 4 bytes, which exist only while packets are over the limit
SLOT: Nanos = 200 * MS
FLOOD_LIFE: Nanos = 5 * SECOND  # after the last packet over the limit
_RIPE, _OVERRIPE = 5, 24  # slots between a packet and its repetition
_SLOT_MASK = 0x3FF
_MARK_MASK = 0xFFFFFFFF & ~_SLOT_MASK


class InitialRate:
    """Decides which packets of one kind are worth work.

    Bounds: `most` packets in `length`, as many repeated ones; of a prefix in a second PER_PREFIX, and of repeated ones
    REPEATS_PER_PREFIX; PREFIXES, PLACES. Of first ones fewer pass the filter before a step, the fewer the more come.
    """

    __slots__ = (
        "_all", "_begun_at", "_come", "_firsts", "_flood_at", "_key", "_length", "_most", "_passed", "_prefixes",
        "_repeats", "_repeats_of", "_seen", "_slot",
    )  # fmt: skip

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
        # Before a step: repeated ones that have passed since `begin`, and first ones that may pass in its slot.
        self._passed: set[bytes] = set()
        self._begun_at: Nanos = now
        self._slot = 0
        self._come = self._firsts = 0

    def allows(self, key: bytes, session_id: bytes, now: Nanos, *, in_time: bool = True) -> bool:
        """Count a packet and say whether it is worth work; key: address and port of its source as on the wire.

        in_time: there is time for one that is no repetition.
        """
        ident = key + session_id
        if ident in self._passed:
            self._passed.remove(ident)
            return True
        prefixes = self._prefixes
        prefixes.begins(now)
        prefix = prefix_of(key)
        known = len(prefixes) < PREFIXES or prefixes.knows(prefix)
        if (
            known
            and prefixes.count(prefix) <= PER_PREFIX
            and in_time
            and self._all.count(now, self._length) <= self._most
        ):
            self.calm(now)
            return True
        self._flood_at = now
        return self._is_repeat(ident, now // SLOT) and self._allows_repeat(prefix, now)

    def _allows_repeat(self, prefix: bytes, now: Nanos) -> bool:
        repeats_of = self._repeats_of  # its prefix first: those of one do not use up what all have
        repeats_of.begins(now)
        known = len(repeats_of) < PREFIXES or repeats_of.knows(prefix)
        if not known or repeats_of.count(prefix) > REPEATS_PER_PREFIX:
            return False
        return self._repeats.count(now, self._length) <= self._most

    # -- before a step -----------------------------------------------------------------------------------------------

    def begin(self, now: Nanos) -> None:
        """Prepare `passes` for a batch of packets."""
        self._begun_at = now
        self._passed.clear()
        slot = now // SLOT
        if slot != self._slot:
            allowed = max(1, self._most * SLOT // self._length)
            come = self._come if slot == self._slot + 1 else 0
            self._firsts = allowed * allowed // max(come, allowed)
            self._slot = slot
            self._come = 0

    def passes(self, ident: bytes) -> bool:
        """Say whether a packet is worth a step; ident: address and port of its source, and its session id."""
        self._come += 1
        if self._is_repeat(ident, self._slot):
            if not self._allows_repeat(prefix_of(ident), self._begun_at):
                return False
            self._passed.add(ident)
            return True
        self._firsts -= 1
        if self._firsts >= 0:
            return True
        self._flood_at = self._begun_at
        return False

    # -- what was seen -----------------------------------------------------------------------------------------------

    def calm(self, now: Nanos) -> None:
        """Give the memory of a flood back once that is over."""
        if self._seen is not None and now - self._flood_at > FLOOD_LIFE:
            self._seen = None

    def _is_repeat(self, ident: bytes, slot: int) -> bool:
        """Note a packet; True when it came before, and not just now."""
        if self._seen is None:
            self._seen = array("I", [0]) * PLACES
        spot = hash(self._key + ident)
        place = spot & PLACES - 1
        mark = spot >> _PLACE_BITS & _MARK_MASK | slot & _SLOT_MASK
        age = mark - self._seen[place]  # in slots, if it is the same packet
        if not 0 <= age < _RIPE:  # one that comes at once does not make the first look younger
            self._seen[place] = mark
        return _RIPE <= age < _OVERRIPE
