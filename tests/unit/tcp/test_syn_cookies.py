"""SYN cookies: no state for strangers while the half-open table is full, and no trust in cookies at other times."""

from __future__ import annotations

import random

import pytest
from tests.unit.tcp.tcp_script import CLIENT, CLIENT_PORT, MASK, MS, Script

from hognose.drops import DropReason, Stat
from hognose.limits import TcpLimits
from hognose.tcp.cookies import COOKIE_LIFE, COOKIE_SLOT, SynCookies
from hognose.wire.tcp import Options

HALF_OPEN = 4


def full(**settings) -> Script:
    """All entries are taken by strangers who stay silent."""
    script = Script(limits=TcpLimits(half_open=HALF_OPEN, connections=16), **settings)
    for number in range(HALF_OPEN):
        script.address = 0x0B000000 + number
        script.syn()
    script.address, script.port = CLIENT, CLIENT_PORT
    return script


def test_no_cookie_while_there_is_room():
    script = Script(limits=TcpLimits(half_open=HALF_OPEN))
    script.open()
    assert script.stat(Stat.TCP_SYN_COOKIES_SENT) == 0


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize(
    ("offer", "mss"), [({}, 1460), ({"scale": None}, 1460), ({"sack_ok": False, "mss": 1400}, 1360)]
)
def test_a_client_connects_through_a_full_table(timestamps, offer, mss):
    """All options survive in the number, the MSS rounded down."""
    script = full()
    script.ts = timestamps
    [answer] = script.syn(**offer)
    assert script.stat(Stat.TCP_SYN_COOKIES_SENT) == 1
    script.send("A")
    assert script.poll() == []
    script.accept()
    assert script.stat(Stat.TCP_SYN_COOKIES_ACCEPTED) == 1
    assert (answer.scale is None) == ("scale" in offer)
    script.write(bytes(8_000))
    sent = script.poll()
    assert max(len(segment.payload) for segment in sent) == mss - (12 if timestamps else 0)
    assert (sent[0].ts is not None) == timestamps
    script.send("PA", b"gap", seq=script.next + 5)
    assert bool(script.poll()[0].sack) == ("sack_ok" not in offer)


@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("offer", [0, 1, 40, 87, 88])
def test_a_tiny_mss_in_a_flood_is_taken_as_88(timestamps, offer):
    """The class of CVE-2019-11479: a cookie says no less either, and none that is larger."""
    script = full()
    script.ts = timestamps
    script.syn(mss=offer)
    assert script.stat(Stat.TCP_SYN_COOKIES_SENT) == 1
    script.send("A")
    assert script.poll() == []
    script.accept()
    script.write(bytes(1000))
    assert {len(segment.payload) for segment in script.poll()[:-1]} == {88}


def test_the_first_data_carries_the_cookie_too():
    """The bare third segment was lost: what follows it has the same numbers."""
    script = full()
    script.syn()
    script.send("PA", b"hello")
    assert len(script.server.accepted()) == 1
    assert script.take() == b"hello"


def test_a_cookie_is_worth_nothing_without_an_overflow():
    script = full()
    script.syn()
    script.now += COOKIE_LIFE + 1
    script.send("A")
    assert script.server.accepted() == []
    assert [segment.flags for segment in script.poll()] == ["R"]


def test_a_cookie_of_an_old_slot_is_refused_even_in_an_overflow():
    script = full()
    script.syn()
    cookie = script.iss
    for _ in range(3):
        script.now += COOKIE_SLOT
        script.port = CLIENT_PORT + 1
        script.syn()  # the overflow goes on
    script.port, script.iss = CLIENT_PORT, cookie
    script.next = 1
    script.send("A")
    assert script.server.accepted() == []


@pytest.mark.parametrize("bit", range(32))
def test_a_forged_cookie_is_refused(bit):
    """CVE-2025-13086 class: the check must be able to say no, for every bit."""
    script = full()
    script.syn()
    script.send("A", ack=1 + (1 << bit))
    assert script.server.accepted() == []
    assert script.stat(Stat.TCP_SYN_COOKIES_ACCEPTED) == 0
    assert script.drops(DropReason.TCP_NO_CONNECTION) == 1


@pytest.mark.parametrize("change", ["port", "address", "number"])
def test_a_cookie_belongs_to_one_handshake(change):
    script = full()
    script.syn()
    if change == "port":
        script.port += 1
    elif change == "address":
        script.address += 1
    else:
        script.next += 1
    script.send("A", ack=1)
    assert script.server.accepted() == []


def test_data_after_a_reset_does_not_make_a_second_connection():
    """The segment after a valid RST would be a valid cookie again."""
    script = full()
    script.open()
    script.send("R")
    assert script.ended == ["RESET_BY_PEER"]
    script.next = 1
    script.send("PA", b"late")
    assert script.server.accepted() == []
    assert [segment.flags for segment in script.poll()] == ["R"]


def test_data_after_a_reset_before_the_third_segment():
    script = full()
    script.syn()
    script.send("R", seq=1)
    script.next = 1
    script.send("PA", b"late")
    assert script.server.accepted() == []


def test_a_new_handshake_after_a_reset_is_welcome():
    script = full()
    script.open()
    script.send("R")
    assert script.ended == ["RESET_BY_PEER"]
    script.irs += 70_000
    script.open()


def test_what_is_remembered_is_bounded():
    script = full()
    for number in range(20):
        script.port = CLIENT_PORT + number
        script.open()
        script.send("R")
        script.poll()
    assert script.server.sizes().spent <= HALF_OPEN


def test_cookies_tell_all_options_apart():
    """Every combination comes back; a thousand guesses do not."""
    cookies = SynCookies(bytes(range(32)), bytes(6))
    key = bytes(6)
    for mss in (None, 0, 1, 87, 88, 535, 536, 1359, 1360, 1460, 9000):
        for scale in (None, 0, 7, 14):
            for sack in (False, True):
                made = cookies.make(key, 77, Options(mss, scale, sack), 5 * COOKIE_SLOT)
                said = cookies.check(key, 77, made, 6 * COOKIE_SLOT - MS)
                assert said is not None
                assert (said.window_scale, said.sack) == (scale, sack)
                offered = 536 if mss is None else max(88, mss)
                assert said.mss == max(known for known in (88, 536, 1360, 1460) if known <= offered)
                assert cookies.check(key, 77, made, 6 * COOKIE_SLOT) == said
                assert cookies.check(key, 77, made, 7 * COOKIE_SLOT) is None
    guess = random.Random(1)
    assert not any(cookies.check(key, 77, guess.randrange(MASK), 0) for _ in range(1000))


def test_cookies_depend_on_the_secret():
    made = SynCookies(bytes(32), bytes(6)).make(bytes(6), 1, Options(), 0)
    assert SynCookies(bytes(31) + b"x", bytes(6)).check(bytes(6), 1, made, 0) is None
