"""The weaknesses that OpenVPN servers have had, tried on our session: tls-crypt-v2, key ids, resets, its end.

docs/dev/cve-tests.md lists which test is for which; tests/unit/gateway/test_hostile_peers.py has those of whole
gateways.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.openvpn.link import SECOND, START, Link, kit, profile, wrapped_client_key
from tests.unit.openvpn.stages import (
    PACKET,
    STAGES,
    WRAPS,
    alive,
    at_stage,
    body_of,
    control,
    drops,
    fresh,
    give,
    v3_reset,
    whole_life,
)
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.session_events import Renegotiated
from hognose.wire import openvpn as wire

# -- tls-crypt-v2 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corrupt", ["", "tag", "key", "length", "other key"])
@pytest.mark.parametrize("opcode", [wire.HARD_RESET_CLIENT_V3, wire.CONTROL_WKC_V1])
@pytest.mark.parametrize("stage", ["reset", "TLS", "not admitted", "established", "renegotiating", "renegotiated"])
def test_cve_2025_2704_a_client_key_in_the_middle_of_a_session(stage: str, opcode: int, corrupt: str) -> None:
    """CVE-2025-2704: a second client key, good or not, is not installed and breaks nothing."""
    link = at_stage(stage, "tls-crypt-v2")
    key_before = link.negotiations.wrap._base
    metadata = link.negotiations.wrap.metadata
    good = link.client.kit.wrapped_key
    wrapped = {
        "": good,
        "tag": bytes((good[0] ^ 1,)) + good[1:],
        "key": good[:60] + bytes((good[60] ^ 1,)) + good[61:],
        "length": good[:-1] + bytes((good[-1] ^ 8,)),
        "other key": wrapped_client_key(b"\0another")[1],
    }[corrupt]
    link.client.kit = replace(link.client.kit, wrapped_key=wrapped)
    for key_id in (0, 1, 2):
        give(link, control(link.client, opcode, key_id, body_of(0)))
        give(link, control(link.client, opcode, key_id, body_of(5, b"x" if stage == "" else b"")))
    assert link.negotiations.wrap._base is key_before
    assert link.negotiations.wrap.metadata == metadata
    assert link.session.ended is None
    if stage in ("established", "renegotiated"):
        alive(link)
    if stage == "not admitted":
        link.rest(1)
        assert link.session.ended is None


def test_cve_2025_2704_a_repeated_first_flight_with_its_key_is_processed_without_it() -> None:
    """First packets of 2.6 and 3 over datagrams: ClientHello in CONTROL_WKC_V1, perhaps more than once."""
    link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2"))
    original = link.client.queue

    def with_key(negotiation, opcode, payload, now) -> None:
        original(negotiation, 11 if opcode == 4 and negotiation.next_out == 1 else opcode, payload, now)

    link.client.queue = with_key  # type: ignore[method-assign]  # a spy
    link.client.start(link.now)
    seen = []
    receive = link.session.receive

    def spy(records, now, unix):
        again = [record for record in records for _ in range(2 if record[0] >> 3 == 11 else 1)]
        seen.extend(record[0] >> 3 for record in again)
        return receive(again, now, unix)

    link.session.receive = spy  # type: ignore[method-assign]  # a spy
    link.run(lambda: link.client.established, 10)
    assert seen.count(11) == 2
    assert drops(link) == {"CONTROL_REPLAY": 1}


@pytest.mark.parametrize("where", ["first", "established"])
def test_cve_2026_35058_lengths_of_wrapped_keys(where: str) -> None:
    """CVE-2026-35058: the length counts from the end, must leave a packet before it and be one that can be."""
    record = v3_reset()
    size = len(record)
    for length in (
        0,
        1,
        2,
        31,
        32,
        289,
        290,
        size - 50,
        size - 49,
        size - 1,
        size,
        size + 1,
        1024,
        1025,
        0x7FFF,
        65_535,
    ):
        if length == 299:
            continue
        forged = record[:-2] + length.to_bytes(2, "big")
        if where == "established":
            link = at_stage("established", "tls-crypt-v2")
            give(link, forged)
            alive(link)
            continue
        session, _ = fresh("tls-crypt-v2")
        assert session.receive([forged], START, UNIX) == []
        assert session.ended is not None
        assert session.ended.reason in (DropReason.BAD_CONTROL_PACKET, DropReason.BAD_HMAC)
        assert session.poll(START, UNIX) == []


def test_cve_2026_35058_truncated_at_every_length() -> None:
    """CVE-2026-35058: a V3 reset cut at its end, its beginning, and in the middle."""
    record = v3_reset()
    for size in range(1, len(record)):
        for forged in (record[:size], record[:1] + record[1 + size :], record[:17] + record[17 + size :]):
            session, _ = fresh("tls-crypt-v2")
            session.receive([forged], START, UNIX)
            assert session.ended is not None, size
            assert session.poll(START, UNIX) == []
    session, _ = fresh("tls-crypt-v2")
    session.receive([record], START, UNIX)
    assert session.ended is None
    assert len(session.poll(START, UNIX)) == 1


# -- the end, and key ids around it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("stage", ["refused", "renegotiating", "renegotiated", "ended"])
def test_cve_2026_13117_control_packets_of_every_key_id_while_a_session_dies(stage: str, wrap: str) -> None:
    """CVE-2026-13117: control packets on key ids from 1 on, under the dynamic key, at the end of a session."""
    link = at_stage(stage, wrap)
    if stage != "ended":
        link.session.refuse("go", link.now)
    for key_id in range(8):
        for opcode in (3, 4, 5, 7, 10, 11):
            for message_id in (0, 1, 9):
                give(link, control(link.client, opcode, key_id, body_of(message_id, b"\x15\x03\x03\0\2\2\x28")))
    give(link, link.client.seal(PACKET) if link.client.data_keys else b"\x48")
    end = link.now + 6 * SECOND
    while link.session.ended is None:
        assert link.now < end
        link.now += SECOND // 2
        link.session.handle_deadline(link.now, UNIX)
        link.session.poll(link.now, UNIX)
    assert link.session.next_deadline() is None


@pytest.mark.parametrize("seed", range(6))
def test_cve_2026_12996_acknowledgements_that_wait_while_a_key_is_promoted(seed: int) -> None:
    """CVE-2026-12996: the packet that promotes a key owes an acknowledgement itself; it is sent, on the right key."""
    link = at_stage("established", "tls-crypt")
    link.client.renegotiate(link.now)
    sent: list[bytes] = []
    poll = link.session.poll

    def spy(now: int, unix: int) -> list[bytes]:
        records = poll(now, unix)
        sent.extend(records)
        return records

    link.session.poll = spy  # type: ignore[method-assign]  # a spy
    make_keys = link.client.make_keys

    def and_talk(negotiation) -> None:
        """The acknowledgement that makes the key ACTIVE and messages of the client go out together."""
        make_keys(negotiation)
        for _ in range(seed):
            link.client.say("INFO,hello", link.now, key_id=1)

    link.client.make_keys = and_talk  # type: ignore[method-assign]  # a spy
    link.run(lambda: link.has(Renegotiated) and not link.client.negotiations[1].unacked, 10)
    assert {record[0] & 7 for record in sent} <= {0, 1}
    assert link.counters.drops[DropReason.BAD_CONTROL_MESSAGE] == seed
    alive(link)


@pytest.mark.parametrize("wrap", WRAPS)
def test_cve_2026_84471_acknowledgements_that_wait_while_a_key_expires(wrap: str) -> None:
    """CVE-2026-84471: the key before this one goes while its peer still talks on it; what waits goes with it."""
    link = at_stage("renegotiated", wrap)
    session, old, new = link.session, link.client.negotiations[0].key_id, link.client.negotiations[1].key_id
    link.rest(58)
    following = link.client.negotiations[0].next_out
    for message_id in range(following + 1, following + 5):  # out of order: they wait, with their acknowledgements
        record = control(link.client, wire.CONTROL_V1, old, body_of(message_id, b"\x15\x03\x03\0\2\2\x28"))
        session.receive([record], link.now, UNIX)
    link.now += 3 * SECOND
    session.handle_deadline(link.now, UNIX)
    sent = session.poll(link.now, UNIX)
    assert {record[0] & 7 for record in sent} <= {new}
    late = control(link.client, wire.CONTROL_V1, old, body_of(40, b"late", acks=(0, 1)))
    session.receive([late], link.now, UNIX)
    assert {record[0] & 7 for record in session.poll(link.now, UNIX)} <= {new}
    alive(link)


def test_a_hard_reset_in_the_middle_changes_nothing() -> None:
    """Repeated resets, of the same session id and of others (a restarted client opens a new connection on TCP)."""
    for stage in ("TLS", "established", "renegotiating"):
        link = at_stage(stage)
        for _ in range(50):
            give(link, control(link.client, wire.HARD_RESET_CLIENT_V2, 0, body_of(0)))
            give(link, b"\x38" + os.urandom(8) + b"\0" + bytes(4))
        assert link.session.ended is None
        assert link.counters.drops[DropReason.WRONG_SESSION_ID] == 50
        if stage == "established":
            alive(link)


@pytest.mark.parametrize("message_id", [1, 2, 0xFFFFFFFF])
@pytest.mark.parametrize("wrap", WRAPS)
def test_a_hard_reset_with_another_message_id_than_0(wrap: str, message_id: int) -> None:
    link = at_stage("fresh", wrap)
    link.client.start(link.now)
    opcode = wire.HARD_RESET_CLIENT_V3 if wrap == "tls-crypt-v2" else wire.HARD_RESET_CLIENT_V2
    give(link, control(link.client, opcode, 0, body_of(message_id)))
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.BAD_CONTROL_PACKET
    assert link.air == []


def test_records_of_an_earlier_life_of_the_server() -> None:
    """Session ids from before a restart: they begin nothing, data and control alike."""
    old = at_stage("established")
    old.client.say("EXIT", old.now)
    for record in [*old.client.poll(old.now), old.client.seal(PACKET)]:
        session, _ = fresh()
        session.receive([record], START, UNIX)
        assert session.ended is not None
        assert session.ended.reason is DropReason.NO_HARD_RESET


@pytest.mark.parametrize("wrap", WRAPS)
def test_the_alert_of_a_failed_handshake_is_sent(wrap: str) -> None:
    """Output that waits in the TLS connection goes out before the session does, so that the client can say why."""
    from tests.world.pki import Authority

    stranger = Authority("Other").issue("mallory", start_days=-400, days=4000)
    link = Link(profile(wrap), kit(wrap, cert=stranger.cert, key=stranger.key))
    link.client.start(link.now)
    link.run(lambda: bool(link.client.alerts), 10)
    assert link.session.ended is not None
    assert "alert" in link.client.alerts[0]


# -- anything, anywhere ------------------------------------------------------------------------------------------------

BODIES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        body_of,
        st.integers(0, 20),
        st.binary(max_size=60),
        st.lists(st.integers(0, 12), max_size=9).map(tuple),
        st.one_of(st.just(bytes(8)), st.binary(min_size=8, max_size=8), st.just(b"server")),
    ),
)
RECORDS = st.one_of(
    st.tuples(st.just("raw"), st.binary(max_size=120)),
    st.tuples(st.just("wrapped"), st.tuples(st.integers(0, 31), st.integers(0, 7), BODIES)),
    st.tuples(st.just("text"), st.binary(min_size=1, max_size=200)),
    st.tuples(st.just("data"), st.tuples(st.integers(0, 7), st.binary(max_size=80))),
    st.tuples(st.just("wait"), st.integers(0, 70)),
)


@pytest.mark.stress
@pytest.mark.parametrize("stage", STAGES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wrap=st.sampled_from(WRAPS), parts=st.lists(RECORDS, max_size=10))
def test_anything_at_any_stage_never_raises(stage: str, wrap: str, parts: list[tuple[str, Any]]) -> None:
    """Arbitrary records, wrapped well or not, arbitrary plaintext under TLS, arbitrary payloads under data keys."""
    link = at_stage(stage, wrap)
    client = link.client
    for kind, what in parts:
        if kind == "raw":
            assert isinstance(what, bytes)
            give(link, what)
        elif kind == "wrapped":
            opcode, key_id, body = what
            give(link, control(client, opcode, key_id, body.replace(b"server", client.server_sid or bytes(8))))
        elif kind == "text" and client.negotiations and client.negotiations[0].done:
            client.say_bytes(what, link.now, key_id=0)
            give(link, *client.poll(link.now))
        elif kind == "data" and client.data_keys:
            key_id, payload = what
            give(link, client.seal_payload(payload, key_id if key_id in client.data_keys else 0))
        elif kind == "wait":
            link.now += what * SECOND // 10
            link.session.handle_deadline(link.now, UNIX)
            link.session.poll(link.now, UNIX)
    link.session.take_events()
    link.session.seal([PACKET], link.now)
    whole_life(link)
