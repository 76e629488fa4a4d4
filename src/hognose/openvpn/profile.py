"""The settings of the server's configuration that a session needs, frozen; the gateway makes them once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hognose.limits import OpenvpnLimits

if TYPE_CHECKING:
    from hognose.openvpn.tls.context import TlsContext

WrapKind = Literal["none", "tls-auth", "tls-crypt"]
Compression = Literal["none", "comp-lzo", "stub", "stub-v2", "migrate"]


@dataclass(frozen=True, slots=True)
class WrapSettings:
    """The control channel's wrap: key is the 256 bytes of a static key file; direction the server's key-direction.

    v2_key: 128 bytes of a tls-crypt-v2 server key or b""; with kind "none" only tls-crypt-v2 clients are served.
    v2_max_age_days: client keys that are older are refused; 0: no limit.
    """

    kind: WrapKind = "none"
    key: bytes = b""
    direction: int | None = None
    digest: str = "SHA1"
    v2_key: bytes = b""
    v2_max_age_days: int = 0

    @property
    def v2_only(self) -> bool:
        """True when clients without a tls-crypt-v2 key are refused: a server with keys never talks without a wrap."""
        return bool(self.v2_key) and self.kind == "none"


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """Settings of every session of one server; times in seconds, 0 switches a timer off.

    push: the administrator's options for all clients; helpers: those that follow from other directives.
    ping_timeout is the server's own (2b of `keepalive a b`). reneg_s 0: only clients start renegotiations; a session
    draws its own interval between reneg_min_s and reneg_s. digest: of CBC data channels.
    """

    tls: TlsContext
    wrap: WrapSettings
    ciphers: tuple[str, ...] = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")
    fallback_cipher: str = ""
    digest: str = "SHA1"
    framing: Compression = "none"
    replay_window: int = 64
    replay_time_s: int = 15
    push: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    ping_s: int = 0
    ping_timeout_s: int = 0
    inactive_s: int = 0
    inactive_bytes: int = 0
    session_timeout_s: int = 0
    hand_window_s: int = 60
    tran_window_s: int = 3600
    reneg_s: int = 3600
    reneg_min_s: int = 3600
    reneg_bytes: int = 0
    reneg_packets: int = 0
    tls_timeout_s: int = 2
    max_packet_size: int = 1250
    tun_mtu: int = 1500
    link_protocol: str = "TCPv4_SERVER"
    limits: OpenvpnLimits = field(default_factory=OpenvpnLimits)
