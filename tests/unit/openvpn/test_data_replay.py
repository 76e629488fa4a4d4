"""The replay window's sizes and its time, against a model that remembers everything (OpenVPN packet_id.c)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.openvpn import data_packets as by_hand

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.formats import MAX_REPLAY_TIME, DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.data.replay import NEVER, REAP_INTERVAL, WINDOW, ReplayWindow, WrapReplay
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
