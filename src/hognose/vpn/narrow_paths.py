"""Packets to clients whose path is narrower than the link (RFC 1191, RFC 4459 section 3.1)."""

from __future__ import annotations

from hognose.link import Outgoing
from hognose.units import Nanos
from hognose.vpn.downlink import Downlink
from hognose.vpn.packet_router import Router
from hognose.vpn.peer import Peer
from hognose.vpn.peer_table import PeerTable


class NarrowPaths:
    """The step before packets are sealed for a client whose transport has a record_limit."""

    def __init__(self, table: PeerTable, router: Router, downlink: Downlink) -> None:
        self._table = table
        self._router = router
        self._downlink = downlink

    def fit(self, peer: Peer, now: Nanos) -> list[Outgoing]:
        """Make the packets that wait for a client fit its path; returns ICMP errors for the link.

        Errors to clients are delivered. An MTU whose time is over is forgotten instead, and the client gets its MSS
        back.
        """
        transport = peer.transport
        if now >= transport.narrow_until:
            transport.widen()
            self._table.refit(peer)
            return []
        most = peer.packet_limit
        if not most or max(map(len, peer.down)) <= most:
            return []
        routed = self._router.fit(peer.address, peer.down, most, now)
        peer.down = routed.to_clients.pop(peer.address, [])
        self._downlink.deliver(routed.to_clients)
        return routed.to_link
