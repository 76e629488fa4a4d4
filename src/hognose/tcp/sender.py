# hot
"""The sending half of a connection: the next segment, and what an acknowledgement does to window, timers and losses.

Works on stream positions (seqnum.py); knows nothing of receiving. Losses are recovery.py's, timers send_timers.py's,
the congestion window is congestion.py's, the search for the segment size black_hole.py's. A super-segment counts as the
segments it stands for because everything here is counted in bytes (docs/dev/tcp.md T35).
"""

from __future__ import annotations

from hognose.drops import Counters, Stat
from hognose.limits import TcpLimits
from hognose.link import GSO_MAX_BYTES
from hognose.tcp.black_hole import FOLLOWERS, RAISE_AFTER, BlackHole
from hognose.tcp.congestion import INITIAL_SEGMENTS, UNLIMITED, Cubic
from hognose.tcp.rate_reduction import RateReduction
from hognose.tcp.recovery import Recovery
from hognose.tcp.sack import DUPLICATE_THRESHOLD
from hognose.tcp.send_buffer import SendBuffer
from hognose.tcp.send_timers import SendTimers
from hognose.units import MS, Nanos
from hognose.wire.tcp import MIN_MSS

SUPER_SEGMENT = GSO_MAX_BYTES - 60  # payload bytes of one super-segment beside the largest headers


