"""Session ids that are cookies: a keyed hash in place of a table (OpenVPN ssl_pkt.c calculate_session_id_hmac).

A server that has no state for an address gives it this session id; a packet from there that acknowledges it proves that
its sender receives at the address. A cookie is good for the slot of time that it was made in and the two after it.
"""

from __future__ import annotations

import hmac
from hashlib import blake2s

from hognose.units import Nanos
from hognose.wire.openvpn import NO_SESSION_ID, SESSION_ID_LEN

SLOTS = 3  # in which a cookie is good, the one of its making included (ssl_pkt.c check_session_id_hmac)
_PERSON = b"session"


class SessionCookies:
    """Makes and checks the session ids of one listening port; keeps nothing."""

    def __init__(self, secret: bytes, slot: Nanos) -> None:
        """secret: 32 bytes. slot: half of hand-window, so that a client has all of it to answer.

        life: after which no cookie is good.
        """
        self.life: Nanos = SLOTS * slot
        self._secret = secret
        self._slot = slot

    def make(self, key: bytes, remote_id: bytes, now: Nanos) -> bytes:
        """8 bytes, never all zero; key: the client's address and port as on the wire, remote_id: its session id."""
        return self._hash(key, remote_id, now // self._slot)

    def check(self, cookie: bytes, key: bytes, remote_id: bytes, now: Nanos) -> bool:
        """True when `cookie` was made for this client in this slot or one of the two before."""
        slot = now // self._slot
        good = [hmac.compare_digest(cookie, self._hash(key, remote_id, slot - age)) for age in range(SLOTS)]
        return any(good)

    def _hash(self, key: bytes, remote_id: bytes, slot: int) -> bytes:
        text = slot.to_bytes(8, "big", signed=True) + remote_id + key
        cookie = blake2s(text, key=self._secret, person=_PERSON, digest_size=SESSION_ID_LEN).digest()
        return cookie if cookie != NO_SESSION_ID else b"\1" * SESSION_ID_LEN
