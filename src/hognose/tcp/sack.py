"""The sender's scoreboard: what the peer holds beyond the cumulative acknowledgement (RFC 2018, RFC 6675).

Ranges of stream positions, sorted and disjoint. Bound: `max_ranges`; what a peer reports beyond that is ignored, which
only costs a needless retransmission (CVE-2019-11477 class).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

DUPLICATE_THRESHOLD = 3  # RFC 6675 section 2


class Scoreboard:
    """Selectively acknowledged ranges of one connection's send stream."""

    __slots__ = ("_ends", "_max_ranges", "_starts", "total")

    def __init__(self, max_ranges: int) -> None:
        self._max_ranges = max_ranges
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0  # bytes in all ranges

    def add(self, start: int, end: int) -> bool:
        """Note that the peer holds [start, end); True when that was news."""
        first = bisect_left(self._ends, start)  # first range that ends at or behind start
        last = bisect_right(self._starts, end)  # one behind the last range that starts at or before end
        if first < last:
            if self._starts[first] <= start and end <= self._ends[first]:
                return False
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
            merged = sum(self._ends[i] - self._starts[i] for i in range(first, last))
        else:
            if len(self._starts) >= self._max_ranges:
                return False
            merged = 0
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self.total += end - start - merged
        return True

    def acknowledge(self, position: int) -> None:
        """Forget everything below the cumulative acknowledgement."""
        starts, ends = self._starts, self._ends
        while starts and ends[0] <= position:
            self.total -= ends[0] - starts[0]
            del starts[0], ends[0]
        if starts and starts[0] < position:
            self.total -= position - starts[0]
            starts[0] = position

    def clear(self) -> None:
        """Forget all."""
        self._starts.clear()
        self._ends.clear()
        self.total = 0

    def lost_edge(self, mss: int) -> int:
        """Positions below this and not held by the peer count as lost; 0 when nothing does.

        RFC 6675 IsLost: more than (DupThresh - 1) * SMSS bytes, or DupThresh ranges, are held above.
        """
        held = 0
        top = len(self._starts)
        for index in range(top - 1, -1, -1):
            held += self._ends[index] - self._starts[index]
            if held > (DUPLICATE_THRESHOLD - 1) * mss or top - index >= DUPLICATE_THRESHOLD:
                return self._starts[index]
        return 0

    def gap(self, position: int, limit: int) -> tuple[int, int]:
        """First part of [position, limit) that the peer does not hold, as (start, end); start == end when none."""
        index = bisect_right(self._starts, position) - 1
        if index >= 0 and position < self._ends[index]:
            position = self._ends[index]
        index += 1
        end = limit
        if index < len(self._starts) and self._starts[index] < limit:
            end = self._starts[index]
        return (position, end) if position < end else (limit, limit)

    def held_between(self, start: int, end: int) -> int:
        """Bytes of [start, end) that the peer holds."""
        held = 0
        index = max(0, bisect_right(self._starts, start) - 1)
        while index < len(self._starts) and self._starts[index] < end:
            held += max(0, min(end, self._ends[index]) - max(start, self._starts[index]))
            index += 1
        return held
