# hot
"""A flood of SYNs: who comes again in due time is answered, who comes once, or hastily, is not.

While the half-open table overflows, a SYN is looked at before anything is done for it. Beyond a budget of first ones it
is only remembered; a client's TCP repeats it a second later (RFC 6298 section 2 and 5.5), the forged sources of a flood
do not come twice, or come again at once. A sighting is a bit, one for each slot of time, at two places of a table that
a keyed hash of addresses, ports and sequence number gives. Bounds: a budget per second of first SYNs and one of
repeated ones; SPOTS bytes, which exist while there is a flood only.
"""

from __future__ import annotations

from hognose.units import MS, SECOND, Nanos

SPOTS = 1 << 22  # bytes; at 150,000 SYNs a second 1 in 200 forged ones looks repeated
SLOT: Nanos = 400 * MS
FLOOD_LIFE: Nanos = 2 * SECOND  # after the last overflow of the half-open table
BURST: Nanos = 250 * MS  # so much of a budget may be saved up
_ANY_SPOT = SPOTS - 1
_KEY_LEN = 8
_PIECE = 1 << 16
_SLOTS = 8  # bits of a spot: ages of 0 to 7 slots
_HASTY = range(2)
_RIPE = range(2, _SLOTS)  # 0.4 to 3.2 s ago: the first repeats, after 1 s and after 2 s more


class SynFilter:
    """Decides which SYNs cost an answer while the half-open table overflows."""

    __slots__ = (
        "_began_at", "_bit", "_come", "_firsts", "_hasty", "_key", "_overflow_at", "_per_second", "_repeats", "_ripe",
        "_seen", "_slot", "_thin",
    )  # fmt: skip

    def __init__(self, per_second: int, secret: bytes) -> None:
        self._per_second = per_second
        self._key = secret[:_KEY_LEN]
        self._overflow_at: Nanos = -FLOOD_LIFE - 1
        self._began_at: Nanos = 0
        self._firsts = self._repeats = 0.0
        self._come = 0  # in this slot
        self._thin = 1.0  # part of the budget of first ones, the less the more come
        self._slot = 0
        self._bit = self._hasty = self._ripe = 0
        self._seen: bytearray | None = None

    def overflow(self, now: Nanos) -> None:
        """The half-open table is full."""
        self._overflow_at = now

    def begin(self, now: Nanos) -> bool:
        """A batch of segments begins: whether its SYNs are to be shown to `answers`."""
        if now - self._overflow_at > FLOOD_LIFE:
            self._seen = None
            return False
        most = self._per_second * BURST / SECOND
        if self._seen is None:
            self._seen = bytearray(SPOTS)
            self._slot = now // SLOT - _SLOTS
            self._began_at = now
            self._firsts = self._repeats = most
        if now // SLOT != self._slot:
            self._turn(self._seen, now // SLOT)
        elapsed = now - self._began_at
        self._began_at = now
        self._repeats = min(most, self._repeats + elapsed * self._per_second / SECOND)
        self._firsts = min(most, self._firsts + elapsed * self._per_second * self._thin / SECOND)
        return True

    def answers(self, ident: bytes) -> bool:
        """Whether this SYN is to be answered; ident: its addresses, ports and sequence number. After `begin` only."""
        seen, bit = self._seen, self._bit
        assert seen is not None
        self._come += 1
        spot = hash(self._key + ident)  # SipHash; the key in front keeps others from choosing places
        one, two = spot & _ANY_SPOT, spot >> 22 & _ANY_SPOT
        first, second = seen[one], seen[two]
        seen[one] = first | bit
        seen[two] = second | bit
        both = first & second
        if not both & self._ripe:
            if not both and self._firsts >= 1:
                self._firsts -= 1
                return True
            return False
        if both & self._hasty or self._repeats < 1:
            return False
        self._repeats -= 1
        return True

    def _turn(self, seen: bytearray, slot: int) -> None:
        """Another slot of time: its bit is wiped, and those of the slots that nobody has seen."""
        stale = 0
        for passed in range(min(slot - self._slot, _SLOTS)):
            stale |= 1 << (slot - passed) % _SLOTS
        fresh = bytes(value & ~stale for value in range(256))
        for at in range(0, SPOTS, _PIECE):  # in pieces, for a second table would stay in the heap
            seen[at : at + _PIECE] = seen[at : at + _PIECE].translate(fresh)
        self._slot = slot
        self._bit = 1 << slot % _SLOTS
        self._hasty = sum(1 << (slot - age) % _SLOTS for age in _HASTY)
        self._ripe = sum(1 << (slot - age) % _SLOTS for age in _RIPE)
        allowed = self._per_second * SLOT / SECOND
        self._thin = min(1.0, (allowed / self._come) ** 2) if self._come else 1.0
        self._come = 0
