"""Proportional rate reduction: in recovery the window follows what is delivered (RFC 9937); bytes."""

from __future__ import annotations


class RateReduction:
    """The bytes delivered and sent in one recovery."""

    __slots__ = ("_base", "_delivered", "_sent")

    def __init__(self, flight: int, mss: int) -> None:
        """Begin a recovery with `flight` bytes in flight (RecoverFS)."""
        self._base = max(flight, mss)
        self._delivered = self._sent = 0

    def sent(self, size: int) -> None:
        """Count `size` bytes sent in recovery (prr_out)."""
        self._sent += size

    def window(self, delivered: int, pipe: int, target: int, mss: int, *, advanced: bool) -> int:
        """The congestion window after an acknowledgement that delivered `delivered` bytes (section 6.2).

        target: ssthresh. advanced: the cumulative acknowledgement moved, so slow start by one segment is safe.
        """
        self._delivered += delivered
        if pipe > target:
            count = -(-self._delivered * target // self._base) - self._sent
        else:
            count = max(self._delivered - self._sent, delivered) + (mss if advanced else 0)
            count = min(target - pipe, count)
        return pipe + max(count, 0)
