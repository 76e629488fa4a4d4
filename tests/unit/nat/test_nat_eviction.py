"""Room for new flows: what goes for them, and that no live flow ever does (RFC 6888 REQ-4 and REQ-11)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IP
from tests.unit.nat.nat_packets import OUTSIDE, SERVER, Bench, echo, named, tcp, udp

from hognose.address import parse_ipv4
from hognose.drops import DropReason, Stat
from hognose.limits import Limits, NatLimits
from hognose.link import Outgoing
from hognose.units import MIB, SECOND, Port
from hognose.wire import ipv4
from hognose.wire import tcp as tcp_wire
from hognose.wire import udp as udp_wire

PEER, HERE = parse_ipv4(SERVER), parse_ipv4(OUTSIDE)
NAME_SERVER = 53
SHARE = 4  # flows of one client below
ACK, PSH_ACK, FIN_ACK, SYN_ACK = "A", "PA", "FA", "SA"


def small(flows: int = 40) -> Bench:
    return Bench(limits=NatLimits(flows=flows, flows_per_client=SHARE))


def evicted(bench: Bench) -> int:
    return bench.counters.stats[Stat.NAT_FLOWS_EVICTED]


def connection(bench: Bench, sport: int, *, dport: int = 80, client: int = 1, src: str = "10.8.0.2") -> int:
    """An established connection; its outside port."""
    (left,) = bench.send(tcp(sport, dport, "S", seq=100, src=src), client=client)
    bench.accept(tcp(dport, left.sport, SYN_ACK, seq=500, ack=101, src=SERVER, dst=OUTSIDE))
    bench.send(tcp(sport, dport, ACK, seq=101, ack=501, src=src), client=client)
    return int(left.sport)


def closed_by_both(bench: Bench, sport: int) -> None:
    outside = connection(bench, sport)
    bench.send(tcp(sport, 80, FIN_ACK, seq=101, ack=501))
    bench.accept(tcp(80, outside, FIN_ACK, seq=501, ack=102, src=SERVER, dst=OUTSIDE))
    bench.send(tcp(sport, 80, ACK, seq=102, ack=502))


def reset_from_outside(bench: Bench, sport: int) -> None:
    outside = connection(bench, sport)
    bench.accept(tcp(80, outside, "R", seq=501, ack=0, src=SERVER, dst=OUTSIDE))


def reset_from_inside(bench: Bench, sport: int) -> None:
    connection(bench, sport)
    bench.send(tcp(sport, 80, "R", seq=101, ack=0))


def refused_by_the_peer(bench: Bench, sport: int) -> None:
    (left,) = bench.send(tcp(sport, 80, "S", seq=100, ack=0))
    bench.accept(tcp(80, left.sport, "RA", seq=0, ack=101, src=SERVER, dst=OUTSIDE))


def answered_question(bench: Bench, sport: int) -> None:
    (left,) = bench.send(udp(sport, NAME_SERVER))
    bench.accept(udp(NAME_SERVER, left.sport, src=SERVER, dst=OUTSIDE))


def answered_echo(bench: Bench, sport: int) -> None:
    (left,) = bench.send(echo(sport))
    bench.accept(echo(left[ICMP].id, 0, src=SERVER, dst=OUTSIDE))


FINISHED = [
    closed_by_both, reset_from_outside, reset_from_inside, refused_by_the_peer, answered_question, answered_echo,
]  # fmt: skip


@pytest.mark.parametrize("finish", FINISHED)
def test_a_finished_flow_makes_room_at_once(finish: Callable[[Bench, int], None]) -> None:
    bench = small()
    for sport in range(5000, 5000 + SHARE - 1):
        connection(bench, sport)
    finish(bench, 6000)
    bench.send(udp(7000))
    assert (bench.nat.flows, evicted(bench)) == (SHARE, 1)
    assert bench.refuse(udp(7001)) is DropReason.NAT_CLIENT_FULL
    for sport in range(5000, 5000 + SHARE - 1):
        assert bench.hot(tcp(sport, 80, ACK, seq=101, ack=501))[0]


def test_the_flow_that_finished_first_goes_first() -> None:
    bench = small()
    for sport in (5001, 5000, 5003, 5002):
        answered_question(bench, sport)
    bench.send(udp(7000))
    gone = [s for s in (5000, 5001, 5002, 5003) if not bench.hot(udp(s, NAME_SERVER))[0]]
    assert gone == [5001]


@pytest.mark.parametrize("make", [udp, tcp, echo])
def test_a_flow_without_an_answer_goes_after_30_silent_seconds(make: Callable[..., IP]) -> None:
    bench = small()
    for number in range(SHARE):
        bench.send(make(5000 + number))
    bench.advance(30 * SECOND - 1)
    assert bench.refuse(udp(7000)) is DropReason.NAT_CLIENT_FULL
    bench.advance(1)
    bench.send(udp(7000))
    assert (bench.nat.flows, evicted(bench)) == (SHARE, 1)


def test_a_packet_from_inside_ends_the_silence() -> None:
    bench = small()
    for number in range(SHARE):
        bench.send(udp(5000 + number))
    bench.advance(20 * SECOND)
    bench.send(udp(5000), udp(5001), udp(5002))
    bench.advance(10 * SECOND)
    bench.send(udp(7000))  # for 5003
    assert bench.refuse(udp(7001)) is DropReason.NAT_CLIENT_FULL
    assert len(bench.hot(udp(5000), udp(5001), udp(5002))[0]) == 3


def test_a_used_flow_is_not_finished() -> None:
    """A question after the answer, a segment after a reset: the flow is in use again."""
    bench = small()
    answered_question(bench, 5000)
    answered_echo(bench, 5001)
    reset_from_outside(bench, 5002)
    connection(bench, 5003)
    bench.advance(1)
    bench.send(udp(5000, NAME_SERVER), echo(5001), tcp(5002, 80, ACK, seq=101, ack=501))
    assert bench.refuse(udp(7000)) is DropReason.NAT_CLIENT_FULL
    assert (bench.nat.flows, evicted(bench)) == (4, 0)


def test_a_new_connection_on_the_ports_of_a_finished_one_is_live() -> None:
    bench = small()
    for sport in range(5000, 5000 + SHARE):
        closed_by_both(bench, sport)
        connection(bench, sport)
    assert bench.refuse(udp(7000)) is DropReason.NAT_CLIENT_FULL


def test_no_client_loses_a_live_flow_to_another() -> None:
    bench = Bench(limits=NatLimits(flows=8, flows_per_client=8))
    for sport in range(4):
        connection(bench, 5000 + sport)
    for client in (2, 3, 4):
        bench.send(udp(6000, src=f"10.8.0.{client + 1}"), client=client)
    connection(bench, 6001, client=5, src="10.8.0.6")
    bench.advance(30 * SECOND)
    assert bench.refuse(udp(6000, src="10.8.0.9"), client=6) is DropReason.NAT_TABLE_FULL
    assert (bench.nat.flows, evicted(bench)) == (8, 0)


def test_the_client_with_most_unanswered_flows_makes_room_for_a_newcomer() -> None:
    bench = Bench(limits=NatLimits(flows=8, flows_per_client=8))
    for sport in range(4):
        bench.send(udp(5000 + sport))
    bench.send(udp(6000, src="10.8.0.3"), udp(6001, src="10.8.0.3"), client=2)
    for client in (3, 4):
        bench.send(udp(6000, src=f"10.8.0.{client + 1}"), client=client)
    bench.advance(30 * SECOND)
    bench.send(udp(6000, src="10.8.0.9"), client=9)
    assert not bench.hot(udp(5000))[0]
    assert len(bench.hot(udp(5001), udp(5002), udp(5003))[0]) == 3
    assert len(bench.hot(udp(6000, src="10.8.0.3"), udp(6001, src="10.8.0.3"), client=2)[0]) == 2


class Crowd:
    """A NAT of 256 MiB and packets without scapy, of which these tests need tens of thousands."""

    def __init__(self) -> None:
        self.limits = Limits.for_memory(256 * MIB).nat
        self.bench = Bench(limits=self.limits)

    def datagram(self, client: int, sport: int, dport: int = 3478) -> DropReason | Port:
        """The outside port of a datagram, or why it was refused."""
        source = b"\x0a\x08\x01" + bytes((client,))
        body = udp_wire.build(source, PEER, sport, dport, b"x")
        return self._leave(client, ipv4.build(source, PEER, ipv4.UDP, len(body)) + body)

    def segment(self, client: int, sport: int, flags: int, seq: int = 101, ack: int = 501) -> DropReason | Port:
        """Likewise of a segment without text, whose checksum the NAT does not judge."""
        source = b"\x0a\x08\x01" + bytes((client,))
        head = tcp_wire.HEADER.pack(sport, 80, seq, ack, 0x50, flags, 500, 0, 0)
        return self._leave(client, ipv4.build(source, PEER, ipv4.TCP, len(head)) + head)

    def answer(self, port: Port, sport: int = 3478) -> None:
        body = udp_wire.build(PEER, HERE, sport, port, b"y")
        self._come(ipv4.build(PEER, HERE, ipv4.UDP, len(body)) + body)

    def segment_back(self, port: Port, flags: int, seq: int = 501, ack: int = 101) -> None:
        head = tcp_wire.HEADER.pack(80, port, seq, ack, 0x50, flags, 500, 0, 0)
        self._come(ipv4.build(PEER, HERE, ipv4.TCP, len(head)) + head)

    def connection(self, client: int, sport: int) -> DropReason | Port:
        """An established connection."""
        port = self.segment(client, sport, tcp_wire.SYN, 100, 0)
        if not isinstance(port, DropReason):
            self.segment_back(port, tcp_wire.SYN | tcp_wire.ACK, 500)
            self.segment(client, sport, tcp_wire.ACK)
        return port

    def _leave(self, client: int, packet: bytes) -> DropReason | Port:
        self.bench.now += 1
        out: list[Outgoing] = []
        if self.bench.nat.outbound(named(client), [packet], self.bench.now, out):
            reason = self.bench.nat.open_outbound(named(client), packet, self.bench.now, out)
            if reason is not None:
                return reason
        return int.from_bytes(b"".join(out[0][2])[20:22], "big")

    def _come(self, packet: bytes) -> None:
        frame = bytes(26) + packet
        assert isinstance(self.bench.nat.inbound(frame, 26, len(frame), 0, False, self.bench.now), tuple)


@pytest.mark.stress
def test_twenty_hogs_leave_each_address_64_flows_of_its_own() -> None:
    crowd = Crowd()
    for hog in range(20):
        opened = 0
        while not isinstance(port := crowd.datagram(hog, opened + 1), DropReason):
            opened += 1
            crowd.answer(port)
        assert port is DropReason.NAT_CLIENT_FULL
        assert 64 <= opened <= crowd.limits.flows_per_client
    crowd.bench.advance(60 * SECOND)
    for late in range(100, 112):
        for sport in range(64):
            assert not isinstance(crowd.datagram(late, 2000 + sport), DropReason)
    assert evicted(crowd.bench) == 0


@pytest.mark.stress
def test_hogs_without_answers_make_room_for_one_that_comes_late() -> None:
    crowd = Crowd()
    for hog in range(20):
        for sport in range(1, crowd.limits.flows_per_client + 1):
            crowd.datagram(hog, sport)
    crowd.bench.advance(30 * SECOND)
    for sport in range(500):
        assert not isinstance(crowd.connection(100, 2000 + sport), DropReason)


@pytest.mark.stress
def test_questions_to_name_servers_find_room() -> None:
    """500 a second with answers for a minute, beside another client's 50 flows a second: none is refused."""
    crowd, draw = Crowd(), random.Random(3)
    for second in range(60):
        for _ in range(500):
            port = crowd.datagram(1, draw.randrange(1024, 65_536), NAME_SERVER)
            assert not isinstance(port, DropReason)
            crowd.answer(port, NAME_SERVER)
        for number in range(50):
            assert not isinstance(crowd.datagram(2, 1 + second * 50 + number), DropReason)
        crowd.bench.advance(SECOND)


