"""200 ClientHellos a second beside a tunnel, and the same at a listener that does nothing, for what they cost us alone.

Server, client and generator share the machine: what the generator takes is no loss of the server's.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting
from tests.world.crowd import crowd, make_room, report
from tests.world.processes import Process
from tests.world.topology import HOST, Topology

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

SIZE = 120 * MIB  # of one transfer through the tunnel
ROUNDS = 5
CONTROL = "192.0.2.14"  # c4


@pytest.fixture
def topology(tmp_path: Path) -> Iterator[Topology]:
    with Topology("hn-hel", tmp_path, clients=4) as made:
        make_room(made.namespaces)
        made.namespaces.run("c4", "ip", "route", "add", "198.18.0.0/16", "via", "192.0.2.1")
        script = str(Path(__file__).resolve().parent.parent / "world" / "polite_listener.py")
        listener = Process(made.namespaces.command("c4", sys.executable, script), tmp_path / "listener.log")
        try:
            listener.wait_for("ready")
            yield made
        finally:
            listener.stop()


def rate(topology: Topology, target: str = "") -> float:
    """Megabytes per second through the tunnel of c2, while 200 a second greet a target if there is one."""
    if not target:
        return SIZE / MIB / topology.transfer("c2", "download", SIZE)
    with crowd(topology, "hello", target, "200", "50", "600"):
        time.sleep(2)
        return SIZE / MIB / topology.transfer("c2", "download", SIZE)


def test_a_tunnel_keeps_its_rate(topology: Topology, tmp_path: Path) -> None:
    """At most 30 % less than beside the control; medians, alternated. A client comes in meanwhile."""
    setting = Setting(topology, tmp_path)
    with setting.server("hosted", "none") as server, setting.client("c2", "none", common_name="innocent") as innocent:
        innocent.connected()
        rate(topology)
        quiet, control, flood = [], [], []
        for _ in range(ROUNDS):
            quiet.append(rate(topology))
            control.append(rate(topology, CONTROL))
            flood.append(rate(topology, HOST))
        with crowd(topology, "hello", HOST, "200", "50", "15") as process:
            time.sleep(3)
            began = time.monotonic()
            with setting.client("c3", "none", common_name="late") as late:
                late.connected(10)
            took = time.monotonic() - began
            assert innocent.ping(GATEWAY, 1)
            found = report(process)
        alone, beside, under = map(statistics.median, (quiet, control, flood))
        print(
            f"MB/s quiet {alone:.1f}, control {beside:.1f}, flood {under:.1f}: {under / beside:.2f} of the control's,"
        )
        print(f"{under / alone:.2f} of the quiet one's; client in {took:.2f} s, {found}")
        print([[round(each, 1) for each in series] for series in (quiet, control, flood)])
        assert found["greeted"] >= 1000
        assert under >= 0.7 * beside
        assert "internal_error" not in server.log
