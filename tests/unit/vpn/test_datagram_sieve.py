"""Floods of datagrams of no session before the step: who passes, who is dropped, and newcomers meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.sim.datagram_world import DatagramWorld
from tests.unit.openvpn.link import kit, profile
from tests.unit.vpn.test_datagrams import DATA_V2, HOME, PORT, US, Place, data
from tests.world.datagram_flood import KINDS, packet

from hognose.drops import DropReason, Stat
from hognose.units import MS, SECOND
from hognose.vpn.initial_rate import FLOOD_LIFE, REPEATS_PER_PREFIX

HEAD = bytes(12) + bytes.fromhex("020000000002 020000000001 0800")


def frame(what: Packet) -> bytes:
    return HEAD + bytes(what)


def made(payload: bytes, source: tuple[str, int] = HOME, **fields: Any) -> bytes:
    """A datagram by scapy."""
    return frame(IP(src=source[0], dst=US, **fields) / UDP(sport=source[1], dport=PORT) / Raw(payload))


def others(count: int, number: int = 99) -> list[bytes]:
    """Hard resets of strangers: one packet over and over, so that no place in the table is taken by chance."""
    return [made(reset(number), ("198.51.100.1", 9))] * count


def reset(number: int) -> bytes:
    """A hard reset of a client of its own."""
    return b"\x38" + number.to_bytes(8, "big") + bytes(5)


class Siege(Place):
    """A port at which more datagrams of no session have come than are taken."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        self.strangers(self.limits.strangers_per_second + 1)

    def strangers(self, count: int) -> None:
        for _ in range(count):
            self.port.sieve.note(self.now)

    def passed(self, *frames: bytes) -> list[bytes]:
        assert self.port.sieve.begin(self.now)
        return self.port.sieve.sift(list(frames))

    def sift(self, *frames: bytes) -> list[int]:
        """Numbers of those that pass, each of which is another one."""
        assert len(set(frames)) == len(frames)
        kept = self.passed(*frames)
        return [number for number, one in enumerate(frames) if one in kept]


# -- when ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "sifts"), [(2000, False), (2001, True)])
def test_it_begins_with_two_thousand_in_a_second(count: int, sifts: bool) -> None:
    place = Place()
    short = made(b"\x38" + bytes(9), ("198.51.100.1", 9))
    for _ in range(count):
        place.port.receive(short, 26, 46, len(short), 0, True, place.now)
    assert place.drops() == {"NO_SESSION": count}
    assert place.port.sieve.begin(place.now) is sifts


@pytest.mark.parametrize(
    ("payload", "source"),
    [
        (b"", ("198.51.100.1", 9)), (b"\x38", ("198.51.100.1", 9)), (reset(1), ("198.51.100.1", 9)),
        (b"\x30" + bytes(40), ("198.51.100.1", 9)), (data(9), ("198.51.100.1", 9)), (data(5), ("198.51.100.1", 9)),
        (data(5), ("10.0.0.255", 9)),
    ],
)  # fmt: skip
def test_what_counts(payload: bytes, source: tuple[str, int]) -> None:
    place = Place(strangers_per_second=2)
    place.client()
    place.now += SECOND
    for number in range(3):
        assert not place.port.sieve.begin(place.now), number
        place.take(payload, source)
    assert place.port.sieve.begin(place.now)


def test_packets_of_clients_and_of_handshakes_do_not_count() -> None:
    place = Place(strangers_per_second=8)
    place.client()
    stranger = place.transport(("198.51.100.1", 9))
    for _ in range(100):
        place.take(data(5))
        place.take(b"\x20" + stranger.remote_id + bytes(20), ("198.51.100.1", 9))
    assert not place.port.sieve.begin(place.now)


def test_it_ends_some_seconds_after_the_flood() -> None:
    place = Siege()
    place.now += FLOOD_LIFE + SECOND
    assert place.port.sieve.begin(place.now)
    place.now += 1
    assert not place.port.sieve.begin(place.now)
    place.strangers(1)
    assert not place.port.sieve.begin(place.now)


def test_what_it_drops_goes_on_to_count() -> None:
    place = Siege()
    for _ in range(20):
        place.now += SECOND
        short = made(b"\x38", ("198.51.100.1", 9))
        assert place.passed(*[short] * (place.limits.strangers_per_second + 1)) == []


# -- who passes ------------------------------------------------------------------------------------------------------


def test_a_peers_address_passes_whatever_comes_from_there() -> None:
    place = Siege()
    place.transport()
    frames = [made(payload) for payload in (b"", b"\x38", reset(1), data(99), b"\x30" + bytes(30), bytes(1400))]
    assert place.sift(*frames) == list(range(6))
    assert place.sift(made(b"", (HOME[0], HOME[1] + 1))) == []


def test_frames_of_others_pass() -> None:
    udp = UDP(sport=9, dport=PORT)
    frames = [
        b"", bytes(40), HEAD, made(reset(1))[:53],
        frame(IP(dst=US) / UDP(sport=9, dport=PORT + 1) / Raw(reset(1))),
        frame(IP(dst=US) / TCP(sport=9, dport=PORT) / Raw(reset(1))),
        frame(IP(dst=US, options=b"\x01\x01\x01\x01") / udp / Raw(reset(1))),
        HEAD[:-2] + b"\x08\x06" + bytes(IP(dst=US) / udp / Raw(reset(1))),
    ]  # fmt: skip
    assert Siege().sift(*frames) == list(range(8))


