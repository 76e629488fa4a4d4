"""The clocks; host.loop is their only caller."""

from __future__ import annotations

import time

from hognose.units import Nanos, UnixSeconds


def monotonic() -> Nanos:
    """Nanoseconds of a clock that never steps."""
    return time.monotonic_ns()


def wall() -> UnixSeconds:
    """Seconds since 1970 as the machine believes."""
    return int(time.time())
