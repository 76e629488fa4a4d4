"""TLS records after the handshake that make the server answer: what waits for one peer is bounded."""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from tests.unit.openvpn.link import UNIX, Link, kit, profile
from tests.unit.openvpn.stages import PACKET, alive, body_of, control
from tests.unit.openvpn.tls_records import APPLICATION_DATA, ClientRecords

from hognose.drops import DropReason
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.session_events import Renegotiated
from hognose.openvpn.tls import openssl_binding
from hognose.wire import openvpn as wire

LIMITS = OpenvpnLimits()
WIDEST = 2 * LIMITS.record_len  # of TLS output that one message more can add, with what it costs to keep


def established() -> tuple[Link, ClientRecords]:
    link = Link(profile(), kit(max_tls=SSL.TLS1_3_VERSION, log_keys=True))
    link.connect()
    link.rest(1)
    return link, ClientRecords(link.client.key_log, 1)  # its key message was the first


def give(link: Link, *payloads: bytes, acks: bool = False) -> None:
    """Control messages of a client that reads no answers; with acks it says that it has them all."""
    client = link.client
    negotiation = client.negotiations[0]
    primary = link.negotiations.primary
    assert primary is not None
    ids: tuple[int, ...] = ()
    for payload in payloads:
        if acks:
            ids = tuple(message.message_id for message in primary.reliability._flying)
        body = body_of(negotiation.next_out, payload, ids, client.server_sid)
        negotiation.next_out += 1
        link.session.receive([control(client, wire.CONTROL_V1, 0, body)], link.now, UNIX)
        link.session.poll(link.now, UNIX)


def waiting(key: KeyState | None) -> int:
    assert key is not None
    return key.reliability.waiting_bytes


@pytest.mark.parametrize("in_one", [1, 40])
def test_key_updates_that_are_never_acknowledged_end_the_session(in_one: int) -> None:
    """20,000 of them queued 3 MB before."""
    link, records = established()
    most = 0
    for _ in range(2000):
        give(link, b"".join(records.key_update() for _ in range(in_one)))
        most = max(most, waiting(link.negotiations.primary))
        if link.session.ended is not None:
            break
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.CONTROL_QUEUE_FULL
    assert LIMITS.control_queue_bytes < most < LIMITS.control_queue_bytes + WIDEST


def test_key_updates_that_are_acknowledged_cost_a_turn_each() -> None:
    link, records = established()
    for _ in range(1000):
        give(link, records.key_update(), acks=True)
        assert waiting(link.negotiations.primary) < 5 * 300
    assert link.session.ended is None
    assert link.session.receive([link.client.seal(PACKET)], link.now, UNIX) == [PACKET]


def test_a_peer_that_takes_no_answer_is_gone_after_two_minutes() -> None:
    """A few bytes that wait, for ever: its data keeps it alive otherwise."""
    link, records = established()
    give(link, records.key_update(), records.key_update())  # OpenSSL answers the first when the next record comes
    assert 0 < waiting(link.negotiations.primary) < 300
    begin = link.now
    while link.session.ended is None:
        link.now += 1_000_000_000
        assert link.now < begin + 200 * 1_000_000_000
        link.session.receive([link.client.seal(PACKET)], link.now, UNIX)
        deadline = link.session.next_deadline()
        if deadline is not None and deadline <= link.now:
            link.session.handle_deadline(link.now, UNIX)
            link.session.poll(link.now, UNIX)
    assert link.session.ended.reason is DropReason.RETRANSMIT_LIMIT
    assert (link.now - begin) // 1_000_000_000 in range(LIMITS.control_age_s, LIMITS.control_age_s + 10)


def test_many_small_records_are_read_in_one_turn() -> None:
    """TLS records of no bytes and of one byte, as many as a control message has room for."""
    link, records = established()
    size = len(records.seal(APPLICATION_DATA, b"A"))
    records = ClientRecords(link.client.key_log, 1)
    give(link, b"".join(records.seal(APPLICATION_DATA, b"A") for _ in range(2000 // size)))
    give(link, b"".join(records.seal(APPLICATION_DATA, b"") for _ in range(30)))
    give(link, records.seal(APPLICATION_DATA, b"\0"))
    assert link.counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 1
    assert link.session.ended is None


def test_the_bound_of_a_renegotiation_is_its_own() -> None:
    """Input under an earlier key counts for that key; a long push counts for none."""
    options = tuple(f"route 10.{n // 250}.{n % 250}.0 255.255.255.0" for n in range(3000))
    link = Link(profile(push=options), kit(max_tls=SSL.TLS1_3_VERSION))
    link.connect()
    link.client.say("PUSH_REQUEST", link.now)
    link.rest(11)
    assert link.session.ended is None
    link.client.renegotiate(link.now)
    link.run(lambda: link.has(Renegotiated), 10)
    alive(link)


def test_a_request_for_renegotiation_of_tls_1_2_is_refused_in_few_bytes() -> None:
    link = Link(profile(), kit(max_tls=SSL.TLS1_2_VERSION))
    link.connect()
    link.rest(1)
    tls = link.client.negotiations[0].tls
    assert openssl_binding._lib.SSL_renegotiate(tls._ssl) == 1
    with pytest.raises(SSL.WantReadError):
        tls.do_handshake()
    link.client._flush(link.client.negotiations[0], link.now)
    for record in link.client.poll(link.now):
        link.session.receive([record], link.now, UNIX)
    primary = link.negotiations.primary
    assert primary is not None
    assert primary.reliability.waiting_bytes < 400
