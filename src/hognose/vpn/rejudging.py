"""Checks of connected clients against a new config: a bounded number in each step, so that a reload delays no client.

Their sessions go by the new profile from the reload on, so timers, renegotiations and clients that are admitted
meanwhile need no turn. An entry is a transport's id; a closed one costs no turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hognose.drops import DropReason
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.session import Session
from hognose.units import UnixSeconds
from hognose.vpn.client_policy import ClientPolicy
from hognose.vpn.peer import Peer
from hognose.vpn.stages import Stage


class Rejudging:
    """Queue of authenticated peers, at most one entry each; per_step of them have their turn in a step."""

    def __init__(self, per_step: int) -> None:
        self._per_step = per_step
        self.waiting: deque[int] = deque()  # while there are any the next step is due

    def restart(self, peers: Iterable[Peer]) -> None:
        """Queue all of these, in place of those that waited before: the config has changed again."""
        self.waiting = deque(peer.transport.id for peer in peers if peer.authenticated)

    def take(self, peers: dict[int, Peer]) -> list[Peer]:
        """The peers of one step, taken out of the queue; peers: those that exist, by transport."""
        turns: list[Peer] = []
        while self.waiting and len(turns) < self._per_step:
            peer = peers.get(self.waiting.popleft())
            if peer is not None and peer.stage < Stage.CLOSING:
                turns.append(peer)
        return turns


def objection(
    policy: ClientPolicy, profile: ServerProfile, peer: Peer, session: Session, unix: UnixSeconds
) -> tuple[str, DropReason]:
    """The objection of the config in force to a connected client, "" for none, and the reason that is counted."""
    text = policy.unwelcome(peer.common_name)
    if text:
        return text, DropReason.CLIENT_DISABLED
    return profile.tls.recheck(session.peer_chain, unix), DropReason.CERTIFICATE_REJECTED
