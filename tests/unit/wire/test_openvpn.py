"""OpenVPN control bodies: build and parse are inverse, short ones are refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.wire import openvpn as wire

IDS = st.integers(0, 2**32 - 1)


@given(st.lists(IDS, max_size=8), IDS, st.binary(max_size=100))
def test_build_and_parse(acks: list[int], message_id: int, payload: bytes) -> None:
    remote = bytes(range(8)) if acks else b""
    body = wire.build_control_body(tuple(acks), remote, message_id, payload)
    assert wire.parse_control_body(wire.CONTROL_V1, body) == (tuple(acks), remote, message_id, payload)
    ack = wire.build_control_body(tuple(acks), remote, -1, b"")
    assert wire.parse_control_body(wire.ACK_V1, ack) == (tuple(acks), remote, -1, b"")
    for cut in range(len(body) - len(payload)):
        assert wire.parse_control_body(wire.CONTROL_V1, body[:cut]) is None


def test_more_than_eight_acks_are_refused() -> None:
    assert wire.parse_control_body(wire.ACK_V1, b"\x09" + bytes(60)) is None


def test_first_byte() -> None:
    assert wire.first_byte(wire.HARD_RESET_CLIENT_V2, 0) == 0x38
    assert wire.first_byte(wire.DATA_V2, 7) == 0x4F
