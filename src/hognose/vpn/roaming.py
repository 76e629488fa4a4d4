"""Moves of clients over datagrams to another address (OpenVPN multi.c multi_process_float).

A client whose outer address changed says nothing of it: its next data packet comes from there, and its peer id tells
whose it is. Whether that packet is the newest authentic one is the session's knowledge; the port says whether the
address is free.
"""

from __future__ import annotations

from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason, Stat
from hognose.events import EventKind
from hognose.units import SECOND, Nanos, UnixSeconds
from hognose.vpn.peer import Peer
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stages import Stage

# Between two moves of one client: who copies its packets and delivers them sooner moves it no oftener than this.
LEAST_NS: Nanos = SECOND


class Roaming:
    """Finds that clients have moved, moves them in the tables, and tells of it."""

    def __init__(self, table: PeerTable, journal: Journal, counters: Counters) -> None:
        self._table = table
        self._journal = journal
        self._counters = counters

    def take(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Take a client's records that came from other addresses, and move it; returns inner packets."""
        packets: list[bytes] = []
        for key, record in peer.transport.take_roaming():
            if peer.session is None or peer.stage is not Stage.ESTABLISHED:
                break
            found, newest = peer.session.receive_from_elsewhere(record, now, unix)
            packets += found
            if newest:
                self._move(peer, key, now)
        return packets

    def _move(self, peer: Peer, key: bytes, now: Nanos) -> None:
        """Move a client to the source of its newest packet, unless another client is there or it has just moved.

        key: address and port as on the wire. Drops: FLOAT_REFUSED.
        """
        before = peer.transport.endpoint
        if peer.moved_at and now - peer.moved_at < LEAST_NS:
            self._counters.drop(DropReason.FLOAT_REFUSED)
            return
        if not peer.transport.roam(key):
            return
        peer.moved_at = now
        self._table.moved(peer, before)
        self._table.refit(peer)  # nothing is known of the new path
        self._counters.stats[Stat.UDP_FLOATS] += 1
        self._journal.add(
            EventKind.CLIENT_FLOATED,
            now,
            conn=peer.transport.id,
            peer=peer.name,
            common_name=peer.common_name,
            before=str(before),
        )
