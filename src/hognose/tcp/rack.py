# hot
"""RACK: a transmission is lost when one made later was delivered and the time for reordering is over (RFC 8985).

Every byte between SND.UNA and SND.NXT that the peer does not hold is in one record here or counts as lost. A record is
one transmission of a range: a super-segment or several segments sent within MERGE of each other, so that a window is a
handful of records however it was written, and RFC 8985's per-segment rules are kept by cutting a record where the
delivered part of it ends. Bound: a record per MERGE of the time in flight, plus one per range sent again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from hognose.tcp.ranges import RangeSet
from hognose.units import MS, Nanos

MERGE: Nanos = 1 * MS
STEPS_PERSIST = 16  # recoveries until a wider window for reordering is given up again (RFC 8985 section 6.2, step 4)
_START, _END, _AT, _AGAIN = 0, 1, 2, 3


class Rack:
    """The transmissions of one connection that are in flight, and the losses that deliveries reveal."""

    __slots__ = (
        "_dsack_at", "_end", "_highest", "_persist", "_records", "_rtt", "_steps", "_time", "deadline", "min_rtt",
        "reordering",
    )  # fmt: skip

    def __init__(self) -> None:
        self._records: list[list[int]] = []  # start, end, sent at, sent again; in order of time
        self._time: Nanos = -1  # send time of the latest delivered transmission: RACK.xmit_ts, RACK.end_seq, RACK.rtt
        self._end = 0
        self._rtt: Nanos = 0
        self._highest = 0  # RACK.fack: end of the highest delivered range
        self._steps = 1  # RACK.reo_wnd_mult
        self._persist = 0
        self._dsack_at: Nanos = 0
        self.min_rtt: Nanos = 0
        self.reordering = False
        self.deadline: Nanos = 0  # time at which `lost` is asked again without a new acknowledgement; 0 = not

    def __len__(self) -> int:
        """Number of records."""
        return len(self._records)

    def sent(self, start: int, end: int, now: Nanos, again: bool) -> None:
        """Record a transmission of [start, end) that leaves now."""
        records = self._records
        if records:
            last = records[-1]
            if last[_END] == start and now - last[_AT] < MERGE and last[_AGAIN] == again:
                last[_END] = end
                return
        records.append([start, end, now, again])

    def sent_at(self, position: int) -> Nanos:
        """Send time of the segment that ends at `position`, up to MERGE too early; -1 when it has no record."""
        for record in self._records:
            if record[_END] >= position:
                return record[_AT]
        return -1

    def acknowledged(self, position: int) -> None:
        """Forget records below the cumulative acknowledgement, in the common case that nothing was sent again."""
        records = self._records
        while records and records[0][_END] <= position:
            del records[0]

    def delivered(self, ranges: list[tuple[int, int]], now: Nanos) -> Nanos:
        """Take ranges, in order, at least one, that the peer now holds (RFC 8985 section 6.2, steps 1 - 3).

        Returns the round trip of the newest of them that was sent once, -1 when all were sent again.
        """
        measured = -1
        lows = [low for low, _ in ranges]
        highs = [high for _, high in ranges]
        for start, end, at, again in self._records:
            first = bisect_right(highs, start)  # the first range that ends after the record's start
            last = bisect_left(lows, end) - 1  # the last that begins before its end
            if first > last:
                continue
            rtt = now - at
            if again and rtt < self.min_rtt:
                continue  # more likely the acknowledgement of the first transmission
            if not again:
                measured = rtt
                if not self.min_rtt or rtt < self.min_rtt:
                    self.min_rtt = max(rtt, 1)
                if min(end, highs[first]) < self._highest:
                    self.reordering = True
            top = min(end, highs[last])
            if (at, top) > (self._time, self._end):
                self._time, self._end, self._rtt = at, top, rtt
        self._highest = max(self._highest, highs[-1])
        return measured

    def duplicate(self, srtt: Nanos, now: Nanos) -> None:
        """Wait longer, one step per round trip: the peer reported a needless transmission (RFC 2883)."""
        if now - self._dsack_at > srtt:
            self._dsack_at = now
            self._steps += 1
            self._persist = STEPS_PERSIST

    def recovered(self) -> None:
        """Count a recovery that is over."""
        self._persist -= 1
        if self._persist <= 0:
            self._steps = 1

    def lost(self, una: int, board: RangeSet, certain: bool, srtt: Nanos, now: Nanos) -> list[tuple[int, int]]:
        """The ranges that count as lost (section 6.2, step 5); they are in flight no longer. Sets `deadline`.

        certain: in recovery, or enough is reported to do without a time for reordering where none was seen (step 4).
        """
        wait = 0 if certain and not self.reordering else min(self._steps * self.min_rtt // 4, srtt or self.min_rtt)
        found: list[tuple[int, int]] = []
        kept: list[list[int]] = []
        self.deadline = 0
        for record in self._records:
            start, end, at, _ = record
            if end <= una:
                continue
            record[_START] = start = max(start, una)
            cut = end if at < self._time else min(end, self._end) if at == self._time else start
            if cut <= start:
                kept.append(record)
                continue
            gaps = board.missing(start, cut)
            if gaps and at + self._rtt + wait > now:
                due = at + self._rtt + wait
                self.deadline = due if not self.deadline else min(self.deadline, due)
                kept.append(record)
                continue
            found += gaps
            if cut < end:
                record[_START] = cut
                kept.append(record)
        self._records = kept
        return found

    def retract(self, start: int) -> None:
        """End records at `start`: the bytes after it are sent again as a probe."""
        for record in self._records:
            if record[_START] <= start < record[_END]:
                record[_END] = start

    def clear(self) -> list[list[int]]:
        """Remove all records: all in flight counts as lost. Returns them for `restore`."""
        records, self._records = self._records, []
        self._time = -1
        self.deadline = 0
        return records

    def restore(self, records: list[list[int]], held: RangeSet) -> None:
        """Put records of `clear` back, as far as they are in `held`; later transmissions follow them."""
        old = [[*part, at, again] for start, end, at, again in records for part in held.common(start, end)]
        self._records[:0] = old
