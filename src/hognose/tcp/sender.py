# hot
"""The sending half of a connection: the next segment, loss detection, the time to give up.

Works on stream positions (seqnum.py); knows nothing of receiving. With SACK loss is found by rack.py (RFC 8985, with
the threshold of RFC 6675), sent again as RFC 6675 has it and paced by proportional rate reduction (RFC 9937); without
it is RFC 6582. The window is congestion.py's; time-outs are rtt.py's. A super-segment counts as the segments it stands
for because everything here is counted in bytes (docs/dev/tcp.md T35).
"""

from __future__ import annotations

from hognose.drops import Counters, Stat
from hognose.limits import TcpLimits
from hognose.link import GSO_MAX_BYTES
from hognose.tcp.black_hole import FOLLOWERS, RAISE_AFTER, BlackHole
from hognose.tcp.congestion import INITIAL_SEGMENTS, UNLIMITED, Cubic
from hognose.tcp.hystart import HyStart
from hognose.tcp.rack import Rack
from hognose.tcp.ranges import RangeSet
from hognose.tcp.rate_reduction import RateReduction
from hognose.tcp.rtt import RttEstimator
from hognose.tcp.sack import DUPLICATE_THRESHOLD, Scoreboard
from hognose.tcp.send_buffer import SendBuffer
from hognose.tcp.time_out import TimeOut
from hognose.units import MS, SECOND, Nanos

GIVE_UP: Nanos = 100 * SECOND  # RFC 9293 section 3.8.3 R2: at least 100 s without an acknowledgement
ZERO_WINDOW_LIMIT: Nanos = 60 * SECOND  # a peer that never reads is dropped (RFC 6429; docs/dev/tcp.md T24)
MIN_MSS = 88  # CVE-2019-11479 class: a smaller peer MSS is treated as this
SINGLE_SEGMENT_DELAY: Nanos = 50 * MS  # RFC 8985 section 7.2: a lone segment may meet a delayed acknowledgement
SUPER_SEGMENT = GSO_MAX_BYTES - 60  # payload bytes of one super-segment beside the largest headers


