"""What PID 1 asks of the machine below, whichever it is: its kind, its memory, the config on its block device."""

from __future__ import annotations

import os
from typing import Protocol

from hognose.device.tap import FRAME_DEVICE
from hognose.errors import DeviceError
from hognose.host.linux_vm import LinuxMachine
from hognose.host.loop import StopSource
from hognose.host.nano_kernel import NanoKernelMachine
from hognose.host.status import ExitStatus

CONFIG_DEVICE = "/dev/vda"
CONFIG_MAX_BYTES = 1024 * 1024  # a config block device larger than this is not ours


class Machine(Protocol):
    """A machine of which we are the only program."""

    def prepare(self) -> None:
        """Everything before the first look at a device."""

    def frame_device(self) -> str:
        """Path of the frame device (docs/device.md), made if it has to be. DeviceError when there is none."""

    def stop_sources(self) -> list[StopSource]:
        """What asks for an orderly end."""

    def end(self, status: ExitStatus) -> None:
        """The machine is over; does not return."""


def machine() -> Machine:
    """The nano-kernel has its frame device from the first moment on; Linux has an empty /dev then."""
    return NanoKernelMachine() if os.path.exists(FRAME_DEVICE) else LinuxMachine()


def memory_bytes() -> int:
    """MemTotal of the machine; 512 MiB when it is not told."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemTotal:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 512 * 1024 * 1024


def read_config_device(path: str = CONFIG_DEVICE) -> bytes:
    """The whole config block device; DeviceError with one line when it is not there or too large."""
    try:
        with open(path, "rb", buffering=0) as file:
            chunks = []
            size = 0
            while chunk := file.read(256 * 1024):
                chunks.append(chunk)
                size += len(chunk)
                if size > CONFIG_MAX_BYTES:
                    raise DeviceError(f"config block device {path} holds more than {CONFIG_MAX_BYTES} bytes")
            return b"".join(chunks)
    except OSError as error:
        raise DeviceError(
            f"config block device {path}: {error.strerror}: attach the config (--block:storage=server.conf.full)"
        ) from None
