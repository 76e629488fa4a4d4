"""Fuzz target of the whole gateway: frames of strangers, of a TCP peer in the middle of a connection, and time.

Nothing is caught. The gateway contains exceptions of its engines, so that its counter of them must stay at zero.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from unittest import mock

from tests.fuzz.packet_targets import OUTSIDE, SERVER, ip_packet
from tests.fuzz.reader import Reader
from tests.sim.segments import Segment, build, parse
from tests.unit.openvpn.link import authority, server_identity
from tests.world.server import ServerSettings
from tests.world.today import UNIX

from hognose.address import parse_ipv4
from hognose.config.model import ServerConfig
from hognose.config.parser import parse as parse_config
from hognose.drops import Counters, DropReason
from hognose.gateway import live
from hognose.gateway.assemble import Uplink, assemble
from hognose.gateway.gateway import Gateway
from hognose.gateway.session_profile import make_profile
from hognose.limits import IpLimits, Limits, NatLimits, TcpLimits
from hognose.link import LinkCaps
from hognose.openvpn.profile import ServerProfile
from hognose.units import SECOND
from hognose.wire import icmpv4, ipv4

MAC, ROUTER_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
ROUTER = parse_ipv4("10.0.0.1")
UPLINK = Uplink(OUTSIDE, 24, ROUTER)
HEAD = MAC + ROUTER_MAC
LIMITS = Limits(
    tcp=TcpLimits(half_open=4, connections=4),
    nat=NatLimits(flows=16, flows_per_client=8),
    ip=IpLimits(neighbors=4, reassembly_strangers=4),
)


def _packet(segment: Segment) -> bytes:
    """A segment for the VPN's port."""
    return build(segment, int.from_bytes(SERVER, "big"), 40_000, int.from_bytes(OUTSIDE, "big"), 1194)


@lru_cache(maxsize=1)
def _config() -> ServerConfig:
    return parse_config(ServerSettings(authority(), server_identity(), "none").text(), "server.conf")[0]


@lru_cache(maxsize=1)
def _profile() -> ServerProfile:
    return make_profile(_config(), LIMITS)


def _same_profile(*_: object) -> ServerProfile:
    """Certificates and OpenSSL's context are the same for all inputs: making them took most of the time."""
    return _profile()


