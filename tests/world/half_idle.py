"""Unauthenticated peers a second that leave a VM half idle: half a second more of its hypervisor's time a second.

    python -m tests.world.half_idle [MEMORY]         needs `make image`; MEMORY in MiB, 256 when absent

SYNs from spoofed addresses, connections that say nothing, ClientHellos without a key between them and TLS, each at the
highest rate that is found by doubling and halving. No other peers are there. One line each; docs/security.md has them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.cases import Setting
from tests.world.crowd import SCRIPT, make_room, processor_time
from tests.world.server import Server
from tests.world.topology import HOST, TAP, Topology

SERVER_ADDRESS = "10.0.0.2"
BEFORE = {"syn": 3.0, "open": 11.0, "hello": 6.0}  # seconds until as many end as begin
MEASURED = 6.0  # seconds that count
STEPS = 4  # of halving
HALF = 0.5  # seconds of the processor's time a second
FIRST = {"syn": 500, "open": 50, "hello": 5}  # a second


def hypervisor(server: Server) -> int:
    """The process that the launcher has started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server.process.pid)], capture_output=True, check=True)
    return int(found.stdout.split()[0])


def load(pid: int, seconds: float) -> float:
    """Seconds of the processor's time a second."""
    before, began = processor_time(pid), time.monotonic()
    time.sleep(seconds)
    return (processor_time(pid) - before) / (time.monotonic() - began)


@contextmanager
def attack(topology: Topology, mac: str, kind: str, rate: int) -> Iterator[None]:
    """Send `rate` a second, until the block ends."""
    words = ["host", sys.executable, SCRIPT, "syn", TAP, mac, SERVER_ADDRESS, "60", str(rate)]
    if kind != "syn":
        words = ["c1", sys.executable, SCRIPT, kind, HOST, str(rate), "50", "60"]
    with subprocess.Popen(topology.namespaces.command(*words), stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def highest(measure: Callable[[int], float], first: int) -> tuple[int, float]:
    """The highest rate whose load is no more than HALF, and that load."""
    good, load_of_good, rate = 0, 0.0, first
    while (found := measure(rate)) <= HALF:
        good, load_of_good, rate = rate, found, rate * 2
    bad = rate
    for _ in range(STEPS):
        rate = (good + bad) // 2
        if rate in (good, bad):
            break
        if (found := measure(rate)) <= HALF:
            good, load_of_good = rate, found
        else:
            bad = rate
    return good, load_of_good


def main(memory: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Topology("hn-half", Path(folder), clients=2) as topology:
        make_room(topology.namespaces)
        topology.namespaces.run("host", "ip", "route", "add", "blackhole", "198.19.0.0/16")
        setting = Setting(topology, Path(folder))
        for kind, first in FIRST.items():
            with setting.server("vm", "none", mem=memory) as server:  # a fresh one for each: no cookies left
                mac = server.event("ready")["mac"]
                pid = hypervisor(server)
                time.sleep(5)
                alone = load(pid, MEASURED)

                def measure(rate: int, kind: str = kind, mac: str = mac, pid: int = pid, alone: float = alone) -> float:
                    with attack(topology, mac, kind, rate):
                        time.sleep(BEFORE[kind])
                        found = load(pid, MEASURED) - alone
                    print(f"  {kind} {rate} a second: {found:.2f}", flush=True)
                    time.sleep(3)
                    return found

                rate, found = highest(measure, first)
                print(f"{kind}: {rate} a second take {found:.2f} s a second, beside {alone:.2f} without", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
