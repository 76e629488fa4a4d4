"""Scheduling of peers before authentication: their tables, their turns, and their share of the processor's time.

Stages, each with a table of its own (hognose.base.fair_table says which entry is evicted from a full one):
  silent      handshake of TCP complete, no byte yet; hognose.tcp.silent, the least memory
  stranger    bytes, but no valid hard reset; a failed check leaves it here, unanswered, until FIRST_RECORD_NS are over
  handshake   a valid hard reset: it holds the tls-auth, tls-crypt or tls-crypt-v2 key where there is one; the session
              makes a TLS object with the first control message in order
  login       TLS is done and the authenticator has not answered: it takes no handshake's place
Work for strangers and handshakes is done in turns, one prefix after the other, within a share of the processor's time
while there is other work, so that a flood of ClientHellos costs tunnels no more than that share.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from hognose.base.fair_table import FairTable, prefix_of
from hognose.base.rate import FixedWindow
from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.limits import HandshakeLimits
from hognose.units import MS, SECOND, Nanos
from hognose.vpn.peer import Peer

BURST: Nanos = 20 * MS  # processor time that may be saved up
DEBT: Nanos = 50 * MS  # likewise, that may be owed: half a second of it at 10 %
AT_ONCE: Nanos = 5 * MS  # of it in one step, about: the longest wait of clients' packets


class HandshakeScheduler:
    """Tables and turns of unauthenticated peers; clock tells processor time, its differences only."""

    def __init__(self, limits: HandshakeLimits, counters: Counters, clock: Callable[[], Nanos], now: Nanos) -> None:
        self._counters = counters
        self._clock = clock
        self._percent = limits.percent_of_time
        self._strangers: FairTable[Peer] = FairTable(limits.strangers, limits.per_address, limits.per_prefix)
        self._handshakes: FairTable[Peer] = FairTable(limits.handshakes, limits.per_address, limits.per_prefix)
        self._logins: FairTable[Peer] = FairTable(limits.authenticating, limits.per_address, limits.per_prefix)
        self._queued: set[int] = set()  # transports of the peers in _turns
        self.turns: OrderedDict[bytes, deque[Peer]] = OrderedDict()  # prefix -> peers that wait for a turn
        self._credit = BURST
        self._credited_at = now
        self._began: Nanos = 0
        self._step: Nanos = now  # the time of the step that `_spent` belongs to
        self._spent: Nanos = 0
        self._greetings = FixedWindow(now)  # of connect-freq

    @property
    def busy(self) -> bool:
        """True while a peer waits for a turn."""
        return bool(self.turns)

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of strangers and handshakes."""
        return len(self._strangers), len(self._handshakes)

    @property
    def logins(self) -> int:
        """Number of logins that wait for a verdict."""
        return len(self._logins)

    # -- tables ----------------------------------------------------------------------------------------------------

    def add_stranger(self, peer: Peer) -> Peer | None:
        """Add a new connection that has sent bytes; returns the stranger evicted for it (STRANGER_CROWDED), if any."""
        evicted = self._strangers.add(_place(peer), peer)
        if evicted is None:
            return None
        self._counters.drop(DropReason.STRANGER_CROWDED)
        return evicted[1]

    def promote(self, peer: Peer, freq: tuple[int, int], now: Nanos) -> Peer | None:
        """Move a stranger with a valid hard reset to the handshakes; returns the one evicted (HANDSHAKE_CROWDED).

        freq: connect-freq's connections and seconds, (0, 0) without limit; PeerError(CONNECT_FREQ) beyond it
        (OpenVPN multi.c frequency_limit_event_allowed).
        """
        if self._strangers.remove(_place(peer)) is None:
            return None
        most, seconds = freq
        if seconds and self._greetings.count(now, seconds * SECOND) > most:
            raise PeerError(DropReason.CONNECT_FREQ, f"more than connect-freq's {most} in {seconds} seconds")
        return self._crowded(self._handshakes, peer)

    def await_verdict(self, peer: Peer) -> Peer | None:
        """Move a handshake to the logins that wait; returns the one evicted (HANDSHAKE_CROWDED), if any."""
        if self._handshakes.remove(_place(peer)) is None:
            return None
        return self._crowded(self._logins, peer)

    def _crowded(self, table: FairTable[Peer], peer: Peer) -> Peer | None:
        evicted = table.add(_place(peer), peer)
        if evicted is None:
            return None
        self._counters.drop(DropReason.HANDSHAKE_CROWDED)
        return evicted[1]

    def remove(self, peer: Peer) -> None:
        """Remove a peer that is a client now, or closed. Idempotent."""
        place = _place(peer)
        for table in (self._strangers, self._handshakes, self._logins):
            table.remove(place)

    def holds(self, peer: Peer) -> bool:
        """True for a peer that is not a client yet: it is served in turns."""
        place = _place(peer)
        return any(table.get(place) is peer for table in (self._strangers, self._handshakes, self._logins))

    # -- turns -----------------------------------------------------------------------------------------------------

    def enqueue(self, peer: Peer) -> None:
        """Queue a peer that has input for its turn, unless it is queued already."""
        if peer.transport.id in self._queued:
            return
        self._queued.add(peer.transport.id)
        self.turns.setdefault(prefix_of(peer.transport.key), deque()).append(peer)

    def is_queued(self, peer: Peer) -> bool:
        """True while a peer waits for its turn."""
        return peer.transport.id in self._queued

    def next_peer(self, now: Nanos, idle: bool) -> Peer | None:
        """Next peer to serve in the step at `now`; None when none waits or the share of time or AT_ONCE is spent.

        idle: a peer that waits is served in any case.
        """
        if now != self._step:
            self._step = now
            self._spent = 0
        earned = (now - self._credited_at) * self._percent // 100
        self._credit = min(BURST, self._credit + earned)
        self._credited_at = now
        if not self.turns or ((self._credit <= 0 or self._spent >= AT_ONCE) and not idle):
            return None
        prefix, waiting = self.turns.popitem(last=False)
        peer = waiting.popleft()
        if waiting:
            self.turns[prefix] = waiting  # after all other prefixes
        self._queued.discard(peer.transport.id)
        self._began = self._clock()
        return peer

    def next_turn_at(self, idle_at: Nanos) -> Nanos:
        """Time of the next turn while a peer waits; from idle_at on there is time in any case."""
        if self._credit > 0:
            return self._credited_at
        wait = (1 - self._credit) * 100 // self._percent + 1 if self._percent else idle_at
        return min(idle_at, self._credited_at + wait)

    def charge(self, idle: bool) -> None:
        """Charge the processor time of the turn that `next_peer` began; in idle time it is free.

        A turn that has taken very long is not paid to the end: DEBT is the most, so that the next one is waited for no
        longer than that takes to be earned.
        """
        cost = self._clock() - self._began
        self._spent += cost
        if not idle:
            self._credit = max(-DEBT, self._credit - cost)


def _place(peer: Peer) -> bytes:
    """The key of a peer in the tables; at its endpoint there may be another one, over datagrams or at another port."""
    transport = peer.transport
    return transport.key + transport.id.to_bytes(8, "big")
