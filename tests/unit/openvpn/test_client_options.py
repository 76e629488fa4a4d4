"""The options of one client: its events, what it is told when it is refused, what another session takes over."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import cast

import pytest
from tests.unit.openvpn.link import ADMISSION, START, profile

from hognose.openvpn.control.agreement import Agreement
from hognose.openvpn.control.client_options import ClientOptions
from hognose.openvpn.control.key_exchange import ClientKeyMessage
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.session_events import Authenticated, Established

AGREED = Agreement("AES-128-GCM", "stub", True, False, False, True, ())


def options(**info: str) -> ClientOptions:
    made = ClientOptions()
    made.peer_info = info
    return made


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ({"IV_VER": "2.6.14", "IV_PLAT": "linux"}, "2.6.14 linux"),
        ({"IV_VER": "2.6.14"}, "2.6.14"),
        ({"IV_PLAT": "ios"}, "ios"),
        ({}, "unknown"),
    ],
)
def test_a_client_says_what_it_is(info: dict[str, str], version: str) -> None:
    """IV_VER and IV_PLAT of its peer info."""
    message = ClientKeyMessage(b"", b"", b"", "V4,cipher AES-256-GCM", "", "", info, 0)
    told: list[str | None] = []
    key = SimpleNamespace(client=message, common_name="alice", answer=lambda random, cipher: told.append(cipher))
    made = ClientOptions()
    assert made.cipher == ""
    event = made.answer(cast(KeyState, key), profile(), os.urandom)
    assert event == Authenticated("alice", version, info)
    assert (made.cipher, told, made.peer_info) == ("AES-256-GCM", ["AES-256-GCM"], info)


@pytest.mark.parametrize(
    ("use_export", "epoch", "v2", "source", "header"),
    [
        (True, False, True, "tls-ekm", "V2"),
        (False, False, False, "prf", "V1"),
        (True, True, True, "tls-ekm", "V2+epoch"),
    ],
)
def test_the_event_of_the_first_keys(use_export: bool, epoch: bool, v2: bool, source: str, header: str) -> None:
    made = options()
    made.agreement = Agreement("AES-128-GCM", "none", use_export, epoch, False, v2, ())
    assert made.established("tls-crypt", "TLSv1.3") == Established(
        "AES-128-GCM", source, "tls-crypt", "TLSv1.3", header
    )


@pytest.mark.parametrize(("proto", "asked", "waits"), [("2", False, False), ("2", True, True), ("6", False, True)])
def test_a_client_asks_for_options_or_waits_for_them(proto: str, asked: bool, waits: bool) -> None:
    """IV_PROTO_REQUEST_PUSH, bit 2 (OpenVPN ssl.h)."""
    made = options(IV_PROTO=proto)
    made.push.requested = asked
    assert made.waits_for_push is waits


@pytest.mark.parametrize(
    ("proto", "temporary", "messages"),
    [
        ("0", False, ["AUTH_FAILED,no"]),
        ("256", False, ["AUTH_FAILED,no"]),
        ("256", True, ["AUTH_FAILED,TEMP[backoff 10,advance no]:no"]),
        ("767", True, []),
    ],
)
def test_refusals(proto: str, temporary: bool, messages: list[str]) -> None:
    """A client that does not know AUTH_FAILED,TEMP (bit 8) would give up for good: it is told nothing."""
    sent: list[str] = []
    key = cast(KeyState, SimpleNamespace(send_message=sent.append))
    options(IV_PROTO=proto).send_refusal(key, "no", temporary=temporary)
    assert sent == messages


def test_only_an_admitted_client_is_taken_over() -> None:
    made = options(IV_VER="2.6")
    assert made.export() is None
    made.agreement = AGREED
    assert made.export() is None
    made.push.admission = ADMISSION
    made.push.sent_at = START
    state = made.export()
    assert state is not None
    assert (state.agreement, state.admission, state.peer_info, state.pushed_at) == (
        AGREED, ADMISSION, (("IV_VER", "2.6"),), START,
    )  # fmt: skip
    other = ClientOptions()
    other.restore(state)
    assert other.export() == state
    assert other.cipher == "AES-128-GCM"
    made.agreement = None
    assert made.export() is None
