"""A machine's console that is not read, and one that gets more than its reader is promised (docs/security.md)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, Setting
from tests.interop.unread_log import check_the_tunnel_goes_on, unread
from tests.world.crowd import make_room
from tests.world.server import Server
from tests.world.tender import hvt_carrier
from tests.world.topology import Topology

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

WARNINGS = 2000  # of about 95 bytes: three times what a burst is


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-mute", tmp_path_factory.mktemp("topology"), clients=2) as made:
        make_room(made.namespaces)
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


@pytest.mark.alone
def test_the_guest_goes_on_while_its_serial_console_is_not_read(setting: Setting) -> None:
    check_the_tunnel_goes_on(setting, "vm", 12)


def test_the_power_button_ends_a_guest_whose_console_is_not_read(setting: Setting) -> None:
    with unread(setting, "vm") as (server, _):
        began = time.monotonic()
        server.power_button()
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 15


def test_a_guest_of_a_tender_writes_no_more_than_a_burst_at_once(setting: Setting) -> None:
    """The rest is counted, and the guest serves."""
    config = setting.config("tls-crypt", ("setenv A b",) * WARNINGS)
    with Server(hvt_carrier(), setting.topology.namespaces, config, setting.folder) as server:
        server.process.wait_for(r"^warning log_dropped ", 60)  # the line that it is ready may be among those
        printed = re.findall(r"^warning config_warning .*directive=setenv", server.log, re.M)
        assert 300 < len(printed) < WARNINGS
        missing = sum(int(count) for count in re.findall(r"^warning log_dropped count=(\d+)", server.log, re.M))
        assert missing + len(printed) >= WARNINGS
        with setting.client("c1") as client:
            client.connected(60)
            assert client.ping(GATEWAY)
