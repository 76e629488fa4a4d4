"""ARP engine: answers, learning rules, waiting packets, time-outs; frames are read back by scapy."""

from __future__ import annotations

import pytest
from scapy.layers.l2 import ARP

from hognose.address import Prefix, parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.ip.neighbor import MAX_REQUESTS, REACHABLE_NS, RETRY_NS, STALE_NS, NeighborTable
from hognose.limits import IpLimits, Limits
from hognose.wire.virtio_net import PLAIN

MAC = bytes.fromhex("020000000001")
PEER = bytes.fromhex("0200000000aa")
US = parse_ipv4("10.0.0.2")
GATEWAY = parse_ipv4("10.0.0.1")
T0 = 5_000_000_000


def table(**limits: int) -> tuple[NeighborTable, Counters]:
    counters = Counters()
    return NeighborTable(mac=MAC, address=US, limits=IpLimits(**limits), counters=counters), counters


def arp(op: int, sender: str, target: str = "10.0.0.2", mac: bytes = PEER) -> bytes:
    text = ":".join(f"{b:02x}" for b in mac)
    return bytes(ARP(op=op, hwsrc=text, psrc=sender, hwdst="00:00:00:00:00:00", pdst=target))


def waiting(n: int) -> tuple[bytes, bytes, list[bytes]]:
    return (GATEWAY, PLAIN, [bytes([n])])


def test_answers_a_request_for_our_address_and_learns_the_asker() -> None:
    neighbors, _ = table()
    assert neighbors.receive(arp(1, "10.0.0.1"), 0, T0) == []
    [(destination, packet)] = neighbors.requests()
    seen = ARP(packet)
    assert destination == PEER
    assert (seen.op, seen.psrc, seen.hwsrc, seen.pdst) == (2, "10.0.0.2", "02:00:00:00:00:01", "10.0.0.1")
    assert neighbors.lookup(GATEWAY, T0) == PEER
    assert neighbors.requests() == []


def test_answers_a_probe_without_learning() -> None:
    neighbors, _ = table()
    neighbors.receive(arp(1, "0.0.0.0"), 0, T0)
    assert len(neighbors.requests()) == 1
    assert neighbors.lookup(bytes(4), T0) is None


def test_a_packet_waits_for_the_answer() -> None:
    neighbors, _ = table()
    assert neighbors.lookup(GATEWAY, T0) is None
    neighbors.wait(waiting(1), GATEWAY, T0)
    neighbors.wait(waiting(2), GATEWAY, T0)
    [(destination, request)] = neighbors.requests()
    assert destination == b"\xff" * 6
    assert (ARP(request).op, ARP(request).pdst) == (1, "10.0.0.1")
    released = neighbors.receive(arp(2, "10.0.0.1"), 0, T0 + 1)
    assert released == [waiting(1), waiting(2)]
    neighbors.handle_deadline(T0 + RETRY_NS)
    assert (neighbors.next_deadline(), neighbors.requests()) == (None, [])


def test_unasked_answers_and_gratuitous_requests_do_not_overwrite() -> None:
    neighbors, _ = table()
    neighbors.receive(arp(1, "10.0.0.1"), 0, T0)
    other = bytes.fromhex("0200000000bb")
    neighbors.receive(arp(2, "10.0.0.1", mac=other), 0, T0)
    neighbors.receive(arp(1, "10.0.0.1", target="10.0.0.1", mac=other), 0, T0)
    neighbors.receive(arp(2, "10.0.0.9", mac=other), 0, T0)
    assert neighbors.lookup(GATEWAY, T0) == PEER
    assert neighbors.lookup(parse_ipv4("10.0.0.9"), T0) is None


