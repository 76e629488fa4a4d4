"""IDs for packets that leave in fragments (RFC 6864 section 5.3)."""

from __future__ import annotations

import pytest
from tests.unit.nat.nat_packets import OUTSIDE

from hognose.address import parse_ipv4
from hognose.drops import Counters
from hognose.limits import NatLimits
from hognose.nat.nat import Nat


def test_the_first_one_and_the_step_are_16_bits_each() -> None:
    """Drawn one after the other; the step is made odd."""
    drawn = iter((b"\x12\x34", b"\xab\xcc"))

    def draw(count: int) -> bytes:
        assert count == 2
        return next(drawn)

    nat = Nat(
        address=parse_ipv4(OUTSIDE), reserved_ports=frozenset(), limits=NatLimits(), random=draw, counters=Counters()
    )
    assert [nat.fresh_ident() for _ in range(2)] == [0xBE01, 0x69CE]


@pytest.mark.parametrize("drawn", [b"\0\0", b"\xff\xfe", b"\x12\x34"])
def test_no_ident_comes_again_before_all_others(drawn: bytes) -> None:
    """The step that is drawn is even: with it half of the IDs would never come."""
    nat = Nat(
        address=parse_ipv4(OUTSIDE),
        reserved_ports=frozenset(),
        limits=NatLimits(),
        random=lambda count: drawn[:count],
        counters=Counters(),
    )
    idents = [nat.fresh_ident() for _ in range(1 << 16)]
    assert {*idents} == {*range(1 << 16)}
