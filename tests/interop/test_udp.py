"""The real openvpn client over UDP against the hosted server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import MIB, Setting, check_basics, check_negotiated
from tests.world.topology import Topology

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-udp", tmp_path_factory.mktemp("topology")) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path, proto="udp")


@pytest.mark.parametrize("wrap", ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"])
def test_cell(setting: Setting, wrap: str) -> None:
    with setting.server("hosted", wrap) as server, setting.client("c1", wrap) as client:
        client.connected()
        check_negotiated(server, client, wrap=wrap, cipher="AES-256-GCM", tls="TLSv1.3")
        check_basics(setting, client, MIB)
