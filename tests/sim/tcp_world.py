"""A hognose TcpServer and a reference client on one bad link, in virtual time; a stand-still fails at once."""

from __future__ import annotations

from tests.sim.reference_peer import PeerSettings, ReferencePeer
from tests.sim.segments import build, ones_complement, parse, pseudo, read
from tests.world.impairment import Channel, Impairment

from hognose.drops import Counters
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer

SERVER, PORT = 0x0A000002, 1194
CLIENT, CLIENT_PORT = 0x0A000009, 40_000
SECOND = 1_000_000_000
PIECE = 16_000


class TcpWorld:
    """Runs both ends until both streams are delivered and closed."""

    def __init__(
        self,
        *,
        up: bytes,
        down: bytes,
        link: Impairment,
        seed: int,
        peer: PeerSettings | None = None,
        limits: TcpLimits | None = None,
        start: int = 0,
        secret: bytes = bytes(32),
    ) -> None:
        self.now = start
        self.counters = Counters()
        self.server = TcpServer(
            address=SERVER.to_bytes(4, "big"),
            port=PORT,
            mtu=1500,
            limits=limits or TcpLimits(),
            secret=secret,
            now=start,
            random=bytes,
            counters=self.counters,
        )
        self.peer = ReferencePeer(peer or PeerSettings(), up)
        self.received = bytearray()
        self.connection: TcpConnection | None = None
        self.closed: list[TcpConnection] = []
        self.super_segments = 0
        self._up, self._down = Channel(link, 2 * seed), Channel(link, 2 * seed + 1)
        self._to_send = down
        self._corrupt = link.corrupt > 0

    def run(self, *, limit_s: float = 3600) -> None:
        """Until done; AssertionError when nothing is scheduled and it is not, or virtual time runs out."""
        end = self.now + int(limit_s * SECOND)
        self.peer.connect(self.now)
        self.exchange()
        while not self.done:
            waits = [
                self._up.next_due(), self._down.next_due(), self.server.next_deadline(), self.peer.next_deadline()
            ]  # fmt: skip
            times = [at for at in waits if at is not None]
            assert times, f"stand-still: nothing scheduled, {self.state()}"
            self.now = max(self.now, min(times))
            assert self.now < end, f"out of time: {self.state()}"
            self.exchange()

    @property
    def done(self) -> bool:
        return self.peer.finished and bool(self.closed)

    def state(self) -> str:
        return (
            f"t={self.now / SECOND:.3f}s up={len(self.received)} down={len(self.peer.received)} "
            f"peer fin={self.peer.peer_fin} reset={self.peer.reset} counters={self.counters.non_zero()}"
        )

    def exchange(self) -> None:
        now, server, peer = self.now, self.server, self.peer
        for packet in self._up.due(now):
            server.receive(packet, 0, 20, len(packet), 0, not self._corrupt, now)
        deadline = server.next_deadline()
        if deadline is not None and deadline <= now:
            server.handle_deadline(now)
        self._serve()
        for outgoing in server.poll(now):
            self.send_down(outgoing)
        deadline = peer.next_deadline()
        if deadline is not None and deadline <= now:
            peer.handle_deadline(now)
        for packet in self._down.due(now):
            if self._corrupt and not intact(packet):
                continue
            peer.receive(parse(packet), now)
        for segment in peer.out:
            self._up.offer(build(segment, CLIENT, CLIENT_PORT, SERVER, PORT, checksum=self._corrupt), now)
        peer.out.clear()

    def _serve(self) -> None:
        for accepted in self.server.accepted():
            assert self.connection is None
            self.connection = accepted
        for readable in self.server.readable():
            self.received += b"".join(readable.take())
        self.closed += self.server.closed()
        connection = self.connection
        if connection is None or connection.close_reason is not None:
            return
        while self._to_send and connection.send_space:
            size = min(connection.send_space, PIECE)
            connection.write([self._to_send[: size // 2], self._to_send[size // 2 : size]])
            self._to_send = self._to_send[size:]
        if not self._to_send:
            connection.close(self.now)

    def send_down(self, outgoing: Outgoing) -> None:
        segments = read(outgoing)
        self.super_segments += len(segments) > 1
        for segment in segments:
            self._down.offer(build(segment, SERVER, PORT, CLIENT, CLIENT_PORT, checksum=self._corrupt), self.now)


def intact(packet: bytes) -> bool:
    """Would a receiver with checksums take this packet?"""
    return (
        packet[0] == 0x45 and ones_complement(packet[:20]) == 0 and ones_complement(pseudo(packet) + packet[20:]) == 0
    )
