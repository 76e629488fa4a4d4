"""The replay window's sizes and its time, against a model that remembers everything (OpenVPN packet_id.c)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.openvpn import data_packets as by_hand

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.formats import MAX_REPLAY_TIME, DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.data.replay import NEVER, REAP_INTERVAL, WINDOW, ReplayState, ReplayWindow, WrapReplay
from hognose.units import MS, SECOND

KEYS = bytes(range(256))
PACKET = b"\x45packet"


@given(st.sampled_from([1, 2, 64, 200, 65536]), st.lists(st.integers(0, 300) | st.integers(0, 1 << 48), max_size=80))
def test_any_order_in_any_window(size: int, ids: list[int]) -> None:
    window, seen, highest = ReplayWindow(size), set[int](), 0
    for packet_id in ids:
        good = packet_id > 0 and packet_id not in seen and packet_id > highest - size
        assert window.is_new(packet_id) == good
        assert window.accept(packet_id) == good
        if good:
            seen.add(packet_id)
            highest = max(highest, packet_id)


def test_strict() -> None:
    """Window 0: the first id may be any, then each is one more (packet_id_test without seq_backtrack)."""
    window = ReplayWindow(0)
    for packet_id, good in ((0, False), (5, True), (5, False), (7, False), (4, False), (6, True), (7, True)):
        assert window.is_new(packet_id) == good
        assert window.accept(packet_id) == good


@pytest.mark.parametrize("form", [DataFormat("AES-256-GCM"), DataFormat("AES-256-GCM", epoch=True)], ids=["old", "new"])
def test_window_of_a_channel(form: DataFormat) -> None:
    """The sizes asked for are those of the loops."""
    for size in (0, 1, 10, 100):
        settings = DataFormat(form.cipher, epoch=form.epoch, replay_window=size)
        opened, counters = arrive(settings, [(0, [200, 201, 202, 203, 400, 401]), (0, [401 - size, 402 - size])])
        if size == 0:
            assert opened == 4
            assert counters.drops[DropReason.DATA_REPLAY] == 4
        else:
            want = 6 + (size > 1)  # the id just inside the window, unless it is the highest one
            assert opened == want
            assert counters.drops[DropReason.DATA_REPLAY] == 8 - want


def arrive(form: DataFormat, batches: list[tuple[int, list[int]]]) -> tuple[int, Counters]:
    """Number of packets that come out when batches of ids arrive at times in nanoseconds."""
    counters, opened = Counters(), list[bytes]()
    channel = Keyring(counters)
    channel.install(DataKey.negotiated(0, form, KEYS, bytes), 0, 0, 0)
    for now, ids in batches:
        records = []
        for packet_id in ids:
            if form.epoch:
                records.append(by_hand.epoch_packet(KEYS, form.cipher, 1, packet_id, PACKET))
            elif form.aead:
                records.append(by_hand.aead_packet(KEYS, form.cipher, packet_id, PACKET, 2 if form.v2 else 1))
            else:
                records.append(by_hand.cbc_packet(KEYS, form.cipher, form.digest, packet_id, PACKET, bytes(16)))
        assert channel.open(records, 0, opened, now) == len(records)
    return len(opened), counters


FORMS = [
    DataFormat("AES-256-GCM"),
    DataFormat("AES-256-GCM", v2=False),
    DataFormat("AES-256-GCM", epoch=True),
    DataFormat("AES-256-CBC"),
]


@pytest.mark.parametrize("form", FORMS, ids=["aead", "v1", "epoch", "cbc"])
@pytest.mark.parametrize(("wait", "good"), [(0, True), (14 * SECOND, True), (16 * SECOND + REAP_INTERVAL, False)])
def test_a_missing_id_is_not_waited_for_longer_than_the_time(form: DataFormat, wait: int, good: bool) -> None:
    at = 1000 * SECOND
    opened, counters = arrive(form, [(at, [1, 2, 4]), (at + wait, [3])])
    assert opened == (4 if good else 3)
    assert counters.drops[DropReason.DATA_REPLAY] == (not good)


def test_without_a_time_ids_are_waited_for_for_ever() -> None:
    form = DataFormat("AES-256-GCM", replay_time=0)
    assert arrive(form, [(0, [1, 3]), (1 << 60, [2])])[0] == 3
    assert ReplayWindow().tick_at == NEVER


def test_what_came_later_keeps_what_is_between() -> None:
    """Only ids below one that is old are given up: 3 is missing since the first batch, 7 since a moment ago."""
    batches = [(0, [1, 2, 4]), (12 * SECOND, [5]), (24 * SECOND, [6, 8]), (30 * SECOND, [3, 7])]
    opened, counters = arrive(DataFormat("AES-256-GCM"), batches)
    assert opened == 7
    assert counters.drops[DropReason.DATA_REPLAY] == 1


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(-20, 6)), max_size=120), st.integers(1, 20))
def test_ids_are_given_up_in_time(steps: list[tuple[int, int]], seconds: int) -> None:
    """Never earlier than the time; at most a mark's second and a reaping later, as soon as anything comes then."""
    window, arrived, now = ReplayWindow(64, seconds * SECOND), dict[int, int](), 100 * SECOND
    for pause, offset in steps:
        now += pause * MS
        packet_id = max(1, window.highest + offset)
        if now >= window.tick_at:
            window.tick(now)
        known = packet_id in arrived or packet_id <= window.highest - 64
        age = now - min((at for other, at in arrived.items() if other > packet_id), default=now)
        accepted = window.accept(packet_id)
        if known or age > seconds * SECOND + SECOND + REAP_INTERVAL:
            assert not accepted
        elif age <= seconds * SECOND:
            assert accepted
        if accepted:
            arrived[packet_id] = now


