"""Session ids that prove an address: the right one, and every wrong one (CVE-2025-13086 took the wrong ones)."""

from __future__ import annotations

from hashlib import blake2s

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.openvpn.control.session_cookies import SessionCookies

SECOND = 1_000_000_000
SLOT = 30 * SECOND
SECRET = bytes(range(32))
CLIENT = bytes((192, 0, 2, 7)) + (40_000).to_bytes(2, "big")
REMOTE_ID = b"client!!"
NOW = 1000 * SLOT + 5 * SECOND


def made(now: int = NOW) -> bytes:
    return SessionCookies(SECRET, SLOT).make(CLIENT, REMOTE_ID, now)


def good(cookie: bytes, client: bytes = CLIENT, remote_id: bytes = REMOTE_ID, now: int = NOW) -> bool:
    return SessionCookies(SECRET, SLOT).check(cookie, client, remote_id, now)


def test_a_cookie_is_good_for_its_slot_and_the_two_after_it() -> None:
    assert [good(made(), now=NOW + age * SLOT) for age in (-1, 0, 1, 2, 3)] == [False, True, True, True, False]


def test_it_lasts_for_a_minute_at_least() -> None:
    """hand-window: a client may answer at its end."""
    latest = made(1001 * SLOT - 1)
    assert good(latest, now=1001 * SLOT - 1 + 60 * SECOND)
    assert not good(latest, now=1003 * SLOT)


def test_the_same_client_gets_the_same_one_in_a_slot() -> None:
    assert made() == made(1001 * SLOT - 1) != made(1001 * SLOT)
    assert len(made()) == 8


@pytest.mark.parametrize("client", [CLIENT[:4] + b"\x9c\x41", b"\xc0\0\2\x08" + CLIENT[4:], CLIENT[:5], bytes(6)])
def test_another_address_or_port_has_another(client: bytes) -> None:
    assert not good(made(), client)


@given(st.integers(0, 63), st.integers(0, 63))
def test_no_bit_may_differ(in_cookie: int, in_remote_id: int) -> None:
    cookie = (int.from_bytes(made(), "big") ^ 1 << in_cookie).to_bytes(8, "big")
    remote_id = (int.from_bytes(REMOTE_ID, "big") ^ 1 << in_remote_id).to_bytes(8, "big")
    assert not good(cookie)
    assert not good(made(), remote_id=remote_id)
    assert good(made())


@pytest.mark.parametrize("cookie", [b"", made()[:7], made() + b"\0", bytes(8), b"\xff" * 8])
def test_other_lengths_and_constants(cookie: bytes) -> None:
    assert not good(cookie)


def test_the_secret_decides() -> None:
    assert not SessionCookies(bytes(32), SLOT).check(made(), CLIENT, REMOTE_ID, NOW)


def test_times_before_the_start_of_the_clock() -> None:
    cookies = SessionCookies(SECRET, SLOT)
    assert cookies.check(cookies.make(CLIENT, REMOTE_ID, -1), CLIENT, REMOTE_ID, 0)


def test_it_is_a_keyed_hash_of_slot_and_client() -> None:
    text = (1000).to_bytes(8, "big") + REMOTE_ID + CLIENT
    assert made() == blake2s(text, key=SECRET, person=b"session", digest_size=8).digest()
