"""Strangers at a whole gateway: what they learn, what they cost, who goes when there are too many."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.sim.segments import Segment
from tests.unit.gateway.gateway_world import START, GatewayWorld, Remote
from tests.unit.gateway.test_fault_containment import echo
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import KEY, client_identity, kit

from hognose.drops import Counters, DropReason
from hognose.limits import HandshakeLimits, Limits, TcpLimits
from hognose.openvpn.session import Session
from hognose.openvpn.tls.context import TlsContext
from hognose.openvpn.tls.openssl_endpoint import OpenSslEndpoint
from hognose.units import MS, SECOND
from hognose.vpn.handshake_scheduler import AT_ONCE, BURST, HandshakeScheduler
from hognose.vpn.peer import Peer
from hognose.vpn.streams import StreamTransport

HEX = KEY.hex()
STATIC_KEY = [
    "-----BEGIN OpenVPN Static key V1-----",
    *(HEX[at : at + 32] for at in range(0, 512, 32)),
    "-----END OpenVPN Static key V1-----",
]
WRAPS = {
    "tls-crypt": ("<tls-crypt>", *STATIC_KEY, "</tls-crypt>"),
    "tls-auth": ("key-direction 0", "<tls-auth>", *STATIC_KEY, "</tls-auth>"),
}
RESET = b"\x38" + b"12345678" + bytes(5)  # op, session id, no acks, message id 0


def framed(record: bytes) -> bytes:
    return len(record).to_bytes(2, "big") + record


def wrong_key(world: GatewayWorld, wrap: str) -> bytes:
    """A hard reset under another key."""
    model = ModelClient(replace(kit(wrap), static_key=KEY[::-1]))
    model.start(world.now)
    return framed(model.poll(world.now)[0])


PROBES: dict[str, Callable[[GatewayWorld, str], bytes]] = {
    "silent": lambda world, wrap: b"",
    "one byte": lambda world, wrap: b"\0",
    "half a record": lambda world, wrap: b"\0\x60" + bytes(20),
    "length 0": lambda world, wrap: b"\0\0",
    "length 65535": lambda world, wrap: b"\xff\xff",
    "HTTP": lambda world, wrap: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": lambda world, wrap: bytes.fromhex("1603010200010001fc0303") + bytes(500),
    "noise": lambda world, wrap: bytes(range(7, 250)) * 4,
    "reset without a wrap": lambda world, wrap: framed(RESET),
    "reset, long": lambda world, wrap: framed(RESET + bytes(60)),
    "wrong key": wrong_key,
    "v3 reset": lambda world, wrap: framed(b"\x50" + bytes(300)),
    "data": lambda world, wrap: framed(b"\x48" + bytes(99)),
    "control first": lambda world, wrap: framed(b"\x20" + bytes(99)),
    "many": lambda world, wrap: framed(b"\x38" + bytes(60)) * 60,
}


@pytest.mark.parametrize("wrap", list(WRAPS))
def test_every_failure_looks_like_silence(wrap: str) -> None:
    """Not a byte, nothing but acknowledgements, and the same RST at the same moment."""
    world = GatewayWorld(*WRAPS[wrap])
    probes = {name: world.remote("192.0.2.99", 20_000 + at) for at, name in enumerate(PROBES)}
    began = world.now
    for name, remote in probes.items():
        remote.send(PROBES[name](world, wrap))
    world.frames()
    ends: dict[str, int] = {}
    while len(ends) < len(probes):
        assert world.now - began < 30 * SECOND, set(probes) - set(ends)
        world.rest(0.25)
        for name, remote in probes.items():
            assert remote.stream == b"", name
            assert not remote.closed, name  # a FIN says less hurriedly what a RST says
            if remote.reset:
                ends.setdefault(name, world.now - began)
    assert set(ends.values()) == {10 * SECOND}, ends
    assert world.gateway.service.scheduler.sizes == (0, 0)
    assert world.gateway.service.table.by_transport == {}


@pytest.mark.parametrize("delay", [0.5, 9.9])
def test_when_the_bytes_come_tells_nothing_either(delay: float) -> None:
    """The ten seconds begin with the handshake of TCP."""
    world = GatewayWorld(*WRAPS["tls-auth"])
    remote = world.remote()
    began = world.now
    world.rest(delay)
    remote.send(b"GET / HTTP/1.1\r\n")
    world.run(lambda: remote.reset, 20)
    assert world.now - began == 10 * SECOND


@pytest.mark.parametrize("name", ["one byte", "HTTP", "wrong key", "silent"])
def test_who_closes_is_answered_the_same(name: str) -> None:
    world = GatewayWorld(*WRAPS["tls-auth"])
    remote = world.remote()
    remote.send(PROBES[name](world, "tls-auth"))
    world.frames()
    world.rest(1)
    remote.fin()
    world.frames()
    assert remote.closed
    assert not remote.reset


def test_the_log_says_why_at_once() -> None:
    world = GatewayWorld(*WRAPS["tls-auth"])
    world.remote().send(wrong_key(world, "tls-auth"))
    world.frames()
    [event] = world.events_of("peer_rejected")
    assert event["reason"] == "bad_hmac"
    world.rest(20)
    assert len(world.events_of("peer_rejected")) == 1


# -- tables ------------------------------------------------------------------------------------------------------------


def small(**changes: int) -> Limits:
    return replace(Limits(), handshake=replace(HandshakeLimits(), **changes))


def test_a_new_client_finds_room_whoever_is_there() -> None:
    """Silent, half a word, a reset only: every table is full of others', and the client comes in."""
    world = GatewayWorld(limits=small(silent=40, strangers=30, handshakes=20))
    crowd: list[Remote] = []
    for number in range(120):
        remote = world.remote(f"198.18.{number % 8}.{number}", 20_000)
        kind = number % 3
        remote.send((b"", b"\0", framed(RESET))[kind])
        crowd.append(remote)
    world.frames()
    assert world.gateway.service.scheduler.sizes[0] in (29, 30)  # who moves on to the handshakes leaves a place
    assert world.gateway.service.scheduler.sizes[1] == 20
    assert world.gateway._tcp[0].sizes().silent in (39, 40)
    assert world.dropped(DropReason.STRANGER_CROWDED) >= 10
    assert world.dropped(DropReason.HANDSHAKE_CROWDED) == 20
    began = world.now
    alice = world.client("alice")
    assert world.now - began < SECOND
    bob = world.client("bob", "192.0.2.12")
    assert (alice.tunnel_address, bob.tunnel_address) == ("10.8.0.2", "10.8.0.3")
    assert world.gateway.service.scheduler.sizes[1] <= 20
    world.rest(100)
    assert world.gateway.service.scheduler.sizes == (0, 0)
    assert len(world.gateway.service.table.by_transport) == 2
    assert sum(remote.reset or remote.closed for remote in crowd) == 120


