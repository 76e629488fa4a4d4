"""Bounds of reassembly: interleaved datagrams, shares, strangers, refusals where there is no room."""

from __future__ import annotations

import random
import struct

import pytest
from tests.sim.segments import ones_complement

from hognose.address import Address, parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.ip.fragments import ENTRY_BYTES, PIECE_BYTES, TIMEOUT, Reassembler, fragment
from hognose.limits import IpLimits
from hognose.units import KIB, MS, SECOND, Buffer

NOW = 5 * SECOND
FLOW, CLOSED, LISTENER = 6, 7, 1194  # destination ports
SERVER, ALICE, BOB = "9.9.9.9", b"alic", b"bob."
US = parse_ipv4("10.0.0.2")


def datagram(size: int, ident: int, source: str = SERVER, port: int = FLOW) -> bytes:
    """By hand: thousands are made. The payload tells datagrams apart; its checksum is left out (RFC 768)."""
    payload = ident.to_bytes(2, "big") * (size // 2) + bytes(size % 2)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 28 + size, ident, 0, 64, 17, 0) + parse_ipv4(source) + US
    head = head[:10] + struct.pack(">H", ones_complement(head)) + head[12:]
    return head + struct.pack(">HHHH", 5, port, 8 + size, 0) + payload


def cut(packet: bytes, size: int = 1480) -> list[bytes]:
    """Fragments with `size` bytes of payload; their header checksums are not looked at here."""
    body = packet[20:]
    pieces = []
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        word = at // 8 | (0x2000 if at + size < len(body) else 0)
        pieces.append(
            packet[:2]
            + struct.pack(">HHH", 20 + len(piece), *struct.unpack(">H", packet[4:6]), word)
            + packet[8:20]
            + piece
        )
    return pieces


def judge(data: Buffer, l3: int, l4: int) -> Address | DropReason | None:
    """Flows to FLOW: of alice from SERVER, of bob from others."""
    port = int.from_bytes(data[l4 + 2 : l4 + 4], "big")
    if port == CLOSED:
        return DropReason.NAT_NO_MAPPING
    if port == LISTENER:
        return None
    return ALICE if data[l3 + 12 : l3 + 16] == parse_ipv4(SERVER) else BOB


class Bench:
    """A reassembler with a judge (as at the link) or without (as in the tunnel), and its counters."""

    def __init__(self, judged: bool = True, **bounds: int) -> None:
        self.counters = Counters()
        self.reassembler = Reassembler(IpLimits(**bounds), self.counters, judge if judged else None)
        self.now = NOW

    def feed(self, piece: bytes) -> bytes | DropReason | None:
        return self.reassembler.receive(piece, 0, len(piece), self.now)

    def firsts(self, packets: list[bytes]) -> list[bytes | DropReason | None]:
        return [self.feed(cut(packet)[0]) for packet in packets]

    def seconds(self, packets: list[bytes]) -> list[bytes | DropReason | None]:
        return [self.feed(cut(packet)[1]) for packet in packets]


def source(number: int) -> str:
    return f"1.2.{number >> 8}.{number & 255}"


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("count", [9, 100])
def test_interleaved_datagrams_of_one_source_all_arrive(count: int, judged: bool) -> None:
    bench = Bench(judged)
    packets = [datagram(2000, ident) for ident in range(count)]
    assert bench.firsts(packets) == [None] * count
    assert bench.seconds(packets) == packets
    assert (len(bench.reassembler), bench.reassembler.held, bench.counters.non_zero()) == (0, 0, {})


@pytest.mark.parametrize("judged", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("mtu", [68, 576, 577, 1280, 1400, 1492, 1500, 9000])
def test_the_largest_datagram_arrives_at_every_mtu(mtu: int, backwards: bool, judged: bool) -> None:
    bench = Bench(judged)
    if mtu >= 576:  # the least tun-mtu: on the smallest machine too
        bench = Bench(judged, reassembly_bytes=256 * KIB)
    packet = datagram(65_507, 1)
    pieces = fragment(packet, mtu)
    if backwards and (mtu >= 1280 or not judged):  # what has no first fragment is a stranger's
        pieces.reverse()
    assert [bench.feed(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [packet]
    assert bench.counters.non_zero() == {}


def test_the_newcomer_is_refused_and_what_was_begun_arrives() -> None:
    bench = Bench(reassembly_bytes=60_000)
    packets = [datagram(2000, ident) for ident in range(40)]
    taken = bench.firsts(packets)
    begun = taken.index(DropReason.FRAGMENT_TABLE_FULL)
    assert begun == 9
    assert taken[begun:] == [DropReason.FRAGMENT_TABLE_FULL] * (40 - begun)
    assert bench.seconds(packets[:begun]) == packets[:begun]
    assert len(bench.reassembler) == 0


def test_who_takes_all_it_can_get_leaves_room_for_others() -> None:
    bench = Bench(reassembly_bytes=60_000)
    hog = [datagram(2000, ident) for ident in range(40)]
    late = [datagram(2000, ident, "8.8.8.8") for ident in range(3)]
    bench.firsts(hog)
    for ident in range(9):  # those that were taken grow
        bench.feed(cut(datagram(4400, ident))[1])
    assert bench.reassembler.held < 31_000
    assert bench.firsts(late) == [None] * 3
    assert bench.seconds(late) == late


def test_a_datagram_that_outgrows_its_share_goes_alone() -> None:
    bench = Bench(False, reassembly_bytes=60_000)
    large, small = cut(datagram(40_000, 1)), datagram(2000, 2)
    bench.firsts([small])
    results = [bench.feed(piece) for piece in large]
    assert results[:5] == [None] * 5
    assert DropReason.FRAGMENT_TABLE_FULL in results
    assert bench.seconds([small]) == [small]


# -- strangers ---------------------------------------------------------------------------------------------------------


def test_first_fragments_to_closed_ports_leave_nothing() -> None:
    bench = Bench()
    packets = [datagram(2000, 1, source(number), CLOSED) for number in range(1000)]
    assert bench.firsts(packets) == [DropReason.NAT_NO_MAPPING] * 1000
    assert (len(bench.reassembler), bench.reassembler.held) == (0, 0)


def test_a_first_fragment_to_a_closed_port_ends_what_came_before_it() -> None:
    bench = Bench()
    first, second = cut(datagram(2000, 1, port=CLOSED))
    assert bench.feed(second) is None
    assert bench.feed(first) is DropReason.NAT_NO_MAPPING
    assert (len(bench.reassembler), bench.reassembler.held) == (0, 0)


@pytest.mark.parametrize("part", [0, 1], ids=["first to a listener", "later alone"])
def test_strangers_take_no_place_of_flows(part: int) -> None:
    """And have 64 places between them, of which a newcomer gets one."""
    bench = Bench()
    flows = [datagram(2000, ident) for ident in range(50)]
    bench.firsts(flows)
    strange = [datagram(2000, 1, source(number), LISTENER) for number in range(900)]
    assert [bench.feed(cut(packet)[part]) for packet in strange] == [None] * 900
    assert len(bench.reassembler) == 50 + 64
    assert bench.counters.non_zero() == {"drop_fragment_table_full": 900 - 64}
    assert bench.feed(cut(strange[-1])[1 - part]) == strange[-1]
    assert bench.seconds(flows) == flows


def test_new_datagrams_of_strangers_have_a_budget() -> None:
    bench = Bench(reassembly_strangers_per_second=100)
    strange = [cut(datagram(2000, 1, source(number), LISTENER))[0] for number in range(5000)]
    refused = [bench.feed(piece) for piece in strange].count(DropReason.FRAGMENT_TABLE_FULL)
    assert refused == 4900
    flows = [datagram(2000, ident) for ident in range(9)]
    assert bench.firsts(flows) == [None] * 9
    bench.now += 500 * MS
    fresh = [cut(datagram(2000, 2, source(number), LISTENER))[0] for number in range(1000)]
    assert [bench.feed(piece) for piece in fresh].count(None) == 50
    assert bench.seconds(flows) == flows


def test_one_stranger_has_a_part_of_their_bytes_and_its_newcomer_is_refused() -> None:
    bench = Bench(reassembly_stranger_bytes=40_000)
    hog = [datagram(2000, ident, "1.1.1.1", LISTENER) for ident in range(20)]
    begun = 40_000 // 3 // (1480 + ENTRY_BYTES + PIECE_BYTES)
    assert bench.firsts(hog) == [None] * begun + [DropReason.FRAGMENT_TABLE_FULL] * (20 - begun)
    other = datagram(2000, 1, "2.2.2.2", LISTENER)
    bench.firsts([other])
    assert bench.seconds([other, *hog[:begun]]) == [other, *hog[:begun]]


def test_a_strangers_datagram_that_outgrows_half_of_their_bytes_goes() -> None:
    bench = Bench(reassembly_stranger_bytes=40_000)
    other = datagram(2000, 1, "2.2.2.2", LISTENER)
    bench.firsts([other])
    results = [bench.feed(piece) for piece in cut(datagram(40_000, 1, "1.1.1.1", LISTENER))]
    kept = (20_000 - ENTRY_BYTES) // (1480 + PIECE_BYTES)
    assert results[: kept + 1] == [None] * kept + [DropReason.FRAGMENT_TABLE_FULL]
    assert bench.seconds([other]) == [other]


def test_where_strangers_bytes_run_out_the_oldest_goes() -> None:
    bench = Bench(reassembly_stranger_bytes=10_000)
    strange = [datagram(2000, 1, source(number), LISTENER) for number in range(6)]
    assert bench.firsts(strange) == [None] * 6
    assert bench.reassembler.held <= 10_000
    assert bench.counters.non_zero() == {"drop_fragment_table_full": 2}
    assert bench.seconds(strange[2:]) == strange[2:]


def test_a_late_first_fragment_moves_its_datagram_to_the_flows_share() -> None:
    """So a flow of reordered datagrams needs strangers' places for a moment only."""
    bench = Bench(reassembly_strangers=4)
    packets = [datagram(4000, ident) for ident in range(40)]
    for packet in packets:
        first, _, third = cut(packet)
        assert bench.feed(third) is None
        assert bench.feed(first) is None
    assert bench.seconds(packets) == packets
    assert (bench.reassembler.held, bench.counters.non_zero()) == (0, {})


def test_a_late_first_fragment_of_an_owner_without_room_ends_its_datagram() -> None:
    bench = Bench(reassembly_bytes=60_000)
    first, _, third = cut(datagram(4000, 999))
    assert bench.feed(third) is None
    large = cut(datagram(40_000, 1))
    while bench.reassembler.held < 31_000:
        bench.feed(large.pop(0))
    held = bench.reassembler.held
    assert bench.feed(first) is DropReason.FRAGMENT_TABLE_FULL
    assert bench.reassembler.held < held


def test_everything_is_given_back_whatever_comes() -> None:
    """Random pieces of few datagrams with the three verdicts; at the end time takes all."""
    shuffled = random.Random(5)
    bench = Bench(reassembly_bytes=40_000, reassembly_stranger_bytes=20_000, reassembly_strangers=6)
    whole = 0
    for _ in range(4000):
        packet = datagram(3000, shuffled.randrange(6), source(shuffled.randrange(4)), shuffled.choice((6, 7, 1194)))
        result = bench.feed(shuffled.choice(cut(packet, 1000)))
        whole += isinstance(result, bytes)
        bench.now += shuffled.choice((0, 10 * MS))
        assert bench.reassembler.held <= 60_000
    assert whole > 20
    bench.now += TIMEOUT
    bench.reassembler.handle_deadline(bench.now)
    assert (len(bench.reassembler), bench.reassembler.held) == (0, 0)
    assert bench.firsts([datagram(2000, n, source(n), LISTENER) for n in range(6)]) == [None] * 6
