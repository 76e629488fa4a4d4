"""The files and commands of docs/examples.md, run as they stand there: what each example promises holds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY
from tests.world import old_clients
from tests.world.openvpn_client import OpenvpnClient
from tests.world.processes import Process
from tests.world.server import ARGUMENTS, Server
from tests.world.tender import REPO
from tests.world.topology import HOST, INTERNET, Topology

pytestmark = pytest.mark.interop

EXAMPLES = REPO / "docs" / "examples"
TEXT = (REPO / "docs" / "examples.md").read_text(encoding="utf-8")
SPACES = {"alice": "c1", "bob": "c2", "carol": "c3"}
ELSEWHERE = "203.0.113.1"
PING = ("ping", "-c", "1", "-W", "2")
LOOK_S = 40  # a new config is looked for every 30 s


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """Clients have a default route here, as at home; the Internet host answers to the server only."""
    with Topology("hn-examples", tmp_path_factory.mktemp("topology"), clients=3) as made:
        for space in made.clients:
            made.namespaces.run(space, "ip", "route", "add", "default", "via", HOST)
        yield made


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page makes for all examples."""
    folder = tmp_path_factory.mktemp("pki")
    run(folder, "pki")
    for name in SPACES:
        shutil.copy(folder / "pki" / "issued" / f"{name}.crt", folder)
        shutil.copy(folder / "pki" / "private" / f"{name}.key", folder)
    return folder


