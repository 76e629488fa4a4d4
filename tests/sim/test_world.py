"""Worlds of a few seeds; and worlds whose gateway is broken on purpose, which must be noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.sim.world import SimWorld, WorldSettings

from hognose.drops import DropReason, Stat
from hognose.gateway.gateway import GatewayState
from hognose.openvpn.session import SessionState


def check_slow_path(world: SimWorld, *, closed: int) -> None:
    """TCP met what its fast path does not take, and did what is due; without that a world goes on all the same.

    Seen from the clients' side: the FINs of both were exchanged, what the gateway reported beyond a gap counted when
    the gap was filled. closed: as many connections at least ended by FIN, and as many by RST.
    """
    facts, stats = world.facts, world.counters.stats
    assert facts["FINs exchanged"] >= closed
    assert facts["connections reset"] >= closed
    assert facts["ended: peer_closed"] >= 4
    assert facts["gaps filled"] >= 15
    assert stats[Stat.TCP_RECOVERIES] >= 2  # each begins with SACK blocks


@pytest.mark.parametrize("seed", range(1, 7))
def test_world(seed: int) -> None:
    world = SimWorld(WorldSettings(seed, clients=6, hours=0.3))
    world.run()
    facts, stats = world.facts, world.counters.stats
    # It was a world in which something happened.
    assert facts["sessions established"] >= 10
    assert facts["answers"] >= 400
    assert facts["partitions"] >= 2
    assert facts["attacks"] >= 150
    assert facts["sessions at the end"] >= 3
    assert stats[Stat.RENEGOTIATIONS] >= 8
    assert stats[Stat.TCP_TIMEOUTS] >= 5
    check_slow_path(world, closed=5)


@pytest.mark.parametrize("seed", [1, 3])
def test_world_with_too_few_addresses_and_new_configs(seed: int) -> None:
    """Addresses go from name to name, clients are refused and cut while they are connected."""
    world = SimWorld(WorldSettings(seed, clients=6, hours=0.3, pool=4, mean_reload=60))
    world.run()
    facts, stats, drops = world.facts, world.counters.stats, world.counters.drops
    assert facts["reloads"] >= 10
    assert facts["client_cut"] >= 1
    assert stats[Stat.NAT_FLOWS_FORGOTTEN] >= 20
    assert min(drops[DropReason.POOL_EXHAUSTED], drops[DropReason.CLIENTS_FULL]) >= 5
    assert facts["sessions at the end"] >= 2
    check_slow_path(world, closed=3)


@pytest.mark.parametrize(("seed", "pool", "reload"), [(1, 0, 0), (2, 3, 60)])
def test_world_with_new_gateways_that_get_the_state(seed: int, pool: int, reload: float) -> None:
    """Flows, connections with losses under way, and data keys go on; every session that goes on has new keys soon."""
    world = SimWorld(
        WorldSettings(seed, clients=4, hours=0.15, mean_act=8, pool=pool, mean_reload=reload, mean_restore=15)
    )
    world.run()
    facts, stats = world.facts, world.counters.stats
    assert facts["restores"] >= 15
    assert facts["sessions restored"] >= 25
    assert facts["restored, then client_renegotiated"] >= 0.7 * facts["sessions restored"]
    assert facts["answers"] >= 200
    assert stats[Stat.TCP_RECOVERIES] >= 2
    assert world.counters.drops[DropReason.NO_DATA_KEY] == 0


def _forgets_the_flows(state: GatewayState) -> GatewayState:
    table = replace(state.nat.table, flows=(), wheel=(), resting=(), ending=())
    return replace(state, nat=replace(state.nat, table=table))


def _forgets_a_client(state: GatewayState) -> GatewayState:
    return replace(state, service=replace(state.service, peers=state.service.peers[1:]))


def _forgets_data_keys(state: GatewayState) -> GatewayState:
    def keyless(session: SessionState) -> SessionState:
        return replace(session, data=replace(session.data, keys=()))

    peers = tuple(replace(peer, session=keyless(peer.session)) for peer in state.service.peers)
    return replace(state, service=replace(state.service, peers=peers))


@pytest.mark.parametrize("forgets", [_forgets_the_flows, _forgets_a_client, _forgets_data_keys])
def test_what_a_new_gateway_was_not_told_is_noticed(forgets: Callable[[GatewayState], GatewayState]) -> None:
    world = SimWorld(WorldSettings(1, clients=4, hours=0.15, mean_act=8, mean_restore=15))
    world.on_the_way = forgets
    with pytest.raises(AssertionError, match=r"python -m tests\.sim\.world --seed 1 .* --restore 15"):
        world.run()


def _loses_a_packet(world: SimWorld) -> None:
    downlink, count = world.gateway.service.downlink, [0]
    inner = downlink.deliver

    def deliver(to_clients: dict[bytes, list[bytes]]) -> int:
        kept = {}
        for address, packets in to_clients.items():
            count[0] += 1
            if count[0] % 40:
                kept[address] = packets
        return inner(kept)

    downlink.deliver = deliver  # type: ignore[method-assign]  # a spy


def _takes_another_client(world: SimWorld) -> None:
    downlink, count = world.gateway.service.downlink, [0]
    inner = downlink.deliver

    def deliver(to_clients: dict[bytes, list[bytes]]) -> int:
        queued = 0
        for address, packets in to_clients.items():
            count[0] += 1
            others = [one for one in world.gateway.service.table.clients if one != address]
            queued += inner({others[0] if count[0] % 40 == 0 and others else address: packets})
        return queued

    downlink.deliver = deliver  # type: ignore[method-assign]  # a spy


def _repeats_a_packet(world: SimWorld) -> None:
    downlink = world.gateway.service.downlink
    inner = downlink.deliver
    downlink.deliver = lambda to_clients: inner(  # type: ignore[method-assign]  # a spy
        {address: packets * 2 for address, packets in to_clients.items()}
    )


def _raises(world: SimWorld) -> None:
    count = [0]

    def forward(peer: object, packets: list[bytes], now: int) -> None:
        count[0] += 1
        if count[0] == 40:
            raise KeyError(1)

    world.gateway.service._forward = forward  # type: ignore[assignment, method-assign]  # a spy


def _forgets_no_flow(world: SimWorld) -> None:
    world.gateway.service.admissions._nat.forget = lambda client: None  # type: ignore[method-assign]  # a spy
    world.gateway.service.admissions._nat.handle_deadline = lambda now: None  # type: ignore[method-assign]  # a spy


@pytest.mark.parametrize(
    "fault", [_loses_a_packet, _takes_another_client, _repeats_a_packet, _raises, _forgets_no_flow]
)
def test_what_is_broken_is_noticed(fault: Callable[[SimWorld], None]) -> None:
    world = SimWorld(WorldSettings(1, clients=4, hours=0.15))
    fault(world)
    with pytest.raises(AssertionError, match=r"python -m tests\.sim\.world --seed 1 "):
        world.run()
