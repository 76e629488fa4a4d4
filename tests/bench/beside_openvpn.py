"""Processor time beside OpenVPN's own server: both in turns on one machine, and only rounds that count.

As root, on a machine without other work:

    python -m tests.bench.beside_openvpn --idle-cost              OpenVPN alone: its lowest cost is the bar
    python -m tests.bench.beside_openvpn --idle up=10.5,down=8.6  rounds in turns, held against that bar

--image runs Hognose under the image's own interpreter (`make image` before). --rps moves the receivers' work to the
other core. --proto udp has both over UDP; the bar is another one then. A round in which OpenVPN costs more than 1.25
times the bar is left out for both: other work on the machine taxes system calls more than an interpreter.
docs/performance.md says how to read the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.world.namespaces import Namespaces
from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.pki import SERVER, current_authority
from tests.world.processes import Process
from tests.world.server import ServerSettings

ROOT = Path(__file__).resolve().parents[2]
ADDRESS, ROUTER, INTERNET = "192.0.2.1", "192.0.2.254", "198.51.100.7"
TESTS = ("up", "down", "small", "ping")
UNITS = {"up": "CPU-s per GiB", "down": "CPU-s per GiB", "small": "CPU-us per packet", "ping": "ms, median"}
TOO_DEAR = 1.25  # times OpenVPN's idle cost
Figures = dict[str, float]


class Account:
    """The processor time of a process from now on, its soft interrupts included: a control group of its own."""

    def __init__(self, name: str, pid: int) -> None:
        old = Path("/sys/fs/cgroup/cpuacct")
        self._folder = (old if old.is_dir() else Path("/sys/fs/cgroup")) / name
        self._folder.mkdir(exist_ok=True)
        (self._folder / "cgroup.procs").write_text(str(pid))

    @property
    def seconds(self) -> float:
        """So far."""
        usage = self._folder / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        found = re.search(r"usage_usec (\d+)", (self._folder / "cpu.stat").read_text())
        assert found, "no usage in cpu.stat"
        return int(found[1]) / 1e6

    def remove(self) -> None:
        """Once its process is gone."""
        self._folder.rmdir()


class Contender:
    """One server with a client of its own and a host beyond it: namespaces around a bridge; a context manager."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        *,
        image: bool,
        rps: bool,
        proto: str = "tcp",
        wrap: str = "none",
        keys: tuple[str, str] = ("", ""),
        others: tuple[str, ...] = (),
    ) -> None:
        """kind: hognose or openvpn. keys: of the wrap, the server's and a client's.

        others: further namespaces at the bridge, from 192.0.2.3 on.
        """
        self.kind = kind
        self._folder = folder / kind
        self._folder.mkdir()
        self._image, self._rps = image, rps
        self._proto, self._wrap, self._keys = proto, wrap, keys
        self._others = others
        self.spaces = Namespaces(f"hn-b{kind[0]}", ("bridge", "client", "server", "inet", *others))
        self.authority = current_authority()
        self._stack = ExitStack()

    def __enter__(self) -> Contender:
        with ExitStack() as stack:
            stack.enter_context(self.spaces)
            self._cables()
            lines = ["data-ciphers AES-256-GCM"]
            identity = self.authority.issue("server", SERVER)
            config = ServerSettings(
                self.authority, identity, self._wrap, self._keys[0], lines, proto=self._proto
            ).text()
            server = self._hognose(config) if self.kind == "hognose" else self._openvpn(config)
            self.pid = server.pid
            self._account = Account(f"hn-bench-{self.kind}-{os.getpid()}", server.pid)
            stack.callback(self._account.remove)
            stack.callback(server.stop)
            server.wait_for("^info ready |Initialization Sequence Completed", 30)
            stack.enter_context(self.another("client")).connected()
            iperf = Process(
                self.spaces.command("inet", "iperf3", "-s", "-B", INTERNET, "--forceflush"),
                self._folder / "iperf3.log",
            )
            stack.callback(iperf.stop)
            iperf.wait_for("Server listening")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def used(self) -> float:
        """Seconds of the processor that the server has had."""
        return self._account.seconds

    def another(self, name: str, label: str = "") -> OpenvpnClient:
        """A client that was started in a namespace."""
        route = "route 198.51.100.0 255.255.255.0"
        settings = ClientSettings(
            self.authority.pem,
            self.authority.issue(name + label),
            ADDRESS,
            self._wrap,
            self._keys[1],
            [route],
            proto=self._proto,
        )
        return OpenvpnClient(self.spaces, name, settings, self._folder, label=label)

    def measure(self, test: str, seconds: int) -> float:
        """One figure, in the unit of UNITS; RuntimeError when nothing came through."""
        if test == "ping":
            said = self.spaces.run("client", "ping", "-c", "200", "-i", "0.01", INTERNET, timeout=60)
            return statistics.median(float(found) for found in re.findall(r"time=([\d.]+) ms", said))
        words = {"up": [], "down": ["-R"], "small": ["-u", "-l", "64", "-b", "60M"]}[test]
        before = self._account.seconds
        said = self.spaces.run(
            "client", "iperf3", "-c", INTERNET, "-t", str(seconds), "-J", *words, timeout=seconds + 30
        )
        used, end = self._account.seconds - before, json.loads(said)["end"]
        done = end["sum"]["packets"] - end["sum"]["lost_packets"] if test == "small" else end["sum_received"]["bytes"]
        if done <= 0:
            raise RuntimeError(f"{self.kind}: nothing came through in {test}")
        return used / done * (1e6 if test == "small" else 1 << 30)

    def _cables(self) -> None:
        spaces = self.spaces
        spaces.run("bridge", "ip", "link", "add", "br0", "type", "bridge")
        spaces.run("bridge", "ip", "link", "set", "br0", "up")
        cores = os.cpu_count() or 1
        others = [(name, f"192.0.2.{number}") for number, name in enumerate(self._others, 3)]
        for name, address in (("client", "192.0.2.2"), ("server", ADDRESS), ("inet", ROUTER), *others):
            spaces.veth("bridge", f"to-{name}", name, "eth0")
            spaces.run("bridge", "ip", "link", "set", f"to-{name}", "master", "br0")
            if name != "server" or self.kind == "openvpn":
                spaces.run(name, "ip", "addr", "add", f"{address}/24", "dev", "eth0")
            if self._rps and cores > 1:
                for place, device in ((name, "eth0"), ("bridge", f"to-{name}")):
                    mask = "1" if name == "server" and place == "server" else "2"
                    rps = f"echo {mask} > /sys/class/net/{device}/queues/rx-0/rps_cpus"
                    spaces.run(place, "sh", "-c", rps)
        spaces.run("inet", "ip", "addr", "add", f"{INTERNET}/32", "dev", "lo")

    def _hognose(self, config: str) -> Process:
        """On a macvtap in passthru mode, as in the VM; the node of the namespace's device is made by hand."""
        spaces, node = self.spaces, self._folder / "tap"
        spaces.run("server", "ip", "link", "add", "link", "eth0", "name", "mv0", "type", "macvtap", "mode", "passthru")
        spaces.run("server", "ip", "link", "set", "mv0", "up")
        major, _, minor = spaces.run("server", "sh", "-c", "cat /sys/class/net/mv0/tap*/dev").strip().partition(":")
        os.mknod(node, 0o20600, os.makedev(int(major), int(minor)))
        mac = spaces.run("server", "cat", "/sys/class/net/mv0/address").strip()
        path = self._folder / "server.conf"
        path.write_text(config)
        program = [str(ROOT / "tests/image_python.py")] if self._image else []
        words = [sys.executable, *program, "-m", "hognose", "serve", "--config", str(path), "--device", str(node)]
        words += ["--mac", mac, f"--ipv4={ADDRESS}/24", f"--ipv4-gateway={ROUTER}"]
        return Process(spaces.command("server", *words), self._folder / "server.log")

    def _openvpn(self, config: str) -> Process:
        """With the kernel's NAT, and `tcp-nodelay`: without it openvpn costs two to four times as much."""
        spaces, path = self.spaces, self._folder / "server.conf"
        path.write_text(f"dh none\n{'tcp-nodelay' if self._proto == 'tcp' else ''}\nverb 3\n" + config)
        for line in (
            "sysctl -qw net.ipv4.ip_forward=1", f"ip route add default via {ROUTER}", "nft add table ip nat",
            "nft add chain ip nat post { type nat hook postrouting priority 100 ; }",
            "nft add rule ip nat post ip saddr 10.8.0.0/24 oifname eth0 masquerade",
            # A flood over UDP would fill the table of the kernel's NAT.
            "nft add chain ip nat raw { type filter hook prerouting priority -300 ; }",
            "nft add rule ip nat raw udp dport 1194 notrack",
        ):  # fmt: skip
            spaces.run("server", *line.split())
        return Process(spaces.command("server", "openvpn", "--config", str(path)), self._folder / "server.log")


