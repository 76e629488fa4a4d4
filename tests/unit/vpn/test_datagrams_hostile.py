"""Datagrams of strangers and clients by which others would lose: floods, odd sizes, sessions at one address."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
from tests.sim.datagram_world import DatagramWorld
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import START, kit, profile
from tests.unit.vpn.test_datagrams import HOME as CLIENT
from tests.unit.vpn.test_datagrams import Place, data, key_of
from tests.world.today import UNIX

from hognose.address import Endpoint
from hognose.drops import DropReason
from hognose.settings import RenegotiationSettings
from hognose.vpn.stateless_handshake import StatelessHandshake

HOME = Endpoint(bytes((192, 0, 2, 1)), 1001)


def proven(world: DatagramWorld, endpoint: Endpoint = HOME) -> ModelClient:
    """A client that has proved its address and says nothing more."""
    client = ModelClient(kit())
    client.start(world.now)
    world.arrive(endpoint, client.poll(world.now)[0])
    world.service.run(world.now, UNIX)
    [(_, _, (_, answer))] = world.port.poll(world.now)
    client.receive(answer, world.now)
    world.arrive(endpoint, client.poll(world.now)[0])
    world.service.run(world.now, UNIX)
    world.port.poll(world.now)
    return client


@pytest.mark.parametrize("sessions", [2, 3, 5])
def test_several_sessions_at_one_address_end_in_time_and_hold_nothing(sessions: int) -> None:
    world = DatagramWorld()
    for _ in range(sessions):
        proven(world)
        world.rest(0.1)
    assert world.service.scheduler.sizes == (0, 2)
    world.rest(70)
    assert (len(world.table), len(world.port), world.service.scheduler.sizes) == (0, 0, (0, 0))
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


def test_sessions_at_one_address_are_served_in_turns_of_strangers() -> None:
    """The second one's entry is not the first one's, whose end leaves it where it is."""
    world = DatagramWorld()
    proven(world)
    world.rest(30)
    proven(world)
    peers = list(world.table.by_transport.values())
    assert [world.service.scheduler.holds(peer) for peer in peers] == [True, True]
    world.rest(40)
    [left] = world.table.by_transport.values()
    assert left is peers[1]
    assert world.service.scheduler.holds(left)


@pytest.mark.parametrize("datagram", [b"", b"\x48", b"\x4f", b"\x48\0", b"\x48\0\0", b"\x38"])
def test_short_datagrams_of_one_that_is_not_authenticated(datagram: bytes) -> None:
    place = Place()
    stranger = place.transport()
    place.take(datagram)
    assert not stranger.has_input
    assert place.drops() == {"NO_SESSION": 1}


@pytest.mark.parametrize("size", [2048, 2049, 20_000, 65_507])
def test_a_datagram_is_no_larger_than_a_record(size: int) -> None:
    place = Place()
    alice, _ = place.client()
    place.take(data(5, bytes(size - 4)))
    assert alice.has_input == (size == 2048)
    assert place.drops() == ({} if size == 2048 else {"BAD_FRAME_LENGTH": 1})


@pytest.mark.parametrize(("segment", "taken"), [(1004, 3), (2048, 1), (2049, 0), (65_000, 0)])
def test_a_super_frame_may_be_larger_than_a_record(segment: int, taken: int) -> None:
    place = Place()
    alice, _ = place.client()
    place.take(data(5, bytes(1000)) * 3, gso=segment, trusted=True)
    assert len(alice.take(9)) == taken


def test_strangers_leave_clients_half_of_what_may_wait() -> None:
    place = Place(waiting=64, waiting_at_first=8)
    alice, _ = place.client()
    strangers = [place.transport(("198.51.100.1", port)) for port in range(1, 7)]
    for stranger in strangers:
        for _ in range(20):
            place.take(b"\x20" + stranger.remote_id + bytes(20), ("198.51.100.1", stranger.endpoint.port))
    assert place.port.waiting == 32 + 2 * 2  # two of each have room in any case
    for _ in range(40):
        place.take(data(5))
    assert len(alice.waiting) == 28


def test_clients_that_flood_leave_a_client_its_first_datagrams() -> None:
    place = Place(waiting=64, waiting_at_first=8)
    alice, _ = place.client()
    for number in range(6, 10):
        place.client(("198.51.100.1", number), number)
        for _ in range(99):
            place.take(data(number), ("198.51.100.1", number))
    assert place.port.waiting == 64 + 3 * 8
    for _ in range(40):
        place.take(data(5))
    assert len(alice.waiting) == 8


@pytest.mark.parametrize(
    ("source", "port"), [("10.0.0.2", 9), ("10.0.0.255", 9), ("255.255.255.255", 9), ("224.0.0.1", 9), ("192.0.2.8", 0)]
)
def test_no_client_moves_to_what_is_no_host(source: str, port: int) -> None:
    place = Place()
    alice, _ = place.client()
    place.take(data(5), (source, port))
    assert not alice.has_input
    assert place.drops() == {"MARTIAN": 1}


def test_a_repeated_proof_in_one_step_makes_one_newcomer() -> None:
    place = Place()
    place.client()
    client = ModelClient(kit())
    client.start(START)
    place.take(client.poll(START)[0])
    place.accepted()
    client.receive(bytes(place.sent()[0].payload.payload), START)
    third = client.poll(START)[0]
    for _ in range(3):
        place.take(third)
    [made] = place.accepted()
    assert made.take(9) == [third] * 3
    assert place.port.closed() == []


def test_a_newcomer_that_was_replaced_takes_nothing_from_the_client() -> None:
    """Its turn may come in the step in which another newcomer has taken its place."""
    place = Place()
    old, _ = place.client()
    first, second = place.transport(), place.transport()
    first.trust(6)
    assert place.port.closed() == [first]
    assert (old.close_reason, second.close_reason) == ("", "")


def test_what_comes_for_a_transport_that_is_over_is_not_counted_for_ever() -> None:
    place = Place()
    alice, _ = place.client()
    alice.close(START)
    alice.put(data(5))
    assert place.port.closed() == [alice]
    assert place.port.waiting == 0


def test_a_packet_that_breaks_the_handshake_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    look = StatelessHandshake.look

    def broken(handshake: StatelessHandshake, key: bytes, record: bytes, now: int, unix: int) -> object:
        if key == key_of(("192.0.2.66", 66)):
            raise ZeroDivisionError
        return look(handshake, key, record, now, unix)

    monkeypatch.setattr(StatelessHandshake, "look", broken)
    place = Place()
    for source in (("192.0.2.66", 66), CLIENT):
        place.take(b"\x38" + b"client!!" + bytes(5), source)
    assert place.accepted() == []
    assert len(place.sent()) == 1
    assert place.drops() == {"INTERNAL_ERROR": 1}


def test_a_client_that_vanishes_ends_without_keepalive() -> None:
    """No FIN tells of it; it leaves the server's renegotiation without an answer."""
    server = replace(profile(ping_timeout_s=0), renegotiation=RenegotiationSettings(reneg_s=300))
    world = DatagramWorld(server)
    client = world.client(kit())
    world.run(lambda: client.established, 5)
    world.rest(1)
    world.clients.clear()
    world.rest(500)
    assert (len(world.table), len(world.port)) == (0, 0)
    assert world.events_of("client_ended")[0]["reason"] == "peer_timeout"


