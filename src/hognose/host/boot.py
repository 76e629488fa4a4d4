"""The machine under PID 1: its kind, its memory, the config on its block device."""

from __future__ import annotations

import os
from typing import Protocol

from hognose.device.tap import FRAME_DEVICE
from hognose.errors import DeviceError
from hognose.host.config_source import ConfigSource
from hognose.host.linux_vm import LinuxMachine
from hognose.host.loop import StopSource
from hognose.host.nano_kernel import NanoKernelMachine
from hognose.host.output import Output
from hognose.host.status import ExitStatus

CONFIG_DEVICE = "/dev/vda"


class Machine(Protocol):
    """A machine of which we are the only program."""

    nic_uso4: bool | None  # after frame_device: the NIC segments datagrams itself; None where there is none to ask

    def output(self) -> Output:
        """The output of the log; open before prepare, which may have something to log."""

    def prepare(self) -> None:
        """Do everything that comes before the first use of a device."""

    def frame_device(self) -> str:
        """Path of the frame device (docs/dev/device.md), made if it has to be. DeviceError when there is none."""

    def forget_blocks(self, fd: int) -> None:
        """Let the next read of this block device see what is on it now."""

    def stop_sources(self) -> list[StopSource]:
        """Sources of requests for an orderly end."""

    def confine(self) -> str:
        """Let the program ask no more of the machine than serving needs; `yes`, or in one word what does it instead."""

    def end(self, status: ExitStatus) -> None:
        """End the machine; does not return."""


def machine() -> Machine:
    """The machine below: the nano-kernel has its frame device from the first moment on, Linux an empty /dev."""
    return NanoKernelMachine() if os.path.exists(FRAME_DEVICE) else LinuxMachine()


def memory_bytes() -> int:
    """MemTotal of the machine; 512 MiB when it is unknown."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemTotal:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 512 * 1024 * 1024


def open_config_device(machine: Machine, path: str = CONFIG_DEVICE) -> ConfigSource:
    """The config block device; DeviceError with one line when it is not there."""
    try:
        return ConfigSource(path, f"config block device {path}", machine.forget_blocks, block_device=True)
    except DeviceError as error:
        raise DeviceError(f"{error}: attach the config (--block:storage=server.conf.full)") from None
