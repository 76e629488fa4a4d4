"""What PID 1 does to the machine before and after the program: mounts, memory policy, devices, power.

Everything here needs a kernel that we own: never call it outside a VM of ours.
"""

from __future__ import annotations

import os
import struct

from hognose.errors import DeviceError
from hognose.host.netlink import set_up_macvtap

_SYS_MOUNT = 165
_SYS_SYNC = 162
_SYS_REBOOT = 169
_REBOOT_MAGIC1 = 0xFEE1DEAD
_REBOOT_MAGIC2 = 672274793
_REBOOT_POWER_OFF = 0x4321FEDC
_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8

CONFIG_DEVICE = "/dev/vda"
FRAME_DEVICE = "/dev/tap"
CONFIG_MAX_BYTES = 1024 * 1024  # a config block device larger than this is not ours

# linux/input.h: struct input_event on 64-bit: seconds, microseconds, type, code, value
_INPUT_EVENT = struct.Struct("=qqHHi")
_EV_KEY = 1
_KEY_POWER = 116


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


def first_interface() -> str:
    """Name of the one network interface; DeviceError when there is none or more than one."""
    names = sorted(name for name in os.listdir("/sys/class/net") if name != "lo" and _has_device(name))
    if not names:
        raise DeviceError("no network device: give the VM one virtio-net device (--net:service=TAP)")
    if len(names) > 1:
        raise DeviceError(f"{len(names)} network devices ({', '.join(names)}): give the VM exactly one")
    return names[0]


def make_frame_device() -> str:
    """Put a macvtap on the NIC and make FRAME_DEVICE for it, whatever its number; returns that path."""
    index = set_up_macvtap(first_interface(), "tap0")
    with open(f"/sys/class/net/tap0/tap{index}/dev", encoding="ascii") as file:
        major, minor = (int(part) for part in file.read().split(":"))
    if os.path.exists(FRAME_DEVICE):
        os.unlink(FRAME_DEVICE)
    os.mknod(FRAME_DEVICE, 0o020600, os.makedev(major, minor))
    return FRAME_DEVICE


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


def power_off() -> None:
    """Switch the machine off; does not return. The kernel's own last words are kept off the console."""
    try:
        with open("/proc/sys/kernel/printk", "w", encoding="ascii") as file:
            file.write("0 4 0 7")
    except OSError:
        pass
    _syscall(_SYS_SYNC)
    _syscall(_SYS_REBOOT, _REBOOT_MAGIC1, _REBOOT_MAGIC2, _REBOOT_POWER_OFF, 0)


def _has_device(name: str) -> bool:
    return os.path.exists(f"/sys/class/net/{name}/device")
