"""The poll loop in virtual time: when the config is looked at, and what is printed when."""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.errors import DeviceError
from hognose.events import Event, EventKind
from hognose.host import clock, loop
from hognose.host.console import Console, log_queue
from hognose.host.output import open_output
from hognose.units import MS, SECOND, Nanos, UnixSeconds

START: Nanos = 1000 * SECOND
F_SETPIPE_SZ = 1031  # linux/fcntl.h


class World:
    """Clock, poll, core, device, stop source and watch in one: a log of what the loop did and when."""

    fd = 7
    blocked = False

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
        self.now = START
        self.did: list[tuple[str, float]] = []
        self.next_check: Nanos = START + 30 * SECOND
        self.ends_at = START + 100 * SECOND
        self.ends_again_at: Nanos = 0
        self.hangup_at: Nanos = 0
        self.device_gone_at: Nanos = 1 << 62
        self.stopped = False
        self.lingers = False  # clients that do not go
        self.polls = 0
        self.counters = Counters()
        self.deadlines: list[Nanos] = []  # of the core, one after the other
        self.frames_at: Nanos = 0  # when the device has frames
        self.to_send: list[list[list[bytes]]] = []  # of the core, step by step
        self.refusals = 0  # writes that leave frames waiting
        self.masks: list[int] = []  # that the device is polled with
        self.events: list[Event] = []
        self.status: list[str] = []
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)
        monkeypatch.setattr(clock, "wall", lambda: UNIX)
        monkeypatch.setattr(loop.select, "poll", lambda: self)
        self.log = log
        self._stream = log.open("w")

    def run(self, fd: int = -1) -> list[str]:
        """Content of the log; fd: where it goes instead."""
        try:
            output = open_output(self._stream.fileno() if fd < 0 else fd)
            console = Console("info", log_queue(output, clock=lambda: self.now))
            loop.run(self, self, console, self.counters, [self._Stops(self)], self)
        finally:
            self._stream.close()
        return self.log.read_text().splitlines()

    def _note(self, what: str) -> None:
        self.did.append((what, (self.now - START) / SECOND))

    # the poller
    def register(self, fd: int, mask: int) -> None:
        if fd == self.fd:
            self.masks.append(mask)

    modify = register

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        self.polls += 1
        assert self.polls < 1000, "the loop spins"
        until = self.now + timeout * MS
        for at, fd in sorted(
            [(self.frames_at, self.fd), (self.hangup_at, 8), (self.ends_at, 8), (self.ends_again_at, 8)]
        ):
            if self.now < at <= until:
                self.now = at
                return [(fd, 1)]
        self.now = until
        return []

    # the core
    wants_frames = True

    def sieve(self, now: Nanos) -> Callable[[list[bytes]], list[bytes]]:
        assert now == self.now
        return self._sift

    def _sift(self, frames: list[bytes]) -> list[bytes]:
        return frames

    def step(self, frames: list[bytes], now: Nanos, unix: UnixSeconds) -> list[list[bytes]]:
        self._note("step")
        return self.to_send.pop(0) if self.to_send else []

    def next_deadline(self) -> Nanos | None:
        return self.deadlines.pop(0) if self.deadlines else None

    def take_events(self) -> list[Event]:
        taken, self.events = self.events, []
        return taken

    def take_status(self) -> list[str]:
        taken, self.status = self.status, []
        return taken

    def stop(self, reason: str, now: Nanos, unix: UnixSeconds) -> None:
        self.stopped = not self.lingers

    # the device
    def read_batch(self, sieve: Callable[[list[bytes]], list[bytes]] | None = None) -> list[bytes]:
        assert sieve == self._sift
        if self.now >= self.device_gone_at:
            self.events.append(Event(EventKind.CLIENT_ENDED, {"conn": 1}))
            self.status.append("last words")
            raise DeviceError("gone")
        return []

    def write_batch(self, frames: list[list[bytes]]) -> None:
        self._note(f"write {len(frames)}")
        self.blocked = self.refusals > 0
        self.refusals -= 1

    # the watch
    def check(self, now: Nanos, unix: UnixSeconds) -> None:
        assert unix == UNIX
        self._note("check")
        self.next_check = now + 30 * SECOND

    class _Stops:
        fd = 8

        def __init__(self, world: World) -> None:
            self._world = world

        def pressed(self) -> str | None:
            world = self._world
            if world.now == world.hangup_at:
                world.next_check = 0
                return None
            return "SIGTERM"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path / "log")


