"""The table that is fair to sources: the entry that goes when a bound is reached, against a plain model."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from hognose.base.fair_table import FairTable, prefix_of


def key(address: str, port: int = 1) -> bytes:
    return bytes(map(int, address.split("."))) + port.to_bytes(2, "big")


def test_the_oldest_of_the_fullest_prefix_goes() -> None:
    table: FairTable[int] = FairTable(5, 9, 9)
    for number, address in enumerate(["10.0.0.1", "10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.2.1"]):
        assert table.add(key(address), number) is None
    assert table.add(key("10.9.9.9"), 5) == (key("10.0.1.1"), 1)
    assert table.add(key("10.9.8.9"), 6) == (key("10.0.1.2"), 2)
    assert table.get(key("10.0.0.1")) == 0
    assert len(table) == 5


def test_an_address_and_a_prefix_have_their_own_bounds() -> None:
    table: FairTable[int] = FairTable(100, 2, 3)
    assert table.add(key("10.0.0.7"), 0) is None
    assert table.add(key("10.0.0.1", 1), 1) is None
    assert table.add(key("10.0.0.1", 2), 2) is None
    assert table.add(key("10.0.0.1", 3), 3) == (key("10.0.0.1", 1), 1)  # its own, not the older neighbour's
    assert table.add(key("10.0.0.2"), 4) == (key("10.0.0.7"), 0)
    assert table.add(key("10.0.1.1"), 5) is None


def test_entries_of_one_endpoint_are_told_apart_by_a_number() -> None:
    """All count for the same source and prefix."""
    table: FairTable[int] = FairTable(100, 2, 3)
    first, second, third = (key("10.0.0.1", 1) + number.to_bytes(8, "big") for number in (1, 2, 3))
    assert table.add(first, 1) is None
    assert table.add(second, 2) is None
    assert (table.get(first), table.get(second)) == (1, 2)
    assert table.add(third, 3) == (first, 1)
    assert prefix_of(third) == prefix_of(key("10.0.0.9"))
    v6 = bytes.fromhex("20010db800010002") + bytes(8) + b"\0\1"
    assert prefix_of(v6 + bytes(8)) == prefix_of(v6) == v6[:6]
    assert table.remove(second) == 2
    assert table.remove(third) == 3
    assert len(table) == 0


@pytest.mark.parametrize(("between", "source_len", "prefix_len"), [(b"", 4, 3), (bytes.fromhex("20010db80a"), 8, 6)])
def test_a_plain_model_agrees(between: bytes, source_len: int, prefix_len: int) -> None:
    """Random adds and removes; the model counts everything anew each time. Keys of IPv6 have a random host part."""
    rng = random.Random(5)
    table: FairTable[int] = FairTable(40, 6, 12)
    model: dict[bytes, int] = {}
    for number in range(20_000):
        chosen = key(
            f"10.0.{rng.choice((0, 0, 0, 1, 1, 2, 3, rng.randrange(60)))}.{rng.randrange(4)}", rng.randrange(9)
        )
        if between:  # the third byte of the IPv4 address ends the prefix of 48 bits, the fourth is in the source
            chosen = between + chosen[2:3] + bytes(1) + chosen[3:4] + bytes((rng.randrange(3),)) * 8 + chosen[4:]
        if chosen in model or (model and rng.random() < 0.3):
            gone = chosen if chosen in model else rng.choice(list(model))
            assert table.remove(gone) == model.pop(gone)
            assert table.remove(gone) is None
            continue
        same = [k for k in model if k[:source_len] == chosen[:source_len]]
        near = [k for k in model if k[:prefix_len] == chosen[:prefix_len]]
        counts: dict[bytes, int] = {}
        for k in model:
            counts[k[:prefix_len]] = counts.get(k[:prefix_len], 0) + 1
        removed = table.add(chosen, number)
        if len(same) >= 6:
            assert removed == (same[0], model[same[0]])
        elif len(near) >= 12:
            assert removed == (near[0], model[near[0]])
        elif len(model) >= 40:
            assert removed is not None
            assert counts[removed[0][:prefix_len]] == max(counts.values())
            assert removed[0] == next(k for k in model if prefix_of(k) == removed[0][:prefix_len])
        else:
            assert removed is None
        if removed is not None:
            assert removed[1] == model.pop(removed[0])
        model[chosen] = number
        assert len(table) == len(model)
        oldest = next(iter(model.items()))
        assert table.oldest() == oldest
    assert table.items() == list(model.items())
    for k in list(model):
        table.remove(k)
    assert (table._prefixes, table._sizes, table._fullest) == ({}, {}, 0)


def test_a_flood_costs_little_at_a_full_table() -> None:
    """A full table of 8,192: newcomers cost some dozen steps; in the prefix of a crowded address, one per entry."""
    table: FairTable[int] = FairTable(8192, 256, 1024)
    for number in range(8192):
        table.add(key(f"10.0.{number % 64}.{number // 64}"), number)
    for number in range(3000):
        newcomer = key(f"10.{1 + number % 200}.{number // 200 % 250}.1", number >> 16)
        assert lines_of(partial(table.add, newcomer, number)) < 100
    for number in range(400):
        assert lines_of(partial(table.add, key("192.0.2.1", number), number)) < 2048
    assert len(table) <= 8192


def lines_of(work: Callable[[], object]) -> int:
    """Number of lines of Python that are run: a loop over the table would be seen, a busy machine is not."""
    count = 0

    def trace(*_: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
