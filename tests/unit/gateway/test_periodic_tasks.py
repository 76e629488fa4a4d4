"""Periodic tasks: when status is due, and the warnings about a CRL that ends."""

from __future__ import annotations

import pytest
from tests.unit.gateway.gateway_world import GatewayWorld
from tests.unit.openvpn.link import authority, server_identity
from tests.world.today import UNIX

from hognose.address import Prefix
from hognose.config.model import ServerConfig
from hognose.gateway.live import CRL_CHECK_INTERVAL, PeriodicTasks
from hognose.settings import NetworkSettings, StatusSettings, TlsSettings
from hognose.units import SECOND

DAY = 86_400


def config(interval: int = 0) -> ServerConfig:
    identity = server_identity()
    return ServerConfig(
        NetworkSettings(Prefix(bytes((10, 8, 0, 0)), 24)),
        TlsSettings(authority().pem, identity.cert, identity.key),
        status=StatusSettings(interval),
    )


def test_status_is_due_every_so_many_seconds() -> None:
    tasks, settings = PeriodicTasks(config(10), 0), config(10)
    due = [second for second in range(45) if tasks.status_due(settings, second * SECOND)]
    assert due == [10, 20, 30, 40]
    assert tasks.next_deadline(settings) == 0  # the CRL was not looked at yet


def test_an_interval_that_a_reload_brings() -> None:
    tasks = PeriodicTasks(config(), 0)
    assert not tasks.status_due(config(), 100 * SECOND)
    tasks.crl_warning(None, 0, UNIX)
    assert tasks.next_deadline(config()) == CRL_CHECK_INTERVAL
    assert tasks.status_due(config(10), 100 * SECOND)
    assert not tasks.status_due(config(10), 105 * SECOND)
    assert tasks.next_deadline(config(10)) == 110 * SECOND


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (15 * DAY, ""),
        (14 * DAY + 1, ""),
        (14 * DAY, "the CRL of crl-verify ends in 14 days: then no client can connect any more"),
        (DAY - 1, "the CRL of crl-verify ends in 0 days: then no client can connect any more"),
        (1, "the CRL of crl-verify ends in 0 days: then no client can connect any more"),
        (0, "the CRL of crl-verify has expired: no client can connect any more; publish a new one"),
        (-DAY, "the CRL of crl-verify has expired: no client can connect any more; publish a new one"),
    ],
)
def test_the_words_about_a_crl(left: int, words: str) -> None:
    assert PeriodicTasks(config(), 0).crl_warning(UNIX + left, 0, UNIX) == words


def test_once_a_day_and_no_look_before_its_time() -> None:
    tasks, said = PeriodicTasks(config(), 0), []
    for hour in range(72):
        now = hour * 3600
        if tasks.crl_warning(UNIX + 5 * DAY, now * SECOND, UNIX + now):
            said.append(hour)
    assert said == [0, 24, 48]
    assert tasks.crl_warning(UNIX, 71 * 3600 * SECOND + 1, UNIX + 80 * DAY) == ""


def test_no_crl_no_words() -> None:
    tasks = PeriodicTasks(config(), 0)
    assert tasks.crl_warning(None, 0, UNIX) == ""
    assert tasks.next_deadline(config()) == CRL_CHECK_INTERVAL


def test_the_gateway_says_it() -> None:
    crl = authority().revocation_list(start_days=-4000, days=1)
    world = GatewayWorld(f"<crl-verify>\n{crl.strip()}\n</crl-verify>")
    world.rest(25 * 3600)
    texts = [event["text"] for event in world.events_of("crl_expires")]
    assert len(texts) == 2
    assert "has expired" in str(texts[0])
