"""Demands of PID 1 on any machine: its kind, its memory, its config; and the nano-kernel's answers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.host.owned_machine import OwnedMachine

from hognose.errors import DeviceError
from hognose.host import boot, nano_kernel
from hognose.host.boot import memory_bytes, open_config_device
from hognose.host.linux_vm import LinuxMachine
from hognose.host.nano_kernel import NanoKernelMachine
from hognose.host.output import PacedOutput
from hognose.host.status import ExitStatus

HALF_GIB = 512 * 1024 * 1024


@pytest.fixture
def below(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OwnedMachine:
    return OwnedMachine(tmp_path).under(monkeypatch, boot)


class FakeMachine(NanoKernelMachine):
    """Keeps what it is asked to forget."""

    def __init__(self) -> None:
        self.forgotten: list[int] = []

    def forget_blocks(self, fd: int) -> None:
        self.forgotten.append(fd)


def test_a_frame_device_from_the_first_moment_on_is_the_nano_kernels(below: OwnedMachine) -> None:
    assert isinstance(boot.machine(), LinuxMachine)
    below.put("/dev/tap")
    assert isinstance(boot.machine(), NanoKernelMachine)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("MemTotal:         246912 kB\nMemFree:          200000 kB\n", 246_912 * 1024),
        ("HugePages_Total:       0\nMemTotal: 32768 kB\n", 32 * 1024 * 1024),
        ("MemFree:          200000 kB\n", HALF_GIB),
        ("MemTotal:  plenty kB\n", HALF_GIB),
        ("", HALF_GIB),
    ],
)
def test_memory_as_far_as_it_is_told(below: OwnedMachine, text: str, size: int) -> None:
    below.put("/proc/meminfo", text)
    assert memory_bytes() == size


def test_memory_where_nothing_is_told(below: OwnedMachine) -> None:
    assert memory_bytes() == HALF_GIB


def test_the_config_device_is_read_through_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "vda"
    path.write_bytes(b"proto tcp\n" + bytes(502))
    machine = FakeMachine()
    source = open_config_device(machine, str(path))
    assert source.block_device
    assert source.whole().startswith(b"proto tcp\n")
    assert len(machine.forgotten) == 1


def test_a_machine_without_a_config_says_how_to_attach_one(tmp_path: Path) -> None:
    path = tmp_path / "vda"
    with pytest.raises(DeviceError) as caught:
        open_config_device(FakeMachine(), str(path))
    assert str(caught.value) == (
        f"config block device {path}: No such file or directory: attach the config (--block:storage=server.conf.full)"
    )


def test_the_nano_kernel_has_everything_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = NanoKernelMachine()
    machine.prepare()
    machine.forget_blocks(5)
    assert machine.frame_device() == "/dev/tap"
    assert machine.stop_sources() == []
    assert isinstance(machine.output(), PacedOutput)


def test_the_nano_kernel_has_nothing_to_confine_but_the_raw_call(monkeypatch: pytest.MonkeyPatch) -> None:
    built_in = SimpleNamespace(syscall=lambda *words: 0)
    monkeypatch.setitem(sys.modules, "_pid1", built_in)
    assert NanoKernelMachine().confine() == "nano_kernel"
    assert not hasattr(built_in, "syscall")


@pytest.mark.parametrize("status", list(ExitStatus))
def test_the_tender_ends_with_our_status(monkeypatch: pytest.MonkeyPatch, status: ExitStatus) -> None:
    ended: list[int] = []
    monkeypatch.setattr(nano_kernel, "os", SimpleNamespace(_exit=ended.append))
    NanoKernelMachine().end(status)
    assert ended == [status.value]
