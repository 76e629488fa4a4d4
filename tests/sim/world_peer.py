"""A client host of the world simulation: its TCP, its OpenVPN client, what it sent and what came back.

The TCP is the reference peer with a stream that grows; the OpenVPN client is the model client of the unit tests.
Neither shares code with hognose.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.sim.reference_peer import PeerSettings, ReferencePeer
from tests.sim.segments import Segment, ones_complement
from tests.unit.openvpn.client import PING, ClientKit, ModelClient

SECOND = 1_000_000_000
OPEN_END = 1 << 60  # where the stream ends while that is unknown
ECHO_PORT = 7


class StreamPeer(ReferencePeer):
    """A reference peer whose program writes as it goes and may close."""

    def __init__(self, settings: PeerSettings) -> None:
        super().__init__(settings, b"")
        self._data: bytearray = bytearray()  # type: ignore[assignment]  # one that grows
        self._end = OPEN_END

    def write(self, data: bytes, now: int) -> None:
        """More of the stream."""
        self._data += data
        if self.established:
            self._push(now)

    def close(self, now: int) -> None:
        """The FIN, after what was written."""
        self._end = 1 + len(self._data)
        if self.established:
            self._push(now)

    def abort(self, now: int) -> None:
        """A RST."""
        self._emit(self.nxt, b"", "RA", now)
        self.reset = True
        self._rto_at = self._ack_at = self._read_at = 0

    def receive(self, segment: Segment, now: int) -> None:
        """As the reference peer; a SYN-ACK for another host's SYN is answered with a RST (RFC 9293 3.10.7.3)."""
        if segment.has("S") and not self.established and segment.ack != (self.settings.iss + 1) & 0xFFFFFFFF:
            if not segment.has("R"):
                self.out.append(Segment(segment.ack, 0, "R", 0))
            return
        super().receive(segment, now)

    def take(self) -> bytes:
        """Data in order since the last call."""
        data, self.received = bytes(self.received), bytearray()
        return data

    @property
    def unacknowledged(self) -> int:
        """Bytes that the other side has not acknowledged."""
        return 1 + len(self._data) - self._una

    def _push(self, now: int) -> None:
        limit = min(self._una + min(self._peer_window, self.settings.send_window), 1 + len(self._data))
        while self.nxt < limit:
            self._send_one(self.nxt, min(self._mss, limit - self.nxt), now)
        if self.nxt == self._end:
            self._send_one(self._end, 0, now)
            self.nxt += 1

    def fill(self, start: int, end: int, now: int) -> None:
        super().fill(start, min(end, self.nxt), now)


@dataclass
class Tunnel:
    """One session of a client, from its TCP connection on, and the truth about its packets."""

    number: int
    port: int
    peer: StreamPeer
    vpn: ModelClient
    began: int
    stream: bytes = b""
    address: int = 0
    waiting: dict[bytes, int] = field(default_factory=dict)  # payloads of queries that are not answered -> since when
    answered: int = 0
    spoofed: int = 0
    sent_at: int = 0  # when the last data record left
    heard_at: int = 0
    held_beyond: int = 0  # end of what the gateway holds beyond a gap; 0 = nothing
    leaving: bool = False  # it has said EXIT or closed

    @property
    def dead(self) -> bool:
        """Reset, or closed by the server."""
        return self.peer.reset or self.peer.peer_fin

    def next_resend(self) -> int | None:
        """Time at which the OpenVPN client repeats a control packet."""
        times = [entry[2] for n in self.vpn.negotiations.values() for entry in n.unacked.values()]
        return min(times, default=None)

    def exchange(self, now: int) -> list[bytes]:
        """Between TCP and OpenVPN, both ways; the inner packets that came."""
        self.stream += self.peer.take()
        pings = self.vpn.pings
        while len(self.stream) >= 2 and len(self.stream) >= 2 + int.from_bytes(self.stream[:2], "big"):
            end = 2 + int.from_bytes(self.stream[:2], "big")
            record, self.stream = self.stream[2:end], self.stream[end:]
            self.vpn.receive(record, now)
            self.heard_at = now
        assert self.vpn.pings >= pings
        self.flush(now)
        if not self.address and self.vpn.established:
            self.address = self._pushed_address()
        packets, self.vpn.packets = self.vpn.packets, []
        return packets

    def flush(self, now: int) -> None:
        """Records of the OpenVPN client into the stream."""
        records = self.vpn.poll(now)
        if records and not self.dead:
            self.peer.write(b"".join(len(record).to_bytes(2, "big") + record for record in records), now)

    def send(self, packet: bytes, now: int) -> None:
        """An inner packet."""
        self.vpn.send(packet)
        self.sent_at = now

    def ping(self, now: int) -> None:
        """A keepalive."""
        self.send(PING, now)

    def _pushed_address(self) -> int:
        [reply] = [message for message in self.vpn.messages if message.startswith("PUSH_REPLY")]
        text = next(word.split(" ")[1] for word in reply.split(",") if word.startswith("ifconfig "))
        return int.from_bytes(bytes(map(int, text.split("."))), "big")


def open_tunnel(number: int, port: int, iss: int, kit: ClientKit, now: int) -> Tunnel:
    """A connection and a session that begin now."""
    tunnel = Tunnel(number, port, StreamPeer(PeerSettings(iss=iss)), ModelClient(kit), now, heard_at=now, sent_at=now)
    tunnel.peer.connect(now)
    tunnel.vpn.start(now)
    tunnel.flush(now)
    return tunnel


def ip_packet(protocol: int, source: int, destination: int, body: bytes, ttl: int = 64) -> bytes:
    """An IPv4 packet without options."""
    head = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 0, 0x4000, ttl, protocol, 0, source, destination)
    return head[:10] + struct.pack(">H", ones_complement(head)) + head[12:] + body


def udp_packet(source: int, sport: int, destination: int, dport: int, payload: bytes) -> bytes:
    """A UDP packet with its checksum."""
    body = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    pseudo = struct.pack(">IIBBH", source, destination, 0, 17, len(body))
    checksum = ones_complement(pseudo + body) or 0xFFFF  # RFC 768: 0 says that there is none
    return ip_packet(17, source, destination, body[:6] + struct.pack(">H", checksum) + body[8:])


def echo_request(source: int, destination: int, payload: bytes) -> bytes:
    """An ICMP echo request."""
    body = struct.pack(">BBHHH", 8, 0, 0, 7, 1) + payload
    return ip_packet(1, source, destination, body[:2] + struct.pack(">H", ones_complement(body)) + body[4:])


def is_sound(packet: bytes) -> bool:
    """True if header and UDP or ICMP checksum are right."""
    if ones_complement(packet[:20]) or int.from_bytes(packet[2:4], "big") != len(packet):
        return False
    if packet[9] == 1:
        return ones_complement(packet[20:]) == 0
    if packet[26:28] == b"\0\0":
        return False  # every sender here has them
    pseudo = packet[12:20] + b"\0\x11" + struct.pack(">H", len(packet) - 20)
    return ones_complement(pseudo + packet[20:]) == 0
