"""Meaning of the flags of a packet for the state of a connection (RFC 5382 section 5, RFC 7857 section 2)."""

from __future__ import annotations

from typing import Protocol

import pytest
from tests.unit.nat.nat_packets import CLIENT, OUTSIDE, SERVER, Bench, named, tcp

from hognose.address import parse_ipv4
from hognose.nat.flow import ANSWERED, FIN_IN, FIN_OUT, RESET, ClientFlows, Flow, Mapping
from hognose.nat.tracking import track_inbound, track_outbound
from hognose.units import SECOND, Buffer, Nanos

# RFC 9293 section 3.1
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
OPENED, LATER = 5, 9
ACKED, WINDOW = 1000, 500  # what the client has sent last


class Track(Protocol):
    def __call__(self, flow: Flow, packet: Buffer, l4: int, end: int, now: Nanos) -> bool: ...


def noted(track: Track, seen: Flow, flags: int, seq: int = ACKED, ack: int = 9) -> bool:
    packet = bytes(
        tcp(flags="".join(name for bit, name in enumerate("FSRPAUEC") if flags >> bit & 1), seq=seq, ack=ack)
    )
    return track(seen, packet, 20, len(packet), LATER)


def flow(state: int) -> Flow:
    mapping = Mapping(ClientFlows(named(1)), 6, parse_ipv4(CLIENT), 5000, 5000)
    made = Flow(mapping, parse_ipv4(OUTSIDE), parse_ipv4(SERVER), 80, OPENED)
    assert made.state == 0
    made.state = state
    made.acked, made.window = ACKED, WINDOW
    return made


@pytest.mark.parametrize(
    ("track", "before", "flags", "after"),
    [
        (track_outbound, 0, SYN, 0),  # opened at another time now
        (track_outbound, ANSWERED | FIN_OUT | FIN_IN | RESET, SYN, 0),  # a new connection on the same ports
        (track_outbound, ANSWERED, FIN | ACK, ANSWERED | FIN_OUT),
        (track_outbound, 0, FIN | PSH | ACK, FIN_OUT),
        (track_outbound, ANSWERED | FIN_IN, FIN | ACK, ANSWERED | FIN_IN | FIN_OUT),
        (track_outbound, ANSWERED, RST, ANSWERED | RESET),
        (track_outbound, ANSWERED, RST | FIN | ACK, ANSWERED | RESET),
        (track_outbound, ANSWERED | FIN_IN, RST | SYN, ANSWERED | FIN_IN | RESET),
        (track_inbound, 0, ACK, ANSWERED),
        (track_inbound, 0, SYN | ACK, ANSWERED),
        (track_inbound, FIN_OUT, PSH | ACK, FIN_OUT | ANSWERED),
        (track_inbound, 0, FIN | ACK, ANSWERED | FIN_IN),
        (track_inbound, ANSWERED | FIN_OUT, FIN | ACK, ANSWERED | FIN_OUT | FIN_IN),
        (track_inbound, 0, RST | ACK, RESET),  # no answer
        (track_inbound, ANSWERED, RST | FIN, ANSWERED | RESET),
    ],
)
def test_what_a_packet_tells(track: Track, before: int, flags: int, after: int) -> None:
    seen = flow(before)
    assert noted(track, seen, flags) is True
    assert (seen.state, seen.changed, seen.last_out) == (after, LATER, OPENED)


@pytest.mark.parametrize(
    ("track", "state", "flags"),
    [
        *(
            (track_outbound, state, flags)
            for state in (0, ANSWERED, RESET)
            for flags in (0, ACK, PSH | URG | ECE | CWR)
        ),
        (track_inbound, ANSWERED, ACK),
        (track_inbound, ANSWERED, SYN | ACK),
        (track_inbound, ANSWERED | FIN_IN, FIN | ACK),
        (track_inbound, ANSWERED | FIN_IN, ACK),
        (track_inbound, RESET, RST),
        (track_inbound, ANSWERED | RESET, RST | ACK),
    ],
)
def test_what_tells_nothing(track: Track, state: int, flags: int) -> None:
    """No time begins anew by it: the outside cannot keep a flow alive by what it has said before."""
    seen = flow(state)
    assert noted(track, seen, flags) is False
    assert (seen.state, seen.changed, seen.last_out) == (state, OPENED, OPENED)


