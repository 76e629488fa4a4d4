"""The pool: lowest first, sticky per name, bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.gateway.addresses import AddressPool


def test_lowest_first_and_sticky() -> None:
    pool = AddressPool(10, 13)
    assert pool.take("a") == (10, False)
    assert pool.take("b") == (11, False)
    pool.release(10)
    assert pool.take("c") == (12, False)  # 10 stays a's as long as others are free
    assert pool.take("a") == (10, True)
    assert len(pool) == 3


def test_a_remembered_address_is_given_away_last() -> None:
    pool = AddressPool(10, 11)
    pool.take("a")
    pool.release(10)
    assert pool.take("b") == (11, False)
    assert pool.take("c") == (10, False)
    assert pool.take("d") is None
    pool.release(10)
    assert pool.take("a") == (10, False)  # c held it in between


def test_releasing_an_unknown_address_is_harmless() -> None:
    pool = AddressPool(10, 10)
    pool.release(99)
    assert pool.take("a") == (10, False)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=80))
def test_never_two_holders(actions: list[tuple[bool, int]]) -> None:
    pool = AddressPool(100, 104)
    held: dict[int, str] = {}
    for take, n in actions:
        if take:
            taken = pool.take(f"c{n}")
            if taken is None:
                assert len(held) == 5
            else:
                assert taken[0] not in held
                assert 100 <= taken[0] <= 104
                held[taken[0]] = f"c{n}"
        elif held:
            address = sorted(held)[n % len(held)]
            pool.release(address)
            del held[address]
        assert len(pool) == len(held)
