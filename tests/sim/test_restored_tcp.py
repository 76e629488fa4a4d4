"""A world whose TCP server is exported and restored again and again: no client notices."""

from __future__ import annotations

import pytest
from tests.sim.world import LIMITS, UPLINK, SimWorld, WorldSettings

from hognose.base.fair_table import FairTable
from hognose.drops import Stat
from hognose.errors import LocalError
from hognose.tcp.server import TcpServer
from hognose.vpn.streams import StreamTransport

EVERY = 7  # steps


class Moved(SimWorld):
    """After every seventh step, the gateway's TCP is a new server's, made of the state of the one before."""

    steps = moves = connections = half_open = silent = 0

    def _check_step(self) -> None:
        super()._check_step()
        self.steps += 1
        if self.steps % EVERY == 0:
            self._move()

    def _move(self) -> None:
        server = self.gateway._tcp[0]
        try:
            state = server.export()
        except LocalError:
            return  # poll has ended a connection, and the gateway will hear of it in its next step
        handshake = LIMITS.handshake
        made = TcpServer(
            address=UPLINK.address, port=1194, mtu=1500, limits=LIMITS.tcp, secret=state.secret, now=self.now,
            random=bytes, counters=self.counters, broadcasts=UPLINK.prefix.broadcasts,
            silent=FairTable(handshake.silent, handshake.per_address, handshake.per_prefix),
        )  # fmt: skip
        made.restore(state)
        assert made.sizes().connections == server.sizes().connections
        vars(server).clear()
        vars(server).update(vars(made))  # all who know the server know the new one
        for peer in self.gateway.service.table.by_transport.values():
            conn = server.find(peer.transport.key)
            assert conn is not None
            assert conn.id == peer.transport.id
            assert isinstance(peer.transport, StreamTransport)
            peer.transport._conn = conn
        self.moves += 1
        self.connections += len(state.connections)
        self.half_open += sum(map(len, state.half_open))
        self.silent += len(state.silent)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_world_goes_on_with_restored_servers(seed: int) -> None:
    world = Moved(WorldSettings(seed, clients=6, hours=0.3))
    world.run()
    facts, stats = world.facts, world.counters.stats
    assert world.moves > 1000
    assert world.connections > 2 * world.moves
    assert world.silent > 100
    assert facts["sessions established"] >= 10
    assert facts["answers"] >= 400
    assert facts["sessions at the end"] >= 3
    assert stats[Stat.RENEGOTIATIONS] >= 8
    assert stats[Stat.TCP_TIMEOUTS] >= 5
    assert stats[Stat.TCP_RECOVERIES] >= 2
