"""A program in the background whose log a test reads and waits on; ended by pid, never by name."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path


class Process:
    """A started program; output goes to `log`, standard output alone to the descriptor `output` where that is given.

    It leads a process group: a launcher that is killed takes the machine with it that it has started.
    """

    def __init__(
        self,
        command: list[str],
        log: Path,
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
        output: int | None = None,
    ) -> None:
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdout=file if output is None else output,
                stderr=file,
                stdin=subprocess.DEVNULL,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the program (`ip netns exec` replaces itself by it)."""
        return self._process.pid

    @property
    def text(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Still there."""
        return self._process.poll() is None

    def wait_for(self, pattern: str, timeout: float = 20, count: int = 1) -> list[str]:
        """Wait until the log has `count` lines that match; RuntimeError with the log's end when it never does.

        A line whose end was not written yet is not looked at: a console writes in pieces.
        """
        deadline = time.monotonic() + timeout
        while True:
            running = self.running
            text = self.text
            whole = text.rpartition("\n")[0] if running else text
            found = [line for line in whole.splitlines() if re.search(pattern, line)]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline or not running:
                raise RuntimeError(
                    f"{self.log.name}: no {pattern!r} within {timeout} s, running={running}:\n{text[-2500:]}"
                )
            time.sleep(0.05)

    def send_signal(self, number: int) -> None:
        """Send a signal if it is still running."""
        if self.running:
            self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        """End it and return its status; kills what does not end in time."""
        self.send_signal(number)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it at once, and all that it has started; its status."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait(5)
        deadline = time.monotonic() + 5
        while _lives(self.pid) and time.monotonic() < deadline:  # what it had open is free only then
            time.sleep(0.02)
        return status

    def wait(self, timeout: float) -> int:
        """Its own end."""
        return self._process.wait(timeout)


def _lives(group: int) -> bool:
    """True while a process of this group has not ended; one that only waits to be reaped has."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, number = path.read_text().rpartition(")")[2].split()[:3]
            if int(number) == group and state != "Z":
                return True
    return False
