"""The wrap of a control packet: none, tls-auth, or tls-crypt (OpenVPN tls_crypt.c, crypto.c).

Every wrap gives and takes whole records: `seal(first byte, own session id, body, unix)` and `open(record)`. One wrap
object belongs to one session: it counts its own packet ids and remembers the peer's.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from hognose.drops import DropReason
from hognose.openvpn.data.replay import ReplayState, WrapReplay
from hognose.settings import WrapSettings
from hognose.units import UnixSeconds
from hognose.vocabulary import DIGESTS

_SID_END = 9  # opcode(1) session id(8)
_ID_LEN = 8  # packet id(4) time(4)
_TAG_LEN = 32


@dataclass(frozen=True, slots=True)
class WrapState:
    """Packet ids of a wrap: our last one and its time, the peer's time and its window."""

    last_id: int = 0
    time: UnixSeconds = 0
    peer_time: UnixSeconds = 0
    replay: ReplayState = field(default_factory=ReplayState)


class ControlWrap(Protocol):
    """One session's wrap; overhead is the bytes it adds to op, session id and body."""

    overhead: int

    def seal(self, first: int, session_id: bytes, body: bytes, unix: UnixSeconds) -> bytes:
        """A record for a body."""

    def open(self, record: bytes) -> tuple[bytes, bytes] | DropReason:
        """(sender's session id, body), or the reason: BAD_CONTROL_PACKET, BAD_HMAC, CONTROL_REPLAY."""

    def export(self) -> WrapState:
        """The packet ids, for `restore`."""

    def restore(self, state: WrapState) -> None:
        """Go on after the packets of another wrap under the same key."""


class PlainWrap:
    """op(1) session id(8) body."""

    overhead = 0

    def seal(self, first: int, session_id: bytes, body: bytes, unix: UnixSeconds) -> bytes:
        """A record for a body."""
        return bytes((first,)) + session_id + body

    def open(self, record: bytes) -> tuple[bytes, bytes] | DropReason:
        """(sender's session id, body), or BAD_CONTROL_PACKET."""
        if len(record) < _SID_END + 1:
            return DropReason.BAD_CONTROL_PACKET
        return record[1:_SID_END], record[_SID_END:]

    def export(self) -> WrapState:
        """No packet ids."""
        return WrapState()

    def restore(self, state: WrapState) -> None:
        """Nothing to take."""


class _Ids:
    """Packet ids: ours are a counter from 1 under the time at which it started (OpenVPN packet_id_alloc_outgoing)."""

    __slots__ = ("_next", "_time", "replay")

    def __init__(self) -> None:
        self._next = 0
        self._time = 0
        self.replay = WrapReplay()

    def export(self) -> WrapState:
        peer_time, replay = self.replay.export()
        return WrapState(self._next, self._time, peer_time, replay)

    def restore(self, state: WrapState) -> None:
        self._next, self._time = state.last_id, state.time
        self.replay.restore(state.peer_time, state.replay)

    def take(self, unix: UnixSeconds) -> bytes:
        if self._time == 0 or self._next >= 0xFFFFFFFF:
            self._time = max(unix, self._time + 1) & 0xFFFFFFFF
            self._next = 0
        self._next += 1
        return self._next.to_bytes(4, "big") + self._time.to_bytes(4, "big")


