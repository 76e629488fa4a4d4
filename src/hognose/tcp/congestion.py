"""CUBIC congestion control (RFC 9438) with slow start (RFC 5681); cwnd in bytes, time in nanoseconds."""

from __future__ import annotations

from hognose.tcp.hystart import HyStart
from hognose.units import SECOND, Nanos

INITIAL_SEGMENTS = 10  # RFC 6928
UNLIMITED = 1 << 40  # ssthresh of the first slow start, RFC 5681 section 3.1: arbitrarily high
_BETA = 0.7  # RFC 9438 section 4.6
_C = 0.4  # segments per cubic second, section 5
_ALPHA = 3 * (1 - _BETA) / (1 + _BETA)  # section 4.3


class Cubic:
    """The congestion window of one connection."""

    __slots__ = ("_epoch", "_k", "_origin", "_reno", "_w_max", "cwnd", "hystart", "mss", "ssthresh")

    def __init__(self, mss: int) -> None:
        self.mss = mss
        self.cwnd = INITIAL_SEGMENTS * mss
        self.ssthresh = UNLIMITED
        self.hystart: HyStart | None = None  # in the first slow start, from its first acknowledgement on
        self._w_max = 0.0  # segments
        self._epoch: Nanos = -1  # start of the current avoidance epoch; -1 = none
        self._origin = 0.0  # segments at the plateau
        self._k = 0.0  # seconds to the plateau
        self._reno = 0.0  # segments of the Reno-friendly estimate

    def acked(self, count: int, srtt: Nanos, now: Nanos) -> None:
        """Grow the window: `count` bytes were newly acknowledged while the window was in use."""
        mss = self.mss
        if self.cwnd < self.ssthresh:
            # RFC 3465 with L = the whole acknowledgement: a super-frame's ACK is for many segments (docs/dev/tcp.md).
            self.cwnd = min(self.cwnd + count, max(self.ssthresh, self.cwnd + mss))
            return
        if self._epoch < 0:
            self._start_epoch(now)
        window = self.cwnd / mss
        elapsed = (now - self._epoch + srtt) / SECOND
        target = self._origin + _C * (elapsed - self._k) ** 3
        target = min(max(target, window), 1.5 * window)  # section 4.4
        segments = count / mss
        alpha = _ALPHA if self._reno < self._w_max else 1.0
        self._reno += alpha * segments / window  # section 4.3
        if target < self._reno:
            target = self._reno
        grown = window + (target - window) * min(1.0, segments / window)
        self.cwnd = int(grown * mss)

    def slow_start(self, acked: int, position: int, nxt: int, sent_at: Nanos, now: Nanos) -> int:
        """Bytes by which the window may grow in the first slow start, which RFC 9406 ends.

        position, nxt: SND.UNA and SND.NXT. sent_at: of the segment that ends at position, -1 when it is not known, as
        without SACK: then slow start is RFC 5681's.
        """
        if self.hystart is None:
            self.hystart = HyStart(nxt)
        acked = self.hystart.acknowledged(acked, position, nxt, now - sent_at if sent_at >= 0 else -1)
        if self.hystart.over:
            self.ssthresh = self.cwnd
            self.hystart = None
        return acked

    def lost(self, flight: int) -> None:
        """Decrease the window after a loss found by acknowledgements (RFC 9438 section 4.6, fast convergence 4.7)."""
        # Data outstanding beyond an unrepaired hole can be many times the window; it must not raise it.
        window = max(min(flight, self.cwnd), 2 * self.mss) / self.mss
        self._w_max = window * (1 + _BETA) / 2 if window < self._w_max else window
        self.ssthresh = max(int(window * _BETA * self.mss), 2 * self.mss)
        self.cwnd = self.ssthresh
        self._epoch = -1

    def timed_out(self, flight: int, *, again: bool) -> None:
        """Set the loss window after a retransmission time-out (RFC 5681 section 3.1, RFC 9438 section 4.8).

        again: of data sent again already; ssthresh stays (RFC 5681 equation 4).
        """
        if not again:
            self.lost(flight)
        self.cwnd = self.mss

    def saved(self) -> tuple[float, ...]:
        """The state without cwnd, for `undo`."""
        return (self.ssthresh, self._w_max, self._epoch, self._origin, self._k, self._reno)

    def undo(self, saved: tuple[float, ...], window: int) -> None:
        """Take back a spurious loss; the window opens from `window` bytes (RFC 4015 section 4)."""
        ssthresh, self._w_max, epoch, self._origin, self._k, self._reno = saved
        self.ssthresh = int(ssthresh)
        self._epoch = int(epoch)
        self.cwnd = window

    def idle(self) -> None:
        """Restart after idling longer than an RTO: at most the initial window (RFC 5681 section 4.1)."""
        self.cwnd = min(self.cwnd, INITIAL_SEGMENTS * self.mss)
        self._epoch = -1

    def set_mss(self, mss: int) -> None:
        """Take a new segment size (path MTU); the window keeps its bytes."""
        self.mss = mss

    def _start_epoch(self, now: Nanos) -> None:
        self._epoch = now
        window = self.cwnd / self.mss
        self._reno = window
        if window < self._w_max:
            self._origin = self._w_max
            self._k = ((self._w_max - window) / _C) ** (1 / 3)
        else:
            self._origin = window
            self._k = 0.0
