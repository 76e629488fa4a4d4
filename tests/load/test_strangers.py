"""Strangers by the thousand and tunnels beside them, with the default limits (docs/security.md)."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting
from tests.world.lossy_bridge import inside
from tests.world.server import Server
from tests.world.topology import HOST, TAP, Topology

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

SCRIPT = str(Path(__file__).resolve().parent.parent / "world" / "strangers.py")
SERVER_ADDRESS, SERVER_MAC = "10.0.0.2", "02:00:00:00:00:02"
SIZE = 60 * MIB  # of one transfer through the tunnel
SILENT, PREFIXES = 8192, 64


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-str", tmp_path_factory.mktemp("topology"), clients=3) as made:
        # c1 has all of 198.18.0.0/16; answers to spoofed addresses end at the host.
        made.namespaces.run("c1", "ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo")
        made.namespaces.run("host", "ip", "route", "add", "198.18.0.0/16", "via", "192.0.2.11")
        made.namespaces.run("host", "ip", "route", "add", "blackhole", "198.19.0.0/16")
        yield made


@pytest.fixture(scope="module")
def setting(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(topology, tmp_path_factory.mktemp("strangers"))


def resident(server: Server) -> int:
    """Bytes of memory that the server has."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


@contextmanager
def strangers(topology: Topology, name: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The script in a namespace; ended with the block."""
    command = topology.namespaces.command(name, sys.executable, SCRIPT, *words)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def report(process: subprocess.Popen[str]) -> dict[str, int]:
    """Last output of the script."""
    out, _ = process.communicate(timeout=120)
    found: dict[str, int] = json.loads(out.splitlines()[-1])
    return found


def rate(topology: Topology) -> float:
    """Megabytes per second through the tunnel of c2."""
    return SIZE / MIB / topology.transfer("c2", "download", SIZE)


def connects_within(setting: Setting, wrap: str, seconds: float) -> float:
    """Seconds until a genuine client of c3 is up; its whole start included."""
    began = time.monotonic()
    with setting.client("c3", wrap, common_name="late") as late:
        late.connected(seconds)
        return time.monotonic() - began


def test_thousands_say_nothing(setting: Setting, topology: Topology) -> None:
    """8,192 open connections: at most 2 KB each, a client comes in as ever, and the memory comes back."""
    with setting.server("hosted") as server, setting.client("c2", common_name="innocent") as innocent:
        innocent.connected()
        connects_within(setting, "tls-crypt", 30)
        base = resident(server)
        with strangers(topology, "c1", "silent", HOST, str(SILENT), str(PREFIXES)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"open {SILENT}\n"
            full = resident(server)
            took = connects_within(setting, "tls-crypt", 3)
            assert innocent.ping(GATEWAY, 1)
            time.sleep(12)
            found = report(process)
        assert found["ended"] == SILENT
        assert found["spoke"] == 0
        deadline = time.monotonic() + 90
        while (back := resident(server)) - base > 3 * MIB // 2 and time.monotonic() < deadline:
            time.sleep(2)
        print(f"each {(full - base) / SILENT:.0f} bytes, client in {took:.2f} s, {(back - base) / 1024:.0f} KiB stay")
        assert full - base <= SILENT * 2048
        assert back - base <= 3 * MIB // 2
        assert len(server.log.splitlines()) < 200


def test_a_flood_of_syns(setting: Setting, topology: Topology) -> None:
    """100,000 a second from spoofed addresses, 30 seconds: a tunnel keeps half of its rate, a client comes in.

    Single transfers differ by a factor of two without any flood: medians of ten before and after it, and of all in it.
    """
    with setting.server("hosted") as server, setting.client("c2", common_name="innocent") as innocent:
        innocent.connected()
        quiet = [rate(topology) for _ in range(5)]
        base = resident(server)
        with strangers(topology, "host", "syn", TAP, SERVER_MAC, SERVER_ADDRESS, "30", "100000") as process:
            time.sleep(1)
            until = time.monotonic() + 22
            flooded = []
            while time.monotonic() < until:
                flooded.append(rate(topology))
            grown = resident(server) - base
            took = connects_within(setting, "tls-crypt", 20)
            found = report(process)
        quiet += [rate(topology) for _ in range(5)]
        before, during = median(quiet), median(flooded)
        print(f"{before:.1f} MB/s, under the flood {during:.1f}, client in {took:.2f} s, {found}, {grown >> 20} MiB")
        print([[round(one, 1) for one in rates] for rates in (quiet, flooded)])
        assert found["per_second"] >= 99_000
        assert during >= 0.5 * before
        assert grown < 8 * MIB
        assert took <= 5
        assert innocent.ping(GATEWAY, 1)


PROBES = {
    "silent": b"",
    "half a record": b"\0\x60abc",
    "length 0": b"\0\0",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad HMAC": struct.pack(">H", 54) + b"\x38" + bytes(53),
    "reset without a wrap": struct.pack(">H", 14) + b"\x38abcdefgh" + bytes(5),
    "noise": bytes(range(9, 250)),
}


@pytest.mark.parametrize("wrap", ["tls-auth", "tls-crypt"])
def test_probes_learn_nothing(setting: Setting, topology: Topology, wrap: str) -> None:
    """Not a byte comes back, and every failure ends in the same way at the same time."""
    with setting.server("hosted", wrap, ("auth SHA256",)):
        probes: dict[str, socket.socket] = {}
        with inside(topology.namespaces.full("c1")):
            for name in PROBES:
                probes[name] = socket.create_connection((HOST, 1194), 5)
        began = time.monotonic()
        for name, data in PROBES.items():
            probes[name].sendall(data)
        ends: dict[str, tuple[str, float]] = {}
        for name, sock in probes.items():
            sock.settimeout(15)
            try:
                ends[name] = (repr(sock.recv(100)), time.monotonic() - began)
            except ConnectionResetError:
                ends[name] = ("reset", time.monotonic() - began)
            sock.close()
        assert {how for how, _ in ends.values()} == {"reset"}, ends
        assert all(9.5 < when < 10.7 for _, when in ends.values()), ends
