"""Time-outs of flows, whether one is finished, and the wheel that finds the due ones without scanning the table.

RFC 4787 REQ-5 (UDP), RFC 5382 REQ-5 (TCP), RFC 5508 REQ-2 (ICMP), RFC 7857 section 2 (resets).
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from hognose.nat.flow import ANSWERED, CLOSING, RESET, Flow
from hognose.units import SECOND, Nanos
from hognose.wire import ipv4

UDP_TIMEOUT: Nanos = 300 * SECOND
DNS_TIMEOUT: Nanos = 30 * SECOND  # one question, one answer (RFC 4787 REQ-5 a allows it for well-known ports)
DNS_ANSWERED: Nanos = 5 * SECOND  # likewise, after the answer: resolvers that ask for A and AAAA at once wait as long
ICMP_TIMEOUT: Nanos = 60 * SECOND
TCP_TRANSITORY: Nanos = 240 * SECOND
TCP_ESTABLISHED: Nanos = 7440 * SECOND

_DNS = 53

GRANULARITY: Nanos = SECOND  # expiry is at most this late
EXPIRE_BATCH = 256  # flows looked at per call: the bound on a stall


def timeout(flow: Flow) -> Nanos:
    """Idle time after which this flow ends."""
    protocol = flow.mapping.protocol
    if protocol == ipv4.UDP:
        return DNS_TIMEOUT if flow.remote_port == _DNS else UDP_TIMEOUT
    if protocol == ipv4.ICMP:
        return ICMP_TIMEOUT
    state = flow.state
    if state & CLOSING == CLOSING or not state & ANSWERED:
        return TCP_TRANSITORY
    if flow.last_out <= flow.changed and (state & RESET or state == ANSWERED):
        # Nothing left the inside since the peer answered (half open), or since a reset: a forged reset costs
        # nothing as long as the connection is used (RFC 7857 section 2.2).
        return TCP_TRANSITORY
    return TCP_ESTABLISHED


def is_dns(flow: Flow) -> bool:
    """True for questions to a name server."""
    return flow.mapping.protocol == ipv4.UDP and flow.remote_port == _DNS


def is_finished(flow: Flow) -> bool:
    """True when the flow's purpose is over: a TCP connection that both sides have closed, or that one has reset.

    Also a question to a name server or an echo request with its answer, and nothing after it from inside.
    """
    state, protocol = flow.state, flow.mapping.protocol
    if protocol == ipv4.TCP:
        return state & CLOSING == CLOSING or bool(state & RESET and flow.last_out <= flow.changed)
    if protocol == ipv4.UDP and flow.remote_port != _DNS:
        return False
    return bool(state & ANSWERED) and flow.last_out <= flow.changed


def deadline(flow: Flow) -> Nanos:
    """Time at which the flow ends unless it is used again, from its last outbound packet or change of state.

    Each kind of change happens once per connection, so the outside cannot keep a flow alive; the answer of a name
    server brings the end forward.
    """
    if flow.mapping.protocol == ipv4.TCP:
        return max(flow.last_out, flow.changed) + timeout(flow)
    latest = flow.last_out + timeout(flow)
    return min(latest, flow.changed + DNS_ANSWERED) if is_dns(flow) and is_finished(flow) else latest


class Wheel:
    """Flows by the second in which they are to be looked at; at most one place per flow.

    Refreshing a flow costs nothing: it is moved when its old second comes. Buckets exist only while they hold flows or
    stand in the heap, so that there are at most 7441 (the longest time-out in seconds, plus one).
    """

    __slots__ = ("_buckets", "_order")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Flow, None]] = {}
        self._order: list[int] = []

    def add(self, flow: Flow, when: Nanos) -> None:
        """Put a flow that stands nowhere into the second after `when`."""
        number = when // GRANULARITY + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            heappush(self._order, number)
        bucket[flow] = None
        flow.bucket = number

    def remove(self, flow: Flow) -> None:
        """Take a flow out."""
        del self._buckets[flow.bucket][flow]

    def move(self, flow: Flow, when: Nanos) -> None:
        """Look at the flow at another time, earlier or later."""
        before = flow.bucket
        self.add(flow, when)
        if flow.bucket != before:
            del self._buckets[before][flow]

    def flows(self) -> list[Flow]:
        """All flows, bucket by bucket in the order of time, the one that is looked at last before the others."""
        return [flow for number in sorted(self._buckets) for flow in self._buckets[number]]

    def restore(self, flows: Iterable[Flow]) -> None:
        """Put flows that stand nowhere into the buckets that they name, in the order of `flows`."""
        for flow in flows:
            self.add(flow, (flow.bucket - 1) * GRANULARITY)

    def next_deadline(self) -> Nanos | None:
        """Start of the first occupied second."""
        while self._order and not self._buckets[self._order[0]]:
            del self._buckets[heappop(self._order)]
        return self._order[0] * GRANULARITY if self._order else None

    def take_due(self, now: Nanos, limit: int = EXPIRE_BATCH) -> list[Flow]:
        """At most `limit` flows whose second has come, taken out of the wheel."""
        due: list[Flow] = []
        while len(due) < limit:
            first = self.next_deadline()
            if first is None or first > now:
                break
            bucket = self._buckets[self._order[0]]
            while bucket and len(due) < limit:
                due.append(bucket.popitem()[0])
        return due
