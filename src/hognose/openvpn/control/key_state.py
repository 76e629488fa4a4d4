"""One negotiation of keys: a key id, its reliability layer, its TLS connection, its key exchange messages.

A session has one for its first keys and one more for each renegotiation (OpenVPN ssl.c struct key_state).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control import key_exchange
from hognose.openvpn.control.agreement import options_string
from hognose.openvpn.control.key_exchange import ClientKeyMessage, ServerKeyMessage
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.control.reliability import Reliability, ReliabilityState
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.tls.context import TlsContext
from hognose.openvpn.tls.openssl_endpoint import TlsEndpoint
from hognose.units import SECOND, Nanos, Random, UnixSeconds
from hognose.wire.openvpn import CONTROL_V1, CONTROL_WKC_V1

# Op, session id, four acknowledgements with their session id, message id: the bytes around TLS bytes in a control
# packet besides its wrap, which are not to make it longer than max-packet-size.
_AROUND = 1 + 8 + 1 + 4 * 4 + 8 + 4
_LEAST_CHUNK = 32


class Stage(IntEnum):
    """The stage of a negotiation (OpenVPN's S_ states that a server passes through)."""

    RESET = 0  # our reset is out
    TLS = 1  # the TLS handshake runs
    AUTHENTICATED = 2  # TLS done, the client's key message is here
    SENT_KEY = 3  # ours is queued
    ACTIVE = 4  # ours was acknowledged: both have all they need


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """The certificate that a client has shown: name, SHA-256 of it, and its DER chain, the client's own first."""

    common_name: str = ""
    certificate_sha256: bytes = b""
    chain: tuple[bytes, ...] = ()

    @property
    def certificate(self) -> tuple[str, bytes]:
        """Name and SHA-256: the same client again has the same ones."""
        return self.common_name, self.certificate_sha256


NO_IDENTITY = ClientIdentity()


class KeyState:
    """State of one negotiation.

    Bounds (OpenvpnLimits) on input of the peer until it is ACTIVE: `handshake_bytes` of TLS, which is also as much as
    OpenSSL and an unfinished key message keep, and `handshake_messages`; at any time `control_queue_bytes` of TLS
    output that it causes and does not acknowledge.
    """

    def __init__(
        self, profile: ServerProfile, key_id: int, started_at: Nanos, messages: MessageReader, wrap_overhead: int
    ) -> None:
        self.key_id = key_id
        self.started_at = started_at
        self.stage = Stage.RESET
        self.reliability = Reliability(
            profile.limits, profile.control.tls_timeout_s * SECOND, probes=profile.proto == "udp"
        )
        self.tls: TlsEndpoint | None = None
        self.client: ClientKeyMessage | None = None
        self.server: ServerKeyMessage | None = None
        self._profile = profile
        self._messages = messages
        self._chunk = max(_LEAST_CHUNK, profile.control.max_packet_size - _AROUND - wrap_overhead)
        self._restored = NO_IDENTITY  # of a negotiation whose TLS connection is in another process
        self._plaintext = b""
        self._tls_bytes = 0
        self._taken = 0

    def judged_by(self, tls: TlsContext) -> bool:
        """True when this context judged the client's certificate, false for a context from before a reload."""
        return self._profile.tls is tls

    @property
    def identity(self) -> ClientIdentity:
        """The client's certificate; an empty one before TLS is done."""
        tls = self.tls
        if tls is None:
            return self._restored
        if not tls.handshake_done:
            return NO_IDENTITY
        return ClientIdentity(tls.common_name, tls.certificate_sha256, tls.peer_chain)

    @property
    def common_name(self) -> str:
        """The client's name by its certificate; "" before TLS is done."""
        return self.identity.common_name

    def restore(self, identity: ClientIdentity, reliability: ReliabilityState) -> None:
        """Become an ACTIVE negotiation without its TLS: it acknowledges what comes, and acts on none of it."""
        self.stage = Stage.ACTIVE
        self._restored = identity
        self.reliability.restore(reliability)

    def take(self, unix: UnixSeconds) -> tuple[list[str], bool]:
        """Take the next message in order: control strings that came with it, and True when TLS had a flight to do.

        Bytes that TLS only keeps, because its peer's flight is not complete, cost next to nothing and are no flight;
        after the handshake every message is one. PeerError when TLS or the key exchange fails, or a bound is reached;
        TLS output (an alert) is queued even then.
        """
        message = self.reliability.take()
        if message is None:
            return [], False
        if self.stage < Stage.ACTIVE:
            self._taken += 1
            if self._taken > self._profile.limits.handshake_messages:
                raise PeerError(DropReason.TLS_ERROR, "the handshake has too many messages")
        opcode, payload = message
        if opcode not in (CONTROL_V1, CONTROL_WKC_V1) or not payload:
            return [], False
        if self.tls is None:
            if self.stage is Stage.ACTIVE:  # restored
                return [], False
            self.tls = self._profile.tls.accept(unix)
            self.stage = Stage.TLS
        if self.stage < Stage.ACTIVE:
            self._tls_bytes += len(payload)
            if self._tls_bytes > self._profile.limits.handshake_bytes:
                raise PeerError(DropReason.TLS_ERROR, "the handshake is too long")
        flight = False
        try:
            self.tls.receive(payload)
            plaintext = self.tls.read() if self.tls.handshake_done else b""
        finally:
            flight = self.flush()
        limits = self._profile.limits
        most = limits.control_queue_bytes if self.tls.handshake_done else limits.handshake_bytes  # with our own chain
        if flight and self.reliability.waiting_bytes > most:
            raise PeerError(DropReason.CONTROL_QUEUE_FULL, "the client makes TLS answer and does not take the answers")
        if not self.tls.handshake_done:
            return [], flight
        return self._read(plaintext), True

    def _read(self, plaintext: bytes) -> list[str]:
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
        self.write(self.server.build(options_string(self._profile, cipher)))
        self.stage = Stage.SENT_KEY

    def write(self, plaintext: bytes) -> None:
        """Queue one TLS record."""
        assert self.tls is not None
        self.tls.write(plaintext)
        self.flush()

    def send_message(self, text: str) -> None:
        """Queue one control string."""
        self.write(text.encode() + b"\0")

    def flush(self) -> bool:
        """Cut TLS output into control messages; False when there is none."""
        data = self.tls.take_output() if self.tls is not None else b""
        for start in range(0, len(data), self._chunk):
            self.reliability.queue(CONTROL_V1, data[start : start + self._chunk])
        return bool(data)

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
