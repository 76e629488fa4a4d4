"""The processor's time for packets of no session, at all ports together."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from hognose.base.rate import TokenBucket
from hognose.units import MS, SECOND, Nanos
from hognose.vpn.initial_rate import InitialRate

P = ParamSpec("P")
T = TypeVar("T")

SAVED: Nanos = 10 * MS  # processor time that may be saved up
_RESERVE: Nanos = SAVED // 2  # of it, for packets that were repeated


class LookTime:
    """A share of the processor's time, paid after it was used; clock tells it, its differences only.

    First packets leave half of what may be saved up to repeated ones, so that a flood of first ones does not take the
    time of clients that come again.
    """

    __slots__ = ("_clock", "_time")

    def __init__(self, percent: int, clock: Callable[[], Nanos], now: Nanos) -> None:
        self._time = TokenBucket(percent * SECOND // 100, SAVED, now)
        self._clock = clock

    def admits(self, rate: InitialRate, key: bytes, session_id: bytes, now: Nanos) -> bool:
        """True when the limits of a packet's kind and the time allow work on it; key: its source as on the wire."""
        left = self._time.available(now)
        in_time = left > _RESERVE
        return rate.allows(key, session_id, now, in_time=in_time) and left > 0

    def spend_on(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work on a packet and pay for it."""
        began = self._clock()
        try:
            return work(*args, **kwargs)
        finally:
            self._time.spend(self._clock() - began)
