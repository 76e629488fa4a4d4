"""One direction of a bad link, pure and seeded: loss, duplication, reordering, corruption, delay, rate, queue.

Used with real frames by lossy_bridge.py and with packets in virtual time by tests/sim. The same seed and the same
order of packets give the same fate to packet number n, whatever the clock says.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from heapq import heappop, heappush

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Impairment:
    """Probabilities 0 … 1 per packet; times in nanoseconds; rate in bits per second, 0 = unlimited.

    reorder: a packet so chosen is held back by reorder_ns more than its neighbours. queue: packets that wait for the
    rate limiter at most; the newest is dropped when full. corrupt flips one bit after `spare_bytes`. What would arrive
    in the last stall_ns of every stall_every_ns waits for the end of it: a delay spike without loss or reordering.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay_ns: int = 0
    jitter_ns: int = 0
    reorder_ns: int = 1_000_000
    rate_bps: int = 0
    queue: int = 1000
    spare_bytes: int = 0
    stall_ns: int = 0
    stall_every_ns: int = 0


class Channel:
    """Packets offered at one end come out of `due` at the other, or not."""

    def __init__(self, impairment: Impairment, seed: int) -> None:
        self.impairment = impairment
        self._random = random.Random(seed)
        self._heap: list[tuple[int, int, bytes]] = []
        self._offered = 0
        self._line_free_at = 0
        self.counts = {"offered": 0, "lost": 0, "duplicated": 0, "reordered": 0, "corrupted": 0, "overflowed": 0}

    def offer(self, packet: bytes, now: int) -> None:
        """Take one packet; now is in nanoseconds and never goes back."""
        settings = self.impairment
        chance = self._random.random
        # All dice are thrown for every packet so that one setting does not shift the others' sequence.
        loss, duplicate, reorder, corrupt, jitter, where = (chance() for _ in range(6))
        self.counts["offered"] += 1
        if loss < settings.loss:
            self.counts["lost"] += 1
            return
        if corrupt < settings.corrupt and len(packet) > settings.spare_bytes:
            packet = _flip(packet, settings.spare_bytes, where)
            self.counts["corrupted"] += 1
        due = now + settings.delay_ns + int(jitter * settings.jitter_ns)
        if settings.rate_bps:
            if len(self._heap) >= settings.queue:
                self.counts["overflowed"] += 1
                return
            self._line_free_at = max(self._line_free_at, now) + len(packet) * 8 * SECOND // settings.rate_bps
            due += self._line_free_at - now
        if reorder < settings.reorder:
            due += settings.reorder_ns
            self.counts["reordered"] += 1
        if settings.stall_every_ns:
            end = (due // settings.stall_every_ns + 1) * settings.stall_every_ns
            due = end if end - due <= settings.stall_ns else due
        self._push(due, packet)
        if duplicate < settings.duplicate:
            self.counts["duplicated"] += 1
            self._push(due, packet)

    def due(self, now: int) -> list[bytes]:
        """Packets that have arrived by now, in the order of arrival."""
        out = []
        while self._heap and self._heap[0][0] <= now:
            out.append(heappop(self._heap)[2])
        return out

    def next_due(self) -> int | None:
        """Time of the next arrival, None when nothing is under way."""
        return self._heap[0][0] if self._heap else None

    def _push(self, due: int, packet: bytes) -> None:
        self._offered += 1
        heappush(self._heap, (due, self._offered, packet))


def _flip(packet: bytes, spare: int, where: float) -> bytes:
    bit = int(where * (len(packet) - spare) * 8)
    damaged = bytearray(packet)
    damaged[spare + bit // 8] ^= 1 << (bit % 8)
    return bytes(damaged)
