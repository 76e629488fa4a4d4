"""No batch of datagrams makes a step longer than its budget, of a client or of strangers, and another client is served.

test_step_work.py does so for streams; the budget is the same.
"""

from __future__ import annotations

import pytest
from tests.sim.segments import ipv4_int
from tests.sim.test_step_work import MOST_CALLS
from tests.sim.world_peer import echo_request
from tests.sim.worst_datagrams import CLIENTS, WORST, Attack, begin, steps_of

from hognose.drops import DropReason
from hognose.limits import DatagramLimits, StepLimits


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


@pytest.mark.parametrize("name", WORST)
def test_a_batch_of_datagrams(name: str) -> None:
    attack = begin(CLIENTS if name.startswith("moves") else 2)
    costs = steps_of(attack, WORST[name](attack))
    assert max(cost.calls for cost in costs) <= MOST_CALLS
    unharmed(attack)


@pytest.mark.parametrize("name", ["new_flows", "super_frames", "super_frames_of_a_byte"])
def test_a_client_alone_loses_none_of_what_the_device_gives(name: str) -> None:
    """However they come: its queue is worked off as fast as it is filled, and the rest waits in the device."""
    attack = begin()
    steps_of(attack, WORST[name](attack))
    assert attack.world.dropped(DropReason.DATAGRAM_QUEUE_FULL) == 0
    assert StepLimits().datagrams <= DatagramLimits().waiting_of_client


def test_a_burst_is_one_batch() -> None:
    """The first step takes all 512 datagrams, and each step works on 128; 64 at a time would be eight steps."""
    attack = begin()
    assert len(steps_of(attack, WORST["new_flows"](attack))) == 4
