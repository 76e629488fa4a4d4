"""A client over datagrams that roams between paths of different MTUs, on a link that loses, repeats and reorders."""

from __future__ import annotations

import random

import pytest
from tests.sim.datagram_world import DatagramWorld
from tests.sim.test_datagrams import connected
from tests.unit.openvpn.link import Quality

from hognose.address import Endpoint
from hognose.drops import DropReason, Stat
from hognose.units import SECOND

OVERHEAD = 28 + 24  # outer headers, and those of an AES-GCM packet
SIZES = [1500, 1492, 1400, 1280, 1006, 600]


@pytest.mark.parametrize("seed", range(3))
def test_every_path_is_learned_anew(seed: int) -> None:
    rng = random.Random(seed)
    world = DatagramWorld(quality=Quality(loss=0.1, repeat=0.1, reorder=0.1), seed=seed)
    client, peer = connected(world)
    learned = 0
    for turn in range(1, 9):
        mtu = rng.choice(SIZES)
        there = Endpoint(bytes((198, 51, 100, turn)), rng.randrange(1, 65_536))
        world.rest(1.1)  # a client moves once a second at most
        world.mtu = {there: mtu}
        world.move(client, there)
        while peer.transport.endpoint != there:
            client.send(bytes(100))
            world.rest(0.2)
        assert (peer.transport.record_limit, world.table.mss[peer.address]) == (0, 1400)
        world.refused.clear()
        for _ in range(30):
            client.send(bytes(1448))  # 1500 outside
            world.rest(0.05)
        fits = mtu - OVERHEAD
        world.rest(0.5)
        if mtu < 1500:
            learned += 1
            assert peer.transport.record_limit == mtu - 28
            assert world.router.limits == {fits}
            assert world.table.mss[peer.address] == min(1400, fits - 40)
            assert 1 <= len(world.refused) <= 3, "of those that were on their way"
        else:
            assert (peer.transport.record_limit, world.refused) == (0, [])
        world.router.limits.clear()
        client.packets.clear()
        for _ in range(20):
            client.send(bytes(fits))
            world.rest(0.02)
        world.rest(0.5)
        assert client.packets.count(bytes(fits)) >= 10
        assert world.router.limits == set()
    assert learned >= 3
    assert world.counters.stats[Stat.UDP_PATHS_NARROWED] == learned
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


def test_a_path_is_tried_again_after_ten_minutes() -> None:
    world = DatagramWorld()
    client, peer = connected(world)
    [home] = world.clients
    world.mtu = {home: 1400}
    for expected in (1, 2):
        client.send(bytes(1448))
        world.rest(0.1)
        assert (len(world.refused), peer.transport.record_limit) == (expected, 1372)
        until = world.now + 599 * SECOND
        while world.now < until:
            client.send(bytes(1448))
            world.rest(10)
        assert (len(world.refused), peer.transport.record_limit) == (expected, 1372)
        world.rest(1)
