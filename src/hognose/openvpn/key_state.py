"""One negotiation of keys: a key id, its reliability layer, its TLS connection, its key exchange messages.

A session has one for its first keys and one more for each renegotiation (OpenVPN ssl.c struct key_state).
"""

from __future__ import annotations

from enum import IntEnum

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn import key_exchange, negotiation
from hognose.openvpn.control_messages import MessageReader
from hognose.openvpn.key_exchange import ClientKeyMessage, ServerKeyMessage
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.reliability import Reliability
from hognose.openvpn.tls import TlsContext, TlsEndpoint
from hognose.units import SECOND, Nanos, Random, UnixSeconds
from hognose.wire.openvpn import CONTROL_V1, CONTROL_WKC_V1

# Op, session id, four acknowledgements with their session id, message id: what stands around TLS bytes in a control
# packet besides its wrap, and is not to make it longer than max-packet-size.
_AROUND = 1 + 8 + 1 + 4 * 4 + 8 + 4
_LEAST_CHUNK = 32


class Stage(IntEnum):
    """How far a negotiation has come (OpenVPN's S_ states that a server passes through)."""

    RESET = 0  # our reset is out
    TLS = 1  # the TLS handshake runs
    AUTHENTICATED = 2  # TLS done, the client's key message is here
    SENT_KEY = 3  # ours is queued
    ACTIVE = 4  # ours was acknowledged: both have all they need


class KeyState:
    """State of one negotiation. Bound: `handshake_bytes` TLS bytes from the peer until it is ACTIVE."""

    def __init__(
        self, profile: ServerProfile, key_id: int, started_at: Nanos, messages: MessageReader, wrap_overhead: int
    ) -> None:
        self.key_id = key_id
        self.started_at = started_at
        self.stage = Stage.RESET
        self.reliability = Reliability(profile.limits, profile.tls_timeout_s * SECOND)
        self.tls: TlsEndpoint | None = None
        self.client: ClientKeyMessage | None = None
        self.server: ServerKeyMessage | None = None
        self._profile = profile
        self._messages = messages
        self._chunk = max(_LEAST_CHUNK, profile.max_packet_size - _AROUND - wrap_overhead)
        self._plaintext = b""
        self._tls_bytes = 0

    def judged_by(self, tls: TlsContext) -> bool:
        """Whether the client's certificate was judged by this context, and not by one from before a reload."""
        return self._profile.tls is tls

    @property
    def common_name(self) -> str:
        """Of the client's certificate; "" before TLS is done."""
        return self.tls.common_name if self.tls is not None else ""

    def receive(self, opcode: int, payload: bytes, unix: UnixSeconds) -> list[str]:
        """One in-order control message; returns control strings that came with it.

        PeerError when TLS or the key exchange fails; TLS output (an alert) is queued even then.
        """
        if opcode not in (CONTROL_V1, CONTROL_WKC_V1) or not payload:
            return []
        if self.tls is None:
            self.tls = self._profile.tls.accept(unix)
            self.stage = Stage.TLS
        if self.stage < Stage.ACTIVE:
            self._tls_bytes += len(payload)
            if self._tls_bytes > self._profile.limits.handshake_bytes:
                raise PeerError(DropReason.TLS_ERROR, "the handshake is too long")
        try:
            self.tls.receive(payload)
            if not self.tls.handshake_done:
                return []
            plaintext = self.tls.read()
        finally:
            self.flush()
        if self.client is not None:
            return self._messages.feed(plaintext)
        self._plaintext += plaintext
        self.client = key_exchange.parse_client_message(self._plaintext)
        if self.client is None:
            return []
        self.stage = Stage.AUTHENTICATED
        rest = self._plaintext[self.client.length :]
        self._plaintext = b""
        return self._messages.feed(rest)

    def answer(self, random: Random, cipher: str | None) -> None:
        """Queue our key message."""
        self.server = ServerKeyMessage.fresh(random)
        self.write(self.server.build(negotiation.options_string(self._profile, cipher)))
        self.stage = Stage.SENT_KEY

    def write(self, plaintext: bytes) -> None:
        """Queue one TLS record."""
        assert self.tls is not None
        self.tls.write(plaintext)
        self.flush()

    def send_message(self, text: str) -> None:
        """Queue one control string."""
        self.write(text.encode() + b"\0")

    def flush(self) -> None:
        """Cut TLS output into control messages."""
        if self.tls is None:
            return
        data = self.tls.take_output()
        for start in range(0, len(data), self._chunk):
            self.reliability.queue(CONTROL_V1, data[start : start + self._chunk])

    def progress(self) -> bool:
        """True once, when our key message was acknowledged and the keys may be made."""
        if self.stage is Stage.SENT_KEY and self.reliability.idle:
            self.stage = Stage.ACTIVE
            return True
        return False

    def data_keys(self, client_sid: bytes, server_sid: bytes, use_export: bool) -> bytes:
        """256 bytes of data-channel keys."""
        assert self.tls is not None
        assert self.client is not None
        assert self.server is not None
        if use_export:
            return self.tls.export(key_exchange.EKM_LABEL, key_exchange.KEYS_LEN)
        return key_exchange.prf_keys(self.client, self.server, client_sid, server_sid)
