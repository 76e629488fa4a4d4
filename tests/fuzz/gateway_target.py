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

from hognose.config.model import ServerConfig
from hognose.config.parser import parse as parse_config
from hognose.drops import Counters, DropReason
from hognose.gateway import live
from hognose.gateway.assemble import Uplink, assemble
from hognose.gateway.profile import make_profile
from hognose.limits import IpLimits, Limits, NatLimits, TcpLimits
from hognose.link import LinkCaps
from hognose.openvpn.profile import ServerProfile
from hognose.units import SECOND, ipv4_int

MAC, ROUTER_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
ROUTER = ipv4_int("10.0.0.1")
UNIX = 1_800_000_000
LIMITS = Limits(
    tcp=TcpLimits(half_open=4, connections=4),
    nat=NatLimits(flows=16, flows_per_client=8),
    ip=IpLimits(neighbors=4, reassembly_datagrams=4),
)


@lru_cache(maxsize=1)
def _config() -> ServerConfig:
    return parse_config(ServerSettings(authority(), server_identity(), "none").text(), "server.conf")[0]


@lru_cache(maxsize=1)
def _profile() -> ServerProfile:
    return make_profile(_config(), LIMITS)


def _same_profile(*_: object) -> ServerProfile:
    """Certificates and OpenSSL's context are the same for all inputs: making them took most of the time."""
    return _profile()


def gateway_frames(data: bytes) -> None:
    """Frames as they come, frames with a right IPv4 packet in them, ARP, and a peer's stream of OpenVPN records."""
    reader = Reader(data)
    count = 0

    def random(size: int) -> bytes:
        nonlocal count
        count += 1
        return (b"%08d" % count * (size // 8 + 1))[:size]

    counters = Counters()
    now = 1000 * SECOND
    with mock.patch.object(live, "make_profile", _same_profile):
        gateway = assemble(
            _config(), caps=LinkCaps(mac=MAC), uplink=Uplink(OUTSIDE, 24, ROUTER), limits=LIMITS, random=random,
            now=now, unix=UNIX, counters=counters,
        )  # fmt: skip
    head = MAC + ROUTER_MAC
    arp = struct.pack(">HHBBH6sI6sI", 1, 0x0800, 6, 4, 2, ROUTER_MAC, ROUTER, MAC, OUTSIDE)
    gateway.step([bytes(12) + head + b"\x08\x06" + arp], now, UNIX)
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
            frames.append(reader.take(12).ljust(12, b"\0") + head + b"\x08\0" + ip_packet(reader, SERVER, OUTSIDE))
        elif kind == 2:
            frames.append(bytes(12) + head + b"\x08\x06" + reader.take(28))
        elif kind == 3:
            now += (choice >> 3) * SECOND
        else:
            segment = peer.says(kind, choice >> 3, reader)
            frames.append(bytes(12) + head + b"\x08\0" + build(segment, SERVER, 40_000, OUTSIDE, 1194))
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

    def hears(self, frame: bytes) -> None:
        """Acknowledge what came for this connection."""
        if frame[24:26] == b"\x08\0" and len(frame) >= 66 and frame[35] == 6 and frame[48:50] == b"\x9c\x40":
            segment = parse(frame[26:])
            if not segment.has("R"):
                self.ack = segment.end
