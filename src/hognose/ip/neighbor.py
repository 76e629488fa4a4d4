"""ARP for one IPv4 address on one link (RFC 826, RFC 1122 section 2.3.2): cache, requests, packets that wait.

Knows addresses and finished frames-to-be (Outgoing values without their Ethernet header); does not know who sends
them. Bounds: `neighbors` entries (the longest unused is dropped), `pending_per_neighbor` packets wait for one
answer (the oldest is dropped, RFC 1122 2.3.2.2). An entry is learned only from an answer to our own request or
from somebody who asks us, never overwritten by gratuitous ARP of others (facts: T32).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.drops import Counters, DropReason
from hognose.limits import IpLimits
from hognose.link import Outgoing
from hognose.units import SECOND, Ipv4Int, Nanos
from hognose.wire import arp

# RFC 1122 2.3.2.1: entries are validated again after a while, and requests are limited to one a second.
REACHABLE_NS: Nanos = 60 * SECOND
STALE_NS: Nanos = 20 * 60 * SECOND
RETRY_NS: Nanos = 1 * SECOND
MAX_REQUESTS = 5
ZERO_MAC = bytes(6)


@dataclass(slots=True)
class Neighbor:
    """One entry: mac is None while unanswered; confirmed_at and asked_at are times of the last answer and request."""

    mac: bytes | None = None
    confirmed_at: Nanos = 0
    asked_at: Nanos = 0
    requests: int = 0
    pending: list[Outgoing] = field(default_factory=list)


class NeighborTable:
    """The ARP engine of one interface."""

    def __init__(self, *, mac: bytes, address: Ipv4Int, limits: IpLimits, counters: Counters) -> None:
        self.mac = mac
        self.address = address
        self._limits = limits
        self._counters = counters
        self._entries: dict[Ipv4Int, Neighbor] = {}
        self._requests: list[tuple[bytes, bytes]] = []
        self._waiting: dict[Ipv4Int, None] = {}

    def lookup(self, address: Ipv4Int, now: Nanos) -> bytes | None:
        """MAC of a neighbor, or None; asks (or asks again) when the entry is missing or older than a minute."""
        entry = self._entries.get(address)
        if entry is None or entry.mac is None:
            return None
        if now - entry.confirmed_at > REACHABLE_NS:
            if now - entry.confirmed_at > STALE_NS:
                entry.mac = None
                return None
            self._ask(address, entry, now)
        return entry.mac

    def wait(self, packet: Outgoing, hop: Ipv4Int, now: Nanos) -> None:
        """Keep a packet for an unresolved hop and ask for it."""
        entry = self._entries.get(hop)
        if entry is None:
            entry = self._insert(hop)
        if len(entry.pending) >= self._limits.pending_per_neighbor:
            entry.pending.pop(0)
            self._counters.drop(DropReason.ARP_QUEUE_FULL)
        entry.pending.append(packet)
        self._waiting[hop] = None
        self._ask(hop, entry, now)

    def receive(self, data: bytes, offset: int, now: Nanos) -> list[tuple[bytes, Outgoing]]:
        """Take one ARP packet; returns packets that now have a MAC. Answers and requests leave through `requests`."""
        packet = arp.parse(data, offset)
        if packet is None or packet.sender_mac[0] & 1 or packet.sender == self.address:
            self._counters.drop(DropReason.BAD_ARP)
            return []
        released: list[tuple[bytes, Outgoing]] = []
        entry = self._entries.get(packet.sender)
        for_us = packet.target == self.address
        asked = entry is not None and entry.requests > 0
        # RFC 826: merge when known; learn when we are the target. RFC 5227 probes have sender 0: answer only.
        if packet.sender != 0 and for_us and (packet.operation == arp.REQUEST or asked):
            if entry is None:
                entry = self._insert(packet.sender)
            entry.mac = packet.sender_mac
            entry.confirmed_at = now
            entry.requests = 0
            self._waiting.pop(packet.sender, None)
            released = [(packet.sender_mac, waiting) for waiting in entry.pending]
            entry.pending = []
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
        """When the oldest unanswered request is due again."""
        if not self._waiting:
            return None
        return min(self._entries[address].asked_at for address in self._waiting) + RETRY_NS

    def handle_deadline(self, now: Nanos) -> None:
        """Ask again; after MAX_REQUESTS the waiting packets are dropped (ARP_TIMEOUT)."""
        for address in list(self._waiting):
            entry = self._entries[address]
            if now - entry.asked_at < RETRY_NS:
                continue
            if entry.requests >= MAX_REQUESTS:
                self._counters.drop(DropReason.ARP_TIMEOUT, max(1, len(entry.pending)))
                entry.pending = []
                entry.requests = 0
                del self._waiting[address]
                continue
            self._ask(address, entry, now)

    def _ask(self, address: Ipv4Int, entry: Neighbor, now: Nanos) -> None:
        if entry.requests and now - entry.asked_at < RETRY_NS:
            return
        entry.asked_at = now
        entry.requests += 1
        # A known neighbor is asked directly first (RFC 1122 2.3.2.1 unicast poll); a new one by broadcast.
        known = entry.mac if entry.mac is not None and entry.requests <= 2 else b"\xff" * 6
        self._requests.append((known, arp.build(arp.REQUEST, self.mac, self.address, ZERO_MAC, address)))

    def _insert(self, address: Ipv4Int) -> Neighbor:
        if len(self._entries) >= self._limits.neighbors:
            idle = [a for a in self._entries if a not in self._waiting] or list(self._entries)
            victim = min(idle, key=lambda a: self._entries[a].confirmed_at)
            self._counters.drop(DropReason.ARP_QUEUE_FULL, len(self._entries[victim].pending) or 1)
            self._waiting.pop(victim, None)
            del self._entries[victim]
        entry = self._entries[address] = Neighbor()
        return entry
