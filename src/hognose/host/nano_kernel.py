"""The nano-kernel under PID 1 (solo5/README.md): all is there from the start, and the tender ends with our status."""

from __future__ import annotations

import os

from hognose.device.tap import FRAME_DEVICE
from hognose.host import clock
from hognose.host.loop import StopSource
from hognose.host.output import Output, PacedOutput
from hognose.host.status import ExitStatus
from hognose.limits import LogLimits


class NanoKernelMachine:
    """A guest of solo5-hvt (host/boot.py)."""

    nic_uso4: bool | None = None

    def output(self) -> Output:
        """The tender's standard output. Its call waits until the tender has written, and cannot be asked before."""
        return PacedOutput(1, clock.monotonic, clock.pause, LogLimits())

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

    def confine(self) -> str:
        """Forget the raw system call; the nano-kernel has none that could do harm."""
        import _pid1  # built into the image's interpreter only

        del _pid1.syscall
        return "nano_kernel"

    def end(self, status: ExitStatus) -> None:
        """The tender ends with the program's status."""
        os._exit(status)
