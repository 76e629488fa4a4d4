"""PID 1 on its own Linux: what it mounts, which network device it takes, when the power button counts, how it ends."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.host.owned_machine import OwnedMachine

from hognose.errors import DeviceError
from hognose.host import confinement, linux_vm
from hognose.host.linux_vm import LinuxMachine, PowerButton
from hognose.host.status import ExitStatus

MOUNT, SYNC, REBOOT = 165, 162, 169  # x86-64
NOT_PERMITTED = PermissionError(1, "Operation not permitted")
MOUNTS = [
    (MOUNT, b"devtmpfs\0", b"/dev\0", b"devtmpfs\0", 2, b"\0"),  # nosuid; devices are what it is for
    (MOUNT, b"proc\0", b"/proc\0", b"proc\0", 14, b"\0"),  # nosuid, nodev, noexec
    (MOUNT, b"sysfs\0", b"/sys\0", b"sysfs\0", 14, b"\0"),
]
OFF = [(162,), (169, 0xFEE1DEAD, 672274793, 0x4321FEDC, 0)]  # sync, reboot
KEY, POWER = 1, 116  # linux/input-event-codes.h


@pytest.fixture
def below(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OwnedMachine:
    return OwnedMachine(tmp_path).under(monkeypatch, linux_vm)


def interface(below: OwnedMachine, name: str, device: str = "device/vendor") -> None:
    below.put(f"/sys/class/net/{name}/{device}")


def test_file_systems_and_the_memory_policy(below: OwnedMachine) -> None:
    for name in ("overcommit_ratio", "overcommit_memory"):
        below.put(f"/proc/sys/vm/{name}", "0")
    LinuxMachine().prepare()
    assert below.calls == MOUNTS
    assert (below.text("/proc/sys/vm/overcommit_ratio"), below.text("/proc/sys/vm/overcommit_memory")) == ("95", "2")


def test_a_kernel_without_the_memory_policy_is_served_on(below: OwnedMachine) -> None:
    LinuxMachine().prepare()
    assert below.calls == MOUNTS


def test_what_is_mounted_already_stays(below: OwnedMachine) -> None:
    below.mounted |= {"/dev", "/proc", "/sys"}
    below.errors[MOUNT] = OSError(16, "Device or resource busy")
    LinuxMachine().prepare()
    assert below.calls == MOUNTS


def test_a_file_system_that_cannot_be_mounted_is_no_secret(below: OwnedMachine) -> None:
    """Without /proc and /sys nothing works: main says so and ends."""
    below.mounted.add("/dev")
    below.errors[MOUNT] = NOT_PERMITTED
    with pytest.raises(PermissionError):
        LinuxMachine().prepare()
    assert below.calls == MOUNTS[:2]


def test_the_one_interface_with_a_device_is_ours(below: OwnedMachine) -> None:
    interface(below, "lo")
    interface(below, "eth0")
    interface(below, "dummy0", "mtu")
    assert linux_vm.first_interface() == "eth0"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), r"^no network device: give the VM one virtio-net device \(--net:service=TAP\)$"),
        (("eth1", "eth0"), r"^2 network devices \(eth0, eth1\): give the VM exactly one$"),
    ],
)
def test_none_and_several_interfaces_are_errors(below: OwnedMachine, names: tuple[str, ...], words: str) -> None:
    for name in ("lo", *names):
        interface(below, name)
    with pytest.raises(DeviceError, match=words):
        LinuxMachine().frame_device()
    assert below.nodes == []


@pytest.mark.parametrize(("old", "uso"), [(False, False), (True, True)])
def test_the_frame_device_has_the_macvtaps_number(
    below: OwnedMachine, monkeypatch: pytest.MonkeyPatch, old: bool, uso: bool
) -> None:
    """Whatever the index that netlink gives, and also where an old node is left. The NIC is asked first."""
    interface(below, "eth0")
    below.put("/sys/class/net/tap0/tap7/dev", "241:3\n")
    below.put("/dev/vda")
    if old:
        below.put("/dev/tap")
    made: list[tuple[str, str]] = []

    def set_up(interface: str, name: str) -> int:
        made.append((interface, name))
        return 7

    def switch_on(interface: str, feature: str) -> bool:
        made.append((interface, feature))
        return uso

    monkeypatch.setattr(linux_vm, "set_up_macvtap", set_up)
    monkeypatch.setattr(linux_vm, "switch_on", switch_on)
    machine = LinuxMachine()
    assert machine.nic_uso4 is None
    assert machine.frame_device() == "/dev/tap"
    assert made == [("eth0", "tx-udp-segmentation"), ("eth0", "tap0")]
    assert machine.nic_uso4 is uso
    assert below.nodes == [("/dev/tap", 0o020600, os.makedev(241, 3))]  # a character device for its owner


def test_old_sectors_of_the_config_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int, int]] = []
    monkeypatch.setattr(linux_vm, "fcntl", SimpleNamespace(ioctl=lambda *words: asked.append(words)))
    LinuxMachine().forget_blocks(5)
    assert asked == [(5, 0x1261, 0)]  # BLKFLSBUF


def test_the_console_is_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    console = object()
    monkeypatch.setattr(linux_vm, "open_console", lambda: console)
    assert LinuxMachine().output() is console


def pressing(kind: int = KEY, code: int = POWER, value: int = 1) -> bytes:
    """A struct input_event on 64-bit."""
    return struct.pack("=qqHHi", 1_000, 0, kind, code, value)


@pytest.fixture
def button() -> Iterator[tuple[PowerButton, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield PowerButton(reading), writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pressing(), "power button"),
        (pressing(0, 0, 0) + pressing() + pressing(0, 0, 0), "power button"),
        (pressing(value=0), None),  # let go
        (pressing(code=115), None),  # another key
        (pressing(kind=2), None),  # no key at all
        (pressing()[:-1], None),
        (pressing(value=0) + pressing()[:-1], None),
        (b"", None),
    ],
)
def test_only_the_power_key_going_down_asks_for_the_end(
    button: tuple[PowerButton, int], data: bytes, reason: str | None
) -> None:
    source, writing = button
    os.write(writing, data)
    assert source.pressed() == reason
    assert source.pressed() is None  # it is consumed, and nothing to read is no error


def test_power_buttons_are_found_by_their_name(below: OwnedMachine) -> None:
    for name, called in (("event0", "AT keyboard"), ("event1", "Power Button"), ("event2", "Power Button")):
        below.put(f"/sys/class/input/{name}/device/name", f"{called}\n")
    below.put("/sys/class/input/mouse0/device/name", "Power Button\n")
    below.put("/sys/class/input/event3/device/uevent")  # nameless
    below.put("/dev/input/event1").write_bytes(pressing())  # the node of event2 is not there
    [source] = LinuxMachine().stop_sources()
    assert source.pressed() == "power button"
    os.close(source.fd)


def test_a_machine_without_input_devices_has_no_button(below: OwnedMachine) -> None:
    assert LinuxMachine().stop_sources() == []


@pytest.mark.parametrize("printk", [True, False])
def test_the_end_is_a_power_off(below: OwnedMachine, printk: bool) -> None:
    """The kernel's own last words are kept off the console, so that the last line is ours."""
    if printk:
        below.put("/proc/sys/kernel/printk", "7 4 1 7")
    machine = LinuxMachine()
    machine.prepare()
    assert not printk or below.text("/proc/sys/kernel/printk") == "7 4 1 7"
    below.calls.clear()
    machine.end(ExitStatus.CONFIG)
    assert below.calls == OFF
    assert not printk or below.text("/proc/sys/kernel/printk") == "0 4 0 7"


def test_a_confined_program_may_still_switch_off(below: OwnedMachine) -> None:
    machine = LinuxMachine()
    assert machine.confine() == "yes"
    assert [words[:2] for words in below.calls] == [(157, 38), (157, 4), (157, 22)]  # prctl
    lines = below.calls[2][3]
    assert isinstance(lines, bytes)
    assert (len(lines), int.from_bytes(lines[:2], "little")) == (16, len(confinement.program(machine=True)) // 8)
    assert not hasattr(below.built_in, "syscall")
    below.calls.clear()
    machine.end(ExitStatus.OK)
    assert below.calls == OFF
