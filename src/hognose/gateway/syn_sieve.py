# hot
"""A flood of SYNs: who comes again in due time is answered, who comes once, or hastily, is not.

While the half-open table overflows, a SYN is looked at before anything is done for it. Beyond a budget of first ones it
is only remembered; a client's TCP repeats it a second later (RFC 6298 section 2 and 5.5), the forged sources of a flood
do not come twice, or come again at once. A sighting is a bit, one for each slot of time, at two places of a table that
a keyed hash of addresses, ports and sequence number gives. Bounds: a budget per second of first SYNs and one of
repeated ones; SPOTS bytes, which exist while there is a flood only.
"""

from __future__ import annotations

from hognose.link import L3_OFFSET
from hognose.units import MS, SECOND, Nanos, Port
from hognose.wire import ipv4
from hognose.wire.tcp import SYN

SPOTS = 1 << 22  # bytes; at 150,000 SYNs a second 1 in 100 forged ones looks repeated
SLOT: Nanos = 400 * MS
FLOOD_LIFE: Nanos = 2 * SECOND  # after the last overflow of the half-open table
BURST: Nanos = 250 * MS  # so much of a budget may be saved up
_ANY_SPOT = SPOTS - 1
_KEY_LEN = 8
_PIECE = 1 << 16
_SLOTS = 8  # bits of a spot: ages of 0 to 7 slots
_HASTY = range(2)
_RIPE = range(2, _SLOTS)  # 0.4 to 3.2 s ago: the first repeats, after 1 s and after 2 s more

# A SYN without IP options behind the vnet header.
_L4_OFFSET = L3_OFFSET + 20
_SIZES = (_L4_OFFSET + 20, _L4_OFFSET + 60)
_TYPE_AND_VERSION = slice(L3_OFFSET - 2, L3_OFFSET + 1)
_PLAIN_IPV4 = b"\x08\x00\x45"
_PROTOCOL = L3_OFFSET + 9
_IDENT = slice(L3_OFFSET + 12, _L4_OFFSET + 8)  # addresses, ports, sequence number
_PORT = slice(_L4_OFFSET + 2, _L4_OFFSET + 4)
_FLAGS = _L4_OFFSET + 13


class SynSieve:
    """Decides which SYNs cost an answer while the half-open table overflows."""

    __slots__ = (
        "_began_at", "_bit", "_come", "_firsts", "_hasty", "_key", "_per_second", "_port", "_repeats", "_ripe", "_seen",
        "_slot", "_thin",
    )  # fmt: skip

    def __init__(self, port: Port, per_second: int, secret: bytes) -> None:
        self._port = port.to_bytes(2, "big")
        self._per_second = per_second
        self._key = secret[:_KEY_LEN]
        self._began_at: Nanos = 0
        self._firsts = self._repeats = 0.0
        self._come = 0  # thrown away in this slot
        self._thin = 1.0  # part of the budget of first ones, the less the more come
        self._slot = 0
        self._bit = self._hasty = self._ripe = 0
        self._seen: bytearray | None = None

    def begin(self, overflow_at: Nanos, now: Nanos) -> bool:
        """A batch of frames is next: whether it has to be sifted; overflow_at: when the table was found full last."""
        if now - overflow_at > FLOOD_LIFE:
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

    def sift(self, frames: list[bytes]) -> list[bytes]:
        """The frames without SYNs that are not to be answered; after `begin`, if that said so."""
        seen, bit, hasty, ripe, key, port = self._seen, self._bit, self._hasty, self._ripe, self._key, self._port
        assert seen is not None
        firsts, repeats = self._firsts, self._repeats
        least, most = _SIZES
        kept: list[bytes] = []
        keep = kept.append
        for frame in frames:
            if (
                least <= len(frame) <= most
                and frame[_FLAGS] & 0x3F == SYN
                and frame[_PORT] == port
                and frame[_PROTOCOL] == ipv4.TCP
                and frame[_TYPE_AND_VERSION] == _PLAIN_IPV4
            ):
                spot = hash(key + frame[_IDENT])  # SipHash; the key in front keeps others from choosing places
                one, two = spot & _ANY_SPOT, spot >> 22 & _ANY_SPOT
                first, second = seen[one], seen[two]
                seen[one] = first | bit
                seen[two] = second | bit
                both = first & second
                if both & ripe:
                    if not both & hasty and repeats >= 1:
                        repeats -= 1
                        keep(frame)
                elif not both and firsts >= 1:
                    firsts -= 1
                    keep(frame)
            else:
                keep(frame)
        self._firsts, self._repeats = firsts, repeats
        self._come += len(frames) - len(kept)
        return kept

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
