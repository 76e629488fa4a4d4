"""The times of new keys: by time, by use, because a key is worn out (OpenVPN ssl.c)."""

from __future__ import annotations

from hognose.base.rate import FixedWindow
from hognose.openvpn.data.keyring import Keyring
from hognose.settings import RenegotiationSettings
from hognose.units import SECOND, Nanos, Random

# A client cannot make us negotiate more often: each negotiation costs a TLS handshake (the class of CVE-2011-1473).
CLIENT_INTERVAL: Nanos = 10 * SECOND
LOOK_INTERVAL: Nanos = 60 * SECOND  # interval at which a session's keys are looked at besides


class RenegotiationClock:
    """The clock of one session; the interval is drawn anew for every key, so that clients do not come all at once."""

    __slots__ = ("_by_client", "_counts", "_interval", "_looked_at", "_random", "last")

    def __init__(self, settings: RenegotiationSettings, random: Random, now: Nanos) -> None:
        self._random = random
        self._counts = bool(settings.reneg_bytes or settings.reneg_packets)
        self._by_client = FixedWindow(-CLIENT_INTERVAL)
        self._looked_at = now
        self.restart(settings, now)

    def restart(self, settings: RenegotiationSettings, now: Nanos) -> None:
        """Count the time from here: a negotiation has begun, or has failed."""
        self.last = now
        low, high = settings.least_s, settings.reneg_s
        span = (high - low) * SECOND
        self._interval = low * SECOND + (int.from_bytes(self._random(7), "big") % span if span else 0)

    def look_at(self, settings: RenegotiationSettings, under_way: bool) -> Nanos:
        """Time at which `due` is to be asked again; keys wear without a timer, so it is never far away."""
        look = self._looked_at + LOOK_INTERVAL
        due = self.last + self._interval
        if under_way or not settings.reneg_s or due <= self._looked_at:
            return look
        return min(look, due)

    def due(self, settings: RenegotiationSettings, data: Keyring, now: Nanos) -> bool:
        """True when new keys are wanted now."""
        self._looked_at = now
        return bool(settings.reneg_s and now - self.last >= self._interval) or self.used_up(settings, data)

    def used_up(self, settings: RenegotiationSettings, data: Keyring) -> bool:
        """True when reneg-bytes, reneg-pkts, or the key's own limits are reached; cheap, for every batch."""
        if data.worn_out:
            return True
        if not self._counts:
            return False
        return bool(
            (settings.reneg_bytes and data.key_bytes >= settings.reneg_bytes)
            or (settings.reneg_packets and data.key_packets >= settings.reneg_packets)
        )

    def client_may(self, now: Nanos) -> bool:
        """Note that the client asks for new keys; False when it does so too often."""
        return self._by_client.count(now, CLIENT_INTERVAL) == 1
