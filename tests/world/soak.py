"""A soak: `python -m tests.world.soak --minutes N [--clients 50] [--seed 1]` (root; `make soak MINUTES=N`).

A hosted server in namespaces with real openvpn clients that come and go all the time, 1 % loss each way between them
and the server, renegotiations every half minute, and one client that stays and fetches something every ten seconds; its
throughput is measured before the loss and the others come and after they have gone. Ten namespaces carry the clients,
several each, every one with a tun device of its own. Prints the server's memory every ten seconds, its slope in the
second half, and what the counters say at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.pki import SERVER, current_authority, static_key
from tests.world.server import Server, ServerSettings
from tests.world.topology import Topology

LOSS_PERCENT = 1
GATEWAY = "10.8.0.1"
TRANSFER_BYTES = 32_000_000
TRANSFERS = 15
REGULAR_BYTES = 2_000_000
NAMES = 20  # certificates; several clients share one name, each replaces the one before
DROP = (
    "nft add table ip lossy",
    "nft add chain ip lossy forward '{ type filter hook forward priority 0 ; }'",
    f"nft add rule ip lossy forward tcp dport 1194 numgen random mod 100 '<' {LOSS_PERCENT} counter drop",
    f"nft add rule ip lossy forward tcp sport 1194 numgen random mod 100 '<' {LOSS_PERCENT} counter drop",
)


class Visitor:
    """One place for a client: it connects, stays for a while, goes in one of several ways, and comes again."""

    def __init__(self, soak: Soak, number: int) -> None:
        self.soak = soak
        self.number = number
        self.namespace = soak.topology.clients[1 + number % (len(soak.topology.clients) - 1)]
        self.client: OpenvpnClient | None = None
        self.until = time.monotonic() + soak.random.uniform(0, 20)
        self.round = 0
        self.up = False

    def act(self, now: float) -> None:
        """Look after it."""
        soak, client = self.soak, self.client
        if client is not None and not self.up and "Initialization Sequence Completed" in client.log:
            self.up = True
            soak.facts["connected"] += 1
        if now < self.until:
            return
        if client is None:
            self.round += 1
            self.up = False
            self.client = soak.start(self.namespace, f"tun{20 + self.number}", self.number, f"-{self.number}")
            self.until = now + soak.random.uniform(15, 60)
            return
        soak.facts["never connected"] += not self.up
        if self.up and soak.random.random() < 0.3:
            client.run("ping", "-I", f"tun{20 + self.number}", "-c", "1", "-W", "1", GATEWAY, check=False)
            soak.facts["pings"] += 1
        self.leave(soak.random.choice((signal.SIGTERM, signal.SIGTERM, signal.SIGKILL)))
        self.until = now + soak.random.uniform(0, 5)

    def leave(self, number: int) -> None:
        """End the client: SIGTERM lets it say so, SIGKILL does not."""
        if self.client is not None:
            self.client.process.stop(number)
            self.soak.facts[f"left by {signal.Signals(number).name}"] += 1
            self.client = None


class Soak:
    """The whole run."""

    def __init__(self, topology: Topology, folder: Path, clients: int, seed: int) -> None:
        self.topology = topology
        self.folder = folder
        self.random = random.Random(seed)
        self.authority = current_authority()
        self.key = static_key()
        self.identities = [self.authority.issue(f"visitor{number}") for number in range(NAMES)]
        self.facts: Counter[str] = Counter()
        lines = ["keepalive 5 20", "reneg-sec 30", 'push "route 198.51.100.0 255.255.255.0"', "duplicate-cn"]
        settings = ServerSettings(
            self.authority, self.authority.issue("server", SERVER), static_key=self.key, extra=lines
        )
        self.server = Server("hosted", topology.namespaces, settings.text(), folder)
        self.visitors = [Visitor(self, number) for number in range(clients)]
        self.memory: list[tuple[float, int]] = []  # (seconds, KiB)

    def start(self, namespace: str, device: str, identity: int, label: str) -> OpenvpnClient:
        """A client with a tun device of its own."""
        settings = ClientSettings(
            self.authority.pem,
            self.identities[identity % NAMES],
            static_key=self.key,
            extra=[f"dev {device}", "dev-type tun", "verb 3"],
        )
        return OpenvpnClient(self.topology.namespaces, namespace, settings, self.folder, label=label)

    def run(self, minutes: float) -> None:
        """Until the time is over and everybody has left."""
        self.server.ready()
        stays = self.start("c1", "tun0", 0, "-stays").connected()
        before = self._throughput()
        for line in DROP:
            self.topology.namespaces.run("host", "sh", "-c", line)
        print(f"before: {before[0]:.1f} Mbit/s, {before[1]:.1f} ms of the server's time for a MB", flush=True)
        started = time.monotonic()
        sampled = 0.0
        while (now := time.monotonic()) < started + minutes * 60:
            for visitor in self.visitors:
                visitor.act(now)
            if now - sampled >= 10:
                sampled = now
                self.memory.append((now - started, self._resident()))
                present = sum(visitor.up and visitor.client is not None for visitor in self.visitors)
                self.topology.transfer("c1", "down", REGULAR_BYTES, len(self.memory))
                print(f"{now - started:5.0f} s {self.memory[-1][1]} KiB {present} there {dict(self.facts)}", flush=True)
            time.sleep(0.1)
        for visitor in self.visitors:
            visitor.leave(signal.SIGTERM)
        time.sleep(45)  # those that were killed are missed after 40 s
        self.topology.namespaces.run("host", "nft", "delete", "table", "ip", "lossy")
        after = self._throughput()
        stays.stop()
        time.sleep(3)
        self.memory.append((time.monotonic() - started, self._resident()))
        status = self.server.stop()
        self._report(before, after, status)

    def _throughput(self) -> tuple[float, float]:
        """Down to the client that stays: Mbit/s, the median of transfers without loss; ms of the server's CPU for a MB.

        The second is not disturbed by what else the machine does.
        """
        started = self._cpu_seconds()
        seconds = sorted(self.topology.transfer("c1", "down", TRANSFER_BYTES, n) for n in range(TRANSFERS))
        used = self._cpu_seconds() - started
        return TRANSFER_BYTES * 8 / seconds[TRANSFERS // 2] / 1e6, used * 1e9 / (TRANSFER_BYTES * TRANSFERS)

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _resident(self) -> int:
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])

    def _report(self, before: tuple[float, float], after: tuple[float, float], status: int) -> None:
        last = [line for line in self.server.log.splitlines() if line.startswith("info stats")][-1]
        stats = Counter({key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", last)})
        print(f"throughput before and after: {before[0]:.1f} and {after[0]:.1f} Mbit/s, {after[0] / before[0]:.2f}")
        print(f"server's time before and after: {before[1]:.1f} and {after[1]:.1f} ms for a MB")
        print(f"memory: {self.memory[0][1]} KiB first, {self.memory[-1][1]} KiB last, {self._slope():.0f} KiB/h slope")
        for left, right in (("sessions_established", "sessions_ended"), ("tcp_accepted", "tcp_closed")):
            print(f"{left} {stats[left]}, {right} {stats[right]}, left {stats[left] - stats[right]}")
        print(
            f"NAT flows opened {stats['nat_flows_opened']}, renegotiations {stats['renegotiations']}, "
            f"internal errors {stats['drop_internal_error']}"
        )
        print(f"exit status {status}, {dict(self.facts)}")

    def _slope(self) -> float:
        """KiB per hour over the second half, by least squares."""
        half = [sample for sample in self.memory if sample[0] >= self.memory[-1][0] / 2]
        mean_t, mean_m = (sum(sample[i] for sample in half) / len(half) for i in (0, 1))
        spread = sum((t - mean_t) ** 2 for t, _ in half)
        return sum((t - mean_t) * (m - mean_m) for t, m in half) / spread * 3600 if spread else 0.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Topology("hogsoak", folder, clients=10) as topology:
            soak = Soak(topology, folder, arguments.clients, arguments.seed)
            try:
                soak.run(arguments.minutes)
            finally:
                for visitor in soak.visitors:
                    visitor.leave(signal.SIGKILL)
                if soak.server.process.running:
                    soak.server.stop()


if __name__ == "__main__":
    main()
