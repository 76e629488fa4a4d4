"""The real openvpn client over UDP against the hosted server."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting, check_basics, check_negotiated, load_until
from tests.world.openvpn_client import OpenvpnClient
from tests.world.processes import Process
from tests.world.server import Server
from tests.world.topology import TAP, Topology

pytestmark = pytest.mark.interop

LOCAL_PORT = 5000
FIXED_PORT = (f"lport {LOCAL_PORT}",)
OTHER_ADDRESS = "192.0.2.21"


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


def test_renegotiation_under_load(setting: Setting) -> None:
    # hand-window and reneg-sec decide when a sender switches keys: short ones make several switches happen. By the
    # server, because a client gets new keys once in ten seconds at most.
    extra = ("hand-window 6", "reneg-sec 5")
    with setting.server("hosted", extra=extra) as server, setting.client("c1") as client:
        client.connected()
        load_until(setting, server, "c1", 4 * MIB, "client_renegotiated", 2)
        assert client.log.count("Initialization Sequence Completed") == 1
        server.stop()
        assert "drop_data_authentication" not in server.log
        assert "drop_data_replay" not in server.log
        assert "drop_no_data_key" not in server.log


def test_a_stopped_server_says_restart(setting: Setting) -> None:
    # Resets that come before the new server is up are lost: with OpenVPN's own intervals the next may be seconds away.
    extra = ("tls-timeout 1", "connect-timeout 2", "connect-retry 1 1")
    with setting.server("hosted") as server, setting.client("c1", extra=extra) as client:
        client.connected()
        assert server.stop() == 0
        client.process.wait_for("server-pushed-connection-reset", 2)
        with setting.server("hosted"):
            client.connected(count=2, timeout=5)
            assert client.ping(GATEWAY, 1)
        assert "AUTH_FAILED" not in client.log  # of the old server, which is still there when the client asks again


@pytest.fixture(scope="class")
def shared(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Setting, Server]]:
    setting = Setting(topology, tmp_path_factory.mktemp("shared"), proto="udp")
    listeners = ("local * 1194 udp", "local * 1194 tcp")
    status = ("status openvpn-status.log 2", "status-version 2")
    with setting.server("hosted", extra=(*listeners, *status, "client-to-client", "keepalive 1 4")) as server:
        yield setting, server


class TestOneServer:
    """Cases of one server with a port of each transport; every case's clients have names of their own."""

    def test_clients_of_both_transports(self, shared: tuple[Setting, Server]) -> None:
        setting, server = shared
        with setting.client("c1", common_name="over-udp") as one:
            with setting.client("c2", common_name="over-tcp", proto="tcp") as other:
                one.connected()
                other.connected()
                assert one.ping(other.address)
                assert other.ping(one.address)
                check_basics(setting, one, MIB)
                check_basics(setting, other, MIB)
                addresses = {"over-udp": one.address, "over-tcp": other.address}
                rows = listed(server, *addresses)
        assert {name: row["Virtual Address"] for name, row in rows.items()} == addresses
        assert {name: row["Transport"] for name, row in rows.items()} == {"over-udp": "udp4", "over-tcp": "tcp4-server"}
        assert len(set(addresses.values())) == 2
        assert re.fullmatch(r"192\.0\.2\.11:\d+", rows["over-udp"]["Real Address"])

    def test_a_client_whose_outer_port_and_address_change(self, shared: tuple[Setting, Server]) -> None:
        setting, server = shared
        with setting.client("c1", common_name="roamer", extra=FIXED_PORT) as client:
            client.connected()
            command = setting.topology.namespaces.command("c1", "ping", "-i", "0.2", "-c", "25", "-w", "15", GATEWAY)
            pings = Process(command, setting.folder / "ping.log")
            pings.wait_for("icmp_seq=5 ")
            leave_from(client, "192.0.2.11", 6001)
            pings.wait_for("icmp_seq=15 ")  # a second later at the earliest: a client moves once in a second
            client.run("ip", "addr", "add", f"{OTHER_ADDRESS}/24", "dev", "eth0")
            leave_from(client, OTHER_ADDRESS, 6002)
            pings.wait(20)
            moves = server.process.wait_for(r"client_floated .*common_name=roamer", 1)
            client.run("nft", "delete", "table", "ip", "moved")
            client.run("ip", "addr", "del", f"{OTHER_ADDRESS}/24", "dev", "eth0")
            assert client.log.count("Initialization Sequence Completed") == 1
        found = re.search(r"(\d+) received", pings.text)
        assert found is not None
        assert int(found[1]) >= 23, f"one ping lost by each move at most:\n{pings.text}"
        assert [line[line.index("peer=") :] for line in moves] == [
            f"peer=192.0.2.11:6001 common_name=roamer before=192.0.2.11:{LOCAL_PORT}",
            f"peer={OTHER_ADDRESS}:6002 common_name=roamer before=192.0.2.11:6001",
        ]

    def test_a_path_that_is_narrower_than_the_link(self, shared: tuple[Setting, Server]) -> None:
        """A router between server and client has an MTU of 1400, which it tells, and for a while does not."""
        setting, _ = shared
        spaces, large = setting.topology.namespaces, ("ping", "-i", "0.2", "-s", "1412")  # 1440 inside, 1492 outside
        with setting.client("c1", common_name="narrow") as one, setting.client("c2", common_name="wide") as other:
            one.connected()
            other.connected()
            for rule in ("add table ip mute", "add chain ip mute out { type filter hook output priority 0 ; }",
                         "add rule ip mute out icmp code 4 drop"):  # fmt: skip
                spaces.run("host", "nft", rule)
            spaces.run("host", "ip", "route", "add", "192.0.2.11/32", "dev", "br0", "mtu", "1400")
            try:
                assert " 0 received" in other.run(*large, "-c", "2", "-W", "0.3", one.address, check=False)
                assert other.ping(one.address, 1)
                spaces.run("host", "nft", "delete table ip mute")
                said = other.run(*large, "-c", "4", "-W", "0.3", "-M", "do", one.address, check=False)
                assert re.search(rf"From {re.escape(GATEWAY)} icmp_seq=2 Frag needed and DF set \(mtu = 1348\)", said)
                assert " 2 received" in other.run(*large, "-c", "2", one.address)  # in two pieces
                setting.topology.transfer("c1", "get", MIB)
                spaces.run("host", "ip", "route", "add", "10.0.0.2/32", "dev", TAP, "mtu", "1400")
                one.run(*large, "-c", "2", "-W", "0.3", GATEWAY, check=False)
                assert " 2 received" in one.run(*large, "-c", "2", GATEWAY)  # in two datagrams, each in two pieces
                assert re.search(r"IpFragCreates +[1-9]", one.run("nstat", "-asz", "IpFragCreates"))
                setting.topology.transfer("c1", "put", MIB)
            finally:
                spaces.run("host", "nft", "delete table ip mute", check=False)
                spaces.run("host", "ip", "route", "flush", "root", "192.0.2.11/32")
                spaces.run("host", "ip", "route", "flush", "root", "10.0.0.2/32")
            assert one.log.count("Initialization Sequence Completed") == 1

    def test_a_client_restarted_on_the_same_port(self, shared: tuple[Setting, Server]) -> None:
        setting, server = shared
        identity = setting.authority.issue("restarted")
        began = time.monotonic()
        first = setting.client("c2", identity=identity, extra=FIXED_PORT).connected()
        whole = time.monotonic() - began
        first.kill()
        began = time.monotonic()
        with setting.client("c2", identity=identity, extra=FIXED_PORT, label="-again") as second:
            # OpenVPN 2.6 does not answer its request of options until 30 s after the first session's are over.
            second.connected(timeout=max(3, 2 * whole))
            took = time.monotonic() - began
            assert second.ping(GATEWAY, 1)
            assert second.address == first.address
        [end] = server.process.wait_for("client_ended .*common_name=restarted")
        assert "reason=replaced" in end
        assert took < max(3, 2 * whole)

    def test_ends_with_and_without_a_goodbye(self, shared: tuple[Setting, Server]) -> None:
        setting, server = shared
        with setting.client("c1", common_name="polite", extra=("explicit-exit-notify 1",)) as polite:
            killed = setting.client("c2", common_name="killed")
            polite.connected()
            killed.connected()
            killed.kill()
            polite.stop()
        [end] = server.process.wait_for("client_ended .*common_name=polite", 6)
        assert "reason=peer_exit" in end
        [end] = server.process.wait_for("client_ended .*common_name=killed", 10)
        assert "reason=peer_timeout" in end


