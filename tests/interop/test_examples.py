"""The files and commands of docs/examples.md, run as they stand there: what each example promises holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY
from tests.interop.example_page import EXAMPLES, SPACES, Example, make_pki
from tests.interop.revocation_page import check_growth, check_revocation
from tests.world import old_clients
from tests.world.tender import REPO
from tests.world.topology import HOST, INTERNET, Topology

pytestmark = pytest.mark.interop

ELSEWHERE = "203.0.113.1"
PING = ("ping", "-c", "1", "-W", "2")


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
    return make_pki(tmp_path_factory.mktemp("pki"))


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
    check_revocation(example, server)
    check_growth(example, server, "hosted")


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
    oldest = example.client("bob", "old-client.ovpn", (*old_clients.openvpn("2.5"), "--ncp-disable"))
    oldest.connected()
    assert oldest.ping(INTERNET)
    assert server.event("client_established", count=3)["cipher"] == "AES-256-CBC"


def test_every_example_has_its_test() -> None:
    folders = {path.name.replace("-", "_") for path in EXAMPLES.iterdir()}
    assert {name.removeprefix("test_") for name in globals() if name.startswith("test_")} >= folders
