"""Settings of single clients and of time, with real clients."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting, block, check_basics, load_until
from tests.interop.policy_cases import check_a_boot_refuses_what_check_refuses, check_names_and_tls
from tests.world.openvpn_client import OpenvpnClient
from tests.world.processes import Process
from tests.world.topology import INTERNET, Topology

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-policy", tmp_path_factory.mktemp("topology"), clients=5) as made:
        for name in made.clients:  # a tunnel with nothing to say: no router solicitations
            made.namespaces.run(name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


def pushed(client: OpenvpnClient) -> list[str]:
    """Options of the last PUSH_REPLY, as the client's log has them."""
    found = re.findall(r"PUSH: Received control message: 'PUSH_REPLY,(.*)'", client.log)
    return str(found[-1]).split(",")


def test_settings_of_single_clients(setting: Setting) -> None:
    files = """
[alice]
ifconfig-push 10.8.0.100 255.255.255.0
push "route 198.19.1.0 255.255.255.0"
[bob]
push-reset
push "dhcp-option DOMAIN bob.example"
[carol]
push-remove dhcp-option
[DEFAULT]
push "dhcp-option DOMAIN everybody.example"
"""
    extra = (
        'push "route 198.18.0.0 255.255.0.0"',
        'push "dhcp-option DNS 192.0.2.53"',
        block("client-config-dir", files),
        block("ifconfig-pool-persist", "dave,10.8.0.40\nalice,10.8.0.41\n"),
    )
    common = ["route 198.18.0.0 255.255.0.0", "dhcp-option DNS 192.0.2.53"]
    own = {
        "alice": [*common, "route 198.19.1.0 255.255.255.0"],
        "bob": ["dhcp-option DOMAIN bob.example"],
        "carol": common[:1],
        "dave": [*common, "dhcp-option DOMAIN everybody.example"],
        "erin": [*common, "dhcp-option DOMAIN everybody.example"],
    }
    with setting.server("hosted", extra=extra), ExitStack() as stack:
        clients = {
            name: stack.enter_context(setting.client(place, common_name=name))
            for name, place in zip(own, setting.topology.clients, strict=True)
        }
        for name, client in clients.items():
            client.connected()
            options = [option for option in pushed(client) if re.match(r"route |dhcp-option", option)]
            assert options == own[name], name
            assert "route-gateway 10.8.0.1" in pushed(client)
            assert client.ping(GATEWAY, 1)
        assert clients["alice"].address == "10.8.0.100"
        assert clients["dave"].address == "10.8.0.40"
        assert len({client.address for client in clients.values()}) == len(clients)
        assert "dev tun" in clients["alice"].run("ip", "route", "get", "198.19.1.7")


def test_a_name_that_no_file_can_have(setting: Setting) -> None:
    """The file that OpenVPN finds for it serves without its address, and the log says so once for each connection."""
    ccd = block("client-config-dir", '[a_b]\nifconfig-push 10.8.0.100\npush "route 198.19.1.0 255.255.255.0"\n')
    with (
        setting.server("hosted", extra=(ccd,)) as server,
        setting.client("c1", common_name="a/b") as mapped,
        setting.client("c2", common_name="a_b") as own,
    ):
        for client in (mapped, own):
            client.connected()
            assert "route 198.19.1.0 255.255.255.0" in pushed(client)
            assert client.ping(GATEWAY, 1)
        assert own.address == "10.8.0.100" != mapped.address
        line = server.event("client_file_mapped")
        assert (line["common_name"], line["file"]) == ("a/b", "a_b")
        assert server.log.count("client_file_mapped") == 1


def test_names_and_tls(setting: Setting) -> None:
    check_names_and_tls(setting, "hosted")


def test_a_start_refuses_what_check_refuses(setting: Setting) -> None:
    check_a_boot_refuses_what_check_refuses(setting, "hosted")


