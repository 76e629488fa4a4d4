"""HyStart++: the first slow start ends when the round trip grows, before the queue in the path overflows (RFC 9406).

The least round trip of a round (one window of data) is compared with that of the round before. Where it has grown, the
window grows four times as slowly for five rounds (conservative slow start); if it shrinks again meanwhile, that was
noise and slow start goes on. Positions are those of the send stream.
"""

from __future__ import annotations

from hognose.units import MS, Nanos

# RFC 9406 section 4.3.
MIN_RTT_THRESH: Nanos = 4 * MS
MAX_RTT_THRESH: Nanos = 16 * MS
MIN_RTT_DIVISOR = 8
N_RTT_SAMPLE = 8
CSS_GROWTH_DIVISOR = 4
CSS_ROUNDS = 5
_NONE: Nanos = 1 << 62


class HyStart:
    """The rounds of one connection's first slow start."""

    __slots__ = ("_baseline", "_current", "_end", "_last", "_samples", "css_rounds", "over")

    def __init__(self, end: int) -> None:
        """Begin the first round; end: SND.NXT, where it ends."""
        self._end = end
        self._last = self._current = _NONE  # least round trips of the last round and of this one
        self._samples = 0
        self._baseline = _NONE
        self.css_rounds = 0  # of conservative slow start, the present one included; 0 = not in it
        self.over = False  # congestion avoidance is next

    def acknowledged(self, acked: int, position: int, nxt: int, rtt: Nanos) -> int:
        """The growth in bytes that `acked` bytes up to `position` allow, acknowledged while the window was in use.

        nxt: SND.NXT. rtt: of the last segment of them, -1 when it was not measured.
        """
        if position > self._end:
            self._end = nxt
            self._last, self._current = self._current, _NONE
            self._samples = 0
            if self.css_rounds:
                self.over = self.css_rounds >= CSS_ROUNDS
                self.css_rounds += 1
        if rtt >= 0:
            self._current = min(self._current, rtt)
            self._samples += 1
            if self._samples >= N_RTT_SAMPLE:
                self._compare()
        return acked // CSS_GROWTH_DIVISOR if self.css_rounds else acked

    def _compare(self) -> None:
        """Compare the rounds: this one has enough samples."""
        if self.css_rounds:
            if self._current < self._baseline:
                self.css_rounds = 0
        elif self._last != _NONE:
            threshold = max(MIN_RTT_THRESH, min(self._last // MIN_RTT_DIVISOR, MAX_RTT_THRESH))
            if self._current >= self._last + threshold:
                self._baseline = self._current
                self.css_rounds = 1
