"""The work of one call of a session is bounded: one TLS flight, the other control messages wait for `work`."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.openvpn.link import SECOND, START, UNIX, Link, kit, profile
from tests.unit.openvpn.stages import PACKET, alive, at_stage, body_of, control, drops

from hognose.drops import DropReason
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Renegotiated
from hognose.openvpn.tls.openssl_endpoint import OpenSslEndpoint
from hognose.wire import openvpn as wire

LIMITS = OpenvpnLimits()


def count_turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """TLS turns of each call of receive or work, as they come to be known."""
    turns: list[int] = []
    take = KeyState.take

    def counted(self: KeyState, unix: int) -> tuple[list[str], bool]:
        messages, turn = take(self, unix)
        turns[-1] += turn
        return messages, turn

    monkeypatch.setattr(KeyState, "take", counted)
    for name in ("receive", "work"):
        original = getattr(Session, name)

        def call(self, *args, _original=original):
            turns.append(0)
            return _original(self, *args)

        monkeypatch.setattr(Session, name, call)
    return turns


@pytest.mark.parametrize("padding", [0, 30_000])
@pytest.mark.parametrize("wrap", ["none", "tls-crypt-v2"])
def test_a_call_does_one_flight_at_most(monkeypatch: pytest.MonkeyPatch, wrap: str, padding: int) -> None:
    """Handshake, push, renegotiation; a ClientHello of 30 messages that come at once is one flight, none is dropped."""
    turns = count_turns(monkeypatch)
    link = Link(profile(wrap), kit(wrap, hello_padding=padding))
    link.connect()
    link.rest(11)
    link.client.renegotiate(link.now)
    link.run(lambda: link.has(Renegotiated), 10)
    alive(link)
    assert max(turns) == 1
    assert sum(turns) >= 6  # two flights and the key message, twice
    assert drops(link) == {}


def say(link: Link, count: int) -> list[bytes]:
    """Records of `count` control strings that mean nothing; each is counted as BAD_CONTROL_MESSAGE when it was read."""
    for number in range(count):
        link.client.say(f"INFO,{number}", link.now)
    return link.client.poll(link.now)


def read(link: Link) -> int:
    return link.counters.drops[DropReason.BAD_CONTROL_MESSAGE]


def test_messages_wait_in_order_and_data_does_not() -> None:
    link = at_stage("established")
    records = [*say(link, 5), link.client.seal(PACKET)]
    assert link.session.receive(records, link.now, UNIX) == [PACKET]
    for done in range(1, 5):
        assert read(link) == done
        assert link.session.has_work
        link.session.poll(link.now, UNIX)
        assert not link.session.attention
        link.session.work(link.now, UNIX)
        assert link.session.attention
    assert read(link) == 5
    assert not link.session.has_work
    link.session.work(link.now, UNIX)
    alive(link)


def test_messages_are_acknowledged_before_their_turn() -> None:
    """A peer that waits for room in its window sends on."""
    link = at_stage("established")
    records = say(link, 6)
    link.session.receive(records, link.now, UNIX)
    [answer] = link.session.poll(link.now, UNIX)
    before = len(link.client.negotiations[0].unacked)
    link.client.receive(answer, link.now)
    assert before - len(link.client.negotiations[0].unacked) == 6
    assert read(link) == 1


def test_what_does_not_wait_is_repeated() -> None:
    """Beyond the window nothing is acknowledged, so nothing is lost."""
    link = at_stage("established")
    link.client.window = 20
    records = say(link, 20)
    for at in range(0, 20, 5):  # by a caller that does not wait for the turns
        link.session.receive(records[at : at + 5], link.now, UNIX)
    assert link.counters.drops[DropReason.RECEIVE_WINDOW_FULL] == 20 - 3 - LIMITS.control_window, "the last finds 12"
    assert read(link) == 4
    link.run(lambda: read(link) == 20, 10)
    assert not link.session.has_work


def test_records_after_a_turn_of_control_messages_wait_in_order() -> None:
    """`control_turn` of them are worked on in a call; the data after the others is not lost, and comes in its place."""
    link = at_stage("established")
    link.client.window = 20
    first, last = link.client.seal(PACKET), link.client.seal(PACKET)
    records = say(link, 20)
    inner = link.session.receive([*records[:4], first, *records[4:], last], link.now, UNIX)
    assert inner == [PACKET]
    assert len(link.session._held) == 20 - LIMITS.control_turn + 1
    calls = 0
    while link.session.has_work:
        inner += link.session.work(link.now, UNIX)
        calls += 1
    assert inner == [PACKET, PACKET]
    assert read(link) == 20
    assert calls == 19, "a flight each"
    assert link.counters.drops[DropReason.RECEIVE_WINDOW_FULL] == 0
    link.session.receive([*records, link.client.seal(PACKET)], link.now, UNIX)
    assert link.session.receive([link.client.seal(PACKET)], link.now, UNIX) == [], "it waits for those before it"
    inner = []
    while link.session.has_work:
        inner += link.session.work(link.now, UNIX)
    assert inner == [PACKET, PACKET]


def test_a_session_that_has_ended_has_no_work() -> None:
    link = at_stage("established")
    link.client.say("EXIT", link.now)
    records = [*link.client.poll(link.now), *say(link, 3)]
    link.session.receive(records, link.now, UNIX)
    assert link.session.ended is not None
    assert not link.session.has_work
    assert read(link) == 0


def test_a_turn_that_fails_ends_the_session_and_says_why() -> None:
    link = at_stage("TLS")
    key = link.client.negotiations[0]
    records = [
        control(link.client, wire.CONTROL_V1, 0, body_of(key.next_out + n, b"\x16\x03\x03\0\4\x63\0\0\0"))
        for n in range(3)
    ]
    link.session.receive(records, link.now, UNIX)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.TLS_ERROR
    assert not link.session.has_work


def test_empty_messages_are_no_turn_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost a handshake one of `handshake_messages` each."""
    turns = count_turns(monkeypatch)
    calls: Counter[str] = Counter()
    receive = OpenSslEndpoint.receive
    monkeypatch.setattr(OpenSslEndpoint, "receive", lambda self, data: (calls.update(["tls"]), receive(self, data))[1])
    link = at_stage("reset")
    sent = 0
    while link.session.ended is None:
        batch = [control(link.client, wire.CONTROL_V1, 0, body_of(sent + 1 + n)) for n in range(64)]
        sent += len(batch)
        assert sent <= LIMITS.handshake_messages + 64
        link.session.receive(batch, link.now, UNIX)
        while link.session.has_work:
            link.session.work(link.now, UNIX)
        link.session.poll(link.now, UNIX)
    assert link.session.ended.reason is DropReason.TLS_ERROR
    assert sum(turns) == calls["tls"] == 0


