"""Opening a tap or macvtap: what the kernel is asked for, and what is done with its refusals."""

from __future__ import annotations

import errno
import io
import os
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from hognose.device import tap
from hognose.device.tap import open_tap
from hognose.drops import Counters
from hognose.errors import DeviceError
from hognose.link import LinkCaps


class Kernel:
    """The ioctls of a tap or macvtap, over a file that is opened in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, mtu: str = "1400\n") -> None:
        self.asked: list[tuple[int, object]] = []
        self.refused: set[int] = set()
        self.no_uso = False
        self.mtu = mtu
        monkeypatch.setattr(tap, "fcntl", SimpleNamespace(ioctl=self.ioctl))
        monkeypatch.setattr(tap, "open", self.sysfs, raising=False)

    def ioctl(self, fd: int, request: int, argument: object) -> bytes:
        self.asked.append((request, argument))
        uso = request == 0x400454D0 and isinstance(argument, int) and argument & 0x60
        if request in self.refused or (self.no_uso and uso):
            raise OSError(errno.EINVAL, "Invalid argument")
        if request == 0x8927:  # SIOCGIFHWADDR: a name, a family, the address
            return b"tap0".ljust(16, b"\0") + b"\1\0" + bytes.fromhex("020000000042") + bytes(16)
        if request == 0x800454D2:  # TUNGETIFF
            return b"tap0".ljust(40, b"\0")
        return b""

    def sysfs(self, path: str, encoding: str) -> io.StringIO:
        assert path == "/sys/class/net/tap0/mtu"
        if not self.mtu:
            raise FileNotFoundError(2, "No such file or directory")
        return io.StringIO(self.mtu)


@pytest.fixture
def node(tmp_path: Path) -> str:
    (tmp_path / "tap7").touch()
    return str(tmp_path / "tap7")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def opened(node: str, **words: Any) -> LinkCaps:
    """The capabilities of the device at a node."""
    device = open_tap(node, Counters(), **words)
    device.close()
    return device.caps


def test_a_macvtap_tells_its_address_and_mtu(kernel: Kernel, node: str) -> None:
    caps = opened(node)
    assert (caps.mac.hex(), caps.mtu, caps.rx_gso, caps.rx_uso4, caps.tx_csum, caps.tx_tso4) == (
        "020000000042", 1400, True, True, True, True,
    )  # fmt: skip
    assert kernel.asked[:4] == [
        (0x400454CA, bytes(16) + b"\x02\x50" + bytes(22)),  # TUNSETIFF: IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
        (0x400454D8, struct.pack("i", 12)),  # TUNSETVNETHDRSZ
        (0x400454D0, 0x63),  # TUNSETOFFLOAD: checksums, TSO4, USO4 and USO6
        (0x400454D4, struct.pack("i", 8 << 20)),  # TUNSETSNDBUF
    ]


def test_super_frames_of_datagrams_are_asked_for_by_sending_one(kernel: Kernel, node: str) -> None:
    """Two datagrams of 8 bytes to a group that stays on the link; scapy reads the frame."""
    assert opened(node).tx_uso4
    sent = Path(node).read_bytes()
    assert sent[:12] == struct.pack("<BBHHHHH", 1, 5, 42, 8, 34, 6, 0)
    frame = Ether(sent[12:])
    assert (frame.dst, frame.src) == ("01:80:c2:00:00:01", "02:00:00:00:00:42")
    assert (frame[IP].src, frame[IP].dst, frame[UDP].len, len(frame)) == ("0.0.0.0", "0.0.0.0", 24, 58)


def test_a_device_that_takes_none_says_so_by_an_error(
    kernel: Kernel, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(tap.os, "write", refuse)
    caps = opened(node)
    assert (caps.tx_tso4, caps.tx_uso4) == (True, False)
    assert not opened(node, offloads=False).tx_uso4


def test_a_tap_by_its_name(kernel: Kernel, node: str) -> None:
    mac = bytes.fromhex("0200000000aa")
    assert opened(f"{node}:tap3", mac=mac).mac == mac
    assert kernel.asked[0] == (0x400454CA, b"tap3".ljust(16, b"\0") + b"\x02\x50" + bytes(22))
    assert 0x8927 not in dict(kernel.asked)


def test_without_offloads_frames_are_whole_packets(kernel: Kernel, node: str) -> None:
    """Asked for, or because the kernel has none."""
    caps = opened(node, offloads=False)
    assert (0x400454D0, 0) in kernel.asked
    kernel.refused.add(0x400454D0)
    assert [opened(node), opened(node, offloads=False)] == [caps] * 2
    assert (caps.rx_gso, caps.rx_uso4, caps.tx_csum, caps.tx_tso4, caps.tx_uso4) == (False,) * 5


def test_a_kernel_without_super_frames_of_datagrams(kernel: Kernel, node: str) -> None:
    """Linux before 6.2: it refuses the whole request, and has what it had before."""
    kernel.no_uso = True
    caps = opened(node)
    assert [argument for request, argument in kernel.asked if request == 0x400454D0] == [0x63, 3]
    assert (caps.rx_gso, caps.rx_uso4, caps.tx_csum, caps.tx_tso4) == (True, False, True, True)


@pytest.mark.parametrize("mtu", ["", "unknown"])
def test_an_unknown_mtu_is_ethernets(monkeypatch: pytest.MonkeyPatch, node: str, mtu: str) -> None:
    kernel = Kernel(monkeypatch, mtu)
    assert opened(node).mtu == 1500
    kernel.refused.add(0x800454D2)
    kernel.mtu = "1400"
    assert opened(node).mtu == 1500


def test_a_small_send_buffer_is_lived_with(kernel: Kernel, node: str) -> None:
    kernel.refused.add(0x400454D4)
    assert opened(node).mtu == 1400


@pytest.mark.parametrize("request_number", [0x400454CA, 0x400454D8, 0x8927])
def test_a_device_that_cannot_be_set_up_is_closed_and_named(kernel: Kernel, node: str, request_number: int) -> None:
    kernel.refused.add(request_number)
    free = os.dup(0)
    os.close(free)
    with pytest.raises(DeviceError) as caught:
        open_tap(node, Counters())
    assert str(caught.value) == f"frame device {node}: Invalid argument"
    with pytest.raises(DeviceError) as caught:
        open_tap(f"{node}:tap3", Counters())
    again = os.dup(0)
    os.close(again)
    assert again == free  # no descriptor is left open


def test_a_tap_without_an_address_of_ours(kernel: Kernel, node: str) -> None:
    free = os.dup(0)
    os.close(free)
    with pytest.raises(DeviceError) as caught:
        open_tap(f"{node}:tap3", Counters())
    assert str(caught.value) == f"a tap has no address of ours: give --mac= for {node}:tap3"
    again = os.dup(0)
    os.close(again)
    assert again == free


def test_opening_what_is_not_a_frame_device(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="No such file"):
        open_tap(str(tmp_path / "none"), Counters())
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(DeviceError, match="frame device"):
        open_tap(str(file), Counters())
