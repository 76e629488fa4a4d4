"""A transfer that fails says what the kernels of client, host and internet know of it, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from tests.interop.cases import MIB
from tests.world.topology import AFTERMATH, INTERNET, Topology

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-after", tmp_path_factory.mktemp("topology"), clients=1) as made:
        yield made


def answers(text: str) -> list[str]:
    """Text of each question's answer, in their order; fails when a question was not asked."""
    parts = []
    for where, line in AFTERMATH:
        before, header, text = text.partition(f"{where.replace('client', 'c1')}: {line}\n")
        assert header, f"{where} was not asked: {line}"
        parts.append(before)
    return [*parts[1:], text]


def test_without_a_tunnel_there_is_no_route(topology: Topology) -> None:
    with pytest.raises(RuntimeError, match=r"OSError: .* Network is unreachable") as failure:
        topology.transfer("c1", "get", MIB)
    load, route, links, _, counters, ping, tap, *_ = answers(str(failure.value))
    assert re.search(r"^\d+\.\d\d \d+\.\d\d ", load)
    assert "Network is unreachable" in route
    assert re.search(r"^eth0@\w+ +UP ", links, re.M)
    assert re.search(r"^IpOutNoRoutes +1 ", counters, re.M)
    assert re.search(r"^TcpExtTCPSynRetrans +0 ", counters, re.M)
    assert "Network is unreachable" in ping
    assert "tap0: <NO-CARRIER," in tap


def test_a_connection_that_got_through_is_seen_by_all_three(topology: Topology) -> None:
    spaces = topology.namespaces
    spaces.run("c1", "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.1")
    spaces.run("inet", "ip", "route", "add", "192.0.2.0/24", "via", "198.51.100.1")
    topology.transfer("c1", "get", MIB)
    _, route, _, _, counters, ping, _, neighbors, connections, _, _, heard = answers(topology.aftermath("c1"))
    assert "via 192.0.2.1 dev eth0" in route
    assert re.search(r"^TcpActiveOpens +1 ", counters, re.M)
    assert " 1 received" in ping
    assert re.search(rf"^{re.escape(INTERNET)} dev eth1 ", neighbors, re.M)
    assert "src=192.0.2.11 dst=198.51.100.7" in connections
    assert re.search(r"^TcpPassiveOpens +1 ", heard, re.M)


def test_a_long_answer_is_cut(topology: Topology) -> None:
    command = "for n in $(seq 100 199); do ip neigh replace 192.0.2.$n lladdr 02:00:00:00:00:99 dev br0; done"
    topology.namespaces.run("host", "sh", "-c", command)
    neighbors = answers(topology.aftermath("c1"))[7]
    assert 900 < len(neighbors) <= 1001
