"""Bytes that no client sends: only their connection ends, one line names the failed check, others go on."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, Setting, check_basics
from tests.world.lossy_bridge import inside
from tests.world.openvpn_client import OpenvpnClient
from tests.world.pki import SERVER, current_authority, static_key
from tests.world.server import Server
from tests.world.topology import HOST, Topology

pytestmark = pytest.mark.interop

SID = bytes(range(1, 9))
PLAIN_RESET = b"\x38" + SID + b"\0" + bytes(4)  # opcode 7, key id 0, no acks, message id 0


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-bad", tmp_path_factory.mktemp("topology")) as made:
        yield made


@pytest.fixture(scope="module")
def setting(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(topology, tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def server(setting: Setting) -> Iterator[Server]:
    with setting.server("hosted") as running:
        yield running


@pytest.fixture(scope="module")
def innocent(setting: Setting, server: Server) -> Iterator[OpenvpnClient]:
    """A client that must notice nothing."""
    with setting.client("c2", common_name="innocent") as client:
        client.connected()
        yield client


def stranger(setting: Setting) -> socket.socket:
    """A TCP connection from the other client's namespace."""
    with inside(setting.topology.namespaces.full("c1")):
        sock = socket.create_connection((HOST, 1194), 5)
    sock.settimeout(15)
    return sock


@pytest.fixture(autouse=True)
def _unhurried() -> Iterator[None]:
    """The server limits lines about peers by the second; every test here wants its line."""
    yield
    time.sleep(0.4)


def framed(*records: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(record)) + record for record in records)


