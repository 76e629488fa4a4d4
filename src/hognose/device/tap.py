"""One character device of frames: Linux tap and macvtap, and the nano-kernel's /dev/tap (docs/dev/device.md).

The only reader and writer of frames. Non-blocking; every frame carries a 12-byte virtio-net header.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from hognose.drops import Counters, DropReason
from hognose.errors import DeviceError
from hognose.limits import DeviceLimits
from hognose.link import VNET_HDR_LEN, LinkCaps
from hognose.wire import udp, virtio_net

FRAME_DEVICE = "/dev/tap"  # of a machine that is all ours: PID 1 makes it, or finds it

# linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETSNDBUF = 0x400454D4
TUNGETIFF = 0x800454D2
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8
SIOCGIFHWADDR = 0x8927
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
TUN_F_CSUM = 0x01
TUN_F_TSO4 = 0x02
TUN_F_USO4 = 0x20
TUN_F_USO6 = 0x40

SEND_BUFFER_BYTES = 8 * 1024 * 1024  # Linux's default (net.core.wmem_default) holds three super-frames
FRAME_HDR_LEN = VNET_HDR_LEN + 14 + 4  # vnet header, Ethernet, VLAN slack
FRAME_MAX = FRAME_HDR_LEN + 65_535  # with the largest IP packet
WRITE_QUEUE_FRAMES = 256  # frames kept while the device says EAGAIN; then the newest are dropped (DEVICE_FULL)

# Tried in this order: Linux before 6.2 knows no USO; a tap takes its two bits only together.
_OFFLOADS = (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_USO4 | TUN_F_USO6, TUN_F_CSUM | TUN_F_TSO4)
_NOT_FORWARDED = bytes.fromhex("0180c2000001")
_PROBE_LEN = 8  # bytes of each of two datagrams

Sieve = Callable[[list[bytes]], list[bytes]]


class TapDevice:
    """An open frame device; owns its fd."""

    def __init__(self, fd: int, caps: LinkCaps, counters: Counters, limits: DeviceLimits | None = None) -> None:
        self._limits = limits or DeviceLimits()
        self.fd = fd
        self.caps = caps
        self._counters = counters
        self._read_size = FRAME_MAX if caps.rx_gso else FRAME_HDR_LEN + caps.mtu
        self._waiting: list[list[bytes]] = []

    @property
    def blocked(self) -> bool:
        """True while frames wait for POLLOUT."""
        return bool(self._waiting)

    def read_batch(self, sieve: Sieve | None = None) -> list[bytes]:
        """Frames that are there at this moment, within DeviceLimits; [] when there is none (EAGAIN).

        sieve: drops frames, and others are read instead, until a stretch of them has passed. Raises DeviceError when
        the device is gone.
        """
        frames: list[bytes] = []
        kept: list[bytes] = []
        fd = self.fd
        read, size = os.read, self._read_size
        limits = self._limits
        stretch = limits.stretch
        try:
            for _ in range(0, limits.frames, stretch):
                for _ in range(stretch):
                    frames.append(read(fd, size))
                if sieve is not None:
                    kept += sieve(frames)
                    frames = []
                    if len(kept) >= stretch:
                        break
                elif sum(map(len, frames)) > limits.bytes:
                    break
            return kept or frames
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in (errno.EINTR, errno.EIO):
                raise DeviceError(f"reading frames: {error.strerror}") from None
            self._counters.drop(DropReason.DEVICE_ERROR)
        return frames if sieve is None else kept + sieve(frames)

    def write_batch(self, frames: list[list[bytes]]) -> None:
        """Send frames, each a list of pieces; what the device cannot take at once waits, bounded, for POLLOUT."""
        if self._waiting:
            room = WRITE_QUEUE_FRAMES - len(self._waiting)
            if len(frames) > room:
                self._counters.drop(DropReason.DEVICE_FULL, len(frames) - room)
            frames, self._waiting = self._waiting + frames[:room], []
        fd = self.fd
        writev = os.writev
        for index, pieces in enumerate(frames):
            try:
                writev(fd, pieces)
            except BlockingIOError:
                rest = frames[index:]
                if len(rest) > WRITE_QUEUE_FRAMES:
                    self._counters.drop(DropReason.DEVICE_FULL, len(rest) - WRITE_QUEUE_FRAMES)
                self._waiting = rest[:WRITE_QUEUE_FRAMES]
                return
            except OSError:
                # EINVAL: the kernel did not like this frame; ENETDOWN, ENOBUFS: the link. One frame is lost.
                self._counters.drop(DropReason.DEVICE_ERROR)

    def close(self) -> None:
        """Close the fd; idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_tap(path: str, counters: Counters, *, mac: bytes | None = None, offloads: bool = True) -> TapDevice:
    """Open PATH (a macvtap node such as /dev/tap7, or `/dev/net/tun:NAME` for a tap) with a 12-byte header.

    mac: our own 6 bytes; needed for a plain tap, else asked from the device. offloads False asks the kernel to
    segment and checksum for us on receive. Raises DeviceError with one line for the console.
    """
    node, _, name = path.partition(":")
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DeviceError(f"frame device {node}: {error.strerror}") from None
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", VNET_HDR_LEN))
        wanted = _OFFLOADS if offloads else (0,)
        granted = next((bits for bits in wanted if _try_ioctl(fd, TUNSETOFFLOAD, bits)), 0)
        offloads = granted != 0
        _try_ioctl(fd, TUNSETSNDBUF, struct.pack("i", SEND_BUFFER_BYTES))
        if mac is None:
            if name:
                raise DeviceError(f"a tap has no address of ours: give --mac= for {path}")
            mac = fcntl.ioctl(fd, SIOCGIFHWADDR, bytes(40))[18:24]
        caps = LinkCaps(
            mac=mac,
            mtu=_mtu_of(fd),
            rx_gso=offloads,
            rx_uso4=granted == _OFFLOADS[0],
            tx_csum=offloads,
            tx_tso4=offloads,
            tx_uso4=offloads and _takes_uso(fd, mac),
        )
    except OSError as error:
        os.close(fd)
        raise DeviceError(f"frame device {path}: {error.strerror}") from None
    except DeviceError:
        os.close(fd)
        raise
    return TapDevice(fd, caps, counters)


def _takes_uso(fd: int, mac: bytes) -> bool:
    """True when the kernel cuts super-frames of UDP datagrams, which no ioctl tells; asked by sending one.

    It goes to a group that no bridge passes on (IEEE 802.1Q table 8-1), from and to no address, and its TTL is over.
    """
    payload = bytes(2 * _PROBE_LEN)
    packet = udp.heads(bytes(6), bytes(4) + b"\0\x09", len(payload)) + payload
    vnet = virtio_net.udp_super_frame(14 + 28, _PROBE_LEN, 34)
    try:
        os.write(fd, vnet + _NOT_FORWARDED + mac + b"\x08\0" + packet)
    except OSError:
        return False
    return True


def _try_ioctl(fd: int, request: int, argument: int | bytes) -> bool:
    try:
        fcntl.ioctl(fd, request, argument)
    except OSError:
        return False
    return True


def _mtu_of(fd: int) -> int:
    """MTU of the fd's interface, from sysfs; 1500 where that cannot be known."""
    try:
        name = fcntl.ioctl(fd, TUNGETIFF, bytes(40))[:16].rstrip(b"\0").decode()
        with open(f"/sys/class/net/{name}/mtu", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 1500
