"""The out-of-order queue: ranges of bytes beyond the first gap (RFC 9293 section 3.10.7.4, SHOULD-31).

Ranges are kept sorted and disjoint with the bytes that fill them; finding a place is a binary search. Bounds:
`max_ranges` ranges, CHUNKS_PER_RANGE times as many chunks of bytes in all (many tiny segments would cost more memory
and moving than they carry: the class of CVE-2018-5390), and the receive window. Policy: beyond a bound new bytes are
refused, and on overlap the bytes that came first stay.
"""

from __future__ import annotations

from bisect import bisect_right

CHUNKS_PER_RANGE = 16
RECENT = 8  # positions that are kept for SACK blocks, twice what one segment reports


class Reassembly:
    """Bytes received beyond the in-order position, as disjoint ranges of stream positions."""

    __slots__ = ("_chunk_count", "_chunks", "_ends", "_max_chunks", "_max_ranges", "_recent", "_starts", "size")

    def __init__(self, max_ranges: int) -> None:
        self.allow(max_ranges)
        self._chunk_count = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._chunks: list[list[bytes]] = []
        self._recent: list[int] = []  # a position inside each recently touched range, newest last; for SACK
        self.size = 0

    def allow(self, max_ranges: int) -> None:
        """Set another bound, from the next bytes on."""
        self._max_ranges = max_ranges
        self._max_chunks = max_ranges * CHUNKS_PER_RANGE

    def __len__(self) -> int:
        """Number of ranges."""
        return len(self._starts)

    @property
    def end(self) -> int:
        """Position after the last byte held; 0 when nothing is."""
        return self._ends[-1] if self._ends else 0

    def insert(self, start: int, data: bytes) -> bool:
        """File bytes at a position; False when some were refused because a bound is reached."""
        at = start
        end = start + len(data)
        while at < end:
            index = bisect_right(self._starts, at) - 1
            if index >= 0 and at < self._ends[index]:
                at = self._ends[index]  # already there
                continue
            limit = min(end, self._starts[index + 1]) if index + 1 < len(self._starts) else end
            if not self._fill(index, at, limit, data[at - start : limit - start]):
                return False
            at = limit
        self._touch(start)
        return True

    def take(self, position: int) -> list[bytes]:
        """Remove and return the chunks that continue at `position`; [] when the first range begins later."""
        taken: list[bytes] = []
        while self._starts and self._starts[0] <= position:
            start, end = self._starts.pop(0), self._ends.pop(0)
            chunks = self._chunks.pop(0)
            self._chunk_count -= len(chunks)
            self.size -= end - start
            skip = position - start  # bytes that arrived in order meanwhile
            while chunks and skip >= len(chunks[0]):
                skip -= len(chunks.pop(0))
            if chunks and skip:
                chunks[0] = chunks[0][skip:]
            taken += chunks
            position = max(position, end)
        self._recent = [at for at in self._recent if at >= position]
        return taken

    def blocks(self, limit: int) -> list[tuple[int, int]]:
        """Up to `limit` ranges, the most recently touched first (RFC 2018 section 4)."""
        found: list[tuple[int, int]] = []
        for at in reversed(self._recent):
            index = bisect_right(self._starts, at) - 1
            if index < 0:
                continue
            block = (self._starts[index], self._ends[index])
            if block not in found:
                found.append(block)
                if len(found) == limit:
                    break
        return found

    def _fill(self, index: int, start: int, end: int, data: bytes) -> bool:
        """Put bytes into the gap after range `index`, joining its neighbours."""
        if self._chunk_count >= self._max_chunks:
            return False
        joins_left = index >= 0 and self._ends[index] == start
        joins_right = index + 1 < len(self._starts) and self._starts[index + 1] == end
        if joins_left:
            self._chunks[index].append(data)
            self._ends[index] = end
            if joins_right:
                self._chunks[index] += self._chunks.pop(index + 1)
                self._ends[index] = self._ends.pop(index + 1)
                self._starts.pop(index + 1)
        elif joins_right:
            self._starts[index + 1] = start
            self._chunks[index + 1].insert(0, data)
        else:
            if len(self._starts) >= self._max_ranges:
                return False
            self._starts.insert(index + 1, start)
            self._ends.insert(index + 1, end)
            self._chunks.insert(index + 1, [data])
        self._chunk_count += 1
        self.size += end - start
        return True

    def _touch(self, position: int) -> None:
        self._recent.append(position)
        if len(self._recent) > RECENT:
            del self._recent[0]
