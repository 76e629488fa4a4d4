# hot
"""The send queue: bytes written and not yet acknowledged, as the same pieces that were written.

Addressed by stream position. Pieces are never copied until they are cut at a segment's edge; a retransmission may cut
elsewhere. Bound: kept by the caller (TcpConnection.send_space).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

_COMPACT_AT = 512  # entries of acknowledged pieces kept at the front before the lists are cut


class SendBuffer:
    """Pieces of bytes from `start` (first unacknowledged) to `end` (exclusive)."""

    __slots__ = ("_head", "_pieces", "_starts", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self._starts: list[int] = []
        self._pieces: list[bytes] = []
        self._head = 0  # index of the first piece that is still needed

    def append(self, pieces: list[bytes]) -> None:
        """Append pieces, none of them empty; they are read-only from now on."""
        edges = list(accumulate(map(len, pieces), initial=self.end))
        self.end = edges.pop()
        self._starts += edges
        self._pieces += pieces

    def acknowledge(self, position: int) -> None:
        """Drop everything below a position."""
        self.start = position
        if position >= self.end:
            self._starts.clear()
            self._pieces.clear()
            self._head = 0
            return
        old = self._head
        head = bisect_right(self._starts, position, old) - 1
        if head > old:
            self._pieces[old:head] = [b""] * (head - old)  # the bytes are free at once, the lists are cut later
        if head >= _COMPACT_AT:
            del self._starts[:head], self._pieces[:head]
            head = 0
        self._head = head

    def cut(self, position: int, size: int) -> list[bytes]:
        """Pieces of exactly [position, position + size), which must lie inside the buffer."""
        starts, pieces = self._starts, self._pieces
        index = bisect_right(starts, position, self._head) - 1
        offset = position - starts[index]
        piece = pieces[index]
        available = len(piece) - offset
        if available >= size:
            return [piece[offset : offset + size] if offset or available > size else piece]
        last = bisect_left(starts, position + size, index) - 1
        found = pieces[index : last + 1]
        if offset:
            found[0] = piece[offset:]
        size = position + size - starts[last]
        if size < len(found[-1]):
            found[-1] = found[-1][:size]
        return found
