"""Settings, TLS context and bounds of all sessions of a server; the gateway makes them once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hognose.limits import OpenvpnLimits
from hognose.settings import ControlSettings, DataSettings, LivenessSettings, RenegotiationSettings, WrapSettings

if TYPE_CHECKING:
    from hognose.openvpn.tls.context import TlsContext


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """Settings of every session of one server, by the engine that reads them.

    push: the administrator's options for all clients; helpers: those that follow from other directives.
    """

    tls: TlsContext
    wrap: WrapSettings = field(default_factory=WrapSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    data: DataSettings = field(default_factory=DataSettings)
    liveness: LivenessSettings = field(default_factory=LivenessSettings)
    renegotiation: RenegotiationSettings = field(default_factory=RenegotiationSettings)
    push: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    link_protocol: str = "TCPv4_SERVER"
    limits: OpenvpnLimits = field(default_factory=OpenvpnLimits)
