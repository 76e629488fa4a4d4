"""The bounds of a control channel at their values: a step below all is well, a step beyond it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.openvpn.link import START, Link, kit, profile
from tests.unit.openvpn.stages import PACKET, alive, body_of, control
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control.key_state import KeyState, Stage
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.control.reliability import Reliability
from hognose.openvpn.session_events import Authenticated
from hognose.wire import openvpn as wire

SECOND = 1_000_000_000
CONTROL, ACK = 4, 0


class PatientTls:
    """A TLS connection that takes whatever comes and says nothing; done: its handshake is over."""

    handshake_done = False

    def receive(self, data: bytes) -> None:
        assert data

    def read(self) -> bytes:
        return b""

    def take_output(self) -> bytes:
        return b""

    def accept(self, unix: int) -> PatientTls:
        return self


def negotiation() -> KeyState:
    ours = replace(profile(), tls=PatientTls())  # type: ignore[arg-type]  # a stand-in
    return KeyState(ours, 0, START, MessageReader(Counters(), OpenvpnLimits()), 0)


def take(key: KeyState, message_id: int, payload: bytes) -> None:
    assert key.reliability.receive(message_id, CONTROL, payload)
    key.take(UNIX)
    key.reliability.poll(START)


# -- a handshake -------------------------------------------------------------------------------------------------------


def test_a_handshake_has_two_hundred_and_fifty_six_kibibytes() -> None:
    key = negotiation()
    for number in range(256):
        take(key, number, bytes(1024))
    with pytest.raises(PeerError, match="the handshake is too long") as caught:
        take(key, 256, b"x")
    assert caught.value.reason is DropReason.TLS_ERROR


def test_a_handshake_has_a_thousand_and_twenty_four_messages() -> None:
    """Empty ones, too."""
    key = negotiation()
    for number in range(1024):
        take(key, number, b"x" * (number % 2))
    with pytest.raises(PeerError, match="the handshake has too many messages") as caught:
        take(key, 1024, b"")
    assert caught.value.reason is DropReason.TLS_ERROR


def test_the_bounds_of_a_handshake_end_with_it() -> None:
    key = negotiation()
    take(key, 0, bytes(1024))
    key.stage = Stage.ACTIVE
    for number in range(1, 2000):
        take(key, number, bytes(1024))
    assert not key.reliability.ready  # every one was taken


def test_a_client_that_never_acknowledges_our_key_is_in_its_handshake() -> None:
    """It may go on talking for 256 KiB: what it says was encrypted and is thrown away, but it costs its time."""
    link = Link(profile(hand_window_s=600), kit(), admit=False)
    link.client.start(link.now)
    while not link.has(Authenticated):
        link.exchange()
        link.now += SECOND // 1000
    negotiation = link.client.negotiations[0]
    said = 0
    while link.session.ended is None:
        link.client.negotiations[0].waiting.clear()
        negotiation.tls.send(b"x" * 1000 + b"\0")
        payload = negotiation.tls.bio_read(65536)
        body = body_of(negotiation.next_out, payload)
        negotiation.next_out += 1
        said += len(payload)
        assert said < 262_144
        link.session.receive([control(link.client, wire.CONTROL_V1, 0, body)], link.now, UNIX)
        link.session.poll(link.now, UNIX)
    assert link.session.ended.reason is DropReason.TLS_ERROR
    assert link.session.ended.detail == "the handshake is too long"
    assert said > 255_000


# -- what we send ------------------------------------------------------------------------------------------------------


def sender(messages: int) -> Reliability:
    reliability = Reliability(OpenvpnLimits(), 2 * SECOND)
    for number in range(messages):
        reliability.queue(CONTROL, bytes((number,)))
    return reliability


def sent(reliability: Reliability, now: int) -> list[int]:
    return [packet[1] for packet in reliability.poll(now)]


def test_four_messages_are_in_flight_whatever_waits() -> None:
    reliability = sender(100)
    assert sent(reliability, 0) == [0, 1, 2, 3]
    for number in range(90):
        reliability.acknowledged((number,))
        assert sent(reliability, 1) == [number + 4]
        assert len(reliability._flying) == 4


def test_a_peer_gets_no_message_beyond_the_twelve_that_it_has_room_for() -> None:
    """Its window begins with the oldest that it lacks (reliable.c reliable_wont_break_sequentiality)."""
    reliability = sender(30)
    now = 0
    seen = sent(reliability, now)
    for number in range(1, 30):
        reliability.acknowledged((number,))
        seen += [one for one in sent(reliability, now) if one not in seen]
    assert seen == list(range(12))
    reliability.acknowledged((0,))
    assert sent(reliability, now) == [12, 13, 14, 15]


@pytest.mark.parametrize(
    ("first", "waits"),
    [(1, [1, 2, 4, 8, 8, 8, 8, 8]), (2, [2, 4, 8, 8, 8, 8]), (5, [5, 8, 8, 8]), (60, [60, 60, 60])],
)
def test_a_message_is_repeated_every_eight_seconds_at_last(first: int, waits: list[int]) -> None:
    """Twice as late each time; or at tls-timeout, where that is longer."""
    reliability = Reliability(OpenvpnLimits(), first * SECOND)
    reliability.queue(CONTROL, b"")
    now = 0
    for wait in waits:
        assert sent(reliability, now) == [0]
        assert sent(reliability, now + wait * SECOND - 1) == []
        now += wait * SECOND
        assert reliability.next_deadline() == now


# -- what we keep ------------------------------------------------------------------------------------------------------


def test_twelve_messages_wait_to_be_taken() -> None:
    reliability = Reliability(OpenvpnLimits(), 2 * SECOND)
    for number in range(1, 12):
        assert reliability.receive(number, CONTROL, bytes(1000))
    assert not reliability.receive(12, CONTROL, bytes(1000))
    assert not reliability.receive(1 << 31, CONTROL, bytes(1000))
    assert not reliability.ready
    assert len(reliability._early) == 11
    assert reliability.receive(0, CONTROL, b"")
    assert reliability.take() == (CONTROL, b"")
    assert reliability.receive(12, CONTROL, b"")


def test_a_control_string_has_four_thousand_and_ninety_six_bytes() -> None:
    counters = Counters()
    reader = MessageReader(counters, OpenvpnLimits())
    assert reader.feed(b"x" * 4096 + b"\0") == ["x" * 4096]
    assert reader.feed(b"x" * 4097 + b"\0") == []
    assert reader.feed(b"x" * 4096) == []
    assert reader.feed(b"\0") == ["x" * 4096]
    assert counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 1
    assert reader.feed(b"x" * 4097) == []
    assert (reader._rest, counters.drops[DropReason.BAD_CONTROL_MESSAGE]) == (b"", 2)
    assert reader.feed(b"xx\0good\0") == ["good"]


def test_a_message_has_sixty_four_control_strings() -> None:
    counters = Counters()
    reader = MessageReader(counters, OpenvpnLimits())
    assert reader.feed(b"A\0" * 64) == ["A"] * 64
    assert counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 0
    assert reader.feed(b"A\0" * 65) == ["A"] * 64
    assert counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 1


def test_a_call_works_on_eight_control_messages() -> None:
    link = Link(profile(), kit())
    link.connect()
    link.rest(1)
    acknowledgements = [control(link.client, wire.ACK_V1, 0, bytes(1)) for _ in range(8)]
    assert link.session.receive([*acknowledgements, link.client.seal(PACKET)], link.now, UNIX) == [PACKET]
    assert not link.session.has_work
    more = control(link.client, wire.ACK_V1, 0, bytes(1))
    assert link.session.receive([*acknowledgements, more, link.client.seal(PACKET)], link.now, UNIX) == []
    assert link.session.has_work
    assert link.session.work(link.now, UNIX) == [PACKET]
    alive(link)


@pytest.mark.parametrize(("seconds", "over"), [(119, False), (120, False), (121, True)])
def test_a_client_that_takes_no_control_message_for_two_minutes_is_gone(seconds: int, over: bool) -> None:
    link = Link(profile(ping_timeout_s=0), kit())
    link.connect()
    link.rest(31)
    link.session.shutdown(link.now)  # a message that is never acknowledged
    link.session.poll(link.now, UNIX)
    link.session.poll(link.now + seconds * SECOND, UNIX)
    assert (link.session.ended is not None) == over
    if link.session.ended is not None:
        assert link.session.ended.reason is DropReason.RETRANSMIT_LIMIT
