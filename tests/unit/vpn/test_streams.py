"""A TCP connection as a transport: records in and out of a stream, against a connection that is a script."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.address import Endpoint
from hognose.drops import DropReason
from hognose.errors import LocalError, PeerError
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer
from hognose.tcp.silent import SILENT_TIME
from hognose.tcp.state import CloseReason
from hognose.vpn.peer import FIRST_RECORD_NS
from hognose.vpn.streams import StreamListener, StreamTransport
from hognose.vpn.transport import Pending, Transport


class Script:
    """As much of a connection as a transport uses."""

    def __init__(self, *chunks: bytes) -> None:
        self.id, self.opened_at = 7, 99
        self.key = bytes((192, 0, 2, 11)) + (40_000).to_bytes(2, "big")
        self.chunks = list(chunks)
        self.finished = False
        self.close_reason: CloseReason | None = None
        self.send_space, self.send_queued = 1000, 100
        self.written: list[bytes] = []
        self.called: list[str] = []

    @property
    def waiting(self) -> bool:
        return bool(self.chunks)

    @property
    def eof(self) -> bool:
        return self.finished and not self.chunks

    def take(self, most: int = 1 << 62) -> list[bytes]:
        taken, self.chunks = self.chunks, []
        return taken

    def write(self, pieces: list[bytes]) -> None:
        self.written += pieces

    def __getattr__(self, name: str) -> object:
        return lambda *_: self.called.append(name)


def transport(*chunks: bytes) -> tuple[StreamTransport, Script]:
    script = Script(*chunks)
    return StreamTransport(cast(TcpConnection, script), 2048, 1 << 18), script


def framed(*records: bytes) -> bytes:
    return b"".join(len(record).to_bytes(2, "big") + record for record in records)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.integers(1, 30), st.integers(1, 5))
def test_any_cut_of_the_stream_gives_the_records_in_order(records: list[bytes], size: int, most: int) -> None:
    stream = framed(*records)
    made, script = transport()
    found: list[bytes] = []
    for at in range(0, len(stream), size):
        script.chunks.append(stream[at : at + size])
        while made.has_input:
            taken = made.take(most)
            assert len(taken) <= most
            found += taken
    assert found == records


def test_names_and_times_are_the_connections() -> None:
    made, script = transport()
    assert (made.id, made.opened_at, made.key) == (7, 99, script.key)
    assert made.endpoint == Endpoint(bytes((192, 0, 2, 11)), 40_000)
    assert str(made.endpoint) == "192.0.2.11:40000"
    checked: Transport = made
    assert checked is made


def test_a_bad_length_comes_after_the_records_before_it() -> None:
    made, script = transport(framed(b"abc") + b"\xff\xff")
    assert made.take(9) == [b"abc"]
    assert made.broken
    with pytest.raises(PeerError) as caught:
        made.take(1)
    assert caught.value.reason is DropReason.BAD_FRAME_LENGTH
    script.chunks.append(b"more")
    made.discard()
    assert (made.broken, made.has_input, script.chunks) == (False, False, [])


def test_the_end_comes_after_the_last_record() -> None:
    made, script = transport(framed(b"a", b"b"))
    script.finished = True
    assert made.finished
    assert not made.ended
    assert made.take(1) == [b"a"]
    assert not made.ended
    assert made.has_input
    assert made.take(1) == [b"b"]
    assert made.ended
    assert not made.has_input


def test_room_is_that_of_the_connection_and_of_the_queue() -> None:
    made, script = transport()
    assert made.room(5000) == 1000
    assert made.room(600) == 500
    assert made.room(50) == -50
    assert made.fits([bytes(498), bytes(498)])
    assert not made.fits([bytes(498), bytes(499)])
    made.send([b"abc", b"de"])
    assert b"".join(script.written) == b"\0\3abc\0\2de"


def test_the_rest_is_handed_on() -> None:
    made, script = transport()
    made.trust(7)
    made.set_aside()
    made.close(1)
    made.abort(1)
    assert script.called == ["trust", "compact", "close", "abort"]
    assert made.close_reason == ""
    script.close_reason = CloseReason.TIMED_OUT
    assert made.close_reason == "timed_out"


def test_only_tcp_connections_are_opened() -> None:
    server = cast(TcpServer, SimpleNamespace(accepted=None, readable=None, closed=None))
    with pytest.raises(LocalError):
        StreamListener(server, 2048, 1).open(cast(Pending, Script()))


def test_the_first_record_has_as_long_as_a_silent_connection() -> None:
    """Else the time of its end would tell a scanner that something was checked."""
    assert FIRST_RECORD_NS == SILENT_TIME
