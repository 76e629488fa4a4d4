"""Paths that drop large packets without a word: packetization layer path MTU discovery (RFC 4821, RFC 8899).

From the third time-out in a row every other attempt is smaller, the ones between are as before, so that a path that is
merely dead teaches nothing; what gets through stays. The full size is tried again after RAISE_AFTER.
"""

from __future__ import annotations

from hognose.units import SECOND, Nanos

TIMEOUTS = 2  # so many in a row are loss like any other
SMALLER_MSS = (1024, 524)  # payload bytes: what fits MTUs of 1076 and 576
RAISE_AFTER: Nanos = 600 * SECOND  # RFC 8899 section 5.1.1, PMTU_RAISE_TIMER


class BlackHole:
    """Which segment size a connection should try."""

    __slots__ = ("_raise_at", "full")

    def __init__(self, full: int) -> None:
        self.full = full  # payload bytes, as agreed or as a router asked for
        self._raise_at: Nanos = 0

    def size_after(self, timeouts: int, now: Nanos) -> int:
        """The segment size for the attempt after so many time-outs in a row."""
        attempt = timeouts - TIMEOUTS
        if attempt < 0:
            return 0
        self._raise_at = now + RAISE_AFTER
        return min(self.full, SMALLER_MSS[min(attempt // 2, len(SMALLER_MSS) - 1)]) if attempt % 2 == 0 else self.full

    def may_raise(self, now: Nanos) -> bool:
        """True once per RAISE_AFTER."""
        if now < self._raise_at:
            return False
        self._raise_at = now + RAISE_AFTER
        return True
