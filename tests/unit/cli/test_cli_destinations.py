"""--clients-may-reach from the command line to the config: the boot and a live reload judge pushed routes by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.test_cli_config_watch import START, FakeSource, KeptConsole, text
from tests.world.today import UNIX

from hognose.address import parse_ipv4
from hognose.cli import serve
from hognose.cli.arguments import ArgumentError, parse_arguments
from hognose.cli.config_watch import ConfigReload, load
from hognose.config.model import ServerConfig
from hognose.destinations import Reach
from hognose.errors import ConfigError
from hognose.host.status import ExitStatus

WORDS = ["--ipv4=192.168.1.2/24", "--ipv4-gateway=192.168.1.1", "--clients-may-reach=not-private"]
ROUTE = 'push "route 192.168.7.0 255.255.255.0"'


@pytest.mark.parametrize("reach", list(Reach))
def test_the_argument(reach: Reach) -> None:
    arguments = parse_arguments([*WORDS[:2], f"--clients-may-reach={reach.value}"])
    rule = arguments.destinations
    assert (arguments.clients_may_reach, rule.reach) == (reach, reach)
    assert (str(rule.uplink), rule.router) == ("192.168.1.0/24", parse_ipv4("192.168.1.1"))
    assert parse_arguments([]).clients_may_reach is Reach.ANYWHERE


def test_another_value() -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_arguments(["--clients-may-reach", "internet"])
    assert str(caught.value) == "--clients-may-reach=internet is none of anywhere, not-uplink, not-private"


@pytest.mark.parametrize("router", ["169.254.0.1", "100.64.0.1", "203.0.113.1"])
def test_a_single_address_may_have_any_router(router: str) -> None:
    arguments = parse_arguments(["--ipv4=203.0.113.66/32", f"--ipv4-gateway={router}"])
    assert arguments.gateway == parse_ipv4(router)
    with pytest.raises(ArgumentError):
        parse_arguments(["--ipv4=203.0.113.66/32", "--ipv4-gateway=203.0.113.66"])


def test_the_boot_refuses_a_route_that_no_client_reaches(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "server.conf"
    path.write_bytes(text(ROUTE))
    words = [f"--config={path}", "--device=/dev/null", "--mac=02:00:00:00:00:01"]
    assert serve.run([*words, *WORDS]) == ExitStatus.CONFIG
    output = capfd.readouterr().out
    assert f'config_error text="{path}:' in output
    assert "push: --clients-may-reach=not-private refuses 192.168.0.0/16; remove the line" in output


def test_a_live_reload_refuses_it_too_and_the_old_config_stays() -> None:
    source, console = FakeSource(text()), KeptConsole()
    rule = parse_arguments(WORDS).destinations
    loaded = load(source, "server.conf", console, UNIX, destinations=rule)
    applied: list[ServerConfig] = []
    watch = ConfigReload(loaded, now=START, apply=lambda new, now, unix: applied.append(new), console=console)
    console.printed.clear()
    for line, taken in ((ROUTE, 0), ('push "route 203.0.113.0 255.255.255.0"', 1)):
        source.data, source.requested = text(line), True
        watch.check(START, UNIX)
        assert len(applied) == taken
    refused, reloaded = (line for line in console.printed if "config_warning" not in line)
    assert "config_error" in refused
    assert "--clients-may-reach=not-private refuses 192.168.0.0/16" in refused
    assert "the old config stays in force" in refused
    assert "config_reloaded" in reloaded
    with pytest.raises(ConfigError):
        load(FakeSource(text(ROUTE)), "server.conf", console, UNIX, destinations=rule)