def test_each_bit_says_one_thing() -> None:
    assert sorted((ANSWERED, FIN_OUT, FIN_IN, RESET)) == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("window", "shift", "seq", "counts"),
    [
        (500, 0, ACKED, True),
        (500, 0, ACKED + 499, True),
        (500, 0, ACKED + 500, False),
        (500, 0, ACKED - 1, False),
        (500, 7, ACKED + 500 * 128 - 1, True),
        (500, 7, ACKED + 500 * 128, False),
        (0, 7, ACKED, True),  # a closed window: the next number only (RFC 9293 section 3.10.7.4)
        (0, 7, ACKED + 1, False),
        (0x50100000 | 500, 0, ACKED + 499, True),  # the word of the fast path: offset and flags before the window
        (0x50100000 | 500, 0, ACKED + 500, False),
    ],
)
def test_a_reset_from_outside_counts_in_the_window(window: int, shift: int, seq: int, counts: bool) -> None:
    seen = flow(ANSWERED)
    seen.window, seen.shift = window, shift
    assert noted(track_inbound, seen, RST, seq) is counts
    assert seen.state == ANSWERED | (RESET if counts else 0)


def test_the_window_goes_round_at_the_end_of_the_numbers() -> None:
    seen = flow(ANSWERED)
    seen.acked = 0xFFFFFFFF
    assert noted(track_inbound, seen, RST, 300)


@pytest.mark.parametrize(
    ("flags", "ack", "counts"),
    [(RST | ACK, 78, True), (RST | ACK, 77, False), (RST | ACK, 79, False), (RST, 78, False)],
)
def test_a_reset_answers_a_syn_that_it_acknowledges(flags: int, ack: int, counts: bool) -> None:
    seen = flow(0)
    assert noted(track_outbound, seen, SYN, seq=77)
    assert noted(track_inbound, seen, flags, seq=0, ack=ack) is counts
    assert seen.state == (RESET if counts else 0)


def test_the_numbers_of_a_syn_go_round_too() -> None:
    seen = flow(0)
    noted(track_outbound, seen, SYN, seq=0xFFFFFFFF)
    assert noted(track_inbound, seen, RST | ACK, seq=0, ack=0)


def established(client_scale: int | None, server_scale: int | None) -> tuple[Bench, int]:
    """A connection whose client has acknowledged 501 with a window of 500, unscaled; its outside port."""
    bench = Bench()

    def scale(value: int | None) -> list[tuple[str, int | None]]:
        return [] if value is None else [("NOP", None), ("WScale", value)]

    (left,) = bench.send(tcp(flags="S", seq=100, ack=0, options=scale(client_scale)))
    answer = tcp(80, left.sport, "SA", seq=500, ack=101, src=SERVER, dst=OUTSIDE, options=scale(server_scale))
    bench.accept(answer)
    bench.now += 1
    bench.send(tcp(flags="A", seq=101, ack=501))
    return bench, left.sport


def lives_after(bench: Bench, port: int, seq: int) -> bool:
    """True when the connection is there 5 minutes after a reset; it ends 4 minutes after one that counts."""
    bench.now += SECOND
    assert len(bench.accept(tcp(80, port, "R", seq=seq, src=SERVER, dst=OUTSIDE))[1]) == 1  # the client judges it too
    bench.advance(300 * SECOND)
    return bench.nat.flows == 1


@pytest.mark.parametrize(
    ("client_scale", "server_scale", "inside"),
    [(None, None, 500), (7, 7, 500 << 7), (7, 0, 500 << 7), (7, None, 500), (None, 7, 500), (20, 1, 500 << 14)],
)
def test_the_window_is_scaled_as_both_sides_agreed(
    client_scale: int | None, server_scale: int | None, inside: int
) -> None:
    assert lives_after(*established(client_scale, server_scale), 501 + inside)
    assert not lives_after(*established(client_scale, server_scale), 501 + inside - 1)
    assert lives_after(*established(client_scale, server_scale), 500)


def test_a_forged_reset_leaves_an_idle_connection_its_two_hours() -> None:
    bench, port = established(7, 7)
    for seq in range(0, 2**32, 2**26 + 1):
        if seq - 501 >= 500 << 7 or seq < 501:
            bench.accept(tcp(80, port, "R", seq=seq, src=SERVER, dst=OUTSIDE))
    bench.advance(7400 * SECOND)
    assert bench.nat.flows == 1


def test_the_numbers_of_the_fast_path_count() -> None:
    bench, port = established(None, None)
    out, rest = bench.hot(tcp(flags="A", seq=101, ack=90_501))
    assert len(out) == 1
    assert not rest
    assert lives_after(bench, port, 501)
    assert not lives_after(bench, port, 90_501)
