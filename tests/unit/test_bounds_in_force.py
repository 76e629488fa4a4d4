"""The bounds of limits.py at the values that a server has: how much one peer or a crowd of them makes an engine keep.

Tests of the engines set bounds of their own, small ones; here none is set.
"""

from __future__ import annotations

import os

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP
from tests.unit.tcp.tcp_script import Script

from hognose.address import Prefix, parse_ipv4
from hognose.base.fair_table import FairTable
from hognose.drops import Counters, DropReason, Stat
from hognose.host.log_queue import LogQueue
from hognose.host.output import PacedOutput
from hognose.ip.fragments import ENTRY_BYTES, PIECE_BYTES, Reassembler
from hognose.ip.icmp_errors import RateLimiter
from hognose.ip.neighbor import NeighborTable
from hognose.limits import HandshakeLimits, IpLimits, Limits, LogLimits
from hognose.units import KIB, MIB, SECOND

NOW = 1000 * SECOND
US = parse_ipv4("10.0.0.2")
VNET = bytes(12)


def drops(counters: Counters) -> dict[str, int]:
    return {reason.name: counters.drops[reason] for reason in DropReason if counters.drops[reason]}


# -- TCP ---------------------------------------------------------------------------------------------------------------


def test_a_client_has_two_hundred_and_fifty_six_gaps() -> None:
    script = Script()
    script.open()
    assert script.conn is not None
    script.conn.trust()
    for number in range(300):
        script.send("A", b"x" * 10, seq=100 + 20 * number)
    assert script.conn.info().reassembly_ranges == 256
    assert drops(script.counters) == {"TCP_REASSEMBLY_FULL": 44}


# -- ARP ---------------------------------------------------------------------------------------------------------------


def neighbors() -> tuple[NeighborTable, Counters]:
    counters = Counters()
    return NeighborTable(mac=b"\2\0\0\0\0\2", address=US, limits=IpLimits(), counters=counters), counters


def test_a_thousand_and_twenty_four_neighbors_are_known() -> None:
    """One client walks a large subnet."""
    table, counters = neighbors()
    first = Prefix.of(parse_ipv4("10.0.0.0"), 16)
    for number in range(1030):
        hop = first.at(1024 + number)
        table.wait((hop, VNET, [bytes(20)]), hop, NOW)
    assert len(table._entries) == len(table._holding) == 1024
    assert drops(counters) == {"ARP_QUEUE_FULL": 6}


