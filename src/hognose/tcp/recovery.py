"""Loss recovery: what the peer holds, what counts as lost, and the state of the repair.

With SACK loss is found by rack.py (RFC 8985, with the threshold of RFC 6675) and paced by proportional rate reduction
(RFC 9937); without it is RFC 6582. Here are decisions about positions only: the sender applies them to its window and
its timers. una, nxt: SND.UNA and SND.NXT, mss: bytes of payload.
"""

from __future__ import annotations

from hognose.limits import TcpLimits
from hognose.tcp.rack import Rack
from hognose.tcp.ranges import RangeSet
from hognose.tcp.rate_reduction import RateReduction
from hognose.tcp.sack import DUPLICATE_THRESHOLD, Scoreboard
from hognose.tcp.time_out import TimeOut
from hognose.units import Nanos

Ranges = list[tuple[int, int]]


class Recovery:
    """Scoreboard, losses and recovery of one connection's send stream."""

    __slots__ = (
        "board", "dupacks", "in_rto", "lost", "point", "probe_again", "probe_end", "prr", "rack", "sack", "time_out",
        "urgent",
    )  # fmt: skip

    def __init__(self, sack: bool, limits: TcpLimits) -> None:
        self.sack = sack
        self.board = Scoreboard(limits.sack_ranges)
        self.lost = RangeSet(2 * limits.sack_ranges)  # to be sent again; a time-out finds a range beyond the bound
        self.rack = Rack()
        self.prr: RateReduction | None = None  # in a recovery that a loss began, not a time-out or a smaller path
        self.dupacks = 0
        self.point = -1  # recovery lasts until this position is acknowledged; -1 = no recovery
        self.urgent = False  # the first retransmission of a recovery waits for no room
        self.in_rto = False
        self.time_out: TimeOut | None = None  # set while the time-out may turn out to have been spurious
        self.probe_end = -1  # SND.NXT when a tail loss probe left; -1 = none
        self.probe_again = False  # the probe repeats sent data

    def pipe(self, outstanding: int, mss: int) -> int:
        """Bytes believed to be in the network (RFC 6675), of `outstanding` between SND.UNA and SND.NXT."""
        flight = outstanding - self.board.total - self.lost.total
        if self.dupacks and not self.sack:
            flight -= self.dupacks * mss
        return flight if flight > 0 else 0

    def quiet(self) -> bool:
        """True when nothing is reported, lost, being recovered or probed for."""
        return self.point < 0 and not (self.board.total or self.dupacks or self.probe_end >= 0)

    # -- acknowledgements ------------------------------------------------------------------------------------------

    def report(self, blocks: Ranges, una: int, nxt: int, position: int) -> tuple[Ranges, bool]:
        """Take SACK blocks of an acknowledgement of `position`; una is still the one before it.

        Returns the ranges that the peer holds since this report, and True when a block was a duplicate (RFC 2883).
        """
        fresh: Ranges = []
        duplicate = False
        for start, end in sorted(blocks):
            if una < start < end <= nxt:  # anything else is an old or a duplicate SACK
                missing = self.board.missing(start, end)
                if missing and self.board.add(start, end):
                    fresh += missing
            elif end <= position:
                duplicate = True
        return fresh, duplicate

    def arrived(self, fresh: Ranges, now: Nanos) -> Nanos:
        """Take ranges, at least one, that the peer now holds; returns Rack.delivered's measurement."""
        for start, end in fresh:
            if self.lost.total and self.lost.remove(start, end):
                self.rack.reordering = True  # it was not lost
        return self.rack.delivered(sorted(fresh), now)

    def advance(self, una: int, nxt: int, mss: int) -> bool:
        """Move the cumulative acknowledgement; True when that ends a recovery; the caller clears in_rto and prr."""
        self.board.acknowledge(una)
        self.lost.acknowledge(una)
        self.dupacks = 0
        if self.point < 0:
            return False
        if una >= self.point:
            self.point = -1
            self.time_out = None
            self.lost.clear()
            self.rack.recovered()
            return True
        if not self.sack and not self.in_rto:
            # RFC 6582 section 3.2 step 5: a partial acknowledgement, the next hole is lost too.
            self.lost.clear()
            self.lost.add(una, min(una + mss, nxt))
            self.urgent = True
        return False

    # -- losses ----------------------------------------------------------------------------------------------------

    def find_lost(self, una: int, nxt: int, mss: int, srtt: Nanos, now: Nanos) -> Ranges:
        """Find and note what counts as lost now."""
        if self.sack:
            certain = self.point >= 0 or self.board.tells_loss(mss)
            found = self.rack.lost(una, self.board, certain, srtt, now)
        elif self.dupacks >= DUPLICATE_THRESHOLD and self.point < 0:
            found = [(una, una + min(mss, nxt - una))]
        else:
            return []
        for start, end in found:
            self.lost.add(start, end)
        return found

    def enter(self, nxt: int, flight: int, mss: int) -> None:
        """Begin a recovery; flight: RecoverFS."""
        self.point = nxt
        self.urgent = True  # RFC 6675 section 5 (4.3): at once, regardless of the pipe
        self.probe_end = -1
        self.prr = RateReduction(flight, mss)

    def all_lost(self, una: int, nxt: int) -> list[list[int]]:
        """Have everything in flight that the peer does not hold sent again; returns RACK's records of it."""
        self.point = nxt
        self.lost.clear()
        for start, end in self.board.missing(una, nxt):
            self.lost.add(start, end)
        return self.rack.clear()

    # -- time-outs -------------------------------------------------------------------------------------------------

    def timed_out(self, una: int, nxt: int, mss: int, congestion: tuple[float, ...], now: Nanos) -> None:
        """Begin or repeat the recovery of a time-out. mss, congestion (Cubic.saved): of the time before it."""
        self.dupacks = 0
        self.probe_end = -1
        self.prr = None
        fresh = self.point < 0
        records = self.all_lost(una, nxt)
        if fresh:
            self.time_out = TimeOut(now, mss, congestion, records)
        elif self.time_out is not None:
            self.time_out.repeated = True
        self.in_rto = True

    def undo_time_out(self, position: int, fresh: Ranges, rtt: Nanos, now: Nanos) -> TimeOut | None:
        """End the recovery of a time-out if the first acknowledgements after it show that it was spurious, else None.

        fresh: the ranges they report, not yet taken from those to be sent again. Returns the state to go back to.
        """
        time_out = self.time_out
        assert time_out is not None
        if rtt >= 0:
            self.time_out = None  # with timestamps the first one decides
            spurious = time_out.answers_older(rtt, now)
        else:
            spurious = self.sack and time_out.answers_unsent(fresh, position >= self.point, self.lost)
        if not spurious:
            return None
        self.time_out = None
        self.point = -1
        self.in_rto = False
        if self.sack:
            self.rack.restore(time_out.records, self.lost)
        self.lost.clear()
        return time_out

    # -- tail loss probes ------------------------------------------------------------------------------------------

    def probe_again_from(self, start: int, nxt: int) -> None:
        """Have [start, nxt), the last segment, sent again as a probe."""
        self.rack.retract(start)
        self.lost.add(start, nxt)
        self.urgent = True
        self.probe_end = nxt
        self.probe_again = True

    def probe_answered(self, position: int, advanced: bool, duplicate: bool) -> bool:
        """Take an acknowledgement after a probe (RFC 8985 section 7.4).

        True when the probe repaired a loss that no later acknowledgement reveals.
        """
        if position < self.probe_end:
            return False
        repaired = position > self.probe_end and self.probe_again and not duplicate and self.point < 0
        if position == self.probe_end and self.probe_again and advanced and not duplicate:
            return False  # of the probe or of the segment it repeats: the next one tells
        self.probe_end = -1
        return repaired
