"""A server whose state is exported and restored into a new one goes on as if nothing had been."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from typing import Any

import pytest
from tests.sim.reference_peer import PeerSettings
from tests.sim.tcp_world import TcpWorld
from tests.unit.tcp.tcp_script import CLIENT_PORT, MS, Script
from tests.world.impairment import Impairment

from hognose.base.fair_table import FairTable
from hognose.errors import LocalError
from hognose.limits import TcpLimits
from hognose.tcp.export import Items, Part, Surrounding, TcpServerState, made_of, part_of
from hognose.tcp.rtt import RttEstimator
from hognose.tcp.server import TcpServer

BYTES = random.Random(7).randbytes(300_000)
BAD = Impairment(loss=0.03, delay_ns=15 * MS, jitter_ns=MS // 10, duplicate=0.01, reorder=0.03, reorder_ns=8 * MS)


class Wandering(TcpWorld):
    """A world whose server is replaced at each moment by a new one with its state, if `moving`."""

    def __init__(self, moving: bool, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.moving = moving
        self.moves = 0
        self.moved_at = -1
        self.packets = hashlib.sha256()

    def exchange(self) -> None:
        super().exchange()
        if self.moving and self.now > self.moved_at:
            self.move()

    def move(self) -> None:
        state = self.server.export()
        limits, counters = TcpLimits(), self.counters
        server = TcpServer(
            address=bytes((10, 0, 0, 2)), port=1194, mtu=1500, limits=limits, secret=state.secret, now=self.now,
            random=bytes, counters=counters,
        )  # fmt: skip
        server.restore(state)
        for part, connection in zip(state.connections, server.connections, strict=True):
            old, new = dict(part.slots), dict(part_of(connection).slots)
            assert (new["_snd"], new["_rcv"]) == (old["_snd"], old["_rcv"])
        if self.connection is not None and self.connection.close_reason is None:
            [self.connection] = server.connections
        self.server = server
        self.moves += 1
        self.moved_at = self.now

    def send_down(self, outgoing):
        self.packets.update(self.now.to_bytes(8, "big") + b"".join(outgoing[2]))
        super().send_down(outgoing)


PEERS = {
    "sack": PeerSettings(),
    "newreno": PeerSettings(sack=False),
    "ancient": PeerSettings(sack=False, timestamps=False, scale=None, window=8192, mss=536),
    "slow": PeerSettings(window=20_000, read_rate=100),
}


@pytest.mark.parametrize("peer", PEERS.values(), ids=list(PEERS))
def test_every_packet_is_the_same_with_a_new_server_after_each_step(peer):
    """Sequence numbers, timers, SACK board, RTT, congestion window, queues: one forgotten changes some packet."""
    found = []
    for moving in (False, True):
        world = Wandering(moving, up=BYTES[:100_000], down=BYTES, link=BAD, seed=3, peer=peer)
        world.run()
        assert bytes(world.received) == BYTES[:100_000]
        assert bytes(world.peer.received) == BYTES
        assert [connection.close_reason.name for connection in world.closed] == ["FINISHED"]
        found.append((world.packets.hexdigest(), world.now, world.counters.non_zero()))
    assert world.moves > 100
    assert found[0][2]["tcp_retransmits"] > 5
    assert found[0] == found[1]


def test_delay_spikes_and_black_holes_are_remembered():
    link = Impairment(loss=0.005, delay_ns=20 * MS, rate_bps=20_000_000, stall_ns=600 * MS, stall_every_ns=1300 * MS)
    found = []
    for moving in (False, True):
        world = Wandering(moving, up=b"", down=BYTES * 4, link=link, seed=4, peer=PeerSettings(window=128 * 1024))
        world.run()
        found.append((world.packets.hexdigest(), world.counters.non_zero()))
    assert found[0][1]["tcp_spurious_timeouts"] > 0
    assert found[0] == found[1]


# -- the state itself --------------------------------------------------------------------------------------------------


def moved(script: Script, silent: FairTable[bytes] | None = None, **changes: Any) -> TcpServerState:
    """Replace the script's server by one with its state; returns the state."""
    state = script.server.export()
    arguments: dict[str, Any] = {"limits": TcpLimits(), "secret": state.secret, "silent": silent} | changes
    script.server = TcpServer(
        address=bytes((10, 0, 0, 2)), port=1194, mtu=1500, now=script.now, random=bytes, counters=script.counters,
        **arguments,
    )  # fmt: skip
    script.server.restore(state)
    return state


def plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(plain, value))
    if isinstance(value, Items | Part | TcpServerState):
        return all(plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    return value is None or type(value) in (int, float, bool, str, bytes, Surrounding)


def test_a_state_is_plain_and_is_the_same_again():
    script = Script()
    script.open(after=40)
    script.write(bytes(30_000), 1000)
    script.poll()
    script.send("A", ack=1, sack=((1449, 2897), (4345, 20_000)))
    script.send("PA", b"later", seq=100)
    script.poll()
    script.take()
    state = moved(script)
    assert plain(state)
    script.poll()
    assert script.server.export() == state


def test_what_waited_is_readable_at_the_new_server():
    script = Script()
    script.open()
    script.send("PA", b"hello")
    script.poll()
    moved(script)
    assert script.take() == b"hello"
    assert [conn.id for conn in script.server.connections] == [1]
    script.port += 1
    assert script.open().id == 2, "ids go on"


def test_half_open_silent_and_time_wait_entries_move_too():
    limits = TcpLimits(half_open=4)
    script = Script(limits=limits, silent=FairTable(8, 8, 8))
    isns = []
    for number in range(3):
        script.port = CLIENT_PORT + number
        script.syn()
        isns.append(script.iss)
        script.send("A")  # silent now
    script.port += 1
    script.syn()  # half open
    script.port += 1
    script.syn()
    before = script.server.sizes()
    assert (before.half_open, before.silent) == (2, 3)
    moved(script, silent=FairTable(8, 8, 8), limits=limits)
    assert script.server.sizes() == before
    script.send("A")
    script.send("PA", b"speaks")
    assert script.take() == b"speaks"
    script.port, script.iss, script.next, script.seen = CLIENT_PORT, isns[0], 1, 1
    script.send("PA", b"me too")
    assert script.take() == b"me too"
    assert len(script.server.accepted()) == 2


def test_cookies_are_good_at_the_new_server_and_spent_ones_are_not():
    limits = TcpLimits(half_open=0)
    script = Script(limits=limits)
    script.syn()
    moved(script, limits=limits)
    script.send("A")
    script.poll()
    assert len(script.server.accepted()) == 1


def test_time_wait_goes_on():
    script = Script()
    script.open()
    script.conn.close(script.now)
    script.poll()
    script.send("FA")
    script.poll()
    assert len(script.server.closed()) == 1
    assert script.server.sizes().time_wait == 1
    moved(script)
    script.send("FA", seq=script.next - 1)
    assert [segment.flags for segment in script.poll()] == ["A"]
    script.wait(61_000)
    assert script.server.sizes().time_wait == 0


def test_a_state_in_the_middle_of_a_step_is_refused():
    script = Script()
    script.open()
    script.send("PA", b"x")
    with pytest.raises(LocalError, match="in the middle of a step"):
        script.server.export()


def test_a_state_of_another_secret_or_version_is_refused():
    script = Script()
    script.open()
    state = script.server.export()
    with pytest.raises(ValueError, match="of another secret"):
        moved(script, secret=bytes(range(32)))
    [part] = state.connections
    script.server = Script().server
    with pytest.raises(ValueError, match="of this version"):
        script.server.restore(dataclasses.replace(state, connections=(Part(part.kind, part.slots[1:]),)))


def test_what_is_no_engine_has_no_state():
    with pytest.raises(TypeError, match="FairTable has no place"):
        part_of(FairTable(1, 1, 1))
    with pytest.raises(ValueError, match="not one of a RttEstimator"):
        made_of(RttEstimator, Part("Cubic", ()))
