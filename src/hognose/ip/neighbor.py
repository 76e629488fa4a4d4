"""ARP for one IPv4 address on one link (RFC 826, RFC 1122 section 2.3.2): cache, requests, packets that wait.

Knows addresses and finished frames-to-be (Outgoing values without their Ethernet header); does not know their sender.

Learning. Only senders on the link, and the router, are learned: from an answer to our own request, or from a request
for our address. A known neighbor that is seen with another MAC, in whatever ARP packet, is asked: its old MAC first, by
unicast, and after a second of silence all, by broadcast. The answer counts, so an announcement alone changes nothing,
and a neighbor that moved is found within two seconds. A pinned router is neither asked nor changed.

Bounds. `neighbors` entries; where they are full the oldest goes of those that only asked us, then of those that never
answered, then of those that did, never the router's. One that only asks us evicts none but its like. For one answer
wait `pending_per_neighbor` packets of `pending_bytes_per_neighbor` together (the oldest is dropped, RFC 1122 2.3.2.2),
for all answers `pending_bytes` (the oldest packet of the neighbor that has packets waiting for longest is dropped: one
that answers does so in milliseconds). A packet counts with all its bytes, a super-segment too, and with
PACKET_OVERHEAD. Answers: ANSWERS_PER_SENDER, ANSWERED_SENDERS and ANSWERS_OFF_LINK in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.address import Address, Prefix
from hognose.base.rate import FixedWindow, KeyedWindow
from hognose.drops import Counters, DropReason
from hognose.limits import IpLimits
from hognose.link import Outgoing
from hognose.units import SECOND, Nanos
from hognose.wire import arp, ethernet

# RFC 1122 2.3.2.1: entries are validated again after a while, and requests are limited to one a second.
REACHABLE_NS: Nanos = 60 * SECOND
STALE_NS: Nanos = 20 * 60 * SECOND
RETRY_NS: Nanos = 1 * SECOND
MAX_REQUESTS = 5
ANSWERS_PER_SENDER = 4  # in a second; a host that looks for us asks once a second, a probing one more often
ANSWERED_SENDERS = 256  # likewise, on the link, besides the router
ANSWERS_OFF_LINK = 16  # likewise, of all senders that are not on the link; probes (RFC 5227) too
PACKET_OVERHEAD = 256  # bytes of the objects around a waiting packet, rounded up
_ZERO_MAC = bytes(6)
_PINNED_AT: Nanos = 1 << 62  # later than any time: never asked again
_ANYWHERE = Prefix(bytes(4), 0)


@dataclass(slots=True)
class Neighbor:
    """One entry: mac is None while unanswered; confirmed_at and asked_at are times of the last answer and request.

    group: the dictionary of the table that has it, by which it is evicted. requests: since the last answer. doubted: it
    was seen with another MAC, and the last request is less than a second ago. pending_bytes: of the packets in
    `pending`, each with PACKET_OVERHEAD.
    """

    group: dict[Address, None]
    mac: bytes | None = None
    confirmed_at: Nanos = 0
    asked_at: Nanos = 0
    requests: int = 0
    doubted: bool = False
    pending: list[Outgoing] = field(default_factory=list)
    pending_bytes: int = 0


class NeighborTable:
    """The ARP engine of one interface."""

    def __init__(
        self,
        *,
        mac: bytes,
        address: Address,
        limits: IpLimits,
        counters: Counters,
        uplink: Prefix = _ANYWHERE,
        router: Address | None = None,
        router_mac: bytes | None = None,
    ) -> None:
        """uplink: addresses that are on the link, besides the router. router_mac: pinned, not asked for."""
        self.mac = mac
        self.address = address
        self._limits = limits
        self._counters = counters
        self._network = int.from_bytes(uplink.network, "big")
        self._mask = int.from_bytes(uplink.mask, "big")
        self._broadcasts = uplink.broadcasts
        self._router = router
        self._pinned = router if router_mac is not None else None
        self._entries: dict[Address, Neighbor] = {}
        # Every entry stands in one of these, the oldest first.
        self._heard: dict[Address, None] = {}  # asked us
        self._silent: dict[Address, None] = {}  # were asked, and have not answered
        self._known: dict[Address, None] = {}  # were asked, and have answered
        self._routers: dict[Address, None] = {}
        self._requests: list[tuple[bytes, bytes]] = []
        self._waiting: dict[Address, None] = {}  # asked less than a second ago, or due to be asked again, oldest first
        # Neighbors with pending packets, the one that has had some for longest first.
        self._holding: dict[Address, None] = {}
        self.pending_bytes = 0  # of all neighbors
        self._answers = KeyedWindow(0)  # by sender
        self._answers_off_link = FixedWindow(0)
        if router is not None and router_mac is not None:
            self._insert(router).mac = router_mac
            self._entries[router].confirmed_at = _PINNED_AT

    def __len__(self) -> int:
        """Entries, those without an answer included."""
        return len(self._entries)

    def lookup(self, address: Address, now: Nanos) -> bytes | None:
        """MAC of a neighbor, or None; sends a request when the entry is missing or older than a minute."""
        entry = self._entries.get(address)
        if entry is None or entry.mac is None:
            return None
        if now - entry.confirmed_at > REACHABLE_NS:
            if now - entry.confirmed_at > STALE_NS:
                entry.mac = None
                return None
            if address not in self._waiting:
                self._ask(address, entry, now)
        return entry.mac

    def wait(self, packet: Outgoing, hop: Address, now: Nanos) -> None:
        """Keep a packet for an unresolved hop and ask for it; older ones give way (ARP_QUEUE_FULL)."""
        entry = self._entries.get(hop)
        if entry is None:
            entry = self._insert(hop)
        if hop not in self._waiting:
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

        Answers and requests leave through `requests`. Drops: BAD_ARP, ARP_CROWDED (a request that gets no answer).
        """
        packet = arp.parse(data, offset)
        if packet is None or packet[1][0] & 1 or packet[2] == self.address:
            self._counters.drop(DropReason.BAD_ARP)
            return []
        operation, sender_mac, sender, _, target = packet
        entry = self._entries.get(sender)
        mac = None if entry is None else entry.mac
        asks = operation == arp.REQUEST
        for_us = target == self.address
        if entry is not None and mac is not None and mac != sender_mac:
            if for_us and not asks and entry.requests > 1:  # all were asked: the old MAC was silent for a second
                self._confirm(sender, entry, sender_mac, now)
            else:
                self._doubt(sender, entry, now)
        if not for_us:
            return []
        if asks:
            if not self._may_answer(sender, now):
                self._counters.drop(DropReason.ARP_CROWDED)
                return []
            answer = arp.build(arp.REPLY, self.mac, self.address, sender_mac, sender)
            self._requests.append((sender_mac, answer))
        if entry is None:
            if asks:
                self._learn(sender, sender_mac, now)
        elif (mac is None or mac == sender_mac) and (asks or entry.requests):
            return self._confirm(sender, entry, sender_mac, now)
        return []

    def announce(self) -> None:
        """Queue a gratuitous request (RFC 5227 section 3) so that the link learns our MAC."""
        packet = arp.build(arp.REQUEST, self.mac, self.address, _ZERO_MAC, self.address)
        self._requests.append((ethernet.BROADCAST, packet))

    def requests(self) -> list[tuple[bytes, bytes]]:
        """Drained (destination MAC, ARP packet) pairs to send."""
        if not self._requests:
            return []
        taken = self._requests
        self._requests = []
        return taken

    def next_deadline(self) -> Nanos | None:
        """Time at which the oldest request is a second old; None when none is younger."""
        for address in self._waiting:
            return self._entries[address].asked_at + RETRY_NS
        return None

    def handle_deadline(self, now: Nanos) -> None:
        """Repeat requests that are due; after MAX_REQUESTS the waiting packets are dropped (ARP_TIMEOUT)."""
        waiting = self._waiting
        while waiting:
            address = next(iter(waiting))
            entry = self._entries[address]
            if now - entry.asked_at < RETRY_NS:
                return
            if entry.requests >= MAX_REQUESTS:
                self._give_up(address, entry)
            elif entry.requests or entry.doubted:
                self._ask(address, entry, now)
            else:
                del waiting[address]

    def _is_on_link(self, sender: Address) -> bool:
        if int.from_bytes(sender, "big") & self._mask != self._network or sender in self._broadcasts:
            return sender == self._router
        return True

    def _may_answer(self, sender: Address, now: Nanos) -> bool:
        """Count a request for our address; False when it is neither answered nor learned from."""
        if not self._is_on_link(sender):
            return self._answers_off_link.count(now) <= ANSWERS_OFF_LINK
        answers = self._answers
        answers.begins(now)
        if len(answers) >= ANSWERED_SENDERS and sender != self._router and not answers.knows(sender):
            return False
        return answers.count(sender) <= ANSWERS_PER_SENDER

    def _learn(self, sender: Address, mac: bytes, now: Nanos) -> None:
        """Take a sender that asked us; where the table is full of better known ones it is not taken."""
        if not self._is_on_link(sender):
            return
        if sender == self._router:
            entry = self._insert(sender)
        elif len(self._entries) < self._limits.neighbors or self._heard:
            entry = self._insert(sender)
            self._move(sender, entry, self._heard)
        else:
            return
        entry.mac = mac
        entry.confirmed_at = now

    def _confirm(self, address: Address, entry: Neighbor, mac: bytes, now: Nanos) -> list[Outgoing]:
        """Take the MAC of a neighbor that has an entry; returns the packets that waited for it."""
        if address == self._pinned:
            return []
        if address != self._router:
            group = self._known if entry.requests or entry.group is self._known else self._heard
            self._move(address, entry, group)
        entry.mac = mac
        entry.confirmed_at = now
        entry.requests = 0
        entry.doubted = False
        return self._take_pending(address, entry)

    def _doubt(self, address: Address, entry: Neighbor, now: Nanos) -> None:
        """Ask a neighbor that was seen with another MAC, a second after the last request at the earliest."""
        if address == self._pinned:
            return
        if address in self._waiting:
            entry.doubted = True
        else:
            self._ask(address, entry, now)

    def _ask(self, address: Address, entry: Neighbor, now: Nanos) -> None:
        # A known neighbor is asked directly first (RFC 1122 2.3.2.1 unicast poll); a new or silent one by broadcast.
        to = ethernet.BROADCAST if entry.mac is None or entry.requests else entry.mac
        self._requests.append((to, arp.build(arp.REQUEST, self.mac, self.address, _ZERO_MAC, address)))
        entry.asked_at = now
        entry.requests += 1
        entry.doubted = False
        self._waiting.pop(address, None)
        self._waiting[address] = None

    def _give_up(self, address: Address, entry: Neighbor) -> None:
        """End the requests for a neighbor; one that was known stays so until it is stale."""
        lost = len(self._take_pending(address, entry))
        if lost or entry.mac is None:
            self._counters.drop(DropReason.ARP_TIMEOUT, max(1, lost))
        entry.requests = 0
        entry.doubted = False
        del self._waiting[address]

    def _insert(self, address: Address) -> Neighbor:
        """A new entry among those that have not answered, or the router's."""
        if len(self._entries) >= self._limits.neighbors:
            self._evict()
        group = self._routers if address == self._router else self._silent
        entry = self._entries[address] = Neighbor(group)
        group[address] = None
        return entry

    def _evict(self) -> None:
        for group in (self._heard, self._silent, self._known):
            for address in group:
                entry = self._entries[address]
                if entry.pending:
                    self._counters.drop(DropReason.ARP_QUEUE_FULL, len(self._take_pending(address, entry)))
                self._waiting.pop(address, None)
                del group[address]
                del self._entries[address]
                return

    @staticmethod
    def _move(address: Address, entry: Neighbor, group: dict[Address, None]) -> None:
        """Put an entry to the young end of a group."""
        del entry.group[address]
        entry.group = group
        group[address] = None

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
