"""Negotiations by key id: which id comes next, who may begin one, what becomes of the one before."""

from __future__ import annotations

import os

import pytest
from tests.unit.openvpn.link import SECOND, START, profile
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.key_state import Stage
from hognose.openvpn.control.negotiations import ControlPacket, Negotiations
from hognose.wire import openvpn as wire

CLIENT = bytes(range(1, 9))


def packet(opcode: int, key_id: int, message_id: int = 0, session_id: bytes = CLIENT) -> ControlPacket:
    body = wire.parse_control_body(opcode, wire.build_control_body((), bytes(8), message_id, b""))
    assert body is not None
    return ControlPacket(opcode, key_id, session_id, body)


def reset(key_id: int = 0, message_id: int = 0) -> bytes:
    """A client's hard reset without a wrap."""
    first = wire.first_byte(wire.HARD_RESET_CLIENT_V2, key_id)
    return bytes((first,)) + CLIENT + wire.build_control_body((), bytes(8), message_id, b"")


def fresh() -> tuple[Negotiations, Counters]:
    counters = Counters()
    return Negotiations(profile(), random=os.urandom, now=START, counters=counters), counters


def established() -> tuple[Negotiations, Counters]:
    """The first negotiation has succeeded."""
    made, counters = fresh()
    assert made.open(reset(), START, UNIX) is not None
    assert made.primary is not None
    made.primary.stage = Stage.ACTIVE
    return made, counters


def test_a_hard_reset_begins_the_first_one() -> None:
    made, _ = fresh()
    assert (made.live, made.remote_id) == ([], b"")
    opened = made.open(reset(), START, UNIX)
    assert opened == packet(wire.HARD_RESET_CLIENT_V2, 0)
    assert made.remote_id == CLIENT
    assert made.live == [made.primary]
    [answer] = made.poll(START, UNIX)
    assert answer[0] >> 3 == wire.HARD_RESET_SERVER_V2


@pytest.mark.parametrize(("key_id", "message_id"), [(1, 0), (0, 1)])
def test_any_other_first_packet_is_refused(key_id: int, message_id: int) -> None:
    made, _ = fresh()
    with pytest.raises(PeerError) as caught:
        made.open(reset(key_id, message_id), START, UNIX)
    assert caught.value.reason is DropReason.BAD_CONTROL_PACKET
    assert made.primary is None


def test_key_ids_go_round_and_leave_out_zero_and_the_one_in_use() -> None:
    made, _ = established()
    seen = []
    for number in range(9):
        assert made.begin_ours(START)
        assert made.pending is not None
        seen.append(made.pending.key_id)
        made.pending.stage = Stage.ACTIVE
        if number < 2:
            made.promote(made.pending, START)
        made.pending = None
    assert seen == [1, 2, 3, 4, 5, 6, 7, 1, 3], "2 is in use"


def test_only_one_renegotiation_at_a_time() -> None:
    made, _ = established()
    assert made.begin_ours(START)
    assert not made.begin_ours(START)
    assert not made.may_begin(packet(wire.SOFT_RESET_V1, 3))


def test_no_renegotiation_before_the_first_keys() -> None:
    made, _ = fresh()
    assert not made.begin_ours(START)
    assert not made.may_begin(packet(wire.SOFT_RESET_V1, 1))
    made.open(reset(), START, UNIX)
    assert not made.begin_ours(START)


def test_the_soft_resets_that_begin_one() -> None:
    made, _ = established()
    for opcode, key_id, message_id, good in (
        (wire.SOFT_RESET_V1, 1, 0, True),
        (wire.SOFT_RESET_V1, 6, 0, True),
        (wire.SOFT_RESET_V1, 0, 0, False),
        (wire.SOFT_RESET_V1, 1, 1, False),
        (wire.CONTROL_V1, 1, 0, False),
    ):
        assert made.may_begin(packet(opcode, key_id, message_id)) == good


def test_the_one_before_listens_for_a_while() -> None:
    made, _ = established()
    first = made.primary
    second = made.begin(1, START)
    assert made.find(1) is second
    second.stage = Stage.ACTIVE
    made.promote(second, START + 60 * SECOND)
    assert made.live == [second, first]
    assert (made.find(0), made.find(1), made.find(2)) == (first, second, None)
    assert START + 60 * SECOND in made.deadlines(60 * SECOND)
    made.expire(START + 60 * SECOND - 1)
    assert made.find(0) is first
    made.expire(START + 60 * SECOND)
    assert made.find(0) is None


def test_packets_of_another_session_are_counted() -> None:
    made, counters = established()
    assert made.is_of_session(packet(wire.CONTROL_V1, 0))
    assert not made.is_of_session(packet(wire.CONTROL_V1, 0, session_id=bytes(range(8, 16))))
    body = wire.parse_control_body(wire.ACK_V1, wire.build_control_body((0,), bytes(range(8)), -1, b""))
    assert body is not None
    assert not made.is_of_session(ControlPacket(wire.ACK_V1, 0, CLIENT, body)), "it acknowledges another server's"
    assert counters.drops[DropReason.WRONG_SESSION_ID] == 2


def test_acknowledgements_of_nothing_and_messages_beyond_the_window_are_counted() -> None:
    made, counters = established()
    assert made.primary is not None
    body = wire.parse_control_body(wire.CONTROL_V1, wire.build_control_body((9,), bytes(8), 500, b"x"))
    assert body is not None
    made.file(made.primary, ControlPacket(wire.CONTROL_V1, 0, CLIENT, body), START)
    assert counters.drops[DropReason.BAD_CONTROL_ACK] == 1
    assert counters.drops[DropReason.RECEIVE_WINDOW_FULL] == 1


@pytest.mark.parametrize(
    "record", [reset()[:12], reset()[:9] + b"\x09" + bytes(80), reset()[:1] + bytes(8) + reset()[9:]]
)
def test_bodies_that_cannot_be_read_end_it_at_first_and_are_counted_later(record: bytes) -> None:
    made, _ = fresh()
    with pytest.raises(PeerError) as caught:
        made.open(record, START, UNIX)
    assert caught.value.reason is DropReason.BAD_CONTROL_PACKET
    made, counters = established()
    assert made.open(record, START, UNIX) is None
    assert counters.drops[DropReason.BAD_CONTROL_PACKET] == 1
    assert made.open(reset(), START, UNIX) is not None
