"""The real openvpn as the server under the crowd of test_strangers.py; prints its figures, for docs/security.md."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compat.openvpn_server import OpenvpnServer, host_rules
from tests.interop.cases import Setting
from tests.world.crowd import crowd, first_line, make_room, report, resident
from tests.world.topology import HOST, Topology

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture
def topology(tmp_path: Path) -> Iterator[Topology]:
    with Topology("hn-ovs", tmp_path, clients=3) as made:
        host_rules(made.namespaces)
        make_room(made.namespaces)
        yield made


def connects(setting: Setting, seconds: float) -> float:
    """Seconds until a genuine client is up; 0 when it is not up in `seconds`."""
    began = time.monotonic()
    with setting.client("c3", common_name="late") as late:
        try:
            late.connected(seconds)
        except RuntimeError:
            return 0
        return time.monotonic() - began


def test_thousands_say_nothing_to_openvpn(topology: Topology, tmp_path: Path) -> None:
    """Nothing is asked of it but that it served before."""
    setting = Setting(topology, tmp_path)
    with OpenvpnServer(topology.namespaces, setting.config(), tmp_path, ("openvpn",)).ready() as server:
        pid = server.process.pid
        alone = connects(setting, 30)
        assert alone
        base = resident(pid)
        with crowd(topology, "silent", HOST, "8192", "64") as process:
            said = first_line(process)
            full = resident(pid)
            during = connects(setting, 15)
            found = report(process)
        time.sleep(90)
        back, after = resident(pid), connects(setting, 15)
        print(f"{said}: {found}, memory +{(full - base) // 1024} KiB, after 90 s +{(back - base) // 1024} KiB")
        print(f"a client is up in {alone:.2f} s alone, {during:.2f} beside them, {after:.2f} after (0: not in 15 s)")
