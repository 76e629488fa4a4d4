from __future__ import annotations

from ctypes import c_int32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.tcp import seqnum

numbers = st.integers(0, 2**32 - 1)
positions = st.integers(0, 2**40)


@given(numbers, positions, st.integers(-(2**31), 2**31 - 1))
def test_a_position_survives_the_wire_when_it_is_near(initial, near, distance):
    at = near + distance
    assert seqnum.position(initial, seqnum.wire(initial, at), near) == at


@given(numbers, numbers)
def test_before_is_antisymmetric(a, b):
    if a == b:
        assert not seqnum.before(a, b)
    elif (a - b) % 2**32 != 2**31:
        assert seqnum.before(a, b) != seqnum.before(b, a)


@given(numbers, st.integers(1, 2**31 - 1))
def test_before_knows_the_wrap(a, ahead):
    assert seqnum.before(a, (a + ahead) % 2**32)
    assert not seqnum.before((a + ahead) % 2**32, a)


def test_an_initial_number_just_below_the_wrap():
    assert seqnum.wire(0xFFFFFFFF, 1) == 0
    assert seqnum.position(0xFFFFFFFF, 0, 1) == 1
    assert seqnum.position(0xFFFFFFFF, 0xFFFFFFFE, 1) == -1


@pytest.mark.parametrize("a", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("ahead", [0, 1, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF])
def test_before_is_the_sign_of_a_difference_in_32_bits(a, ahead):
    """As every stack in C has it, half way round too."""
    b = (a + ahead) % 2**32
    assert seqnum.before(a, b) is (c_int32(a - b).value < 0)


@given(numbers, positions, st.lists(st.tuples(numbers, numbers), max_size=4))
def test_pairs_are_taken_as_each_of_their_numbers(initial, near, pairs):
    each = [(seqnum.position(initial, a, near), seqnum.position(initial, b, near)) for a, b in pairs]
    assert seqnum.positions(initial, tuple(pairs), near) == each