def run(folder: Path, name: str) -> None:
    """The commands behind `<!-- run name -->`."""
    block = re.search(rf"<!-- run {name} -->\n```\n(.*?)```", TEXT, re.DOTALL)
    assert block, name
    tools = [Path(sys.executable).parent, "/usr/share/easy-rsa"]
    environment = {
        **os.environ,
        "PATH": ":".join(map(str, (*tools, os.environ["PATH"]))),
        "EASYRSA_BATCH": "1",
        "EASYRSA_ALGO": "ec",
    }
    told = subprocess.run(
        ["sh", "-euc", block[1]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
    assert "Traceback" not in told.stderr


class Client(OpenvpnClient):
    """The real client with an example's profile: only `remote` and, for another than alice, the names of her files."""

    def __init__(
        self, topology: Topology, folder: Path, name: str, profile: str, program: tuple[str, ...] = ("openvpn",)
    ) -> None:
        text = (folder / profile).read_text(encoding="utf-8").replace("vpn.example.org", HOST)
        own = folder / f"{name}.ovpn"
        own.write_text(text.replace("alice.", f"{name}."))
        self.name = SPACES[name]
        self._namespaces = topology.namespaces
        command = self._namespaces.command(self.name, *program, "--config", own.name)
        environment = {**os.environ, "OPENSSL_CONF": os.devnull} if program[0] != "openvpn" else None
        self.process = Process(command, folder / f"{name}.log", folder, environment)

    def way_to(self, address: str) -> str:
        """The interface that packets for an address leave by."""
        route = self.run("ip", "route", "get", address)
        return re.findall(r"dev (\S+)", route)[0]

    def end(self) -> str:
        """Its log, when it has ended by itself."""
        self.process.wait(20)
        return self.log


class Example:
    """The files of one example beside those that they name; the server is started by `serve`."""

    def __init__(self, name: str, topology: Topology, pki: Path, folder: Path, stack: ExitStack) -> None:
        self.folder = folder / name
        self._topology = topology
        self._stack = stack
        shutil.copytree(pki, self.folder)
        shutil.copytree(EXAMPLES / name, self.folder, dirs_exist_ok=True)

    def serve(self, *commands: str) -> Server:
        """Run these commands of the page, embed the config, start the server."""
        for name in (*commands, "embed"):
            run(self.folder, name)
        config = (self.folder / "server.conf.full").read_bytes()
        words = [*ARGUMENTS, "--clients-may-reach=not-uplink"]
        server = Server("hosted", self._topology.namespaces, config, self.folder, arguments=words)
        return self._stack.enter_context(server.ready())

    def client(self, name: str, profile: str = "client.ovpn", program: tuple[str, ...] = ("openvpn",)) -> Client:
        """A client that was started."""
        client = Client(self._topology, self.folder, name, profile, program)
        self._stack.enter_context(client)
        return client

    def connected(self, name: str, profile: str = "client.ovpn") -> Client:
        """A client that is in."""
        client = self.client(name, profile)
        client.connected()
        return client


@pytest.fixture
def example(request: pytest.FixtureRequest, topology: Topology, pki: Path, tmp_path: Path) -> Iterator[Example]:
    """The example that the test's name names."""
    name = request.function.__name__.removeprefix("test_").replace("_", "-")
    with ExitStack() as stack:
        yield Example(name, topology, pki, tmp_path, stack)


def test_full_tunnel(example: Example, topology: Topology) -> None:
    example.serve()
    assert " 0 received" in topology.namespaces.run(SPACES["alice"], *PING, INTERNET, check=False)
    alice = example.connected("alice")
    assert alice.way_to(INTERNET) == alice.way_to(ELSEWHERE) == "tun0"
    assert alice.way_to(HOST) == "eth0"
    assert alice.ping(INTERNET)
    assert "dhcp-option DNS 9.9.9.9" in alice.log
    assert " dev tun0" in alice.run("ip", "-6", "route", "get", "2001:db8::1")
    assert "No route" in alice.run(*PING, "-6", "2001:db8::1", check=False)


def test_split_tunnel(example: Example) -> None:
    example.serve()
    alice = example.connected("alice")
    assert alice.way_to(INTERNET) == "tun0"
    assert alice.way_to(ELSEWHERE) == "eth0"
    assert alice.ping(INTERNET)


def test_fixed_addresses(example: Example) -> None:
    with example.serve():
        alice, bob, carol = (example.connected(name) for name in SPACES)
        assert (alice.address, bob.address) == ("10.8.0.10", "10.8.0.150")
        by_name = carol.address
        assert 100 <= int(by_name.rpartition(".")[2]) <= 199
        assert alice.way_to(ELSEWHERE) == "tun0"
        assert bob.way_to(ELSEWHERE) == "eth0"
        for client in (alice, bob, carol):
            client.stop()
    example.serve()
    assert example.connected("carol").address == by_name


def test_isolated_clients(example: Example) -> None:
    example.serve()
    alice, bob = example.connected("alice"), example.connected("bob")
    assert "Packet filtered" in alice.run(*PING, bob.address, check=False)
    assert not bob.ping(alice.address, 1)
    assert bob.ping(GATEWAY)
    assert bob.ping(INTERNET)


def test_client_to_client(example: Example) -> None:
    example.serve()
    alice, bob = example.connected("alice"), example.connected("bob")
    assert alice.ping(bob.address)
    assert bob.ping(alice.address)
    assert alice.way_to(INTERNET) == "eth0"


def test_known_clients(example: Example) -> None:
    server = example.serve()
    alice = example.connected("alice")
    assert "AUTH_FAILED,disabled by the server's client-config-dir" in example.client("bob").end()
    assert "AUTH_FAILED,not in the server's client-config-dir" in example.client("carol").end()
    assert [server.event("client_refused", count=n)["common_name"] for n in (1, 2)] == ["bob", "carol"]
    assert alice.ping(INTERNET)


def test_revocation(example: Example) -> None:
    server = example.serve()
    alice, bob = example.connected("alice"), example.connected("bob")
    run(example.folder, "revoke")
    assert server.event("config_reloaded", LOOK_S)["changed"] == "policy"
    cut = server.event("client_cut")
    assert (cut["common_name"], cut["reason"].endswith("is revoked")) == ("bob", True)
    heard = bob.end()
    assert re.search(r"AUTH_FAILED,.*crl-verify: the client's certificate \(serial \w+\) is revoked", heard)
    again = example.client("bob")
    again.process.wait_for("Connection reset, restarting")
    refused = server.event("peer_rejected")
    assert (refused["reason"], "is revoked" in refused["detail"]) == ("certificate_rejected", True)
    assert "Initialization Sequence Completed" not in again.log
    assert alice.ping(INTERNET)
    assert alice.log.count("Initialization Sequence Completed") == 1


def test_tls_crypt_v2(example: Example) -> None:
    server = example.serve("keys")
    alice, bob = example.connected("alice"), example.connected("bob")
    assert alice.ping(INTERNET)
    assert bob.ping(INTERNET)
    assert [server.event("client_established", count=n)["wrap"] for n in (1, 2)] == ["tls-crypt-v2"] * 2
    assert "key of alice" in server.event("client_authenticated")["client_key"]
    profile = (example.folder / "client.ovpn").read_text().replace("tls-crypt-v2 v2-alice.key", "tls-crypt ta.key")
    (example.folder / "without.ovpn").write_text(profile)
    example.client("carol", "without.ovpn")
    assert "has no tls-crypt-v2 key" in server.event("peer_rejected")["detail"]


def test_old_clients(example: Example) -> None:
    shutil.copy(REPO / "tests" / "vectors" / "config" / "dh.pem", example.folder)
    server = example.serve()
    assert example.connected("alice").ping(INTERNET)
    assert server.event("client_established")["cipher"] == "AES-256-GCM"
    with example.connected("bob", "old-client.ovpn") as bob:
        assert bob.ping(INTERNET)
        assert "compress" in bob.log or "comp-lzo" in bob.log
    try:
        program = old_clients.openvpn("2.5")
    except old_clients.NotServed as error:
        pytest.skip(f"all but a client that does not negotiate: {error}")
    oldest = example.client("bob", "old-client.ovpn", (*program, "--ncp-disable"))
    oldest.connected()
    assert oldest.ping(INTERNET)
    assert server.event("client_established", count=3)["cipher"] == "AES-256-CBC"


def test_every_example_has_its_test() -> None:
    folders = {path.name.replace("-", "_") for path in EXAMPLES.iterdir()}
    assert {name.removeprefix("test_") for name in globals() if name.startswith("test_")} >= folders
