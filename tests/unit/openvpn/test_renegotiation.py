"""The clock of new keys: its interval, when it is looked at, and what makes keys old besides time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from tests.unit.openvpn.link import SECOND, START

from hognose.openvpn.data.keyring import Keyring
from hognose.openvpn.renegotiation import RenegotiationClock
from hognose.settings import RenegotiationSettings

HOUR = 3600 * SECOND
LATER = START + 1000 * HOUR


def keys(used: int = 0, packets: int = 0, *, worn_out: bool = False) -> Keyring:
    """A key that has been used for these bytes and packets."""
    return cast(Keyring, SimpleNamespace(worn_out=worn_out, key_bytes=used, key_packets=packets))


def clock(ours: RenegotiationSettings, drawn: int = 0) -> RenegotiationClock:
    """One that draws this number."""
    return RenegotiationClock(ours, lambda size: drawn.to_bytes(size, "big"), START)


@pytest.mark.parametrize(
    ("ours", "drawn", "interval"),
    [
        (RenegotiationSettings(3600, 3600), 0, HOUR),
        (RenegotiationSettings(3600, 3600), 12345, HOUR),
        (RenegotiationSettings(600, 100), 0, 100 * SECOND),
        (RenegotiationSettings(600, 100), 7 * SECOND, 107 * SECOND),
        (RenegotiationSettings(600, 100), 500 * SECOND - 1, 600 * SECOND - 1),
        (RenegotiationSettings(600, 100), 500 * SECOND, 100 * SECOND),
        (RenegotiationSettings(3600), 0, 3240 * SECOND),  # OpenVPN init.c: up to a tenth less
    ],
)
def test_the_interval_is_drawn_between_the_least_and_the_most(
    ours: RenegotiationSettings, drawn: int, interval: int
) -> None:
    made = clock(ours, drawn)
    assert not made.due(ours, keys(), START + interval - 1)
    assert made.due(ours, keys(), START + interval)
    made.restart(ours, START + 5 * HOUR)
    assert not made.due(ours, keys(), START + 5 * HOUR + interval - 1)
    assert made.due(ours, keys(), START + 5 * HOUR + interval)


def test_the_interval_is_drawn_anew_each_time() -> None:
    ours, drawn = RenegotiationSettings(600, 100), iter((0, 50 * SECOND))
    made = RenegotiationClock(ours, lambda size: next(drawn).to_bytes(size, "big"), START)
    assert made.due(ours, keys(), START + 100 * SECOND)
    made.restart(ours, START)
    assert not made.due(ours, keys(), START + 150 * SECOND - 1)
    assert made.due(ours, keys(), START + 150 * SECOND)


def test_reneg_sec_0_is_never() -> None:
    ours = RenegotiationSettings(0)
    assert not clock(ours).due(ours, keys(1 << 40, 1 << 30), LATER)


@pytest.mark.parametrize(
    ("ours", "used", "packets", "old"),
    [
        (RenegotiationSettings(0, reneg_bytes=1000), 999, 1 << 30, False),
        (RenegotiationSettings(0, reneg_bytes=1000), 1000, 0, True),
        (RenegotiationSettings(0, reneg_packets=10), 1 << 40, 9, False),
        (RenegotiationSettings(0, reneg_packets=10), 0, 10, True),
        (RenegotiationSettings(0, reneg_bytes=1000, reneg_packets=10), 999, 9, False),
        (RenegotiationSettings(0, reneg_bytes=1000, reneg_packets=10), 999, 10, True),
        (RenegotiationSettings(0, reneg_bytes=1000, reneg_packets=10), 1000, 9, True),
    ],
)
def test_keys_are_used_up_by_bytes_or_packets(ours: RenegotiationSettings, used: int, packets: int, old: bool) -> None:
    made = clock(ours)
    assert made.used_up(ours, keys(used, packets)) is old
    assert made.due(ours, keys(used, packets), START) is old


@pytest.mark.parametrize(
    "ours", [RenegotiationSettings(0), RenegotiationSettings(3600), RenegotiationSettings(0, 0, 9, 9)]
)
def test_a_key_that_is_worn_out_is_always_changed(ours: RenegotiationSettings) -> None:
    made = clock(ours)
    assert made.used_up(ours, keys(worn_out=True))
    assert made.due(ours, keys(worn_out=True), START)
    assert not made.used_up(ours, keys())


def test_the_clock_is_looked_at_every_minute_and_when_it_is_due() -> None:
    """Keys wear without a timer: a minute after the last look at the latest."""
    ours = RenegotiationSettings(150, 150)
    made = clock(ours)
    minute, due = 60 * SECOND, START + 150 * SECOND
    assert made.look_at(ours, under_way=False) == START + minute
    made.due(ours, keys(), START + minute)
    assert made.look_at(ours, under_way=False) == START + 2 * minute
    made.due(ours, keys(), START + 2 * minute)
    assert made.look_at(ours, under_way=False) == due
    assert made.look_at(ours, under_way=True) == START + 3 * minute
    assert made.look_at(RenegotiationSettings(0), under_way=False) == START + 3 * minute
    made.due(ours, keys(), due - 1)
    assert made.look_at(ours, under_way=False) == due
    made.due(ours, keys(), due)  # it could not begin: not again at once
    assert made.look_at(ours, under_way=False) == due + minute
