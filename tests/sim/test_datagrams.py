"""Whole lives of peers over datagrams: the handshake without state, moves, goodbyes, bad links."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from tests.sim.datagram_world import DatagramWorld
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import Quality, kit, profile
from tests.unit.vpn.test_authentication import DENIED, LateAuthenticator
from tests.world.today import UNIX

import hognose.vpn
from hognose.address import Endpoint
from hognose.drops import DropReason, Stat
from hognose.limits import DatagramLimits, Limits
from hognose.settings import ClientSettings
from hognose.vpn.client_policy import ClientPolicy
from hognose.vpn.initial_rate import PER_PREFIX
from hognose.vpn.peer import Peer
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
    assert world.events_of("client_established")[0]["peer"] == "192.0.2.1:1001"
    assert echoes(world, client, 40) == 40
    world.rest(11)
    client.renegotiate(world.now)
    world.run(lambda: 1 in client.data_keys, 10)
    world.rest(1)
    assert echoes(world, client, 5) == 5
    client.say("EXIT", world.now)
    world.rest(4.5)
    assert stages(world) == [Stage.ESTABLISHED]  # a goodbye that is repeated is still acknowledged
    world.rest(1)
    assert stages(world) == []
    assert world.events_of("client_ended")[0]["reason"] == "peer_exit"
    assert len(world.port) == 0
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


@pytest.mark.parametrize("seed", range(4))
def test_three_clients_on_a_bad_link(seed: int) -> None:
    world = DatagramWorld(profile("tls-crypt", ping_timeout_s=0), LOSSY, seed)
    clients = [world.client(kit("tls-crypt"), number) for number in (1, 2, 3)]
    world.run(lambda: all(one.established for one in clients), 60)
    assert len({peer.peer_id for peer in world.table.clients.values()}) == 3
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


def test_a_first_datagram_under_another_key_leaves_one_line_and_nothing_else() -> None:
    world = DatagramWorld(profile("tls-crypt"))
    client = world.client(kit("tls-auth"))
    world.rest(1)
    assert stages(world) == []
    assert not client.server_sid
    [line] = world.events_of("peer_rejected")
    assert (line["peer"], line["reason"]) == ("192.0.2.1:1001", "bad_control_packet")
    assert "tls-auth" in str(line["detail"])


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


def test_hard_resets_alone_leave_nothing() -> None:
    """Spoofed first datagrams with the right key are answered, within their rates."""
    world = DatagramWorld()
    for number in range(1, 40):
        client = ModelClient(kit())
        client.start(world.now)
        [reset] = client.poll(world.now)
        world.arrive(Endpoint(bytes((192, 0, 2, number)), 1), reset)
    world.step()
    assert (len(world.table), len(world.port)) == (0, 0)
    assert world.counters.stats[Stat.UDP_COOKIES_SENT] == PER_PREFIX
    assert world.dropped(DropReason.INITIAL_CROWDED) == 39 - PER_PREFIX


def test_old_clients_that_begin_and_stop_are_bounded() -> None:
    """OpenVPN 2.5 with tls-crypt-v2 has a session from its first packet on."""
    limits = replace(Limits(), datagrams=replace(DatagramLimits(), unproven=5))
    world = DatagramWorld(profile("tls-crypt-v2"), limits=limits)
    for number in range(1, 19):
        client = world.client(kit("tls-crypt-v2"), number)
        client.early_negotiation = False
        world.rest(0.0015)
        world.clients.clear()
    assert len(world.table) == 5
    assert world.dropped(DropReason.INITIAL_CROWDED) == 18 - 5
    world.rest(70)
    assert (len(world.table), len(world.port)) == (0, 0)


def test_an_old_client_with_its_own_key_is_served() -> None:
    world = DatagramWorld(profile("tls-crypt-v2"))
    client = world.client(kit("tls-crypt-v2"))
    client.early_negotiation = False
    world.run(lambda: client.established, 5)
    assert echoes(world, client, 3) == 3


def test_force_cookie_refuses_old_clients() -> None:
    settings = profile("tls-crypt-v2")
    world = DatagramWorld(replace(settings, wrap=replace(settings.wrap, v2_force_cookie=True)))
    old, new = world.client(kit("tls-crypt-v2"), 1), world.client(kit("tls-crypt-v2"), 2)
    old.early_negotiation = False
    world.run(lambda: new.established, 5)
    assert stages(world) == [Stage.ESTABLISHED]
    assert "force-cookie" in str(world.events_of("peer_rejected")[0]["detail"])


# -- moves -----------------------------------------------------------------------------------------------------------

ELSEWHERE = Endpoint(bytes((198, 51, 100, 9)), 4000)


def connected(world: DatagramWorld, number: int = 1) -> tuple[ModelClient, Peer]:
    client = world.client(kit(), number)
    world.run(lambda: client.established, 5)
    world.rest(0.1)
    peer = world.table.with_session(next(at for at, one in world.clients.items() if one is client), client.sid)
    assert peer is not None
    return client, peer


def test_a_client_that_moves_goes_on() -> None:
    world = DatagramWorld()
    client, peer = connected(world)
    world.move(client, ELSEWHERE)
    assert echoes(world, client, 3) == 3
    assert peer.name == "198.51.100.9:4000"
    assert world.table.with_session(ELSEWHERE, client.sid) is peer
    [line] = world.events_of("client_floated")
    assert (line["before"], line["peer"]) == ("192.0.2.1:1001", "198.51.100.9:4000")
    world.rest(11)
    client.renegotiate(world.now)
    world.run(lambda: 1 in client.data_keys, 10)
    assert world.counters.stats[Stat.UDP_FLOATS] == 1


def test_only_the_newest_authentic_packet_moves_a_client() -> None:
    world = DatagramWorld()
    client, peer = connected(world)
    held_back = client.seal(PACKET)
    old = client.seal(PACKET)
    [home] = world.clients
    world.arrive(home, old)
    world.step()
    forged = bytearray(client.seal(PACKET))
    forged[-1] ^= 1
    for record in (old, bytes(forged), held_back, old[:4], old[:1], held_back + b"x"):
        world.arrive(ELSEWHERE, record)
        world.step()
    assert peer.transport.endpoint == home
    assert world.events_of("client_floated") == []
    world.arrive(ELSEWHERE, client.seal(PACKET))
    world.step()
    assert peer.transport.endpoint == ELSEWHERE


def test_a_client_moves_once_a_second_at_most() -> None:
    world = DatagramWorld()
    client, peer = connected(world)
    [home] = world.clients
    for there, expected in ((ELSEWHERE, ELSEWHERE), (home, ELSEWHERE)):
        world.arrive(there, client.seal(PACKET))
        world.step()
        assert peer.transport.endpoint == expected
    world.rest(1)
    world.arrive(home, client.seal(PACKET))
    world.step()
    assert peer.transport.endpoint == home


def test_inner_tcp_is_clamped_for_a_client_as_long_as_it_is_there() -> None:
    world = DatagramWorld()
    _, peer = connected(world)
    address = peer.address
    assert world.table.mss == {address: 1400}  # OpenVPN's value for AES-GCM over UDP
    world.clients.clear()
    world.run(lambda: stages(world) == [], 100)
    assert world.table.mss == {}


def test_nobody_moves_to_the_address_of_another_client() -> None:
    world = DatagramWorld()
    alice, first = connected(world, 1)
    _, second = connected(world, 2)
    world.arrive(second.transport.endpoint, alice.seal(PACKET))
    world.step()
    assert first.transport.endpoint != second.transport.endpoint
    assert world.dropped(DropReason.FLOAT_REFUSED) == 1


def test_a_client_goes_back_when_its_new_address_is_anothers() -> None:
    """A host that relays its packet and logs in at the same port has drawn it there, and ends nothing."""
    world = DatagramWorld()
    alice, peer = connected(world)
    home = peer.transport.endpoint
    world.arrive(ELSEWHERE, alice.seal(PACKET))
    world.step()
    assert peer.transport.endpoint == ELSEWHERE
    peer.transport.send([bytes(1400)])
    ports = (1194).to_bytes(2, "big") + ELSEWHERE.port.to_bytes(2, "big") + (1408).to_bytes(2, "big")
    quoted = bytes.fromhex("45000594000040004011 0000 0a000002") + ELSEWHERE.address + ports + bytes(2)
    world.port.icmp_error(3, 4, 1000, quoted, world.now)
    assert world.table.mss[peer.address] < 1000
    world.rest(0.1)
    mallory = world.clients[ELSEWHERE] = ModelClient(kit())
    mallory.start(world.now)
    world.run(lambda: mallory.established, 5)
    world.rest(0.1)
    assert (stages(world), peer.transport.endpoint) == ([Stage.ESTABLISHED] * 2, home)
    assert world.table.mss[peer.address] == 1400
    assert echoes(world, alice, 3) == 3
    assert echoes(world, mallory, 3) == 3


# -- one address, two sessions ---------------------------------------------------------------------------------------


def test_a_client_that_begins_again_at_its_address_replaces_itself_once_it_is_authenticated() -> None:
    world = DatagramWorld()
    _, peer = connected(world)
    [home] = world.clients
    new = world.clients[home] = ModelClient(kit())
    new.start(world.now)
    world.run(lambda: len(world.port) == 2, 1)
    assert stages(world) == [Stage.ESTABLISHED, Stage.HANDSHAKE]
    world.run(lambda: new.established, 3)
    world.rest(0.1)
    assert peer.stage is Stage.GONE
    assert echoes(world, new, 3) == 3
    assert len(world.port) == 1


def test_at_the_end_every_client_is_told_and_its_acknowledgement_waited_for() -> None:
    world = DatagramWorld(quality=Quality(loss=0.25), seed=5)
    client = world.client(kit())
    world.run(lambda: client.established, 60)
    world.service.stop(world.now, UNIX)
    world.run(lambda: stages(world) == [], 2.5)
    world.rest(1)
    assert client.messages[-1] == "RESTART,[P]:the server restarts"


def test_a_client_that_does_not_answer_is_waited_for_two_seconds() -> None:
    world = DatagramWorld()
    connected(world)
    world.clients.clear()
    world.service.stop(world.now, UNIX)
    world.rest(1.9)
    assert stages(world) == [Stage.ESTABLISHED]
    world.rest(0.2)
    assert stages(world) == []


def test_a_client_that_has_said_goodbye_is_not_waited_for() -> None:
    world = DatagramWorld()
    client, _ = connected(world)
    client.say("EXIT", world.now)
    world.rest(0.1)
    assert stages(world) == [Stage.ESTABLISHED]
    world.service.stop(world.now, UNIX)
    world.run(lambda: stages(world) == [], 0.1)
    assert world.events_of("client_ended")[0]["reason"] == "peer_exit"


def test_a_client_that_is_cut_hears_of_it_though_the_first_word_is_lost() -> None:
    world = DatagramWorld()
    client, peer = connected(world)
    [home] = world.clients
    world.clients.clear()
    disabled = ClientPolicy(clients={"alice": ClientSettings(disable=True)}, duplicate_cn=True)
    world.service.apply(profile().over("udp"), disabled, (0, 0))
    world.rest(1)
    assert (peer.address, len(world.table.clients)) == (b"", 0)
    world.clients[home] = client
    world.run(lambda: client.messages[-1].startswith("AUTH_FAILED"), 3)
    world.run(lambda: stages(world) == [], 5)


def test_tcp_is_known_to_one_module_of_the_service() -> None:
    importers = set()
    for path in Path(hognose.vpn.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(name.startswith("hognose.tcp") for name in names):
                importers.add(path.name)
    assert importers == {"streams.py"}