def test_bad_packets_are_counted() -> None:
    neighbors, counters = table()
    neighbors.receive(b"short", 0, T0)
    neighbors.receive(arp(1, "10.0.0.2"), 0, T0)  # another host claims our address
    neighbors.receive(arp(1, "10.0.0.1", mac=b"\xff" * 6), 0, T0)  # a multicast sender
    neighbors.receive(arp(7, "10.0.0.1"), 0, T0)
    assert counters.drops[DropReason.BAD_ARP] == 4
    assert neighbors.requests() == []


def test_the_queue_for_one_neighbor_is_bounded_oldest_dropped() -> None:
    neighbors, counters = table(pending_per_neighbor=2)
    for n in range(3):
        neighbors.wait(waiting(n), GATEWAY, T0)
    assert counters.drops[DropReason.ARP_QUEUE_FULL] == 1
    released = neighbors.receive(arp(2, "10.0.0.1"), 0, T0)
    assert [packet[2][0][0] for packet in released] == [1, 2]


def test_requests_are_repeated_and_given_up() -> None:
    neighbors, counters = table()
    neighbors.wait(waiting(1), GATEWAY, T0)
    now, sent = T0, len(neighbors.requests())
    while (deadline := neighbors.next_deadline()) is not None:
        assert deadline == now + RETRY_NS
        now = deadline
        neighbors.handle_deadline(now - 1)
        neighbors.handle_deadline(now)
        sent += len(neighbors.requests())
    assert sent == MAX_REQUESTS
    assert counters.drops[DropReason.ARP_TIMEOUT] == 1
    assert neighbors.receive(arp(2, "10.0.0.1"), 0, now) == []
    assert neighbors.lookup(GATEWAY, now) is None


def test_an_old_entry_is_asked_again_by_unicast_and_a_stale_one_is_not_used() -> None:
    neighbors, _ = table()
    neighbors.receive(arp(1, "10.0.0.1"), 0, T0)
    neighbors.requests()
    later = T0 + REACHABLE_NS + 1
    assert neighbors.lookup(GATEWAY, later) == PEER
    assert neighbors.lookup(GATEWAY, later) == PEER
    [(destination, _)] = neighbors.requests()
    assert destination == PEER
    assert neighbors.lookup(GATEWAY, T0 + STALE_NS + 1) is None


def test_the_table_is_bounded_and_drops_the_longest_unconfirmed() -> None:
    neighbors, _ = table(neighbors=2)
    for n, host in enumerate(("10.0.0.1", "10.0.0.7", "10.0.0.8")):
        neighbors.receive(arp(1, host), 0, T0 + n)
    assert neighbors.lookup(GATEWAY, T0 + 3) is None
    assert neighbors.lookup(parse_ipv4("10.0.0.8"), T0 + 3) == PEER
    neighbors.wait(waiting(1), parse_ipv4("10.0.0.20"), T0 + 4)
    neighbors.wait(waiting(1), parse_ipv4("10.0.0.21"), T0 + 5)
    neighbors.wait(waiting(1), parse_ipv4("10.0.0.22"), T0 + 6)
    assert neighbors.next_deadline() == T0 + 5 + RETRY_NS


def test_announce_is_a_gratuitous_request() -> None:
    neighbors, _ = table()
    neighbors.announce()
    [(destination, packet)] = neighbors.requests()
    assert destination == b"\xff" * 6
    assert (ARP(packet).op, ARP(packet).psrc, ARP(packet).pdst) == (1, "10.0.0.2", "10.0.0.2")


def numbered(network: str, host: int) -> bytes:
    return Prefix.of(parse_ipv4(network), 16).at((parse_ipv4(network)[2] << 8) + host)


