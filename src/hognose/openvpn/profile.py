"""Settings, TLS context and bounds of all sessions of a server; the gateway makes them once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hognose.limits import OpenvpnLimits
from hognose.settings import ControlSettings, DataSettings, LivenessSettings, RenegotiationSettings, WrapSettings
from hognose.vocabulary import Proto

if TYPE_CHECKING:
    from hognose.openvpn.tls.context import TlsContext

FOR_STREAMS = "socket-flags TCP_NODELAY"  # pushed over TCP only; OpenVPN's `tcp-nodelay` pushes the same (helper.c)


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """Settings of every session of one server, by the engine that reads them.

    push: the administrator's options for all clients; helpers: those that follow from other directives. proto: of the
    sessions' transport.
    """

    tls: TlsContext
    wrap: WrapSettings = field(default_factory=WrapSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    data: DataSettings = field(default_factory=DataSettings)
    liveness: LivenessSettings = field(default_factory=LivenessSettings)
    renegotiation: RenegotiationSettings = field(default_factory=RenegotiationSettings)
    push: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    proto: Proto = "tcp"
    limits: OpenvpnLimits = field(default_factory=OpenvpnLimits)

    def by_proto(self) -> dict[Proto, ServerProfile]:
        """The same settings for the sessions of each transport."""
        return {"udp": self.over("udp"), "tcp": self.over("tcp")}

    def over(self, proto: Proto) -> ServerProfile:
        """The same settings for sessions over this transport, without pushes that are for another one."""
        helpers = self.helpers if proto == "tcp" else tuple(one for one in self.helpers if one != FOR_STREAMS)
        return replace(self, proto=proto, helpers=helpers)
