from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.tcp.sack import Scoreboard

ranges = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 40)), max_size=30)


def model(blocks: list[tuple[int, int]]) -> tuple[Scoreboard, set[int]]:
    board = Scoreboard(1000)
    held: set[int] = set()
    for start, size in blocks:
        fresh = set(range(start, start + size)) - held
        assert board.add(start, start + size) == bool(fresh)
        held |= fresh
        assert board.total == len(held)
    return board, held


@given(ranges, st.integers(0, 250), st.integers(0, 100))
def test_gaps_and_sums_against_a_set(blocks, start, size):
    board, held = model(blocks)
    end = start + size
    assert board.held_between(start, end) == len(held & set(range(start, end)))
    missing = [at for at in range(start, end) if at not in held]
    first, last = board.gap(start, end)
    if not missing:
        assert first == last
    else:
        assert first == missing[0]
        run = first
        while run < end and run not in held:
            run += 1
        assert last == run


@given(ranges, st.integers(0, 250))
def test_a_cumulative_acknowledgement_forgets_what_is_below(blocks, position):
    board, held = model(blocks)
    board.acknowledge(position)
    held = {at for at in held if at >= position}
    assert board.total == len(held)
    assert board.held_between(0, 1000) == len(held)


@given(ranges, st.integers(1, 40))
def test_lost_edge_is_rfc_6675(blocks, mss):
    """IsLost(S): three separate ranges or more than 2 * SMSS bytes are held above S."""
    board, held = model(blocks)
    edge = board.lost_edge(mss)

    def is_lost(at: int) -> bool:
        above = {x for x in held if x > at}
        starts = [x for x in above if x - 1 not in above]
        return len(above) > 2 * mss or len(starts) >= 3

    for at in range(260):
        if at not in held and at < edge:
            assert is_lost(at)
        if at not in held and at >= edge:
            assert not is_lost(at)


def test_the_board_is_bounded():
    """CVE-2019-11477 class: what is over the bound is ignored."""
    board = Scoreboard(3)
    for start in (10, 20, 30):
        assert board.add(start, start + 1)
    assert not board.add(40, 41)
    assert board.total == 3
    assert board.add(11, 20), "joining ranges still works"
    assert board.add(40, 41)


def test_clear():
    board = Scoreboard(3)
    board.add(1, 5)
    board.clear()
    assert board.total == 0
    assert board.gap(0, 10) == (0, 10)
