"""Strangers beside genuine clients, few enough for any machine; tests/load has those that want a quiet one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting
from tests.world.crowd import crowd, first_line, make_room, report, resident, settled
from tests.world.server import ARGUMENTS, Server
from tests.world.topology import HOST, Topology

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(180)]

SILENT = 2000


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-few", tmp_path_factory.mktemp("topology"), clients=3) as made:
        make_room(made.namespaces)
        yield made


@pytest.fixture(scope="module")
def setting(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(topology, tmp_path_factory.mktemp("strangers"))


def connects_within(setting: Setting, wrap: str, seconds: float) -> None:
    """A genuine client of c3."""
    with setting.client("c3", wrap, common_name="late") as late:
        late.connected(seconds)


def test_two_thousand_say_nothing(setting: Setting, topology: Topology) -> None:
    """At most 2 KB each, a client comes in as ever, all are ended in time, and the memory comes back."""
    with setting.server("hosted") as server, setting.client("c2", common_name="innocent") as innocent:
        innocent.connected()
        connects_within(setting, "tls-crypt", 30)
        pid = server.process.pid
        base = resident(pid)
        with crowd(topology, "silent", HOST, str(SILENT), "16") as process:
            assert first_line(process) == f"open {SILENT}"
            full = resident(pid)
            connects_within(setting, "tls-crypt", 9)
            assert innocent.ping(GATEWAY, 1)
            time.sleep(12)
            found = report(process)
        assert found["ended"] == SILENT
        assert found["spoke"] == 0
        assert full - base <= SILENT * 2048
        assert settled(pid, base + MIB, 30) <= base + MIB
        assert len(server.log.splitlines()) < 200, "silent ones are counted, not named"


def test_arguments_bound_them(setting: Setting, topology: Topology) -> None:
    """The newcomers stay, the oldest go, and the counters say so."""
    words = [*ARGUMENTS, "--strangers-silent=50", "--strangers-per-address=20", "--strangers-per-prefix=25"]
    server = Server("hosted", topology.namespaces, setting.config(), setting.folder, arguments=words).ready()
    with server:
        with crowd(topology, "silent", HOST, "160", "8") as process:
            assert first_line(process).startswith("open ")
            connects_within(setting, "tls-crypt", 9)
            found = report(process)
        assert found["open"] + found["failed"] == 160, "some are ended before the script has seen them open"
        assert found["failed"] + found["ended"] >= 110
        server.stop()
    last = [line for line in server.log.splitlines() if " stats " in line][-1]
    assert int(re.findall(r"drop_tcp_silent_crowded=(\d+)", last)[0]) >= 50, last


def test_client_hellos_beside_a_tunnel(setting: Setting, topology: Topology) -> None:
    """50 a second without a key between them and TLS: bytes pass, a client comes in, and nothing of ours breaks."""
    with setting.server("hosted", "none") as server, setting.client("c2", "none", common_name="innocent") as innocent:
        innocent.connected()
        with crowd(topology, "hello", HOST, "50", "50", "15") as process:
            topology.transfer("c2", "download", 10 * MIB)
            connects_within(setting, "none", 30)
            assert innocent.ping(GATEWAY, 1)
            found = report(process)
        assert found["started"] >= 500
        assert found["answered"] >= 50
        assert "internal_error" not in server.log
        assert server.process.running
