"""Real outputs that take nothing: full pipes, stopped terminals, closed readers, a full device. No write waits."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hognose.drops import Counters, Stat
from hognose.events import Event, EventKind
from hognose.host.console import Console, log_queue
from hognose.host.output import DescriptorOutput, Output, PacedOutput, open_console, open_output
from hognose.limits import LogLimits
from hognose.units import SECOND, Nanos

F_SETPIPE_SZ = 1031  # linux/fcntl.h
BIG = b"x" * 100_000


@pytest.fixture(autouse=True)
def no_test_hangs() -> Iterator[None]:
    """A write that waits is a failure, not a hanging suite."""

    def fail(number: int, frame: object) -> None:
        raise AssertionError("a write waited for its reader")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def small_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 4096)
    return reader, writer


def fill(output: Output) -> int:
    """Write until nothing is taken any more; the number of bytes."""
    total = 0
    for size in (1000, 1):
        while count := output.write(BIG[:size]):
            total += count
            assert total < 10_000_000
    return total


def everything(fd: int) -> bytes:
    os.set_blocking(fd, False)
    found = b""
    try:
        while data := os.read(fd, 65536):
            found += data
    except (BlockingIOError, OSError):
        pass
    return found


def kinds(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Let open_output find only one of its ways."""
    if how != "opened again":
        monkeypatch.setattr("hognose.host.output._OPEN_FLAGS", os.O_DIRECTORY)  # no pipe is one
    if how == "poll":
        monkeypatch.setattr(os, "RWF_NOWAIT", 1 << 30)  # no kernel knows it