def test_marks_are_bounded() -> None:
    window = ReplayWindow(64, MAX_REPLAY_TIME * SECOND)
    for now in range(0, 3000 * SECOND, SECOND // 2):
        if now >= window.tick_at:
            window.tick(now)
        window.accept(window.highest + 1)
    assert len(window._marks) <= MAX_REPLAY_TIME + REAP_INTERVAL // SECOND + 1


@given(st.lists(st.integers(0, 300), max_size=200))
def test_the_window_agrees_with_a_set(ids: list[int]) -> None:
    window, seen, highest = ReplayWindow(), set(), 0
    for packet_id in ids:
        expected = packet_id > 0 and packet_id not in seen and packet_id > highest - WINDOW
        assert window.accept(packet_id) is expected
        if expected:
            seen.add(packet_id)
            highest = max(highest, packet_id)


def test_wrap_replay_by_time_and_id() -> None:
    replay = WrapReplay()
    assert replay.accept(100, 1)
    assert not replay.accept(100, 1)
    assert replay.accept(100, 2)
    assert not replay.accept(99, 3)
    assert replay.accept(101, 1)
    assert not replay.accept(100, 9)


# -- to the nanosecond -------------------------------------------------------------------------------------------------

END_OF_TIME = (1 << 63) - 1  # of a clock of 64 bits in nanoseconds


@pytest.mark.parametrize("form", FORMS, ids=["aead", "v1", "epoch", "cbc"])
@pytest.mark.parametrize(("wait", "good"), [(16 * SECOND, True), (16 * SECOND + 1, False)])
def test_the_moment_at_which_a_missing_id_is_given_up(form: DataFormat, wait: int, good: bool) -> None:
    """OpenVPN's defaults, 64 ids and 15 s (packet_id.h), after the second in which a later id came."""
    for at in (0, 7 * SECOND):
        assert arrive(form, [(at, [1, 2, 4]), (at + wait, [3])])[0] == (4 if good else 3)


def test_records_without_a_time_came_at_0() -> None:
    for wait, good in ((16 * SECOND, True), (16 * SECOND + 1, False)):
        channel = Keyring(Counters())
        channel.install(DataKey.negotiated(0, DataFormat("AES-256-GCM"), KEYS), 0, 0, 0)
        opened: list[bytes] = []
        channel.open([by_hand.aead_packet(KEYS, "AES-256-GCM", 4, PACKET)], 0, opened)
        channel.open([by_hand.aead_packet(KEYS, "AES-256-GCM", 3, PACKET)], 0, opened, wait)
        assert len(opened) == (2 if good else 1)


def test_marks_and_reapings() -> None:
    """A mark a second when something has come, a reaping every five (packet_id.h SEQ_REAP_INTERVAL): time 10 s."""
    window = ReplayWindow(64, 10 * SECOND)
    assert window.export() == ReplayState(0, 0, 0, 0, 0, ())
    window.tick(0)
    assert window.export() == ReplayState(0, 0, 0, SECOND, 5 * SECOND, ())
    for packet_id in (1, 2, 4):
        assert window.accept(packet_id)
    for second in (1, 2, 3):  # quiet ones leave nothing
        assert window.tick_at == second * SECOND
        window.tick(second * SECOND)
        assert window.export().marks == ((SECOND, 4),)
    assert window.accept(6)
    window.tick(4 * SECOND)
    assert window.accept(8)
    window.tick(5 * SECOND)
    assert window.export() == ReplayState(8, 0b11010101, 0, 6 * SECOND, 10 * SECOND, MARKS)
    window.tick(10 * SECOND)
    window.tick(11 * SECOND)
    assert window.is_new(3), "it came ten seconds before the mark"
    window.tick(15 * SECOND - 1)
    assert window.is_new(3), "given up when reaped only"
    window.tick(15 * SECOND)
    assert [window.is_new(packet_id) for packet_id in (3, 5, 7)] == [False, False, True]
    assert not window.accept(5)
    assert window.accept(7)
    assert window.export().marks == ((5 * SECOND, 8),)
    window.tick(15 * SECOND + 1)
    assert window.export().reap_at == 20 * SECOND
    window.tick(20 * SECOND)
    assert window.export() == ReplayState(8, window.seen, 8, 21 * SECOND, 25 * SECOND, ())


MARKS = ((SECOND, 4), (4 * SECOND, 6), (5 * SECOND, 8))


def test_a_mark_is_given_up_after_its_time_not_at_it() -> None:
    window = ReplayWindow(64, 10 * SECOND)
    window.tick(0)
    window.accept(2)
    window.tick(SECOND)
    for now, good in ((11 * SECOND, True), (16 * SECOND, False)):
        window.tick(now)
        assert window.is_new(1) is good


@pytest.mark.parametrize(("size", "time"), [(64, 0), (0, 15 * SECOND), (0, 0)])
def test_windows_that_wait_for_nothing_are_never_to_be_ticked(size: int, time: int) -> None:
    """A strict one has no gaps, the other waits for ever."""
    assert ReplayWindow(size, time).tick_at > END_OF_TIME
    assert ReplayWindow(size or 64, time or SECOND).tick_at == 0


def test_a_fresh_window_is_one_of_sixty_four_ids_without_a_time() -> None:
    """DEFAULT_SEQ_BACKTRACK; a state of nothing restores to it."""
    assert ReplayState() == ReplayState(0, 0, 0, 0, 0, ())
    window = ReplayWindow()
    assert window.export() == ReplayState(0, 0, 0, window.tick_at, 0, ())
    assert (window.size, window.tick_at > END_OF_TIME) == (64, True)
    assert window.accept(100)
    assert [window.accept(packet_id) for packet_id in (36, 37, 37)] == [False, True, False]
    assert WrapReplay().export() == (0, ReplayWindow().export())


# -- what is not looked at ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS[:3], ids=["aead", "v1", "epoch"])
def test_a_replay_costs_no_decryption(form: DataFormat) -> None:
    """Known ids are refused whatever their tag; a forgery with any other id is one, also where the next id is known."""
    counters, opened = Counters(), list[bytes]()
    channel = Keyring(counters)
    strict = replace(form, replay_window=0)
    for number, one in ((0, form), (1, strict)):
        channel.install(DataKey.negotiated(number, one, KEYS), 0, 0, 0)

    def take(key_id: int, packet_id: int, *, forged: bool) -> str:
        before = list(counters.drops)
        if form.epoch:
            record = by_hand.epoch_packet(KEYS, form.cipher, 1, packet_id, PACKET, key_id=key_id)
        else:
            record = by_hand.aead_packet(KEYS, form.cipher, packet_id, PACKET, 2 if form.v2 else 1, key_id)
        channel.open([record[:-1] + bytes((record[-1] ^ forged,))], 0, opened)
        return "".join(one.name for one in DropReason if counters.drops[one] != before[one])

    for key_id in (0, 1):
        assert take(key_id, 5, forged=False) == ""
        assert take(key_id, 6, forged=False) == ""
    assert take(0, 9, forged=False) == ""
    for packet_id in (5, 6, 9):
        assert take(0, packet_id, forged=True) == "DATA_REPLAY"
    for packet_id in (7, 10, 12):
        assert take(0, packet_id, forged=True) == "DATA_AUTHENTICATION"
    assert take(1, 6, forged=True) == "DATA_REPLAY"
    assert take(1, 9, forged=True) == ("DATA_AUTHENTICATION" if form.v2 else "DATA_REPLAY")
    assert take(1, 7, forged=True) == "DATA_AUTHENTICATION"
    assert take(1, 8, forged=False) == "DATA_REPLAY"
    assert take(1, 7, forged=False) == ""
