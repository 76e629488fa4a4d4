"""The profile of all sessions: a config's settings with what follows from several of them."""

from __future__ import annotations

from hognose.address import address_text
from hognose.config.model import ServerConfig
from hognose.limits import Limits
from hognose.openvpn.profile import FOR_STREAMS, ServerProfile
from hognose.openvpn.tls.context import TlsContext


def make_profile(config: ServerConfig, limits: Limits) -> ServerProfile:
    """The profile; ConfigError when TLS cannot be set up with the settings."""
    return ServerProfile(
        tls=TlsContext(config.tls),
        wrap=config.wrap,
        control=config.control,
        data=config.data,
        liveness=config.liveness,
        renegotiation=config.renegotiation,
        push=config.admission.push,
        helpers=_helpers(config),
        limits=limits.openvpn,
    )


def _helpers(config: ServerConfig) -> tuple[str, ...]:
    """Pushes that follow from `server`, `keepalive` and our TCP (OpenVPN helper.c)."""
    helpers = [f"route-gateway {address_text(config.network.server_address)}", "topology subnet"]
    if config.liveness.ping_s:
        helpers.append(f"ping {config.liveness.ping_s}")
    if config.liveness.push_ping_restart_s:
        helpers.append(f"ping-restart {config.liveness.push_ping_restart_s}")
    helpers.append(FOR_STREAMS)
    return tuple(helpers)