def kept(rounds: list[tuple[Figures, Figures]], test: str, idle: Figures) -> list[tuple[float, float]]:
    """(Hognose, OpenVPN) of the rounds that count for a test: ping has no bar."""
    pairs = [(ours[test], theirs[test]) for ours, theirs in rounds]
    return [pair for pair in pairs if test not in idle or pair[1] <= TOO_DEAR * idle[test]]


def table(rounds: list[tuple[Figures, Figures]], tests: list[str], idle: Figures) -> list[str]:
    """Lines to print: minimum, median and maximum of both, the ratio of medians, rounds left out."""
    lines = [f"{'test':6} {'unit':18} {'Hognose':>24} {'OpenVPN':>24} {'ratio':>6} rounds"]
    for test in tests:
        pairs = kept(rounds, test, idle)
        count = f"{len(pairs)} of {len(rounds)}"
        if not pairs:
            lines.append(f"{test:6} {UNITS[test]:18} no round counts: OpenVPN was never near {idle[test]} {count:>12}")
            continue
        sides = [[pair[side] for pair in pairs] for side in (0, 1)]
        shown = [f"{min(one):.2f} / {statistics.median(one):.2f} / {max(one):.2f}" for one in sides]
        ratio = statistics.median(sides[0]) / statistics.median(sides[1])
        few = "" if len(pairs) >= 3 or test not in idle else "  too few to be quoted"
        lines.append(f"{test:6} {UNITS[test]:18} {shown[0]:>24} {shown[1]:>24} {ratio:6.2f} {count}{few}")
    return lines


