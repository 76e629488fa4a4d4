"""The Linux under PID 1: mounts, memory policy, the macvtap on the NIC, the power button, power off.

Everything here needs a kernel that we own: never call it outside a VM of ours.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from functools import partial

from hognose.device.tap import FRAME_DEVICE
from hognose.errors import DeviceError
from hognose.host import confinement
from hognose.host.ethtool import TX_UDP_SEGMENTATION, switch_on
from hognose.host.loop import StopSource
from hognose.host.netlink import set_up_macvtap
from hognose.host.output import Output, open_console
from hognose.host.status import ExitStatus

_SYS_MOUNT = 165
_SYS_SYNC = 162
_SYS_REBOOT = 169
_REBOOT_MAGIC1 = 0xFEE1DEAD
_REBOOT_MAGIC2 = 672274793
_REBOOT_POWER_OFF = 0x4321FEDC
_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_BLKFLSBUF = 0x1261  # linux/fs.h

# linux/input.h: struct input_event on 64-bit: seconds, microseconds, type, code, value
_INPUT_EVENT = struct.Struct("=qqHHi")
_EV_KEY = 1
_KEY_POWER = 116


class LinuxMachine:
    """A virtual machine with our Linux kernel (host/boot.py)."""

    def __init__(self) -> None:
        self.nic_uso4: bool | None = None
        self._messages: int | None = None  # file descriptor
        self._power_off = partial(power_off, _syscall)

    def output(self) -> Output:
        """The kernel's console."""
        return open_console()

    def prepare(self) -> None:
        """File systems, and memory that runs out at allocation."""
        mount_filesystems()
        forbid_overcommit()
        self._messages = kernel_messages()

    def frame_device(self) -> str:
        """A macvtap on the NIC, as FRAME_DEVICE; the NIC segments datagrams from now on, if it can."""
        interface = first_interface()
        self.nic_uso4 = switch_on(interface, TX_UDP_SEGMENTATION)  # before the macvtap, which has its features from it
        return make_frame_device(interface)

    def forget_blocks(self, fd: int) -> None:
        """Empty the kernel's cache of the device: what it holds is as old as the first read. OSError as of ioctl."""
        fcntl.ioctl(fd, _BLKFLSBUF, 0)

    def stop_sources(self) -> list[StopSource]:
        """The power button."""
        return [*power_buttons()]

    def confine(self) -> str:
        """Confine the program (host/confinement.py); `yes`. Of the raw system call the end of the machine is left."""
        import _pid1  # built into the image's interpreter only

        confinement.confine_with(_pid1.syscall, machine=True)
        self._power_off = partial(power_off, _pid1.syscall)
        del _pid1.syscall
        return "yes"

    def end(self, status: ExitStatus) -> None:
        """Switch off; the status stands in the last console line only."""
        self._power_off(self._messages)


def _syscall(number: int, *arguments: int | bytes) -> int:
    import _pid1  # built into the image's interpreter only

    return int(_pid1.syscall(number, *arguments))


def mount_filesystems() -> None:
    """devtmpfs, proc and sysfs; what is mounted already stays."""
    for kind, target in (("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")):
        os.makedirs(target, exist_ok=True)
        flags = 2 if kind == "devtmpfs" else _MS_NOSUID_NODEV_NOEXEC
        try:
            _syscall(_SYS_MOUNT, kind.encode() + b"\0", target.encode() + b"\0", kind.encode() + b"\0", flags, b"\0")
        except OSError:
            if not os.path.ismount(target):
                raise


def forbid_overcommit() -> None:
    """Make allocation fail at allocation (MemoryError ends one session) instead of killing PID 1 later."""
    for name, value in (("overcommit_ratio", "95"), ("overcommit_memory", "2")):
        try:
            with open(f"/proc/sys/vm/{name}", "w", encoding="ascii") as file:
                file.write(value)
        except OSError:
            return


def first_interface() -> str:
    """Name of the one network interface; DeviceError when there is none or more than one."""
    names = sorted(name for name in os.listdir("/sys/class/net") if name != "lo" and _has_device(name))
    if not names:
        raise DeviceError("no network device: give the VM one virtio-net device (--net:service=TAP)")
    if len(names) > 1:
        raise DeviceError(f"{len(names)} network devices ({', '.join(names)}): give the VM exactly one")
    return names[0]


def make_frame_device(interface: str) -> str:
    """Put a macvtap on the interface and make FRAME_DEVICE for it, whatever its number; returns that path."""
    index = set_up_macvtap(interface, "tap0")
    with open(f"/sys/class/net/tap0/tap{index}/dev", encoding="ascii") as file:
        major, minor = (int(part) for part in file.read().split(":"))
    if os.path.exists(FRAME_DEVICE):
        os.unlink(FRAME_DEVICE)
    os.mknod(FRAME_DEVICE, 0o020600, os.makedev(major, minor))
    return FRAME_DEVICE


class PowerButton:
    """The ACPI power button as an fd for the poll loop."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def pressed(self) -> str | None:
        """Consume input events; a reason when the power key went down."""
        try:
            data = os.read(self.fd, _INPUT_EVENT.size * 16)
        except OSError:
            return None
        for offset in range(0, len(data) - _INPUT_EVENT.size + 1, _INPUT_EVENT.size):
            _, _, kind, code, value = _INPUT_EVENT.unpack_from(data, offset)
            if kind == _EV_KEY and code == _KEY_POWER and value == 1:
                return "power button"
        return None


def power_buttons() -> list[PowerButton]:
    """Every input device called Power Button."""
    found: list[PowerButton] = []
    try:
        names = sorted(name for name in os.listdir("/sys/class/input") if name.startswith("event"))
    except OSError:
        return found
    for name in names:
        try:
            with open(f"/sys/class/input/{name}/device/name", encoding="utf-8") as file:
                if file.read().strip() != "Power Button":
                    continue
            found.append(PowerButton(os.open(f"/dev/input/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)))
        except OSError:
            continue
    return found


def kernel_messages() -> int | None:
    """The switch of the kernel's messages on the console, open to write: a confined program opens nothing to write."""
    try:
        return os.open("/proc/sys/kernel/printk", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return None


def power_off(syscall: Callable[..., int], messages: int | None) -> None:
    """Switch the machine off; does not return. The kernel's own last words are kept off the console."""
    if messages is not None:
        try:
            os.write(messages, b"0 4 0 7")
        except OSError:
            pass
    syscall(_SYS_SYNC)
    syscall(_SYS_REBOOT, _REBOOT_MAGIC1, _REBOOT_MAGIC2, _REBOOT_POWER_OFF, 0)


def _has_device(name: str) -> bool:
    return os.path.exists(f"/sys/class/net/{name}/device")
