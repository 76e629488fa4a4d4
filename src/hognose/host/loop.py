"""The poll loop: the sole caller of the clocks, and the only place where the core meets the machine.

Drain the device, run the core once, write what it gives, print its events, sleep until the next deadline.
System calls here: poll, read, writev, clock (vdso), write of log lines, which waits for no reader; pread of the config
now and then. Nothing else on the run-time path.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

from hognose.drops import Counters
from hognose.errors import DeviceError
from hognose.events import Event, EventKind
from hognose.host import clock
from hognose.host.console import Console
from hognose.units import MS, SECOND, Nanos, UnixSeconds

STATS_INTERVAL_NS: Nanos = 60 * SECOND
STOP_GRACE_NS: Nanos = 3 * SECOND  # time to tell clients of an orderly end
MAX_SLEEP_MS = 60_000
_NEVER: Nanos = 1 << 63


class Core(Protocol):
    """The gateway as the loop uses it."""

    def step(self, frames: list[bytes], now: Nanos, unix: UnixSeconds) -> list[list[bytes]]:
        """Take frames, do what is due, give frames to send."""

    def sieve(self, now: Nanos) -> Callable[[list[bytes]], list[bytes]] | None:
        """Filter for frames before they are given to step; None: no filter."""

    @property
    def wants_frames(self) -> bool:
        """False while frames of an earlier step wait inside: new ones stay in the device until then."""

    def next_deadline(self) -> Nanos | None:
        """Latest time at which step must run again."""

    def take_events(self) -> list[Event]:
        """Drained events."""

    def take_status(self) -> list[str]:
        """Drained status lines (directive status); the loop puts `status ` in front of each."""

    def stop(self, reason: str, now: Nanos, unix: UnixSeconds) -> None:
        """Begin an orderly end."""

    @property
    def stopped(self) -> bool:
        """True when the orderly end is over: no connection is left."""


class Device(Protocol):
    """A frame device as the loop uses it."""

    fd: int

    @property
    def blocked(self) -> bool:
        """True while frames wait for POLLOUT."""

    def read_batch(self, sieve: Callable[[list[bytes]], list[bytes]] | None = None) -> list[bytes]:
        """Frames that are there now and pass the sieve."""

    def write_batch(self, frames: list[list[bytes]]) -> None:
        """Send frames."""


class ConfigWatch(Protocol):
    """Check for a new config from time to time, which puts it in force; never raises."""

    @property
    def next_check(self) -> Nanos:
        """Time at which check must run again; 0 for at once."""

    def check(self, now: Nanos, unix: UnixSeconds) -> None:
        """Check now."""


class StopSource(Protocol):
    """An fd that asks for an orderly end when it becomes readable: the power button, a signal pipe."""

    fd: int

    def pressed(self) -> str | None:
        """Consume what is readable; the reason to stop, or None when it was something else."""


def run(
    core: Core,
    device: Device,
    console: Console,
    counters: Counters,
    sources: list[StopSource],
    watch: ConfigWatch | None = None,
) -> None:
    """Serve until a stop source asks for the end and the clients have been told (at most STOP_GRACE_NS).

    Raises DeviceError when the frame device is gone; the core's events until then are printed in any case.
    """
    try:
        _run(core, device, console, counters, sources, watch)
    finally:
        _print_news(core, console)


def _run(
    core: Core,
    device: Device,
    console: Console,
    counters: Counters,
    sources: list[StopSource],
    watch: ConfigWatch | None,
) -> None:
    poller = select.poll()
    poller.register(device.fd, select.POLLIN)
    for source in sources:
        poller.register(source.fd, select.POLLIN)
    by_fd = {source.fd: source for source in sources}
    device_fd = device.fd
    blocked = False
    stop_at: Nanos | None = None
    stats_at = clock.monotonic() + STATS_INTERVAL_NS
    printed: dict[str, int] = {}
    check_at = watch.next_check if watch is not None else _NEVER
    while True:
        frames = device.read_batch(core.sieve(clock.monotonic())) if core.wants_frames else []
        now = clock.monotonic()
        if now >= check_at and watch is not None:  # before the step, which sends what it causes
            watch.check(now, clock.wall())
            check_at = watch.next_check
        out = core.step(frames, now, clock.wall())
        if out or blocked:
            device.write_batch(out)
            if device.blocked != blocked:
                blocked = device.blocked
                poller.modify(device_fd, select.POLLIN | (select.POLLOUT if blocked else 0))
        _print_news(core, console)
        if now >= stats_at:
            stats_at = now + STATS_INTERVAL_NS
            printed = _print_stats(console, counters, printed)
        flush_at = console.next_flush
        if now >= flush_at:
            console.flush()
            flush_at = console.next_flush
        if stop_at is not None and (core.stopped or now >= stop_at):
            _print_stats(console, counters, {})
            return
        for fd, _ in poller.poll(_sleep_ms(core.next_deadline(), stop_at, min(stats_at, check_at, flush_at), now)):
            if fd == device_fd:
                continue
            reason = by_fd[fd].pressed()
            if watch is not None and stop_at is None:  # SIGHUP
                check_at = watch.next_check
            if reason and stop_at is None:
                now = clock.monotonic()  # poll may have slept since it was read
                stop_at = now + STOP_GRACE_NS
                check_at = _NEVER
                core.stop(reason, now, clock.wall())


def _sleep_ms(deadline: Nanos | None, stop_at: Nanos | None, shell_at: Nanos, now: Nanos) -> int:
    """Milliseconds until the earliest time, rounded up so that poll never returns just before the deadline."""
    earliest = shell_at
    if deadline is not None and deadline < earliest:
        earliest = deadline
    if stop_at is not None and stop_at < earliest:
        earliest = stop_at
    if earliest <= now:
        return 0
    return min(MAX_SLEEP_MS, (earliest - now + MS - 1) // MS)


def _print_news(core: Core, console: Console) -> None:
    for event in core.take_events():
        console.log(event)
    if status := core.take_status():
        console.report([f"status {line}" for line in status])


def _print_stats(console: Console, counters: Counters, before: dict[str, int]) -> dict[str, int]:
    current = counters.non_zero()
    if current != before and current:
        console.event(EventKind.STATS, **current)
    return current


__all__ = ["ConfigWatch", "Core", "Device", "DeviceError", "StopSource", "run"]