def bars(text: str) -> Figures:
    """`up=10.5,down=8.6`."""
    return {name: float(value) for name, _, value in (item.partition("=") for item in text.split(",") if item)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.beside_openvpn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--tests", default="up,down,small,ping")
    parser.add_argument("--idle", type=bars, default={}, metavar="up=X,down=Y")
    parser.add_argument("--idle-cost", action="store_true")
    parser.add_argument("--proto", choices=("tcp", "udp"), default="tcp")
    parser.add_argument("--image", action="store_true")
    parser.add_argument("--rps", action="store_true")
    a = parser.parse_args()
    tests = [test for test in a.tests.split(",") if test in TESTS]
    kinds = ("openvpn",) if a.idle_cost else ("hognose", "openvpn")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sides = [Contender(kind, Path(folder), image=a.image, rps=a.rps, proto=a.proto) for kind in kinds]
        for side in sides:
            stack.enter_context(side)
        rounds = [[{test: one.measure(test, a.seconds) for test in tests} for one in sides] for _ in range(a.rounds)]
    if a.idle_cost:
        lowest = {test: min(figures[test] for (figures,) in rounds) for test in tests if test != "ping"}
        print("--idle " + ",".join(f"{test}={figure:.1f}" for test, figure in lowest.items()))
        return
    print("\n".join(table([(ours, theirs) for ours, theirs in rounds], tests, a.idle)))
    if not a.idle:
        print("without --idle nothing here is to be quoted: measure OpenVPN's idle cost first")


if __name__ == "__main__":
    main()