@pytest.mark.stress
def test_connections_that_end_find_room() -> None:
    """100 a second for a minute."""
    crowd = Crowd()
    fin_ack = tcp_wire.FIN | tcp_wire.ACK
    for second in range(60):
        for number in range(100):
            sport = 1024 + second * 100 + number
            port = crowd.connection(1, sport)
            assert not isinstance(port, DropReason)
            crowd.segment(1, sport, fin_ack)
            crowd.segment_back(port, fin_ack, 501, 102)
            crowd.segment(1, sport, tcp_wire.ACK, 102, 502)
        crowd.bench.advance(SECOND)


def test_live_connections_up_to_the_share_stay_and_the_next_is_refused() -> None:
    crowd = Crowd()
    assert crowd.limits.flows_per_client == 2048
    for sport in range(2048):
        assert not isinstance(crowd.connection(1, 1024 + sport), DropReason)
    crowd.bench.now += 3600 * SECOND
    crowd.bench.nat.handle_deadline(crowd.bench.now)
    assert crowd.connection(1, 9000) is DropReason.NAT_CLIENT_FULL
    assert (crowd.bench.nat.flows, evicted(crowd.bench)) == (2048, 0)


@pytest.mark.parametrize("protocol", ["scan", "peers"])
def test_a_scan_keeps_a_client_waiting_30_seconds_at_most(protocol: str) -> None:
    crowd = Crowd()
    for sport in range(1, 2601):
        left = crowd.segment(1, sport, tcp_wire.SYN, 100, 0) if protocol == "scan" else crowd.datagram(1, sport)
        assert isinstance(left, DropReason) is (sport > 2048)
    crowd.bench.now += 30 * SECOND
    for sport in range(100):
        assert not isinstance(crowd.connection(1, 6000 + sport), DropReason)


def test_the_port_of_a_question_goes_to_another_client_at_once() -> None:
    bench = Bench()
    answered_question(bench, 5000)
    bench.advance(7 * SECOND)
    assert bench.nat.flows == 0
    (left,) = bench.send(udp(5000, NAME_SERVER, src="10.8.0.3"), client=2)
    assert left.sport == 5000


def test_the_port_of_a_question_rests_where_any_host_may_send_to_it() -> None:
    bench = Bench(limits=NatLimits(endpoint_independent_filtering=True))
    answered_question(bench, 5000)
    bench.advance(7 * SECOND)
    (left,) = bench.send(udp(5000, NAME_SERVER, src="10.8.0.3"), client=2)
    assert left.sport != 5000


def test_the_port_of_other_flows_rests_though_a_question_was_the_last() -> None:
    bench = Bench()
    bench.send(udp(5000, 3478))
    bench.advance(296 * SECOND)
    answered_question(bench, 5000)
    bench.advance(10 * SECOND)
    assert bench.nat.flows == 0
    (left,) = bench.send(udp(5000, src="10.8.0.3"), client=2)
    assert left.sport != 5000