def _started(counters: Counters, now: int) -> Gateway:
    """A gateway that knows its router."""
    count = 0

    def random(size: int) -> bytes:
        nonlocal count
        count += 1
        return (b"%08d" % count * (size // 8 + 1))[:size]

    with mock.patch.object(live, "make_profile", _same_profile):
        gateway = assemble(
            _config(), caps=LinkCaps(mac=MAC), uplink=UPLINK, limits=LIMITS, random=random,
            now=now, unix=UNIX, counters=counters,
        )  # fmt: skip
    arp = struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, ROUTER_MAC, ROUTER, MAC, OUTSIDE)
    ping = ipv4.build(SERVER, OUTSIDE, 1, 12) + icmpv4.build(8, 0, 1 << 16, b"ping")
    for frame in (HEAD + b"\x08\0" + ping, HEAD + b"\x08\x06" + arp):  # an unrequested answer is not taken
        out = gateway.step([bytes(12) + frame], now, UNIX)
    assert out[0][0][12:18] == ROUTER_MAC, "the router is not known"
    return gateway


def gateway_frames(data: bytes) -> None:
    """Frames as they come, frames with a right IPv4 packet in them, ARP, and a peer's stream of OpenVPN records."""
    reader = Reader(data)
    counters = Counters()
    now = 1000 * SECOND
    gateway = _started(counters, now)
    peer = _Peer()
    for _ in range(32):
        if not reader:
            break
        choice = reader.byte()
        kind = choice & 7
        frames: list[bytes] = []
        if kind == 0:
            frames.append(reader.piece())
        elif kind == 1:
            frames.append(reader.take(12).ljust(12, b"\0") + HEAD + b"\x08\0" + ip_packet(reader, SERVER, OUTSIDE))
        elif kind == 2:
            frames.append(bytes(12) + HEAD + b"\x08\x06" + reader.take(28))
        elif kind == 3:
            now += (choice >> 3) * SECOND
        else:
            segment = peer.says(kind, choice >> 3, reader)
            frames.append(bytes(12) + HEAD + b"\x08\0" + _packet(segment))
        if sieve := gateway.sieve(now):
            frames = sieve(frames)
        for pieces in gateway.step(frames, now, UNIX):
            peer.hears(b"".join(pieces))
        deadline = gateway.next_deadline()
        if deadline is not None and deadline <= now:
            gateway.step([], now, UNIX)
        for event in gateway.take_events():
            assert event.kind.value != "internal_error", event.fields
        assert counters.drops[DropReason.INTERNAL_ERROR] == 0
    for _ in range(200):  # whatever it was, it ends
        deadline = gateway.next_deadline()
        if deadline is None or deadline > now + 600 * SECOND:
            break
        now = max(now, deadline)
        gateway.step([], now, UNIX)
    assert counters.drops[DropReason.INTERNAL_ERROR] == 0
    assert gateway.client_count == 0


class _Peer:
    """A TCP connection to the VPN port, opened and used as the fuzzer wants."""

    def __init__(self) -> None:
        self.seq, self.ack = 5000, 0
        self.closed = ""  # by a FIN or a RST

    def says(self, kind: int, choice: int, reader: Reader) -> Segment:
        """4: SYN or the handshake's end; 5, 6: a record, a part of the stream; 7: any flags around the window."""
        if kind == 4 and not choice & 1:
            self.seq = 5001
            return Segment(5000, 0, "S", mss=1460)
        if kind == 4:
            return Segment(self.seq, self.ack)
        if kind == 7:
            letters = "".join(letter for bit, letter in enumerate("FSRPA") if choice >> bit & 1)
            return Segment(self.seq + reader.byte() - 128, self.ack, letters or ".", payload=reader.piece()[:1400])
        data = reader.piece()[:1400]
        if kind == 5:
            data = len(data).to_bytes(2, "big") + data
        at, self.seq = self.seq, self.seq + len(data)
        return Segment(at, self.ack, "PA", payload=data)

    def hears(self, frame: bytes) -> bytes:
        """Acknowledge what came for this connection; what was new of it."""
        if frame[24:26] != b"\x08\0" or len(frame) < 66 or frame[35] != 6 or frame[48:50] != b"\x9c\x40":
            return b""
        segment = parse(frame[26:])
        for flag in "FR":
            if segment.has(flag):
                self.closed = flag
        if segment.has("R"):
            return b""
        expected, self.ack = self.ack, segment.end
        return segment.payload if segment.seq == expected or segment.has("S") else b""


def gateway_stream(data: bytes) -> None:
    """Bytes of one peer, whole, byte by byte and in two parts: the same events, counters and answers."""
    reader = Reader(data)
    choice = reader.byte()
    cut = reader.number(2)
    stream = reader.rest()
    if choice & 1:
        reader = Reader(stream)
        stream = b"".join(len(piece).to_bytes(2, "big") + piece for piece in reader.pieces(12))
    size = 1 if len(stream) <= 200 else 97
    whole = _heard([stream[at : at + 1400] for at in range(0, len(stream), 1400)], choice, together=True)
    single = _heard([stream[at : at + size] for at in range(0, len(stream), size)], choice, together=False)
    halves = _heard([stream[:cut][:1400], stream[cut:][:1400]], choice, together=False) if cut < len(stream) else whole
    assert whole == single
    assert whole == halves or len(stream) > 1400


def _heard(chunks: list[bytes], choice: int, *, together: bool) -> tuple[object, ...]:
    """Results of a stream in a gateway: its events, what it dropped, the records that it sent, how it ended."""
    counters = Counters()
    now = 1000 * SECOND
    gateway = _started(counters, now)
    peer = _Peer()
    answer = b""

    def step(segments: list[Segment]) -> None:
        nonlocal answer
        frames = [bytes(12) + HEAD + b"\x08\0" + _packet(one) for one in segments]
        while True:
            answers = [b"".join(pieces) for pieces in gateway.step(frames, now, UNIX)]
            before = peer.ack
            for frame in answers:
                answer += peer.hears(frame)
            if peer.ack == before or peer.closed == "R":
                break
            frames = [
                bytes(12)
                + HEAD
                + b"\x08\0"
                + build(
                    Segment(peer.seq, peer.ack),
                    int.from_bytes(SERVER, "big"),
                    40_000,
                    int.from_bytes(OUTSIDE, "big"),
                    1194,
                )
            ]

    peer.seq = 5001
    step([Segment(5000, 0, "S", mss=1460)])
    segments: list[Segment] = []
    for chunk in chunks:
        if chunk:
            segments.append(Segment(5001 + sum(len(one.payload) for one in segments), peer.ack, "PA", payload=chunk))
    for batch in [segments] if together and segments else [[segment] for segment in segments]:
        peer.seq = batch[-1].end
        step(batch)
    if choice & 2:
        step([Segment(peer.seq, peer.ack, "FA")])
        peer.seq += 1
    events = gateway.take_events()
    for _ in range(100):  # whatever it was, it ends
        deadline = gateway.next_deadline()
        if deadline is None or deadline > now + 600 * SECOND:
            break
        now = max(now, deadline)
        step([])
        events += gateway.take_events()
    assert counters.drops[DropReason.INTERNAL_ERROR] == 0
    assert not gateway.service.table.by_transport
    return [(event.kind.value, event.fields) for event in events], counters.drops, _opcodes(answer), peer.closed


def _opcodes(stream: bytes) -> list[int]:
    """Of the records in a stream, without acknowledgements alone: their number may differ."""
    found = []
    while len(stream) > 2:
        found.append(stream[2] >> 3)
        stream = stream[2 + int.from_bytes(stream[:2], "big") :]
    return [opcode for opcode in found if opcode != 5]
