"""ARP for one IPv4 address on one link (RFC 826, RFC 1122 section 2.3.2): cache, requests, packets that wait.

Knows addresses and finished frames-to-be (Outgoing values without their Ethernet header); does not know their sender.
Bounds: `neighbors` entries (the longest unused is dropped); for one answer wait `pending_per_neighbor` packets of
`pending_bytes_per_neighbor` together (the oldest is dropped, RFC 1122 2.3.2.2), for all answers `pending_bytes` (the
oldest packet of the neighbor that has packets waiting for longest is dropped: one that answers does so in
milliseconds). A packet counts with all its bytes, a super-segment too, and with PACKET_OVERHEAD. An entry is learned
only from an answer to our own request or from a request for our address, never overwritten by gratuitous ARP of others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.address import Address
from hognose.drops import Counters, DropReason
from hognose.limits import IpLimits
from hognose.link import Outgoing
from hognose.units import SECOND, Nanos
from hognose.wire import arp

# RFC 1122 2.3.2.1: entries are validated again after a while, and requests are limited to one a second.
REACHABLE_NS: Nanos = 60 * SECOND
STALE_NS: Nanos = 20 * 60 * SECOND
RETRY_NS: Nanos = 1 * SECOND
MAX_REQUESTS = 5
ZERO_MAC = bytes(6)
NO_SENDER = bytes(4)  # of probes (RFC 5227 section 1.1)
PACKET_OVERHEAD = 256  # bytes of the objects around a waiting packet, rounded up


@dataclass(slots=True)
class Neighbor:
    """One entry: mac is None while unanswered; confirmed_at and asked_at are times of the last answer and request.

    pending_bytes: of the packets in `pending`, each with PACKET_OVERHEAD.
    """

    mac: bytes | None = None
    confirmed_at: Nanos = 0
    asked_at: Nanos = 0
    requests: int = 0
    pending: list[Outgoing] = field(default_factory=list)
    pending_bytes: int = 0


class NeighborTable:
    """The ARP engine of one interface."""

    def __init__(self, *, mac: bytes, address: Address, limits: IpLimits, counters: Counters) -> None:
        self.mac = mac
        self.address = address
        self._limits = limits
        self._counters = counters
        self._entries: dict[Address, Neighbor] = {}
        self._requests: list[tuple[bytes, bytes]] = []
        self._waiting: dict[Address, None] = {}
        # Neighbors with pending packets, the one that has had some for longest first.
        self._holding: dict[Address, None] = {}
        self.pending_bytes = 0  # of all neighbors

    def lookup(self, address: Address, now: Nanos) -> bytes | None:
        """MAC of a neighbor, or None; sends a request when the entry is missing or older than a minute."""
        entry = self._entries.get(address)
        if entry is None or entry.mac is None:
            return None
        if now - entry.confirmed_at > REACHABLE_NS:
            if now - entry.confirmed_at > STALE_NS:
                entry.mac = None
                return None
            self._ask(address, entry, now)
        return entry.mac

    def wait(self, packet: Outgoing, hop: Address, now: Nanos) -> None:
        """Keep a packet for an unresolved hop and ask for it; older ones give way (ARP_QUEUE_FULL)."""
        entry = self._entries.get(hop)
        if entry is None:
            entry = self._insert(hop)
        self._waiting[hop] = None
        self._ask(hop, entry, now)
        limits = self._limits
        destination, vnet, pieces = packet
        whole = b"".join(pieces)  # one object instead of up to 129
        size = len(whole) + PACKET_OVERHEAD
        if size > min(limits.pending_bytes_per_neighbor, limits.pending_bytes):
            self._counters.drop(DropReason.ARP_QUEUE_FULL)
            return
        while (
            len(entry.pending) >= limits.pending_per_neighbor
            or entry.pending_bytes + size > limits.pending_bytes_per_neighbor
        ):
            self._drop_oldest(hop, entry)
        while self.pending_bytes + size > limits.pending_bytes:
            oldest = next(iter(self._holding))
            self._drop_oldest(oldest, self._entries[oldest])
        entry.pending.append((destination, vnet, [whole]))
        entry.pending_bytes += size
        self.pending_bytes += size
        self._holding[hop] = None

    def receive(self, data: bytes, offset: int, now: Nanos) -> list[Outgoing]:
        """Take one ARP packet; returns the packets that waited for it, to be sent again.

        Answers and requests leave through `requests`.
        """
        packet = arp.parse(data, offset)
        if packet is None or packet.sender_mac[0] & 1 or packet.sender == self.address:
            self._counters.drop(DropReason.BAD_ARP)
            return []
        released: list[Outgoing] = []
        entry = self._entries.get(packet.sender)
        for_us = packet.target == self.address
        asked = entry is not None and entry.requests > 0
        # RFC 826: merge when known; learn when we are the target. RFC 5227 probes have sender 0: answer only.
        if packet.sender != NO_SENDER and for_us and (packet.operation == arp.REQUEST or asked):
            if entry is None:
                entry = self._insert(packet.sender)
            released = self._take_pending(packet.sender, entry)
            entry.mac = packet.sender_mac
            entry.confirmed_at = now
            entry.requests = 0
            self._waiting.pop(packet.sender, None)
        if packet.operation == arp.REQUEST and for_us:
            answer = arp.build(arp.REPLY, self.mac, self.address, packet.sender_mac, packet.sender)
            self._requests.append((packet.sender_mac, answer))
        return released

    def announce(self) -> None:
        """Queue a gratuitous request (RFC 5227 section 3) so that the link learns our MAC."""
        self._requests.append((b"\xff" * 6, arp.build(arp.REQUEST, self.mac, self.address, ZERO_MAC, self.address)))

    def requests(self) -> list[tuple[bytes, bytes]]:
        """Drained (destination MAC, ARP packet) pairs to send."""
        if not self._requests:
            return []
        taken = self._requests
        self._requests = []
        return taken

    def next_deadline(self) -> Nanos | None:
        """Time at which the oldest unanswered request is due again; None when none is unanswered."""
        if not self._waiting:
            return None
        return min(self._entries[address].asked_at for address in self._waiting) + RETRY_NS

    def handle_deadline(self, now: Nanos) -> None:
        """Repeat requests that are due; after MAX_REQUESTS the waiting packets are dropped (ARP_TIMEOUT)."""
        for address in list(self._waiting):
            entry = self._entries[address]
            if now - entry.asked_at < RETRY_NS:
                continue
            if entry.requests >= MAX_REQUESTS:
                self._counters.drop(DropReason.ARP_TIMEOUT, max(1, len(self._take_pending(address, entry))))
                entry.requests = 0
                del self._waiting[address]
                continue
            self._ask(address, entry, now)

    def _ask(self, address: Address, entry: Neighbor, now: Nanos) -> None:
        if entry.requests and now - entry.asked_at < RETRY_NS:
            return
        entry.asked_at = now
        entry.requests += 1
        # A known neighbor is asked directly first (RFC 1122 2.3.2.1 unicast poll); a new one by broadcast.
        known = entry.mac if entry.mac is not None and entry.requests <= 2 else b"\xff" * 6
        self._requests.append((known, arp.build(arp.REQUEST, self.mac, self.address, ZERO_MAC, address)))

    def _insert(self, address: Address) -> Neighbor:
        if len(self._entries) >= self._limits.neighbors:
            idle = [a for a in self._entries if a not in self._waiting] or list(self._entries)
            victim = min(idle, key=lambda a: self._entries[a].confirmed_at)
            dropped = self._take_pending(victim, self._entries[victim])
            self._counters.drop(DropReason.ARP_QUEUE_FULL, len(dropped) or 1)
            self._waiting.pop(victim, None)
            del self._entries[victim]
        entry = self._entries[address] = Neighbor()
        return entry

    def _drop_oldest(self, address: Address, entry: Neighbor) -> None:
        """Drop the oldest waiting packet of a neighbor that has one."""
        _, _, (whole,) = entry.pending.pop(0)
        entry.pending_bytes -= len(whole) + PACKET_OVERHEAD
        self.pending_bytes -= len(whole) + PACKET_OVERHEAD
        if not entry.pending:
            del self._holding[address]
        self._counters.drop(DropReason.ARP_QUEUE_FULL)

    def _take_pending(self, address: Address, entry: Neighbor) -> list[Outgoing]:
        """Remove and return the packets that wait for this neighbor."""
        taken = entry.pending
        self.pending_bytes -= entry.pending_bytes
        entry.pending, entry.pending_bytes = [], 0
        self._holding.pop(address, None)
        return taken
