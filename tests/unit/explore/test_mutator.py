"""Mutated inputs: the same for a seed, never too long, and of every kind."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st
from tests.explore.mutator import Mutator

PLAIN = bytes(range(100, 164))
OTHER = b"\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7" * 8
COUNT = 3000


def inputs(corpus: list[bytes], seed: int, max_size: int = 200, count: int = COUNT) -> list[bytes]:
    return list(islice(Mutator(corpus, seed, max_size), count))


def test_a_seed_gives_the_same_inputs_again() -> None:
    assert inputs([PLAIN, OTHER], 7) == inputs([PLAIN, OTHER], 7)


def test_another_seed_gives_others() -> None:
    first, second = set(inputs([PLAIN, OTHER], 7)), set(inputs([PLAIN, OTHER], 8))
    assert len(first) > 0.9 * COUNT
    assert len(first & second) < 0.1 * COUNT


@given(st.lists(st.binary(max_size=40), max_size=4), st.integers(0, 1 << 32), st.integers(0, 60))
def test_no_input_is_larger_than_the_bound(corpus: list[bytes], seed: int, max_size: int) -> None:
    assert max(map(len, inputs(corpus, seed, max_size, 60))) <= max_size


def test_inputs_grow_to_the_bound_and_shrink_to_nothing() -> None:
    sizes = {len(data) for data in inputs([PLAIN], 1, 150)}
    assert max(sizes) == 150
    assert min(sizes) == 0


def test_without_a_corpus_there_are_inputs_all_the_same() -> None:
    assert len(set(inputs([], 1))) > COUNT / 10


def _differs(ours: int, plain: int) -> bool:
    return ours != plain


def _framed(data: bytes, *, end: bytes = PLAIN) -> bool:
    """The beginning of the one and the end of this one."""
    return data[:9] == PLAIN[:9] and data[-9:] == end[-9:]


def _one_field(data: bytes, field: bytes) -> bool:
    """The whole input but for one place, where the field stands."""
    return any(data == PLAIN[:at] + field + PLAIN[at + len(field) :] for at in range(65 - len(field)))


KINDS: dict[str, Callable[[bytes], bool]] = {
    "a set byte": lambda data: sum(map(_differs, data, PLAIN)) == 1 and len(data) == 64 and max(data) > 200,
    "a cut": lambda data: len(data) == 63 and _framed(data),
    "an early end": lambda data: 0 < len(data) < 50 and data == PLAIN[: len(data)],
    "an insert": lambda data: len(data) > 64 and _framed(data) and not set(data[9:12]) & {*PLAIN, *OTHER},
    "a repetition": lambda data: data.count(PLAIN[30:34]) >= 3,
    "a splice": lambda data: _framed(data, end=OTHER) and len(data) < 100,
    "a graft": lambda data: _framed(data) and OTHER[3:6] in data and data.count(OTHER[2]) == 0,
    "8 bits": lambda data: _one_field(data, b"\x7f"),
    "16 bits": lambda data: _one_field(data, b"\xff\xff"),
    "16 bits, big-endian": lambda data: _one_field(data, b"\x05\xb4"),
    "32 bits": lambda data: _one_field(data, b"\x7f\xff\xff\xff"),
    "32 bits, little-endian": lambda data: _one_field(data, b"\0\0\0\x80"),
    "nothing but random bytes": lambda data: 50 < len(data) < 65 and len({*data} - {*PLAIN, *OTHER}) > len(data) / 2,
}


def test_single_bits_are_flipped_more_often_than_bytes_become_so_by_chance() -> None:
    """A byte at random differs by one bit in one case of thirty."""
    made = inputs([PLAIN], 3, count=20_000)
    changed = [data for data in made if len(data) == 64 and sum(map(_differs, data, PLAIN)) == 1]
    bits = [data for data in changed if sum((a ^ b).bit_count() for a, b in zip(data, PLAIN, strict=True)) == 1]
    assert len(bits) > 0.2 * len(changed)


def test_every_kind_of_change_is_made() -> None:
    made = inputs([PLAIN, PLAIN, OTHER], 3, count=20_000)
    assert [name for name, kind in KINDS.items() if not any(map(kind, made))] == []


def test_most_inputs_keep_most_of_what_they_were_made_of() -> None:
    """Code that an input of the corpus has reached is not lost at once."""
    kept = sum(PLAIN[:8] in data and PLAIN[-8:] in data for data in inputs([PLAIN], 5))
    assert kept > 0.5 * COUNT
