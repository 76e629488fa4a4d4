"""First packets of clients whose config does not fit: each is told apart, and the line to write is named.

The packets are those of the model client, and resets written by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.openvpn.link import KEY, START, UNIX, Link, kit, profile

from hognose.drops import DropReason
from hognose.openvpn.control.misconfiguration import explain_first_packet
from hognose.settings import WrapSettings

DIGESTS = ["MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"]
RESET = b"\x38" + bytes(range(1, 9)) + b"\0" + bytes(4)  # P_CONTROL_HARD_RESET_CLIENT_V2, key id 0, message 0


def first_packet(wrap: str, **changes: Any) -> bytes:
    """The hard reset of a client, the same each time: an HMAC may happen to look like acknowledgements."""
    link = Link(profile(), kit(wrap, **changes))
    link.client.sid = bytes(range(1, 9))
    link.client.start(link.now)
    [record] = link.client.poll(link.now)
    return record


def told(settings: WrapSettings, record: bytes) -> str:
    """The detail of the session's end, which is the explanation."""
    link = Link(replace(profile(), wrap=settings), kit())
    assert link.session.receive([record], START, UNIX) == []
    assert link.session.ended is not None
    assert link.session.ended.reason in (
        DropReason.BAD_CONTROL_PACKET,
        DropReason.NO_HARD_RESET,
        DropReason.BAD_HMAC,
    )
    assert link.session.ended.detail == explain_first_packet(settings, record)
    return link.session.ended.detail


def tls_auth(direction: int | None = 0, digest: str = "SHA1") -> WrapSettings:
    return WrapSettings("tls-auth", KEY, direction, digest)


NONE, TLS_CRYPT = WrapSettings(), WrapSettings("tls-crypt", KEY)


@pytest.mark.parametrize("settings", [NONE, tls_auth(), TLS_CRYPT, WrapSettings(v2_key=bytes(128))])
def test_what_no_client_of_today_sends(settings: WrapSettings) -> None:
    assert "key method 1" in told(settings, b"\x08" + RESET[1:])
    for opcode in (2, 3, 4, 5, 8, 11, 31):
        assert "is no hard reset of an OpenVPN client" in told(settings, bytes((opcode << 3,)) + RESET[1:])


@pytest.mark.parametrize("settings", [NONE, tls_auth(), TLS_CRYPT])
def test_tls_crypt_v2_at_a_server_without_it(settings: WrapSettings) -> None:
    text = told(settings, first_packet("tls-crypt-v2"))
    assert text == "the client uses tls-crypt-v2, this server does not; write `tls-crypt-v2 server.key` here"


@pytest.mark.parametrize("wrap", ["none", "tls-auth", "tls-crypt"])
def test_no_tls_crypt_v2_at_a_server_that_has_nothing_else(wrap: str) -> None:
    text = told(WrapSettings(v2_key=bytes(128)), first_packet(wrap))
    assert text.startswith("the client has no tls-crypt-v2 key, ")


# -- a server without a wrap -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", DIGESTS)
def test_tls_auth_at_a_server_without_it(digest: str) -> None:
    record = first_packet("tls-auth", digest=digest.lower())
    if digest == "SHA256":  # as long as tls-crypt's tag
        expected = "the client uses tls-crypt (or tls-auth with SHA256), this server neither; write it here too"
    else:
        expected = f"the client uses tls-auth with {digest}, this server not; write it here too"
    assert told(NONE, record) == expected


def test_tls_crypt_at_a_server_without_it() -> None:
    assert told(NONE, first_packet("tls-crypt")).startswith("the client uses tls-crypt (or tls-auth with SHA256), ")


@pytest.mark.parametrize("message_id", [1, 7, 0xFFFFFFFF])
def test_a_reset_that_does_not_begin_with_message_0(message_id: int) -> None:
    text = told(NONE, RESET[:10] + message_id.to_bytes(4, "big"))
    assert text == f"the client's hard reset has message id {message_id}, 0 expected; update the client"


@pytest.mark.parametrize("size", [9, 10, 13, 15, 37, 43, 53, 55, 200])
def test_a_packet_of_no_known_length(size: int) -> None:
    record = RESET[:9] + b"\xff" * (size - 9)
    assert told(NONE, record).startswith("the first packet is malformed: the client uses tls-auth or tls-crypt, or is ")


# -- a server with tls-auth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (tls_auth(0), "tls-auth ta.key 1"),
        (tls_auth(1), "tls-auth ta.key 0"),
        (tls_auth(None), "tls-auth ta.key"),
        (TLS_CRYPT, "tls-crypt ta.key"),
    ],
)
def test_a_client_without_a_wrap_is_told_the_line(settings: WrapSettings, line: str) -> None:
    text = told(settings, RESET)
    assert text == f"the client has no {settings.kind}, this server has; write `{line}` in its config"


@pytest.mark.parametrize("record", [RESET[:-1] + b"\1", RESET + b"\0", RESET[:-1], RESET[:9]])
@pytest.mark.parametrize("settings", [tls_auth(), TLS_CRYPT])
def test_a_packet_that_is_no_plain_reset_has_another_key(settings: WrapSettings, record: bytes) -> None:
    assert f"{settings.kind}: the client has another static key" in told(settings, record)


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (0, None), (1, 1), (None, 1)])
@pytest.mark.parametrize("digest", DIGESTS)
def test_key_directions_that_do_not_fit(digest: str, ours: int | None, theirs: int | None) -> None:
    """With one direction a side sends with the first half of the key, with the other one with the second."""
    text = told(tls_auth(ours, digest), first_packet("tls-auth", direction=theirs, digest=digest.lower()))
    good = "no key-direction" if ours is None else f"`key-direction {1 - ours}`"
    assert text == f"tls-auth: the client's key-direction does not fit; write {good} in its config"


@pytest.mark.parametrize("direction", [None, 0, 1])
@pytest.mark.parametrize("theirs", DIGESTS)
def test_digests_that_differ(theirs: str, direction: int | None) -> None:
    ours = "SHA512" if theirs == "SHA1" else "SHA1"
    text = told(tls_auth(0, ours), first_packet("tls-auth", direction=direction, digest=theirs.lower()))
    assert f"the client's auth digest is {theirs}, ours {ours}" in text
    assert f"write `auth {theirs}` here or `auth {ours}` in its config" in text


def test_tls_crypt_at_a_server_with_tls_auth() -> None:
    text = told(tls_auth(), first_packet("tls-crypt"))
    assert text.startswith("the client uses tls-crypt with our key; write `tls-auth ta.key 1` in its config")


@pytest.mark.parametrize("wrap", ["tls-auth", "tls-crypt"])
@pytest.mark.parametrize("settings", [tls_auth(), TLS_CRYPT])
def test_another_static_key(settings: WrapSettings, wrap: str) -> None:
    assert "the client has another static key" in told(settings, first_packet(wrap, static_key=KEY[::-1]))


# -- a server with tls-crypt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [None, 0, 1])
@pytest.mark.parametrize("digest", DIGESTS)
def test_tls_auth_at_a_server_with_tls_crypt(digest: str, direction: int | None) -> None:
    text = told(TLS_CRYPT, first_packet("tls-auth", direction=direction, digest=digest.lower()))
    assert text.startswith("the client uses tls-auth with our key; write `tls-crypt ta.key` in its config")