def is_closed(sock: socket.socket) -> bool:
    """The server has ended the connection."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


REJECTED = {
    "length 0": (b"\0\0", "bad_frame_length"),
    "length 65535": (b"\xff\xff" + bytes(100), "bad_frame_length"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_frame_length"),
    "length 1": (framed(b"\x38"), "bad_control_packet"),
    "short reset": (framed(PLAIN_RESET), "bad_control_packet"),
    "plain reset with padding": (framed(PLAIN_RESET + bytes(60)), "bad_hmac"),
    "reset of key method 1": (framed(b"\x08" + bytes(60)), "no_hard_reset"),
    "reset of tls-crypt-v2": (framed(b"\x50" + bytes(60)), "no_hard_reset"),
    "data first": (framed(b"\x48\0\0\0" + bytes(60)), "no_hard_reset"),
    "server's reset": (framed(b"\x40" + bytes(60)), "no_hard_reset"),
    "noise": (framed(os.urandom(200)), ""),
}


RESET_IN_PIECES = framed(PLAIN_RESET + bytes(60))
STRANGERS = {
    **{name: (data, len(data)) for name, (data, _) in REJECTED.items()},
    **{f"pieces of {size}": (RESET_IN_PIECES, size) for size in (1, 3, 50)},
    "500 records": (framed(*[PLAIN_RESET + bytes(60)] * 500), 1 << 20),
    "half a length": (b"\0", 1),
}


@dataclass
class Heard:
    """Record of one unauthenticated peer: its outer address:port, and whether the server has closed its connection."""

    peer: str
    closed: bool


@pytest.fixture(scope="module")
def heard(setting: Setting, server: Server, innocent: OpenvpnClient) -> dict[str, Heard]:
    """All strangers at once: each is kept until its 10 seconds are over, whatever it has said."""
    socks = {}
    for name, (data, size) in STRANGERS.items():
        socks[name] = sock = stranger(setting)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), size):
            sock.sendall(data[at : at + size])
    found = {}
    for name, sock in socks.items():
        with sock:
            found[name] = Heard(f"192.0.2.11:{sock.getsockname()[1]}", is_closed(sock))
    return found


@pytest.mark.parametrize("name", list(REJECTED))
def test_first_bytes(heard: dict[str, Heard], server: Server, innocent: OpenvpnClient, name: str) -> None:
    _, reason = REJECTED[name]
    assert heard[name].closed
    [line] = server.process.wait_for(f"peer_rejected .*{heard[name].peer} ")
    if reason:
        assert f"reason={reason}" in line
    assert "detail=" in line
    assert innocent.ping(GATEWAY, 1)


@pytest.mark.parametrize("size", [1, 3, 50])
def test_a_stream_in_small_pieces(heard: dict[str, Heard], server: Server, innocent: OpenvpnClient, size: int) -> None:
    """The same bytes one by one give the same verdict."""
    stranger = heard[f"pieces of {size}"]
    assert stranger.closed
    [line] = server.process.wait_for(f"peer_rejected .*{stranger.peer} ")
    assert "reason=bad_hmac" in line
    assert innocent.ping(GATEWAY, 1)


def test_many_records_in_one_segment(heard: dict[str, Heard], innocent: OpenvpnClient) -> None:
    assert heard["500 records"].closed
    assert innocent.ping(GATEWAY, 1)


def test_a_silent_stranger_is_sent_away(heard: dict[str, Heard], server: Server, innocent: OpenvpnClient) -> None:
    assert heard["half a length"].closed
    [line] = server.process.wait_for(f"peer_rejected .*{heard['half a length'].peer} ")
    assert "reason=handshake_timeout" in line
    assert innocent.ping(GATEWAY, 1)


def rejected_line(server: Server, before: int) -> str:
    """The next peer_rejected line of a real client over the network."""
    return server.process.wait_for("peer_rejected ", 20, before + 1)[before]


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        ("key", "bad_hmac", "another static key"),
        ("wrap", "bad_control_packet", "the client has no tls-crypt"),
        ("authority", "certificate_rejected", "client certificate"),
        ("expired", "certificate_rejected", "expired"),
        ("usage", "certificate_rejected", "purpose"),
    ],
)
def test_clients_with_something_wrong(
    setting: Setting, server: Server, innocent: OpenvpnClient, wrong: str, reason: str, words: str
) -> None:
    before = server.log.count("peer_rejected ")
    identity = {
        "authority": current_authority("Other CA").issue("mallory"),
        "expired": setting.authority.issue("late", start_days=-30, days=10),
        "usage": setting.authority.issue("pretender", SERVER),
    }.get(wrong)
    key = static_key() if wrong == "key" else None
    wrap = "none" if wrong == "wrap" else "tls-crypt"
    with setting.client("c1", wrap, identity=identity, key=key) as client:
        line = rejected_line(server, before)
        assert f"reason={reason}" in line
        assert words in line
        assert "Initialization Sequence Completed" not in client.log
    assert innocent.ping(GATEWAY, 1)


def test_after_all_that_the_innocent_client_works(setting: Setting, server: Server, innocent: OpenvpnClient) -> None:
    check_basics(setting, innocent, 1 << 20)
    assert innocent.log.count("Initialization Sequence Completed") == 1
    assert "internal_error" not in server.log
    secrets = [setting.server_identity.key, setting.key]
    for secret in secrets:
        assert not any(line in server.log for line in secret.splitlines()[1:-1])


@pytest.mark.parametrize(
    ("config", "arguments", "status", "words"),
    [
        (b"", None, 3, "empty"),
        (bytes(512), None, 3, "empty"),
        (b"proto udp6\n", None, 3, "server.conf.full:1: proto: `udp6`"),
        (b"\xff\xfe binary", None, 3, "not UTF-8"),
        (None, [], 2, "--ipv4 is missing"),
        (None, ["--ipv4=10.8.0.5/24", "--device=/dev/net/tun:spare"], 3, "overlaps"),
        (None, ["--ipv4=10.0.0.2/24", "--nonsense"], 2, "--nonsense"),
    ],
)
def test_hosted_errors_are_one_line_and_a_status(
    setting: Setting, tmp_path: Path, config: bytes | None, arguments: list[str] | None, status: int, words: str
) -> None:
    text = setting.config() if config is None else config
    # The server of the module holds the tap; these end before they would open it, or have another one.
    server = Server("hosted", setting.topology.namespaces, text, tmp_path, arguments=arguments)
    assert server.process.wait(20) == status
    assert words in server.log
    assert "Traceback" not in server.log
