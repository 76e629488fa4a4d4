"""Inner packets toward clients: in order, to the right one, the newest dropped where a queue is full."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from hognose.drops import Counters, DropReason
from hognose.openvpn.session import Session
from hognose.vpn.downlink import RECORD_OVERHEAD, Downlink
from hognose.vpn.peer import Peer
from hognose.vpn.transport import Transport

QUEUE = 5000


class FakeTransport:
    """As much of a transport as the downlink uses."""

    full_reason = DropReason.SEND_QUEUE_FULL
    passtos = False

    def __init__(self, room: int) -> None:
        self.free = room
        self.sent: list[bytes] = []

    def room(self, queue: int) -> int:
        assert queue == QUEUE
        return self.free

    def send(self, records: list[bytes]) -> None:
        self.sent += records


def peer(room: int = QUEUE, *, keys: bool = True) -> tuple[Peer, FakeTransport]:
    transport = FakeTransport(room)
    session = SimpleNamespace(seal=lambda packets, now: list(packets) if keys else [])
    return Peer(cast(Transport, transport), 0, session=cast(Session, session)), transport


def test_packets_of_a_step_are_kept_together_and_in_order() -> None:
    (alice, to_alice), (bob, to_bob) = peer(), peer()
    counters = Counters()
    downlink = Downlink({bytes((10, 8, 0, 2)): alice, bytes((10, 8, 0, 3)): bob}, QUEUE, counters)
    keys = iter(DELIVERIES)
    assert downlink.deliver({next(keys): [b"a1", b"a2"], next(keys): [b"b1"], next(keys): [b"lost", b"lost"]}) == 3
    assert downlink.deliver({DELIVERIES[1]: [b"b2"], DELIVERIES[0]: [b"a3"]}) == 2
    assert counters.drops[DropReason.CLIENT_GONE] == 2
    assert downlink.take() == [alice, bob]
    assert downlink.take() == []
    for one in (alice, bob):
        downlink.seal(one, 0, 0)
    assert (to_alice.sent, to_bob.sent) == ([b"a1", b"a2", b"a3"], [b"b1", b"b2"])
    assert (alice.down, bob.down) == ([], [])


DELIVERIES = [bytes((10, 8, 0, 2)), bytes((10, 8, 0, 3)), bytes((10, 8, 0, 4))]


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=20), st.integers(0, 20_000))
def test_the_newest_packets_are_dropped_when_the_queue_is_full(sizes: list[int], room: int) -> None:
    alice, transport = peer(room)
    counters = Counters()
    downlink = Downlink({}, QUEUE, counters)
    alice.down = [bytes(size) for size in sizes]
    downlink.seal(alice, 0, 0)
    fitting = 0
    while fitting < len(sizes) and sum(sizes[: fitting + 1]) + RECORD_OVERHEAD * (fitting + 1) <= room:
        fitting += 1
    assert list(map(len, transport.sent)) == sizes[:fitting]
    assert counters.drops[DropReason.SEND_QUEUE_FULL] == len(sizes) - fitting


def test_a_client_without_keys_or_without_a_session_gets_nothing() -> None:
    alice, transport = peer(keys=False)
    downlink = Downlink({}, QUEUE, Counters())
    alice.down = [b"x"]
    downlink.seal(alice, 0, 0)
    alice.session, alice.down = None, [b"x"]
    downlink.seal(alice, 0, 0)
    assert (transport.sent, alice.down) == ([], [])
