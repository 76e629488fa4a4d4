"""Rate limits: a token bucket, and counts in fixed windows. `now` is an argument; an event allocates nothing.

| user | limit | made of |
|---|---|---|
| ip/icmp_errors | ICMP of ours, in all and per client (RFC 1812 section 4.3.2.8); errors that come | TokenBucket |
| ip/fragments | datagrams of strangers that are begun | TokenBucket |
| ip/neighbor | answers by ARP, to all that are not on the link and per sender | FixedWindow, KeyedWindow |
| openvpn/data/epoch | epochs that a peer may make us derive | TokenBucket of epochs |
| host/output | bytes to a console whose write waits for its reader | TokenBucket of bytes |
| tcp/arrival | challenge ACKs of a connection (RFC 5961 section 7) | FixedWindow |
| tcp/export | the same, in the exported state of a connection | FixedWindow |
| vpn/handshake_scheduler | connect-freq (OpenVPN multi.c frequency_limit_event_allowed) | FixedWindow |
| openvpn/renegotiation | renegotiations that a client begins | FixedWindow |
| tcp/no_connection | answers to segments of no connection, per group of sources | KeyedWindow |
| base/journal | log lines about peers, per kind | KeyedWindow |
| vpn/initial_rate | packets of no session, per prefix and in all (connect-freq-initial) | FixedWindow, KeyedWindow |
| vpn/datagram_sieve | datagrams of no session, beyond which they are filtered before a step | FixedWindow |
| vpn/look_time | processor time for packets of no session | TokenBucket of nanoseconds |

Two limits have code of their own. router/syn_sieve: budgets of a rate that falls while the flood lasts, spent inside
the loop over frames. vpn/handshake_scheduler: a share of the processor's time, paid after it was used.
"""

from __future__ import annotations

from collections.abc import Hashable

from hognose.units import SECOND, Nanos


class TokenBucket:
    """Tokens that are earned at a constant rate, up to `burst` of them; full at the beginning.

    Only whole tokens are earned, and when some are, the time that has gone into the next one is lost: who asks now and
    then gets a little less than per_second, never more.
    """

    __slots__ = ("_earned_at", "_per_second", "_tokens", "burst")

    def __init__(self, per_second: int, burst: int, now: Nanos) -> None:
        self._per_second = per_second
        self.burst = burst
        self._tokens = burst
        self._earned_at = now

    def available(self, now: Nanos) -> int:
        """Tokens that can be spent at `now`."""
        earned = (now - self._earned_at) * self._per_second // SECOND
        if earned > 0:
            self._tokens = min(self.burst, self._tokens + earned)
            self._earned_at = now
        return self._tokens

    def spend(self, tokens: int) -> None:
        """Take tokens that are available."""
        self._tokens -= tokens

    def take(self, tokens: int, now: Nanos) -> bool:
        """Take all of these tokens, or none and return False."""
        if tokens > self.available(now):
            return False
        self._tokens -= tokens
        return True


class FixedWindow:
    """Events counted in windows of time; the first event after the end of a window begins the next one."""

    __slots__ = ("_began_at", "_count")

    def __init__(self, began_at: Nanos) -> None:
        self._began_at = began_at
        self._count = 0

    def count(self, now: Nanos, length: Nanos = SECOND, events: int = 1) -> int:
        """Take note of an event, or several, and return its number within its window; length: of the window."""
        if now - self._began_at >= length:
            self._began_at = now
            self._count = 0
        self._count += events
        return self._count


class KeyedWindow:
    """Events of several kinds counted in windows of one second that all keys share. Bound: one entry per key."""

    __slots__ = ("_began_at", "_counts")

    def __init__(self, began_at: Nanos) -> None:
        self._began_at = began_at
        self._counts: dict[Hashable, int] = {}

    def begins(self, now: Nanos) -> bool:
        """Begin a window at `now` if the one before is over; to be called before `count`."""
        if now - self._began_at < SECOND:
            return False
        self._began_at = now
        self._counts.clear()
        return True

    def __len__(self) -> int:
        """Number of keys in the window."""
        return len(self._counts)

    def knows(self, key: Hashable) -> bool:
        """True when this key has an event in the window."""
        return key in self._counts

    def count(self, key: Hashable) -> int:
        """Take note of an event of this key and return its number within the window."""
        number = self._counts[key] = self._counts.get(key, 0) + 1
        return number
