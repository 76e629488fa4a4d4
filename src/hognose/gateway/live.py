"""The config in force, its replacement while clients are connected, and the timed work that belongs to no client."""

from __future__ import annotations

from hognose.config.changes import restart_directives, with_live_settings
from hognose.config.model import ServerConfig
from hognose.gateway.session_profile import make_profile
from hognose.limits import Limits
from hognose.units import SECOND, Nanos, UnixSeconds
from hognose.vpn.client_policy import ClientPolicy

CRL_CHECK_INTERVAL: Nanos = 3600 * SECOND
CRL_WARN_DAYS = 14
_DAY = 86_400


class LiveConfig:
    """config, profile and policy always belong together; a change replaces all three or none."""

    def __init__(self, config: ServerConfig, limits: Limits) -> None:
        self._limits = limits
        self.config = config
        self.profile = make_profile(config, limits)
        self.policy = ClientPolicy.of(config)

    def change(self, new: ServerConfig) -> list[str]:
        """Put the live part of a new config in force; returns the directives whose change needs a restart.

        ConfigError leaves everything as it was.
        """
        merged = with_live_settings(self.config, new)
        profile = make_profile(merged, self._limits)
        needs_restart = restart_directives(self.config, new)
        self.config, self.profile, self.policy = merged, profile, ClientPolicy.of(merged)
        return needs_restart


class PeriodicTasks:
    """Timed work not tied to a client: status lines, a check of the CRL's age."""

    def __init__(self, config: ServerConfig, now: Nanos) -> None:
        self._crl_at = now
        self._warned_at: UnixSeconds = 0
        self._status_at = now + config.status.status_interval_s * SECOND

    def next_deadline(self, config: ServerConfig) -> Nanos:
        """Time of the earliest task."""
        return min(self._crl_at, self._status_at) if config.status.status_interval_s else self._crl_at

    def status_due(self, config: ServerConfig, now: Nanos) -> bool:
        """True when status lines are due; the next ones are due an interval later."""
        if not config.status.status_interval_s or now < self._status_at:
            return False
        self._status_at = now + config.status.status_interval_s * SECOND
        return True

    def crl_warning(self, next_update: UnixSeconds | None, now: Nanos, unix: UnixSeconds) -> str:
        """A warning about a CRL that ends soon or has ended, once a day; "" when there is nothing to say."""
        if now < self._crl_at:
            return ""
        self._crl_at = now + CRL_CHECK_INTERVAL
        if next_update is None or unix - self._warned_at < _DAY or next_update - unix > CRL_WARN_DAYS * _DAY:
            return ""
        self._warned_at = unix
        if next_update <= unix:
            return "the CRL of crl-verify has expired: no client can connect any more; publish a new one"
        return f"the CRL of crl-verify ends in {(next_update - unix) // _DAY} days: then no client can connect any more"
