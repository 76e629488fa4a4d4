"""The deadlines of all peers in one heap. Bound: an entry per peer and earlier deadline; those replaced are skipped."""

from __future__ import annotations

from heapq import heappop, heappush

from hognose.gateway.peers import Peer
from hognose.units import Nanos


class PeerTimers:
    """When each peer must be looked at, at the latest."""

    def __init__(self) -> None:
        self._heap: list[tuple[Nanos, int]] = []  # (deadline, connection id)

    def __len__(self) -> int:
        """Entries, those of peers that are gone included until they come up."""
        return len(self._heap)

    def arm(self, peer: Peer, deadline: Nanos) -> None:
        """Have the peer come up no later than deadline."""
        if peer.armed == 0 or deadline < peer.armed:
            peer.armed = deadline
            heappush(self._heap, (deadline, peer.conn.id))

    def next_deadline(self) -> Nanos | None:
        """Earliest entry, of a peer that may be gone; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, peers: dict[int, Peer], now: Nanos) -> list[Peer]:
        """Drained: peers whose deadline has come; all are taken first, so that one armed in the past cannot spin."""
        heap = self._heap
        due: list[Peer] = []
        while heap and heap[0][0] <= now:
            deadline, conn_id = heappop(heap)
            peer = peers.get(conn_id)
            if peer is not None and peer.armed == deadline:
                peer.armed = 0
                due.append(peer)
        return due
