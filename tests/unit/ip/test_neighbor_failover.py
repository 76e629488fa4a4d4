"""ARP when a MAC changes, in virtual time: questions, the answers that count, how soon; and floods of requests.

The other machines are scapy's: routers that answer for the same address, neighbors, forgers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import pytest
from scapy.layers.l2 import ARP

from hognose.address import Prefix, address_text, parse_ipv4
from hognose.drops import Counters
from hognose.ip.neighbor import (
    ANSWERED_SENDERS,
    ANSWERS_OFF_LINK,
    ANSWERS_PER_SENDER,
    REACHABLE_NS,
    STALE_NS,
    NeighborTable,
)
from hognose.limits import IpLimits
from hognose.units import MS, SECOND
from hognose.wire.virtio_net import PLAIN

MAC = bytes.fromhex("020000000002")
OLD, NEW, FORGED = (bytes.fromhex(f"0200000000{end}") for end in ("a1", "b1", "ee"))
ALL = b"\xff" * 6
US, ROUTER, HOST = "10.0.0.2", "10.0.0.1", "10.0.0.9"
T0 = 5 * SECOND


@cache
def template(op: int) -> bytes:
    return bytes(
        ARP(op=op, hwsrc="11:11:11:11:11:11", psrc="250.250.250.250", hwdst=MAC.hex(":"), pdst="251.251.251.251")
    )


def packet(op: int, mac: bytes, sender: str, target: str = US) -> bytes:
    """As scapy makes it; addresses are put in by hand, because thousands are made."""
    made = template(op).replace(b"\x11" * 6, mac)
    return made.replace(b"\xfa" * 4, parse_ipv4(sender)).replace(b"\xfb" * 4, parse_ipv4(target))


# What a machine sends from its new MAC (RFC 5227 section 3, RFC 826, RFC 5798 section 8.1.2).
SIBLINGS = {
    "announcement": lambda mac, own: packet(1, mac, own, own),
    "announcement by a reply": lambda mac, own: packet(2, mac, own, own),
    "request for another address": lambda mac, own: packet(1, mac, own, "10.0.0.99"),
    "unasked reply to us": lambda mac, own: packet(2, mac, own, US),
    "request for us": lambda mac, own: packet(1, mac, own, US),
}


def table(router_mac: bytes | None = None, counters: Counters | None = None, **limits: int) -> NeighborTable:
    return NeighborTable(
        mac=MAC,
        address=parse_ipv4(US),
        limits=IpLimits(**limits),
        counters=counters or Counters(),
        uplink=Prefix(parse_ipv4("10.0.0.0"), 16),
        router=parse_ipv4(ROUTER),
        router_mac=router_mac,
    )


@dataclass
class Link:
    """A table and machines at addresses; each answers the requests that reach its MAC after `delay`."""

    table: NeighborTable
    machines: dict[bytes, str] = field(default_factory=dict)  # MAC: address
    now: int = T0
    counters: Counters = field(default_factory=Counters)
    asked: list[tuple[int, bytes]] = field(default_factory=list)  # (time since T0, destination)

    def come(self, data: bytes) -> None:
        self.table.receive(data, 0, self.now)
        self.deliver()

    def send_to(self, address: str) -> None:
        """A packet for this address, which may have to wait for its MAC."""
        if self.mac_of(address) is None:
            self.table.wait((parse_ipv4(address), PLAIN, [b"x"]), parse_ipv4(address), self.now)
            self.deliver()

    def deliver(self) -> None:
        for to, data in self.table.requests():
            if data[6:8] != b"\0\1":
                continue
            self.asked.append((self.now - T0, to))
            for mac, address in self.machines.items():
                if to in (ALL, mac) and data[24:28] == parse_ipv4(address):
                    self.table.receive(packet(2, mac, address), 0, self.now)

    def until(self, time: int) -> None:
        """Let time pass to T0 + time."""
        while (due := self.table.next_deadline()) is not None and due <= T0 + time:
            self.now = max(self.now, due)
            self.table.handle_deadline(self.now)
            self.deliver()
        self.now = T0 + time

    def mac_of(self, address: str) -> bytes | None:
        mac = self.table.lookup(parse_ipv4(address), self.now)
        self.deliver()
        return mac


def known(address: str = ROUTER, **limits: int) -> Link:
    """The machine at this address has answered our request, at T0 - 10 s, from its old MAC."""
    counters = Counters()
    link = Link(table(None, counters, **limits), {OLD: address}, T0 - 10 * SECOND, counters)
    link.send_to(address)
    link.until(0)
    assert link.mac_of(address) == OLD
    link.asked.clear()
    return link


@pytest.mark.parametrize("address", [ROUTER, HOST])
@pytest.mark.parametrize("sibling", SIBLINGS)
def test_a_machine_with_a_new_mac_is_found_within_two_seconds(sibling: str, address: str) -> None:
    link = known(address)
    link.machines = {NEW: address}
    link.come(SIBLINGS[sibling](NEW, address))
    assert (link.mac_of(address), link.asked) == (OLD, [(0, OLD)])
    link.until(SECOND)
    assert (link.mac_of(address), link.asked) == (NEW, [(0, OLD), (SECOND, ALL)])
    link.until(60 * SECOND)
    assert link.asked == [(0, OLD), (SECOND, ALL)]


@pytest.mark.parametrize("sibling", SIBLINGS)
def test_a_forged_one_changes_nothing_while_the_old_router_answers(sibling: str) -> None:
    link = known()
    link.come(SIBLINGS[sibling](FORGED, ROUTER))
    for time in range(0, 10 * SECOND, 100 * MS):
        link.until(time)
        assert link.mac_of(ROUTER) == OLD
    assert link.asked == [(0, OLD)]


def test_forged_answers_to_the_question_for_the_old_router_count_nothing() -> None:
    """Also when they are faster than its own; and while they keep coming one question a second is asked."""
    link = known()
    link.machines = {}
    for time in range(0, 10 * SECOND, 100 * MS):
        link.until(time)
        link.come(packet(2, FORGED, ROUTER))
        assert link.mac_of(ROUTER) == OLD
        link.table.receive(packet(2, OLD, ROUTER), 0, link.now)
    assert link.asked == [(second * SECOND, OLD) for second in range(10)]


def test_a_router_that_moves_just_after_a_question_is_found_in_time() -> None:
    """A forgery has made us ask, the old router has answered; a moment later the router really moves."""
    link = known()
    link.come(packet(1, FORGED, ROUTER, ROUTER))
    link.until(MS)
    link.machines = {NEW: ROUTER}
    link.come(packet(1, NEW, ROUTER, ROUTER))
    link.until(2 * SECOND)
    assert (link.mac_of(ROUTER), link.asked) == (NEW, [(0, OLD), (SECOND, OLD), (2 * SECOND, ALL)])


def test_an_old_router_that_was_slow_keeps_its_entry() -> None:
    link = known()
    link.machines = {}
    link.come(packet(1, FORGED, ROUTER, ROUTER))
    link.until(1500 * MS)
    link.come(packet(2, OLD, ROUTER))
    link.until(30 * SECOND)
    assert (link.mac_of(ROUTER), link.asked) == (OLD, [(0, OLD), (SECOND, ALL)])


def test_a_router_that_changes_silently_is_found_after_a_minute() -> None:
    """Polled by unicast, then by broadcast, and used meanwhile."""
    link = known()
    link.machines = {NEW: ROUTER}
    link.until(REACHABLE_NS)
    assert link.mac_of(ROUTER) == OLD
    link.until(REACHABLE_NS + SECOND)
    assert (link.mac_of(ROUTER), [to for _, to in link.asked]) == (NEW, [OLD, ALL])


def test_no_answer_from_anywhere_changes_nothing_for_twenty_minutes() -> None:
    link = known()
    link.machines = {}
    link.come(packet(1, FORGED, ROUTER, ROUTER))
    link.until(30 * SECOND)
    assert (link.mac_of(ROUTER), len(link.asked)) == (OLD, 5)
    assert link.table.next_deadline() is None
    link.until(STALE_NS - 10 * SECOND)
    assert link.mac_of(ROUTER) == OLD
    link.until(STALE_NS)
    assert link.mac_of(ROUTER) is None


@pytest.mark.parametrize("sibling", SIBLINGS)
def test_a_pinned_router_is_never_asked_and_never_changed(sibling: str) -> None:
    link = Link(table(OLD), {NEW: ROUTER})
    for time in range(0, 7200 * SECOND, 600 * SECOND):
        link.until(time)
        link.come(SIBLINGS[sibling](FORGED, ROUTER))
        link.come(packet(1, OLD, ROUTER))
        assert link.mac_of(ROUTER) == OLD
    assert (link.asked, link.table.next_deadline()) == ([], None)


# -- who is learned ----------------------------------------------------------------------------------------------------


def host(number: int) -> str:
    return address_text(Prefix(parse_ipv4("10.0.0.0"), 16).at(512 + number))


def drops(link: Link) -> dict[str, int]:
    return link.counters.non_zero()


def ask_us(link: Link, sender: str, mac: bytes = NEW) -> bool:
    """A request for our address comes; True when it is answered."""
    link.table.receive(packet(1, mac, sender), 0, link.now)
    return any(data[6:8] == b"\0\2" for _, data in link.table.requests())


@pytest.mark.parametrize("sender", ["11.0.0.1", "10.1.0.1", "192.0.2.1", "0.0.0.0", "10.0.0.0", "10.0.255.255"])
def test_senders_that_are_not_on_the_link_are_answered_and_not_learned(sender: str) -> None:
    link = Link(table())
    assert ask_us(link, sender)
    assert link.mac_of(sender) is None


def test_a_router_beyond_a_single_address_is_learned() -> None:
    own, router = parse_ipv4("203.0.113.5"), "172.31.1.1"
    alone = NeighborTable(
        mac=MAC, address=own, limits=IpLimits(), counters=Counters(), uplink=Prefix(own, 32), router=parse_ipv4(router)
    )
    for sender in (router, "203.0.113.6", "172.31.1.2"):
        alone.receive(packet(1, OLD, sender, "203.0.113.5"), 0, T0)
    assert [ARP(data).pdst for _, data in alone.requests()] == [router, "203.0.113.6", "172.31.1.2"]
    senders = (router, "203.0.113.6", "172.31.1.2")
    assert [alone.lookup(parse_ipv4(one), T0) for one in senders] == [OLD, None, None]


def test_requests_of_strangers_evict_no_neighbor_that_we_asked() -> None:
    """A full table: the router, hosts that answered, hosts that are being asked; then 5,000 that ask us."""
    link = known(neighbors=64)
    for number in range(20):
        link.machines[bytes((2, 0, 0, 0, 1, number))] = host(number)
        link.send_to(host(number))
    for number in range(20, 40):
        link.send_to(host(number))
    for number in range(1000, 6000):
        if number % 200 == 0:
            link.now += SECOND
        ask_us(link, host(number))
    assert link.mac_of(ROUTER) == OLD
    assert all(link.mac_of(host(number)) is not None for number in range(20))
    assert len(link.table) == 64
    assert "drop_arp_queue_full" not in drops(link)
    learned = [number for number in range(1000, 6000) if link.mac_of(host(number)) is not None]
    assert learned == list(range(6000 - 23, 6000)), "the latest, in the places that are left"


def test_where_all_places_have_better_known_ones_a_host_that_asks_us_gets_none() -> None:
    """It is answered all the same, and asked itself when there is something for it."""
    link = known(neighbors=4)
    for number in range(3):
        link.send_to(host(number))
    assert ask_us(link, host(9))
    assert (len(link.table), link.mac_of(host(9))) == (4, None)
    link.machines = {NEW: host(0)}
    link.until(SECOND)
    assert (link.mac_of(host(0)), drops(link)) == (NEW, {})


def test_a_client_that_scans_the_link_evicts_hosts_that_do_not_answer() -> None:
    link = known(neighbors=64)
    link.machines[NEW] = HOST
    link.send_to(HOST)
    for number in range(5000):
        link.send_to(host(number))
    assert (link.mac_of(ROUTER), link.mac_of(HOST), len(link.table)) == (OLD, NEW, 64)
    assert drops(link) == {"drop_arp_queue_full": 5000 - 62}


def test_the_routers_entry_is_never_evicted() -> None:
    link = known(neighbors=4)
    for number in range(100):
        mac = bytes((2, 0, 0, 0, 1, number))
        link.machines[mac] = host(number)
        link.send_to(host(number))
        assert link.mac_of(host(number)) == mac
    assert (link.mac_of(ROUTER), len(link.table)) == (OLD, 4)


# -- floods ------------------------------------------------------------------------------------------------------------


def test_a_flood_from_beyond_the_link_gets_few_answers() -> None:
    link = known()
    answered = sum(ask_us(link, f"11.0.{n >> 8}.{n & 255}") for n in range(8000))
    assert answered == ANSWERS_OFF_LINK
    assert drops(link) == {"drop_arp_crowded": 8000 - ANSWERS_OFF_LINK}
    assert ask_us(link, HOST), "a neighbor is answered beside it"


def test_a_flood_from_the_link_gets_bounded_answers_and_the_router_its_own() -> None:
    link = known()
    assert [ask_us(link, HOST) for _ in range(7)] == [True] * ANSWERS_PER_SENDER + [False] * 3
    assert sum(ask_us(link, host(n)) for n in range(8000)) == ANSWERED_SENDERS - 1
    assert ask_us(link, ROUTER, OLD)
    link.until(SECOND)
    assert ask_us(link, HOST), "the next second"
