"""Timers of the sending half: retransmission, tail loss probe, zero-window probe, and the limits of patience.

Holds the RTT estimator, the measurement that runs, and the times since which the peer has kept us waiting. The caller
acts on a timer that is due; rack.py has the timer of its own, reordering.
"""

from __future__ import annotations

from hognose.tcp.rtt import RttEstimator
from hognose.units import MS, SECOND, Nanos

GIVE_UP: Nanos = 100 * SECOND  # RFC 9293 section 3.8.3 R2: at least 100 s without an acknowledgement
ZERO_WINDOW_LIMIT: Nanos = 60 * SECOND  # a peer that never reads is dropped (RFC 6429; docs/dev/tcp.md T24)
SINGLE_SEGMENT_DELAY: Nanos = 50 * MS  # RFC 8985 section 7.2: a lone segment may meet a delayed acknowledgement


class SendTimers:
    """Times at which the sender of one connection acts; 0 = the timer does not run."""

    __slots__ = (
        "last_sent", "persist_at", "progress_at", "rto_at", "rtt", "shut_since", "tail_at", "timed_at",
        "timed_position",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rtt = RttEstimator()
        self.rto_at: Nanos = 0
        self.tail_at: Nanos = 0  # a tail loss probe is due
        self.persist_at: Nanos = 0
        self.last_sent: Nanos = 0
        self.progress_at: Nanos = 0  # start of the time without acknowledgements though data is in flight
        self.shut_since: Nanos = 0  # start of the time with a zero window and something to send
        self.timed_position = -1  # RTT of the segment that ends here is being taken; -1 = none
        self.timed_at: Nanos = 0

    def acknowledged(self, position: int, rtt: Nanos, now: Nanos) -> None:
        """Note that the cumulative acknowledgement moved to `position`; rtt: by the echoed timestamp, -1 for none."""
        self.progress_at = now
        if 0 <= self.timed_position <= position:
            self.rtt.sample(now - self.timed_at)
            self.timed_position = -1
        elif rtt >= 0:
            self.rtt.sample(max(rtt, MS))
        else:
            self.rtt.progressed()

    def back_off(self, now: Nanos) -> None:
        """Restart the RTO with twice its time (RFC 6298 5.5, 5.6); the running measurement is void (Karn)."""
        self.timed_position = -1
        self.tail_at = 0
        self.rtt.timed_out()
        self.rto_at = now + self.rtt.rto

    def exhausted(self, now: Nanos) -> bool:
        """True when it is time to give up: GIVE_UP has passed without an acknowledgement."""
        return now - self.progress_at >= GIVE_UP

    def postpone_tail(self, now: Nanos) -> bool:
        """Give a lone segment SINGLE_SEGMENT_DELAY more; False when that is over, or the RTO is first."""
        due = self.last_sent + self.rtt.pto + SINGLE_SEGMENT_DELAY
        if due <= now or self.rto_at <= now:
            return False
        self.tail_at = due
        return True

    def arm_persist(self, now: Nanos) -> None:
        """Start the persist timer when nothing could be sent: the window may never open (RFC 9293 section 3.8.6.1)."""
        if self.persist_at or self.rto_at:
            return
        if not self.shut_since:
            self.shut_since = now
        self.persist_at = now + self.rtt.rto

    def persist_again(self, now: Nanos) -> bool:
        """Restart the persist timer with twice its time; False when the window was shut for ZERO_WINDOW_LIMIT."""
        self.rtt.timed_out()
        self.persist_at = now + self.rtt.rto
        return now - self.shut_since < ZERO_WINDOW_LIMIT