def leave_from(client: OpenvpnClient, address: str, port: int) -> None:
    """Let a client's datagrams leave from another address and port from now on, without its knowledge.

    As a NAT before it does that has forgotten it.
    """
    rules = f"""
table ip moved
delete table ip moved
table ip moved {{
    chain out {{
        type filter hook output priority 0
        udp dport 1194 udp sport {LOCAL_PORT} ip saddr set {address} udp sport set {port}
    }}
    chain in {{
        type filter hook prerouting priority 0
        udp sport 1194 udp dport {port} udp dport set {LOCAL_PORT}
    }}
}}"""
    client.run("nft", rules)


def listed(server: Server, *names: str) -> dict[str, dict[str, str]]:
    """The newest rows of the clients in the list of clients, by name; the list is written every two seconds."""
    for name in names:
        server.process.wait_for(rf"^status CLIENT_LIST,{name},")
    lines = [line.removeprefix("status ") for line in server.log.splitlines() if line.startswith("status ")]
    header = next(csv.reader(line for line in lines if line.startswith("HEADER,CLIENT_LIST,")))[2:]
    rows = [dict(zip(header, row[1:], strict=True)) for row in csv.reader(lines) if row[0] == "CLIENT_LIST"]
    return {row["Common Name"]: row for row in rows if row["Common Name"] in names}