@pytest.mark.parametrize("how", ["opened again", "single calls", "poll"])
def test_a_full_pipe_takes_nothing_and_leaves_the_shared_description_alone(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = small_pipe()
    kinds(monkeypatch, how)
    output = open_output(writer)
    assert fill(output) <= 4096
    assert output.write(b"more\n") == 0
    assert os.get_blocking(writer)
    everything(reader)
    assert output.write(b"again\n") == 6
    assert everything(reader) == b"again\n"


@pytest.mark.parametrize("how", ["opened again", "poll"])
def test_an_unread_socket_takes_nothing(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output of a systemd service: it cannot be opened again."""
    kinds(monkeypatch, how)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert 1000 < fill(open_output(ours.fileno())) < 1_000_000
        assert ours.getblocking()


@pytest.mark.parametrize("action", ["stopped with Ctrl-S", "not read"])
def test_a_terminal_takes_nothing(action: str) -> None:
    ours, theirs = os.openpty()
    if action == "stopped with Ctrl-S":
        termios.tcflow(theirs, termios.TCOOFF)
    output = open_output(theirs)
    assert fill(output) < 200_000
    assert output.write(b"more\n") == 0
    assert os.get_blocking(theirs)
    termios.tcflow(theirs, termios.TCOON)
    everything(ours)
    os.set_blocking(ours, False)
    assert output.write(b"again\n") == 6


def test_a_terminal_of_another_user_is_made_non_blocking_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    _, theirs = os.openpty()
    kinds(monkeypatch, "single calls")
    output = open_output(theirs)
    fill(output)
    assert output.write(b"more\n") == 0
    assert not os.get_blocking(theirs)


def test_a_file_is_written_where_its_description_stands(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as file:
        os.write(file.fileno(), b"before\n")
        assert open_output(file.fileno()).write(b"after\n") == 6
    assert path.read_text() == "before\nafter\n"


def test_a_closed_descriptor_leaves_no_number_to_a_device() -> None:
    lower, free = os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_RDONLY)
    os.close(lower)
    os.close(free)
    output = open_output(free)
    assert os.open(os.devnull, os.O_WRONLY) > free
    with pytest.raises(OSError, match="Bad file descriptor"):
        output.write(b"lost\n")


def test_a_console_that_is_not_there_is_standard_output(tmp_path: Path) -> None:
    assert isinstance(open_console(str(tmp_path / "none")), DescriptorOutput)
    reader, writer = small_pipe()
    assert fill(open_console(f"/proc/self/fd/{writer}")) <= 4096
    assert os.get_blocking(writer)
    os.close(reader)


def lines_of(fd: int, console: Console, clock: list[Nanos]) -> list[str]:
    """Output for a reader that comes back, while the loop keeps its times."""
    found = b""
    for _ in range(300):
        found += everything(fd)
        clock[0] += SECOND
        console.flush()
    return found.decode().splitlines()


def test_an_unread_pipe_loses_lines_and_says_how_many() -> None:
    reader, writer = small_pipe()
    clock = [1000 * SECOND]
    counters = Counters()
    console = Console("debug", log_queue(open_output(writer), clock=lambda: clock[0], limits=LogLimits(queue=8192)))
    console.count_in(counters)
    for number in range(2000):
        console.event(EventKind.PEER_CONNECTED, conn=number, peer="192.0.2.1:1")
    lost = counters.stats[Stat.LOG_LINES_DROPPED]
    assert 1500 < lost < 2000
    before = lines_of(reader, console, clock)
    assert before == [
        *(f"debug peer_connected conn={number} peer=192.0.2.1:1" for number in range(2000 - lost)),
        f"warning log_dropped count={lost}",
    ]
    console.event(EventKind.STOPPING, reason="later", clients=0)
    assert lines_of(reader, console, clock) == ["info stopping reason=later clients=0"]


def test_a_slow_reader_gets_everything_whole_and_in_order() -> None:
    reader, writer = small_pipe()
    found = bytearray()

    def read_slowly() -> None:
        while not found.endswith(b"exit status 0\n"):
            found.extend(os.read(reader, 700))
            time.sleep(0.0005)

    thread = threading.Thread(target=read_slowly, daemon=True)
    thread.start()
    console = Console("debug", log_queue(open_output(writer)))
    for number in range(500):
        console.event(EventKind.PEER_CONNECTED, conn=number, peer="192.0.2.1:1")
    console.report([f"status {number}" for number in range(500)])
    for number in range(500, 600):
        console.event(EventKind.PEER_CONNECTED, conn=number, peer="192.0.2.1:1")
    console.end(Event(EventKind.STOPPED, {"status": 0}), "hognose: exit status 0")
    thread.join()
    lines = found.decode().splitlines()
    assert [line for line in lines if line.startswith("debug")] == [
        f"debug peer_connected conn={number} peer=192.0.2.1:1" for number in range(600)
    ]
    assert [line for line in lines if line.startswith("status")] == [f"status {number}" for number in range(500)]
    assert lines[-2:] == ["info stopped status=0", "hognose: exit status 0"]


@pytest.mark.parametrize("how", ["opened again", "single calls", "poll"])
def test_a_closed_reader_is_counted_and_no_reason_to_stop(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = small_pipe()
    kinds(monkeypatch, how)
    counters = Counters()
    console = Console("info", log_queue(open_output(writer)))
    console.count_in(counters)
    os.close(reader)
    console.event(EventKind.STOPPING, reason="x", clients=0)
    console.end(Event(EventKind.STOPPED, {"status": 0}))
    assert counters.stats[Stat.LOG_LINES_DROPPED] == 2


def test_a_full_device_is_counted() -> None:
    counters = Counters()
    console = Console("info", log_queue(open_output(os.open("/dev/full", os.O_WRONLY))))
    console.count_in(counters)
    console.end(Event(EventKind.STOPPED, {"status": 0}))
    assert counters.stats[Stat.LOG_LINES_DROPPED] == 1


def test_a_paced_output_is_given_a_burst_and_then_so_many_bytes_a_second() -> None:
    reader, writer = os.pipe()
    clock = [1000 * SECOND]

    def pause(duration: Nanos) -> None:
        clock[0] += duration

    limits = LogLimits(bytes_per_second=1000, burst=3000, queue=2000)
    output = PacedOutput(writer, lambda: clock[0], pause, limits)
    console = Console("debug", log_queue(output, clock=lambda: clock[0], limits=limits))
    counters = Counters()
    console.count_in(counters)
    per_second = []
    for _ in range(20):
        for _ in range(10):
            for _ in range(20):
                console.line("x" * 99)  # 20,000 bytes a second
            clock[0] += SECOND // 10
        per_second.append(len(everything(reader)))
    assert 3000 <= per_second[0] <= 4000
    assert all(800 <= count <= 1200 for count in per_second[1:])
    assert counters.stats[Stat.LOG_LINES_DROPPED] > 3500
    began = clock[0]
    console.end(Event(EventKind.STOPPED, {"status": 0}), "hognose: exit status 0")
    assert clock[0] - began <= 2 * SECOND


def test_a_line_longer_than_a_burst_comes_in_parts() -> None:
    reader, writer = os.pipe()
    clock = [0]
    output = PacedOutput(writer, lambda: clock[0], lambda _: None, LogLimits(bytes_per_second=10, burst=10))
    assert [output.write(b"123456789012"), output.write(b"12")] == [10, 0]
    clock[0] += SECOND
    assert output.write(b"12") == 2
    assert everything(reader) == b"12345678901" + b"2"
