"""The nano-kernel under PID 1 (solo5/README.md): all is there from the start, and the tender ends with our status."""

from __future__ import annotations

import os

from hognose.device.tap import FRAME_DEVICE
from hognose.host.loop import StopSource
from hognose.host.status import ExitStatus


class NanoKernelMachine:
    """A guest of solo5-hvt (host/boot.py)."""

    def prepare(self) -> None:
        """Nothing: devices and files are there, memory is never overcommitted."""

    def frame_device(self) -> str:
        """There from the start."""
        return FRAME_DEVICE

    def forget_blocks(self, fd: int) -> None:
        """Nothing: every read asks the tender, and the tender its file."""

    def stop_sources(self) -> list[StopSource]:
        """None: the tender tells its guest nothing."""
        return []

    def end(self, status: ExitStatus) -> None:
        """The tender ends with the program's status."""
        os._exit(status)