# -- sessions without a proof ------------------------------------------------------------------------------------------


def first_packet(source: tuple[str, int], place: Place) -> ModelClient:
    """A hard reset of OpenVPN 2.5 with its own key, which may be a copy from a forged source."""
    client = ModelClient(kit("tls-crypt-v2"))
    client.early_negotiation = False
    client.start(START)
    place.take(client.poll(START)[0], source)
    return client


def test_what_may_be_forged_ends_no_session_that_has_proved_its_address() -> None:
    place = Place("tls-crypt-v2")
    established = ModelClient(kit("tls-crypt-v2"))
    for client in (established, ModelClient(kit("tls-crypt-v2"))):
        client.start(START)
        place.take(client.poll(START)[0])
        place.accepted()
        client.receive(bytes(place.sent()[0].payload.payload), START)
        place.take(client.poll(START)[0])
        [newcomer] = place.accepted()
    first_packet(CLIENT, place)
    assert place.accepted() == []
    assert newcomer.close_reason == ""
    assert place.drops() == {"INITIAL_CROWDED": 1}


def test_a_client_of_2_5_that_begins_again_takes_its_own_place() -> None:
    place = Place("tls-crypt-v2")
    for expected in (1, 2, 2):
        first_packet(CLIENT, place)
        assert len(place.accepted()) == 1
        assert len(place.port) == expected


def test_one_source_of_sessions_without_a_proof_ends_its_own() -> None:
    place = Place("tls-crypt-v2", unproven=6, unproven_of_address=2, unproven_of_prefix=4)
    for port in range(1, 9):
        first_packet(("198.51.100.1", port), place)
    place.accepted()
    assert len(place.port) == 2
    for host in range(2, 9):
        first_packet((f"198.51.100.{host}", 1), place)
    place.accepted()
    assert len(place.port) == 4
    for host in range(1, 4):
        first_packet((f"203.0.{host}.1", 1), place)
    assert len(place.accepted()) == 3
    assert len(place.port) == 6
    assert place.drops() == {"INITIAL_CROWDED": 6 + 5 + 1}


