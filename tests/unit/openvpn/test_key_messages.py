"""Bounds of what stands in a client's key message, and of the messages, records and ids around it."""

from __future__ import annotations

import pytest
from tests.unit.openvpn.link import KEY, profile
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.agreement import Agreement, agree
from hognose.openvpn.control.key_exchange import ClientKeyMessage, parse_client_message
from hognose.openvpn.control.push import push_replies
from hognose.openvpn.control.wrap import TlsAuthWrap, TlsCryptWrap
from hognose.openvpn.framing import RecordSplitter

HEAD = bytes(4) + b"\2" + bytes(48 + 64)  # zero, key method, pre-master secret and randoms


def message(*strings: bytes, head: bytes = HEAD) -> bytes:
    """With strings as they are: their lengths count a NUL if there is one."""
    return head + b"".join(len(text).to_bytes(2, "big") + text for text in strings)


def parsed(data: bytes) -> ClientKeyMessage:
    found = parse_client_message(data)
    assert found is not None
    return found


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


DATA_V2, EXPORT, EPOCH = 1 << 1, 1 << 3, 1 << 10


@pytest.mark.parametrize("bits", [DATA_V2 | EXPORT | EPOCH, DATA_V2 | EPOCH, EXPORT | EPOCH, EPOCH, DATA_V2 | EXPORT])
@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-256-CBC"])
def test_the_epoch_format_needs_all_that_it_is_made_of(bits: int, cipher: str) -> None:
    """Keying-material export, packets with a peer id, an AEAD cipher (OpenVPN push.c, multi_client_set_protocol)."""
    client = ClientKeyMessage(b"", b"", b"", "", "", "", {"IV_PROTO": str(bits), "IV_CIPHERS": cipher}, 0)
    found = agree(profile(ciphers=("AES-256-GCM", "AES-256-CBC")), client)
    assert isinstance(found, Agreement)
    wanted = bits == DATA_V2 | EXPORT | EPOCH and cipher == "AES-256-GCM"
    assert found.epoch == wanted
    assert any("aead-epoch" in option for option in found.push) == wanted


@pytest.mark.parametrize(("second", "replies"), [(828, 1), (829, 2)])
def test_a_reply_ends_before_it_has_940_bytes(second: int, replies: int) -> None:
    """PUSH_REPLY, a comma and 100 bytes, a comma and these."""
    found = push_replies(["a" * 100, "b" * second])
    assert len(found) == replies
    if replies == 1:
        assert len(found[0]) == 940


def test_full_says_that_more_may_wait() -> None:
    splitter = RecordSplitter(2048)
    record = b"\0\3abc"
    assert splitter.feed([record * 2], 2) == [b"abc"] * 2
    assert not splitter.full
    assert splitter.feed([record * 2 + b"\0"], 2) == [b"abc"] * 2
    assert splitter.full
    assert splitter.feed([b"\3abc"], 2) == [b"abc"]
    assert (splitter.full, splitter.pending) == (False, 0)


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_control_packet_ids_begin_anew_under_a_later_time(kind: str) -> None:
    """After 0xFFFFFFFF: no pair of id and time comes twice (OpenVPN packet_id.c packet_id_send_update)."""
    wrap = TlsAuthWrap(KEY, 0, "SHA1") if kind == "tls-auth" else TlsCryptWrap(KEY)
    at = 9 + 20 if kind == "tls-auth" else 9
    pairs = []
    for skip in (0, 0xFFFFFFFE, 0xFFFFFFFF, 1):
        if skip > 1:
            wrap._ids._next = skip - 1
        record = wrap.seal(0x20, bytes(range(8)), b"\0", UNIX)
        pairs.append((int.from_bytes(record[at : at + 4]), int.from_bytes(record[at + 4 : at + 8])))
    assert pairs == [(1, UNIX), (0xFFFFFFFE, UNIX), (0xFFFFFFFF, UNIX), (1, UNIX + 1)]


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_a_control_packet_has_a_byte_at_least(kind: str) -> None:
    wrap = TlsAuthWrap(KEY, None, "SHA1") if kind == "tls-auth" else TlsCryptWrap(KEY)
    peer = TlsAuthWrap(KEY, None, "SHA1") if kind == "tls-auth" else TlsCryptWrap(KEY[128:] + KEY[:128])
    assert wrap.open(peer.seal(0x20, bytes(range(8)), b"", UNIX)) is DropReason.BAD_CONTROL_PACKET
    assert wrap.open(peer.seal(0x20, bytes(range(8)), b"\0", UNIX)) == (bytes(range(8)), b"\0")
