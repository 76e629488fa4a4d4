"""A look at a client's ClientHello before OpenSSL works on it: no key exchange in finite fields.

OpenSSL's own list of groups has ffdhe2048 to ffdhe8192 (RFC 7919), and the library that the image has cannot be told
another list. An answer to a share of ffdhe8192 costs 100 ms and more, three hundred times as much as one of X25519.
"""

from __future__ import annotations

from hognose.drops import DropReason
from hognose.errors import PeerError

LONGEST = 32_768  # bytes of a ClientHello; usual ones have up to 2 KB
FINITE_FIELD = range(0x0100, 0x0200)  # RFC 7919 section 2, with those for private use
FINITE_FIELDS = "the client wants a key exchange in finite fields (ffdhe); let its config have `tls-groups X25519`"
_HANDSHAKE, _CLIENT_HELLO, _KEY_SHARE = 22, 1, 51  # RFC 8446 sections 5.1, 4, 4.2
_RECORD_HEAD, _MESSAGE_HEAD = 5, 4
_RECORD_MAX = _RECORD_HEAD + 16_384 + 2048  # OpenSSL takes no longer one
_SESSION_ID = 34  # offset of its length, after version and random
# A fatal handshake_failure, as of OpenSSL when there is no common group.
ALERT = bytes.fromhex("15 0303 0002 02 28")


class HelloScreen:
    """Watches the bytes of one client until its first handshake message that is no ClientHello.

    Bound: a record and LONGEST bytes. A second ClientHello, after a HelloRetryRequest, is looked at like the first one.
    """

    __slots__ = ("_message", "_record", "over")

    def __init__(self) -> None:
        self.over = False  # nothing is left to look at
        self._record = bytearray()  # of which not all has come
        self._message = bytearray()  # likewise

    def take(self, data: bytes) -> None:
        """Look at the next bytes, before OpenSSL gets them; PeerError(TLS_ERROR)."""
        record = self._record
        record += data
        while not self.over and len(record) >= _RECORD_HEAD:
            end = _RECORD_HEAD + int.from_bytes(record[3:5], "big")
            if end > _RECORD_MAX:
                self.over = True
            if self.over or len(record) < end:
                break
            if record[0] == _HANDSHAKE:
                self._message += record[_RECORD_HEAD:end]
                self._look()
            del record[:end]
        if self.over:
            record.clear()

    def _look(self) -> None:
        message = self._message
        while len(message) >= _MESSAGE_HEAD:
            if message[0] != _CLIENT_HELLO:
                self.over = True
                message.clear()
                return
            end = _MESSAGE_HEAD + int.from_bytes(message[1:4], "big")
            if end > LONGEST:
                raise PeerError(DropReason.TLS_ERROR, "the ClientHello is too long")
            if len(message) < end:
                return
            if any(group in FINITE_FIELD for group in shared_groups(bytes(message[_MESSAGE_HEAD:end]))):
                raise PeerError(DropReason.TLS_ERROR, FINITE_FIELDS)
            del message[:end]


def shared_groups(hello: bytes) -> list[int]:
    """Groups of the key shares of a ClientHello (RFC 8446 section 4.2.8); of a malformed one what is before that."""
    at = _SESSION_ID
    at += 1 + _number(hello, at, 1)
    at += 2 + _number(hello, at, 2)  # suites
    at += 1 + _number(hello, at, 1)  # compression
    at += 2  # extensions
    groups = []
    while at + 4 <= len(hello):
        kind, size = _number(hello, at, 2), _number(hello, at + 2, 2)
        at += 4
        if kind == _KEY_SHARE:
            share, end = at + 2, min(at + size, len(hello))
            while share + 4 <= end:
                groups.append(_number(hello, share, 2))
                share += 4 + _number(hello, share + 2, 2)
        at += size
    return groups


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
