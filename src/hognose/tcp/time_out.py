"""A retransmission time-out that may turn out to have been spurious: the state that undoing it needs.

Detected by the echoed timestamp (Eifel, RFC 3522) or, of peers without timestamps, by SACK (F-RTO, RFC 5682 section 3);
the response is RFC 4015's, with CUBIC's state as RFC 9438 section 4.9.2 has it.
"""

from __future__ import annotations

from hognose.tcp.ranges import RangeSet
from hognose.units import MS, Nanos


class TimeOut:
    """The state of a connection at the first of its RTOs; congestion is Cubic's, records are Rack's."""

    __slots__ = ("_at", "congestion", "mss", "records", "repeated")

    def __init__(self, now: Nanos, mss: int, congestion: tuple[float, ...], records: list[list[int]]) -> None:
        self._at = now
        self.mss = mss
        self.congestion = congestion
        self.records = records
        self.repeated = False  # the RTO fired again before an acknowledgement came

    def answers_older(self, rtt: Nanos, now: Nanos) -> bool:
        """True when the acknowledgement echoes a segment from before the time-out (RFC 3522 section 3.2 (5)).

        rtt: between the echoed time and now; both have the granularity of the timestamps, a millisecond.
        """
        return now // MS - rtt // MS < self._at // MS

    def oldest(self, una: int, now: Nanos) -> Nanos:
        """Send time of the oldest segment that SND.UNA leaves unacknowledged; `now` when there is no record of it."""
        return next((at for _, end, at, _ in self.records if end > una), now)

    def answers_unsent(self, fresh: list[tuple[int, int]], whole: bool, unsent: RangeSet) -> bool:
        """True when it reports data that was not sent again since (RFC 5682 section 3, step 3 b).

        whole: all that was in flight is acknowledged, which says nothing (step 2 a). unsent: still to be sent again.
        """
        return not (whole or self.repeated) and any(unsent.common(start, end) for start, end in fresh)
