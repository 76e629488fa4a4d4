"""The pool: the same name, the same address; reservations; bounded."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from hognose.address import Address
from hognose.vpn.addresses import AddressPool


class Pool:
    """The pool with addresses as numbers."""

    def __init__(self, first: int, last: int) -> None:
        self.pool = AddressPool(address(first), address(last))

    def __len__(self) -> int:
        return len(self.pool)

    def take(self, name: str, fixed: int = 0) -> tuple[int, bool] | None:
        taken = self.pool.take(name, address(fixed) if fixed else b"")
        return (int.from_bytes(taken[0], "big"), taken[1]) if taken is not None else None

    def release(self, number: int) -> None:
        self.pool.release(address(number))

    def reserve(self, reservations: dict[str, int], fixed: list[int]) -> None:
        self.pool.reserve({name: address(number) for name, number in reservations.items()}, map(address, fixed))


def address(number: int) -> Address:
    return number.to_bytes(4, "big")


def test_another_pool_goes_on_with_the_holders() -> None:
    old, new = AddressPool(address(10), address(12)), AddressPool(address(10), address(12))
    for name in ("alice", "bob", "carol"):
        assert old.take(name) is not None
    taken = dict(old.export().taken)
    mine = {name: at for at, name in taken.items()}
    old.release(mine["bob"])
    new.restore(old.export())
    assert len(new) == 2
    assert new.export() == old.export()
    assert new.take("dave") == (mine["bob"], False)
    new.release(mine["alice"])
    assert new.take("alice") == (mine["alice"], True)


def place(name: str, size: int) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) % size


def test_a_name_has_its_place_whoever_came_before() -> None:
    for order in ("abc", "cab"):
        pool = Pool(1000, 1999)
        taken = {name: pool.take(name) for name in order}
        assert taken == {name: (1000 + place(name, 1000), False) for name in "abc"}


def test_sticky_while_the_server_runs() -> None:
    pool = Pool(10, 13)
    taken = pool.take("a")
    assert taken is not None
    pool.release(taken[0])
    assert pool.take("b") != taken
    assert pool.take("c") != taken  # it stays a's as long as others are free
    assert pool.take("a") == (taken[0], True)
    assert len(pool) == 3


def test_clients_without_a_name_are_not_taken_for_one_another() -> None:
    """NAT flows of one are not the next one's, and a named holder in between is no longer the last one."""
    pool = Pool(10, 11)
    first = pool.take("")
    assert first is not None
    pool.release(first[0])
    assert pool.take("") == (first[0], False)
    named = pool.take("a")
    assert named is not None
    pool.release(named[0])
    assert pool.take("") == (named[0], False)
    pool.release(named[0])
    assert pool.take("a") == (named[0], False)


def test_a_remembered_address_is_given_away_last() -> None:
    pool = Pool(10, 11)
    first = pool.take("a")
    assert first is not None
    pool.release(first[0])
    assert pool.take("b") == (21 - first[0], False)
    assert pool.take("c") == (first[0], False)
    assert pool.take("d") is None
    pool.release(first[0])
    assert pool.take("a") == (first[0], False)  # c held it in between


def names_at(offset: int, size: int, count: int) -> list[str]:
    """Names whose place in a pool of this size is the same."""
    found = (f"n{number}" for number in range(10_000))
    return [name for name in found if place(name, size) == offset][:count]


def test_the_oldest_remembered_name_frees_its_address() -> None:
    """No more names are remembered than the pool has addresses; a fixed one outside of the pool counts, too."""
    pool = Pool(10, 12)
    [first], [second, newcomer], [third] = names_at(0, 3, 1), names_at(1, 3, 2), names_at(2, 3, 1)
    for name, address in ((first, 10), (second, 11), (third, 12)):
        assert pool.take(name) == (address, False)
        pool.release(address)
    assert pool.take("fixed", 99) == (99, False)
    assert pool.take(newcomer) == (10, False)  # its place is that of `second`, which is kept while there is another
    assert pool.take(third) == (12, True)
    assert pool.take(second) == (11, False)  # the newcomer's name was one more
    assert pool.take(first) is None


def test_who_came_again_is_not_the_oldest() -> None:
    pool = Pool(10, 12)
    [first], [second], [third, newcomer] = names_at(0, 3, 1), names_at(1, 3, 1), names_at(2, 3, 2)
    for name in (first, second, third, first):
        taken = pool.take(name)
        assert taken is not None
        pool.release(taken[0])
    assert pool.take("fixed", 99) == (99, False)
    assert pool.take(newcomer) == (11, False)  # that of `second`, which did not come again
    assert pool.take(first) == (10, True)


def test_who_moved_to_another_address_is_not_the_oldest() -> None:
    """It got a fixed one meanwhile: its old one is free at once."""
    pool = Pool(10, 12)
    [first], [second, newcomer], [third] = names_at(0, 3, 1), names_at(1, 3, 2), names_at(2, 3, 1)
    for name, fixed in ((first, 0), (second, 0), (third, 0), (first, 98)):
        taken = pool.take(name, fixed)
        assert taken is not None
        pool.release(taken[0])
    assert pool.take("fixed", 99) == (99, False)
    assert pool.take(newcomer) == (11, False)  # that of `second`
    assert pool.take(first, 98) == (98, True)


def test_remembered_names_are_bounded_by_the_pool() -> None:
    pool = Pool(10, 13)
    for number in range(1000):
        assert pool.take(f"n{number}", 5000 + number) == (5000 + number, False)
        pool.release(5000 + number)
    assert len(pool.pool._remembered) == len(pool.pool._holder) == 4
    assert set(pool.pool._remembered) == {"n996", "n997", "n998", "n999"}


def test_reserved_and_fixed_addresses_are_nobody_elses() -> None:
    pool = Pool(10, 12)
    pool.reserve({"a": 11}, [12])
    assert pool.take("x") == (10, False)
    assert pool.take("y") is None
    assert pool.take("a") == (11, False)
    assert pool.take("z", 12) == (12, False)
    assert pool.take("other", 12) is None  # taken
    assert pool.take("far", 99) == (99, False)  # ifconfig-push may lie outside the pool
    pool.release(11)
    pool.reserve({}, [])
    assert pool.take("y") == (11, False)


def test_releasing_an_unknown_address_is_harmless() -> None:
    pool = Pool(10, 10)
    pool.release(99)
    assert pool.take("a") == (10, False)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 12)), max_size=80))
def test_never_two_holders(actions: list[tuple[bool, int]]) -> None:
    pool = Pool(100, 104)
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
