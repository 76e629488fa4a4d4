"""Exact sizes at the MTU of the link, and counts of what leaves."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.unit.router.test_egress import NOW, make, outgoing, partial, sent

from hognose.drops import DropReason, Stat
from hognose.link import LinkCaps
from hognose.router.egress import Egress
from hognose.wire.virtio_net import PLAIN

NEIGHBOR = "10.0.0.9"
SOFT = LinkCaps(mac=bytes.fromhex("020000000002"), rx_gso=False, tx_csum=False, tx_tso4=False)


def datagram(size: int, **fields: Any) -> Packet:
    return IP(**{"src": "10.0.0.2", "dst": NEIGHBOR, **fields}) / UDP() / Raw(bytes(size - 28))


def counted(egress: Egress) -> tuple[int, int, int]:
    stats = egress._counters.stats
    return stats[Stat.FRAMES_OUT], stats[Stat.BYTES_OUT], stats[Stat.SUPER_FRAMES_OUT]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(1499, [1499]), (1500, [1500]), (1501, [1500, 21]), (2980, [1500, 1500]), (2981, [1500, 1500, 21])],
)
@pytest.mark.parametrize("flags", [0, "evil", "DF"])
def test_what_fits_leaves_whole_and_the_rest_in_fragments(size: int, sizes: list[int], flags: object) -> None:
    """RFC 791 section 3.2: each fragment but the last has a multiple of eight bytes; DF forbids it."""
    egress = make()
    egress.send([outgoing(datagram(size, flags=flags))], NOW)
    if size > 1500 and flags == "DF":
        assert (sent(egress), egress._counters.drops[DropReason.TOO_BIG]) == ([], 1)
        return
    assert [frame[IP].len for _, frame in sent(egress)] == sizes
    assert counted(egress) == (len(sizes), sum(sizes), 0)


def test_a_fragment_is_cut_again() -> None:
    """Its offset is no flag."""
    egress = make()
    egress.send([outgoing(datagram(1600, frag=0x100, flags="MF"))], NOW)
    pieces = [frame[IP] for _, frame in sent(egress)]
    assert [(piece.frag, piece.flags) for piece in pieces] == [(0x100, "MF"), (0x100 + 185, "MF")]


def test_a_super_segment_of_any_size_is_one_frame_for_a_device_that_cuts_it() -> None:
    egress = make()
    egress.send([partial(IP(src="10.0.0.2", dst=NEIGHBOR) / TCP() / bytes(size), 1000) for size in (1460, 5001)], NOW)
    assert [frame[IP].len for _, frame in sent(egress)] == [1500, 5041]
    assert counted(egress) == (2, 1500 + 5041, 2)


def test_frames_that_are_cut_here_are_counted_as_they_leave() -> None:
    egress = make(SOFT)
    egress.send([partial(IP(src="10.0.0.2", dst=NEIGHBOR) / TCP() / bytes(2500), 1000)], NOW)
    egress.send([partial(datagram(100)), outgoing(datagram(200))], NOW)
    assert egress.queued == 5
    assert counted(egress) == (5, 1040 + 1040 + 540 + 100 + 200, 0)
    assert len(sent(egress)) == 5


def test_a_device_that_makes_checksums_only_gets_segments() -> None:
    egress = make(LinkCaps(mac=SOFT.mac, tx_csum=True, tx_tso4=False))
    egress.send([partial(IP(src="10.0.0.2", dst=NEIGHBOR) / TCP() / bytes(2500), 1000)], NOW)
    assert [frame[IP].len for _, frame in sent(egress)] == [1040, 1040, 540]


def test_what_was_taken_is_gone() -> None:
    egress = make()
    assert egress.queued == 0
    for number in (1, 2):
        egress.send([outgoing(datagram(100 + number))], NOW)
        assert egress.queued == 1
        assert [frame[IP].len for _, frame in sent(egress)] == [100 + number]
        assert (egress.queued, egress.take()) == (0, [])


def test_questions_leave_before_packets_and_are_counted() -> None:
    """Of ARP, 28 bytes: they are frames, and no bytes of IPv4."""
    egress = make()
    egress.send([outgoing(datagram(100)), outgoing(datagram(100, dst="10.0.0.77"))], NOW)
    assert [frame.type for _, frame in sent(egress)] == [0x0806, 0x0800]
    assert counted(egress) == (2, 100, 0)
    assert (egress.queued, egress.take()) == (0, [])


@pytest.mark.parametrize("first", ["broadcast", "no answer to ARP", "too large", "in fragments", "lowered"])
def test_a_packet_that_is_not_one_frame_holds_up_no_other(first: str) -> None:
    egress = make(SOFT)
    other = {
        "broadcast": outgoing(datagram(100, dst="10.0.0.255")),
        "no answer to ARP": outgoing(datagram(100, dst="10.0.0.77")),
        "too large": outgoing(datagram(3000, flags="DF")),
        "in fragments": outgoing(datagram(3000)),
        "lowered": partial(datagram(100)),
    }[first]
    egress.send([other, outgoing(datagram(200)), other, outgoing(datagram(201))], NOW)
    assert [frame[IP].len for _, frame in sent(egress) if frame.type == 0x0800 and frame[IP].len in (200, 201)] == [
        200,
        201,
    ]


def test_a_packet_without_a_route_holds_up_no_other() -> None:
    egress = make(gateway=None)
    far = outgoing(datagram(100, dst="198.51.100.7"))
    egress.send([far, outgoing(datagram(200)), far, outgoing(datagram(201))], NOW)
    assert [frame[IP].len for _, frame in sent(egress)] == [200, 201]
    assert egress._counters.drops[DropReason.NO_ROUTE] == 2


class PlantedError(Exception):
    """A bug of ours."""


class Broken(list[bytes]):
    """Pieces of a packet that cannot be read."""

    def __getitem__(self, key: Any) -> Any:
        raise PlantedError


def test_an_exception_leaves_no_circle_of_objects() -> None:
    """Its memory, and that of the frames in its traceback, is free at once."""
    egress = make()
    gc.disable()
    try:
        try:
            egress.send([(outgoing(datagram(100))[0], PLAIN, Broken())], NOW)
        except PlantedError as error:
            seen = weakref.ref(error)
        assert seen() is None
    finally:
        gc.enable()
