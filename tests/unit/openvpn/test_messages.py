"""Control strings over any cuts, with their bounds."""

from __future__ import annotations

from hognose.drops import Counters, DropReason
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control.messages import MessageReader

MESSAGE_MAX = OpenvpnLimits().control_string


def test_strings_over_records_and_bounds() -> None:
    counters = Counters()
    reader = MessageReader(counters, OpenvpnLimits())
    assert reader.feed(b"PUSH_REQ") == []
    assert reader.feed(b"UEST\0\0EXIT\r\n\0") == ["PUSH_REQUEST", "EXIT"]
    assert reader.feed(b"a\x07\0") == []
    assert reader.feed(b"x" * (MESSAGE_MAX + 1)) == []
    assert reader.feed(b"EXIT\0OK\0") == ["OK"]
    assert reader.feed(b"y" * (MESSAGE_MAX + 1) + b"\0") == []
    assert counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 3


def test_a_string_that_is_too_long_is_one_drop_however_it_comes() -> None:
    """Found by the fuzz target control-strings: its end was taken for a string of its own."""
    for size in (1, 100, MESSAGE_MAX, 20_000):
        counters = Counters()
        reader = MessageReader(counters, OpenvpnLimits())
        stream = b"y" * 3 * MESSAGE_MAX + b"EXIT\0" + b"\n" * 2 * MESSAGE_MAX + b"\0OK\0"
        assert [text for at in range(0, len(stream), size) for text in reader.feed(stream[at : at + size])] == ["OK"]
        assert counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 2
        assert len(reader._rest) == 0
