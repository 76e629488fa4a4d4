"""The n-th passage of an engine's entry point raises, for many points and many n: one packet or one session is lost.

Each run is the same busy minute of a gateway with two clients, a newcomer, strangers and hosts outside. Afterwards the
tables fit each other, a new client is served, and when all have gone nothing is left.
"""

from __future__ import annotations

from collections import Counter

import pytest
from tests.sim.test_churn import tables
from tests.unit.gateway.gateway_world import GatewayWorld, Remote
from tests.unit.gateway.test_fault_containment import (
    POINTS,
    FaultError,
    answer_from_outside,
    ask_by_arp,
    echo,
    error_from_outside,
    fragment,
    goes_on,
    newcomer,
    ping_from_outside,
    renegotiate,
    use_tunnel,
    wait,
)

from hognose.base.fair_table import FairTable
from hognose.drops import DropReason
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.control.reliability import Reliability
from hognose.openvpn.control.session_wrap import SessionWrap
from hognose.openvpn.tls.openssl_endpoint import TlsEndpoint
from hognose.router.egress import Egress
from hognose.tcp.silent import Silent
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.peer_service import PeerService
from hognose.vpn.streams import StreamTransport

pytestmark = pytest.mark.stress

# The label of a point is `class.method`; Journal is left out: it is what reports.
SWEPT: list[tuple[type, str]] = [
    *((owner, name) for owner, name, _ in POINTS if owner.__name__ != "Journal"),
    (HandshakeScheduler, "add_stranger"),
    (HandshakeScheduler, "promote"),
    (HandshakeScheduler, "enqueue"),
    (Egress, "send"),
    (PeerService, "_process_input"),
    (PeerService, "_run_session"),
    (PeerService, "_forward"),
    (KeyState, "take"),
    (KeyState, "answer"),
    (Reliability, "receive"),
    (Reliability, "poll"),
    (SessionWrap, "open_first"),
    (SessionWrap, "open"),
    (SessionWrap, "seal"),
    (TlsEndpoint, "receive"),
    (TlsEndpoint, "write"),
    (Silent, "file"),
    (Silent, "judge"),
    (FairTable, "add"),
]
MOST = 6  # values of n for one point, spread over all of its passages
NEVER = 1 << 30


class Fault:
    """Counts the passages of a method and raises at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, at: int) -> None:
        self.passages = 0
        original = getattr(owner, name)

        def counted(*arguments: object, **named: object) -> object:
            self.passages += 1
            if self.passages == at:
                raise FaultError("secret words")
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)


def stranger(world: GatewayWorld, *, speaks: bool) -> None:
    number = len(world.remotes)
    remote = world.remotes["192.0.2.70", 20_000 + number] = Remote(world, "192.0.2.70", 20_000 + number)
    remote.connect()
    world.frames()
    if speaks:
        remote.send(b"GET / HTTP/1.1\r\n")
        world.frames()


def busy_minute(world: GatewayWorld, alice: Remote) -> None:
    """Something of everything; what a step needs that a fault took away may be missing."""
    steps = (use_tunnel, answer_from_outside, error_from_outside, renegotiate, fragment, ask_by_arp, ping_from_outside)
    for step in (newcomer, *steps):
        try:
            step(world, alice)
        except (IndexError, AssertionError):  # no packet left for the outside; the newcomer's SYN was lost
            assert world.dropped(DropReason.INTERNAL_ERROR) == 1
    stranger(world, speaks=True)
    stranger(world, speaks=False)
    wait(world, alice)


def consistent(world: GatewayWorld) -> None:
    """Each table's entries are known to the others."""
    gateway = world.gateway
    tcp, clients, scheduler = gateway._tcp[0], gateway.service.table.clients, gateway.service.scheduler
    for conn_id, peer in gateway.service.table.by_transport.items():
        assert isinstance(peer.transport, StreamTransport)
        assert tcp.find(peer.transport._conn.key) is peer.transport._conn
        assert peer.transport._conn.id == conn_id
    for conn in tcp.connections:
        assert tcp.find(conn.key) is conn
        assert conn.id in gateway.service.table.by_transport, "a connection without a peer"
    assert len(tcp) == len(tcp.connections)
    for address, peer in clients.items():
        assert peer.address == address
        assert gateway.service.table.by_transport.get(peer.transport.id) is peer
    assert len(gateway.service.admissions.pool) == len(clients)
    for table in (scheduler._strangers, scheduler._handshakes, scheduler._logins):
        for _, peer in table.items():
            assert gateway.service.table.by_transport.get(peer.transport.id) is peer


def is_served(remote: Remote) -> bool:
    """It has its tunnel; the model's TCP sends nothing twice, so that one whose segment was lost is stuck."""
    if remote.reset or remote.closed or remote.vpn is None or not remote.vpn.established:
        return False
    return len(remote.inner(echo(remote.tunnel_address))) == 1


def passages(owner: type, name: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        world = GatewayWorld("keepalive 10 60")
        world.client("bob", "192.0.2.12")
        alice = world.client("alice")
        fault = Fault(patch, owner, name, NEVER)
        busy_minute(world, alice)
        return fault.passages


@pytest.mark.parametrize(("owner", "name"), SWEPT, ids=[f"{o.__name__}.{n}" for o, n in SWEPT])
def test_the_nth_passage_fails(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    total = passages(owner, name)
    for at in sorted({1 + (total - 1) * step // (MOST - 1) for step in range(MOST)} if total else ()):
        with monkeypatch.context() as patch:
            world = GatewayWorld("keepalive 10 60")
            bob = world.client("bob", "192.0.2.12")
            alice = world.client("alice")
            Fault(patch, owner, name, at)
            busy_minute(world, alice)
        assert world.dropped(DropReason.INTERNAL_ERROR) == 1, at
        consistent(world)
        dave = world.remotes.get(("192.0.2.60", 40_000))
        served = [remote for remote in (alice, bob, dave) if remote is not None and is_served(remote)]
        assert len(served) >= 2, at
        goes_on(world, served[0])
        assert "secret" not in repr(world.events)
        for remote in list(world.remotes.values()):
            remote.abort()
        world.frames()
        world.remotes.clear()
        world.rest(700)
        left = {table: size for table, size in tables(world).items() if size}
        assert not left, (at, left)
        kinds = Counter(event.kind.value for event in world.events)
        assert kinds["internal_error"] == 1
