from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.tcp.send_buffer import SendBuffer

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.binary(min_size=1, max_size=50), max_size=5)),
        st.tuples(st.just("ack"), st.integers(0, 200)),
        st.tuples(st.just("cut"), st.tuples(st.integers(0, 200), st.integers(1, 200))),
    ),
    max_size=40,
)


@given(steps)
def test_any_cut_gives_the_bytes_written(script):
    buffer = SendBuffer(1)
    stream, acked = b"", 0
    for name, value in script:
        if name == "append":
            buffer.append(list(value))
            stream += b"".join(value)
        elif name == "ack":
            acked = min(len(stream), acked + value)
            buffer.acknowledge(1 + acked)
        else:
            at = acked + value[0]
            if at < len(stream):
                size = min(value[1], len(stream) - at)
                pieces = buffer.cut(1 + at, size)
                assert b"".join(pieces) == stream[at : at + size]
                assert all(pieces)
        assert (buffer.start, buffer.end) == (1 + acked, 1 + len(stream))


def test_whole_pieces_are_not_copied():
    piece = bytes(1000)
    buffer = SendBuffer(1)
    buffer.append([piece, piece, piece])
    assert all(part is piece for part in buffer.cut(1, 3000))
    assert buffer.cut(1001, 1000)[0] is piece


def test_acknowledged_pieces_are_let_go_and_the_lists_stay_short():
    buffer = SendBuffer(1)
    for number in range(5000):
        buffer.append([bytes((number % 256,)) * 10])
        if number >= 3:
            buffer.acknowledge(1 + (number - 3) * 10)
    assert b"".join(buffer.cut(1 + 4997 * 10, 30)) == b"".join(bytes((n % 256,)) * 10 for n in (4997, 4998, 4999))
    buffer.acknowledge(1 + 50_000)
    assert buffer.start == buffer.end
    buffer.append([b"more"])
    assert buffer.cut(50_001, 4) == [b"more"]
