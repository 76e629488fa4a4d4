"""The deadlines of all peers in one heap. Bound: an entry per peer and earlier deadline; those replaced are skipped."""

from __future__ import annotations

from heapq import heappop, heappush

from hognose.units import Nanos
from hognose.vpn.peer import Peer


class PeerTimers:
    """The latest time at which each peer must be served."""

    def __init__(self) -> None:
        self.heap: list[tuple[Nanos, int]] = []  # (deadline, transport's id), the earliest first

    def __len__(self) -> int:
        """Entries, those of closed peers included until their deadline."""
        return len(self.heap)

    def arm(self, peer: Peer, deadline: Nanos) -> None:
        """Have the peer come up no later than deadline."""
        if peer.armed == 0 or deadline < peer.armed:
            peer.armed = deadline
            heappush(self.heap, (deadline, peer.transport.id))

    def take_due(self, peers: dict[int, Peer], now: Nanos) -> list[Peer]:
        """Drained: peers whose deadline has come; all are taken first, so that one armed in the past cannot spin."""
        heap = self.heap
        due: list[Peer] = []
        while heap and heap[0][0] <= now:
            deadline, number = heappop(heap)
            peer = peers.get(number)
            if peer is not None and peer.armed == deadline:
                peer.armed = 0
                due.append(peer)
        return due
