"""Round-trip time and retransmission time-out (RFC 6298); times in nanoseconds."""

from __future__ import annotations

from hognose.units import MS, SECOND, Nanos

INITIAL_RTO: Nanos = 1 * SECOND  # RFC 6298 (2.1)
REPEATED_SYN_RTO: Nanos = 3 * SECOND  # (5.7), of a connection whose handshake took a time-out and measured nothing
# RFC 6298 (2.4) says SHOULD 1 s; Linux and gVisor use 200 ms, and so do we (docs/dev/tcp.md T9).
MIN_RTO: Nanos = 200 * MS
MAX_RTO: Nanos = 60 * SECOND  # RFC 6298 (2.5): at least 60 s
GRANULARITY: Nanos = 1 * MS
MIN_PTO: Nanos = 10 * MS  # a probe time-out below the granularity of the peer's clock probes for nothing


class RttEstimator:
    """SRTT, RTTVAR and the backed-off RTO of one connection."""

    __slots__ = ("backoff", "first", "pto", "rto", "rttvar", "srtt")

    def __init__(self) -> None:
        self.first = True  # no measurement of data yet
        self.srtt: Nanos = 0
        self.rttvar: Nanos = 0
        self.rto: Nanos = INITIAL_RTO
        self.backoff = 0
        self.pto: Nanos = INITIAL_RTO  # RFC 8985 section 7.2

    def begin(self, rtt: Nanos) -> None:
        """Begin data transmission; rtt: of the handshake, 0 when its SYN-ACK was repeated and no echo tells.

        It counts until there is a better one: where the third segment was lost it has the peer's time-out in it.
        """
        if rtt:
            self.sample(rtt)
            self.first = True
        else:
            self.rto = REPEATED_SYN_RTO

    def sample(self, rtt: Nanos) -> None:
        """Take one measurement of a segment that was not retransmitted (Karn, RFC 6298 section 3)."""
        if self.first:  # (2.2)
            self.first = False
            self.srtt = max(rtt, 1)
            self.rttvar = rtt // 2
        else:  # (2.3), alpha 1/8, beta 1/4
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // 4
            self.srtt = max(1, self.srtt + (rtt - self.srtt) // 8)
        self.backoff = 0
        self.rto = min(MAX_RTO, max(MIN_RTO, self.srtt + max(GRANULARITY, 4 * self.rttvar)))
        self.pto = max(MIN_PTO, 2 * self.srtt)

    def timed_out(self) -> None:
        """Back off: the next RTO doubles (5.5), bounded by MAX_RTO."""
        self.backoff += 1
        self.rto = min(MAX_RTO, self.rto * 2)

    def progressed(self) -> None:
        """End the back-off with the next sample and recompute the RTO (5.7): new data was acknowledged."""
        if self.backoff:
            self.backoff = 0
            if self.srtt:
                self.rto = min(MAX_RTO, max(MIN_RTO, self.srtt + max(GRANULARITY, 4 * self.rttvar)))
            else:
                self.rto = INITIAL_RTO
