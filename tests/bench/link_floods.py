"""Fragments and ARP that get nothing: microseconds of processor time each, read from a real tap, at full tables.

As root: python -m tests.bench.link_floods [--tree TREE] [--rounds N] [KIND …]

In a network namespace of its own a packet socket fills the tap's queue; then the tap is read in batches and each is
given to `Gateway.step`, as the loop does. Of the rounds the median and the least are printed. A client is connected.
The tables are filled by what comes first: more of the same. `syn` is there to compare with. --tree measures another
folder's src/hognose.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.gateway_frames import ADDRESS, MAC, ROUTER_MAC, Bench
from tests.sim.segments import ones_complement
from tests.world.namespaces import Namespaces
from tests.world.today import UNIX

ROOT = Path(__file__).resolve().parents[2]
TAP = "tap0"
OWN = ADDRESS.to_bytes(4, "big")
TO_US = MAC + ROUTER_MAC + b"\x08\0"
QUEUE = 900  # frames of one filling; the tap's queue has 1000
TABLES = 4000  # frames that come before


def ip(number: int, payload: bytes, flags: int, protocol: int = 17) -> bytes:
    """A frame from one of 65,536 sources."""
    source = struct.pack(">I", 0xC6130000 + (number * 40503 & 0xFFFF))
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), number & 0xFFFF, flags, 64, protocol, 0) + source + OWN
    return TO_US + head[:10] + struct.pack(">H", ones_complement(head)) + head[12:] + payload


def arp(number: int, first: int, hosts: int) -> bytes:
    """A request for our address from one of these hosts, with a MAC of its own each time."""
    mac = bytes((2, 0, 9)) + struct.pack(">I", number)[1:]
    sender = struct.pack(">I", first + number % hosts)
    return b"\xff" * 6 + mac + b"\x08\x06" + b"\0\1\x08\0\6\4\0\1" + mac + sender + bytes(6) + OWN


KINDS: dict[str, Callable[[int], bytes]] = {
    "fragment to a closed port": lambda n: ip(n, struct.pack(">HHHH", 5, 9, 24, 0) + bytes(16), 0x2000),
    "fragment to the VPN's port": lambda n: ip(n, struct.pack(">HHHH", 5, 1194, 24, 0) + bytes(16), 0x2000, 6),
    "later fragment": lambda n: ip(n, bytes(24), 0x2003),
    "ARP off the link": lambda n: arp(n, 0x0B000000, 1 << 20),
    "ARP on the link": lambda n: arp(n, ADDRESS + 1, 250),
    "ARP for another": lambda n: arp(n, ADDRESS + 1, 250)[:-4] + b"\x0a\0\0\xfd",
    "datagram to a closed port": lambda n: ip(n, struct.pack(">HHHH", 5, 9, 24, 0) + bytes(16), 0x4000),
}


class Link:
    """A gateway with a connected client, on a real tap, in virtual time."""

    def __init__(self) -> None:
        from hognose.device.tap import open_tap
        from hognose.drops import Counters

        self.bench = Bench()
        self.device = open_tap(f"/dev/net/tun:{TAP}", Counters(), mac=MAC)
        self.sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.sender.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)  # SO_SNDBUFFORCE
        self.sender.bind((TAP, 0))

    def send(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.sender.send(frame)

    def drain(self, microseconds: int) -> tuple[int, int]:
        """Read and step until nothing is there, each frame that much later; (frames, nanoseconds)."""
        gateway, device, bench = self.bench.gateway, self.device, self.bench
        count, began = 0, time.thread_time_ns()
        while frames := device.read_batch(gateway.sieve(bench.now)):
            count += len(frames)
            bench.now += len(frames) * microseconds * 1000
            out = gateway.step(frames, bench.now, UNIX)
            if out:
                device.write_batch(out)
            gateway.next_deadline()
        return count, time.thread_time_ns() - began

    def fill(self, kind: str) -> None:
        """Make the tables full: more of the same than they hold."""
        for start in range(0, TABLES, QUEUE):
            self.send([KINDS[kind](number) for number in range(start, start + QUEUE)])
            self.drain(125)

    def round(self, kind: str, number: int) -> float:
        """Microseconds of a frame, of a queue of them, at 8,000 a second."""
        frames = [KINDS[kind](TABLES + number * QUEUE + each) for each in range(QUEUE)]
        self.send(frames)
        count, took = self.drain(125)
        if count < QUEUE * 0.9:
            raise RuntimeError(f"{count} of {QUEUE} frames came through")
        return took / count / 1000


def measure(rounds: int, kinds: list[str]) -> None:
    """Print a line for each kind; in the namespace."""
    for words in (f"tuntap add {TAP} mode tap", f"link set {TAP} txqueuelen 1000 up"):
        subprocess.run(["ip", *words.split()], check=True)
    Path(f"/proc/sys/net/ipv6/conf/{TAP}/disable_ipv6").write_text("1")
    import hognose

    print(hognose.__file__)
    for kind in kinds:
        link = Link()
        link.fill(kind)
        times = [link.round(kind, number) for number in range(rounds)]
        link.device.close()
        print(f"{kind:28} median {statistics.median(times):6.2f} us, least {min(times):6.2f} us", flush=True)


def main() -> None:
    """Make the namespace and measure in it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.link_floods")
    parser.add_argument("--tree", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    a = parser.parse_args()
    if a.inside:
        measure(a.rounds, a.kinds)
        return
    environment = {**os.environ, "PYTHONPATH": f"{(a.tree / 'src').resolve()}:{ROOT}"}
    with tempfile.TemporaryDirectory() as folder, Namespaces("hn-floods", ("link",)) as spaces:
        words = spaces.command("link", sys.executable, "-m", "tests.bench.link_floods", "--inside")
        subprocess.run([*words, f"--rounds={a.rounds}", *a.kinds], cwd=ROOT, env=environment, check=True)
        del folder


if __name__ == "__main__":
    main()
