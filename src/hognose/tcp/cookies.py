"""SYN cookies: a handshake remembered by the peer instead of by us, while the half-open table is full (RFC 4987 3.6).

The initial sequence number is the memory:

    MAC 24 bits | slot 1 | MSS index 2 | SACK 1 | window scale 4 (15 = none)

The MAC is keyed and covers the four-tuple, the peer's initial number, the slot of time and the eight bits beside it. A
cookie is good for the slot it was made in and the next. Agreed timestamps are seen by the third segment, which has to
carry them then (RFC 7323 section 3.2).
"""

from __future__ import annotations

from hashlib import blake2s
from typing import NamedTuple

from hognose.tcp import seqnum
from hognose.units import SECOND, Nanos
from hognose.wire import tcp as wire_tcp

COOKIE_SLOT: Nanos = 8 * SECOND
COOKIE_LIFE: Nanos = 2 * COOKIE_SLOT
# Sizes for two bits; the largest that does not exceed the peer's MSS.
COOKIE_MSS = (wire_tcp.MIN_MSS, wire_tcp.DEFAULT_MSS, 1360, 1460)
_NO_SCALE = 15
_PERSON = b"cookie"  # the key also makes initial sequence numbers: another use, another hash


class Cookie(NamedTuple):
    """Options of the SYN that a cookie encodes."""

    mss: int
    window_scale: int | None
    sack: bool


class SynCookies:
    """Makes and checks the cookies of one listening address and port; keeps nothing."""

    def __init__(self, secret: bytes, local: bytes) -> None:
        self._secret = secret
        self._local = local  # address and port as on the wire

    def make(self, key: bytes, irs: int, options: wire_tcp.Options, now: Nanos) -> int:
        """The initial sequence number for the answer to a SYN; key = the peer's address and port as on the wire."""
        slot = now // COOKIE_SLOT
        peer_mss = options.mss if options.mss is not None else wire_tcp.DEFAULT_MSS
        index = 3
        while index and COOKIE_MSS[index] > peer_mss:
            index -= 1
        scale = options.window_scale if options.window_scale is not None else _NO_SCALE
        low = (slot & 1) << 7 | index << 5 | options.sack_permitted << 4 | scale
        return self._mac(key, irs, slot, low) << 8 | low

    def check(self, key: bytes, irs: int, iss: int, now: Nanos) -> Cookie | None:
        """The SYN's options, when `iss` is a cookie made for it a short time ago, else None."""
        low = iss & 0xFF
        slot = now // COOKIE_SLOT
        if slot & 1 != low >> 7:
            slot -= 1
        if self._mac(key, irs, slot, low) != iss >> 8:
            return None
        scale = low & 15
        return Cookie(COOKIE_MSS[low >> 5 & 3], scale if scale != _NO_SCALE else None, bool(low & 16))

    def _mac(self, key: bytes, irs: int, slot: int, low: int) -> int:
        text = (
            key
            + self._local
            + (irs & seqnum.MASK).to_bytes(4, "big")
            + slot.to_bytes(8, "big", signed=True)
            + bytes((low,))
        )
        return int.from_bytes(blake2s(text, key=self._secret, person=_PERSON, digest_size=3).digest(), "big")
