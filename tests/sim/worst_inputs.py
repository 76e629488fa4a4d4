"""A client that does its worst: inputs that are the most work for a step, held back by TCP and released by one segment.

Each input is a stream of records, or frames of an accomplice; `work_of` tells what a step has to do for it, counted in
calls of functions, which is the same on every machine.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from tests.sim.segments import Segment, build, ipv4_int, ones_complement
from tests.sim.world_peer import echo_request, ip_packet, udp_packet
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, MAC, OUTSIDE, ROUTER_MAC, UNIX, GatewayWorld, Remote
from tests.unit.openvpn.client import OCC_EXIT, PING, ModelClient

from hognose.limits import KIB, DeviceLimits, Limits

PORT = 1194
WINDOW = 1000 * KIB  # what an attacker holds back: nearly all of a client's receive buffer
MOST_RECORDS = 20_000  # of a stream
SUPER = 44 * 1448
HEAD = MAC + bytes.fromhex(ROUTER_MAC.replace(":", "")) + b"\x08\0"


class Mallory(Remote):
    """A client with a large window and timestamps, whose segments a test may hold back."""

    def connect(self) -> None:
        self.out.append(Segment(self.seq, 0, "S", 65535, mss=1460, scale=7, sack_ok=True))
        self.seq += 1

    def released(self, stream: bytes) -> tuple[list[bytes], bytes]:
        """(frames of all but the first byte of the stream, the frame with the first byte)."""
        frames = [self._frame(at, stream[at : at + SUPER]) for at in range(1, len(stream), SUPER)]
        first = self._frame(0, stream[:1])
        self.seq += len(stream)
        return frames, first

    def in_bytes(self, stream: bytes) -> list[bytes]:
        """A frame for every byte, every second byte first: as many ranges as bytes."""
        frames = [self._frame(at, stream[at : at + 1]) for at in [*range(1, len(stream), 2), *range(0, len(stream), 2)]]
        self.seq += len(stream)
        return frames

    def _frame(self, at: int, payload: bytes) -> bytes:
        segment = Segment((self.seq + at) & 0xFFFFFFFF, self.ack, "PA", 65535, payload)
        packet = build(segment, self.source, self.port, ipv4_int(ADDRESS), PORT)
        vnet = struct.pack("<BBHHHHH", 2, 1, 66, 1448, 0, 0, 0) if len(payload) > 1460 else bytes(12)
        return vnet + HEAD + packet


def framed(record: bytes) -> bytes:
    return len(record).to_bytes(2, "big") + record


@dataclass
class Attack:
    """A world with a client alice who attacks and a client bob."""

    world: GatewayWorld
    alice: Mallory
    bob: Mallory

    @property
    def address(self) -> int:
        return ipv4_int(self.alice.tunnel_address)

    @property
    def vpn(self) -> ModelClient:
        """The attacker's client, which is up."""
        assert self.alice.vpn is not None
        return self.alice.vpn

    def sealed(self, packet: bytes) -> bytes:
        return framed(self.vpn.seal(packet))

    def flood(self, packet: Callable[[int], bytes]) -> bytes:
        """As many data records as the window takes; packet: the n-th inner packet."""
        return self.fill(lambda n: self.sealed(packet(n)))

    def fill(self, record: Callable[[int], bytes]) -> bytes:
        """As many framed records as the window takes, MOST_RECORDS at most."""
        parts: list[bytes] = []
        size = n = 0
        while size < WINDOW and n < MOST_RECORDS:
            parts.append(record(n))
            size += len(parts[-1])
            n += 1
        return b"".join(parts)[:WINDOW]

    def control(self, opcode: int, body: bytes, key_id: int = 0) -> bytes:
        """A framed control packet without a wrap."""
        return framed(bytes((opcode << 3 | key_id,)) + self.vpn.sid + body)


