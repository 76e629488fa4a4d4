"""Destinations of clients, hosted: what is refused, what name servers may, and a live change of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import Setting
from tests.interop.destination_cases import (
    METADATA,
    NAME_SERVER,
    NOT_UPLINK,
    PUSHED,
    REFUSED,
    ROUTES,
    asks,
    check_a_refused_route_is_a_config_error,
    check_anywhere,
    check_destinations,
    cloud,
)
from tests.world.server import Server
from tests.world.topology import Topology

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-reach", tmp_path_factory.mktemp("topology"), clients=1) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


def test_not_uplink(setting: Setting) -> None:
    check_destinations(setting, "hosted")


def test_anywhere(setting: Setting) -> None:
    check_anywhere(setting, "hosted")


def test_a_refused_route(setting: Setting) -> None:
    check_a_refused_route_is_a_config_error(setting, "hosted")


def test_name_servers_change_while_the_server_runs(setting: Setting) -> None:
    spaces = setting.topology.namespaces
    with (
        cloud(setting),
        Server("hosted", spaces, setting.config(), setting.folder, arguments=NOT_UPLINK).ready() as server,
        setting.client("c1", extra=ROUTES) as client,
    ):
        client.connected()
        assert asks(client, NAME_SERVER, 53) == [REFUSED] * 2
        server.reload(setting.config(extra=(PUSHED,)))
        server.event("config_reloaded")
        assert asks(client, NAME_SERVER, 53) == ["answer"] * 2
        assert asks(client, METADATA, 53) == [REFUSED] * 2
        server.reload(setting.config(extra=('push "route 10.0.0.0 255.255.255.0"',)))
        assert "refuses 10.0.0.0/24" in server.event("config_error")["text"]
        assert asks(client, NAME_SERVER, 53) == ["answer"] * 2
        server.reload(setting.config())
        server.event("config_reloaded", count=2)
        assert asks(client, NAME_SERVER, 53) == [REFUSED] * 2
