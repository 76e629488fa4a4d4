"""The wraps of one session: which one opens and seals a packet, by its opcode and key id, and what they add to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.openvpn import control_packets as by_hand
from tests.unit.openvpn.link import KEY, SERVER_V2_KEY, wrapped_client_key
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.session_wrap import SessionWrap
from hognose.settings import WrapKind, WrapSettings

SID = bytes(range(8))
EXPORTED = bytes((11 * n + 5) % 256 for n in range(256))
CLIENT_KEY, WRAPPED = wrapped_client_key()
ACK, CONTROL, SOFT_RESET, RESET_V2, RESET_V3, CONTROL_WKC = 5, 4, 3, 7, 10, 11  # OpenVPN ssl_pkt.h P_*
BODY = b"\0\0\0\0\0"  # no acknowledgements, message id 0
KINDS = ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"]
# Digest, then bytes of HMAC or tag, packet id and time.
OVERHEADS = {"none": 0, "tls-auth": 20 + 8, "tls-crypt": 8 + 32, "tls-crypt-v2": 8 + 32}
BASE_KEYS = {"none": bytes(256), "tls-auth": KEY, "tls-crypt": KEY, "tls-crypt-v2": CLIENT_KEY}


def settings(kind: str) -> WrapSettings:
    if kind == "tls-crypt-v2":
        return WrapSettings(v2_key=SERVER_V2_KEY)
    known: dict[str, WrapKind] = {"none": "none", "tls-auth": "tls-auth", "tls-crypt": "tls-crypt"}
    return WrapSettings(known[kind], KEY, 0 if kind == "tls-auth" else None) if kind != "none" else WrapSettings()


def first(opcode: int, key_id: int = 0) -> bytes:
    return bytes((opcode << 3 | key_id,)) + SID


def from_client(kind: str, head: bytes, number: int, body: bytes = BODY) -> bytes:
    """A packet under the client's static wrap, `dynamic` for the one under EXPORTED and no static key."""
    if kind == "none":
        return head + body
    if kind == "tls-auth":  # server's key-direction 0: the client seals with half 1
        return by_hand.tls_auth(KEY[128:], "sha1", head, number, UNIX, body)
    return by_hand.tls_crypt(BASE_KEYS[kind][128:], head, number, UNIX, body)


def dynamic_key(kind: str) -> bytes:
    return bytes(a ^ b for a, b in zip(BASE_KEYS[kind], EXPORTED, strict=True))


def under_dynamic(kind: str, head: bytes, number: int, body: bytes = BODY) -> bytes:
    return by_hand.tls_crypt(dynamic_key(kind)[128:], head, number, UNIX, body)


def begun(kind: str) -> SessionWrap:
    """A session's wrap after the client's first packet, which had packet id 1."""
    wrap = SessionWrap(settings(kind))
    opcode = RESET_V3 if kind == "tls-crypt-v2" else RESET_V2
    record = from_client(kind, first(opcode), 1) + (WRAPPED if opcode == RESET_V3 else b"")
    assert wrap.open_first(record, UNIX) == (SID, BODY)
    assert wrap.kind == kind
    return wrap


def refusal(ours: WrapSettings, record: bytes, unix: int = UNIX) -> DropReason:
    with pytest.raises(PeerError) as caught:
        SessionWrap(ours).open_first(record, unix)
    return caught.value.reason


# -- the first packet --------------------------------------------------------------------------------------------------


