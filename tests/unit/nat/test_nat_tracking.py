"""Meaning of the flags of a packet for the state of a connection (RFC 5382 section 5, RFC 7857 section 2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.nat.nat_packets import CLIENT, OUTSIDE, SERVER, named

from hognose.address import parse_ipv4
from hognose.nat.flow import ANSWERED, FIN_IN, FIN_OUT, RESET, ClientFlows, Flow, Mapping
from hognose.nat.tracking import track_inbound, track_outbound

# RFC 9293 section 3.1
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
OPENED, LATER = 5, 9


def flow(state: int) -> Flow:
    mapping = Mapping(ClientFlows(named(1)), 6, parse_ipv4(CLIENT), 5000, 5000)
    made = Flow(mapping, parse_ipv4(OUTSIDE), parse_ipv4(SERVER), 80, OPENED)
    assert made.state == 0
    made.state = state
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
def test_what_a_packet_tells(track: Callable[[Flow, int, int], bool], before: int, flags: int, after: int) -> None:
    seen = flow(before)
    assert track(seen, flags, LATER) is True
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
def test_what_tells_nothing(track: Callable[[Flow, int, int], bool], state: int, flags: int) -> None:
    """No time begins anew by it: the outside cannot keep a flow alive by what it has said before."""
    seen = flow(state)
    assert track(seen, flags, LATER) is False
    assert (seen.state, seen.changed, seen.last_out) == (state, OPENED, OPENED)


def test_each_bit_says_one_thing() -> None:
    assert sorted((ANSWERED, FIN_OUT, FIN_IN, RESET)) == [1, 2, 4, 8]
