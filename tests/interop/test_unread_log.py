"""The log is not read while strangers write it: packets of clients go on, and the reader learns what it lacks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from tests.interop.cases import Setting
from tests.interop.unread_log import check_the_tunnel_goes_on, unread
from tests.world.crowd import make_room
from tests.world.topology import Topology

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    with Topology("hn-log", tmp_path_factory.mktemp("topology"), clients=2) as made:
        make_room(made.namespaces)
        yield Setting(made, tmp_path_factory.mktemp("log"))


def test_a_tunnel_goes_on(setting: Setting) -> None:
    check_the_tunnel_goes_on(setting, "hosted", 9)


def test_an_end_waits_two_seconds_for_the_reader(setting: Setting) -> None:
    with unread(setting, "hosted") as (server, reader):
        for _ in range(400):
            server.process.send_signal(signal.SIGHUP)
            time.sleep(0.005)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 6
        assert reader.read(1)
