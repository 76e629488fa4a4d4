from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.tcp.reassembly import CHUNKS_PER_RANGE, Reassembly

STREAM = bytes(i * 7 % 251 for i in range(400))
parts = st.tuples(st.integers(1, 300), st.integers(1, 60))


@given(st.lists(parts, max_size=60))
def test_any_order_and_overlap_gives_the_stream(pieces):
    """Against the truth: a set of positions held."""
    queue = Reassembly(256)
    held: set[int] = set()
    for start, size in pieces:
        assert queue.insert(start, STREAM[start : start + size])
        held.update(range(start, start + size))
        assert queue.size == len(held)
        assert queue.end == max(held) + 1
    first = min(held, default=0)
    end = first
    while end in held:
        end += 1
    assert bool(queue) == bool(held)
    if held:
        assert queue.take(first - 1) == []
        assert b"".join(queue.take(first)) == STREAM[first:end]
        assert queue.size == len([at for at in held if at >= end])


@given(st.lists(parts, max_size=40))
def test_blocks_are_the_ranges_newest_first(pieces):
    queue = Reassembly(256)
    held: set[int] = set()
    for start, size in pieces:
        queue.insert(start, STREAM[start : start + size])
        held.update(range(start, start + size))
    blocks = queue.blocks(3)
    assert len(blocks) <= 3
    assert len(set(blocks)) == len(blocks)
    for start, end in blocks:
        assert all(at in held for at in range(start, end))
        assert start - 1 not in held
        assert end not in held
    if pieces:
        assert blocks[0][0] <= pieces[-1][0] < blocks[0][1]


def test_blocks_repeat_older_ranges_behind_the_newest():
    """RFC 2018 section 4: the block of the latest segment first, then those most recently reported."""
    queue = Reassembly(16)
    for start in (100, 200, 300, 400):
        queue.insert(start, b"x" * 10)
    assert queue.blocks(3) == [(400, 410), (300, 310), (200, 210)]
    queue.insert(110, b"y")
    assert queue.blocks(3) == [(100, 111), (400, 410), (300, 310)]


def test_what_came_first_stays():
    queue = Reassembly(16)
    queue.insert(10, b"AAAA")
    queue.insert(8, b"bbbbbbbb")
    assert b"".join(queue.take(8)) == b"bbAAAAbb"


def test_bytes_that_arrived_in_order_meanwhile_are_not_given_twice():
    queue = Reassembly(16)
    queue.insert(10, b"0123")
    queue.insert(14, b"4567")
    assert b"".join(queue.take(12)) == b"234567"
    queue.insert(30, b"abc")
    assert queue.take(40) == []
    assert not queue
    assert queue.end == queue.size == 0


def test_ranges_are_bounded():
    queue = Reassembly(4)
    for start in range(0, 80, 20):
        assert queue.insert(start, b"x")
    assert not queue.insert(100, b"x")
    assert queue.insert(1, b"y"), "growing a range is still allowed"
    assert queue.insert(2, b"z" * 18), "and joining two"
    assert queue.insert(100, b"x"), "which makes room"


def test_chunks_are_bounded():
    queue = Reassembly(4)
    accepted = sum(queue.insert(at, b"x") for at in range(1, 1000))
    assert accepted == 4 * CHUNKS_PER_RANGE
    queue.take(1)
    assert queue.insert(2000, b"x"), "the bound counts what is held"


def test_the_worst_case_is_bounded_work():
    """T29: 100 000 one-byte segments with gaps, then the gaps from the far end; the class of SegmentSmack."""
    queue = Reassembly(256)
    accepted = sum(queue.insert(at, b"x") for at in range(0, 100_000, 2))
    accepted += sum(queue.insert(at, b"y") for at in range(99_999, 0, -2))
    assert accepted <= 256 * CHUNKS_PER_RANGE
    assert queue.size == accepted