class Sender:
    """Send state of one connection; the caller turns the segments that `next_segment` names into packets."""

    __slots__ = (
        "_counters", "_high", "buffer", "calm", "cc", "fin_queued", "fin_sent", "hole", "max_window", "mss",
        "nxt", "override", "recovery", "sack", "timers", "una", "window",
    )  # fmt: skip

    def __init__(self, mss: int, window: int, sack: bool, limits: TcpLimits, counters: Counters) -> None:
        self.mss = max(mss, MIN_MSS)
        self.una = 1  # the SYN at position 0 is acknowledged
        self.nxt = 1
        self.window = window  # bytes the peer offers beyond una
        self.max_window = window
        self.sack = sack
        self.fin_queued = False
        self.fin_sent = False
        self.calm = True  # nothing is reported, lost or being recovered, and no FIN was sent
        self.override = False  # the next segment may be smaller than silly-window avoidance allows
        self.buffer = SendBuffer(1)
        self.cc = Cubic(self.mss)
        self.recovery = Recovery(sack, limits)
        self.timers = SendTimers()
        self.hole = BlackHole(self.mss)
        # In flight when new data was sent last: in the middle of a batch of ACKs it is less than was used.
        self._high = 0
        self._counters = counters

    @property
    def end(self) -> int:
        """Position after the last byte to send, the FIN included."""
        return self.buffer.end + (1 if self.fin_queued else 0)

    def in_flight(self) -> int:
        """Bytes believed to be in the network (RFC 6675 pipe)."""
        return self.recovery.pipe(self.nxt - self.una, self.mss)

    def next_segment(self, now: Nanos) -> tuple[int, int] | None:
        """(position, size in bytes without FIN) of the segment to send now, or None.

        The caller sends it and calls `sent`. size may exceed the MSS: a super-segment.
        """
        una, nxt, mss, recovery = self.una, self.nxt, self.mss, self.recovery
        available = self.buffer.end - nxt
        lost = recovery.lost
        if not lost.total and (available <= 0 and (self.fin_sent or not self.fin_queued)):
            return None
        flight = recovery.pipe(nxt - una, mss)
        room = self.cc.cwnd - flight
        if lost.total:
            start, end = lost.first()
            if room < mss and flight and not recovery.urgent:
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
        recovery, timers = self.recovery, self.timers
        end = position + size
        if self.fin_queued and end == self.buffer.end:
            end += 1
            self.fin_sent = True
            self.calm = False
        again = position < self.nxt
        if again:
            recovery.lost.remove(position, end)
            timers.timed_position = -1  # Karn
            self._counters.stats[Stat.TCP_RETRANSMITS] += 1
        if recovery.prr is not None:
            recovery.prr.sent(size)
        if end > self.nxt:
            if timers.timed_position < 0 and recovery.point < 0:
                timers.timed_position = end
                timers.timed_at = now
            if self.nxt == self.una:
                timers.progress_at = now
            self.nxt = end
            self._high = end - self.una
        if self.sack:
            recovery.rack.sent(position, end, now, again)
            tail = self.calm or (self.fin_sent and self.hole.probe is None and recovery.quiet())
            timers.tail_at = now + timers.rtt.pto if tail else 0
        timers.last_sent = now
        recovery.urgent = self.override = False
        if not timers.rto_at:
            timers.rto_at = now + timers.rtt.rto
        timers.persist_at = 0

    def persist_over(self, now: Nanos) -> bool:
        """Handle a persist time-out; False when the peer kept its window shut for too long."""
        patient = self.timers.persist_again(now)
        self.override = self.override or self.window > 0
        return patient or self.window > 0

    # -- acknowledgements ------------------------------------------------------------------------------------------

    def advance(self, acked: int, window: int, now: Nanos) -> None:
        """Take an acknowledgement in the common case: `calm` holds, `acked` > 0 bytes are new, without SACK blocks."""
        timers = self.timers
        rtt = timers.rtt
        position = self.una + acked
        busy = self._high * 2 >= self.cc.cwnd
        self.una = position
        self.buffer.acknowledge(position)
        timers.progress_at = now
        if 0 <= timers.timed_position <= position:
            rtt.sample(now - timers.timed_at)
            timers.timed_position = -1
        elif rtt.backoff:
            rtt.progressed()
        if busy:
            if self.cc.ssthresh == UNLIMITED:
                acked = self.cc.slow_start(acked, position, self.nxt, self.recovery.rack.sent_at(position), now)
            self.cc.acked(acked, rtt.srtt, now)
        if self.nxt > position:
            timers.rto_at = now + rtt.rto
            if self.sack:
                self.recovery.rack.acknowledged(position)
                timers.tail_at = now + rtt.pto
        else:
            timers.rto_at = timers.tail_at = 0
            self.recovery.rack.acknowledged(position)
        if window != self.window:
            self._set_window(window)

    def acknowledge(
        self, position: int, window: int, blocks: list[tuple[int, int]], has_data: bool, rtt: Nanos, now: Nanos
    ) -> None:
        """Take an acceptable acknowledgement: una <= position <= nxt. window in bytes, blocks as positions.

        rtt: a measurement by timestamps, -1 for none.
        """
        recovery, timers, hole = self.recovery, self.timers, self.hole
        board = recovery.board
        flight = max(self.nxt - self.una, self._high)
        delivered = self.una + board.total
        advanced = position > self.una
        fresh, duplicate = recovery.report(blocks, self.una, self.nxt, position) if blocks else ([], False)
        if duplicate and not advanced:
            recovery.rack.duplicate(timers.rtt.srtt, now)
        if advanced and (not self.calm or board.total):
            fresh += board.missing(self.una, position)
        undone = recovery.time_out is not None and len(fresh) > 0 and self._undo_time_out(position, fresh, rtt, now)
        if advanced:
            self._advance(position, flight, rtt, now)
            if hole.probe is not None and position >= hole.probe[1]:
                self._resize(hole.passed())
                hole.due_at = now + RAISE_AFTER if hole.found else now
        if undone:  # RFC 4015 section 4 (4)
            acked = self.una + board.total - delivered
            self.cc.cwnd = self.in_flight() + min(acked, INITIAL_SEGMENTS * self.mss)
        elif not (self.sack or advanced or has_data or fresh or blocks) and window == self.window:
            recovery.dupacks += self.nxt > self.una  # RFC 5681 section 2, duplicate acknowledgement
        if window != self.window:
            self._set_window(window)
        if recovery.probe_end >= 0 and recovery.probe_answered(position, advanced, duplicate):
            self.cc.lost(flight)
        if fresh:
            measured = recovery.arrived(fresh, now)
            if measured >= 0 and timers.rtt.backoff:
                # RFC 6298 (5.7): a reported range that was sent once is a measurement, and the back-off is over.
                timers.rtt.sample(max(measured, MS))
                timers.rto_at = min(timers.rto_at, now + timers.rtt.rto)
        if board.total or recovery.dupacks >= DUPLICATE_THRESHOLD or recovery.point >= 0:
            self._detect_loss(flight, now)
            if recovery.prr is not None and self.sack:
                self._reduce(recovery.prr, self.una + board.total - delivered, advanced=advanced)
        else:
            recovery.rack.deadline = 0  # a segment that was given time to arrive late has arrived
        quiet = hole.probe is None and recovery.quiet()
        self.calm = quiet and not self.fin_sent
        timers.tail_at = now + timers.rtt.pto if quiet and self.sack and self.nxt > self.una else 0

    def _advance(self, position: int, flight: int, rtt: Nanos, now: Nanos) -> None:
        """Move the cumulative acknowledgement."""
        recovery, timers, hole = self.recovery, self.timers, self.hole
        acked = position - self.una
        self.una = position
        self.buffer.acknowledge(min(position, self.buffer.end))
        timers.acknowledged(position, rtt if recovery.point >= 0 else -1, now)
        if recovery.advance(position, self.nxt, self.mss):
            if self.sack and recovery.prr is not None:
                self.cc.cwnd = self.cc.ssthresh  # RFC 9937 section 4
            recovery.prr = None
            recovery.in_rto = False
            if self.mss < hole.full and not hole.due_at:
                hole.search(self.mss)
                hole.due_at = now if self.sack else now + RAISE_AFTER
        if (recovery.point < 0 or recovery.in_rto) and flight * 2 >= self.cc.cwnd:
            if self.cc.ssthresh == UNLIMITED:
                sent_at = recovery.rack.sent_at(position) if self.calm else -1
                acked = self.cc.slow_start(acked, position, self.nxt, sent_at, now)
            self.cc.acked(acked, timers.rtt.srtt, now)
        timers.rto_at = now + timers.rtt.rto if self.nxt > position else 0

    def _set_window(self, window: int) -> None:
        """Take the window that the peer offers."""
        self.window = window
        if window > self.max_window:
            self.max_window = window
        if window:
            self.timers.persist_at = self.timers.shut_since = 0

    # -- losses ----------------------------------------------------------------------------------------------------

    def timed_out(self, now: Nanos) -> bool:
        """Handle the RTO (RFC 6298 5.4 - 5.7): all in flight counts as lost. False when it is time to give up."""
        recovery, timers, hole = self.recovery, self.timers, self.hole
        if timers.exhausted(now):
            return False
        self._counters.stats[Stat.TCP_TIMEOUTS] += 1
        self.calm = False
        if timers.rtt.backoff >= 2:
            recovery.board.clear()  # RFC 2018 section 8: the peer may have reneged
        size = self.mss
        if hole.probe is not None:
            hole.lost()
        mss = hole.size_after(timers.rtt.backoff, size, self.nxt - self.una)
        if mss and mss != size:
            self._counters.stats[Stat.TCP_BLACK_HOLES_SUSPECTED] += mss < size
            self._resize(mss)
            hole.due_at = 0
        congestion = self.cc.saved()
        self.cc.timed_out(self.nxt - self.una, again=recovery.in_rto)
        recovery.timed_out(self.una, self.nxt, size, congestion, now)
        timers.back_off(now)
        return True

    def probe_tail(self, now: Nanos) -> tuple[int, int] | None:
        """Send one segment at the probe time-out, so that its acknowledgement reveals losses (RFC 8985 section 7.3).

        Returns (position, size) of new data for the caller to send, where there is some and the peer has room for it,
        regardless of cwnd. Else None: `next_segment` will name the last segment again.
        """
        recovery, timers = self.recovery, self.timers
        timers.tail_at = 0
        if self.nxt == self.una or self.hole.probe is not None or not recovery.quiet():
            return None
        if self.nxt - self.una <= self.mss and timers.postpone_tail(now):
            return None
        self.calm = False
        timers.rto_at = now + timers.rtt.rto
        self._counters.stats[Stat.TCP_TAIL_PROBES] += 1
        size = min(self.buffer.end - self.nxt, self.mss)
        if size > 0 and self.nxt + size <= self.una + self.window:
            recovery.probe_again = False
            recovery.probe_end = self.nxt + size
            return self.nxt, size
        recovery.probe_again_from(max(self.una, self.nxt - self.mss), self.nxt)
        return None

    def reordering_over(self, now: Nanos) -> None:
        """Handle RACK's timer: a segment that was given time to arrive late has not arrived."""
        self._detect_loss(max(self.nxt - self.una, self._high), now)
        if self.recovery.prr is not None:
            self._reduce(self.recovery.prr, 0, advanced=False)

    def _detect_loss(self, flight: int, now: Nanos) -> None:
        """Enter recovery when something counts as lost; in recovery note further losses."""
        recovery, hole = self.recovery, self.hole
        found = recovery.find_lost(self.una, self.nxt, self.mss, self.timers.rtt.srtt, now)
        if not found:
            return
        probe = hole.probe
        if probe is not None and found[0][0] < probe[1]:
            hole.lost()
            hole.due_at = now + RAISE_AFTER if hole.found else now
            if recovery.point < 0 and probe[0] <= found[0][0] and found[-1][1] <= probe[1]:
                recovery.urgent = True
                return  # its size was too large: no sign of congestion (RFC 4821 section 7.7)
        if recovery.point < 0:
            recovery.enter(self.nxt, min(flight, self.cc.cwnd), self.mss)
            self.timers.timed_position = -1
            self.timers.tail_at = 0
            self.cc.hystart = None
            self.calm = False
            self.cc.lost(flight)
            self._counters.stats[Stat.TCP_RECOVERIES] += 1

    def _reduce(self, prr: RateReduction, delivered: int, *, advanced: bool) -> None:
        """Set the window in recovery, without a time-out."""
        pipe = self.recovery.pipe(self.nxt - self.una, self.mss)
        self.cc.cwnd = prr.window(delivered, pipe, self.cc.ssthresh, self.mss, advanced=advanced)

    def _undo_time_out(self, position: int, fresh: list[tuple[int, int]], rtt: Nanos, now: Nanos) -> bool:
        """Restore the state before a time-out if an acknowledgement shows that it was spurious."""
        time_out = self.recovery.undo_time_out(position, fresh, rtt, now)
        if time_out is None:
            return False
        self._counters.stats[Stat.TCP_SPURIOUS_TIMEOUTS] += 1
        self._resize(time_out.mss)
        self.cc.undo(time_out.congestion, self.cc.cwnd)
        # RFC 4015 section 3: the delay is one of the path's; later segments wait for as long.
        self.timers.rtt.sample(rtt if rtt >= 0 else now - time_out.oldest(self.una, now))
        return True

    # -- segment sizes ---------------------------------------------------------------------------------------------

    def restart_after_idle(self, now: Nanos) -> None:
        """Restart after idling (RFC 5681 section 4.1): a window unused for an RTO is no longer known to be right."""
        if self.nxt == self.una and now - self.timers.last_sent > self.timers.rtt.rto:
            self.cc.idle()
            if self.hole.due_at and now >= self.hole.due_at and not self.sack:
                self.hole.due_at = 0  # probes need to be told from the segments after them
                self._resize(self.hole.full)

    def size_probe(self, now: Nanos) -> tuple[int, int] | None:
        """(position, size) of a segment larger than the MSS, to be sent as one; None when no probe is due."""
        hole = self.hole
        if now < hole.due_at or not self.calm or not self.sack:
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

    def set_mss(self, mss: int, now: Nanos) -> None:
        """Take a smaller path: segments in flight that were larger are sent again at the new size."""
        if MIN_MSS <= mss < self.mss:
            self.hole.told(mss, now)
            self._resize(mss)
            self.recovery.time_out = None
            if self.nxt > self.una:
                self.calm = False
                self.timers.tail_at = 0
                self.recovery.all_lost(self.una, self.nxt)
        elif self.hole.probe is not None and mss < self.hole.candidate:
            self.hole.refused()

    def _resize(self, mss: int) -> None:
        """Use another segment size from now on."""
        self.mss = mss
        self.cc.set_mss(mss)
