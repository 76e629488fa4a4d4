"""The poll loop in virtual time: when the config is looked at, and what is printed when."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.world.today import UNIX

from hognose.drops import Counters
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
        self.hangup_at: Nanos = 0
        self.device_gone_at: Nanos = 1 << 62
        self.stopped = False
        self.lingers = False  # clients that do not go
        self.polls = 0
        self.events: list[Event] = []
        self.status: list[str] = []
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)
        monkeypatch.setattr(clock, "wall", lambda: UNIX)
        monkeypatch.setattr(loop.select, "poll", lambda: self)  # type: ignore[attr-defined]
        self.log = log
        self._stream = log.open("w")

    def run(self, fd: int = -1) -> list[str]:
        """What is in the log; fd: where it goes instead."""
        try:
            output = open_output(self._stream.fileno() if fd < 0 else fd)
            console = Console("info", log_queue(output, clock=lambda: self.now))
            loop.run(self, self, console, Counters(), [self._Stops(self)], self)
        finally:
            self._stream.close()
        return self.log.read_text().splitlines()

    def _note(self, what: str) -> None:
        self.did.append((what, (self.now - START) / SECOND))

    # the poller
    def register(self, fd: int, mask: int) -> None: ...

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        self.polls += 1
        assert self.polls < 1000, "the loop spins"
        until = self.now + timeout * MS
        for at in (self.hangup_at, self.ends_at):
            if self.now < at <= until:
                self.now = at
                return [(8, 1)]
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
        return []

    def next_deadline(self) -> Nanos | None:
        return None

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

    def write_batch(self, frames: list[list[bytes]]) -> None: ...

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

    world.check = read_later  # type: ignore[method-assign]
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
