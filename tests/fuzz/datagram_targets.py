"""Fuzz targets of a UDP port: packets of no session under every wrap, and datagrams from anywhere beside live sessions.

The clients, their wraps and data packets are those of the tests' own code. Nothing is caught: the port and the service
contain exceptions, so that the counter of them must stay at zero.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from tests.fuzz.openvpn_targets import WRAPS, tls_auth, tls_crypt, wkc
from tests.fuzz.reader import Reader
from tests.sim.datagram_world import DatagramWorld
from tests.unit.openvpn.client import PING, ModelClient
from tests.unit.openvpn.link import KEY, START, kit, profile, wrapped_client_key
from tests.world.today import UNIX

from hognose.address import Endpoint
from hognose.base.journal import Journal
from hognose.base.numbering import Numbering
from hognose.drops import Counters, DropReason, Stat
from hognose.limits import DatagramLimits, Limits
from hognose.openvpn.profile import ServerProfile
from hognose.units import SECOND
from hognose.vpn.datagrams import DatagramPort
from hognose.vpn.initial_limits import InitialLimits
from hognose.vpn.initial_rate import InitialRate
from hognose.vpn.look_time import LookTime
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stateless_handshake import StatelessHandshake

SERVER = bytes((10, 0, 0, 2))
HEADERS = 28  # of IPv4 and UDP
COOKIE_LIFE = 90 * SECOND  # of OpenVPN's three slots
SETTINGS = (*WRAPS, *(replace(wrap, v2_force_cookie=True) for wrap in WRAPS if wrap.v2_key))
OUTCOMES = {
    DropReason.NO_SESSION, DropReason.BAD_CONTROL_PACKET, DropReason.BAD_HMAC, DropReason.NO_HARD_RESET,
    DropReason.CLIENT_KEY_TOO_OLD, DropReason.BAD_COOKIE, DropReason.BAD_FRAME_LENGTH,
    DropReason.INITIAL_CROWDED,
}  # fmt: skip


def udp_packet(source: bytes, datagram: bytes) -> bytes:
    """As much of a packet as the port looks at; source: address and port."""
    return bytes(12) + source[:4] + SERVER + source[4:] + struct.pack(">HHH", 1194, 8 + len(datagram), 0) + datagram


# -- packets of no session ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=len(SETTINGS))
def _profile(number: int) -> ServerProfile:
    return replace(profile(), wrap=SETTINGS[number]).over("udp")


class _Door:
    """A port without sessions, and what its strangers have been told."""

    def __init__(self, number: int) -> None:
        self.settings = SETTINGS[number]
        self.counters = Counters()
        self.now = START
        secret = bytes(range(32))
        self.port = DatagramPort(
            address=SERVER,
            port=1194,
            mtu=1500,
            uso=False,
            table=PeerTable(bytes),
            handshake=StatelessHandshake(_profile(number), secret),
            strangers=InitialLimits(
                resets=InitialRate(1000, SECOND, secret, START),
                proofs=InitialRate(1000, SECOND, secret, START),
                time=LookTime(100, lambda: 0, START),
            ),
            now=START,
            limits=DatagramLimits(),
            numbering=Numbering(),
            journal=Journal(1000, self.counters),
            random=bytes,
            counters=self.counters,
            broadcasts=frozenset(),
        )
        self.cookies: dict[tuple[bytes, bytes], list[tuple[bytes, int]]] = {}  # (source, session id) -> cookies, when

    def hears(self, source: bytes, datagram: bytes) -> None:
        """One datagram: it is answered, or begins a session, or is counted, and leaves nothing."""
        port, counters = self.port, self.counters
        before = list(counters.drops)
        port.receive(udp_packet(source, datagram), 0, 20, 28 + len(datagram), 0, True, self.now)
        begun = port.accepted(self.now, UNIX + (self.now - START) // SECOND)
        answers = port.poll(self.now)
        dropped = [reason for reason in DropReason for _ in range(counters.drops[reason] - before[reason])]
        assert len(begun) + len(answers) + len(dropped) == 1, (begun, answers, dropped)
        assert set(dropped) <= OUTCOMES, dropped
        for to, _, pieces in answers:
            answer = b"".join(pieces[1:])
            assert to == source[:4]
            assert len(datagram) >= 14
            assert HEADERS + len(answer) <= 1.3 * (HEADERS + len(datagram))
            assert answer[0] == 8 << 3
            self.cookies.setdefault((source, datagram[1:9]), []).append((answer[1:9], self.now))
        for transport in begun:
            opcode = datagram[0] >> 3
            assert (transport.key, transport.remote_id) == (source, datagram[1:9])
            if transport.proof is None:
                assert opcode == 10
                assert self.settings.v2_key
                assert not self.settings.v2_force_cookie
            else:
                given = self.cookies.get((source, datagram[1:9]), [])
                assert opcode in (4, 5, 11)
                good = [cookie for cookie, at in given if self.now - at < COOKIE_LIFE]
                assert transport.proof.session_id in good, "an address was proved by a cookie that was not sent there"
            assert transport.take(2) == [datagram]
            transport.abort(self.now)
            port.readable()
            assert port.closed() == [transport]
        assert (len(port), port.waiting, port.waits) == (0, 0, False)


def _wrapped(door: _Door, head: bytes, ids: bytes, body: bytes, key: bytes) -> bytes:
    """An authentic packet; key: a WKc, or what is to be in it, or nothing."""
    settings = door.settings
    if settings.v2_key and head[0] >> 3 in (10, 11):
        client_key, wrapped = wrapped_client_key()
        return tls_crypt(client_key, head, ids, body) + (wkc(client_key + key) if key else wrapped)
    if settings.kind == "tls-crypt":
        return tls_crypt(KEY, head, ids, body)
    return tls_auth(settings, head, ids, body) if settings.kind == "tls-auth" else head + body


def stateless_look(data: bytes) -> None:
    """Datagrams as they come, authentic ones of any body, and such with cookies that were sent, from four sources."""
    reader = Reader(data)
    door = _Door(reader.byte() % len(SETTINGS))
    for number in range(1, 25):
        if not reader:
            break
        choice = reader.byte()
        source = bytes((192, 0, 2, 1 + (choice & 1))) + (1000 + (choice >> 1 & 1)).to_bytes(2, "big")
        kind = choice >> 2 & 3
        ids = bytes((0x0F if choice & 0x10 else 0,)) + number.to_bytes(3, "big") + UNIX.to_bytes(4, "big")
        if kind == 0:
            door.hears(source, reader.piece())
        elif kind == 1:  # opcode, key id, session id and body are the fuzzer's
            packet = reader.piece().ljust(9, b"\1")
            key = reader.piece() if choice & 0x20 else b""
            door.hears(source, _wrapped(door, packet[:9], ids, packet[9:], key))
        elif kind == 2:  # an acknowledgement of an answer
            session_id = b"client!" + bytes((choice >> 7,))
            known = door.cookies.get((source, session_id)) or [item for all_ in door.cookies.values() for item in all_]
            cookie = known[-1][0] if known else bytes(8)
            flags = reader.byte()
            opcode = (4, 5, 11, 7)[flags & 3]
            acks = [0] * (flags >> 2 & 3) + [1] * (flags >> 4 & 1)
            body = bytes((len(acks),)) + b"".join(ack.to_bytes(4, "big") for ack in acks) + (cookie if acks else b"")
            if opcode != 5:
                body += (flags >> 5 & 3).to_bytes(4, "big")
            door.hears(source, _wrapped(door, bytes((opcode << 3,)) + session_id, ids, body + reader.piece(), b""))
        else:
            door.now += (choice >> 4) * 7 * SECOND


# -- beside sessions ---------------------------------------------------------------------------------------------------

ALICE, BOB = Endpoint(bytes((192, 0, 2, 1)), 1001), Endpoint(bytes((192, 0, 2, 2)), 1002)
PLACES = (ALICE, BOB, Endpoint(bytes((198, 51, 100, 9)), 4000), Endpoint(bytes((198, 51, 100, 9)), 4001))
PACKET = b"\x45" + bytes(99)
SMALL = replace(
    Limits(),
    datagrams=replace(DatagramLimits(), waiting=64, waiting_of_client=16, waiting_at_first=8, initial=16, unproven=4),
)


def _careful(client: ModelClient) -> ModelClient:
    """One that passes over control packets for another session, as a real one does."""
    inner = client.receive

    def receive(record: bytes, now: int) -> None:
        if record[0] >> 3 in (6, 9):
            inner(record, now)
        else:
            with suppress(AssertionError):
                inner(record, now)

    client.receive = receive  # type: ignore[method-assign]  # a spy
    return client


class _Air(DatagramWorld):
    """A world that keeps what clients have sent."""

    def __init__(self, server: ServerProfile) -> None:
        super().__init__(server, limits=SMALL)
        self.heard: list[bytes] = []

    def arrive(self, endpoint: Endpoint, record: bytes) -> None:
        self.heard.append(record)
        super().arrive(endpoint, record)

    def check(self) -> None:
        """Every bound, and no exception inside."""
        limits = SMALL.datagrams
        port = self.port
        assert self.counters.drops[DropReason.INTERNAL_ERROR] == 0, self.events[-1:]
        assert port.waiting <= limits.waiting + 2 * limits.waiting_at_first
        assert len(port) == len(self.table) <= 2 + 2 * (len(PLACES) + 1)
        assert not port.waits
        assert len(self.service.turns.queue) <= len(self.table)


def datagram_sessions(data: bytes) -> None:
    """A client does what it likes and anyone sends datagrams from anywhere: another client goes on, and all ends."""
    reader = Reader(data)
    wrap = ("none", "tls-auth", "tls-crypt", "tls-crypt-v2")[reader.byte() & 3]
    world = _Air(profile(wrap))
    alice, bob = _careful(world.client(kit(wrap), 1)), _careful(world.client(kit(wrap), 2))
    world.run(lambda: alice.established and bob.established, 5)
    world.rest(0.01)
    peer = world.table.with_session(BOB, bob.sid)
    assert peer is not None
    for _ in range(24):
        if not reader:
            break
        choice = reader.byte()
        place = PLACES[choice & 3]
        kind = choice >> 2 & 7
        if kind == 0:
            world.arrive(place, reader.piece())
        elif kind == 1:  # data of the client that is the adversary, with any packet id
            packet_id = reader.number(4) if choice & 0x80 else None
            world.arrive(place, alice.seal_payload(reader.piece(), packet_id=packet_id))
        elif kind == 2:  # its control packets, with any opcode and body
            packet = reader.piece().ljust(1, b"\0")
            world.arrive(place, alice.wrapped(packet[0] >> 3, alice.negotiations[0], packet[1:]))
        elif kind == 3:  # what was heard before of any client, 0: last
            world.arrive(place, world.heard[-1 - reader.number(2) % len(world.heard)])
        elif kind == 4:  # under the other one's peer id
            assert bob.peer_id is not None
            world.arrive(place, bytes((9 << 3 | choice >> 5,)) + bob.peer_id.to_bytes(3, "big") + reader.piece())
        elif kind == 5:  # a client that begins and may go on
            stranger = _careful(world.client(kit(wrap), 3))
            stranger.early_negotiation = bool(choice & 0x20)
            world.rest(0.001 * reader.byte())
            world.clients.pop(Endpoint(bytes((192, 0, 2, 3)), 1003))
        elif kind == 6:
            bob.send(PACKET)
        else:
            bob.send(PING)
        world.rest((choice >> 5) * 1.5 if kind == 7 else 0.003)
        world.check()
    bob.packets.clear()
    bob.send(PACKET)
    world.rest(0.1)
    assert bob.packets == [PACKET], "the session of another client was harmed"
    assert peer.transport.endpoint == BOB
    world.clients.clear()
    world.rest(200)
    world.check()
    assert (len(world.table), len(world.port), world.port.waiting, world.service.scheduler.sizes) == (0, 0, 0, (0, 0))
    assert world.counters.stats[Stat.SESSIONS_ESTABLISHED] == world.counters.stats[Stat.SESSIONS_ENDED]
