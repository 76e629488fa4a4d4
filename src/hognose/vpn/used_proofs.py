"""Packets that have begun a session over datagrams: a copy of one begins no other while its cookie is good."""

from __future__ import annotations

from hognose.units import Nanos


class UsedProofs:
    """Address and session id of clients that a session was made for, the oldest first.

    Bound: `most` entries (DatagramLimits.used_proofs); then the oldest is forgotten.
    """

    def __init__(self, most: int, life: Nanos) -> None:
        """life: as long as a cookie is good."""
        self._most = most
        self._life = life
        self._until: dict[bytes, Nanos] = {}

    def __len__(self) -> int:
        """Entries, those included whose time is over since the last `add`."""
        return len(self._until)

    def add(self, name: bytes, now: Nanos) -> None:
        """Remember a client; name: its address and port as on the wire, and its session id."""
        until = self._until
        while until and (len(until) >= self._most or next(iter(until.values())) <= now):
            del until[next(iter(until))]
        until[name] = now + self._life

    def has(self, name: bytes, now: Nanos) -> bool:
        """True while the cookie of this client may be good."""
        return self._until.get(name, now) > now

    def forget(self, name: bytes) -> None:
        """Let a client come again by the same packet: its session made room for others. Idempotent."""
        self._until.pop(name, None)