def test_what_cannot_begin_a_session() -> None:
    plain, crypt, v2 = settings("none"), settings("tls-crypt"), settings("tls-crypt-v2")
    both = replace(crypt, v2_key=SERVER_V2_KEY)
    reset_v3 = from_client("tls-crypt-v2", first(RESET_V3), 1)
    for ours, record, reason in (
        (plain, first(CONTROL) + BODY, DropReason.NO_HARD_RESET),
        (plain, first(1) + BODY, DropReason.NO_HARD_RESET),
        (plain, first(RESET_V2), DropReason.BAD_CONTROL_PACKET),
        (plain, reset_v3 + WRAPPED, DropReason.NO_HARD_RESET),
        (crypt, reset_v3 + WRAPPED, DropReason.NO_HARD_RESET),
        (v2, first(RESET_V2) + BODY, DropReason.NO_HARD_RESET),
        (v2, from_client("tls-crypt", first(RESET_V2), 1), DropReason.NO_HARD_RESET),
        (v2, first(CONTROL_WKC) + reset_v3[9:] + WRAPPED, DropReason.NO_HARD_RESET),
        (crypt, first(RESET_V2) + BODY, DropReason.BAD_CONTROL_PACKET),
        (crypt, from_client("tls-crypt-v2", first(RESET_V2), 1), DropReason.BAD_HMAC),
        (both, from_client("tls-crypt-v2", first(RESET_V2), 1), DropReason.BAD_HMAC),
        (both, reset_v3, DropReason.BAD_CONTROL_PACKET),
        (v2, reset_v3 + WRAPPED[:-1] + b"\0", DropReason.BAD_CONTROL_PACKET),
        (v2, reset_v3 + bytes((WRAPPED[0] ^ 1,)) + WRAPPED[1:], DropReason.BAD_HMAC),
        (v2, from_client("tls-crypt", first(RESET_V3), 1) + WRAPPED, DropReason.BAD_HMAC),  # another client's key
        (v2, from_client("tls-crypt-v2", first(RESET_V3), 0) + WRAPPED, DropReason.CONTROL_REPLAY),
    ):
        assert refusal(ours, record) is reason
    limited = replace(v2, v2_max_age_days=1)
    assert refusal(limited, reset_v3 + WRAPPED, UNIX + 86_401) is DropReason.CLIENT_KEY_TOO_OLD


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_one_server_has_clients_of_both_kinds(kind: str) -> None:
    """A static key and a tls-crypt-v2 key: the first packet's opcode chooses."""
    both = replace(settings(kind), v2_key=SERVER_V2_KEY)
    wrap = SessionWrap(both)
    assert wrap.open_first(from_client(kind, first(RESET_V2), 1), UNIX) == (SID, BODY)
    assert (wrap.kind, wrap.metadata) == (kind, "")
    wrap = SessionWrap(both)
    assert wrap.open_first(from_client("tls-crypt-v2", first(RESET_V3), 1) + WRAPPED, UNIX) == (SID, BODY)
    assert (wrap.kind, wrap.metadata) == ("tls-crypt-v2", f"time:{UNIX}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_or_second_packet_without_state(kind: str) -> None:
    """Over UDP the packet after the hard reset comes to a server that has kept nothing (OpenVPN ssl_pkt.c).

    Of tls-crypt-v2 it brings the client key again (CONTROL_WKC_V1); of other wraps neither may.
    """
    ours = settings(kind)
    for number, opcode in enumerate((RESET_V2, CONTROL, ACK, RESET_V3, CONTROL_WKC), 1):
        with_key = opcode in (RESET_V3, CONTROL_WKC)
        record = from_client(kind, first(opcode), number) + (WRAPPED if with_key else b"")
        wrap = SessionWrap(ours)
        if with_key is (kind == "tls-crypt-v2"):
            assert wrap.open_stateless(record, UNIX) == (SID, BODY)
            assert wrap.kind == kind
        else:
            with pytest.raises(PeerError) as caught:
                wrap.open_stateless(record, UNIX)
            assert caught.value.reason is DropReason.NO_HARD_RESET


@pytest.mark.parametrize("opcode", [RESET_V3, CONTROL_WKC])
def test_both_kinds_without_state(opcode: int) -> None:
    both = replace(settings("tls-auth"), v2_key=SERVER_V2_KEY)
    wrap = SessionWrap(both)
    assert wrap.open_stateless(from_client("tls-crypt-v2", first(opcode), 1) + WRAPPED, UNIX) == (SID, BODY)
    assert wrap.kind == "tls-crypt-v2"
    wrap = SessionWrap(both)
    assert wrap.open_stateless(from_client("tls-auth", first(CONTROL), 1), UNIX) == (SID, BODY)
    assert wrap.kind == "tls-auth"


@pytest.mark.parametrize("kind", KINDS)
def test_the_session_after_a_stateless_exchange(kind: str) -> None:
    """Our hard reset had packet id 1 of that time; nothing of the client counts as received."""
    stateless = begun(kind)
    wrap = stateless.after_reset(UNIX - 7)
    assert (wrap.kind, wrap.metadata, wrap.overhead) == (kind, stateless.metadata, OVERHEADS[kind])
    assert wrap.open(from_client(kind, first(CONTROL), 1)) == (SID, BODY), "the id of its hard reset"
    if kind != "none":
        state = wrap.export().base
        assert (state.last_id, state.time, state.peer_time) == (1, UNIX - 7, UNIX)
        assert stateless.open(from_client(kind, first(CONTROL), 1)) is DropReason.CONTROL_REPLAY
        sealed = wrap.seal(CONTROL << 3, SID, BODY, UNIX)
        assert by_hand.packet_id(2, UNIX - 7) in sealed


def test_before_the_first_packet_there_is_no_wrap() -> None:
    wrap = SessionWrap(settings("tls-crypt"))
    assert (wrap.kind, wrap.metadata, wrap.overhead, wrap.dynamic) == ("none", "", 0, False)


# -- later packets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrapped_key_comes_with_tls_crypt_v2_only(kind: str) -> None:
    wrap = begun(kind)
    for number, opcode in ((2, RESET_V3), (3, CONTROL_WKC)):
        record = from_client(kind, first(opcode), number)
        if kind != "tls-crypt-v2":
            assert wrap.open(record + WRAPPED) is DropReason.BAD_OPCODE
            assert wrap.open(record) is DropReason.BAD_OPCODE
        else:
            assert wrap.open(record) is DropReason.BAD_CONTROL_PACKET
            other = bytes(len(WRAPPED) - 2) + WRAPPED[-2:]  # not looked at: the session has its key
            assert wrap.open(record + other) == (SID, BODY)
            assert wrap.open(record + WRAPPED) is DropReason.CONTROL_REPLAY
    for number, opcode in enumerate((CONTROL, ACK, SOFT_RESET, RESET_V2), 4):
        assert wrap.open(from_client(kind, first(opcode), number)) == (SID, BODY)


@pytest.mark.parametrize("kind", KINDS)
def test_key_ids_from_1_on_are_under_the_dynamic_key_alone(kind: str) -> None:
    """Without it every key id is under the static one (OpenVPN ssl_pkt.c tls_wrap of tls_session)."""
    wrap = begun(kind)
    assert not wrap.dynamic
    assert wrap.open(from_client(kind, first(CONTROL, 7), 2)) == (SID, BODY)
    wrap.use_dynamic(EXPORTED)
    assert wrap.dynamic
    for key_id in range(1, 8):
        for opcode in (CONTROL, ACK, SOFT_RESET):
            number = 10 * key_id + opcode
            static = wrap.open(from_client(kind, first(opcode, key_id), number, bytes(50)))
            assert static is DropReason.BAD_HMAC, (opcode, key_id)
            assert wrap.open(under_dynamic(kind, first(opcode, key_id), number)) == (SID, BODY)


@pytest.mark.parametrize("kind", KINDS)
def test_key_id_0_is_under_either_key(kind: str) -> None:
    """OpenVPN 3 says EXIT under the dynamic one; a packet that is good under none is told by the static wrap."""
    wrap = begun(kind)
    wrap.use_dynamic(EXPORTED)
    static = from_client(kind, first(CONTROL), 2)
    assert wrap.open(static) == (SID, BODY)
    exit_ = under_dynamic(kind, first(CONTROL), 1)
    assert wrap.open(exit_) == (SID, BODY)
    if kind != "none":
        assert wrap.open(static) is DropReason.CONTROL_REPLAY
        assert wrap.open(exit_) is DropReason.BAD_HMAC
        assert wrap.open(first(CONTROL) + bytes(60)) is DropReason.BAD_HMAC
    assert wrap.open(first(CONTROL)) is DropReason.BAD_CONTROL_PACKET
    if kind == "tls-auth":
        assert wrap.open(first(CONTROL) + bytes(20 + 8 + 1)) is DropReason.BAD_HMAC, "long enough for tls-auth"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sealed_under_which_key(kind: str) -> None:
    wrap = begun(kind)
    sealed = wrap.seal(CONTROL << 3 | 3, SID, BODY, UNIX)
    assert len(sealed) == 9 + OVERHEADS[kind] + len(BODY)
    wrap.use_dynamic(EXPORTED)
    count = 0
    for opcode in (CONTROL, ACK, SOFT_RESET):
        for key_id in range(8):
            record = wrap.seal(opcode << 3 | key_id, SID, BODY, UNIX)
            if key_id:
                count += 1
                found = by_hand.open_tls_crypt(dynamic_key(kind)[:128], record)
                assert found == (first(opcode, key_id), by_hand.packet_id(count, UNIX), BODY)
            else:
                assert len(record) == 9 + OVERHEADS[kind] + len(BODY)
                assert record[:9] == first(opcode)
                if "crypt" in kind:
                    assert by_hand.open_tls_crypt(BASE_KEYS[kind][:128], record)[2] == BODY
                else:
                    assert record.endswith(BODY)


def test_the_first_exported_key_stays() -> None:
    wrap = begun("tls-crypt")
    wrap.use_dynamic(EXPORTED)
    wrap.use_dynamic(EXPORTED[::-1])
    assert wrap.open(under_dynamic("tls-crypt", first(CONTROL, 1), 1)) == (SID, BODY)
    assert wrap.export().dynamic_key == dynamic_key("tls-crypt")


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_overhead_of_each_wrap(kind: str) -> None:
    """Of the widest one in use, however short the others are: a message has to have room under any key id."""
    wrap = begun(kind)
    assert wrap.overhead == OVERHEADS[kind]
    wrap.use_dynamic(EXPORTED)
    assert wrap.overhead == 40


@pytest.mark.parametrize(("digest", "size"), [("MD5", 16), ("SHA256", 32), ("SHA512", 64)])
def test_overhead_of_tls_auth_follows_its_digest(digest: str, size: int) -> None:
    wrap = SessionWrap(replace(settings("tls-auth"), digest=digest))
    wrap.open_first(by_hand.tls_auth(KEY[128:], digest.lower(), first(RESET_V2), 1, UNIX, BODY), UNIX)
    assert wrap.overhead == size + 8
    assert len(wrap.seal(CONTROL << 3, SID, BODY, UNIX)) == 9 + size + 8 + len(BODY)
    wrap.use_dynamic(EXPORTED)
    assert wrap.overhead == max(size + 8, 40)


# -- as plain data -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_wrap_goes_on(kind: str, dynamic: bool) -> None:
    """Replays are refused still, no packet id is used again, and it can be exported once more."""
    wrap = begun(kind)
    if dynamic:
        wrap.use_dynamic(EXPORTED)
        assert wrap.open(under_dynamic(kind, first(CONTROL, 1), 1)) == (SID, BODY)
    before = wrap.seal(CONTROL << 3 | dynamic, SID, BODY, UNIX)
    state = wrap.export()
    assert (state.kind, state.metadata) == (kind, f"time:{UNIX}" if kind == "tls-crypt-v2" else "")
    assert state.base_key == (b"" if kind == "none" else BASE_KEYS[kind])
    assert state.dynamic_key == (dynamic_key(kind) if dynamic else b"")
    assert state.base.last_id == (0 if kind == "none" or dynamic else 1)
    assert (state.dynamic.last_id, state.dynamic.peer_time) == ((1, UNIX) if dynamic else (0, 0))

    made = SessionWrap(settings(kind))
    made.restore(state)
    assert made.export() == state
    assert (made.kind, made.metadata, made.dynamic) == (kind, wrap.metadata, dynamic)
    assert made.overhead == wrap.overhead
    if kind != "none":
        assert made.open(from_client(kind, first(CONTROL), 1)) is DropReason.CONTROL_REPLAY
    assert made.open(from_client(kind, first(CONTROL), 2)) == (SID, BODY)
    if dynamic:
        assert made.open(under_dynamic(kind, first(CONTROL, 1), 1)) is DropReason.CONTROL_REPLAY
        assert made.open(under_dynamic(kind, first(CONTROL, 1), 2)) == (SID, BODY)
    after = made.seal(CONTROL << 3 | dynamic, SID, BODY, UNIX + 5)
    assert after == wrap.seal(CONTROL << 3 | dynamic, SID, BODY, UNIX + 5)
    assert (after == before) is (kind == "none" and not dynamic)


def test_a_restored_wrap_takes_direction_and_digest_from_the_settings() -> None:
    ours = replace(settings("tls-auth"), digest="SHA256", direction=1)
    wrap = SessionWrap(ours)
    wrap.open_first(by_hand.tls_auth(KEY[:128], "sha256", first(RESET_V2), 1, UNIX, BODY), UNIX)
    made = SessionWrap(replace(ours, kind="none", key=b""))
    made.restore(wrap.export())
    assert made.open(by_hand.tls_auth(KEY[:128], "sha256", first(CONTROL), 2, UNIX, BODY)) == (SID, BODY)
    assert made.open(by_hand.tls_auth(KEY[128:], "sha256", first(CONTROL), 3, UNIX, BODY)) is DropReason.BAD_HMAC
    assert made.seal(CONTROL << 3, SID, BODY, UNIX) == by_hand.tls_auth(
        KEY[128:], "sha256", first(CONTROL), 1, UNIX, BODY
    )