def begin(*lines: str) -> Attack:
    world = GatewayWorld(*lines, limits=Limits())
    world.remote_type = Mallory
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    world.remote_type = Remote
    assert isinstance(alice, Mallory)
    assert isinstance(bob, Mallory)
    world.rest(1)
    return Attack(world, alice, bob)


# -- records of a client ---------------------------------------------------------------------------------------------


def one_flow(attack: Attack) -> bytes:
    return attack.flood(lambda n: udp_packet(attack.address, 5000, ipv4_int(OUTSIDE), 9, b"x"))


def new_flows(attack: Attack) -> bytes:
    return attack.flood(lambda n: udp_packet(attack.address, 1024 + n % 60_000, ipv4_int(OUTSIDE), 9, b"x"))


def new_hosts(attack: Attack) -> bytes:
    return attack.flood(lambda n: udp_packet(attack.address, 5000, ipv4_int("198.18.0.0") + n, 9, b""))


def syns(attack: Attack) -> bytes:
    def syn(n: int) -> bytes:
        return build(Segment(n, 0, "S", mss=1460), attack.address, 1024 + n % 60_000, ipv4_int(OUTSIDE), 80)

    return attack.flood(syn)


def single_segments(attack: Attack) -> bytes:
    """TCP with a byte each, none of which continues the one before."""

    def segment(n: int) -> bytes:
        return build(Segment(n * 7, 1, "PA", 100, b"x"), attack.address, 6000, ipv4_int(OUTSIDE), 80)

    return attack.flood(segment)


def closed_ports(attack: Attack) -> bytes:
    return attack.flood(lambda n: udp_packet(attack.address, 5000, ipv4_int(GATEWAY), n % 60_000, b""))


def echoes(attack: Attack) -> bytes:
    return attack.flood(lambda n: echo_request(attack.address, ipv4_int(GATEWAY), b""))


def to_bob(attack: Attack) -> bytes:
    to = ipv4_int(attack.bob.tunnel_address)
    return attack.flood(lambda n: udp_packet(attack.address, 5000, to, 9, b""))


def to_the_nat(attack: Attack) -> bytes:
    return attack.flood(lambda n: udp_packet(attack.address, 5000, ipv4_int(ADDRESS), n % 60_000, b""))


def wrong_sources(attack: Attack) -> bytes:
    return attack.flood(lambda n: udp_packet(n, 5000, ipv4_int(OUTSIDE), 9, b""))


def fragments(attack: Attack) -> bytes:
    def fragment(n: int) -> bytes:
        packet = bytearray(ip_packet(17, attack.address, ipv4_int(OUTSIDE), bytes(8)))
        packet[4:8] = struct.pack(">HH", n & 0xFFFF, 0x2000)
        packet[10:12] = bytes(2)
        packet[10:12] = struct.pack(">H", ones_complement(bytes(packet[:20])))
        return bytes(packet)

    return attack.flood(fragment)


def no_packets(attack: Attack) -> bytes:
    return attack.flood(lambda n: b"")


def pings(attack: Attack) -> bytes:
    return attack.flood(lambda n: PING)


def unknown_occ(attack: Attack) -> bytes:
    return attack.flood(lambda n: OCC_EXIT[:-1] + b"\x63")


def forged(attack: Attack) -> bytes:
    return attack.fill(lambda n: framed(b"\x48\0\0\0" + struct.pack(">I", 1 << 30 | n) + bytes(17)))


def replayed(attack: Attack) -> bytes:
    record = attack.sealed(udp_packet(attack.address, 5000, ipv4_int(OUTSIDE), 9, b""))
    return attack.fill(lambda n: record)


def bytes_alone(attack: Attack) -> bytes:
    return attack.fill(lambda n: framed(b"\x48"))


def unknown_opcodes(attack: Attack) -> bytes:
    return attack.fill(lambda n: framed(b"\xf8"))


def old_messages(attack: Attack) -> bytes:
    return attack.fill(lambda n: attack.control(4, b"\0" + bytes(4)))


