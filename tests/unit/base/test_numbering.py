"""Numbers that are given out once."""

from __future__ import annotations

from hognose.base.numbering import Numbering


def test_numbers_begin_at_one_and_go_up() -> None:
    numbers = Numbering()
    assert numbers.last == 0
    assert [numbers.take() for _ in range(3)] == [1, 2, 3]
    assert numbers.last == 3