def super_frame(size: int, mark: int = 0) -> tuple[bytes, bytes, list[bytes]]:
    """As the NAT makes them: a header and the payloads of many packets."""
    payloads = [bytes([mark]) * 1000 for _ in range(size // 1000)]
    return (GATEWAY, PLAIN, [bytes([mark]) * (size % 1000), *payloads])


def test_a_super_frame_counts_with_all_its_bytes() -> None:
    neighbors, counters = table()
    neighbors.wait(super_frame(63_000, 1), GATEWAY, T0)
    neighbors.wait(super_frame(2_000, 2), GATEWAY, T0)
    assert (neighbors.pending_bytes, counters.drops[DropReason.ARP_QUEUE_FULL]) == (65_512, 0)
    neighbors.wait(super_frame(1, 3), GATEWAY, T0)  # one byte and its overhead more than 65,536
    assert (neighbors.pending_bytes, counters.drops[DropReason.ARP_QUEUE_FULL]) == (2_000 + 1 + 2 * 256, 1)
    released = neighbors.receive(arp(2, "10.0.0.1"), 0, T0)
    assert released == [
        (GATEWAY, PLAIN, [bytes([2]) * 2_000]),
        (GATEWAY, PLAIN, [bytes([3])]),
    ]
    assert neighbors.pending_bytes == 0


def test_a_packet_that_fits_no_queue_is_dropped_alone() -> None:
    neighbors, counters = table()
    neighbors.wait(waiting(1), GATEWAY, T0)
    neighbors.wait(super_frame(65_536), GATEWAY, T0)
    assert counters.drops[DropReason.ARP_QUEUE_FULL] == 1
    assert neighbors.receive(arp(2, "10.0.0.1"), 0, T0) == [waiting(1)]


def test_bytes_of_all_neighbors_are_bounded_and_the_longest_waiting_give_way() -> None:
    """2,000 super-frames to hosts that do not exist; then the router, asked for later, still gets its packets."""
    neighbors, counters = table()
    sent = 0
    for round_ in range(10):
        for host in range(200):
            neighbors.wait(super_frame(63_000), numbered("10.0.1.0", host), T0 + round_)
            sent += 1
            assert neighbors.pending_bytes <= 1024 * 1024
    neighbors.wait(waiting(7), GATEWAY, T0 + 20)
    held = sum(
        len(piece) for entry in neighbors._entries.values() for _, _, pieces in entry.pending for piece in pieces
    )
    assert held == 16 * 63_000 + 1
    assert counters.drops[DropReason.ARP_QUEUE_FULL] == sent - 16
    for host in range(10):
        neighbors.wait(super_frame(63_000), numbered("10.0.1.0", host), T0 + 30)
    assert neighbors.receive(arp(2, "10.0.0.1"), 0, T0 + 40) == [waiting(7)]
    now = T0 + 40
    while (deadline := neighbors.next_deadline()) is not None:
        now = deadline
        neighbors.handle_deadline(now)
    assert (neighbors.pending_bytes, neighbors._holding) == (0, {})


def test_small_packets_are_bounded_too() -> None:
    neighbors, counters = table(neighbors=4096)
    for number in range(64):
        for host in range(1000):
            neighbors.wait(waiting(number), numbered("10.1.0.0", host), T0)
    assert neighbors.pending_bytes <= 1024 * 1024
    waits = sum(len(entry.pending) for entry in neighbors._entries.values())
    assert waits == 1024 * 1024 // 257
    assert counters.drops[DropReason.ARP_QUEUE_FULL] == 64_000 - waits


def test_an_entry_that_gives_way_gives_its_bytes_back() -> None:
    neighbors, counters = table(neighbors=2)
    for host in range(5):
        neighbors.wait(waiting(1), numbered("10.1.0.0", host), T0 + host)
    assert (neighbors.pending_bytes, counters.drops[DropReason.ARP_QUEUE_FULL]) == (2 * 257, 3)


@pytest.mark.parametrize(
    ("mebibytes", "expected"), [(32, 128), (64, 128), (128, 256), (256, 512), (512, 1024), (8192, 1024)]
)
def test_the_bound_follows_the_memory(mebibytes: int, expected: int) -> None:
    limits = Limits.for_memory(mebibytes << 20).ip
    assert (limits.pending_bytes, limits.pending_bytes_per_neighbor) == (expected * 1024, 65_536)
