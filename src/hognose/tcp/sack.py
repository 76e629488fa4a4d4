"""The sender's scoreboard: ranges that the peer holds beyond the cumulative acknowledgement (RFC 2018, RFC 6675).

Bound: `max_ranges`; a report beyond that is ignored, which only costs a needless retransmission (CVE-2019-11477
class).
"""

from __future__ import annotations

from hognose.tcp.ranges import RangeSet

DUPLICATE_THRESHOLD = 3  # RFC 6675 section 2


class Scoreboard(RangeSet):
    """Selectively acknowledged ranges of one connection's send stream."""

    __slots__ = ()

    def tells_loss(self, mss: int) -> bool:
        """RFC 6675 IsLost of the first gap: more than (DupThresh - 1) * SMSS bytes, or DupThresh ranges, are held."""
        return self.total > (DUPLICATE_THRESHOLD - 1) * mss or len(self._starts) >= DUPLICATE_THRESHOLD
