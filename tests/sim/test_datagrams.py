"""Whole lives of peers over datagrams, without TCP: the service asks a transport for nothing that only TCP has."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from tests.sim.datagram_world import DatagramWorld
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import Quality, kit, profile
from tests.unit.vpn.test_authentication import DENIED, LateAuthenticator

import hognose.vpn
from hognose.drops import DropReason
from hognose.limits import HandshakeLimits, Limits
from hognose.vpn.stages import Stage

PACKET = b"\x45" + bytes(99)
LOSSY = Quality(loss=0.15, repeat=0.1, reorder=0.2)
WRAPS = ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"]


def stages(world: DatagramWorld) -> list[Stage]:
    return [peer.stage for peer in world.table.by_transport.values()]


def echoes(world: DatagramWorld, client: ModelClient, number: int = 1) -> int:
    """Number of inner packets that came back, of `number`."""
    client.packets.clear()
    for _ in range(number):
        client.send(PACKET)
    world.rest(1)
    assert set(client.packets) <= {PACKET}
    return len(client.packets)


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_session_from_the_hard_reset_to_the_goodbye(wrap: str) -> None:
    world = DatagramWorld(profile(wrap))
    client = world.client(kit(wrap))
    world.run(lambda: client.established, 5)
    assert stages(world) == [Stage.ESTABLISHED]
    [peer] = world.table.by_transport.values()
    assert peer.transport.trusted  # type: ignore[attr-defined]  # of this kind only
    assert world.events_of("client_established")[0]["peer"] == "192.0.2.1:1001"
    assert echoes(world, client, 40) == 40
    world.rest(11)
    client.renegotiate(world.now)
    world.run(lambda: 1 in client.data_keys, 10)
    world.rest(1)
    assert echoes(world, client, 5) == 5
    assert min(world.port.found[how] for how in ("peer id", "session")) > 5
    client.say("EXIT", world.now)
    world.rest(1)
    assert stages(world) == []
    assert world.events_of("client_ended")[0]["reason"] == "peer_exit"
    assert world.port.transports == {}
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


@pytest.mark.parametrize("seed", range(4))
def test_three_clients_on_a_bad_link(seed: int) -> None:
    world = DatagramWorld(profile("tls-crypt", ping_timeout_s=0), LOSSY, seed)
    clients = [world.client(kit("tls-crypt"), number) for number in (1, 2, 3)]
    world.run(lambda: all(one.established for one in clients), 60)
    assert [peer.peer_id for peer in world.table.clients.values()] == [0, 1, 2]
    for client in clients:
        assert 50 <= echoes(world, client, 100) <= 100
    assert stages(world) == [Stage.ESTABLISHED] * 3
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


def test_a_client_that_falls_silent_is_ended_by_keepalive() -> None:
    world = DatagramWorld()
    client = world.client(kit())
    world.run(lambda: client.established, 5)
    world.clients.clear()
    world.run(lambda: stages(world) == [], 100)
    assert world.events_of("client_ended")[0]["reason"] == "peer_timeout"


def test_a_first_datagram_that_is_none_of_openvpn_is_muted_and_gone_after_its_time() -> None:
    world = DatagramWorld(profile("tls-crypt"))
    client = world.client(kit("tls-auth"))
    world.rest(1)
    assert stages(world) == [Stage.MUTED]
    assert not client.messages
    world.clients.clear()
    world.run(lambda: stages(world) == [], 12)


@pytest.mark.parametrize("delay", [3, 20])
def test_a_late_verdict_on_a_bad_link(delay: int) -> None:
    world = DatagramWorld(quality=LOSSY, authenticator=LateAuthenticator(delay))
    client = world.client(kit())
    world.run(lambda: stages(world) == [Stage.AUTHENTICATING], 30)
    world.run(lambda: client.established, delay + 30)
    assert stages(world) == [Stage.ESTABLISHED]


def test_a_late_refusal() -> None:
    world = DatagramWorld(authenticator=LateAuthenticator(3, DENIED))
    client = world.client(kit())
    world.run(lambda: bool(client.messages), 10)
    assert client.messages == ["AUTH_FAILED,wrong password"]
    world.clients.clear()
    world.run(lambda: stages(world) == [], 15)


def test_peers_that_begin_and_stop_are_bounded() -> None:
    """Spoofed first datagrams with the right key: the newest ones have their place, nothing is left of the others."""
    limits = replace(Limits(), handshake=replace(HandshakeLimits(), handshakes=5))
    world = DatagramWorld(limits=limits)
    for number in range(1, 40):
        world.client(kit(), number)
        world.rest(0.0015)
        world.clients.clear()
    assert len(world.table) == 5
    assert world.dropped(DropReason.HANDSHAKE_CROWDED) == 39 - 5
    world.rest(70)
    assert len(world.table) == 0
    assert world.port.transports == {}


def test_tcp_is_known_to_one_module_of_the_service() -> None:
    importers = set()
    for path in Path(hognose.vpn.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.startswith("hognose.tcp") for name in names):
                importers.add(path.name)
    assert importers == {"streams.py"}
