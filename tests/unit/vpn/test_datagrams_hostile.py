"""What strangers and certified clients send to a UDP port of the VPN so that others lose by it."""

from __future__ import annotations

import pytest
from tests.sim.datagram_world import DatagramWorld
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import kit
from tests.unit.vpn.test_datagrams import Place
from tests.world.today import UNIX

from hognose.address import Endpoint
from hognose.drops import DropReason

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
