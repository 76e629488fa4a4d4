"""Datagrams that come late, twice or under a cookie of another time or place, over whole sessions in virtual time."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from tests.sim.datagram_world import DatagramWorld
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import SECOND, kit, profile
from tests.unit.vpn.test_datagrams import Place

from hognose.address import Endpoint
from hognose.drops import DropReason
from hognose.limits import DatagramLimits

HOME = Endpoint(bytes((192, 0, 2, 1)), 1001)
SLOT = 30 * SECOND  # half of hand-window
SECONDS = 20


def inner(number: int) -> bytes:
    """A packet that is like no other."""
    return b"\x45" + number.to_bytes(4, "big") + bytes(95)


HELD = inner(0)


class Path:
    """A client whose datagrams a test delivers itself, and what comes back."""

    def __init__(self, **changes: Any) -> None:
        self.world = DatagramWorld(profile(ping_timeout_s=0, **changes))
        self.client = self.world.client(kit())
        self.world.run(lambda: self.client.established, 5)
        self.world.rest(0.1)

    def pass_by(self, numbers: range, *, twice: bool = False) -> None:
        """Packets of these numbers, one after the other, in steps."""
        for number in numbers:
            record = self.client.seal(inner(number))
            for _ in range(1 + twice):
                self.world.arrive(HOME, record)
            if number % 50 == 0:
                self.world.step()
        self.world.rest(0.05)

    def deliver(self, record: bytes) -> bool:
        """True when the packet in it was taken."""
        before = self.client.packets.count(HELD)
        self.world.arrive(HOME, record)
        self.world.rest(0.05)
        return self.client.packets.count(HELD) > before


@pytest.mark.parametrize(
    ("window", "others", "taken"),
    [
        (64, 0, True), (64, 10, True), (64, 63, True), (64, 64, False), (64, 1000, False),
        (256, 64, True), (256, 255, True), (256, 256, False), (1024, 1000, True),
    ],
)  # fmt: skip
def test_a_packet_that_others_overtake(window: int, others: int, taken: bool) -> None:
    """As openvpn 2.6 with replay-window: 63 may pass, the 64th is one too many."""
    path = Path(replay_window=window)
    held = path.client.seal(HELD)
    path.pass_by(range(1, others + 1))
    assert path.deliver(held) is taken
    assert path.client.packets.count(HELD) == taken
    assert path.world.dropped(DropReason.DATA_REPLAY) == (not taken)
    assert not path.deliver(held), "twice"
    assert sorted(path.client.packets)[taken:] == [inner(number) for number in range(1, others + 1)]


@pytest.mark.parametrize(("ahead", "taken"), [(65_535, True), (65_536, False)])
def test_the_widest_window(ahead: int, taken: bool) -> None:
    path = Path(replay_window=65_536)
    held = path.client.seal(HELD, packet_id=1)
    path.world.arrive(HOME, path.client.seal(inner(1), packet_id=1 + ahead))
    path.world.rest(0.05)
    assert path.deliver(held) is taken
    assert not path.deliver(held)


@pytest.mark.parametrize(
    ("changes", "seconds", "taken"),
    [
        ({}, 14, True),
        ({}, 21, False),
        ({"replay_window": 256, "replay_time_s": 30}, 21, True),
        ({"replay_window": 256, "replay_time_s": 30}, 29, True),
        ({"replay_window": 256, "replay_time_s": 30}, 36, False),
        ({"replay_time_s": 0}, 600, True),
    ],
)
def test_a_packet_that_is_held_back(changes: dict[str, int], seconds: int, taken: bool) -> None:
    """While others come, one a second; OpenVPN gives an id up after 15 s and looks every 5."""
    path = Path(**changes)
    held = path.client.seal(HELD)
    for second in range(1, seconds + 1):
        if second <= 40:
            path.world.arrive(HOME, path.client.seal(inner(second)))
        path.world.rest(1)
    assert path.deliver(held) is taken
    assert not path.deliver(held)


def test_what_comes_twice_is_taken_once() -> None:
    path = Path()
    path.pass_by(range(1, 501), twice=True)
    assert path.client.packets == [inner(number) for number in range(1, 501)]
    assert path.world.dropped(DropReason.DATA_REPLAY) == 500


# -- cookies -----------------------------------------------------------------------------------------------------------


def knock(place: Place) -> tuple[ModelClient, bytes]:
    """A client that was answered, and its proof."""
    client = ModelClient(kit())
    client.start(place.now)
    place.take(client.poll(place.now)[0])
    assert place.accepted() == []
    client.receive(bytes(place.sent()[0].payload.payload), place.now)
    return client, client.poll(place.now)[0]


@pytest.mark.parametrize(("later", "good"), [(0, True), (1, True), (2, True), (3, False), (-1, False)])
def test_a_cookie_is_good_for_two_slots_more(later: int, good: bool) -> None:
    place = Place()
    place.now += SLOT - place.now % SLOT + 4 * SECOND
    _, proof = knock(place)
    place.now += later * SLOT
    place.take(proof)
    assert len(place.accepted()) == good
    assert place.drops() == ({} if good else {"BAD_COOKIE": 1})


def test_ten_thousands_of_cookies_that_are_none_leave_nothing() -> None:
    """Forged ones, those of another address, later expired too, packets beyond the first two; each from a new source.

    By hand it was a hundred thousand of them: SECONDS = 100.
    """
    place = Place(initial=1000)
    client, proof = knock(place)
    cookie = proof[14:22]
    assert cookie == client.server_sid
    forged = proof[:14] + bytes(8) + proof[22:]
    beyond = proof[:22] + (2).to_bytes(4, "big") + proof[26:]
    packets = [proof, forged, beyond, proof[:14]]
    counts = []
    for second in range(SECONDS):
        place.now += SECOND
        for number in range(1000):
            source = (0x0B000000 + ((second * 1000 + number) << 6)).to_bytes(4, "big")
            datagram = packets[number & 3]
            raw = bytes(12) + source + bytes((10, 0, 0, 2)) + b"\x10\x01\x04\xaa"
            raw += (8 + len(datagram)).to_bytes(2, "big") + bytes(2) + datagram
            place.port.receive(raw, 0, 20, len(raw), 0, True, place.now)
        assert place.accepted() == []
        place.journal.take()
        if second % 4 == 3:
            gc.collect()
            counts.append(len(gc.get_objects()))
    assert max(counts) - min(counts) < 200, counts
    assert (len(place.port), place.port.waits) == (0, False)
    assert sum(place.counters.drops) == 1000 * SECONDS
    assert set(place.drops()) <= {"BAD_COOKIE", "BAD_CONTROL_PACKET", "INITIAL_CROWDED"}
    assert place.drops()["BAD_COOKIE"] > 500 * SECONDS
    assert place.limits.initial_per_second == DatagramLimits().initial_per_second
