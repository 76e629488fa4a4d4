"""The end of idle sessions: keepalive, inactive, session-timeout (OpenVPN ping.c, forward.c)."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import DropReason
from hognose.settings import LivenessSettings
from hognose.units import SECOND, Nanos

_INACTIVE_STEPS = 8  # looks of `inactive` at the byte counters in its span; traffic itself costs nothing


@dataclass(frozen=True, slots=True)
class LivenessState:
    """Liveness as plain data: times in the clock of its caller."""

    last_received: Nanos
    last_sent: Nanos
    started_at: Nanos
    active_at: Nanos
    bytes_at_active: int
    look_at: Nanos


class Liveness:
    """Clocks of one session. last_received counts authentic packets only, last_sent everything."""

    __slots__ = ("_active_at", "_bytes_at_active", "_look_at", "_started_at", "last_received", "last_sent")

    def __init__(self, now: Nanos) -> None:
        self.last_received = now
        self.last_sent = now
        self._started_at = now  # of the established session
        self._active_at = now
        self._bytes_at_active = 0
        self._look_at = now

    def established(self, now: Nanos) -> None:
        """Begin inactive and session-timeout: the data channel works from now on."""
        self._started_at = self._active_at = self._look_at = now

    def export(self) -> LivenessState:
        """The times as plain data, for `restore`."""
        return LivenessState(
            self.last_received, self.last_sent, self._started_at, self._active_at, self._bytes_at_active, self._look_at
        )

    def restore(self, state: LivenessState) -> None:
        """Go on with the times of another session."""
        self.last_received, self.last_sent = state.last_received, state.last_sent
        self._started_at, self._active_at = state.started_at, state.active_at
        self._bytes_at_active, self._look_at = state.bytes_at_active, state.look_at

    def ping_due(self, settings: LivenessSettings, now: Nanos) -> bool:
        """True when nothing was sent for `ping` seconds."""
        return bool(settings.ping_s) and now - self.last_sent >= settings.ping_s * SECOND

    def deadlines(self, settings: LivenessSettings) -> list[Nanos]:
        """Times at which `over` or `ping_due` may change their answer."""
        times = []
        if settings.ping_s:
            times.append(self.last_sent + settings.ping_s * SECOND)
        if settings.ping_timeout_s:
            times.append(self.last_received + settings.ping_timeout_s * SECOND)
        if settings.session_timeout_s:
            times.append(self._started_at + settings.session_timeout_s * SECOND)
        if settings.inactive_s:
            times.append(self._look_at + settings.inactive_s * SECOND // _INACTIVE_STEPS)
        return times

    def over(self, settings: LivenessSettings, traffic: int, now: Nanos) -> tuple[DropReason, str] | None:
        """The reason to end the session now, or None; traffic: inner bytes both ways so far, pings not counted."""
        if settings.ping_timeout_s and now - self.last_received >= settings.ping_timeout_s * SECOND:
            return DropReason.PEER_TIMEOUT, "nothing was received within the keepalive time"
        if settings.session_timeout_s and now - self._started_at >= settings.session_timeout_s * SECOND:
            return DropReason.SESSION_TIMEOUT, "session-timeout has passed"
        if settings.inactive_s and now - self._look_at >= settings.inactive_s * SECOND // _INACTIVE_STEPS:
            self._look_at = now
            # OpenVPN forward.h register_activity: less than inactive_bytes in the whole span is no activity.
            if traffic - self._bytes_at_active >= max(1, settings.inactive_bytes):
                self._active_at, self._bytes_at_active = now, traffic
            elif now - self._active_at >= settings.inactive_s * SECOND:
                return DropReason.INACTIVE, "no traffic within the time of `inactive`"
        return None
