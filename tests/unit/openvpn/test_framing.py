"""Records on a byte stream: any cuts of it, lengths that are refused, the number asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.framing import RecordSplitter, join

RECORDS = st.lists(st.binary(min_size=1, max_size=300), max_size=20)


@given(RECORDS, st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_any_split_of_a_stream_gives_the_same_records(records: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(join(records))
    splitter, at = RecordSplitter(2048), 0
    found: list[bytes] = []
    while at < len(stream):
        size = cuts[len(found) % len(cuts)]
        found += splitter.feed([stream[at : at + size]])
        at += size
    assert found == records
    assert splitter.pending == 0
    assert RecordSplitter(2048).feed([stream[:1], stream[1:]]) == records


def test_the_splitter_stops_at_the_records_asked_for() -> None:
    splitter = RecordSplitter(2048)
    assert splitter.feed([b"\0\1a\0\1b\0\1c\0\1d"], 2) == [b"a", b"b"]
    assert splitter.full
    assert splitter.pending == 6
    assert splitter.feed([b"\0\1"], 2) == [b"c", b"d"]
    assert splitter.full, "half a record may be a whole one: the caller asks again"
    assert splitter.feed([], 2) == []
    assert not splitter.full
    assert splitter.feed([b"e"], 2) == [b"e"]
    assert not splitter.full, "all is used up"


@pytest.mark.parametrize("head", [b"\0\0", b"\x08\x01", b"\xff\xff", b"GET /"])
def test_lengths_that_are_refused(head: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        RecordSplitter(2048).feed([head])
    assert caught.value.reason is DropReason.BAD_FRAME_LENGTH


def test_records_before_a_bad_length_are_not_lost() -> None:
    splitter = RecordSplitter(2048)
    assert splitter.feed([b"\0\1a\0\2bc\0\0\0\1d"]) == [b"a", b"bc"]
    assert splitter.broken
    for data in ([], [b"\0\1e"]):
        with pytest.raises(PeerError, match="record length 0"):
            splitter.feed(data)


def test_the_largest_record() -> None:
    splitter = RecordSplitter(2048)
    assert splitter.feed([b"\x08\x00" + bytes(2047)]) == []
    assert splitter.pending == 2049
    assert splitter.feed([b"\1"]) == [bytes(2047) + b"\1"]
    assert join([]) == []


def test_full_says_that_more_may_wait() -> None:
    splitter = RecordSplitter(2048)
    record = b"\0\3abc"
    assert splitter.feed([record * 2], 2) == [b"abc"] * 2
    assert not splitter.full
    assert splitter.feed([record * 2 + b"\0"], 2) == [b"abc"] * 2
    assert splitter.full
    assert splitter.feed([b"\3abc"], 2) == [b"abc"]
    assert (splitter.full, splitter.pending) == (False, 0)
