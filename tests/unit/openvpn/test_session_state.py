"""A session as plain data: exported, restored, traffic goes on both ways, new keys are negotiated at once."""

from __future__ import annotations

import os
import pickle
from dataclasses import fields, is_dataclass
from enum import Enum

import pytest
from tests.unit.openvpn.client import PEER_INFO
from tests.unit.openvpn.link import ADMISSION, SECOND, Link, client_identity, kit, profile
from tests.unit.openvpn.stages import CBC, EPOCH, OLD, PACKET, alive, drops
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.openvpn.session import Session, SessionState
from hognose.openvpn.session_events import Authenticated, Established, Renegotiated, RenegotiationFailed
from hognose.openvpn.session_stages import TABLE, SessionStage, SessionStep, after

WRAPS = ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"]
CIPHERS = ("AES-256-GCM", "AES-256-CBC")


def connected(wrap: str = "tls-crypt", info: str = PEER_INFO, **changes: object) -> Link:
    link = Link(profile(wrap, ciphers=CIPHERS, **changes), kit(wrap, peer_info=info))
    link.client.start(link.now)
    link.run(lambda: link.has(Established), 20)
    if info == OLD:
        link.client.say("PUSH_REQUEST", link.now)
    link.run(lambda: link.client.established, 5)
    link.rest(1)
    return link


def move(link: Link) -> SessionState:
    """Put a restored session in the place of the link's own."""
    state = link.session.export()
    assert state is not None
    state = pickle.loads(pickle.dumps(state))
    link.counters = Counters()
    link.session = Session.restored(
        state, link.session._profile, random=os.urandom, now=link.now, counters=link.counters
    )
    link.events.clear()
    return state


@pytest.mark.parametrize("info", [PEER_INFO, EPOCH, CBC, OLD], ids=["AEAD", "epoch", "CBC", "PRF"])
@pytest.mark.parametrize("wrap", WRAPS)
def test_traffic_goes_on_and_new_keys_come_at_once(wrap: str, info: str) -> None:
    link = connected(wrap, info)
    alive(link)
    cipher, before = link.session.cipher, len(link.inner)
    move(link)
    assert link.session.cipher == cipher
    records = link.session.seal([PACKET], link.now)
    link.client.receive(records[0], link.now)
    assert link.client.packets[-1] == PACKET, "with the old key, before anything was negotiated"
    link.inner += link.session.receive([link.client.seal(PACKET)], link.now, UNIX)
    assert len(link.inner) == before + 1
    link.run(lambda: link.has(Renegotiated), 10)
    link.rest(1)
    assert 1 in link.client.data_keys
    assert drops(link) == {}
    alive(link)
    link.session.control.renegotiate(link.now)
    link.run(lambda: sum(isinstance(event, Renegotiated) for event in link.events) == 2, 10)
    alive(link)


def test_counts_and_names_go_along() -> None:
    link = connected()
    alive(link)
    chain, bytes_in, bytes_out = link.session.peer_chain, link.session.bytes_in, link.session.bytes_out
    assert chain
    assert bytes_in
    assert bytes_out
    move(link)
    assert (link.session.peer_chain, link.session.bytes_in, link.session.bytes_out) == (chain, bytes_in, bytes_out)
    assert link.session.greeted
    assert not link.session.in_tls


def test_restored_again_and_again() -> None:
    """Also in the middle of the renegotiation that it begins itself."""
    link = connected()
    for _ in range(3):
        move(link)
        link.exchange()
        alive(link)
    link.run(lambda: link.has(Renegotiated), 10)
    move(link)
    link.run(lambda: link.has(Renegotiated), 10)
    alive(link)


def test_messages_of_the_lost_tls_connection_are_acknowledged_and_mean_nothing() -> None:
    link = connected()
    move(link)
    link.client.say("EXIT", link.now, key_id=0)
    link.run(lambda: link.has(Renegotiated), 10)
    link.rest(5)
    assert link.session.ended is None
    assert not link.client.negotiations[0].unacked
    link.client.say("EXIT", link.now, key_id=1)
    link.run(lambda: link.session.ended is not None, 10)


def test_what_was_not_acknowledged_is_sent_again() -> None:
    """A PUSH_REPLY that was lost on the way comes from the restored session."""
    link = Link(profile(), kit())
    link.client.start(link.now)
    link.run(lambda: link.has(Established), 10)
    link.air.clear()
    assert not link.client.established
    move(link)
    link.run(lambda: link.client.established, 10)
    link.run(lambda: link.has(Renegotiated), 10)
    alive(link)