def checks(world: World) -> list[float]:
    return [at for what, at in world.did if what == "check"]


def test_the_config_is_looked_at_from_time_to_time(world: World) -> None:
    world.run()
    assert checks(world) == [30, 60, 90]
    assert world.did[world.did.index(("check", 30)) + 1] == ("step", 30)  # which sends what the check has caused
    assert world.polls < 10


def test_a_hangup_makes_it_look_at_once(world: World) -> None:
    world.hangup_at = START + 41 * SECOND
    world.run()
    assert checks(world) == [30, 41, 71]


def test_nothing_is_looked_at_while_the_server_ends(world: World) -> None:
    world.ends_at = START + 29 * SECOND
    world.lingers = True
    world.run()
    assert checks(world) == []
    assert world.now == START + 29 * SECOND + loop.STOP_GRACE_NS


def test_the_loop_keeps_the_times_of_a_reader_that_was_slow(world: World) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    os.write(writer, bytes(4096))
    world.events = [Event(EventKind.CLIENT_ENDED, {"conn": 1})]

    def read_later(now: Nanos, unix: UnixSeconds) -> None:
        assert os.read(reader, 5000) == bytes(4096)
        world.next_check = 1 << 62

    world.check = read_later  # type: ignore[method-assign]  # a spy
    world.run(writer)
    assert os.read(reader, 5000) == b"info client_ended conn=1\n"
    assert [at for what, at in world.did if what == "step"][:4] == [0, 0.05, 0.15, 0.35]
    assert world.polls < 50


def test_status_lines_are_raw_and_marked(world: World) -> None:
    world.status = ["TITLE,Hognose", "CLIENT_LIST,alice,192.0.2.1:5"]
    assert world.run() == ["status TITLE,Hognose", "status CLIENT_LIST,alice,192.0.2.1:5"]


def test_what_the_core_has_to_say_is_printed_when_the_device_is_gone(world: World) -> None:
    world.device_gone_at = START + 10 * SECOND
    world.next_check = START + 10 * SECOND
    with pytest.raises(DeviceError, match="gone"):
        world.run()
    assert world.log.read_text().splitlines() == ["info client_ended conn=1", "status last words"]


def test_a_device_that_takes_no_more_is_polled_for_room(world: World) -> None:
    """And asked again step by step until all is gone; then only for what comes in."""
    world.to_send = [[], [[b"a"], [b"b"]], [[b"c"]]]
    world.deadlines = [START + n * MS for n in (1, 2, 3, 4)]
    world.refusals = 2
    world.run()
    assert [(what, at) for what, at in world.did if what.startswith("write")] == [
        ("write 2", 0.001), ("write 1", 0.002), ("write 0", 0.003),
    ]  # fmt: skip
    assert world.masks == [select.POLLIN, select.POLLIN | select.POLLOUT, select.POLLIN]


def test_the_core_runs_when_it_wants_to_and_when_frames_come(world: World) -> None:
    """A deadline is met to the millisecond above; one that has passed is met at once."""
    world.next_check = 1 << 62
    world.deadlines = [START + 10 * SECOND + 1, START - 5, START + 300 * SECOND]
    world.frames_at = START + 17 * SECOND
    world.run()
    assert [at for what, at in world.did if what == "step"] == [0, 10.001, 10.001, 17, 60, 100]


def test_counters_are_told_once_a_minute_when_they_have_changed(world: World) -> None:
    world.ends_at = START + 250 * SECOND
    world.next_check = START + 130 * SECOND
    world.counters.drop(DropReason.DEVICE_FULL)

    def count(now: Nanos, unix: UnixSeconds) -> None:
        world.counters.drop(DropReason.DEVICE_FULL)
        world.next_check = 1 << 62

    world.check = count  # type: ignore[method-assign]  # a spy
    assert world.run() == [f"info stats drop_device_full={n}" for n in (1, 2, 2)]  # after 60 s, 180 s, at the end


def test_the_first_reason_to_end_counts(world: World) -> None:
    """A second press of the button while clients are told changes nothing."""
    world.lingers = True
    world.ends_at = START + 5 * SECOND
    world.ends_again_at = START + 7 * SECOND
    asked: list[tuple[str, Nanos]] = []
    world.stop = lambda reason, now, unix: asked.append((reason, now))  # type: ignore[method-assign]  # a spy
    world.run()
    assert asked == [("SIGTERM", START + 5 * SECOND)]
    assert world.now == START + 8 * SECOND