def test_the_last_sixteen_packets_wait_for_a_neighbor() -> None:
    table, counters = neighbors()
    router = parse_ipv4("10.0.0.1")
    for number in range(40):
        table.wait((router, VNET, [bytes((number,))]), router, NOW)
    assert drops(counters) == {"ARP_QUEUE_FULL": 24}
    answer = ARP(op=2, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", hwdst="02:00:00:00:00:02", pdst="10.0.0.2")
    released = [pieces for _, _, pieces in table.receive(bytes(answer), 0, NOW)]
    assert released == [[bytes((number,))] for number in range(24, 40)]


# -- fragments, ICMP ---------------------------------------------------------------------------------------------------


def feed(reassembler: Reassembler, piece: bytes) -> object:
    return reassembler.receive(piece, 0, len(piece), NOW)


FIRST_FRAGMENT = bytes(IP(dst="10.0.0.2", flags="MF") / UDP() / bytes(792))


def first_fragment(source: str, ident: int) -> bytes:
    """Its header checksum is not looked at here."""
    head = FIRST_FRAGMENT[:4] + ident.to_bytes(2, "big") + FIRST_FRAGMENT[6:12]
    return head + parse_ipv4(source) + FIRST_FRAGMENT[16:]


def test_a_mebibyte_is_for_what_is_expected_and_a_third_of_it_for_what_one_source_begins() -> None:
    counters = Counters()
    reassembler = Reassembler(IpLimits(), counters)
    charge = 800 + ENTRY_BYTES + PIECE_BYTES
    taken = [feed(reassembler, first_fragment("198.51.100.7", ident)) for ident in range(1, 1000)]
    assert taken.count(None) == len(reassembler) == (MIB // charge - 1) // 3 + 1
    for host in range(1, 101):
        for ident in range(1, 100):
            feed(reassembler, first_fragment(f"203.0.113.{host}", ident))
    assert 0.8 * MIB < reassembler.held <= MIB


def test_strangers_have_sixty_four_incomplete_datagrams_and_a_thousand_a_second() -> None:
    counters = Counters()
    reassembler = Reassembler(IpLimits(), counters, lambda data, l3, l4: None)
    taken = [feed(reassembler, first_fragment(f"203.0.{host >> 8}.{host & 255}", 1)) for host in range(1200)]
    assert (taken.count(None), len(reassembler)) == (1000, 64)
    assert drops(counters) == {"FRAGMENT_TABLE_FULL": 936}
    large = Reassembler(IpLimits(), counters, lambda data, l3, l4: None)
    taken = [feed(large, first_fragment("198.51.100.7", ident)) for ident in range(1, 200)]
    assert taken.count(None) == 256 * KIB // 3 // (800 + ENTRY_BYTES + PIECE_BYTES)


def test_fifty_icmp_errors_a_second_for_all_and_ten_for_one() -> None:
    """And as many at once, where none was sent for a while."""
    limiter = RateLimiter(IpLimits())
    for second in range(3):
        now = NOW + second * SECOND
        assert sum(limiter.allow(bytes((client,)), now) for client in range(200)) == 50
    limiter = RateLimiter(IpLimits())
    for second in range(3):
        assert sum(limiter.allow(b"1", NOW + second * SECOND) for _ in range(200)) == 10


# -- strangers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["silent", "strangers", "handshakes"])
def test_a_stage_of_the_door_has_256_of_an_address_and_1024_of_a_prefix(name: str) -> None:
    """However few of them the machine has room for: the stage has its own total."""
    limits = HandshakeLimits()
    total = {"silent": 8192, "strangers": 1024, "handshakes": 512}[name]
    table: FairTable[int] = FairTable(getattr(limits, name), limits.per_address, limits.per_prefix)
    for port in range(400):
        table.add(bytes((192, 0, 2, 1)) + port.to_bytes(2, "big"), port)
    assert len(table) == 256
    for host in range(2, 52):
        for port in range(40):
            table.add(bytes((192, 0, 2, host)) + port.to_bytes(2, "big"), port)
    assert len(table) == min(1024, total)
    for prefix in range(100):
        for port in range(100):
            table.add(bytes((198, 18, prefix, 1)) + port.to_bytes(2, "big"), port)
    assert len(table) == total


# -- the log -----------------------------------------------------------------------------------------------------------


class StoppedReader:
    """Takes nothing."""

    def write(self, data: bytes) -> int:
        return 0

    def wait(self, duration: int) -> None:
        raise AssertionError("nothing is to wait for this reader")


def log_queue() -> tuple[LogQueue, Counters]:
    counters = Counters()
    return LogQueue(StoppedReader(), b"-%d\n".__mod__, clock=lambda: NOW, counters=counters), counters


def test_thirty_two_kibibytes_of_lines_wait_for_a_reader_that_stopped() -> None:
    queue, counters = log_queue()
    for _ in range(1000):
        queue.put(b"x" * 99 + b"\n")
    # One is at the output; 327 of 100 bytes are the last that fit.
    assert counters.stats[Stat.LOG_LINES_DROPPED] == 1000 - 328
    assert queue._bytes == 32_700


@pytest.mark.parametrize(("more", "dropped"), [(0, 0), (1, 4097)])
def test_a_report_has_four_mebibytes(more: int, dropped: int) -> None:
    queue, counters = log_queue()
    queue.put_report([bytes(1024)] * 4096 + [bytes(1)] * more)
    assert counters.stats[Stat.LOG_LINES_DROPPED] == dropped
    assert sum(map(len, queue._report)) <= 4 * MIB


def test_a_console_that_is_waited_for_gets_sixty_four_kibibytes_a_second() -> None:
    now = [NOW]
    null = os.open(os.devnull, os.O_WRONLY)
    output = PacedOutput(null, lambda: now[0], lambda _: None, LogLimits())
    taken = []
    for _ in range(21):
        taken.append(0)
        while count := output.write(bytes(100)):
            taken[-1] += count
        now[0] += SECOND // 10
    assert taken[0] == 65_500, "a burst of 64 KiB"
    assert all(6500 <= count <= 6600 for count in taken[1:])
    now[0] += 3600 * SECOND
    assert output.write(bytes(200 * KIB)) == 64 * KIB, "no more is saved up, and a longer line goes in parts"
    os.close(null)


# -- for_memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mebibytes", "queue"), [(64, 64), (128, 128), (256, 256), (512, 512), (4096, 512)])
def test_a_clients_queue_is_half_of_its_send_buffer(mebibytes: int, queue: int) -> None:
    limits = Limits.for_memory(mebibytes * MIB)
    assert limits.client_queue == queue * KIB == limits.tcp.send_buffer // 2
    assert Limits().client_queue == 512 * KIB
