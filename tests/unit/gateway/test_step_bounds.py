"""The work of one step at the bounds that a server has: records, bytes and frames; lines of the log; waiting bytes."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw
from tests.sim.segments import Segment
from tests.unit.gateway.gateway_world import ADDRESS, OUTSIDE, START, GatewayWorld, Remote
from tests.unit.vpn.test_handshake_scheduler import Turns as HandshakeTurns
from tests.unit.vpn.test_handshake_scheduler import peer as stranger
from tests.unit.vpn.test_turns import peer
from tests.world.today import UNIX

from hognose.drops import DropReason, Stat
from hognose.limits import Limits, StepLimits
from hognose.units import KIB, MS, SECOND
from hognose.vpn.streams import StreamTransport
from hognose.vpn.turns import Turns

# -- turns -------------------------------------------------------------------------------------------------------------


def shares(*costs: int) -> list[int]:
    """Shares of clients of these costs, in percent, in one step."""
    turns = Turns(StepLimits())
    for number, cost in enumerate(costs):
        turns.add(peer(number, cost))
    return [one.share for one in turns.begin([])]


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ((100,), [256]),
        ((5000,), [256]),  # alone: no other waits for it
        ((100, 100), [128, 128]),  # records bind first
        ((150, 151), [128, 127]),  # 384 units, and no fewer than those of their share
        ((300, 300), [64, 64]),
        ((5000, 5000), [16, 16]),  # the least
        ((100,) * 16, [16] * 16),
        ((100,) * 17, [16] * 16),  # one of them waits for the next step
        ((300,) * 40, [16] * 16),
    ],
)
def test_shares_of_a_step(costs: tuple[int, ...], expected: list[int]) -> None:
    assert shares(*costs) == expected


class ScaledRemote(Remote):
    """One with RFC 7323's window scaling, so that it may have more than 64 KiB on the way."""

    def connect(self) -> None:
        self.out.append(Segment(self.seq, 0, "S", 65535, mss=1460, scale=7))
        self.seq += 1


def test_a_client_alone_has_two_hundred_and_fifty_six_records_and_256_kibibytes_a_step() -> None:
    """Its further input stays in its receive buffer, where its window bounds it."""
    world = GatewayWorld(limits=Limits(step=StepLimits(frames=400)))  # all of it in one step
    world.remote_type = ScaledRemote
    alice = world.client()
    world.rest(1)
    before = world.dropped(DropReason.NO_DATA_KEY)
    alice.send((b"\0\4\x4f" + bytes(3)) * 90_000)  # data of a key that is none
    world.gateway.step(alice.poll(), world.now, UNIX)
    [one] = world.gateway.service.table.by_transport.values()
    assert isinstance(one.transport, StreamTransport)
    assert world.dropped(DropReason.NO_DATA_KEY) - before == 256
    assert len(one.transport._splitter.rest) == 256 * KIB - 256 * 6
    for step in range(2, 5):
        world.gateway.step([], world.now, UNIX)
        assert world.dropped(DropReason.NO_DATA_KEY) - before == step * 256
        assert len(one.transport._splitter.rest) <= 256 * KIB


def test_strangers_have_a_tenth_of_the_time() -> None:
    """Of ten seconds, a second, and what was saved up: each costs a millisecond."""
    turns = HandshakeTurns()
    for number in range(3000):
        turns.scheduler.enqueue(stranger(f"10.{number // 250}.{number % 250}.1"))
    served = sum(len(turns.work(START + at * 10 * MS, MS)) for at in range(1001))
    assert 1000 + 20 <= served <= 1000 + 21


# -- frames ------------------------------------------------------------------------------------------------------------


def super_frame(port: int, number: int) -> bytes:
    """32 segments of 1400 bytes from outside."""
    packet = IP(src=OUTSIDE, dst=ADDRESS, id=number) / TCP(sport=80, dport=port, flags="A", seq=1 + 44_800 * number)
    head = struct.pack("<BBHHHHH", 1, 1, 54, 1400, 34, 16, 0)
    return head + bytes.fromhex("0200000000020200000000010800") + bytes(packet / Raw(bytes(44_800)))


def test_super_frames_of_a_step_are_cut_into_512_packets() -> None:
    world = GatewayWorld()
    alice = world.client()
    alice.inner(IP(src="10.8.0.2", dst=OUTSIDE) / TCP(sport=5000, dport=80, flags="S"))
    port = world.outside[-1][TCP].sport
    before = world.stat(Stat.DATA_PACKETS_OUT), world.stat(Stat.SUPER_FRAMES_IN)
    frames = [super_frame(port, number) for number in range(20)]
    world.gateway.step(frames, world.now, UNIX)
    assert world.stat(Stat.SUPER_FRAMES_IN) - before[1] == 16
    assert not world.gateway.wants_frames
    assert world.gateway.next_deadline() == world.now
    world.gateway.step([], world.now, UNIX)
    assert world.stat(Stat.SUPER_FRAMES_IN) - before[1] == 20
    assert world.gateway.wants_frames


# -- what waits --------------------------------------------------------------------------------------------------------


def test_half_a_mebibyte_waits_for_a_client_that_does_not_read() -> None:
    world = GatewayWorld("client-to-client")
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    bob.reads = False
    packet = IP(src="10.8.0.2", dst="10.8.0.3") / UDP(sport=1, dport=2) / bytes(1172)  # 1200 bytes, 1226 on the wire
    for _ in range(20):
        alice.inner(*[packet] * 40)
    transports = [one.transport for one in world.gateway.service.table.by_transport.values()]
    queued = max(one._conn.send_queued for one in transports if isinstance(one, StreamTransport))
    assert 512 * KIB - 1300 < queued <= 512 * KIB
    assert world.dropped(DropReason.SEND_QUEUE_FULL) == 800 - queued // 1226


def test_twenty_lines_of_a_kind_about_strangers_in_a_second() -> None:
    world = GatewayWorld()
    for number in range(60):
        remote: Remote = world.remote(port=41_000 + number)
        remote.send(b"\0\0")
        world.frames()
    assert [len(world.events_of(kind)) for kind in ("peer_rejected", "peer_connected")] == [20, 20]
    world.rest(1.1)
    world.remote(port=42_000).send(b"\0\0")
    world.frames()
    assert world.stat(Stat.EVENTS_SUPPRESSED) == 80
    assert [event["count"] for event in world.events_of("events_suppressed")] == [80]
    assert world.now - START > SECOND