@pytest.mark.parametrize("stage", ["established", "renegotiating"])
def test_one_message_gives_sixty_four_strings(stage: str) -> None:
    """8,000 strings in one TLS record, and one of them EXIT: what is over is counted, not looked at."""
    link = at_stage(stage)
    before = read(link)
    link.client.say_bytes(b"A\0" * 8_000, link.now, key_id=0)
    link.run(lambda: read(link) - before == 8_000, 5)
    assert link.session.ended is None
    link.client.say_bytes(b"A\0" * LIMITS.control_strings + b"EXIT\0", link.now, key_id=0)
    link.rest(1)
    assert link.session.ended is None
    link.client.say_bytes(b"A\0" * (LIMITS.control_strings - 1) + b"EXIT\0", link.now, key_id=0)
    link.run(lambda: link.session.ended is not None, 5)


def test_repeated_messages_of_a_megabyte_are_answered_with_few_records() -> None:
    """Each batch is answered by one acknowledgement of eight; what is kept does not grow (16-20 s before)."""
    link = at_stage("established")
    key = link.negotiations.primary
    assert key is not None
    batch = [control(link.client, wire.CONTROL_V1, 0, body_of(n % 4)) for n in range(256)]
    answers = 0
    for _ in range(256):
        link.session.receive(batch, link.now, UNIX)
        assert len(key.reliability._acks) <= LIMITS.control_acks
        answers += len(link.session.poll(link.now, UNIX))
    assert answers <= 256
    assert START < link.now < START + 60 * SECOND
    alive(link)
