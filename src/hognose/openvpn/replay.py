"""Replay protection: the data channel's sliding window and the control wrap's (time, id) pair (OpenVPN packet_id.c)."""

from __future__ import annotations

WINDOW = 64  # ids behind the highest that may still come (OpenVPN's default replay-window)
_MASK = (1 << WINDOW) - 1


class ReplayWindow:
    """Sliding window over packet ids 1 … 2**32 - 1; accept only after authentication."""

    __slots__ = ("highest", "seen")

    def __init__(self) -> None:
        self.highest = 0
        self.seen = 0  # bit n: highest - n was seen

    def accept(self, packet_id: int) -> bool:
        """True exactly once for every id inside the window or ahead of it; 0 is never valid."""
        ahead = packet_id - self.highest
        if ahead > 0:
            self.seen = (self.seen << ahead | 1) & _MASK if ahead < WINDOW else 1
            self.highest = packet_id
            return True
        bit = 1 << -ahead
        if packet_id <= 0 or -ahead >= WINDOW or self.seen & bit:
            return False
        self.seen |= bit
        return True


class WrapReplay:
    """Replay check of tls-auth and tls-crypt ids: a newer time starts a new window, an older one is refused."""

    __slots__ = ("_time", "_window")

    def __init__(self) -> None:
        self._time = 0
        self._window = ReplayWindow()

    def accept(self, time: int, packet_id: int) -> bool:
        """time is the sender's, in seconds; it names the window, nothing is compared with our clock."""
        if time < self._time:
            return False
        if time > self._time:
            self._time = time
            self._window = ReplayWindow()
        return self._window.accept(packet_id)
