"""The status lines of the console, read as monitoring programs read a status file."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import MIB, Setting
from tests.world.server import Server
from tests.world.topology import Topology

pytestmark = pytest.mark.interop

Table = list[dict[str, str]]


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-status", tmp_path_factory.mktemp("topology")) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


def reports(server: Server) -> list[list[str]]:
    """The lines of each whole report, END left out."""
    found: list[list[str]] = [[]]
    for line in server.log.splitlines():
        if line.startswith("status "):
            text = line.removeprefix("status ")
            if text == "END":
                found.append([])
            else:
                found[-1].append(text)
    return found[:-1]


def next_report(server: Server, timeout: float = 10) -> list[str]:
    """One that begins after now."""
    before = len(reports(server))
    deadline = time.monotonic() + timeout
    while len(reports(server)) < before + 2:
        assert time.monotonic() < deadline, server.log[-1500:]
        time.sleep(0.1)
    return reports(server)[before + 1]


def tables(lines: list[str], delimiter: str) -> dict[str, Table]:
    """Versions 2 and 3: rows by the names that their HEADER line gives them."""
    headers: dict[str, list[str]] = {}
    found: dict[str, Table] = {}
    for kind, *words in csv.reader(lines, delimiter=delimiter):
        if kind == "HEADER":
            headers[words[0]] = words[1:]
            found[words[0]] = []
        elif kind in headers:
            found[kind].append(dict(zip(headers[kind], words, strict=True)))
    return found


def sections(lines: list[str]) -> dict[str, Table]:
    """Version 1: titles, then a line of column names, then rows."""
    found: dict[str, Table] = {}
    titles = {"OpenVPN CLIENT LIST": "CLIENT_LIST", "ROUTING TABLE": "ROUTING_TABLE", "GLOBAL STATS": ""}
    kind = ""
    columns: list[str] = []
    for words in csv.reader(lines):
        if words[0] in titles:
            kind, columns = titles[words[0]], []
        elif kind and words[0] != "Updated":
            if not columns:
                columns = words
                found[kind] = []
            else:
                found[kind].append(dict(zip(columns, words, strict=True)))
    return found


def read(lines: list[str], version: int) -> dict[str, Table]:
    return sections(lines) if version == 1 else tables(lines, "," if version == 2 else "\t")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_reports(setting: Setting, version: int) -> None:
    extra = ("status openvpn-status.log 2", f"status-version {version}", "data-ciphers AES-128-GCM")
    began = int(time.time())
    with (
        setting.server("hosted", extra=extra) as server,
        setting.client("c1", common_name="alice") as alice,
        setting.client("c2", common_name="Bob, the builder") as bob,
    ):
        alice.connected()
        bob.connected()
        before = read(next_report(server), version)
        setting.topology.transfer("c1", "get", MIB)
        setting.topology.transfer("c1", "put", 2 * MIB)
        after = read(next_report(server), version)
        assert server.stop() == 0
        last = read(reports(server)[-1], version)
    for found in (before, after, last):
        clients = {row["Common Name"]: row for row in found["CLIENT_LIST"]}
        routes = {row["Common Name"]: row for row in found["ROUTING_TABLE"]}
        assert set(clients) == set(routes) == {"alice", "Bob_ the builder"}
        for name, peer, client in (("alice", "192.0.2.11:", alice), ("Bob_ the builder", "192.0.2.12:", bob)):
            assert clients[name]["Real Address"].startswith(peer)
            assert routes[name]["Real Address"] == clients[name]["Real Address"]
            assert routes[name]["Virtual Address"] == client.address
            if version == 1:
                continue
            assert clients[name]["Virtual Address"] == client.address
            assert clients[name]["Data Channel Cipher"] == "AES-128-GCM"
            assert clients[name]["Client Version"] == "2.6.14 linux"
            assert 0 <= int(clients[name]["Connected Since (time_t)"]) - began <= 60
            assert clients[name]["Username"] == "UNDEF"
    counted = [
        {row["Common Name"]: (int(row["Bytes Received"]), int(row["Bytes Sent"])) for row in found["CLIENT_LIST"]}
        for found in (before, after, last)
    ]
    assert counted[1]["alice"][0] - counted[0]["alice"][0] > 2 * MIB
    assert counted[1]["alice"][1] - counted[0]["alice"][1] > MIB
    assert counted[2]["alice"] >= counted[1]["alice"]
    assert max(counted[1]["Bob, the builder".replace(",", "_")]) < MIB


def test_no_lines_without_the_directive(setting: Setting) -> None:
    with setting.server("hosted", extra=("status-version 2",)) as server, setting.client("c1") as client:
        client.connected()
        assert server.stop() == 0
        assert not reports(server)
        assert "\nstatus " not in server.log
