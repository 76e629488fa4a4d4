"""Paths that drop large packets without a word: packetization layer path MTU discovery (RFC 4821, RFC 8899).

From the third time-out in a row every other attempt is smaller, the ones between are as before, so that a path that is
merely dead teaches nothing. The size that gets through is then raised by probes, which are segments of new data: the
full size first, for most suspicions are wrong, then halving the interval. A lost probe costs no window (RFC 4821
section 7.7) and is sent again in segments of the size that works. The whole search is repeated after RAISE_AFTER.
It begins so long after a router has asked for a smaller size, too.
"""

from __future__ import annotations

from hognose.units import SECOND, Nanos

TIMEOUTS = 2  # up to this many time-outs in a row are ordinary loss
SMALLER_MSS = (1024, 524)  # payload bytes that fit MTUs of 1076 and 576
RAISE_AFTER: Nanos = 600 * SECOND  # RFC 8899 section 5.1.1, PMTU_RAISE_TIMER
MAX_PROBES = 3  # RFC 8899 section 5.1.2: lost probes of one size before it counts as too large
RESOLUTION = 16  # bytes; the search is not finer
FOLLOWERS = 3  # segments after a probe, so that its loss is found without a time-out (RFC 4821 section 7.4)


class BlackHole:
    """The search for the segment size that a connection should use."""

    __slots__ = ("_fails", "_tries", "_usual", "_works", "due_at", "full", "probe")

    def __init__(self, full: int) -> None:
        self.full = full  # payload bytes, as agreed
        self.probe: tuple[int, int] | None = None  # the probe under way, as positions
        self.due_at: Nanos = 0  # time from which a larger size may be probed for; 0 = not
        self._usual = full  # in use before the suspicion
        self._works = self._fails = 0
        self._tries = 0

    def size_after(self, timeouts: int, mss: int, flight: int) -> int:
        """The segment size for the attempt after `timeouts` time-outs in a row; 0: no change.

        flight: bytes not acknowledged; a flight that fits the smaller size was not lost for its size.
        """
        attempt = timeouts - TIMEOUTS
        if attempt < 0 or flight <= SMALLER_MSS[-1]:
            return 0
        if attempt == 0:
            self._usual = mss
        return (
            min(self._usual, SMALLER_MSS[min(attempt // 2, len(SMALLER_MSS) - 1)]) if attempt % 2 == 0 else self._usual
        )

    def told(self, size: int, now: Nanos) -> None:
        """Take the size that a router asks for; a larger one is looked for after RAISE_AFTER (RFC 1191 section 6.3)."""
        self.probe = None
        self.search(size)
        self.due_at = now + RAISE_AFTER

    def refused(self) -> None:
        """End the search, because a router has spoken of the probe: what works is the size until RAISE_AFTER."""
        self._fails = self._works + 1

    def search(self, works: int) -> None:
        """Begin to look for a size above `works`, which is known to get through."""
        self._works = works
        self._fails = self.full + 1
        self._tries = 0

    @property
    def found(self) -> bool:
        """True when no size is left to try."""
        return self._works >= self.full or self._fails - self._works <= RESOLUTION

    @property
    def candidate(self) -> int:
        """The size to probe for next."""
        return self.full if self._fails > self.full else (self._works + self._fails) // 2

    def passed(self) -> int:
        """Note that the probe got through; returns the size to use from now on."""
        self.probe = None
        self._works = self.candidate
        self._tries = 0
        return self._works

    def lost(self) -> None:
        """Note that the probe was lost."""
        self.probe = None
        self._tries += 1
        if self._tries >= MAX_PROBES:
            self._fails = self.candidate
            self._tries = 0