def empty_messages(attack: Attack) -> bytes:
    first = attack.vpn.negotiations[0].next_out
    return attack.fill(lambda n: attack.control(4, b"\0" + struct.pack(">I", first + n)))


def acknowledgements(attack: Attack) -> bytes:
    def message(n: int) -> bytes:
        ids = struct.pack(">8I", *range(n, n + 8))
        return attack.control(5, b"\x08" + ids + attack.vpn.server_sid)

    return attack.fill(message)


def tls_garbage(attack: Attack) -> bytes:
    first = attack.vpn.negotiations[0].next_out
    return attack.fill(lambda n: attack.control(4, b"\0" + struct.pack(">I", first + n) + b"\x17"))


def tls_records(attack: Attack) -> bytes:
    """A TLS record with a control string in each message."""
    vpn = attack.alice.vpn
    assert vpn is not None
    negotiation = vpn.negotiations[0]
    parts: list[bytes] = []
    for n in range(2000):
        negotiation.tls.send(b"INFO_PRE,x\0")
        data = negotiation.tls.bio_read(65536)
        parts.append(attack.control(4, b"\0" + struct.pack(">I", negotiation.next_out + n) + data))
    return b"".join(parts)[:WINDOW]


def soft_resets(attack: Attack) -> bytes:
    return attack.fill(lambda n: attack.control(3, b"\0" + bytes(4), 1 + n % 7))


STREAMS = (
    one_flow,
    new_flows,
    new_hosts,
    syns,
    single_segments,
    closed_ports,
    echoes,
    to_bob,
    to_the_nat,
    wrong_sources,
    fragments,
    no_packets,
    pings,
    unknown_occ,
    forged,
    replayed,
    bytes_alone,
    unknown_opcodes,
    old_messages,
    empty_messages,
    acknowledgements,
    tls_garbage,
    tls_records,
    soft_resets,
)


# -- frames of segments, of an accomplice outside, of a stranger -------------------------------------------------------


def outside_frame(payload: bytes, seq: int, flags: str, port: int, gso_size: int = 0) -> bytes:
    """A TCP segment from the accomplice to a mapped port, or a super-segment of pieces of gso_size bytes."""
    packet = build(Segment(seq & 0xFFFFFFFF, 1, flags, 65535, payload), ipv4_int(OUTSIDE), 80, ipv4_int(ADDRESS), port)
    vnet = struct.pack("<BBHHHHH", 1, 1, 54, gso_size, 34, 16, 0) if gso_size else bytes(12)
    return vnet + HEAD + packet


def mapped_port(attack: Attack) -> int:
    """Alice and the accomplice have a TCP connection; the port that the NAT gave it."""
    syn = build(Segment(1, 0, "S", mss=1460), attack.address, 6000, ipv4_int(OUTSIDE), 80)
    assert attack.alice.vpn is not None
    attack.alice.vpn.send(syn)
    attack.world.frames()
    port = int(attack.world.outside[-1]["TCP"].sport)
    attack.world.frames(outside_frame(b"", 0, "SA", port))
    attack.world.rest(1)
    return port


def super_frames(size: int) -> Callable[[Attack], list[bytes]]:
    """Super-segments of 64 KiB in pieces of `size` bytes."""

    def frames(attack: Attack) -> list[bytes]:
        port = mapped_port(attack)
        most = min(64_000, size * 1024)
        return [outside_frame(bytes(most), 1 + n * most, "PA", port, size) for n in range(256)]

    return frames


def segments_of_a_byte(attack: Attack) -> list[bytes]:
    return attack.alice.in_bytes(bytes(4096))


