"""Replay protection: the data channel's sliding window and the control wrap's (time, id) pair (OpenVPN packet_id.c)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hognose.units import SECOND, Nanos

WINDOW = 64  # ids below the highest that may still come (OpenVPN's default replay-window)
REAP_INTERVAL: Nanos = 5 * SECOND  # interval at which missing ids are given up (packet_id.h SEQ_REAP_INTERVAL)
NEVER: Nanos = 1 << 63
_MARK_INTERVAL: Nanos = SECOND


@dataclass(frozen=True, slots=True)
class ReplayState:
    """Numbers of a ReplayWindow, as its attributes; times in the clock of its caller."""

    highest: int = 0
    seen: int = 0
    floor: int = 0
    tick_at: Nanos = 0
    reap_at: Nanos = 0
    marks: tuple[tuple[Nanos, int], ...] = ()


class ReplayWindow:
    """Sliding window over packet ids from 1 on; accept only after authentication.

    size: ids below the highest that may still come; 0 = strict, every id is the one before it plus one. time:
    nanoseconds after which an id that is still missing is given up, 0 = never; the caller calls tick when tick_at has
    come. Cost of a step: a shift of `size` bits. Bound: one mark per second of `time` and REAP_INTERVAL.
    """

    __slots__ = ("_floor", "_marks", "_reap_at", "_time", "highest", "mask", "seen", "size", "tick_at")

    def __init__(self, size: int = WINDOW, time: Nanos = 0) -> None:
        self.size = size
        self.mask = (1 << size) - 1
        self.highest = 0
        self.seen = 0  # bit n: highest - n was seen
        self.tick_at: Nanos = 0 if time and size else NEVER
        self._time = time
        self._floor = 0  # ids up to here are seen or given up
        self._reap_at: Nanos = 0
        self._marks: deque[tuple[Nanos, int]] = deque()  # times at which ids had come

    def export(self) -> ReplayState:
        """The window's numbers, for `restore`."""
        return ReplayState(self.highest, self.seen, self._floor, self.tick_at, self._reap_at, tuple(self._marks))

    def restore(self, state: ReplayState) -> None:
        """Take the numbers of a window of the same size and time."""
        self.highest, self.seen, self._floor = state.highest, state.seen & self.mask, state.floor
        self.tick_at, self._reap_at, self._marks = state.tick_at, state.reap_at, deque(state.marks)

    def is_new(self, packet_id: int) -> bool:
        """True when the id could be accepted; spares the decryption of replays."""
        distance = self.highest - packet_id
        if distance < 0:
            return self.size > 0 or distance == -1 or not self.highest
        return packet_id > self._floor and distance < self.size and not self.seen >> distance & 1

    def accept(self, packet_id: int) -> bool:
        """True exactly once for every id inside the window or ahead of it; 0 is never valid."""
        ahead = packet_id - self.highest
        if ahead > 0:
            if not self.size and ahead > 1 and self.highest:
                return False
            self.seen = (self.seen << ahead | 1) & self.mask if ahead < self.size else 1 & self.mask
            self.highest = packet_id
            return True
        if packet_id <= self._floor or -ahead >= self.size or self.seen >> -ahead & 1:
            return False
        self.seen |= 1 << -ahead
        return True

    def tick(self, now: Nanos) -> None:
        """Give up ids below one that came more than `time` ago; before the packets of this moment are looked at.

        An id that came since the last tick came before tick_at, or this tick would have been earlier.
        """
        marks = self._marks
        if self.highest > (marks[-1][1] if marks else self._floor):
            marks.append((self.tick_at, self.highest))
        if now >= self._reap_at:
            while marks and marks[0][0] + self._time < now:
                self._floor = marks.popleft()[1]
            self._reap_at = now + REAP_INTERVAL
        self.tick_at = now + _MARK_INTERVAL


class WrapReplay:
    """Replay check of tls-auth and tls-crypt ids: a newer time starts a new window, an older one is refused."""

    __slots__ = ("_time", "_window")

    def __init__(self) -> None:
        self._time = 0
        self._window = ReplayWindow()

    def export(self) -> tuple[int, ReplayState]:
        """The time, and the numbers of its window, for `restore`."""
        return self._time, self._window.export()

    def restore(self, time: int, state: ReplayState) -> None:
        """Take the state of another one."""
        self._time = time
        self._window.restore(state)

    def accept(self, time: int, packet_id: int) -> bool:
        """time is the sender's, in seconds; it names the window, nothing is compared with our clock."""
        if time < self._time:
            return False
        if time > self._time:
            self._time = time
            self._window = ReplayWindow()
        return self._window.accept(packet_id)
