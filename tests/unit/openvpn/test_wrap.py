"""Packet ids and lengths of control packets under tls-auth and tls-crypt."""

from __future__ import annotations

import pytest
from tests.unit.openvpn import control_packets as by_hand
from tests.unit.openvpn.link import KEY
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.control.wrap import PlainWrap, TlsAuthWrap, TlsCryptWrap, WrapState, make_wrap
from hognose.openvpn.data.replay import ReplayState
from hognose.settings import WrapSettings

HEAD = b"\x20" + bytes(range(1, 9))


def server(kind: str) -> TlsAuthWrap | TlsCryptWrap:
    return TlsAuthWrap(KEY, 0, "SHA1") if kind == "tls-auth" else TlsCryptWrap(KEY)


def from_client(kind: str, number: int, unix: int) -> bytes:
    """A packet of a client under KEY, with this packet id and time."""
    if kind == "tls-auth":
        return by_hand.tls_auth(KEY[128:], "sha1", HEAD, number, unix, b"\0")
    return by_hand.tls_crypt(KEY[128:], HEAD, number, unix, b"\0")


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


# -- packets of a client, by their packet id and time ------------------------------------------------------------------

GOOD = (HEAD[1:], b"\0")
REPLAY = DropReason.CONTROL_REPLAY


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_every_byte_is_authentic(kind: str) -> None:
    """A forgery is none of the ids that have come: the packet itself opens after all of them."""
    wrap = server(kind)
    record = from_client(kind, 1, UNIX)
    for at in range(len(record)):
        assert wrap.open(record[:at] + bytes((record[at] ^ 1,)) + record[at + 1 :]) is DropReason.BAD_HMAC
    for size in range(len(record)):
        assert wrap.open(record[:size]) is DropReason.BAD_CONTROL_PACKET
    assert wrap.open(record + b"\0") is DropReason.BAD_HMAC
    assert wrap.open(record) == GOOD


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_ids_of_one_time_come_in_any_order_once(kind: str) -> None:
    """Neighbours stay neighbours: the window has 64 ids (OpenVPN packet_id.h DEFAULT_SEQ_BACKTRACK)."""
    wrap = server(kind)
    for number, good in ((0, False), (3, True), (1, True), (2, True), (3, False), (1, False), (70, True), (4, False)):
        assert wrap.open(from_client(kind, number, UNIX)) == (GOOD if good else REPLAY), number


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_every_byte_of_an_id_counts(kind: str, at: int) -> None:
    wrap = server(kind)
    assert wrap.open(from_client(kind, 1, UNIX)) == GOOD
    assert wrap.open(from_client(kind, 1 + (1 << 8 * at), UNIX)) == GOOD
    assert wrap.open(from_client(kind, 1 + (1 << 8 * at), UNIX)) == REPLAY
    assert wrap.open(from_client(kind, 1, UNIX)) == REPLAY


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_every_byte_of_a_time_counts(kind: str, at: int) -> None:
    """A later time begins a new window with any id; nothing of an earlier one is taken after it."""
    wrap = server(kind)
    early, late = 0x10203040, 0x10203040 + (1 << 8 * at)
    assert wrap.open(from_client(kind, 7, early)) == GOOD
    assert wrap.open(from_client(kind, 7, late)) == GOOD
    assert wrap.open(from_client(kind, 2, late)) == GOOD
    assert wrap.open(from_client(kind, 8, early)) == REPLAY
    assert wrap.open(from_client(kind, 8, late)) == GOOD


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_a_fresh_wrap_has_used_nothing(kind: str) -> None:
    state = server(kind).export()
    assert (state.last_id, state.time, state.peer_time, state.replay.highest, state.replay.seen) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(("direction", "ours", "theirs"), [(None, 0, 0), (0, 0, 1), (1, 1, 0)])
def test_halves_of_a_tls_auth_key(direction: int | None, ours: int, theirs: int) -> None:
    """key-direction of the server: 0 seals with half 0 and opens half 1, 1 the other way, none has half 0 for both."""
    halves = (KEY[:128], KEY[128:])
    wrap = TlsAuthWrap(KEY, direction, "SHA256")
    assert wrap.seal(0x20, HEAD[1:], b"\0", UNIX) == by_hand.tls_auth(halves[ours], "sha256", HEAD, 1, UNIX, b"\0")
    assert wrap.open(by_hand.tls_auth(halves[theirs], "sha256", HEAD, 1, UNIX, b"\0")) == GOOD
    other = by_hand.tls_auth(halves[1 - theirs], "sha256", HEAD, 2, UNIX, b"\0")
    assert wrap.open(other) is DropReason.BAD_HMAC


# -- no wrap -----------------------------------------------------------------------------------------------------------


def test_a_packet_without_a_wrap() -> None:
    """op(1) session id(8) body, of which there is at least a byte; there is nothing to keep of it."""
    wrap = make_wrap(WrapSettings())
    assert isinstance(wrap, PlainWrap)
    assert wrap.overhead == 0
    assert wrap.open(HEAD + b"b") == (HEAD[1:], b"b")
    assert wrap.open(HEAD + b"body") == (HEAD[1:], b"body")
    for size in range(10):
        assert wrap.open(HEAD[:size]) is DropReason.BAD_CONTROL_PACKET
    assert wrap.seal(0x20, HEAD[1:], b"body", UNIX) == HEAD + b"body"
    assert wrap.export() == WrapState(0, 0, 0, ReplayState(0, 0, 0, 0, 0, ()))


@pytest.mark.parametrize(
    ("settings", "overhead"),
    [
        (WrapSettings("tls-auth", KEY, 0, "SHA1"), 28),
        (WrapSettings("tls-auth", KEY, None, "SHA512"), 72),
        (WrapSettings("tls-crypt", KEY), 40),
    ],
)
def test_overhead_is_what_a_wrap_adds(settings: WrapSettings, overhead: int) -> None:
    wrap = make_wrap(settings)
    assert wrap.overhead == overhead
    assert len(wrap.seal(0x20, HEAD[1:], b"body", UNIX)) == len(HEAD) + overhead + 4
