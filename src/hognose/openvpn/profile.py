"""Everything that a session needs to know of the server's configuration, frozen; the gateway makes it once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hognose.limits import OpenvpnLimits

if TYPE_CHECKING:
    from hognose.openvpn.tls import TlsContext

WrapKind = Literal["none", "tls-auth", "tls-crypt"]


@dataclass(frozen=True, slots=True)
class WrapSettings:
    """The control channel's wrap: key is the 256 bytes of a static key file; direction the server's key-direction."""

    kind: WrapKind = "none"
    key: bytes = b""
    direction: int | None = None
    digest: str = "SHA1"


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """Settings of every session of one server; times in seconds, 0 switches a timer off.

    push: options for all clients, before the per-client ones. ping_timeout is the server's own (2b of `keepalive a b`);
    ping and ping_restart are what is pushed. reneg_s 0: only clients start renegotiations.
    """

    tls: TlsContext
    wrap: WrapSettings
    ciphers: tuple[str, ...] = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")
    push: tuple[str, ...] = ()
    ping_s: int = 0
    ping_timeout_s: int = 0
    hand_window_s: int = 60
    tran_window_s: int = 3600
    reneg_s: int = 3600
    tls_timeout_s: int = 2
    tun_mtu: int = 1500
    link_protocol: str = "TCPv4_SERVER"
    limits: OpenvpnLimits = field(default_factory=OpenvpnLimits)
