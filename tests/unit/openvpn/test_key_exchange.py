"""Key messages of clients: bounds of what stands in them, and bytes that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.key_exchange import ClientKeyMessage, ServerKeyMessage, parse_client_message

HEAD = bytes(4) + b"\2" + bytes(48 + 64)  # zero, key method, pre-master secret and randoms


def message(*strings: bytes, head: bytes = HEAD) -> bytes:
    """With strings as they are: their lengths count a NUL if there is one."""
    return head + b"".join(len(text).to_bytes(2, "big") + text for text in strings)


def parsed(data: bytes) -> ClientKeyMessage:
    found = parse_client_message(data)
    assert found is not None
    return found


def test_a_message_is_whole_or_more_is_waited_for() -> None:
    """Old clients leave strings out at the end (OpenVPN ssl.c key_method_2_read): those are whole messages too."""
    head = bytes(4) + b"\2" + bytes(range(48)) + b"\xaa" * 32 + b"\xbb" * 32
    strings = (b"V4,dev-type tun\0", b"alice\0", b"secret\0", b"IV_VER=2.6\nIV_PROTO=2\n\0")
    whole = message(*strings, head=head)
    ends = [len(message(*strings[:count], head=head)) for count in (1, 2, 3, 4)]
    assert [size for size in range(len(whole) + 1) if parse_client_message(whole[:size]) is not None] == ends
    assert parsed(whole) == ClientKeyMessage(
        bytes(range(48)), b"\xaa" * 32, b"\xbb" * 32, "V4,dev-type tun", "alice", "secret",
        {"IV_VER": "2.6", "IV_PROTO": "2"}, len(whole),
    )  # fmt: skip
    assert parsed(whole + b"more") == parsed(whole)
    assert parsed(message(b"", b"", b"", b"")).length == len(HEAD) + 8, "strings without their NUL"


def test_our_message_has_no_pre_master_and_three_empty_strings() -> None:
    """OpenVPN ssl.c key_method_2_write: zero, method, two randoms, options with a NUL, no name, password, peer info."""
    drawn = iter((b"\1", b"\2"))
    made = ServerKeyMessage.fresh(lambda size: next(drawn) * size)
    expected = b"\0\0\0\0\2" + b"\1" * 32 + b"\2" * 32 + b"\0\3V4\0" + b"\0\0\0\0\0\0"
    assert made.build("V4") == expected


@pytest.mark.parametrize(("place", "most"), [(0, 512), (1, 4096), (2, 4096), (3, 4096)])
def test_strings_are_as_long_as_openvpn_lets_them_be(place: int, most: int) -> None:
    """512 bytes of options, 4096 of a user name, a password and peer info."""
    strings = [b"x\0"] * 4
    strings[place] = b"y=" + b"z" * (most - 3) + b"\0"
    found = parsed(message(*strings))
    said = [found.options, found.username, found.password][place] if place < 3 else f"y={found.peer_info['y']}"
    assert len(said) == most - 1
    assert found.length == len(message(*strings))
    strings[place] += b"\0"
    with pytest.raises(PeerError, match="a string is too long") as caught:
        parse_client_message(message(*strings))
    assert caught.value.reason is DropReason.BAD_KEY_METHOD


@pytest.mark.parametrize("byte", range(256))
def test_the_key_method_is_in_four_bits(byte: int) -> None:
    """OpenVPN ssl.h KEY_METHOD_MASK."""
    data = message(b"\0", b"\0", b"\0", b"\0", head=HEAD[:4] + bytes((byte,)) + HEAD[5:])
    if byte & 0x0F == 2:
        assert parse_client_message(data) is not None
    else:
        with pytest.raises(PeerError, match="not a key method 2 message"):
            parse_client_message(data)


def test_sixty_four_lines_of_peer_info_are_read() -> None:
    lines = b"".join(b"UV_%d=%d\n" % (number, number) for number in range(70))
    found = parsed(message(b"\0", b"\0", b"\0", lines + b"\0")).peer_info
    assert list(found) == [f"UV_{number}" for number in range(64)]


def test_lines_of_peer_info_that_cannot_be_printed_are_left_out() -> None:
    """They go into log lines; the others stay."""
    info = b"IV_VER=2.6\nUV_A=\x1b[2J\nUV_\x07B=1\nUV_C=a\rb\nno separator\nUV_D=\xff\nIV_PROTO=2\n\0"
    found = parsed(message(b"\0", b"\0", b"\0", info)).peer_info
    assert {name for name in found if name.startswith("UV_")} <= {"UV_D"}
    assert (found["IV_VER"], found["IV_PROTO"]) == ("2.6", "2")


@pytest.mark.parametrize("data", [b"\1" + bytes(200), bytes(4) + b"\1" + bytes(200), HEAD + b"\x02\x01" + bytes(600)])
def test_key_messages_that_can_never_be_good(data: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        parse_client_message(data)
    assert caught.value.reason is DropReason.BAD_KEY_METHOD


def test_an_old_client_may_leave_out_the_rest() -> None:
    message = parse_client_message(HEAD + b"\0\4V4,\0")
    assert message is not None
    assert (message.options, message.username, message.peer_info) == ("V4,", "", {})
    assert parse_client_message(HEAD + b"\0\4V4,\0" + b"\0") is None


# Strings with their lengths in front, cut short; and one whose length is beyond every bound.
STRINGS = st.lists(st.binary(max_size=20) | st.just(bytes(4097)), min_size=3, max_size=5)
CUT = st.tuples(STRINGS, st.integers(1, 30)).map(
    lambda made: b"".join(len(one).to_bytes(2, "big") + one for one in made[0])[: -made[1]]
)


@given(st.binary(max_size=400) | CUT)
def test_key_message_garbage(data: bytes) -> None:
    """A message, its reason, or None as long as bytes are missing: with enough of them it is not."""
    whole, reasons = HEAD + data, set()
    for text in (whole, whole + bytes(20_000)):
        try:
            message = parse_client_message(text)
        except PeerError as error:
            reasons.add(error.reason)
        else:
            assert message.length <= len(text) if message is not None else text is whole
    assert reasons <= {DropReason.BAD_KEY_METHOD}
