"""Sets of stream positions as sorted, disjoint ranges; finding a place is a binary search, the number is bounded."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class RangeSet:
    """Ranges [start, end) of one connection's send stream.

    Bound: `max_ranges`; `add` of a range beyond that returns False. Each `remove` can exceed it by one.
    """

    __slots__ = ("_ends", "_max_ranges", "_starts", "total")

    def __init__(self, max_ranges: int) -> None:
        self._max_ranges = max_ranges
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0  # positions in all ranges

    def __len__(self) -> int:
        return len(self._starts)

    def first(self) -> tuple[int, int]:
        """The lowest range; there must be one."""
        return self._starts[0], self._ends[0]

    def add(self, start: int, end: int) -> bool:
        """Put [start, end) in; True when it held a position that was not in the set."""
        first = bisect_left(self._ends, start)  # first range that ends at or after start
        last = bisect_right(self._starts, end)  # index after the last range that starts at or before end
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

    def remove(self, start: int, end: int) -> int:
        """Take [start, end) out; returns the number of its positions that were in the set."""
        first = bisect_right(self._ends, start)  # first range that ends after start
        last = bisect_left(self._starts, end)  # index after the last range that starts before end
        if first >= last:
            return 0
        starts, ends = self._starts[first:last], self._ends[first:last]
        removed = sum(ends) - sum(starts)
        kept = [(a, b) for a, b in ((starts[0], start), (end, ends[-1])) if a < b]
        removed -= sum(b - a for a, b in kept)
        self._starts[first:last] = [a for a, _ in kept]
        self._ends[first:last] = [b for _, b in kept]
        self.total -= removed
        return removed

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

    def common(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that are in the set, in order."""
        first = bisect_right(self._ends, start)  # first range that ends after start
        last = bisect_left(self._starts, end)  # index after the last range that starts before end
        return [(max(self._starts[i], start), min(self._ends[i], end)) for i in range(first, last)]

    def missing(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of [start, end) that are not in the set, in order."""
        found = []
        index = bisect_right(self._ends, start)
        while start < end:
            if index >= len(self._starts) or self._starts[index] >= end:
                found.append((start, end))
                break
            if start < self._starts[index]:
                found.append((start, self._starts[index]))
            start = self._ends[index]
            index += 1
        return found
