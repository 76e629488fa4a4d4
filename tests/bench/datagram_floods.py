"""A tunnel over UDP beside floods of datagrams that belong to no session, at Hognose and at OpenVPN's own server.

As root, on a machine without other work:

    python -m tests.bench.datagram_floods [--kinds reset,tls-auth] [--rounds 5] [--rate 20000] [--servers hognose]

In each round three TCP transfers go through the tunnel of a real client: alone, beside the generator aimed at an
address without a host, and beside the same generator aimed at the server. Then the flood goes on for --flood seconds:
the server's memory before and after it, and how long real clients take to come in meanwhile. Generator, server and
clients share the machine, and what the generator takes is no loss of the server's: the third transfer is held against
the second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bench.beside_openvpn import ADDRESS, INTERNET, ROOT, Contender
from tests.world.crowd import resident
from tests.world.datagram_flood import KINDS
from tests.world.pki import static_key, tls_crypt_v2_keys
from tests.world.processes import Process

OTHERS = ("stranger", "sink", "late")
NO_HOST = "192.0.2.99"
PATIENCE_S = 20  # for a new client
WARM_S = 1  # from the generator's start to what is measured
MIB = 1 << 20


def wrap_of(kind: str) -> tuple[str, tuple[str, str]]:
    """The wrap of the server that a flood is for, and its keys."""
    if kind == "tls-crypt-v2":
        return kind, tls_crypt_v2_keys()
    key = static_key()
    return ("tls-auth", (key, key)) if kind == "tls-auth" else ("none", ("", ""))


class Siege:
    """One server with its tunnel, and the generator."""

    def __init__(self, contender: Contender, kind: str, rate: int, folder: Path) -> None:
        self._contender = contender
        self._kind = kind
        self._rate = rate
        self._folder = folder
        self.reports: list[dict[str, float]] = []

    @contextmanager
    def flood(self, *, aimed: bool, seconds: int = 120) -> Iterator[None]:
        """Beside the generator; aimed: at the server, else at an address without a host."""
        spaces = self._contender.spaces
        name, address = ("server", ADDRESS) if aimed else ("sink", NO_HOST)
        mac = spaces.run(name, "cat", "/sys/class/net/eth0/address").strip()
        words = ["-m", "tests.world.datagram_flood", "eth0", mac, address, self._kind, str(self._rate), str(seconds)]
        log = self._folder / f"{self._contender.kind}-flood.log"
        process = Process(spaces.command("stranger", sys.executable, *words), log, cwd=ROOT)
        try:
            process.wait_for("ready")
            time.sleep(WARM_S)
            yield
        finally:
            process.stop()
            self.reports.append(json.loads(process.text.splitlines()[-1]))

    def transfer(self, seconds: int, direction: list[str]) -> float:
        """MB/s that iperf3 has got through the tunnel."""
        words = ["iperf3", "-c", INTERNET, "-t", str(seconds), "-J", *direction]
        said = self._contender.spaces.run("client", *words, timeout=seconds + 60)
        return float(json.loads(said)["end"]["sum_received"]["bits_per_second"]) / 8e6

    def connects(self, number: int) -> float:
        """Seconds until a new client is up, its start included."""
        began = time.monotonic()
        with self._contender.another("late", str(number)) as late, suppress(RuntimeError):
            late.connected(PATIENCE_S)
            return time.monotonic() - began
        return float("inf")

    def endure(self, seconds: int) -> tuple[list[float], float, float]:
        """Times of new clients in a flood, and MiB of memory more after it: at once, and after 10 s."""
        pid = self._contender.pid
        before = resident(pid)
        times: list[float] = []
        with self.flood(aimed=True, seconds=seconds + 60):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                times.append(self.connects(len(times)))
                time.sleep(1)
        grown = resident(pid) - before
        time.sleep(10)
        return times, grown / MIB, (resident(pid) - before) / MIB


def measure(kind: str, server: str, a: argparse.Namespace, folder: Path) -> str:
    """One line of the table."""
    wrap, keys = wrap_of(kind)
    direction = ["-R"] if a.direction == "down" else []
    with Contender(server, folder, image=a.image, rps=False, proto="udp", wrap=wrap, keys=keys, others=OTHERS) as one:
        siege = Siege(one, kind, a.rate, folder)
        siege.connects(99)
        siege.transfer(2, direction)
        quiet, control, flooded, shares = [], [], [], []
        for _ in range(a.rounds):
            quiet.append(siege.transfer(a.seconds, direction))
            with siege.flood(aimed=False):
                control.append(siege.transfer(a.seconds, direction))
            with siege.flood(aimed=True):
                used, began = one.used, time.monotonic()
                flooded.append(siege.transfer(a.seconds, direction))
                shares.append((one.used - used) / (time.monotonic() - began))
        times, grown, left = siege.endure(a.flood) if a.flood else ([0.0], 0.0, 0.0)
    beside = statistics.median(control)
    rates = " ".join(f"{statistics.median(each):6.1f}" for each in (quiet, control, flooded))
    came = f"{statistics.median(times):5.2f} {max(times):5.2f}"
    per_second = min(report["per_second"] for report in siege.reports)
    lists = " ".join(str([round(each, 1) for each in series]) for series in (quiet, control, flooded))
    return (
        f"{kind:12} {server:8} {rates}  {statistics.median(flooded) / beside:5.2f}  {came}  {grown:+5.1f} {left:+5.1f}"
        f"  {statistics.median(shares):4.2f} {per_second:7.0f}  {lists}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.datagram_floods")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--servers", default="hognose,openvpn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of one transfer")
    parser.add_argument("--rate", type=int, default=20_000, help="packets a second")
    parser.add_argument("--flood", type=int, default=30, help="seconds in which new clients come; 0: none do")
    parser.add_argument("--direction", choices=("down", "up"), default="down")
    parser.add_argument("--image", action="store_true")
    a = parser.parse_args()
    print("MB/s alone, beside the generator aimed elsewhere, under the flood; the third by the second; a new client's")
    print("seconds, median and worst; MiB more after the flood, and 10 s later; processors used; packets a second")
    for kind in a.kinds.split(","):
        for server in a.servers.split(","):
            with tempfile.TemporaryDirectory() as folder:
                print(measure(kind, server, a, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