class TlsAuthWrap:
    """op(1) session id(8) HMAC(d) packet id(4) time(4) body; the HMAC covers id, time, op, session id, body."""

    def __init__(self, key: bytes, direction: int | None, digest: str) -> None:
        self._digest = digest.lower()
        self._size = DIGESTS[digest]
        self.overhead = self._size + _ID_LEN
        first, second = key[64 : 64 + self._size], key[192 : 192 + self._size]
        # Server's key-direction 0 sends with half 0 and expects half 1; 1 the other way; none uses half 0 both ways.
        self._send = second if direction == 1 else first
        self._receive = second if direction == 0 else first
        self._ids = _Ids()

    def seal(self, first: int, session_id: bytes, body: bytes, unix: UnixSeconds) -> bytes:
        """A record for a body."""
        ids = self._ids.take(unix)
        head = bytes((first,)) + session_id
        return head + hmac.digest(self._send, ids + head + body, self._digest) + ids + body

    def open(self, record: bytes) -> tuple[bytes, bytes] | DropReason:
        """(sender's session id, body), or BAD_CONTROL_PACKET, BAD_HMAC, CONTROL_REPLAY."""
        tag_end = _SID_END + self._size
        body_start = tag_end + _ID_LEN
        if len(record) < body_start + 1:
            return DropReason.BAD_CONTROL_PACKET
        head, ids, body = record[:_SID_END], record[tag_end:body_start], record[body_start:]
        if not hmac.compare_digest(
            record[_SID_END:tag_end], hmac.digest(self._receive, ids + head + body, self._digest)
        ):
            return DropReason.BAD_HMAC
        if not self._ids.replay.accept(int.from_bytes(ids[4:], "big"), int.from_bytes(ids[:4], "big")):
            return DropReason.CONTROL_REPLAY
        return head[1:], body

    def export(self) -> WrapState:
        """The packet ids, for `restore`."""
        return self._ids.export()

    def restore(self, state: WrapState) -> None:
        """Go on after the packets of another wrap under the same key."""
        self._ids.restore(state)


class TlsCryptWrap:
    """op(1) session id(8) packet id(4) time(4) tag(32) AES-256-CTR(body); tag = HMAC-SHA256 of all else, in clear."""

    overhead = _ID_LEN + _TAG_LEN

    def __init__(self, key: bytes) -> None:
        # The server sends with half 0 and receives with half 1, regardless of a key-direction.
        self._send_key, self._send_hmac = key[0:32], key[64:96]
        self._receive_key, self._receive_hmac = key[128:160], key[192:224]
        self._ids = _Ids()

    def seal(self, first: int, session_id: bytes, body: bytes, unix: UnixSeconds) -> bytes:
        """A record for a body."""
        head = bytes((first,)) + session_id + self._ids.take(unix)
        tag = hmac.digest(self._send_hmac, head + body, "sha256")
        encryptor = Cipher(AES(self._send_key), CTR(tag[:16])).encryptor()
        return head + tag + encryptor.update(body) + encryptor.finalize()

    def open(self, record: bytes) -> tuple[bytes, bytes] | DropReason:
        """(sender's session id, body), or BAD_CONTROL_PACKET, BAD_HMAC, CONTROL_REPLAY."""
        tag_start = _SID_END + _ID_LEN
        body_start = tag_start + _TAG_LEN
        if len(record) < body_start + 1:
            return DropReason.BAD_CONTROL_PACKET
        head, tag = record[:tag_start], record[tag_start:body_start]
        decryptor = Cipher(AES(self._receive_key), CTR(tag[:16])).decryptor()
        body = decryptor.update(record[body_start:]) + decryptor.finalize()
        if not hmac.compare_digest(tag, hmac.digest(self._receive_hmac, head + body, "sha256")):
            return DropReason.BAD_HMAC
        if not self._ids.replay.accept(int.from_bytes(head[13:17], "big"), int.from_bytes(head[9:13], "big")):
            return DropReason.CONTROL_REPLAY
        return head[1:_SID_END], body

    def export(self) -> WrapState:
        """The packet ids, for `restore`."""
        return self._ids.export()

    def restore(self, state: WrapState) -> None:
        """Go on after the packets of another wrap under the same key."""
        self._ids.restore(state)


def make_wrap(settings: WrapSettings) -> ControlWrap:
    """A fresh static wrap for one session."""
    if settings.kind == "tls-auth":
        return TlsAuthWrap(settings.key, settings.direction, settings.digest)
    if settings.kind == "tls-crypt":
        return TlsCryptWrap(settings.key)
    return PlainWrap()
