"""A feature of a network interface is switched on: requests of linux/ethtool.h, answered by a stand-in."""

from __future__ import annotations

import ctypes
import struct
from types import SimpleNamespace

import pytest

from hognose.host import ethtool
from hognose.host.ethtool import switch_on

FEATURE = "tx-udp-segmentation"
BEFORE = [f"feature-{number}" for number in range(40)]


class Kernel:
    """The ioctls of one interface, `eth0`: names of its features, which it could have, which it has."""

    def __init__(self, names: list[str], available: set[str], active: set[str]) -> None:
        self.names, self.available, self.active = names, available, active
        self.refused: set[int] = set()
        self.asked: list[int] = []
        self.count = len(names)

    def ioctl(self, fd: int, request: int, argument: bytes) -> bytes:
        assert (fd >= 0, request, len(argument)) == (True, 0x8946, 40)
        name, address = struct.unpack("=16sQ16x", argument)
        (command,) = struct.unpack("=I", ctypes.string_at(address, 4))
        self.asked.append(command)
        if name.rstrip(b"\0") != b"eth0":
            raise OSError(19, "No such device")
        if command in self.refused:
            raise OSError(1, "Operation not permitted")
        answer = {0x37: self._count, 0x1B: self._names, 0x3A: self._get, 0x3B: self._set}[command](address)
        ctypes.memmove(address, answer, len(answer))
        return argument

    def _count(self, address: int) -> bytes:
        command, _, sets, _ = struct.unpack("=IIQI", ctypes.string_at(address, 20))
        assert sets == 1 << 4  # ETH_SS_FEATURES
        return struct.pack("=IIQI", command, 0, sets, self.count)

    def _names(self, address: int) -> bytes:
        command, which, count = struct.unpack("=III", ctypes.string_at(address, 12))
        assert (which, count) == (4, len(self.names))
        return struct.pack("=III", command, 4, count) + b"".join(name.encode().ljust(32, b"\0") for name in self.names)

    def _blocks(self, address: int) -> int:
        _, blocks = struct.unpack("=II", ctypes.string_at(address, 8))
        assert blocks == (len(self.names) + 31) // 32
        return int(blocks)

    def _get(self, address: int) -> bytes:
        blocks = self._blocks(address)
        found = struct.pack("=II", 0x3A, blocks)
        for block in range(blocks):
            names = self.names[32 * block : 32 * block + 32]
            words = [
                sum(1 << bit for bit, name in enumerate(names) if name in has) for has in (self.available, self.active)
            ]
            found += struct.pack("=IIII", words[0], words[1], words[1], 0)
        return found

    def _set(self, address: int) -> bytes:
        blocks = self._blocks(address)
        raw = ctypes.string_at(address, 8 + 8 * blocks)
        for number, name in enumerate(self.names):
            valid, wanted = struct.unpack_from("=II", raw, 8 + 8 * (number // 32))
            if valid >> number % 32 & 1:
                assert wanted >> number % 32 & 1, "nothing is switched off"
                if name in self.available:
                    self.active.add(name)
        return raw


def kernel(monkeypatch: pytest.MonkeyPatch, names: list[str], available: set[str], active: set[str]) -> Kernel:
    made = Kernel(names, available, active)
    monkeypatch.setattr(ethtool, "fcntl", SimpleNamespace(ioctl=made.ioctl))
    return made


@pytest.mark.parametrize("before", [0, 5, 31, 32, 40])
def test_what_is_available_is_switched_on_and_nothing_else(monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    made = kernel(monkeypatch, [*BEFORE[:before], FEATURE, "last"], {FEATURE, "last"}, set())
    assert switch_on("eth0", FEATURE)
    assert made.active == {FEATURE}
    assert made.asked == [0x37, 0x1B, 0x3B, 0x3A]


def test_what_is_on_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made = kernel(monkeypatch, [FEATURE], {FEATURE}, {FEATURE})
    assert switch_on("eth0", FEATURE)
    assert made.active == {FEATURE}


def test_what_the_device_cannot_do_stays_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hypervisor without HOST_USO: the kernel knows the feature and does not give it."""
    made = kernel(monkeypatch, [*BEFORE, FEATURE], set(), {"feature-1"})
    assert not switch_on("eth0", FEATURE)
    assert made.active == {"feature-1"}


def test_a_kernel_that_does_not_know_it_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in ([], BEFORE):
        made = kernel(monkeypatch, names, set(BEFORE), set())
        assert not switch_on("eth0", FEATURE)
        assert (made.active, 0x3B in made.asked) == (set(), False)


@pytest.mark.parametrize("command", [0x37, 0x1B, 0x3A, 0x3B])
def test_a_kernel_that_refuses_is_lived_with(monkeypatch: pytest.MonkeyPatch, command: int) -> None:
    made = kernel(monkeypatch, [FEATURE], {FEATURE}, set())
    made.refused.add(command)
    assert not switch_on("eth0", FEATURE)


def test_no_other_interface_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    made = kernel(monkeypatch, [FEATURE], {FEATURE}, set())
    assert not switch_on("eth1", FEATURE)
    assert made.active == set()


def test_without_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> object:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr("socket.socket", refuse)
    assert not switch_on("eth0", FEATURE)
