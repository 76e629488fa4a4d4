from __future__ import annotations

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
