"""Ranges of positions and the scoreboard against plain sets of bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.tcp.ranges import RangeSet
from hognose.tcp.sack import DUPLICATE_THRESHOLD, Scoreboard

ranges = st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
steps = st.lists(st.tuples(st.sampled_from(("add", "add", "remove", "acknowledge")), ranges), max_size=25)


@given(steps, ranges)
def test_ranges_against_a_set(script, asked):
    found, model = RangeSet(100), set()
    for verb, (start, end) in script:
        part = set(range(start, end))
        if verb == "add":
            assert found.add(start, end) == (not part <= model)
            model |= part
        elif verb == "remove":
            assert found.remove(start, end) == len(part & model)
            model -= part
        else:
            found.acknowledge(start)
            model = {at for at in model if at >= start}
        assert found.total == len(model)
        assert len(found) == len([at for at in model if at - 1 not in model])
    missing = found.missing(*asked)
    assert [at for start, end in missing for at in range(start, end)] == sorted(set(range(*asked)) - model)
    assert all(start < end for start, end in missing)
    if model:
        start, end = found.first()
        assert start == min(model)
        assert end not in model
        assert set(range(start, end)) <= model


@given(st.lists(ranges, max_size=8), st.integers(1, 8))
def test_what_tells_of_a_loss_is_rfc_6675(blocks, mss):
    """IsLost of the first gap: DupThresh discontiguous ranges or more than (DupThresh - 1) * SMSS bytes above it."""
    board, held = Scoreboard(100), set()
    for start, end in blocks:
        board.add(start + 1, end + 1)
        held |= set(range(start + 1, end + 1))
    runs = len([at for at in held if at - 1 not in held])
    assert board.tells_loss(mss) == (runs >= DUPLICATE_THRESHOLD or len(held) > (DUPLICATE_THRESHOLD - 1) * mss)


def test_the_number_of_ranges_is_bounded():
    board = Scoreboard(4)
    for number in range(1000):
        board.add(number * 10, number * 10 + 5)
    assert (board.total, len(board)) == (20, 4)
    assert board.add(5, 10), "what joins ranges needs no room"
    assert len(board) == 3


def test_clear():
    board = Scoreboard(4)
    board.add(1, 9)
    board.clear()
    assert board.total == 0
    assert board.missing(0, 10) == [(0, 10)]
