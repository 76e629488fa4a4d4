"""TCP connections as transports: the stream of a connection cut into records."""

from __future__ import annotations

from hognose.address import Endpoint
from hognose.drops import DropReason
from hognose.errors import LocalError
from hognose.openvpn.framing import RecordSplitter, join
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer
from hognose.units import Nanos, UnixSeconds
from hognose.vocabulary import Proto
from hognose.vpn.transport import Pending

LENGTH_LEN = 2  # of the length in front of each record


class StreamTransport:
    """A Transport over one TCP connection."""

    __slots__ = ("_conn", "_most", "_record_len", "_splitter", "broken", "endpoint", "id", "key", "opened_at")

    proto: Proto = "tcp"
    proof = None
    roaming = ()
    full_reason = DropReason.SEND_QUEUE_FULL
    passtos = False
    record_limit = 0
    narrow_until: Nanos = 0

    def __init__(self, conn: TcpConnection, record_len: int, most: int, unfinished: bytes = b"") -> None:
        """record_len: the longest record; most: bytes that one `take` takes out of the receive buffer.

        unfinished: that of a transport in whose place this one comes.
        """
        self._conn = conn
        self._most = most
        self._record_len = record_len
        self._splitter = RecordSplitter(record_len, unfinished)
        self.broken = False
        self.id: int = conn.id
        self.key: bytes = conn.key
        self.endpoint = Endpoint(conn.key[:-2], int.from_bytes(conn.key[-2:], "big"))
        self.opened_at: Nanos = conn.opened_at

    @property
    def unfinished(self) -> bytes:
        """Bytes that were received and belong to no record that `take` has returned."""
        return self._splitter.rest

    def take(self, most: int) -> list[bytes]:
        """Up to `most` records in order; PeerError(BAD_FRAME_LENGTH) when the stream cannot be followed any more."""
        splitter = self._splitter
        records = splitter.feed([] if splitter.full else self._conn.take(self._most), most)
        self.broken = splitter.broken
        return records

    def discard(self) -> None:
        """Throw away what was received and not taken, an incomplete record too."""
        self._conn.take()
        self._splitter = RecordSplitter(self._record_len)
        self.broken = False

    def set_aside(self) -> None:
        """Store what was received in little memory."""
        self._conn.compact()

    @property
    def has_input(self) -> bool:
        """True while `take` may return records or raise."""
        return self._splitter.full or self._conn.waiting

    @property
    def ended(self) -> bool:
        """True when the peer has closed and all was taken."""
        conn = self._conn
        return conn.finished and conn.eof and not conn.waiting and not self._splitter.full

    @property
    def finished(self) -> bool:
        """True when the peer has closed, even while bytes wait."""
        return self._conn.finished

    def room(self, queue: int) -> int:
        """Bytes that `send` takes now, while at most `queue` bytes are unsent or unacknowledged; 0 after close."""
        conn = self._conn
        return min(conn.send_space, queue - conn.send_queued)

    def fits(self, records: list[bytes]) -> bool:
        """True when `send` takes all of these."""
        return sum(map(len, records)) + LENGTH_LEN * len(records) <= self._conn.send_space

    def send(self, records: list[bytes]) -> None:
        """Queue records, each with its length in front; LocalError when they do not fit."""
        self._conn.write(join(records))

    def send_marked(self, records: list[bytes], packets: list[bytes]) -> None:
        """As `send`: a segment has no class, for it has packets of several in it."""
        self.send(records)

    def trust(self, peer_id: int) -> None:
        """Offer the whole receive window."""
        self._conn.trust()

    def widen(self) -> None:
        """Do nothing: TCP has its own segments."""

    def take_roaming(self) -> tuple[tuple[bytes, bytes], ...]:
        """Nothing: a connection has one address."""
        return ()

    def roam(self, key: bytes) -> bool:
        """False: a connection has one address."""
        return False

    def close(self, now: Nanos) -> None:
        """Send a FIN after what is queued. Idempotent."""
        self._conn.close(now)

    def abort(self, now: Nanos) -> None:
        """Send a RST."""
        self._conn.abort(now)

    @property
    def close_reason(self) -> str:
        """The reason of the connection's end in lower case, "" before that."""
        reason = self._conn.close_reason
        return reason.name.lower() if reason is not None else ""


class StreamListener:
    """The Listener of one TcpServer."""

    proto: Proto = "tcp"

    def __init__(self, server: TcpServer, record_len: int, most: int) -> None:
        """record_len: the longest record; most: bytes that one turn takes out of a receive buffer."""
        self._accepted = server.accepted
        self.readable = server.readable
        self.closed = server.closed
        self._record_len = record_len
        self._most = most

    def accepted(self, now: Nanos, unix: UnixSeconds) -> list[TcpConnection]:
        """Drained: connections whose peer has sent a first byte."""
        return self._accepted()

    def stop(self) -> None:
        """Do nothing: a connection that comes is a peer that can be aborted."""

    def open(self, pending: Pending, unfinished: bytes = b"") -> StreamTransport:
        """The transport of an accepted or restored connection; LocalError for what is no TCP connection."""
        if not isinstance(pending, TcpConnection):
            raise LocalError("no TCP connection")
        return StreamTransport(pending, self._record_len, self._most, unfinished)
