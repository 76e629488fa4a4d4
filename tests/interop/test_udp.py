"""The real openvpn client over UDP against the hosted server."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting, check_basics, check_negotiated, load_until
from tests.interop.udp_cases import FIXED_PORT, MOVES, bytes_through, check_moves, goodbyes, restart_and_drain
from tests.world.server import Server
from tests.world.topology import TAP, Topology

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-udp", tmp_path_factory.mktemp("topology"), clients=4) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path, proto="udp")


@pytest.mark.parametrize("wrap", ["none", "tls-crypt-v2"])  # tests/compat has the others
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


def test_a_restart_and_a_drain(setting: Setting) -> None:
    # Resets that come before the new server is up are lost: with OpenVPN's own intervals the next may be seconds away.
    back, gone = restart_and_drain(setting, "tls-timeout 1", "connect-retry 1 1")
    assert max(back.values()) < 5, f"seconds until clients were back: {back}"
    assert max(gone.values()) < 5, f"seconds until clients were at their next remote: {gone}"


@pytest.fixture(scope="class")
def shared(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Setting, Server]]:
    setting = Setting(topology, tmp_path_factory.mktemp("shared"), proto="udp")
    listeners = ("local * 1194 udp", "local * 1194 tcp")
    status = ("status openvpn-status.log 2", "status-version 2")
    extra = (*listeners, *status, "client-to-client", "keepalive 1 4", "passtos")
    with setting.server("hosted", extra=extra) as server:
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
            assert check_moves(setting, server, client, "roamer") <= MOVES

    def test_bytes_through_loss_reordering_and_repetition(self, shared: tuple[Setting, Server]) -> None:
        link = ("--loss", "0.02", "--reorder", "0.05", "--duplicate", "0.01", "--delay-ms", "2", "--reorder-ms", "2")
        seen = bytes_through(shared[0], "2.6", MIB, *link)
        assert all(seen[name] for name in ("lost", "reordered", "duplicated")), seen

    def test_datagrams_have_df_and_the_class_of_the_packets_in_them(self, shared: tuple[Setting, Server]) -> None:
        setting, _ = shared
        spaces = setting.topology.namespaces
        rules = """
table ip seen {
    chain in {
        type filter hook prerouting priority -300
        iifname tap0 udp sport 1194 ip frag-off & 0x4000 != 0x4000 counter comment "cut"
        iifname tap0 udp sport 1194 ip ecn != not-ect counter comment "ecn"
        iifname tap0 udp sport 1194 ip dscp ef counter comment "ef"
        iifname tap0 udp sport 1194 ip dscp cs0 counter comment "none"
    }
}"""
        spaces.run("host", "nft", rules)
        try:
            with setting.client("c1", common_name="marked") as client:
                client.connected()
                client.run("ping", "-c", "5", "-i", "0.2", "-w", "5", "-Q", "0xb9", GATEWAY)  # EF, ECT(1)
                client.run("ping", "-c", "2", "-i", "0.2", "-w", "5", GATEWAY)
            listing = spaces.run("host", "nft", "list", "table", "ip", "seen")
        finally:
            spaces.run("host", "nft", "delete", "table", "ip", "seen", check=False)
        counts = {name: int(count) for count, name in re.findall(r'packets (\d+) bytes \d+ comment "(\w+)"', listing)}
        assert (counts["cut"], counts["ecn"], counts["ef"]) == (0, 0, 5), listing
        assert counts["none"] >= 4, "the handshake and two pings; datagrams that leave together count once"

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
                setting.topology.transfer("c1", "get", MIB)  # whose first segments do not fit
                said = other.run(*large, "-c", "2", "-W", "0.3", "-M", "do", one.address, check=False)
                assert re.search(rf"From {re.escape(GATEWAY)} icmp_seq=1 Frag needed and DF set \(mtu = 1348\)", said)
                assert " 2 received" in other.run(*large, "-c", "2", one.address)  # in two pieces
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
        gone = goodbyes(*shared)
        assert gone["2.5"] < 2, f"at its word, no later: {gone}"
        assert max(gone["2.6"], gone["2.7"]) < 6, f"after the five seconds of EXIT: {gone}"
        assert gone["killed"] < 10, f"after twice keepalive's four seconds: {gone}"


def listed(server: Server, *names: str) -> dict[str, dict[str, str]]:
    """The newest rows of the clients in the list of clients, by name; the list is written every two seconds."""
    for name in names:
        server.process.wait_for(rf"^status CLIENT_LIST,{name},")
    lines = [line.removeprefix("status ") for line in server.log.splitlines() if line.startswith("status ")]
    header = next(csv.reader(line for line in lines if line.startswith("HEADER,CLIENT_LIST,")))[2:]
    rows = [dict(zip(header, row[1:], strict=True)) for row in csv.reader(lines) if row[0] == "CLIENT_LIST"]
    return {row["Common Name"]: row for row in rows if row["Common Name"] in names}
