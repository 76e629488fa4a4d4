"""Outputs of the log: a file descriptor that is never waited for, and one that is given a bounded rate of bytes.

O_NONBLOCK belongs to the open file description (open(2)), which standard output shares with the shell that started us
and with other programs. So pipes and terminals are opened once more, for us alone; what cannot be opened again is
written to without waiting by the single call (RWF_NOWAIT, preadv2(2)), or after poll has said that PIPE_BUF bytes fit.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable
from typing import Protocol

from hognose.base.rate import TokenBucket
from hognose.limits import LogLimits
from hognose.units import MS, Nanos

_OPEN_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOT_KNOWN = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # RWF_NOWAIT, to this kernel or this kind of file


class Output(Protocol):
    """A sink of bytes."""

    def write(self, data: bytes) -> int:
        """Give data away without waiting; the number of bytes taken, 0 for none now. OSError when it failed."""

    def wait(self, duration: Nanos) -> None:
        """Wait until bytes may be taken again, for `duration` at most. Only for the end of the program."""


class DescriptorOutput:
    """An open file descriptor.

    private: its description has O_NONBLOCK set. regular: it is a regular file, whose write waits for no reader.
    """

    def __init__(self, fd: int, *, private: bool, regular: bool = False) -> None:
        self._fd = fd
        self._plain = private or regular
        self._has_nowait = True

    def write(self, data: bytes) -> int:
        """As Output.write."""
        try:
            if self._plain:
                return os.write(self._fd, data)
            if self._has_nowait:
                try:
                    return os.pwritev(self._fd, [data], -1, os.RWF_NOWAIT)
                except OSError as error:
                    if error.errno not in _NOT_KNOWN:
                        raise
                    self._has_nowait = False
            if not self._is_ready(0):
                return 0
            return os.write(self._fd, data[: select.PIPE_BUF])
        except BlockingIOError:
            return 0

    def wait(self, duration: Nanos) -> None:
        """As Output.wait."""
        self._is_ready(duration // MS)

    def _is_ready(self, milliseconds: int) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        return bool(poller.poll(milliseconds))


def open_output(fd: int = 1) -> DescriptorOutput:
    """The output that a descriptor leads to; the descriptor itself stays open and as it is.

    A terminal that can be opened neither by its own name nor as /dev/tty (it is another user's, and not the one that
    controls us) gets O_NONBLOCK itself. A descriptor that is closed becomes one that cannot be written to: else the
    next device that is opened would have its number, and the log would be frames.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        while os.open("/", os.O_RDONLY | os.O_DIRECTORY) < fd:
            pass
        return DescriptorOutput(fd, private=True)
    if stat.S_ISREG(mode):
        return DescriptorOutput(fd, private=False, regular=True)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        for path in (f"/proc/self/fd/{fd}", *(["/dev/tty"] if _controls_us(fd) else [])):
            try:
                return DescriptorOutput(os.open(path, _OPEN_FLAGS), private=True)
            except OSError:
                continue
        if os.isatty(fd):
            os.set_blocking(fd, False)
            return DescriptorOutput(fd, private=True)
    return DescriptorOutput(fd, private=False)


def _controls_us(fd: int) -> bool:
    """True for our controlling terminal (TIOCGPGRP fails for every other one)."""
    try:
        os.tcgetpgrp(fd)
    except OSError:
        return False
    return True


def open_console(path: str = "/dev/console") -> DescriptorOutput:
    """The console of a machine of our own, by its name: there is no /proc yet when PID 1 logs its first line."""
    try:
        return DescriptorOutput(os.open(path, _OPEN_FLAGS), private=True)
    except OSError:
        return open_output()


class PacedOutput:
    """An output whose write waits for its reader (the tender's console call): it gets bytes_per_second, after a burst.

    A reader that takes bytes_per_second is never waited for. A reader that stops goes unnoticed here.
    pause: waits for a duration.
    """

    def __init__(self, fd: int, clock: Callable[[], Nanos], pause: Callable[[Nanos], None], limits: LogLimits) -> None:
        self._fd = fd
        self._clock = clock
        self._pause = pause
        self._bytes = TokenBucket(limits.bytes_per_second, limits.burst, clock())

    def write(self, data: bytes) -> int:
        """As Output.write; a line goes whole, or as much of it as a burst is."""
        size = min(len(data), self._bytes.burst)
        if size > self._bytes.available(self._clock()):
            return 0
        count = os.write(self._fd, data[:size])
        self._bytes.spend(count)
        return count

    def wait(self, duration: Nanos) -> None:
        """As Output.wait."""
        self._pause(duration)