def test_an_office_of_two_hundred_behind_one_address() -> None:
    """All at once: the default limits turn no client away."""
    world = GatewayWorld("duplicate-cn", "keepalive 60 300")
    office = []
    identity = client_identity("alice")
    for number in range(200):
        remote = world.remote("203.0.113.5", 20_000 + number)
        remote.vpn = ModelClient(replace(kit(), cert=identity.cert, key=identity.key))
        remote.vpn.start(world.now)
        office.append(remote)
    world.run(lambda: all(remote.vpn is not None and remote.vpn.established for remote in office), 20)
    assert world.gateway.client_count == 200
    for reason in (DropReason.TCP_SILENT_CROWDED, DropReason.STRANGER_CROWDED, DropReason.HANDSHAKE_CROWDED):
        assert world.dropped(reason) == 0
    assert world.gateway.service.scheduler.sizes == (0, 0)


def test_tls_begins_with_the_first_control_message_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = TlsContext.accept

    def accept(self: TlsContext, unix: int) -> OpenSslEndpoint:
        made.append(1)
        return original(self, unix)

    monkeypatch.setattr(TlsContext, "accept", accept)
    world = GatewayWorld(*WRAPS["tls-auth"])
    for number, probe in enumerate(PROBES.values()):
        world.remote("192.0.2.99", 30_000 + number).send(probe(world, "tls-auth"))
        world.frames()
    remote = world.remote("192.0.2.98")
    model = ModelClient(kit("tls-auth"))
    model.start(world.now)
    remote.records(*model.poll(world.now))
    world.frames()
    assert made == []
    remote.vpn = model
    model.receive(remote.stream[2:], world.now)
    world.frames()
    assert made == [1]


