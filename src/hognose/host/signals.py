"""SIGTERM, SIGINT and SIGHUP of the hosted process as an fd for the poll loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

_NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "SIGINT"}


class SignalPipe:
    """A stop source: the interpreter writes a signal's number into a pipe, the loop reads it.

    hangup is called for SIGHUP, which asks for no end.
    """

    def __init__(self, hangup: Callable[[], None]) -> None:
        self._hangup = hangup
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in (*_NAMES, signal.SIGHUP):
            signal.signal(number, self._noted)

    def pressed(self) -> str | None:
        """Name of the first stop signal received, or None."""
        try:
            data = os.read(self.fd, 64)
        except OSError:
            return None
        if signal.SIGHUP in data:
            self._hangup()
        for byte in data:
            for number, name in _NAMES.items():
                if byte == number:
                    return name
        return None

    @staticmethod
    def _noted(number: int, frame: FrameType | None) -> None:
        """The wake-up fd does the work; a handler must exist for it to be written to."""
