"""An exception at any entry point of an engine: one packet or one session is lost, the others go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from tests.unit.gateway.gateway_world import (
    ADDRESS,
    GATEWAY,
    MAC,
    OUTSIDE,
    PLAIN,
    ROUTER,
    ROUTER_MAC,
    GatewayWorld,
    Remote,
    query,
)

from hognose.base.journal import Journal
from hognose.drops import DropReason
from hognose.ip.fragments import Reassembler
from hognose.ip.neighbor import NeighborTable
from hognose.nat.nat import Nat
from hognose.openvpn.control.negotiations import Negotiations
from hognose.openvpn.data.keyring import Keyring
from hognose.openvpn.framing import RecordSplitter
from hognose.openvpn.session import Session
from hognose.router.forwarding import Forwarder
from hognose.router.icmp import TunnelIcmp
from hognose.tcp.connection import TcpConnection
from hognose.tcp.listener import Listener
from hognose.tcp.no_connection import NoConnection
from hognose.tcp.server import TcpServer
from hognose.vpn.admission import Admissions
from hognose.vpn.arrivals import Arrivals
from hognose.vpn.closing import Closing
from hognose.vpn.downlink import Downlink


class FaultError(RuntimeError):
    """An unexpected bug; its text must not be logged."""


def echo(source: str) -> IP:
    return IP(src=source, dst=GATEWAY) / ICMP(id=7, seq=1) / b"ping"


def goes_on(world: GatewayWorld, bob: Remote) -> None:
    """A client that had nothing to do with it is served as before, and new ones come in."""
    bob.take()
    assert len(bob.inner(echo(bob.tunnel_address))) == 1
    world.outside.clear()
    bob.inner(query(bob.tunnel_address, sport=6000))
    [out] = world.outside
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=out[UDP].sport) / b"answer")
    assert len(bob.take()) == 1
    carol = world.client("carol", "192.0.2.50")
    assert len(carol.inner(echo(carol.tunnel_address))) == 1


def use_tunnel(world: GatewayWorld, alice: Remote) -> None:
    alice.inner(echo(alice.tunnel_address), query(alice.tunnel_address))


def say_something(world: GatewayWorld, alice: Remote) -> None:
    alice.inner(echo(alice.tunnel_address))


def known_flow(world: GatewayWorld, alice: Remote) -> None:
    alice.inner(query(alice.tunnel_address))
    alice.inner(query(alice.tunnel_address))


def answer_from_outside(world: GatewayWorld, alice: Remote) -> None:
    alice.inner(query(alice.tunnel_address))
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=world.outside[-1][UDP].sport) / b"answer")


def error_from_outside(world: GatewayWorld, alice: Remote) -> None:
    alice.inner(query(alice.tunnel_address))
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=3, code=3) / bytes(world.outside[-1]))


def renegotiate(world: GatewayWorld, alice: Remote) -> None:
    assert alice.vpn is not None
    world.rest(1)
    alice.vpn.renegotiate(world.now)
    world.frames()


def fragment(world: GatewayWorld, alice: Remote) -> None:
    alice.inner(IP(src=alice.tunnel_address, dst=GATEWAY, flags="MF") / ICMP() / bytes(800))


def wait(world: GatewayWorld, alice: Remote) -> None:
    world.rest(12)


def wait_for_the_end_of_a_flow(world: GatewayWorld, alice: Remote) -> None:
    alice.inner(query(alice.tunnel_address))
    world.rest(40)


def ask_by_arp(world: GatewayWorld, alice: Remote) -> None:
    question = Ether(src=ROUTER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=ROUTER_MAC, psrc=ROUTER, pdst=ADDRESS)
    world.frames(PLAIN + bytes(question))


def ping_from_outside(world: GatewayWorld, alice: Remote) -> None:
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(id=1) / b"x")


def newcomer(world: GatewayWorld, alice: Remote) -> None:
    world.start("dave", "192.0.2.60")
    world.frames()


def connection_only(world: GatewayWorld, alice: Remote) -> None:
    remote = world.remotes["192.0.2.61", 40_000] = Remote(world, "192.0.2.61", 40_000)
    remote.connect()
    world.frames()
    remote.send(b"\0")
    world.frames()


def close(world: GatewayWorld, alice: Remote) -> None:
    alice.fin()
    world.frames()
    world.rest(1)


def reset(world: GatewayWorld, alice: Remote) -> None:
    alice.abort()
    world.frames()


def stop(world: GatewayWorld, alice: Remote) -> None:
    """Only one client's goodbye fails; the other's is said."""
    world.gateway.stop("power button", world.now, 0)
    world.frames()


Work = Callable[[GatewayWorld, Remote], None]
POINTS: list[tuple[type, str, Work]] = [
    (TcpServer, "receive", say_something),
    (NoConnection, "receive", connection_only),
    (TcpServer, "poll", say_something),
    (TcpServer, "handle_deadline", wait),
    (Listener, "syn", connection_only),
    (TcpConnection, "receive", say_something),
    (TcpConnection, "output", say_something),
    (TcpConnection, "take", say_something),
    (TcpConnection, "write", say_something),
    (TcpConnection, "close", close),
    (RecordSplitter, "feed", say_something),
    (Session, "__init__", newcomer),
    (Session, "receive", say_something),
    (Session, "seal", say_something),
    (Session, "poll", newcomer),
    (Session, "take_events", newcomer),
    (Session, "admit", newcomer),
    (Session, "next_deadline", newcomer),
    (Session, "handle_deadline", wait),
    (Negotiations, "find", renegotiate),
    (Keyring, "open", say_something),
    (Keyring, "ping", wait),
    (Admissions, "handle_events", newcomer),
    (Admissions, "_authenticated", newcomer),
    (Admissions, "leave", close),
    (Forwarder, "from_client", say_something),
    (TunnelIcmp, "receive", say_something),
    (Forwarder, "expire", fragment),
    (Nat, "outbound", known_flow),
    (Nat, "open_outbound", use_tunnel),
    (Nat, "inbound", answer_from_outside),
    (Nat, "inbound_error", error_from_outside),
    (Nat, "handle_deadline", wait_for_the_end_of_a_flow),
    (Nat, "forget", newcomer),
    (Reassembler, "receive", fragment),
    (NeighborTable, "receive", ask_by_arp),
    (NeighborTable, "lookup", ping_from_outside),
    (Journal, "add", connection_only),
    (Arrivals, "_accept", connection_only),
    (Closing, "closed", reset),
    (Downlink, "deliver", answer_from_outside),
]


def break_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, times: int = 1) -> list[int]:
    """Let the next calls of a method raise; the list grows with each."""
    original = getattr(owner, name)
    hits: list[int] = []

    def broken(*arguments: object, **named: object) -> object:
        if len(hits) < times:
            hits.append(1)
            raise FaultError("secret words")
        return original(*arguments, **named)

    monkeypatch.setattr(owner, name, broken)
    return hits


@pytest.mark.parametrize(("owner", "name", "work"), POINTS, ids=[f"{o.__name__}.{n}" for o, n, _ in POINTS])
def test_one_is_hit_the_others_go_on(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, work: Work) -> None:
    world = GatewayWorld("keepalive 10 60")
    bob = world.client("bob", "192.0.2.12")
    alice = world.client("alice")
    hits = break_once(monkeypatch, owner, name)
    work(world, alice)
    if owner is Forwarder and name == "expire":
        world.run(lambda: bool(hits), 70)
    assert hits == [1], "the fault was not reached"
    assert world.dropped(DropReason.INTERNAL_ERROR) == 1
    world.rest(1)
    if bob.reset or bob.closed:  # a timer or a poll that serves several may hit either of the two, not both
        bob = alice
    goes_on(world, bob)
    reports = world.events_of("internal_error")
    if owner is not Journal:
        assert len(reports) == 1
    for report in reports:
        assert str(report["error"]).startswith("FaultError at ")
        assert "secret" not in repr(report)


def test_a_goodbye_that_fails_does_not_keep_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    world = GatewayWorld()
    world.client("bob", "192.0.2.12")
    world.client("alice")
    break_once(monkeypatch, Session, "shutdown")
    stop(world, world.remotes["192.0.2.11", 40_000])
    told = [r for r in world.remotes.values() if r.vpn and r.vpn.messages[-1].startswith("RESTART")]
    assert len(told) == 1
    world.run(lambda: world.gateway.stopped, 10)


def test_a_fault_that_stays_costs_sessions_and_not_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of the call that fails: nothing leaves step."""
    world = GatewayWorld("keepalive 10 60")
    alice = world.client("alice")
    with monkeypatch.context() as patch:
        for owner, name in ((Session, "receive"), (Nat, "inbound"), (TcpServer, "handle_deadline")):
            break_once(patch, owner, name, times=50)
        alice.inner(echo("10.8.0.2"))
        for number in range(20):
            newcomer_address = f"192.0.2.{100 + number}"
            world.start("dave", newcomer_address)
            world.frames()
            world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=7000) / b"x")
    assert world.dropped(DropReason.INTERNAL_ERROR) >= 40
    world.rest(10)
    erin = world.client("erin", "192.0.2.99")
    goes_on(world, erin)
    assert MAC.hex() == "020000000002"


def test_a_timer_that_always_fails_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried ten times a second; clients are served meanwhile, and nothing is owed once it works again."""
    world = GatewayWorld("keepalive 10 60")
    bob = world.client("bob", "192.0.2.12")
    with monkeypatch.context() as patch:
        hits = break_once(patch, Nat, "handle_deadline", times=1000)
        patch.setattr(Nat, "next_deadline", lambda self: 0)
        world.rest(1)
        assert 9 <= len(hits) <= 12
        goes_on(world, bob)
    world.rest(1)
    deadline = world.gateway.next_deadline()
    assert deadline is not None
    assert deadline > world.now