def test_what_begins_no_session_is_dropped() -> None:
    place = Siege()
    stranger = ("198.51.100.1", 9)
    frames = [
        made(payload, stranger)
        for payload in (
            b"", b"\x38", reset(1)[:13], b"\x30" + bytes(30), b"\x39" + bytes(30), b"\x40" + bytes(30),
            b"\xff" + bytes(30),
        )
    ]  # fmt: skip
    frames.append(made(reset(1)[:13], stranger) + bytes(9))  # as a network card pads it
    assert place.sift(*frames) == []
    assert place.drops() == {"NO_SESSION": 8}


@pytest.mark.parametrize("opcode", [7, 10, 4, 5, 11])
def test_the_more_first_packets_come_the_fewer_pass(opcode: int) -> None:
    """Of 2000 a second 400 are for a slot of 0.2 s; then of twice as many half of them."""
    place = Siege()
    stranger = made(bytes((opcode << 3,)) + bytes(13), ("198.51.100.1", 9))

    def burst(count: int) -> int:
        return len(place.passed(*[stranger] * count))

    assert burst(800) == 400
    place.now += 200 * MS
    assert burst(10) == 10
    assert burst(800) == 190
    assert place.drops() == {"INITIAL_CROWDED": 400 + 610}
    place.now += 400 * MS  # a slot in which none came
    assert burst(800) == 400


def test_hard_resets_and_proofs_have_budgets_of_their_own() -> None:
    place = Siege()
    assert len(place.passed(*others(900))) == 400
    assert place.sift(made(b"\x20" + bytes(20), ("198.51.100.1", 9))) == [0]


@pytest.mark.parametrize(("delay", "passes"), [(0, False), (600, False), (1000, True), (4600, True), (4800, False)])
def test_one_that_is_repeated_passes_and_is_worth_work_in_the_step(delay: int, passes: bool) -> None:
    place = Siege()
    client = made(reset(7))
    assert client not in place.passed(*others(800), client)
    place.now += delay * MS
    place.strangers(3000)
    place.passed(*others(800, 100))
    assert bool(place.sift(client)) is passes
    if passes:
        for number in range(20):  # all that its prefix has in a second
            place.take(reset(5000 + number), ("192.0.2.8", 1 + number))
        for _ in range(2):
            place.take(reset(7))
        place.accepted()
        assert place.counters.stats[Stat.UDP_COOKIES_SENT] == 21


def test_one_packet_over_and_over_is_one_repetition() -> None:
    place = Siege()
    client = made(reset(7))
    place.sift(client)
    place.now += SECOND
    place.passed(*others(800))
    assert len(place.passed(*[client] * 900)) == 1


def test_repeated_packets_of_a_prefix_have_a_limit() -> None:
    place = Siege()
    one = made(reset(7))
    hosts = [one[:38] + n.to_bytes(4, "big") + one[42:] for n in range(0x0B000000, 0x0B000000 + 3 * 256)]
    place.passed(*hosts)
    place.now += SECOND
    place.passed(*others(800))
    assert len(place.passed(*hosts)) == 3 * REPEATS_PER_PREFIX


def test_a_client_that_moves_is_heard_within_a_budget() -> None:
    place = Siege(roaming_per_second=10)
    place.client(peer_id=5)
    away = ("198.51.100.1", 9)
    assert place.sift(made(data(5, bytes(30)), away)) == [0]
    assert place.sift(made(data(6, bytes(30)), away)) == []
    assert place.sift(made(data(0xFFFFFF, bytes(30)), away)) == []
    kept = sum(bool(place.sift(made(data(5, bytes(30)), away))) for _ in range(20))
    assert kept == 9
    place.now += SECOND
    assert place.sift(made(bytes((DATA_V2 + 7,)) + data(5, bytes(30))[1:], away)) == [0]


# -- a flood ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_in_a_flood_a_client_keeps_its_tunnel_and_a_newcomer_is_in_within_five_seconds(kind: str) -> None:
    """5000 a second from other prefixes each; few of them reach the step."""
    wrap = kind if kind.startswith("tls") else "none"
    world = DatagramWorld(profile(wrap))
    first = world.client(kit(wrap))
    world.run(lambda: first.established, 5)
    pool = [HEAD + packet(kind, n, "10.0.0.2") for n in range(500)]
    number = reached = 0

    def flood(until: int) -> None:
        nonlocal number, reached
        while world.now < until:
            frames = []
            for _ in range(50):
                number += 1
                one = pool[number % 500]
                frames.append(one[:38] + (0x14000000 + 257 * number).to_bytes(4, "big") + one[42:])
            if world.port.sieve.begin(world.now):
                frames = world.port.sieve.sift(frames)
            for one in frames:
                reached += 1
                world.port.receive(one, 26, 46, len(one), 0, True, world.now)
            world.rest(0.01)

    flood(world.now + SECOND // 2)
    before, reached, began = number, 0, world.now
    late = world.client(kit(wrap), 2)
    first.packets.clear()
    while not late.established:
        assert world.now - began < 5 * SECOND, world.counters.non_zero()
        first.send(b"\x45" + bytes(99))
        flood(world.now + 100 * MS)
    assert reached < (number - before) / 10
    assert len(first.packets) >= (world.now - began) // (100 * MS) - 1
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0
    world.rest(5)
    assert (len(world.table), world.service.scheduler.sizes) == (2, (0, 0))
