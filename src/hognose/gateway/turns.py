"""The turns of clients with input: how much of it one step works on.

A step's records are shared out equally among the clients that have input; what is over stays in the client's receive
buffer, where its TCP window bounds it. With more clients than `records / records_least` those that come later wait for
the next step, in order. So neither what one client has held back and releases nor the number of clients makes a step
longer (bounds: limits.StepLimits).
"""

from __future__ import annotations

from collections import OrderedDict

from hognose.gateway.peers import Peer
from hognose.limits import StepLimits


class Turns:
    """Round robin over clients. Bound: one entry per client."""

    def __init__(self, limits: StepLimits) -> None:
        self._records = limits.records
        self._least = limits.records_least
        self._most = max(1, limits.records // limits.records_least)
        self._queue: OrderedDict[int, Peer] = OrderedDict()  # by connection id

    @property
    def busy(self) -> bool:
        """Input of a client waits for the next step."""
        return bool(self._queue)

    def add(self, peer: Peer) -> None:
        """A client has input; at the end of the queue unless it is in it already."""
        if peer.conn.id in self._queue:
            peer.conn.compact()  # it has to wait, and its sender may cut the stream into single bytes
        else:
            self._queue[peer.conn.id] = peer

    def begin(self) -> tuple[list[Peer], int]:
        """Drained: the clients whose turn this step is, and the records that each may have."""
        queue = self._queue
        count = len(queue)
        if count <= self._most:
            peers = list(queue.values())
            queue.clear()
        else:
            peers = [queue.popitem(last=False)[1] for _ in range(self._most)]
        return peers, max(self._least, self._records // count) if count else self._records
