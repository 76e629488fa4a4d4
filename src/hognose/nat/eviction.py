"""The flows that make room for new ones: finished ones, and silent ones without an answer. A live flow never does.

RFC 6888 REQ-11 lets a NAT refuse a new flow, and no more; what no endpoint waits for is no flow that a user could miss.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from hognose.nat.flow import ANSWERED, RESET, ClientFlows, Flow
from hognose.nat.flow_timeouts import is_finished
from hognose.units import SECOND, Nanos

SILENT: Nanos = 30 * SECOND  # without an answer to it, and without another packet from inside
LOOKS = 8  # flows looked at for one that makes room: the bound on the work


class Evictable:
    """The finished and the unanswered flows of all clients, and which client has most of the latter.

    A flow is filed anew at every change of its state; what its owner has sent since is looked at when room is needed.
    """

    __slots__ = ("_largest", "_owners")

    def __init__(self) -> None:
        # Number of unanswered flows -> the clients that have as many, but for 0.
        self._owners: dict[int, dict[ClientFlows, None]] = {}
        self._largest = 0

    def begin(self, flow: Flow) -> None:
        """List a new flow, which has no answer yet."""
        self._list(flow, flow.owner.unanswered)

    def file(self, flow: Flow) -> None:
        """List a flow as its state says, after all others of its owner."""
        self.remove(flow)
        if is_finished(flow):
            self._list(flow, flow.owner.finished)
        elif not flow.state & ANSWERED:
            self._list(flow, flow.owner.unanswered)

    def remove(self, flow: Flow) -> None:
        """List a flow no longer. Idempotent."""
        among = flow.among
        if among is None:
            return
        flow.among = None
        del among[flow]
        if among is flow.owner.unanswered:
            self._resize(flow.owner, len(among) + 1)

    def of_owner(self, owner: ClientFlows, now: Nanos) -> Flow | None:
        """The flow that this client loses for another of its own; None when none of LOOKS may go."""
        for _ in range(LOOKS):
            flow = next(iter(owner.finished), None)
            if flow is None:
                break
            if is_finished(flow):
                return flow
            if flow.state & ANSWERED:
                flow.state &= ~RESET  # used after it: the reset was none
            self.remove(flow)
            if not flow.state & ANSWERED:
                self._list(flow, owner.unanswered)
        return self._silent(owner, now)

    def of_largest(self, count: int, now: Nanos) -> Flow | None:
        """The flow that the client with most unanswered ones loses; None unless it has more than `count` flows."""
        if not self._largest:
            return None
        owner = next(iter(self._owners[self._largest]))
        return self._silent(owner, now) if owner.count > count else None

    def unanswered(self) -> list[Flow]:
        """All unanswered flows, client by client, in the order that `restore` wants."""
        owners = [owner for number in sorted(self._owners) for owner in self._owners[number]]
        return [flow for owner in owners for flow in owner.unanswered]

    def restore(self, finished: Iterable[Flow], unanswered: Iterable[Flow]) -> None:
        """List flows that are not listed; ValueError for one whose state contradicts that."""
        for flow in finished:
            if flow.among is not None or not flow.state & (ANSWERED | RESET):
                raise ValueError("a flow without an answer is no finished one")
            self._list(flow, flow.owner.finished)
        for flow in unanswered:
            if flow.among is not None or flow.state & ANSWERED:
                raise ValueError("an answered flow is not one without an answer")
            self._list(flow, flow.owner.unanswered)

    def _silent(self, owner: ClientFlows, now: Nanos) -> Flow | None:
        """The oldest unanswered flow of a client, when it is silent for long enough."""
        unanswered = owner.unanswered
        for _ in range(LOOKS):
            flow = next(iter(unanswered), None)
            if flow is None or now - flow.last_out >= SILENT:
                return flow
            if flow.last_out <= flow.changed:
                return None  # those after it are younger
            unanswered.move_to_end(flow)
        return None

    def _list(self, flow: Flow, among: OrderedDict[Flow, None]) -> None:
        among[flow] = None
        flow.among = among
        if among is flow.owner.unanswered:
            self._resize(flow.owner, len(among) - 1)

    def _resize(self, owner: ClientFlows, before: int) -> None:
        """Move a client to the others of its number of unanswered flows, which was `before`, one less or one more."""
        number = len(owner.unanswered)
        if before:
            owners = self._owners[before]
            del owners[owner]
            if not owners:
                del self._owners[before]
        if number:
            self._owners.setdefault(number, {})[owner] = None
        if number > self._largest or self._largest not in self._owners:
            self._largest = number