@pytest.mark.parametrize(("size", "count"), [(1, 2000), (1460, 40_000)])
def test_a_stranger_that_waits_for_its_turn_fills_a_small_window(size: int, count: int) -> None:
    """The server does not read, so that TCP's window shuts; segments cost little more than their bytes, however cut."""
    world = GatewayWorld()
    world.gateway.service.scheduler._credit = -1000 * SECOND
    world.gateway.service.scheduler._credited_at = world.now
    remote = world.remote()
    remote.send(b"\0")
    world.gateway.step(remote.poll(), world.now, 0)
    tracemalloc.start()
    remote.send(bytes(count), size)
    for frame in remote.poll():
        world.gateway.step([frame], world.now, 0)
    cost = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    [peer] = world.gateway.service.table.by_transport.values()
    window = TcpLimits().first_window
    assert isinstance(peer.transport, StreamTransport)
    assert peer.transport._conn.info().ready_bytes == min(count + 1, window)
    assert peer.transport._conn.info().receive_window == max(0, window - count - 1)
    assert cost < 2 * window


def test_a_client_has_the_whole_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small until it is admitted, then as large as the field can say: this client's TCP does not scale."""
    seen: list[tuple[int, int]] = []
    receive = Remote.receive

    def noted(remote: Remote, segment: Segment) -> None:
        seen.append((world.gateway.client_count, segment.window))
        receive(remote, segment)

    monkeypatch.setattr(Remote, "receive", noted)
    world = GatewayWorld()
    alice = world.client("alice")
    alice.inner(echo(alice.tunnel_address))
    assert max(window for clients, window in seen if not clients) == TcpLimits().first_window
    clients, window = seen[-1]
    assert clients == 1
    assert window > 65_535 - 1460, "its edge moves in segments"


def test_who_gives_up_waiting_takes_nobodys_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = Session.receive

    def receive(self: Session, records: list[bytes], now: int, unix: int) -> None:
        made.append(1)
        original(self, records, now, unix)

    monkeypatch.setattr(Session, "receive", receive)
    world = GatewayWorld()
    world.client("alice").inner(echo("10.8.0.2"))
    scheduler = world.gateway.service.scheduler
    scheduler._percent, scheduler._credit = 0, -1
    made.clear()
    remote = world.remote("192.0.2.50")
    for action in (lambda: remote.send(framed(RESET)), remote.fin):
        action()
        for pieces in world.gateway.step(remote.poll(), world.now, 0):
            world.sent(b"".join(pieces))
    assert remote.closed
    assert made == []
    world.rest(20)
    assert not scheduler.busy
    assert made == []


