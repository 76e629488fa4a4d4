"""Processes side by side, each with its parts one after the other; what does not end in time is ended.

A part gets a time at which it should end by itself, and a later one at which it is aborted: Python then writes where
every thread of it is (faulthandler), which says what hangs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

LOOK = 0.1  # seconds between looks at the processes
LAST_WORDS = 3.0  # after an abort


@dataclass(frozen=True)
class Part:
    """A command with the time, in seconds from the beginning of the run, at which it is aborted."""

    name: str
    command: tuple[str, ...]
    limit: float


@dataclass(frozen=True)
class Ended:
    """Result of a part."""

    part: Part
    status: int
    output: str
    aborted: bool
    at: float


class Process(Protocol):
    """A part that runs."""

    def status(self) -> int | None: ...

    def abort(self) -> None: ...

    def output(self) -> str: ...


class Child:
    """A part as a process group of its own, its output in a file."""

    def __init__(self, part: Part, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                part.command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            )  # fmt: skip

    def status(self) -> int | None:
        return self._process.poll()

    def abort(self) -> None:
        for number in (signal.SIGABRT, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            try:
                self._process.wait(LAST_WORDS)
            except subprocess.TimeoutExpired:
                continue

    def output(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


def run(
    queues: Sequence[Sequence[Part]],
    start: Callable[[Part, int], Process],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Ended]:
    """All queues at the same time, each in its order; what has ended, when it has."""
    began = clock()
    waiting = [list(queue) for queue in queues]
    running: dict[int, tuple[Part, Process]] = {}
    try:
        while True:
            for number, queue in enumerate(waiting):
                if number not in running and queue:
                    part = queue.pop(0)
                    running[number] = part, start(part, number)
            if not running:
                return
            sleep(LOOK)
            for number, (part, process) in list(running.items()):
                status = process.status()
                late = status is None and clock() - began > part.limit
                if late:
                    process.abort()
                    status = process.status()
                if status is not None or late:
                    del running[number]
                    yield Ended(part, status or 0, process.output(), late, clock() - began)
    finally:
        for _, process in running.values():
            process.abort()
