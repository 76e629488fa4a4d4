"""tls-crypt-v2 client keys: how long one may be, what its metadata says, and tls-crypt-v2-max-age to the second."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.unit.openvpn.link import SERVER_V2_KEY, START, Link, kit, profile, wrapped_client_key
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.openvpn.control.tls_crypt_v2 import ClientKey, split_wrapped_key
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Authenticated
from hognose.settings import WrapSettings

DAY = 86_400


@pytest.mark.parametrize(
    ("before", "length", "good"),
    [
        (50, 290, True),  # tag, key and length, no metadata, after the shortest control packet
        (50, 289, False),
        (50, 0, False),
        (49, 290, False),
        (50, 1024, True),  # OpenVPN's TLS_CRYPT_V2_MAX_WKC_LEN
        (49, 1024, False),
        (1024, 1025, False),
        (1024, 65_535, False),
    ],
)
def test_lengths_of_wrapped_keys(before: int, length: int, good: bool) -> None:
    """The length stands in the last two bytes and counts them."""
    packet = bytes(n % 251 for n in range(before))
    wrapped = bytes(max(0, min(length, 2000) - 2)) + length.to_bytes(2, "big")
    assert split_wrapped_key(packet + wrapped) == ((packet, wrapped) if good else None)


def time_metadata(unix: int) -> bytes:
    """As openvpn --genkey tls-crypt-v2-client writes it: type 1, seconds of 64 bits."""
    return b"\1" + unix.to_bytes(8, "big")


@pytest.mark.parametrize(
    ("days", "age", "refused"),
    [
        (30, 30 * DAY, False),
        (30, 30 * DAY + 1, True),
        (30, 0, False),
        (30, -5 * DAY, False),  # our clock is late
        (1, DAY, False),
        (1, DAY + 1, True),
        (0, 20_000 * DAY, False),
    ],
)
def test_a_key_is_too_old_a_second_after_its_last_day(days: int, age: int, refused: bool) -> None:
    assert ClientKey(bytes(256), time_metadata(UNIX - age)).too_old(days, UNIX) == refused


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (b"", "none"),
        (b"\0", "user:"),
        (b"\0alice of sales", "user:alice of sales"),
        (b"\0\xff\xc3\xa9", "user:\ufffdé"),
        (b"\1" + bytes(7), "type 1"),  # a byte less than a time
        (b"\1" + bytes(9), "type 1"),
        (b"\2" + bytes(8), "type 2"),
        (b"\xff", "type 255"),
    ],
)
def test_a_key_without_a_time_is_of_unknown_age(metadata: bytes, text: str) -> None:
    """It is refused wherever there is a limit, for ever."""
    key = ClientKey(bytes(256), metadata)
    assert key.made_at is None
    assert key.describe() == text
    assert key.too_old(36_500, 0)
    assert not key.too_old(0, UNIX)


def test_a_time_is_told_in_seconds() -> None:
    key = ClientKey(bytes(256), time_metadata(UNIX))
    assert (key.made_at, key.describe()) == (UNIX, f"time:{UNIX}")
    assert ClientKey(bytes(256), time_metadata((1 << 64) - 1)).describe() == "time:18446744073709551615"


def first_record(metadata: bytes) -> bytes:
    """The hard reset of a client with such a key."""
    key, wrapped = wrapped_client_key(metadata)
    link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2", static_key=key, wrapped_key=wrapped))
    link.client.start(link.now)
    [record] = link.client.poll(link.now)
    return record


def session(days: int) -> tuple[Session, Counters]:
    counters = Counters()
    ours = replace(profile(), wrap=WrapSettings(v2_key=SERVER_V2_KEY, v2_max_age_days=days))
    return Session(ours, random=os.urandom, now=START, unix=UNIX, counters=counters), counters


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        (time_metadata(UNIX - 30 * DAY - 1), f"time:{UNIX - 30 * DAY - 1}"),
        (b"\0alice of sales", "user:alice of sales"),
    ],
    ids=["old", "of unknown age"],
)
def test_a_client_whose_key_is_too_old_gets_no_answer(metadata: bytes, told: str) -> None:
    ours, _ = session(30)
    assert ours.receive([first_record(metadata)], START, UNIX) == []
    assert ours.poll(START, UNIX) == []
    assert ours.ended is not None
    assert ours.ended.reason is DropReason.CLIENT_KEY_TOO_OLD
    assert ours.ended.detail == (
        f"tls-crypt-v2: the client's key ({told}) is older than tls-crypt-v2-max-age allows; make a new one"
    )
    unlimited, _ = session(0)
    unlimited.receive([first_record(metadata)], START, UNIX)
    assert unlimited.ended is None
    assert len(unlimited.poll(START, UNIX)) == 1


def test_the_day_is_that_of_the_packet_not_of_the_start() -> None:
    """The wall clock goes on while the server runs."""
    record = first_record(time_metadata(UNIX - 29 * DAY))
    early, late = session(30)[0], session(30)[0]
    early.receive([record], START, UNIX + DAY)
    late.receive([record], START, UNIX + DAY + 1)
    assert early.ended is None
    assert late.ended is not None


def test_the_log_names_the_key_of_a_client() -> None:
    key, wrapped = wrapped_client_key(b"\0alice of sales")
    link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2", static_key=key, wrapped_key=wrapped))
    link.connect()
    [event] = [event for event in link.events if isinstance(event, Authenticated)]
    assert event.client_key == "user:alice of sales"