def scattered_sacks(attack: Attack) -> list[bytes]:
    """A download is in flight; its receiver acknowledges every second segment of it, four at a time, over and over."""
    port = mapped_port(attack)
    alice, world = attack.alice, attack.world
    for round_ in range(40):  # her window opens, then she acknowledges no more
        world.frames(
            *[outside_frame(bytes(60_000), 1 + round_ * 120_000 + n * 60_000, "PA", port, 1448) for n in (0, 1)]
        )
    alice.reads = False
    world.frames(*[outside_frame(bytes(60_000), 1 + 4_800_000 + n * 60_000, "PA", port, 1448) for n in range(8)])
    head = Segment(alice.seq & 0xFFFFFFFF, alice.ack, "A", 65535)
    frames = []
    for n in range(2048):
        at = alice.ack + 1460 * (1 + 8 * (n * 37 % 64))
        sack = [((at + 2920 * k) & 0xFFFFFFFF, (at + 2920 * k + 1460) & 0xFFFFFFFF) for k in range(4)]
        head.sack = sack
        frames.append(bytes(12) + HEAD + build(head, alice.source, alice.port, ipv4_int(ADDRESS), PORT))
    return frames


def stranger(record: bytes) -> Callable[[Attack], list[bytes]]:
    """Connections without a session that fill their first windows with one record, again and again."""

    def frames(attack: Attack) -> list[bytes]:
        found = []
        for n in range(16):
            remote = attack.world.remote("192.0.2.77", 50_000 + n)
            stream = (framed(record) * (16 * KIB // (len(record) + 2)))[: 15 * KIB]
            remote.send(stream)
            found += remote.poll()
        return found

    return frames


BATCHES: dict[str, Callable[[Attack], list[bytes]]] = {
    "super_frames_in_pieces_of_1": super_frames(1),
    "super_frames_in_pieces_of_64": super_frames(64),
    "super_frames": super_frames(1348),
    "segments_of_a_byte": segments_of_a_byte,
    "scattered_sacks": scattered_sacks,
    "strangers_data": stranger(b"\x48" + bytes(30)),
    "strangers_resets": stranger(b"\x38" + bytes(8) + b"\0" + bytes(4)),
    "strangers_control": stranger(b"\x20" + bytes(8) + b"\0" + bytes(4) + b"\x16"),
}


# -- what a step costs -----------------------------------------------------------------------------------------------


@dataclass
class Cost:
    """Of one step: calls of functions (Python's and C's) below Gateway.step, processor time in ms."""

    calls: int
    ms: float


def step_cost(world: GatewayWorld, frames: list[bytes], counted: bool) -> Cost:
    """Run one step; what it sends is lost, as to a client that hears nothing."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    world.now += 1_000_000
    if counted:
        sys.setprofile(count)
    began = time.process_time_ns()
    try:
        world.gateway.step(frames, world.now, UNIX)
    finally:
        took = time.process_time_ns() - began
        sys.setprofile(None)
    world.events += world.gateway.take_events()
    return Cost(calls, took / 1e6)


def steps_of(attack: Attack, stream: bytes, *, counted: bool = True) -> Iterator[Cost]:
    """The steps that a released stream leads to, the first of them that of the segment which releases it."""
    world = attack.world
    held, first = attack.alice.released(stream)
    for at in range(0, len(held), 8):
        step_cost(world, held[at : at + 8], counted=False)
    yield step_cost(world, [first], counted)
    for _ in range(3_000):
        deadline = world.gateway.next_deadline()
        if deadline is None or deadline > world.now:
            return
        yield step_cost(world, [], counted)
    raise AssertionError("the released stream does not come to an end")


def steps_of_batches(
    attack: Attack, frames: list[bytes], *, counted: bool = True, batch: int = DeviceLimits().frames
) -> Iterator[Cost]:
    """The steps of frames that come in whole batches, as the device gives them."""
    world = attack.world
    frames = list(frames)
    for _ in range(4_000):
        taken: list[bytes] = []
        if world.gateway.wants_frames:
            taken, frames = frames[:batch], frames[batch:]
        deadline = world.gateway.next_deadline()
        if not taken and not frames and (deadline is None or deadline > world.now):
            return
        yield step_cost(world, taken, counted)
    raise AssertionError("the frames do not come to an end")
