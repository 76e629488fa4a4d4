"""The serial console of a machine is not read: it serves on, and it ends in order (docs/security.md)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import Setting
from tests.interop.unread_log import check_the_tunnel_goes_on, unread
from tests.world.crowd import make_room
from tests.world.topology import Topology

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-mute", tmp_path_factory.mktemp("topology"), clients=2) as made:
        make_room(made.namespaces)
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


def test_the_guest_goes_on_while_its_serial_console_is_not_read(setting: Setting) -> None:
    check_the_tunnel_goes_on(setting, "vm", 12)


def test_the_power_button_ends_a_guest_whose_console_is_not_read(setting: Setting) -> None:
    with unread(setting, "vm") as (server, _):
        began = time.monotonic()
        server.power_button()
        assert server.process.wait(30) == 0
        assert time.monotonic() - began < 15