def test_an_orderly_stop_and_the_same_address_after_it(setting: Setting) -> None:
    """The client is told to restart, waits for the server by itself, and has its address again in any order."""
    extra = ("ifconfig-pool 10.8.0.100 10.8.0.109",)
    with setting.client("c1", common_name="alice") as alice, setting.client("c2", common_name="bob") as bob:
        with setting.server("hosted", extra=extra) as server:
            for client in (alice, bob):
                client.connected()
            before = [client.address for client in (alice, bob)]
            assert all(100 <= int(address.rsplit(".", 1)[1]) <= 109 for address in before)
            assert server.stop() == 0
            assert server.event("stopping")["clients"] == "2"
        for client in (alice, bob):
            client.process.wait_for(r"Connection reset command was pushed by server|server-pushed-connection-reset")
        bob.stop()
        with setting.server("hosted", extra=extra), setting.client("c3", common_name="bob", label="-again") as again:
            again.connected()
            alice.connected(count=2)
            assert [alice.address, again.address] == before
            check_basics(setting, alice, MIB)


def test_the_idle_and_those_who_stay_too_long_are_sent_away(setting: Setting) -> None:
    """`inactive`: pings of OpenVPN do not count, those of ICMP do; `session-timeout`: nothing helps."""
    extra = ("inactive 4", "session-timeout 9", "keepalive 1 10")
    with setting.server("hosted", extra=extra) as server, setting.client("c1") as idle, setting.client("c2") as busy:
        idle.connected()
        busy.connected()
        pings = Process(
            setting.topology.namespaces.command("c2", "ping", "-i", "0.5", GATEWAY), setting.folder / "ping.log"
        )
        try:
            first = server.event("client_ended", 12)
            assert (first["common_name"], first["reason"]) == ("c1", "inactive")
            assert 4 <= int(first["seconds"]) <= 5
            idle.connected(count=2)  # it may come again
            second = next(
                found for n in range(2, 9) if (found := server.event("client_ended", 12, n))["common_name"] == "c2"
            )
            assert second["reason"] == "session_timeout"
            assert 9 <= int(second["seconds"]) <= 10
            assert int(second["bytes_in"]) > 10 * 84
        finally:
            pings.stop()


def test_certificates_with_the_right_name_and_usage(setting: Setting) -> None:
    extra = (
        "verify-x509-name office- name-prefix",
        'remote-cert-eku "TLS Web Client Authentication"',
        "remote-cert-ku 80",
        "tls-cert-profile preferred",
    )
    with setting.server("hosted", extra=extra) as server, setting.client("c1", common_name="office-7") as client:
        client.connected()
        assert client.ping(INTERNET)
        with setting.client("c2", common_name="home-7"):
            assert "it must begin with `office-`" in server.event("peer_rejected")["detail"]


def test_renegotiation_between_two_times(setting: Setting) -> None:
    with setting.server("hosted", extra=("reneg-sec 6 3", "hand-window 5")) as server, setting.client("c1") as client:
        client.connected()
        for count in (1, 2):
            began = time.monotonic()
            server.event("client_renegotiated", 9, count)
            assert time.monotonic() - began > 2.5
            assert client.ping(GATEWAY, 1)
        assert client.log.count("Initialization Sequence Completed") == 1


@pytest.mark.parametrize("wrap", ["tls-crypt", "tls-auth"])
def test_renegotiation_by_bytes_loses_nothing(setting: Setting, wrap: str) -> None:
    extra = ("reneg-bytes 16000000", "hand-window 5")
    with setting.server("hosted", wrap, extra) as server, setting.client("c1", wrap) as client:
        client.connected()
        load_until(setting, server, "c1", 32 * MIB, "client_renegotiated", 3)
        assert client.log.count("Initialization Sequence Completed") == 1
        server.stop()
    for drop in ("drop_data_authentication", "drop_data_replay", "drop_no_data_key"):
        assert drop not in server.log