def test_another_certificate_is_refused_after_that_too() -> None:
    link = connected()
    move(link)
    identity = client_identity("bob")
    link.client.kit.cert, link.client.kit.key = identity.cert, identity.key
    link.run(lambda: link.session.ended is not None, 10)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.CERTIFICATE_REJECTED


def test_a_renegotiation_that_no_client_answers_fails_alone() -> None:
    link = connected(ping_timeout_s=0, ping_s=0)
    move(link)
    link.down = False
    link.run(lambda: link.has(RenegotiationFailed), 70)
    assert link.session.ended is None
    assert link.session.seal([PACKET], link.now) != []


def test_the_end_and_a_goodbye_work_without_tls() -> None:
    link = connected()
    move(link)
    link.session.shutdown(link.now)
    link.session.refuse("gone", link.now)
    link.rest(6)
    assert link.session.ended is not None
    assert link.session.ended.told


def test_keepalive_goes_on_where_it_was() -> None:
    link = connected(ping_timeout_s=60)
    link.down = False
    link.rest(50)
    move(link)
    silent_since = link.now
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_TIMEOUT
    assert link.now - silent_since < 15 * SECOND


def test_only_established_sessions_are_exported() -> None:
    link = Link(profile(), kit(), admit=False)
    assert link.session.export() is None
    link.client.start(link.now)
    link.run(lambda: link.has(Authenticated), 10)
    link.rest(1)
    assert link.session.export() is None
    link.session.admit(ADMISSION, link.now)
    link.run(lambda: link.has(Established), 10)
    assert link.session.export() is not None
    link.session.refuse("no", link.now)
    assert link.session.export() is None


def plain(value: object) -> None:
    """Numbers, texts, bytes, tuples and frozen dataclasses of them."""
    if is_dataclass(value):
        assert value.__dataclass_params__.frozen, type(value)  # type: ignore[union-attr]  # typeshed lacks it
        for one in fields(value):
            plain(getattr(value, one.name))
    elif isinstance(value, tuple):
        for item in value:
            plain(item)
    else:
        assert value is None or isinstance(value, int | str | bytes | Enum), type(value)


@pytest.mark.parametrize("info", [PEER_INFO, EPOCH, CBC], ids=["AEAD", "epoch", "CBC"])
def test_a_state_is_plain_data(info: str) -> None:
    link = connected("tls-crypt-v2", info)
    alive(link)
    plain(link.session.export())


# -- stages ------------------------------------------------------------------------------------------------------------


def test_every_event_in_every_stage() -> None:
    """The way forward is one; a refusal, a goodbye and the end are possible always; nothing leads out of the end."""
    forward = {
        (SessionStage.NEW, SessionStep.HARD_RESET): SessionStage.HANDSHAKE,
        (SessionStage.HANDSHAKE, SessionStep.KEY_MESSAGE): SessionStage.AUTHENTICATED,
        (SessionStage.AUTHENTICATED, SessionStep.ADMIT): SessionStage.ADMITTED,
        (SessionStage.ADMITTED, SessionStep.KEYS): SessionStage.ESTABLISHED,
    }
    assert (len(SessionStage), len(SessionStep)) == (8, 7), "no two of them are one"
    for stage in SessionStage:
        for step in SessionStep:
            if step is SessionStep.END or stage is SessionStage.ENDED:
                expected = SessionStage.ENDED
            elif step is SessionStep.REFUSE:
                expected = SessionStage.REFUSED
            elif step is SessionStep.LEAVE:
                expected = SessionStage.LEAVING
            else:
                expected = forward.get((stage, step), stage)
            assert after(stage, step) is expected, (stage, step)
    assert {stage for stage, _ in TABLE} == set(SessionStage)


def test_an_admission_that_comes_too_late_means_nothing() -> None:
    link = Link(profile(), kit(), admit=False)
    link.client.start(link.now)
    link.run(lambda: link.has(Authenticated), 10)
    link.rest(1)
    link.session.refuse("no", link.now)
    link.session.admit(ADMISSION, link.now)
    assert link.session.data.current is None
    link.rest(6)
    assert link.session.ended is not None
    link.session.admit(ADMISSION, link.now)
    assert link.session.control.stage is SessionStage.ENDED
    assert not any(message.startswith("PUSH_REPLY") for message in link.client.messages)
