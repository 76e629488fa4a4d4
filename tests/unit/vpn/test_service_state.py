"""Clients out of one service into another; the whole of it is in the world simulation (tests/sim/test_world.py)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hognose.address import Endpoint
from hognose.errors import LocalError
from hognose.openvpn.session import Session, SessionState
from hognose.vpn.addresses import AddressPool
from hognose.vpn.peer import Peer
from hognose.vpn.peer_service import PeerService
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.peer_timers import PeerTimers
from hognose.vpn.service_state import ServiceState, export_service, restore_service
from hognose.vpn.stages import Stage
from hognose.vpn.transport import Listener, Pending, Transport

FIRST, LAST = bytes((10, 8, 0, 2)), bytes((10, 8, 0, 9))
STATE = cast(SessionState, "a session's state")


class FakeService:
    """As much of a service as has state."""

    def __init__(self) -> None:
        self.table = PeerTable(bytes)  # the lowest that is free
        self.admissions = SimpleNamespace(pool=AddressPool(FIRST, LAST))
        self.timers = PeerTimers()
        self.turns = SimpleNamespace(queue={})
        self.downlink = SimpleNamespace(dirty=[])
        self.rejudging = SimpleNamespace(waiting=[])

    @property
    def real(self) -> PeerService:
        return cast(PeerService, self)


class Connection:
    """A connection, its own listener and transport."""

    def __init__(self, number: int) -> None:
        self.id, self.endpoint = number, Endpoint(bytes((192, 0, 2, number)), 1000)
        self.unfinished, self.proto = b"ab", "tcp"
        self.aborted = False

    def abort(self, now: int) -> None:
        self.aborted = True


class Opening:
    """A listener with such connections."""

    def __init__(self) -> None:
        self.opened: list[tuple[int, bytes]] = []

    def open(self, pending: Pending, unfinished: bytes = b"") -> Transport:
        self.opened.append((pending.id, unfinished))
        return cast(Transport, pending)


def client(service: FakeService, number: int, stage: Stage, session: object) -> Peer:
    peer = Peer(cast(Transport, Connection(number)), 7, common_name=f"client{number}", version="2.6", established_at=9)
    service.table.add(peer)
    service.table.greet(peer, b"session%d" % number)
    taken = service.admissions.pool.take(peer.common_name)
    service.table.admit(peer, taken[0])
    peer.stage, peer.session = stage, cast(Session, session)
    return peer


def exported() -> tuple[Peer, Peer, ServiceState]:
    service = FakeService()
    newcomer = client(service, 1, Stage.ADMITTED, SimpleNamespace(export=lambda: STATE))
    alice = client(service, 2, Stage.ESTABLISHED, SimpleNamespace(export=lambda: STATE))
    client(service, 3, Stage.ESTABLISHED, SimpleNamespace(export=lambda: None))
    return newcomer, alice, export_service(service.real)


def restore(service: FakeService, state: ServiceState, connections: list[Any], listener: Opening) -> None:
    restore_service(
        service.real,
        state,
        [(cast(Listener, listener), one) for one in connections],
        restored=lambda one: cast(Session, SimpleNamespace(state=one, control=SimpleNamespace(inner_mss=1300))),
        now=50,
    )


def test_a_client_goes_on_and_all_else_is_given_back() -> None:
    newcomer, alice, state = exported()
    service, listener = FakeService(), Opening()
    connections = [Connection(number) for number in (1, 2, 3)]
    restore(service, state, connections, listener)
    [restored] = service.table.by_transport.values()
    assert listener.opened == [(2, b"ab")]
    assert cast(Any, restored.session).state == STATE
    assert service.table.mss == {restored.address: 1300}
    assert (restored.stage, restored.address, restored.peer_id) == (Stage.ESTABLISHED, alice.address, 1)
    assert (restored.session_id, restored.common_name, restored.version) == (b"session2", "client2", "2.6")
    assert (restored.accepted_at, restored.established_at) == (7, 9)
    assert [one.aborted for one in connections] == [True, False, True]
    assert service.timers.take_due(service.table.by_transport, 50) == [restored]
    assert len(service.admissions.pool) == 1
    assert service.admissions.pool.take("client1") == (newcomer.address, True)


def test_a_client_without_a_connection_fits_nothing() -> None:
    _, _, state = exported()
    with pytest.raises(LocalError):
        restore(FakeService(), state, [Connection(1)], Opening())


@pytest.mark.parametrize("waiting", ["turns", "downlink", "rejudging"])
def test_no_state_in_the_middle_of_a_step(waiting: str) -> None:
    service = FakeService()
    export_service(service.real)
    service.turns.queue = {1: 1} if waiting == "turns" else {}
    service.downlink.dirty = [1] if waiting == "downlink" else []
    service.rejudging.waiting = [1] if waiting == "rejudging" else []
    with pytest.raises(LocalError):
        export_service(service.real)