class Sender:
    """Send state of one connection; the caller turns the segments that `next_segment` names into packets."""

    __slots__ = (
        "_board", "_counters", "_dupacks", "_high", "_hole", "_hystart", "_in_rto", "_lost", "_probe_again",
        "_probe_end", "_prr", "_recovery", "_since", "_time_out", "_timed_at", "_timed_position", "_urgent",
        "_zero_since", "buffer", "calm", "cc", "fin_queued", "fin_sent", "last_sent", "max_window", "mss",
        "nxt", "override", "persist_at", "rack", "rto_at", "rtt", "sack", "size_at", "tail_at", "una", "window",
    )  # fmt: skip

    def __init__(self, mss: int, window: int, sack: bool, limits: TcpLimits, counters: Counters) -> None:
        self.mss = max(mss, MIN_MSS)
        self.una = 1  # the SYN at position 0 is acknowledged
        self.nxt = 1
        self.window = window  # bytes the peer offers beyond una
        self.max_window = window
        self.sack = sack
        self.buffer = SendBuffer(1)
        self.cc = Cubic(self.mss)
        self._hystart: HyStart | None = None  # in the first slow start, from its first acknowledgement on
        self.rtt = RttEstimator()
        self.rto_at: Nanos = 0  # 0 = not running
        self.persist_at: Nanos = 0
        self.fin_queued = False
        self.fin_sent = False
        self.last_sent: Nanos = 0
        self.calm = True  # nothing is reported, lost or being recovered, and no FIN was sent
        self.override = False  # the next segment may be smaller than silly-window avoidance allows
        self._board = Scoreboard(limits.sack_ranges)
        self._counters = counters
        self._lost = RangeSet(2 * limits.sack_ranges)  # to be sent again; a time-out finds a range beyond the bound
        self.rack = Rack()
        self.tail_at: Nanos = 0  # time at which a tail loss probe is due; 0 = not
        self._probe_end = -1  # SND.NXT when a probe left; -1 = none
        self._probe_again = False  # the probe repeats sent data
        self._prr = RateReduction()
        self._hole = BlackHole(self.mss)
        self.size_at: Nanos = 0  # time from which a larger segment size may be probed for; 0 = not
        self._high = (
            0  # in flight when new data was sent last: in the middle of a batch of ACKs it is less than was used
        )
        self._urgent = False  # the first retransmission of a recovery waits for no room
        self._recovery = -1  # recovery lasts until this position is acknowledged; -1 = no recovery
        self._in_rto = False
        self._time_out: TimeOut | None = None  # set while the time-out may turn out to have been spurious
        self._dupacks = 0
        self._timed_position = -1  # RTT of the segment that ends here is being taken
        self._timed_at: Nanos = 0
        self._since: Nanos = 0  # start of the time without acknowledgements though data is in flight
        self._zero_since: Nanos = 0

    @property
    def end(self) -> int:
        """Position after the last byte to send, the FIN included."""
        return self.buffer.end + (1 if self.fin_queued else 0)

    def in_flight(self) -> int:
        """Bytes believed to be in the network (RFC 6675 pipe)."""
        flight = self.nxt - self.una - self._board.total - self._lost.total
        if self._dupacks and not self.sack:
            flight -= self._dupacks * self.mss
        return flight if flight > 0 else 0

    def next_segment(self, now: Nanos) -> tuple[int, int] | None:
        """(position, size in bytes without FIN) of the segment to send now, or None.

        The caller sends it and calls `sent`. size may exceed the MSS: a super-segment.
        """
        una, nxt, mss = self.una, self.nxt, self.mss
        available = self.buffer.end - nxt
        lost = self._lost.total
        if not lost and (available <= 0 and (self.fin_sent or not self.fin_queued)):
            return None
        flight = self.in_flight()
        room = self.cc.cwnd - flight
        if lost:
            start, end = self._lost.first()
            if room < mss and flight and not self._urgent:
                return None
            size = min(end - start, max(room // mss, 1) * mss, SUPER_SEGMENT // mss * mss)
            return start, max(0, min(size, self.buffer.end - start))
        if available <= 0:
            return (nxt, 0) if self.fin_queued and not self.fin_sent else None
        allowed = min(room, una + self.window - nxt)
        if allowed >= available <= SUPER_SEGMENT:
            return nxt, available
        if allowed >= mss:
            return nxt, min(allowed, available, SUPER_SEGMENT) // mss * mss
        if flight == 0 and allowed > 0 and (self.override or room <= self.window or allowed * 2 >= self.max_window):
            # RFC 9293 3.8.6.2.1: half of the largest window seen is worth it, and so is anything after a time.
            return nxt, min(allowed, available)
        return None

    def sent(self, position: int, size: int, now: Nanos) -> None:
        """Account for a segment that leaves now; with the FIN when it reaches the end."""
        end = position + size
        if self.fin_queued and end == self.buffer.end:
            end += 1
            self.fin_sent = True
            self.calm = False
        again = position < self.nxt
        if again:
            self._lost.remove(position, end)
            self._timed_position = -1  # Karn
            self._counters.stats[Stat.TCP_RETRANSMITS] += 1
        if self._recovery >= 0:
            self._prr.sent(size)
        if end > self.nxt:
            if self._timed_position < 0 and self._recovery < 0:
                self._timed_position = end
                self._timed_at = now
            if self.nxt == self.una:
                self._since = now
            self.nxt = end
            self._high = end - self.una
        if self.sack:
            self.rack.sent(position, end, now, again)
            self.tail_at = now + self.rtt.pto if self.calm or (self.fin_sent and self._quiet()) else 0
        self.last_sent = now
        self._urgent = self.override = False
        if not self.rto_at:
            self.rto_at = now + self.rtt.rto
        self.persist_at = 0

    def arm_persist(self, now: Nanos) -> None:
        """Start the persist timer when nothing could be sent: the window may never open (RFC 9293 section 3.8.6.1)."""
        if self.persist_at or self.rto_at or self.buffer.end <= self.nxt:
            return
        if not self._zero_since:
            self._zero_since = now
        self.persist_at = now + self.rtt.rto

    def probe(self, now: Nanos) -> bool:
        """Handle a persist time-out; False when the peer kept its window shut for too long."""
        self.rtt.timed_out()
        self.persist_at = now + self.rtt.rto
        if self.window:
            self.override = True
            return True
        return now - self._zero_since < ZERO_WINDOW_LIMIT

    def acknowledge(
        self, position: int, window: int, blocks: list[tuple[int, int]], has_data: bool, rtt: Nanos, now: Nanos
    ) -> None:
        """Take an acceptable acknowledgement: una <= position <= nxt. window in bytes, blocks as positions.

        rtt: a measurement by timestamps, -1 for none.
        """
        flight = max(self.nxt - self.una, self._high)
        delivered = self.una + self._board.total
        advanced = position > self.una
        fresh: list[tuple[int, int]] = []
        duplicate = False
        for start, end in sorted(blocks):
            if self.una < start < end <= self.nxt:  # anything else is an old or a duplicate SACK (RFC 2883)
                missing = self._board.missing(start, end)
                if missing and self._board.add(start, end):
                    fresh += missing
            elif end <= position:
                duplicate = True
        if duplicate and not advanced:
            self.rack.duplicate(self.rtt.srtt, now)
        if advanced and (not self.calm or self._board.total):
            fresh += self._board.missing(self.una, position)
        undone = self._time_out is not None and len(fresh) > 0 and self._undo_time_out(position, fresh, rtt, now)
        if advanced:
            self._advance(position, flight, rtt, now)
            if self._hole.probe is not None and position >= self._hole.probe[1]:
                self._resize(self._hole.passed())
                self.size_at = now + RAISE_AFTER if self._hole.found else now
        if undone:  # RFC 4015 section 4 (4)
            acked = self.una + self._board.total - delivered
            self.cc.cwnd = self.in_flight() + min(acked, INITIAL_SEGMENTS * self.mss)
        elif (
            not advanced
            and not has_data
            and not fresh
            and not blocks
            and self.nxt > self.una
            and window == self.window
            and not self.sack
        ):  # RFC 5681 section 2, duplicate acknowledgement
            self._dupacks += 1
        if window != self.window:
            self._set_window(window)
        if self._probe_end >= 0:
            self._probe_answered(position, advanced, duplicate, flight)
        if fresh:
            for start, end in fresh:
                if self._lost.total and self._lost.remove(start, end):
                    self.rack.reordering = True  # it was not lost
            measured = self.rack.delivered(sorted(fresh), now)
            if measured >= 0 and self.rtt.backoff:
                # RFC 6298 (5.7): a reported range that was sent once is a measurement, and the back-off is over.
                self.rtt.sample(max(measured, MS))
                self.rto_at = min(self.rto_at, now + self.rtt.rto)
        if self._board.total or self._dupacks >= DUPLICATE_THRESHOLD or self._recovery >= 0:
            self._detect_loss(flight, now)
            if self._recovery >= 0 and self.sack and not self._in_rto:
                self._reduce(self.una + self._board.total - delivered, advanced=advanced)
        else:
            self.rack.deadline = 0  # a segment that was given time to arrive late has arrived
        quiet = self._quiet()
        self.calm = quiet and not self.fin_sent
        self.tail_at = now + self.rtt.pto if quiet and self.sack and self.nxt > self.una else 0

    def _quiet(self) -> bool:
        """True when nothing is reported, lost, being recovered or probed for."""
        return (
            self._recovery < 0
            and self._hole.probe is None
            and not (self._board.total or self._dupacks or self._probe_end >= 0)
        )

    def advance(self, acked: int, window: int, now: Nanos) -> None:
        """Take an acknowledgement in the common case: `calm` holds, `acked` > 0 bytes are new, without SACK blocks."""
        position = self.una + acked
        busy = self._high * 2 >= self.cc.cwnd
        self.una = position
        self.buffer.acknowledge(position)
        self._since = now
        if 0 <= self._timed_position <= position:
            self.rtt.sample(now - self._timed_at)
            self._timed_position = -1
        elif self.rtt.backoff:
            self.rtt.progressed()
        if busy:
            if self.cc.ssthresh == UNLIMITED:
                acked = self._slow_start(acked, now)
            self.cc.acked(acked, self.rtt.srtt, now)
        if self.nxt > position:
            self.rto_at = now + self.rtt.rto
            if self.sack:
                self.rack.acknowledged(position)
                self.tail_at = now + self.rtt.pto
        else:
            self.rto_at = self.tail_at = 0
            self.rack.acknowledged(position)
        if window != self.window:
            self._set_window(window)

    def timed_out(self, now: Nanos) -> bool:
        """Handle the RTO (RFC 6298 5.4 - 5.7): all in flight counts as lost. False when it is time to give up."""
        if now - self._since >= GIVE_UP:
            return False
        self._counters.stats[Stat.TCP_TIMEOUTS] += 1
        self.calm = False
        self._dupacks = 0
        self._timed_position = -1
        self._probe_end = -1
        if self.rtt.backoff >= 2:
            self._board.clear()  # RFC 2018 section 8: the peer may have reneged
        size = self.mss
        hole = self._hole
        if hole.probe is not None:
            hole.lost()
        mss = hole.size_after(self.rtt.backoff, size, self.nxt - self.una)
        if mss and mss != size:
            self._counters.stats[Stat.TCP_BLACK_HOLES_SUSPECTED] += mss < size
            self._resize(mss)
            self.size_at = 0
        congestion = self.cc.saved()
        self.cc.timed_out(self.nxt - self.una, again=self._in_rto)
        fresh = self._recovery < 0
        records = self._all_lost()
        if fresh:
            self._time_out = TimeOut(now, size, congestion, records)
        elif self._time_out is not None:
            self._time_out.repeated = True
        self._in_rto = True
        self.rtt.timed_out()
        self.rto_at = now + self.rtt.rto
        return True

    def probe_tail(self, now: Nanos) -> tuple[int, int] | None:
        """Send one segment at the probe time-out, so that its acknowledgement reveals losses (RFC 8985 section 7.3).

        Returns (position, size) of new data for the caller to send, where there is some and the peer has room for it,
        regardless of cwnd. Else None: `next_segment` will name the last segment again.
        """
        self.tail_at = 0
        if self.nxt == self.una or not self._quiet():
            return None
        if self.nxt - self.una <= self.mss:
            due = self.last_sent + self.rtt.pto + SINGLE_SEGMENT_DELAY
            if due > now and self.rto_at > now:
                self.tail_at = due
                return None
        self.calm = False
        self.rto_at = now + self.rtt.rto
        self._counters.stats[Stat.TCP_TAIL_PROBES] += 1
        size = min(self.buffer.end - self.nxt, self.mss)
        self._probe_again = size <= 0 or self.nxt + size > self.una + self.window
        if not self._probe_again:
            self._probe_end = self.nxt + size
            return self.nxt, size
        start = max(self.una, self.nxt - self.mss)
        self.rack.retract(start)
        self._lost.add(start, self.nxt)
        self._urgent = True
        self._probe_end = self.nxt
        return None

    def reordering_over(self, now: Nanos) -> None:
        """Handle RACK's timer: a segment that was given time to arrive late has not arrived."""
        self._detect_loss(max(self.nxt - self.una, self._high), now)
        if self._recovery >= 0 and not self._in_rto:
            self._reduce(0, advanced=False)

    def restart_after_idle(self, now: Nanos) -> None:
        """Restart after idling (RFC 5681 section 4.1): a window unused for an RTO is no longer known to be right."""
        if self.nxt == self.una and now - self.last_sent > self.rtt.rto:
            self.cc.idle()
            if self.size_at and now >= self.size_at and not self.sack:
                self.size_at = 0  # probes need to be told from the segments after them
                self._resize(self._hole.full)

    def size_probe(self, now: Nanos) -> tuple[int, int] | None:
        """(position, size) of a segment larger than the MSS, to be sent as one; None when no probe is due."""
        hole = self._hole
        if now < self.size_at or not self.calm or not self.sack:
            return None
        if hole.found:
            hole.search(self.mss)  # RAISE_AFTER is over
        size = hole.candidate
        follow = min(self.una + self.window, self.buffer.end) - self.nxt
        if follow < size + FOLLOWERS * self.mss or self.cc.cwnd - self.in_flight() < self.mss:
            return None  # cwnd is exceeded by less than a segment: acknowledgements seldom make room for more than one
        hole.probe = (self.nxt, self.nxt + size)
        self.calm = False
        return self.nxt, size

    def set_mss(self, mss: int) -> None:
        """Take a smaller path: segments in flight that were larger are sent again at the new size."""
        if MIN_MSS <= mss < self.mss:
            self._hole.full = mss
            self._hole.probe = None
            self.size_at = 0
            self._resize(mss)
            self._time_out = None
            if self.nxt > self.una:
                self.calm = False
                self._all_lost()

    def _resize(self, mss: int) -> None:
        self.mss = mss
        self.cc.set_mss(mss)

    def _all_lost(self) -> list[list[int]]:
        """Have everything in flight that the peer does not hold sent again; returns RACK's records of it."""
        self._recovery = self.nxt
        self._lost.clear()
        for start, end in self._board.missing(self.una, self.nxt):
            self._lost.add(start, end)
        self.tail_at = 0
        return self.rack.clear()

    def _undo_time_out(self, position: int, fresh: list[tuple[int, int]], rtt: Nanos, now: Nanos) -> bool:
        """Restore the state before a time-out if the first acknowledgements after it show that it was spurious.

        fresh: the ranges they report, not yet taken from those to be sent again.
        """
        time_out = self._time_out
        assert time_out is not None
        if rtt >= 0:
            self._time_out = None  # with timestamps the first one decides
            spurious = time_out.answers_older(rtt, now)
        else:
            spurious = self.sack and time_out.answers_unsent(fresh, position >= self._recovery, self._lost)
        if not spurious:
            return False
        self._counters.stats[Stat.TCP_SPURIOUS_TIMEOUTS] += 1
        self._time_out = None
        self._recovery = -1
        self._in_rto = False
        if self.sack:
            self.rack.restore(time_out.records, self._lost)
        self._lost.clear()
        self._resize(time_out.mss)
        self.cc.undo(time_out.congestion, self.cc.cwnd)
        # RFC 4015 section 3: the delay is one of the path's; later segments wait for as long.
        oldest = next((record[2] for record in time_out.records if record[1] > self.una), now)
        self.rtt.sample(rtt if rtt >= 0 else now - oldest)
        return True

    def _slow_start(self, acked: int, now: Nanos) -> int:
        """Bytes by which the window may grow in the first slow start, which RFC 9406 ends."""
        if self._hystart is None:
            self._hystart = HyStart(self.nxt)
        # Without SACK there are no records of when something was sent: slow start is RFC 5681's.
        sent_at = self.rack.sent_at(self.una) if self.calm else -1
        acked = self._hystart.acknowledged(acked, self.una, self.nxt, now - sent_at if sent_at >= 0 else -1)
        if self._hystart.over:
            self.cc.ssthresh = self.cc.cwnd
            self._hystart = None
        return acked

    def _set_window(self, window: int) -> None:
        """Take the window that the peer offers."""
        self.window = window
        if window > self.max_window:
            self.max_window = window
        if window:
            self.persist_at = 0
            self._zero_since = 0

    def _advance(self, position: int, flight: int, rtt: Nanos, now: Nanos) -> None:
        """Move the cumulative acknowledgement."""
        acked = position - self.una
        self.una = position
        self.buffer.acknowledge(min(position, self.buffer.end))
        self._board.acknowledge(position)
        self._lost.acknowledge(position)
        self._dupacks = 0
        self._since = now
        if 0 <= self._timed_position <= position:
            self.rtt.sample(now - self._timed_at)
            self._timed_position = -1
        elif rtt >= 0 and self._recovery >= 0:
            self.rtt.sample(max(rtt, MS))
        else:
            self.rtt.progressed()
        if self._recovery >= 0:
            if position >= self._recovery:
                self._recovery = -1
                self._time_out = None
                self._lost.clear()
                self.rack.recovered()
                if self.sack and not self._in_rto:
                    self.cc.cwnd = self.cc.ssthresh  # RFC 9937 section 4
                self._in_rto = False
                if self.mss < self._hole.full and not self.size_at:
                    self._hole.search(self.mss)
                    self.size_at = now if self.sack else now + RAISE_AFTER
            elif not self.sack and not self._in_rto:
                # RFC 6582 section 3.2 step 5: a partial acknowledgement, the next hole is lost too.
                self._lost.clear()
                self._lost.add(position, min(position + self.mss, self.nxt))
                self._urgent = True
        if (self._recovery < 0 or self._in_rto) and flight * 2 >= self.cc.cwnd:
            if self.cc.ssthresh == UNLIMITED:
                acked = self._slow_start(acked, now)
            self.cc.acked(acked, self.rtt.srtt, now)
        self.rto_at = now + self.rtt.rto if self.nxt > position else 0

    def _detect_loss(self, flight: int, now: Nanos) -> None:
        """Enter recovery when something counts as lost; in recovery note further losses."""
        if self.sack:
            certain = self._recovery >= 0 or self._board.tells_loss(self.mss)
            found = self.rack.lost(self.una, self._board, certain, self.rtt.srtt, now)
        elif self._dupacks >= DUPLICATE_THRESHOLD and self._recovery < 0:
            found = [(self.una, self.una + min(self.mss, self.nxt - self.una))]
        else:
            return
        if not found:
            return
        for start, end in found:
            self._lost.add(start, end)
        probe = self._hole.probe
        if probe is not None and found[0][0] < probe[1]:
            self._hole.lost()
            self.size_at = now + RAISE_AFTER if self._hole.found else now
            if self._recovery < 0 and probe[0] <= found[0][0] and found[-1][1] <= probe[1]:
                self._urgent = True
                return  # its size was too large: no sign of congestion (RFC 4821 section 7.7)
        if self._recovery < 0:
            self._recovery = self.nxt
            self._urgent = True  # RFC 6675 section 5 (4.3): at once, regardless of the pipe
            self._timed_position = -1
            self._probe_end = -1
            self._hystart = None
            self.calm = False
            self.tail_at = 0
            self._prr.begin(min(flight, self.cc.cwnd), self.mss)
            self.cc.lost(flight)
            self._counters.stats[Stat.TCP_RECOVERIES] += 1

    def _reduce(self, delivered: int, *, advanced: bool) -> None:
        """Set the window in recovery, without a time-out."""
        self.cc.cwnd = self._prr.window(delivered, self.in_flight(), self.cc.ssthresh, self.mss, advanced=advanced)

    def _probe_answered(self, position: int, advanced: bool, duplicate: bool, flight: int) -> None:
        """Take an acknowledgement after a tail loss probe (RFC 8985 section 7.4)."""
        if position < self._probe_end:
            return
        if position > self._probe_end:
            if self._probe_again and not duplicate and self._recovery < 0:
                self.cc.lost(flight)  # the probe repaired a loss that no later acknowledgement reveals
        elif self._probe_again and advanced and not duplicate:
            return  # of the probe or of the segment it repeats: the next one tells
        self._probe_end = -1
