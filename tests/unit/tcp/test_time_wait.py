"""The table of TIME-WAIT entries: its bound, its time, and the SYNs that reopen (RFC 6191)."""

from __future__ import annotations

import pytest

from hognose.tcp.time_wait import TIME_WAIT, FinalNumbers, TimeWait
from hognose.wire.tcp import ACK, FIN, RST, SYN, Options

NOW = 10**12
KEY = bytes((192, 0, 2, 1, 0x9C, 0x40))
NUMBERS = FinalNumbers(snd_nxt=500, rcv_nxt=1000, ts_offset=7, ts_recent=90_000)
PLAIN = FinalNumbers(snd_nxt=500, rcv_nxt=1000, ts_offset=-1, ts_recent=0)


def table(numbers: FinalNumbers = NUMBERS) -> TimeWait:
    made = TimeWait(4)
    made.add(KEY, numbers, NOW)
    return made


def test_the_oldest_is_dropped_at_the_bound():
    made = TimeWait(3)
    for number in range(5):
        made.add(bytes((number,)), NUMBERS, NOW + number)
    assert list(made.entries) == [b"\2", b"\3", b"\4"]
    assert len(made) == 3


def test_entries_end_after_two_segment_lifetimes():
    made = TimeWait(4)
    made.add(b"1", NUMBERS, NOW)
    made.add(b"2", NUMBERS, NOW + 1)
    made.handle_deadline(NOW + TIME_WAIT - 1)
    assert len(made) == 2
    made.handle_deadline(NOW + TIME_WAIT)
    assert list(made.entries) == [b"2"]
    made.handle_deadline(NOW + TIME_WAIT + 1)
    assert len(made) == 0


@pytest.mark.parametrize("flags", [0, ACK, SYN | ACK, RST, RST | SYN, FIN, FIN | ACK, SYN | RST | ACK])
def test_only_a_syn_reopens(flags: int):
    made = table()
    assert not made.reopens(KEY, 2000, flags, Options(timestamps=(90_001, 0)))
    assert len(made) == 1


@pytest.mark.parametrize(
    ("numbers", "seq", "stamp", "reopens"),
    [
        (PLAIN, 1001, None, True),
        (PLAIN, 1000, None, False),
        (PLAIN, 999, None, False),
        (PLAIN, 999, 90_001, False),  # the connection had no timestamps
        (PLAIN, 1000 + 0x7FFFFFFF, None, True),
        (PLAIN, 1000 + 0x80000001, None, False),
        (NUMBERS, 1001, None, True),
        (NUMBERS, 999, None, False),
        (NUMBERS, 999, 90_001, True),
        (NUMBERS, 999, 90_000, False),
        (NUMBERS, 999, 89_999, False),
        (NUMBERS, 1001, 89_999, True),
    ],
)
def test_a_newer_syn_reopens(numbers: FinalNumbers, seq: int, stamp: int | None, reopens: bool):
    """Newer by its timestamp, or by its sequence number."""
    made = table(numbers)
    options = Options(timestamps=(stamp, 0)) if stamp is not None else Options()
    assert made.reopens(KEY, seq, SYN, options) is reopens
    assert len(made) == (0 if reopens else 1)


def test_a_table_goes_on_as_another():
    made = table()
    made.add(b"2", PLAIN, NOW + 5)
    other = TimeWait(4)
    other.restore(made.export())
    assert other.entries == made.entries
    assert isinstance(other.entries[KEY][1], FinalNumbers)
