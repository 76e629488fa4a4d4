"""The wraps of one session: its first packet chooses one, the key id of a packet selects one afterwards.

Key id 0 is under the static key (tls-auth, tls-crypt) or the client's own (tls-crypt-v2); with dynamic tls-crypt the
key ids from 1 on are under a key that the first TLS connection gave (OpenVPN tls_crypt.c, ssl_pkt.c).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.misconfiguration import explain_first_packet
from hognose.openvpn.control.tls_crypt_v2 import split_wrapped_key, unwrap_client_key
from hognose.openvpn.control.wrap import ControlWrap, PlainWrap, TlsCryptWrap, WrapState, make_wrap
from hognose.settings import WrapSettings
from hognose.units import UnixSeconds
from hognose.wire.openvpn import CONTROL_WKC_V1, HARD_RESET_CLIENT_V2, HARD_RESET_CLIENT_V3

Opened = tuple[bytes, bytes]  # sender's session id, body
DYNAMIC_LABEL = "EXPORTER-OpenVPN-dynamic-tls-crypt"
DYNAMIC_LEN = 256


@dataclass(frozen=True, slots=True)
class SessionWrapState:
    """SessionWrap as plain data; dynamic_key: 256 bytes, b"" without dynamic tls-crypt."""

    kind: str
    metadata: str
    base_key: bytes
    base: WrapState
    dynamic_key: bytes
    dynamic: WrapState


class SessionWrap:
    """kind is tls-auth, tls-crypt, tls-crypt-v2 or none; metadata describes a tls-crypt-v2 client key, else ""."""

    def __init__(self, settings: WrapSettings) -> None:
        self._settings = settings
        self._base: ControlWrap = PlainWrap()
        self._base_key = b""  # 256 bytes, b"" without a wrap
        self._dynamic: TlsCryptWrap | None = None
        self._dynamic_key = b""
        self.kind: str = "none"
        self.metadata = ""

    @property
    def overhead(self) -> int:
        """Bytes that the widest wrap in use adds to op, session id and body."""
        return max(self._base.overhead, self._dynamic.overhead if self._dynamic is not None else 0)

    @property
    def dynamic(self) -> bool:
        """Dynamic tls-crypt is in use."""
        return self._dynamic is not None

    def open_first(self, record: bytes, unix: UnixSeconds) -> Opened:
        """Open the hard reset that begins a session.

        PeerError(NO_HARD_RESET, BAD_CONTROL_PACKET, BAD_HMAC or CLIENT_KEY_TOO_OLD) tells the administrator the change
        to make, and on which side.
        """
        if record[0] >> 3 not in (HARD_RESET_CLIENT_V2, HARD_RESET_CLIENT_V3):
            raise PeerError(DropReason.NO_HARD_RESET, explain_first_packet(self._settings, record))
        return self.open_stateless(record, unix)

    def open_stateless(self, record: bytes, unix: UnixSeconds) -> Opened:
        """Open a record that may be the first one or the one after it; PeerError as `open_first`.

        Its opcode chooses the wrap: HARD_RESET_CLIENT_V3 and CONTROL_WKC_V1 bring a client key of tls-crypt-v2.
        """
        if self._settings.v2_key and record[0] >> 3 in (HARD_RESET_CLIENT_V3, CONTROL_WKC_V1):
            return self._open_v3(record, unix)
        if self._settings.v2_only or record[0] >> 3 in (HARD_RESET_CLIENT_V3, CONTROL_WKC_V1):
            raise PeerError(DropReason.NO_HARD_RESET, explain_first_packet(self._settings, record))
        self._base = make_wrap(self._settings)
        self._base_key = self._settings.key
        self.kind = self._settings.kind
        opened = self._base.open(record)
        if isinstance(opened, DropReason):
            raise PeerError(opened, explain_first_packet(self._settings, record))
        return opened

    def _open_v3(self, record: bytes, unix: UnixSeconds) -> Opened:
        parts = split_wrapped_key(record)
        if parts is None:
            raise PeerError(DropReason.BAD_CONTROL_PACKET, "tls-crypt-v2: the wrapped client key has no valid length")
        client = unwrap_client_key(self._settings.v2_key, parts[1])
        if client is None:
            text = "tls-crypt-v2: the client's key was not made with this server key; make one from the key in use"
            raise PeerError(DropReason.BAD_HMAC, text)
        self.metadata = client.describe()
        if client.too_old(self._settings.v2_max_age_days, unix):
            text = f"tls-crypt-v2: the client's key ({self.metadata}) is older than tls-crypt-v2-max-age allows"
            raise PeerError(DropReason.CLIENT_KEY_TOO_OLD, f"{text}; make a new one")
        self._base = TlsCryptWrap(client.key)
        self._base_key = client.key
        self.kind = "tls-crypt-v2"
        opened = self._base.open(parts[0])
        if isinstance(opened, DropReason):
            raise PeerError(opened, "tls-crypt-v2: the packet does not belong to the client key in it")
        return opened

    def open(self, record: bytes) -> Opened | DropReason:
        """Open a later record; BAD_OPCODE, BAD_CONTROL_PACKET, BAD_HMAC or CONTROL_REPLAY when it is none of ours.

        A repeated client key is cut off and not looked at: a session has one (CVE-2025-2704).
        """
        if record[0] >> 3 in (HARD_RESET_CLIENT_V3, CONTROL_WKC_V1):
            if self.kind != "tls-crypt-v2":
                return DropReason.BAD_OPCODE
            parts = split_wrapped_key(record)
            if parts is None:
                return DropReason.BAD_CONTROL_PACKET
            record = parts[0]
        if self._dynamic is None:
            return self._base.open(record)
        if record[0] & 7:
            return self._dynamic.open(record)
        # OpenVPN 3 sends EXIT with key id 0 under the dynamic key (openvpn3 openvpn/ssl/proto.hpp). Without a wrap any
        # packet opens, so that the key is asked first.
        first, second = (self._dynamic, self._base) if self.kind == "none" else (self._base, self._dynamic)
        opened = first.open(record)
        if isinstance(opened, DropReason):
            again = second.open(record)
            return opened if isinstance(again, DropReason) else again
        return opened

    def seal(self, first: int, session_id: bytes, body: bytes, unix: UnixSeconds) -> bytes:
        """A record; the key id in its first byte chooses the wrap."""
        wrap = self._dynamic if self._dynamic is not None and first & 7 else self._base
        return wrap.seal(first, session_id, body, unix)

    def after_reset(self, time: UnixSeconds) -> SessionWrap:
        """The wrap of the session that follows a stateless exchange under the same key.

        Our hard reset has left as packet id 1 of `time`; nothing that has come counts as received (OpenVPN ssl_pkt.c
        tls_pre_decrypt_lite works on a copy too).
        """
        wrap = SessionWrap(self._settings)
        wrap.restore(replace(self.export(), base=WrapState(last_id=1, time=time)))
        return wrap

    def use_dynamic(self, exported: bytes) -> None:
        """Use dynamic tls-crypt from the 256 exported bytes of the first TLS connection; once per session."""
        if self._dynamic is None:
            base = self._base_key or bytes(DYNAMIC_LEN)
            key = int.from_bytes(base, "big") ^ int.from_bytes(exported, "big")
            self._dynamic_key = key.to_bytes(DYNAMIC_LEN, "big")
            self._dynamic = TlsCryptWrap(self._dynamic_key)

    def export(self) -> SessionWrapState:
        """Keys and packet ids as plain data, for `restore`."""
        dynamic = WrapState() if self._dynamic is None else self._dynamic.export()
        return SessionWrapState(
            self.kind, self.metadata, self._base_key, self._base.export(), self._dynamic_key, dynamic
        )

    def restore(self, state: SessionWrapState) -> None:
        """Go on after the packets of another session; direction and digest of tls-auth are those of the settings."""
        self.kind, self.metadata, self._base_key = state.kind, state.metadata, state.base_key
        if state.kind == "tls-auth":
            self._base = make_wrap(replace(self._settings, kind="tls-auth", key=state.base_key))
        elif state.kind != "none":
            self._base = TlsCryptWrap(state.base_key)
        self._base.restore(state.base)
        if state.dynamic_key:
            self._dynamic_key = state.dynamic_key
            self._dynamic = TlsCryptWrap(state.dynamic_key)
            self._dynamic.restore(state.dynamic)
