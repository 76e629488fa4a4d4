"""Time limits of the NAT, as numbers of the RFCs: alive until then, gone a nanosecond later.

Flows are looked at once a second: what happens last in them happens a nanosecond before a full second.

RFC 4787 REQ-5 (UDP: 2 minutes at least, 5 recommended; less for a well-known port of one question and one answer),
RFC 5382 REQ-5 (TCP: 2 hours 4 minutes, 4 minutes while it opens or closes), RFC 5508 REQ-2 (ICMP: 60 seconds),
RFC 7857 section 2 (a reset: 4 minutes), RFC 6888 REQ-8 (a port rests for 120 seconds).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP
from tests.unit.nat.nat_packets import OTHER, OUTSIDE, SERVER, Bench, echo, tcp, udp

from hognose.drops import DropReason

S = 1_000_000_000
MS = 1_000_000


def passes(bench: Bench, outside: int) -> bool:
    """An answer of the peer comes in; asked for with UDP, TCP and an echo."""
    candidates = (
        udp(3478, outside, src=SERVER, dst=OUTSIDE),
        udp(53, outside, src=SERVER, dst=OUTSIDE),
        tcp(80, outside, src=SERVER, dst=OUTSIDE),
        echo(outside, kind=0, src=SERVER, dst=OUTSIDE),
    )
    return any(isinstance(bench.receive(packet), tuple) for packet in candidates)


def udp_sent(bench: Bench) -> int:
    return int(bench.send(udp(5000, 3478))[0].sport)


def question_asked(bench: Bench) -> int:
    return int(bench.send(udp(5000, 53))[0].sport)


def question_answered(bench: Bench) -> int:
    port = question_asked(bench)
    bench.now += 10 * MS
    assert isinstance(bench.receive(udp(53, port, src=SERVER, dst=OUTSIDE)), tuple)
    return port


def answered_after_half_a_minute(bench: Bench) -> int:
    port = question_asked(bench)
    bench.now += 28 * S
    assert isinstance(bench.receive(udp(53, port, src=SERVER, dst=OUTSIDE)), tuple)
    return port


def asked_again(bench: Bench) -> int:
    port = question_answered(bench)
    bench.now += 10 * MS
    bench.hot(udp(5000, 53))
    return port


def echo_sent(bench: Bench) -> int:
    return int(bench.send(echo(33))[0][ICMP].id)


def syn_sent(bench: Bench) -> int:
    return int(bench.send(tcp(5000, flags="S"))[0].sport)


def answer(bench: Bench, flags: str) -> None:
    bench.now += 10 * MS
    assert isinstance(bench.receive(tcp(80, 5000, flags=flags, seq=9, src=SERVER, dst=OUTSIDE)), tuple)


def established(bench: Bench) -> int:
    port = syn_sent(bench)
    answer(bench, "SA")
    bench.now += 10 * MS
    bench.send(tcp(5000, flags="A"))
    return port


def half_open(bench: Bench) -> int:
    port = syn_sent(bench)
    answer(bench, "SA")
    return port


def closed_by_both(bench: Bench) -> int:
    port = established(bench)
    bench.send(tcp(5000, flags="FA"))
    answer(bench, "FA")
    return port


def half_closed(bench: Bench) -> int:
    port = established(bench)
    bench.now += 10 * MS
    bench.send(tcp(5000, flags="FA"))
    return port


def reset_by_peer(bench: Bench) -> int:
    port = established(bench)
    answer(bench, "R")
    return port


def reset_by_client(bench: Bench) -> int:
    port = established(bench)
    bench.now += 10 * MS
    bench.send(tcp(5000, flags="R"))
    return port


LIVES = [
    (udp_sent, 300),
    (question_asked, 30),
    (echo_sent, 60),
    (syn_sent, 240),
    (question_answered, 5),
    (answered_after_half_a_minute, 2),
    (asked_again, 30),
    (half_open, 240),
    (established, 7440),
    (half_closed, 7440),
    (closed_by_both, 240),
    (reset_by_peer, 240),
    (reset_by_client, 240),
]


def at_the_end_of_a_second(opens: Callable[[Bench], int]) -> tuple[Bench, int]:
    """The bench a nanosecond before a full second, at which the last packet has just passed, and the outside port."""
    tried = Bench()
    opens(tried)
    bench = Bench(start=3001 * S - 1 - (tried.now - 1000 * S))
    return bench, opens(bench)


@pytest.mark.parametrize(("opens", "seconds"), LIVES, ids=lambda value: getattr(value, "__name__", None))
def test_a_flow_lives_so_long_and_no_longer(opens: Callable[[Bench], int], seconds: int) -> None:
    """Looked at by what comes in: the question changes nothing, for answers refresh no flow (RFC 4787 REQ-6)."""
    for rest, alive in ((0, True), (1, False)):
        bench, outside = at_the_end_of_a_second(opens)
        bench.advance(seconds * S + rest)
        assert bench.nat.flows == alive
        assert passes(bench, outside) is alive


@pytest.mark.parametrize("last", ["FIN of the client", "FIN of the peer", "RST of the client", "RST of the peer"])
def test_a_connection_that_ends_after_an_hour_has_four_minutes_left(last: str) -> None:
    """The flow is to be looked at long after that; what ends the connection brings the time forward."""
    kind, _, side = last.partition(" of the ")
    for seconds, alive in ((239, True), (242, False)):
        bench = Bench()
        port = established(bench)
        bench.advance(3600 * S)
        flags = f"{kind[0]}A"
        client, peer = tcp(5000, flags=flags), tcp(80, port, flags=flags, seq=9, src=SERVER, dst=OUTSIDE)
        for sender in ("client", "peer") if side == "peer" else ("peer", "client"):
            if kind == "FIN" or sender == side:
                bench.now += 10 * MS
                assert bench.send(client) if sender == "client" else isinstance(bench.receive(peer), tuple)
        bench.advance(seconds * S)
        assert bench.nat.flows == alive


@pytest.mark.parametrize(("opens", "seconds"), LIVES[:3], ids=lambda value: getattr(value, "__name__", None))
def test_what_is_sent_begins_the_time_anew(opens: Callable[[Bench], int], seconds: int) -> None:
    bench = Bench()
    for _ in range(3):
        outside = opens(bench)
        bench.advance(seconds * S - 10 * MS)
    assert passes(bench, outside)
    bench.advance(2 * S)
    assert not passes(bench, outside)


def test_a_port_rests_for_two_minutes_before_another_client_gets_it() -> None:
    for rest, preserved in ((-10 * MS, False), (10 * MS, True)):
        bench = Bench()
        bench.send(udp(5000, src=OTHER), client=2)
        bench.forget(2)
        bench.advance(120 * S + rest)
        assert (bench.send(udp(5000))[0].sport == 5000) is preserved


def test_the_rest_of_an_expired_flow_counts_from_its_end() -> None:
    for rest, preserved in ((-10 * MS, False), (3 * S, True)):
        bench = Bench()
        bench.send(udp(5000, src=OTHER), client=2)
        bench.advance(300 * S + 120 * S + rest)
        assert (bench.send(udp(5000))[0].sport == 5000) is preserved


def test_a_flow_of_a_client_that_left_has_no_time() -> None:
    bench = Bench()
    outside = udp_sent(bench)
    bench.forget(1)
    assert bench.receive(udp(3478, outside, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING


def test_256_flows_end_in_one_call() -> None:
    """The bound on a stall."""
    bench = Bench()
    for port in range(300):
        bench.send(udp(5000 + port, 53))
    bench.now += 32 * S
    bench.nat.handle_deadline(bench.now)
    assert bench.nat.flows == 44


@pytest.mark.parametrize(("datagrams", "left"), [(255, 9), (256, 9), (257, 9)])
def test_256_flows_are_looked_at_in_one_call_to_end_those_to_a_port(datagrams: int, left: int) -> None:
    """UDP and TCP share the bound."""
    bench = Bench()
    for port in range(265):
        bench.send((udp if port < datagrams else tcp)(5000 + port, 53))
    bench.nat.end_flows_to(frozenset({bytes((1, 2, 3, 4))}), 53)
    bench.nat.handle_deadline(bench.now)
    assert bench.nat.flows == left
