"""Bounds of a step that gets many datagrams: those that a key is tried on, and those of one turn."""

from __future__ import annotations

import pytest
from tests.unit.vpn.test_datagrams import Place, data


def test_packets_from_elsewhere_are_work_like_those_of_no_session() -> None:
    """One bound for both, in each step: a key is tried on each of them."""
    place = Place(initial=5)
    alice, _ = place.client()
    reset = b"\x38" + b"client!!" + bytes(5)
    for number in range(4):
        place.take(data(5, b"%d" % number), ("192.0.2.99", number + 1))
    for number in range(3):
        place.take(reset, ("192.0.2.98", number + 1))
    place.take(data(5, b"9"), ("192.0.2.99", 9))
    assert len(alice.take_roaming()) == 4
    assert place.drops() == {"INITIAL_CROWDED": 3}
    place.take(data(5))
    assert alice.take(4) == [data(5)]
    assert place.accepted() == []
    assert len(place.sent()) == 1
    for number in range(5):
        place.take(data(5, b"%d" % number), ("192.0.2.99", number + 1))
    assert len(alice.take_roaming()) == 5


@pytest.mark.parametrize(("most", "taken"), [(1, 1), (127, 127), (128, 128), (129, 128), (256, 128)])
def test_a_turn_has_a_bound_of_its_own(most: int, taken: int) -> None:
    place = Place()
    alice, _ = place.client()
    for _ in range(200):
        place.take(data(5))
    assert len(alice.take(most)) == taken
    assert place.port.waiting == 200 - taken
