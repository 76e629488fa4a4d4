"""No input of one client makes a step longer than its budget, however it is held back and released.

Work is counted in calls of functions. The figures of an idle machine are in docs/performance.md
(`python -m tests.bench.steps`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sim import worst_inputs
from tests.sim.segments import ipv4_int
from tests.sim.world_peer import echo_request, udp_packet
from tests.sim.worst_inputs import BATCHES, STREAMS, Attack, begin, framed, steps_of, steps_of_batches
from tests.unit.gateway.gateway_world import OUTSIDE

from hognose.drops import DropReason
from hognose.limits import KIB, StepLimits
from hognose.vpn.turns import PRODUCED

MOST_CALLS = 25_000  # of a step; a record that opens a flow takes 88 of them
LIMITS = StepLimits()
STEPS = 8


def released(attack: Attack, make: Callable[[Attack], bytes]) -> int:
    """The dearest step after a stream is released, in calls."""
    return max(cost.calls for cost in steps_of(attack, make(attack)))


def unharmed(attack: Attack) -> None:
    """Bob is served, and nothing went wrong inside."""
    world, bob = attack.world, attack.bob
    world.rest(2)
    bob.take()
    assert bob.vpn is not None
    bob.vpn.send(echo_request(ipv4_int(bob.tunnel_address), ipv4_int("10.8.0.1"), b"bob"))
    world.frames()
    assert len(bob.take()) == 1
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


@pytest.mark.parametrize("make", STREAMS, ids=lambda make: make.__name__)
def test_released_streams(make: Callable[[Attack], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worst_inputs, "WINDOW", 250 * KIB)
    attack = begin("client-to-client")
    assert released(attack, make) <= MOST_CALLS
    unharmed(attack)


@pytest.mark.parametrize("name", BATCHES)
def test_batches_of_frames(name: str) -> None:
    attack = begin("client-to-client")
    frames = BATCHES[name](attack)[:640]
    assert max(cost.calls for cost in steps_of_batches(attack, frames)) <= MOST_CALLS
    unharmed(attack)


def test_a_released_stream_is_shared_out_over_steps() -> None:
    """Every step takes the records of the budget, not more; the last byte is worked on, too."""
    attack = begin()
    packet = udp_packet(attack.address, 5000, ipv4_int(OUTSIDE), 9, b"x")
    count = 3 * LIMITS.records + 7
    stream = b"".join(attack.sealed(packet) for _ in range(count))
    world = attack.world
    held, first = attack.alice.released(stream)
    world.gateway.step(held, world.now, 0)
    out = [len(world.gateway.step([first], world.now, 0))]
    while world.gateway.next_deadline() == world.now:
        out.append(len(world.gateway.step([], world.now, 0)))
    datagrams = count - len([size for size in out if size])  # acknowledgements apart
    assert sum(out) >= datagrams
    assert max(out) <= LIMITS.records + 2
    assert len(out) >= 4


def test_one_clients_stream_does_not_hold_up_another() -> None:
    """While alice's stream is worked on, each step answers bob at once."""
    attack = begin()
    world, bob = attack.world, attack.bob
    packet = udp_packet(attack.address, 5000, ipv4_int(OUTSIDE), 9, b"x")
    held, first = attack.alice.released(attack.flood(lambda n: packet))
    for at in range(0, len(held), 8):
        world.gateway.step(held[at : at + 8], world.now, 0)
    frames = [first]
    assert bob.vpn is not None
    ping = echo_request(ipv4_int(bob.tunnel_address), ipv4_int("10.8.0.1"), b"bob")
    for _ in range(20):
        bob.vpn.send(ping)
        frames += bob.poll()
        out = world.gateway.step(frames, world.now, 0)
        frames = []
        for pieces in out:
            frame = b"".join(pieces)
            if frame[26 + 16 : 26 + 20] == bytes((192, 0, 2, 12)):
                world.sent(frame)
        assert len(bob.take()) == 1
    assert world.gateway.next_deadline() == world.now, "alice's stream is not over"


def test_equal_shares_of_two_clients() -> None:
    """Both have more input than a step takes: a client has half of the records at most, fewer when they are dear."""
    attack = begin()
    world = attack.world
    alice, bob = attack.alice, attack.bob
    small = udp_packet(attack.address, 5000, ipv4_int(OUTSIDE), 9, b"x")
    large = udp_packet(ipv4_int(bob.tunnel_address), 5001, ipv4_int(OUTSIDE), 10, bytes(1000))
    frames = []
    for remote, packet in ((alice, small), (bob, large)):
        assert remote.vpn is not None
        stream = b"".join(framed(remote.vpn.seal(packet)) for _ in range(800))
        held, first = remote.released(stream)
        for at in range(0, len(held), 8):
            world.gateway.step(held[at : at + 8], world.now, 0)
        frames.append(first)
    sent = {9: 0, 10: 0}
    for _ in range(STEPS):
        for pieces in world.gateway.step(frames, world.now, 0):
            packet = b"".join(pieces)[26:]
            if packet[9] == 17:
                sent[int.from_bytes(packet[22:24], "big")] += 1
        frames = []
    most, least = LIMITS.records // 2, LIMITS.units // 2 // (1 + PRODUCED)
    for count in sent.values():  # both have dear records: a frame for each; the first turn's cost is not known yet
        assert STEPS * (least - 1) <= count <= most + STEPS * least
