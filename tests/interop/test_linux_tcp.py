"""Linux's TCP as client of hognose.tcp, over a lossy bridge between two network namespaces (needs root)."""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.world import lossy_bridge, tcp_echo_server
from tests.world.namespaces import own

WORLD = Path(__file__).resolve().parent.parent / "world"
CLIENT_NS, SERVER_NS = (f"{own('hn-lintcp')}-{side}" for side in ("client", "server"))
ADDRESS, PORT = "10.99.0.1", 7
MEGABYTES = 10
PATIENCE_S = 120.0

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]


@dataclass
class World:
    """A client namespace, the bridge, and the server under test in another namespace."""

    bridge: subprocess.Popen[str]
    server: subprocess.Popen[str]
    node: Path
    reports: dict[str, dict[str, object]]

    def connect(self) -> socket.socket:
        """A connected socket in the client's namespace, congestion control pinned to CUBIC."""
        with lossy_bridge.inside(CLIENT_NS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        sock.settimeout(30)
        sock.connect((ADDRESS, PORT))
        return sock

    def finish(self) -> None:
        """Stop both processes and keep what they reported."""
        for name, process in (("server", self.server), ("bridge", self.bridge)):
            process.terminate()
            out, _ = process.communicate(timeout=20)
            assert process.returncode == 0, name
            self.reports[name] = json.loads(out.splitlines()[-1])


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def in_server_ns(*words: str) -> list[str]:
    return ["ip", "netns", "exec", SERVER_NS, *words]


def started(command: list[str], processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """A process that has said `ready`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    processes.append(process)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == "ready\n", f"{command}: {line!r}"
    return process


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []
    processes: list[subprocess.Popen[str]] = []

    def remove() -> None:
        for netns in (CLIENT_NS, SERVER_NS):
            subprocess.run(["ip", "netns", "del", netns], check=False, capture_output=True)

    def make(*bridge_options: str, server_options: tuple[str, ...] = ()) -> World:
        for netns in (CLIENT_NS, SERVER_NS):
            ip("netns", "add", netns)
        script = str(WORLD / "lossy_bridge.py")
        ends = ["--a", f"{CLIENT_NS}:tc0", "--b", f"{SERVER_NS}:ts0"]
        bridge = started([sys.executable, script, *ends, *bridge_options], processes)
        ip("-n", CLIENT_NS, "addr", "add", "10.99.0.2/24", "dev", "tc0")
        ip("-n", SERVER_NS, "link", "add", "link", "ts0", "name", "mv0", "type", "macvtap", "mode", "passthru")
        ip("-n", SERVER_NS, "link", "set", "mv0", "up")
        sysfs = in_server_ns("sh", "-c", "cat /sys/class/net/mv0/tap*/dev")
        major, minor = subprocess.run(sysfs, check=True, capture_output=True, text=True).stdout.split(":")
        node = tmp_path / "tap"
        os.mknod(node, 0o600 | 0o020000, os.makedev(int(major), int(minor)))
        echo = [sys.executable, str(WORLD / "tcp_echo_server.py"), "--device", str(node), "--address", ADDRESS]
        server = started(in_server_ns(*echo, *server_options), processes)
        made.append(World(bridge, server, node, {}))
        return made[0]

    remove()  # what a killed run may have left
    yield make
    for one in made:
        if not one.reports:
            one.finish()
    for process in processes:
        process.kill()
        process.wait()
    remove()


def exchange(sock: socket.socket, data: bytes, *, half_close: bool = True) -> bytes:
    """Send everything and read to the end at the same time."""
    sock.setblocking(False)
    received: list[bytes] = []
    view = memoryview(data)
    deadline = time.monotonic() + PATIENCE_S
    sending = True
    while True:
        assert time.monotonic() < deadline, f"{len(view)} bytes unsent, {sum(map(len, received))} received"
        readable, writable, _ = select.select([sock], [sock] if sending else [], [], 5)
        if writable:
            view = view[sock.send(view[: 1 << 20]) :] if view else view
            if not view:
                sending = False
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
        if readable:
            part = sock.recv(1 << 20)
            if not part:
                return b"".join(received)
            received.append(part)


LINKS = {
    "clean": (),
    "one_percent": ("--loss", "0.01", "--duplicate", "0.01", "--reorder", "0.02", "--seed", "7"),
    "five_percent": ("--loss", "0.05", "--duplicate", "0.01", "--reorder", "0.02", "--seed", "8"),
    "everything": (
        *("--loss", "0.02", "--duplicate", "0.02", "--reorder", "0.05", "--corrupt", "0.02"),
        *("--delay-ms", "5", "--rate-mbit", "200", "--seed", "9"),
    ),
}


@pytest.mark.parametrize("link", LINKS)
def test_upload_arrives_intact(world, link):
    place = world(*LINKS[link])
    data = os.urandom(MEGABYTES << 20)
    with place.connect() as sock:
        assert exchange(sock, b"U\n" + data) == hashlib.sha256(data).digest()


@pytest.mark.parametrize("link", LINKS)
def test_download_arrives_intact(world, link):
    place = world(*LINKS[link])
    size = MEGABYTES << 20
    with place.connect() as sock:
        received = exchange(sock, f"D {size} 5\n".encode(), half_close=False)
    assert hashlib.sha256(received).digest() == hashlib.sha256(tcp_echo_server.payload(5, size)).digest()


@pytest.mark.parametrize("link", ["clean", "one_percent"])
def test_both_directions_at_once(world, link):
    place = world(*LINKS[link])
    data = os.urandom(2 << 20)
    with place.connect() as sock:
        assert exchange(sock, b"E\n" + data) == data


def test_super_segments_both_ways_with_offloads(world):
    place = world("--offload")
    size = MEGABYTES << 20
    data = os.urandom(size)
    with place.connect() as sock:
        assert exchange(sock, b"U\n" + data) == hashlib.sha256(data).digest()
    with place.connect() as sock:
        assert exchange(sock, f"D {size} 6\n".encode(), half_close=False) == tcp_echo_server.payload(6, size)
    place.finish()
    largest = place.reports["server"]["largest"]
    assert largest["in"] > 20_000
    assert largest["out"] > 20_000
    assert min(place.reports["bridge"]["super_frames"]) > 0


def test_a_device_without_offloads(world):
    place = world(server_options=("--no-offload",))
    data = os.urandom(1 << 20)
    with place.connect() as sock:
        assert exchange(sock, b"E\n" + data) == data


def test_abort_reaches_linux_as_a_reset(world):
    place = world()
    with place.connect() as sock:
        sock.sendall(b"R\n")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_options_as_linux_sees_them(world):
    """Linux has negotiated timestamps, SACK and window scaling with us, and measured a plain MSS."""
    place = world()
    with place.connect() as sock:
        sock.sendall(b"E\nhello")
        assert sock.recv(5) == b"hello"
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    options = info[5]
    assert options & 1, "timestamps"
    assert options & 2, "SACK"
    assert options & 4, "window scale"
    snd_mss = struct.unpack_from("I", info, 16)[0]
    assert snd_mss == 1448


def test_a_slow_reader_closes_and_opens_the_window(world):
    """Linux stops reading: our sender meets a zero window, probes, and goes on when it opens."""
    place = world()
    size = 8 << 20
    with place.connect() as sock:
        sock.sendall(f"D {size} 3\n".encode())
        time.sleep(2.5)
        received = exchange(sock, b"", half_close=False)
    assert received == tcp_echo_server.payload(3, size)


def test_many_short_connections_leave_nothing_behind(world):
    place = world()
    for number in range(100):
        with place.connect() as sock:
            assert exchange(sock, b"E\n%d" % number) == b"%d" % number
    with place.connect() as sock:  # answered when the last acknowledgement of those before has been worked on
        sock.sendall(b"R\n")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    place.finish()
    assert place.reports["server"]["left"] == {"connections": 0, "services": 0}


@pytest.mark.parametrize("icmp", [True, False], ids=["icmp", "silent"])
def test_a_path_that_takes_1400_bytes(world, icmp):
    """Facts T27: with ICMP at once, without after some time-outs, the size is found and the transfer goes on."""
    place = world("--mtu", "1400", "--delay-ms", "2", "--rate-mbit", "100", *(["--icmp"] if icmp else []))
    size = 6 << 20
    with place.connect() as sock:
        began = time.monotonic()
        received = exchange(sock, f"D {size} 9\n".encode(), half_close=False)
        took = time.monotonic() - began
    assert received == tcp_echo_server.payload(9, size)
    place.finish()
    bridge, server = place.reports["bridge"], place.reports["server"]
    assert 1384 < bridge["largest"][1] <= 1400
    assert bridge["too_large"][1] > 0
    assert ("tcp_black_holes_suspected" in server) is not icmp
    assert took < 30
