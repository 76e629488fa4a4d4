"""Status lines: the columns that exporters read, and names that cannot break them."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import cast

import pytest
from scapy.layers.inet import ICMP, IP
from tests.unit.gateway.gateway_world import GATEWAY, GatewayWorld
from tests.world.today import UNIX

from hognose.address import Endpoint
from hognose.vpn.client_list import status_lines
from hognose.vpn.client_view import client_views
from hognose.vpn.peer import Peer

# openvpn/src/openvpn/multi.c, multi_print_status; what programs look up by name.
CLIENT_COLUMNS = [
    "Common Name", "Real Address", "Virtual Address", "Virtual IPv6 Address", "Bytes Received", "Bytes Sent",
    "Connected Since", "Connected Since (time_t)", "Username", "Client ID", "Peer ID", "Data Channel Cipher",
]  # fmt: skip
ROUTE_COLUMNS = ["Virtual Address", "Common Name", "Real Address", "Last Ref", "Last Ref (time_t)"]


@dataclass
class FakeSession:
    bytes_in: int = 1
    bytes_out: int = 2
    cipher: str = "AES-256-GCM"


@dataclass
class FakeTransport:
    id: int = 7
    proto: str = "udp"
    endpoint: Endpoint = field(default_factory=lambda: Endpoint(bytes((192, 0, 2, 11)), 40_000))


@dataclass
class FakePeer:
    common_name: str = "alice"
    version: str = "2.6.14 linux"
    address: bytes = bytes((10, 8, 0, 2))
    authenticated_unix: int = UNIX
    established_at: int = 1
    session: FakeSession | None = None
    peer_id: int = 3
    transport: FakeTransport = field(default_factory=FakeTransport)


def lines(version: int, *peers: FakePeer) -> list[str]:
    return status_lines(client_views(cast("list[Peer]", list(peers))), version, UNIX + 60)


@pytest.mark.parametrize(("version", "delimiter"), [(2, ","), (3, "\t")])
def test_the_columns_have_the_names_that_exporters_ask_for(version: int, delimiter: str) -> None:
    rows = list(csv.reader(lines(version, FakePeer(session=FakeSession(123, 456))), delimiter=delimiter))
    assert rows[0][0] == "TITLE"
    assert len(rows[0][1].split()) >= 3  # openvpn_exporter reads the third word
    assert rows[1] == ["TIME", "2027-01-15 08:01:00", str(UNIX + 60)]
    headers = {row[1]: row[2:] for row in rows if row[0] == "HEADER"}
    assert headers["CLIENT_LIST"][: len(CLIENT_COLUMNS)] == CLIENT_COLUMNS
    assert headers["ROUTING_TABLE"] == ROUTE_COLUMNS
    [client] = [dict(zip(headers["CLIENT_LIST"], row[1:], strict=True)) for row in rows if row[0] == "CLIENT_LIST"]
    assert client["Common Name"] == "alice"
    assert client["Real Address"] == "192.0.2.11:40000"
    assert client["Virtual Address"] == "10.8.0.2"
    assert (client["Bytes Received"], client["Bytes Sent"]) == ("123", "456")
    assert client["Connected Since"] == "2027-01-15 08:00:00"
    assert client["Connected Since (time_t)"] == str(UNIX)
    assert (client["Client ID"], client["Peer ID"]) == ("7", "3")
    assert client["Data Channel Cipher"] == "AES-256-GCM"
    assert client["Client Version"] == "2.6.14 linux"
    assert client["Transport"] == "udp4"
    assert rows[-1] == ["END"]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("odd", [",", "\t", "\n", "\r", "\0", "\x1b", "\x85", "\u2028", "\u202e", "END\n"])
def test_a_name_breaks_neither_a_field_nor_a_line(version: int, odd: str) -> None:
    good = lines(version, FakePeer(session=FakeSession()))
    found = lines(version, FakePeer(f"a{odd}b", f"2{odd}6", session=FakeSession()))
    assert len(found) == len(good)
    for line, like in zip(found, good, strict=True):
        assert line.isprintable() or version == 3
        assert "\n" not in line
        assert (line.count(","), line.count("\t")) == (like.count(","), like.count("\t"))
    name = f"a{odd}b".translate(dict.fromkeys(map(ord, odd.removeprefix("END")), "_"))
    assert any(name in line for line in found)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_only_clients_that_are_established(version: int) -> None:
    empty = lines(version)
    assert lines(version, FakePeer(), FakePeer(established_at=0, session=FakeSession())) == empty
    assert len(lines(version, FakePeer(session=FakeSession()))) == len(empty) + 2


def test_reports_come_at_their_interval_and_at_the_end() -> None:
    world = GatewayWorld("status x 5", "status-version 2", "keepalive 30 120")
    assert world.gateway.take_status() == []
    alice = world.client("alice", peer_info="IV_VER=2.6,14\nIV_PLAT=linux\nIV_PROTO=990\nIV_CIPHERS=AES-256-GCM\n")
    world.rest(5.5)
    first = world.gateway.take_status()
    assert first.count("END") == 1
    assert world.gateway.take_status() == []
    alice.inner(IP(src=alice.tunnel_address, dst=GATEWAY) / ICMP(id=1, seq=1) / bytes(100))
    world.rest(11)
    later = world.gateway.take_status()
    assert later.count("END") == 2
    rows = [row for row in csv.reader([*first, *later]) if row[0] == "CLIENT_LIST"]
    assert [int(row[5]) for row in rows] == [0, 128, 128]
    assert [int(row[6]) for row in rows] == [0, 128, 128]
    assert {row[13] for row in rows} == {"2.6_14 linux"}
    world.gateway.stop("SIGTERM", world.now, UNIX)
    [last] = [row for row in csv.reader(world.gateway.take_status()) if row[0] == "CLIENT_LIST"]
    assert last[1:6] == rows[-1][1:6]


def test_reports_that_nobody_takes_are_bounded() -> None:
    world = GatewayWorld("status x 1")
    world.rest(9000)
    assert len(world.gateway.take_status()) <= 10_010


def test_no_reports_without_the_directive() -> None:
    world = GatewayWorld("status-version 2")
    world.rest(300)
    world.gateway.stop("SIGTERM", world.now, UNIX)
    assert world.gateway.take_status() == []


@pytest.mark.parametrize(
    ("version", "last"),
    [
        (1, ["GLOBAL STATS", "Max bcast/mcast queue length,0", "END"]),
        (2, ["GLOBAL_STATS,Max bcast/mcast queue length,0", "END"]),
        (3, ["GLOBAL_STATS\tMax bcast/mcast queue length\t0", "END"]),
    ],
)
def test_the_last_lines_are_those_of_openvpn(version: int, last: list[str]) -> None:
    for peers in ([], [FakePeer(session=FakeSession())]):
        assert lines(version, *peers)[-len(last) :] == last
