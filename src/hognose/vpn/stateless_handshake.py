"""The stateless part of a handshake over datagrams (OpenVPN mudp.c do_pre_decrypt_check, ssl_pkt.c).

A hard reset of a client that has no session is answered, and nothing is kept: our session id is a cookie. The packet
that acknowledges it proves that the client receives at its address, and begins the session. Only a client of OpenVPN
2.5 with tls-crypt-v2 needs a session from its first packet on, because it does not send its key again.
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.misconfiguration import explain_first_packet
from hognose.openvpn.control.session_cookies import SessionCookies
from hognose.openvpn.control.session_wrap import SessionWrap
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.proof import AddressProof
from hognose.units import SECOND, Nanos, UnixSeconds
from hognose.wire import openvpn as wire

LEAST = 14  # bytes of the shortest hard reset: opcode, session id, no acknowledgements, message id
OPCODES = (
    wire.HARD_RESET_CLIENT_V2,
    wire.HARD_RESET_CLIENT_V3,
    wire.CONTROL_V1,
    wire.ACK_V1,
    wire.CONTROL_WKC_V1,
)
RESETS = (wire.HARD_RESET_CLIENT_V2, wire.HARD_RESET_CLIENT_V3)
_LAST_ID = 1  # a client has sent a hard reset (0) and one message more, and has had our hard reset (0)
# First byte of the packet id of a client that can send its wrapped key again (ssl_pkt.h EARLY_NEG_START).
_EARLY_NEGOTIATION = 0x0F
_EARLY_BYTE = 9  # its place, after opcode and session id
# Type 1, EARLY_NEG_FLAGS, of 2 bytes: 1, RESEND_WKC (ssl_pkt.h TLV_TYPE_EARLY_NEG_FLAGS).
_RESEND_WRAPPED_KEY = bytes.fromhex("000100020001")
# A client of 2.5 or older acknowledges our hard reset once; when that is lost its next packets have no cookie. They
# get the hard reset again, with the same session id unless a slot has ended this long after the first one.
_AGAIN: Nanos = 4 * SECOND


@dataclass(frozen=True, slots=True)
class Answer:
    """A hard reset of ours for a client without state."""

    record: bytes


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """A hard reset with a valid client key that begins a session without a proof of the address."""


class StatelessHandshake:
    """Looks at packets that belong to no session; keeps nothing but the time in its answers, which never goes back."""

    def __init__(self, profile: ServerProfile, secret: bytes) -> None:
        """secret: 32 bytes for cookies."""
        self._wrap = profile.wrap
        self._cookies = SessionCookies(secret, (profile.control.hand_window_s + 1) // 2 * SECOND)
        self._time: UnixSeconds = 0  # of our packet ids: clients refuse a smaller one (OpenVPN packet_id.c)

    @property
    def cookie_life(self) -> Nanos:
        """Time after which a proof of an address is none any more."""
        return self._cookies.life

    def look(self, key: bytes, record: bytes, now: Nanos, unix: UnixSeconds) -> Answer | AddressProof | FirstPacket:
        """Judge a packet; key: address and port of its source as on the wire. The caller limits the rate.

        record: LEAST bytes or more, with one of OPCODES. PeerError: BAD_CONTROL_PACKET, BAD_HMAC, NO_HARD_RESET,
        CLIENT_KEY_TOO_OLD, BAD_COOKIE, with the words for the log.
        """
        self._time = max(self._time, unix)
        opcode = record[0] >> 3
        wrap = SessionWrap(self._wrap)
        session_id, body_bytes = wrap.open_stateless(record, unix)
        body = wire.parse_control_body(opcode, body_bytes)
        if body is None or session_id == wire.NO_SESSION_ID or record[0] & 7:
            raise PeerError(DropReason.BAD_CONTROL_PACKET, explain_first_packet(self._wrap, record))
        if opcode in RESETS:
            if body.message_id:
                raise PeerError(DropReason.BAD_CONTROL_PACKET, explain_first_packet(self._wrap, record))
            if opcode == wire.HARD_RESET_CLIENT_V2:
                return self._answer(wrap, key, session_id, b"", now)
            if record[_EARLY_BYTE] == _EARLY_NEGOTIATION:
                return self._answer(wrap, key, session_id, _RESEND_WRAPPED_KEY, now)
            if self._wrap.v2_force_cookie:
                text = "tls-crypt-v2: the client cannot prove its address, which force-cookie asks for; update it"
                raise PeerError(DropReason.NO_HARD_RESET, text)
            return FirstPacket()
        if opcode == wire.CONTROL_V1 and body.message_id == _LAST_ID and not body.acks:
            answer = self._answer(wrap, key, session_id, b"", now - _AGAIN)
            if len(answer.record) <= len(record):
                return answer
        cookie = body.remote_session_id
        if (
            not body.acks
            or max(body.acks) > _LAST_ID
            or body.message_id > _LAST_ID
            or not self._cookies.check(cookie, key, session_id, now)
        ):
            raise PeerError(DropReason.BAD_COOKIE, "the packet belongs to no session, and does not begin one")
        return AddressProof(cookie, session_id, wrap.after_reset(self._time))

    def _answer(self, wrap: SessionWrap, key: bytes, remote_id: bytes, payload: bytes, made_at: Nanos) -> Answer:
        cookie = self._cookies.make(key, remote_id, made_at)
        body = wire.build_control_body((0,), remote_id, 0, payload)
        return Answer(wrap.seal(wire.first_byte(wire.HARD_RESET_SERVER_V2, 0), cookie, body, self._time))