@pytest.mark.parametrize("how", ["ended", "authenticated"])
def test_sessions_that_end_or_are_authenticated_leave_their_place(how: str) -> None:
    place = Place("tls-crypt-v2", unproven=2)
    for host in (1, 2):
        first_packet((f"198.51.{host}.1", 1), place)
    made = place.accepted()
    for number, one in enumerate(made):
        if how == "ended":
            one.close(START)
        else:
            one.trust(number)
    for host in (3, 4):
        first_packet((f"198.51.{host}.1", 1), place)
    assert len(place.accepted()) == 2
    assert place.drops() == {}
    assert [one.close_reason for one in made] == ["closed" if how == "ended" else ""] * 2


class Deaf:
    """A host that has sent nothing and hears what it is sent."""

    def __init__(self) -> None:
        self.negotiations: dict[int, object] = {}
        self.heard: list[int] = []

    def poll(self, now: int) -> list[bytes]:
        return []

    def receive(self, record: bytes, now: int) -> None:
        self.heard.append(28 + len(record))


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_a_session_without_a_proof_sends_hardly_more_than_it_was_sent(copies: int) -> None:
    """IPv4 and UDP headers counted, in all of hand-window: the host at that address may not have asked."""
    world = DatagramWorld(profile("tls-crypt-v2"))
    client = ModelClient(kit("tls-crypt-v2"))
    client.early_negotiation = False
    client.start(world.now)
    [reset] = client.poll(world.now)
    victim = Deaf()
    world.clients[HOME] = cast(ModelClient, victim)
    for _ in range(copies):
        world.arrive(HOME, reset)
        world.rest(1)
    world.rest(70)
    assert len(world.table) == 0
    assert victim.heard
    assert sum(victim.heard) <= 1.3 * copies * (28 + len(reset))


# -- moves -------------------------------------------------------------------------------------------------------------


def test_a_client_moves_to_the_address_of_one_that_is_not_authenticated() -> None:
    """As a client does that its NAT gives the port of a handshake that was never finished."""
    place = Place()
    there = ("192.0.2.8", 8)
    alice, _ = place.client()
    older, newer = place.transport(there), place.transport(there)
    place.take(data(5), there)
    [(key, _)] = alice.take_roaming()
    assert alice.roam(key)
    assert (str(alice.endpoint), older.close_reason, newer.close_reason) == ("192.0.2.8:8", "replaced", "")
    place.take(data(5), there)
    place.take(b"\x20" + newer.remote_id + bytes(20), there)
    assert (len(alice.take(9)), len(newer.take(9))) == (1, 1)
    assert place.port.closed() == [older]
    assert len(place.port) == 2


def test_the_handshake_beside_a_client_that_moves_away_keeps_the_address() -> None:
    place = Place()
    there = ("192.0.2.8", 8)
    alice, _ = place.client()
    stranger = place.transport(there)
    assert alice.roam(key_of(there))
    assert alice.roam(key_of(CLIENT))
    place.take(b"\x20" + stranger.remote_id + bytes(20), there)
    assert len(stranger.take(9)) == 1
    assert len(place.port) == 2


def test_a_client_whose_new_address_is_anothers_goes_back() -> None:
    """One who relays its packets from his own port and logs in there ends no session of others."""
    place = Place()
    there = ("192.0.2.8", 8)
    alice, peer = place.client()
    place.table.greet(peer, alice.remote_id)
    mallory = place.transport(there)
    place.take(data(5), there)
    [(key, _)] = alice.take_roaming()
    before = alice.endpoint
    assert alice.roam(key)
    place.table.moved(peer, before)
    mallory.trust(6)
    assert place.port.closed() == []
    assert (str(alice.endpoint), str(mallory.endpoint)) == ("192.0.2.7:40000", "192.0.2.8:8")
    assert place.table.with_session(alice.endpoint, alice.remote_id) is peer
    assert place.table.with_session(mallory.endpoint, alice.remote_id) is None
    place.take(data(5))
    place.take(data(5), there)
    assert (len(alice.take(9)), alice.take_roaming()) == (1, [])
    alice.send([b"answer"])
    assert place.sent()[0].dst == "192.0.2.7"


@pytest.mark.parametrize("why", ["never moved", "taken meanwhile", "went back before"])
def test_a_client_that_has_no_address_to_go_back_to_is_over(why: str) -> None:
    place = Place()
    there = ("192.0.2.8", 8)
    alice, _ = place.client(there if why == "never moved" else CLIENT)
    if why != "never moved":
        assert alice.roam(key_of(there))
    if why == "taken meanwhile":
        place.transport(CLIENT)
    mallory = place.transport(there)
    mallory.trust(6)
    if why == "went back before":
        mallory.close(START)
        assert place.port.closed() == [mallory]
        place.transport(CLIENT).trust(7)
    assert place.port.closed() == [alice]
    assert len(place.port) == 1 + (why == "taken meanwhile")


def test_a_client_that_is_over_moves_nowhere() -> None:
    place = Place()
    alice, _ = place.client()
    alice.close(START)
    assert not alice.roam(key_of(("192.0.2.8", 8)))
    assert len(place.port) == 0
    assert place.drops() == {"FLOAT_REFUSED": 1}
