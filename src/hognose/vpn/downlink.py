"""Inner packets toward clients: collected in a step, sealed at its end, dropped where a client's queue is full."""

from __future__ import annotations

from hognose.address import Address
from hognose.drops import Counters, DropReason
from hognose.units import Nanos, UnixSeconds
from hognose.vpn.peer import Peer

# Bytes that sealing and framing add to an inner packet, rounded up; for queue accounting.
RECORD_OVERHEAD = 32


class Downlink:
    """The queues of all clients. Bound: queue_bytes wait in a client's transport; the newest packets are dropped."""

    def __init__(self, clients: dict[Address, Peer], queue_bytes: int, counters: Counters) -> None:
        """clients: by inner address; not changed here."""
        self._clients = clients
        self._queue_bytes = queue_bytes
        self._counters = counters
        self.dirty: list[Peer] = []  # peers with packets in `down`

    def deliver(self, to_clients: dict[Address, list[bytes]]) -> int:
        """Queue packets by inner address; returns how many have a client."""
        queued = 0
        for address, packets in to_clients.items():
            peer = self._clients.get(address)
            if peer is None:
                self._counters.drop(DropReason.CLIENT_GONE, len(packets))
                continue
            if not peer.down:
                self.dirty.append(peer)
            peer.down += packets
            queued += len(packets)
        return queued

    def take(self) -> list[Peer]:
        """Drained: clients with packets, in the order in which the first ones came."""
        dirty, self.dirty = self.dirty, []
        return dirty

    def seal(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Seal and send what fits the client's queue; the rest is dropped as a full router queue would (tail drop)."""
        packets = peer.down
        peer.down = []
        session = peer.session
        if session is None:
            return
        space = peer.transport.room(self._queue_bytes)
        needed = sum(map(len, packets)) + RECORD_OVERHEAD * len(packets)
        if needed > space:
            fitting = 0
            for packet in packets:
                space -= len(packet) + RECORD_OVERHEAD
                if space < 0:
                    break
                fitting += 1
            self._counters.drop(peer.transport.full_reason, len(packets) - fitting)
            packets = packets[:fitting]
            if not packets:
                return
        records = session.seal(packets, now)
        if records and peer.transport.passtos:
            peer.transport.send_marked(records, packets)
        elif records:
            peer.transport.send(records)
