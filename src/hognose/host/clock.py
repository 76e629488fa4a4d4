"""The clocks, and the one place that waits by them outside the poll loop."""

from __future__ import annotations

import time

from hognose.units import SECOND, Nanos, UnixSeconds


def monotonic() -> Nanos:
    """Nanoseconds of a clock that never steps."""
    return time.monotonic_ns()


def wall() -> UnixSeconds:
    """Seconds since 1970 as the machine believes."""
    return int(time.time())


def wait(seconds: int) -> None:
    """Let `seconds` pass (--delay); nothing is served yet."""
    time.sleep(seconds)


def pause(duration: Nanos) -> None:
    """Let a duration pass; only at the end of the program."""
    time.sleep(duration / SECOND)
