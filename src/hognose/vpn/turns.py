"""Turns of clients with input: the share of a step that each of them gets.

What a step may cost is shared out equally among the clients that have input; input beyond that stays in the client's
receive buffer, where its TCP window bounds it. A record costs one unit, and PRODUCED units more for each frame or
packet that it leads to: many small packets are dearer than the same bytes in few large ones. With more clients than
`records / records_least` those that come later wait for the next step, in order. So neither what one client has held
back and releases nor the number of clients makes a step longer (bounds: limits.StepLimits).
"""

from __future__ import annotations

from collections import OrderedDict

from hognose.limits import StepLimits
from hognose.vpn.peer import Peer

PRODUCED = 2  # units
_UNIT = 100  # Peer.cost is in percent


class Turns:
    """Round robin over clients. Bound: one entry per client."""

    def __init__(self, limits: StepLimits) -> None:
        self._records = limits.records
        self._units = limits.units
        self._least = limits.records_least
        self._most = max(1, limits.records // limits.records_least)
        self.queue: OrderedDict[int, Peer] = OrderedDict()  # by transport; while there are any the next step is due
        self.shared = False  # several clients share this step, and `charge` must be called with what each costs

    def add(self, peer: Peer) -> None:
        """Put a client with input at the end of the queue, unless it is in it already."""
        if peer.transport.id in self.queue:
            peer.transport.set_aside()  # it has to wait, and its sender may cut the stream into single bytes
        else:
            self.queue[peer.transport.id] = peer

    def give_all(self, peer: Peer) -> None:
        """Give a whole step to a client that is not in the queue, while no other client has input."""
        peer.share = self._records
        self.shared = False

    def begin(self, receivers: list[Peer]) -> list[Peer]:
        """Drained: the clients whose turn this step is, each with the records that it may have in `share`.

        receivers: clients for whom packets of others wait; one without input has a share like those with input.
        """
        queue = self.queue
        count = len(queue)
        active = count + sum(peer.transport.id not in queue for peer in receivers)
        if count <= self._most:
            peers = list(queue.values())
            queue.clear()
        else:
            peers = [queue.popitem(last=False)[1] for _ in range(self._most)]
        self.shared = active > 1
        most, units = self._records // active, self._units * _UNIT // active
        for peer in peers:
            peer.share = most if active == 1 else max(self._least, min(most, units // peer.cost))
        return peers

    def charge(self, peer: Peer, records: int, produced: int) -> None:
        """Note what a client's turn has cost: its records, and the frames and packets that they led to."""
        if records:
            peer.cost = _UNIT + PRODUCED * _UNIT * produced // records
