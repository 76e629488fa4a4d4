"""The Internet checksum against scapy and a word-by-word reference; incremental = full."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st
from scapy.utils import checksum as scapy_checksum

from hognose.wire.checksum import ones_sum, ones_sum_all, pseudo_sum, update

WORDS = st.integers(0, 0xFFFF)


def reference(data: bytes) -> int:
    """RFC 1071 section 4.1, literally."""
    total = 0
    for at in range(0, len(data) - 1, 2):
        total += data[at] << 8 | data[at + 1]
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def field_of(total: int) -> int:
    """The complement of a sum in 16 bits, 0 … 0xfffe."""
    return (0xFFFF - total % 0xFFFF) % 0xFFFF


def test_rfc_1071_example() -> None:
    data = bytes.fromhex("0001f203f4f5f6f7")
    assert ones_sum(data) == 0xDDF2
    assert field_of(ones_sum(data)) == 0x220D


@given(st.binary(max_size=1600), st.integers(0, 2**40))
@example(b"", 0)
@example(b"\xff" * 257, 0)
@example(b"\xff" * 3000, 0xFFFF)
def test_sum_is_the_reference(data: bytes, start: int) -> None:
    assert ones_sum(data, start) == (reference(data) + start) % 0xFFFF
    assert ones_sum(bytearray(data), start) == ones_sum(memoryview(data), start) == ones_sum(data, start)


@given(st.integers(1200, 70_000), st.integers(0, 1 << 32))
def test_long_data(size: int, seed: int) -> None:
    data = Random(seed).randbytes(size)
    assert ones_sum(data) == reference(data) % 0xFFFF


@given(st.integers(0, 1500), st.integers(1, 50), st.integers(0, 1500), st.randoms(use_true_random=False))
@example(1500, 1, 0, None)
def test_sum_of_many(size: int, count: int, last: int, random: Random | None) -> None:
    def make(length: int) -> bytes:
        return random.randbytes(length) if random else b"\xff" * length

    buffers = [*(make(size) for _ in range(count)), make(last)]
    assert ones_sum_all(buffers, 5) == (sum(map(reference, buffers)) + 5) % 0xFFFF
    assert ones_sum_all(buffers[-1:], 5) == ones_sum(buffers[-1], 5)


@given(st.binary(min_size=1, max_size=200).filter(any))
def test_field_is_what_scapy_writes(data: bytes) -> None:
    assert field_of(ones_sum(data)) == scapy_checksum(data)


ADDRESSES = [st.binary(min_size=size, max_size=size) for size in (4, 16)]


@given(st.one_of(*(st.tuples(each, each) for each in ADDRESSES)), st.integers(0, 255), WORDS)
def test_pseudo_header(ends: tuple[bytes, bytes], protocol: int, length: int) -> None:
    """Of both families: the order of words is no matter, nor are those that are zero."""
    source, destination = ends
    header = source + destination + bytes([0, protocol]) + length.to_bytes(2, "big")
    assert pseudo_sum(source, destination, protocol, length) == reference(header) % 0xFFFF


@given(st.lists(WORDS, min_size=2, max_size=20).filter(any), st.data())
def test_incremental_is_full(words: list[int], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(words) - 1))
    new = data.draw(WORDS)
    changed = [*words[:at], new, *words[at + 1 :]]
    full = field_of(sum(changed))
    assert update(field_of(sum(words)), words[at], new) == full or not any(changed)


@given(WORDS, WORDS, WORDS)
def test_a_wrong_field_stays_wrong_by_the_same_amount(field: int, old: int, new: int) -> None:
    right = field_of(old + 5)
    error = (field - right) % 0xFFFF
    assert (update(field, old, new) - field_of(new + 5)) % 0xFFFF == error


def test_rfc_1624_example() -> None:
    # Section 4: HC 0xdd2f, m 0x5555 becomes 0x3285; equation 3 gives 0x0000, not 0xffff.
    assert update(0xDD2F, 0x5555, 0x3285) == 0x0000
