"""A userspace bridge between two TAP interfaces, each in a network namespace of its own, that behaves badly by seed.

    lossy_bridge.py --a NETNS:TAP --b NETNS:TAP [--loss 0.01 --duplicate 0.01 --reorder 0.05 --corrupt 0.02
                    --delay-ms 20 --jitter-ms 1 --rate-mbit 100 --queue 1000 --seed 1] [--offload]
                    [--mtu 1400 [--icmp]]

NETNS is a name under /run/netns, or `-` for the caller's own. The interfaces are made (if missing) and set up; their
addresses are the caller's business. Prints `ready`, works until SIGTERM or SIGINT, then prints one line of JSON with
the counts of both directions. Frames other than IPv4 (ARP) always pass. With --offload frames of up to 64 KiB with
partial checksums cross the bridge, as between local machines; without it every frame is whole and at most one MTU.
With --mtu larger IPv4 packets are dropped, without a word or, with --icmp, as a router would (RFC 1191).
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

if not __package__:  # run as a script
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..")))

from tests.world.impairment import Channel, Impairment

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
TUNSETVNETHDRSZ = 0x400454D8
TUNSETSNDBUF = 0x400454D4
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 1, 2
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
VNET_HDR_LEN = 12
FRAME_MAX = 70_000
L3 = VNET_HDR_LEN + 14
BATCH = 64

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(netns: str) -> Iterator[None]:
    """This thread in a named network namespace for a while; sockets and TAPs made there stay there."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        if netns != "-":
            _setns(os.open(f"/run/netns/{netns}", os.O_RDONLY))
        yield
    finally:
        _setns(home)


def _setns(fd: int) -> None:
    failed = _libc.setns(fd, CLONE_NEWNET)
    os.close(fd)
    if failed:
        raise OSError(ctypes.get_errno(), "setns")


def open_tap_in(netns: str, name: str, *, offload: bool) -> int:
    """A non-blocking fd of TAP `name` inside a namespace, brought up; the caller's own namespace does not change."""
    with inside(netns):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("i", VNET_HDR_LEN))
        fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 if offload else 0)
        fcntl.ioctl(fd, TUNSETSNDBUF, struct.pack("i", 8 << 20))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = bytearray(struct.pack("16sH22x", name.encode(), 0))
            fcntl.ioctl(control, SIOCGIFFLAGS, request)
            up = struct.unpack_from("H", request, 16)[0] | IFF_UP
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), up))
        return fd


class LossyBridge:
    """Two fds of frames and the two channels between them."""

    def __init__(
        self, fd_a: int, fd_b: int, a_to_b: Impairment, b_to_a: Impairment, seed: int, mtu: int = 0, icmp: bool = False
    ) -> None:
        self._fds = (fd_a, fd_b)
        self._channels = (Channel(a_to_b, 2 * seed + 1), Channel(b_to_a, 2 * seed + 2))
        self._running = True
        self._mtu, self._icmp = mtu or FRAME_MAX, icmp
        self.super_frames = [0, 0]
        self.largest = [0, 0]
        self.too_large = [0, 0]
        self.refused = 0

    def stop(self) -> None:
        """Let `run` return after its present round."""
        self._running = False

    def run(self) -> None:
        """Carry frames until `stop`."""
        poller = select.poll()
        for fd in self._fds:
            poller.register(fd, select.POLLIN)
        while self._running:
            now = time.monotonic_ns()
            wakes = [due for channel in self._channels if (due := channel.next_due()) is not None]
            timeout = 200.0 if not wakes else max(0.0, min(200.0, (min(wakes) - now) / 1e6))
            # A poll of under a millisecond would spin or oversleep; half a millisecond of error is nothing here.
            try:
                ready = poller.poll(timeout)
            except InterruptedError:
                continue
            now = time.monotonic_ns()
            for fd, _ in ready:
                self._read(self._fds.index(fd), now)
            for side in (0, 1):
                for frame in self._channels[side].due(now):
                    self._write(self._fds[1 - side], frame)

    def report(self) -> dict[str, object]:
        """Counts of both directions for a log."""
        return {
            "a_to_b": self._channels[0].counts,
            "b_to_a": self._channels[1].counts,
            "super_frames": self.super_frames,
            "largest": self.largest,
            "too_large": self.too_large,
            "refused": self.refused,
        }

    def _read(self, side: int, now: int) -> None:
        fd = self._fds[side]
        for _ in range(BATCH):
            try:
                frame = os.read(fd, FRAME_MAX)
            except (BlockingIOError, InterruptedError):
                return
            if frame[L3 - 2 : L3] != b"\x08\x00":
                self._write(self._fds[1 - side], frame)
                continue
            if len(frame) - L3 > self._mtu:
                self.too_large[side] += 1
                if self._icmp:
                    self._write(fd, fragmentation_needed(frame, self._mtu))
                continue
            self.largest[side] = max(self.largest[side], len(frame) - L3)
            if len(frame) > 2000:
                self.super_frames[side] += 1
            self._channels[side].offer(frame, now)

    def _write(self, fd: int, frame: bytes) -> None:
        try:
            os.write(fd, frame)
        except OSError:  # queue full, or the interface went away
            self.refused += 1


def fragmentation_needed(frame: bytes, mtu: int) -> bytes:
    """The answer of the destination, as if it were a router, to a packet that is too large (RFC 1191 section 4)."""
    icmp = bytearray(struct.pack(">BBHHH", 3, 4, 0, 0, mtu) + frame[L3 : L3 + 28])
    struct.pack_into(">H", icmp, 2, _checksum(icmp))
    addresses = frame[L3 + 16 : L3 + 20] + frame[L3 + 12 : L3 + 16]
    ip = bytearray(struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0) + addresses)
    struct.pack_into(">H", ip, 10, _checksum(ip))
    return bytes(VNET_HDR_LEN) + frame[18:24] + frame[12:18] + b"\x08\0" + bytes(ip) + bytes(icmp)


def _checksum(data: bytearray) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    return 0xFFFF - total % 0xFFFF


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """Command line as in the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--a", required=True, metavar="NETNS:TAP")
    parser.add_argument("--b", required=True, metavar="NETNS:TAP")
    for name in ("loss", "duplicate", "reorder", "corrupt"):
        parser.add_argument(f"--{name}", type=float, default=0.0, metavar="PROBABILITY")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    parser.add_argument("--reorder-ms", type=float, default=1.0)
    parser.add_argument("--rate-mbit", type=float, default=0.0)
    parser.add_argument("--queue", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--mtu", type=int, default=0)
    parser.add_argument("--icmp", action="store_true")
    return parser.parse_args(argv)


def impairment_of(arguments: argparse.Namespace) -> Impairment:
    """The settings of one direction; both are alike on the command line."""
    return Impairment(
        loss=arguments.loss,
        duplicate=arguments.duplicate,
        reorder=arguments.reorder,
        corrupt=arguments.corrupt,
        delay_ns=int(arguments.delay_ms * 1e6),
        jitter_ns=int(arguments.jitter_ms * 1e6),
        reorder_ns=int(arguments.reorder_ms * 1e6),
        rate_bps=int(arguments.rate_mbit * 1e6),
        queue=arguments.queue,
        spare_bytes=L3,
    )


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    fds = [open_tap_in(*place.split(":"), offload=arguments.offload) for place in (arguments.a, arguments.b)]
    settings = impairment_of(arguments)
    bridge = LossyBridge(fds[0], fds[1], settings, settings, arguments.seed, arguments.mtu, arguments.icmp)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: bridge.stop())
    print("ready", flush=True)
    bridge.run()
    print(json.dumps(bridge.report()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
