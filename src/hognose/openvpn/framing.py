# hot
"""Records on a byte stream: a 16-bit length in front of every OpenVPN packet (OpenVPN socket.c stream_buf)."""

from __future__ import annotations

from hognose.drops import DropReason
from hognose.errors import PeerError

UNLIMITED = 1 << 62


class RecordSplitter:
    """Cuts a byte stream into records. Bound: what one call of feed brings, and one incomplete record of max_len bytes.

    broken: a bad length follows the records that feed returned last; the next call raises. full: feed returned `most`
    records, and bytes wait that may be more of them. rest: bytes that belong to no returned record.
    """

    __slots__ = ("_max_len", "broken", "full", "rest")

    def __init__(self, max_len: int, rest: bytes = b"") -> None:
        self._max_len = max_len
        self.rest = rest
        self.broken = False
        self.full = False

    @property
    def pending(self) -> int:
        """Length of `rest`."""
        return len(self.rest)

    def feed(self, chunks: list[bytes], most: int = UNLIMITED) -> list[bytes]:
        """Complete records of the stream so far, in order, `most` of them at most.

        Raises PeerError(BAD_FRAME_LENGTH) for a length of 0 or above max_len: the stream cannot be followed any more.
        Records before it are returned first, so that the cuts that TCP makes in the stream make no difference.
        """
        if self.rest or len(chunks) != 1:
            data = self.rest + b"".join(chunks)
        else:
            data = chunks[0]
        records: list[bytes] = []
        append = records.append
        max_len = self._max_len
        size = len(data)
        offset = 0
        self.full = False
        for _ in range(most):
            if offset + 2 > size:
                break
            length = data[offset] << 8 | data[offset + 1]
            end = offset + 2 + length
            if length == 0 or length > max_len:
                if records:
                    self.broken = True
                    self.rest = data[offset : offset + 2]
                    return records
                raise PeerError(DropReason.BAD_FRAME_LENGTH, f"record length {length}, not an OpenVPN TCP client?")
            if end > size:
                break
            append(data[offset + 2 : end])
            offset = end
        else:
            self.full = offset < size
        self.rest = data[offset:] if offset < size else b""
        return records


def join(records: list[bytes]) -> list[bytes]:
    """The stream for records: pieces for TcpConnection.write."""
    parts: list[bytes] = []
    for record in records:
        parts.append(len(record).to_bytes(2, "big"))
        parts.append(record)
    return [b"".join(parts)] if parts else []