def test_tls_of_a_peer_that_has_closed_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ClientHello in twelve messages, then a FIN: eight are taken in a turn, the flight is for the next one."""
    world = GatewayWorld()
    remote, model = world.remote("192.0.2.50"), ModelClient(kit())
    model.start(world.now)
    remote.records(*model.poll(world.now))
    world.frames()
    model.receive(remote.stream[2:], world.now)
    hello = b""  # one or two messages, as large as this OpenSSL makes it
    for record in model.poll(world.now):
        if record[0] == 0x20:
            at = 10 + (4 * record[9] + 8 if record[9] else 0) + 4  # op, session id, acknowledgements, message id
            hello += record[at:]
    pieces = [hello[n * len(hello) // 12 : (n + 1) * len(hello) // 12] for n in range(12)]
    worked: list[int] = []
    work = Session.work

    def noted(self: Session, now: int, unix: int) -> list[bytes]:
        worked.append(now)
        return work(self, now, unix)

    monkeypatch.setattr(Session, "work", noted)
    alice = world.client("alice")
    scheduler = world.gateway.service.scheduler
    scheduler._percent, scheduler._credit = 0, -1
    world.rest(1)
    worked.clear()
    head = b"\x20" + model.sid + b"\0"
    remote.records(*(head + n.to_bytes(4, "big") + piece for n, piece in enumerate(pieces, 1)))
    remote.fin()
    world.gateway.step(remote.poll(), world.now, 0)  # a quiet moment: one turn is free
    assert world.gateway.service.scheduler.sizes == (0, 1)
    assert alice.vpn is not None
    alice.vpn.send(bytes(echo(alice.tunnel_address)))
    world.gateway.step(alice.poll(), world.now, 0)
    for _ in range(5):
        remote.emit("A")
        world.gateway.step(remote.poll(), world.now, 0)
    assert worked == []
    world.rest(1)
    assert len(worked) > 0
    assert scheduler.sizes == (0, 0)


def test_who_fails_in_the_handshake_keeps_its_place_until_it_is_gone() -> None:
    """The peers do not answer our FIN: the connections that wait for that are bounded like those that go on."""
    world = GatewayWorld(limits=small(handshakes=20))
    for number in range(100):
        remote = world.remote(f"198.18.{number}.1")
        remote.send(framed(RESET))
        world.frames()
        answer = remote.stream[2:]
        garbage = b"\x20" + RESET[1:9] + b"\1" + bytes(4) + answer[1:9] + b"\0\0\0\1" + bytes(100)
        remote.send(framed(garbage))
        world.frames()
        assert remote.closed
        assert len(world.gateway.service.table.by_transport) <= 20
    assert world.dropped(DropReason.TLS_ERROR) == 100
    assert world.dropped(DropReason.HANDSHAKE_CROWDED) == 80
    world.client("alice")
    world.rest(10)
    assert world.gateway.service.scheduler.sizes == (0, 0)
    assert len(world.gateway.service.table.by_transport) == 1


# -- connect-freq ------------------------------------------------------------------------------------------------------


def test_connect_freq() -> None:
    world = GatewayWorld("connect-freq 3 10")
    for number in range(5):  # a connection without a valid first packet takes no place
        world.remote("192.0.2.99", 30_000 + number).send(b"GET /")
    world.frames()
    greeted = [world.remote("192.0.2.98", 30_000 + number) for number in range(5)]
    for remote in greeted:
        remote.send(framed(RESET))
    world.frames()
    assert [bool(remote.stream) for remote in greeted] == [True] * 3 + [False] * 2
    assert [remote.closed for remote in greeted] == [False] * 3 + [True] * 2
    assert world.dropped(DropReason.CONNECT_FREQ) == 2
    world.rest(10)
    world.client("alice")


# -- turns -------------------------------------------------------------------------------------------------------------


class FakeTransport:
    """As much of a transport as the scheduler uses."""

    made = 0

    def __init__(self, address: str, port: int) -> None:
        FakeTransport.made += 1
        self.id = FakeTransport.made
        self.key = bytes(map(int, address.split("."))) + port.to_bytes(2, "big")


def peer(address: str, port: int = 1) -> Peer:
    return Peer(FakeTransport(address, port), START)  # type: ignore[arg-type]  # a stand-in


class Turns:
    """A scheduler whose work costs what the test says."""

    def __init__(self, **limits: int) -> None:
        self.clock = 0
        self.scheduler = HandshakeScheduler(replace(HandshakeLimits(), **limits), Counters(), lambda: self.clock, START)

    def work(self, now: int, cost: int, *, idle: bool = False) -> list[bytes]:
        """Keys of those whose turn came in one step."""
        served = []
        while (one := self.scheduler.next_peer(now, idle)) is not None:
            served.append(one.transport.key)
            self.clock += cost
            self.scheduler.charge(idle)
            idle = False
        return served


def test_prefixes_take_turns() -> None:
    turns = Turns()
    for port in range(5):
        turns.scheduler.enqueue(peer("10.0.0.1", port))
    late = peer("192.0.2.1")
    turns.scheduler.enqueue(late)
    turns.scheduler.enqueue(late)
    served = turns.work(START, 0)
    assert [key[:1] for key in served] == [b"\x0a", b"\xc0", *[b"\x0a"] * 4]
    assert not turns.scheduler.busy


def test_work_takes_its_share_of_time() -> None:
    """Each costs 3 ms: the burst at first, then a fifth of the time, whatever the number of those who wait."""
    turns = Turns(percent_of_time=20)
    for number in range(3000):
        turns.scheduler.enqueue(peer(f"10.{number // 250}.{number % 250}.1"))
    first = [len(turns.work(START + at, 3 * MS)) for at in range(10)]
    assert first[0] == 1 + AT_ONCE // (3 * MS), "packets come in between"
    assert sum(first) == 1 + BURST // (3 * MS)
    served = 0
    for step in range(1, 1001):
        served += len(turns.work(START + step * 10 * MS, 3 * MS))
    assert 10 * SECOND * 0.19 <= served * 3 * MS <= 10 * SECOND * 0.21


def test_a_turn_that_took_very_long_keeps_others_waiting_for_half_a_second() -> None:
    """No newcomer is starved, whatever a turn has cost: it is not paid to the end."""
    turns = Turns()
    for number in range(9):
        turns.scheduler.enqueue(peer(f"10.0.{number}.1"))
    assert len(turns.work(START, 10 * SECOND)) == 1
    assert turns.work(START + 500 * MS, 10 * SECOND) == []
    assert turns.scheduler.next_turn_at(START + 99 * SECOND) == START + 500 * MS + 11
    assert len(turns.work(START + 501 * MS, 10 * SECOND)) == 1


def test_idle_time_is_free() -> None:
    turns = Turns()
    for number in range(100):
        turns.scheduler.enqueue(peer(f"10.0.{number}.1"))
    turns.work(START, 5 * MS)
    assert turns.work(START, 5 * MS) == []
    for _ in range(50):
        assert len(turns.work(START, 5 * MS, idle=True)) == 1


def test_tunnels_go_on_while_handshakes_wait() -> None:
    """No time for handshakes at all: a client's packets pass, the newcomer comes in as soon as there is some."""
    world = GatewayWorld()
    alice = world.client("alice")
    scheduler = world.gateway.service.scheduler
    scheduler._percent = 0
    scheduler._credit = -1
    late = world.start("late", "192.0.2.50")
    frames = late.poll()
    assert alice.vpn is not None
    alice.vpn.send(bytes(echo(alice.tunnel_address)))
    frames += alice.poll()
    for pieces in world.gateway.step(frames, world.now, 0):
        world.sent(b"".join(pieces))
    assert len(alice.take()) == 1
    assert scheduler.busy
    deadline = world.gateway.next_deadline()
    assert deadline is not None
    assert 0 < deadline - world.now <= 50 * MS
    # Nothing else comes: all time is theirs.
    world.run(lambda: late.vpn is not None and late.vpn.established, 5)
    assert len(alice.inner(echo(alice.tunnel_address))) == 1
