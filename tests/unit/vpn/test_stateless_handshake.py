"""The handshake without state: what is answered, what begins a session, and what does neither."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import START, kit, profile
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.openvpn.proof import AddressProof
from hognose.openvpn.session import Session
from hognose.units import SECOND
from hognose.vpn.stateless_handshake import Answer, FirstPacket, StatelessHandshake

KEY = bytes((192, 0, 2, 7)) + b"\x9c\x40"
ELSEWHERE = bytes((192, 0, 2, 8)) + b"\x9c\x40"
WRAPS = ("none", "tls-auth", "tls-crypt", "tls-crypt-v2")
SECRET = bytes(range(32))
SLOT = 30 * SECOND  # half of hand-window


def server(wrap: str = "none") -> StatelessHandshake:
    return StatelessHandshake(profile(wrap).over("udp"), SECRET)


class Knock:
    """A client, its hard reset and what it is answered."""

    def __init__(self, wrap: str = "none", at: int = START, unix: int = UNIX) -> None:
        self.server = server(wrap)
        self.client = ModelClient(kit(wrap))
        self.client.start(at)
        [self.reset] = self.client.poll(at)
        answer = self.server.look(KEY, self.reset, at, unix)
        assert isinstance(answer, Answer)
        self.answer = answer.record
        self.client.receive(self.answer, at)

    def third(self) -> bytes:
        """The packet that acknowledges the answer."""
        return self.client.poll(START)[0]


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_hard_reset_is_answered_and_its_acknowledgement_proves_the_address(wrap: str) -> None:
    knock = Knock(wrap)
    assert knock.answer[0] == 8 << 3  # P_CONTROL_HARD_RESET_SERVER_V2, key id 0
    proof = knock.server.look(KEY, knock.third(), START, UNIX)
    assert isinstance(proof, AddressProof)
    assert (proof.session_id, proof.remote_id) == (knock.client.server_sid, knock.client.sid)


@pytest.mark.parametrize("wrap", WRAPS)
def test_the_session_of_a_proof_goes_on_where_the_client_is(wrap: str) -> None:
    knock = Knock(wrap)
    flight = knock.client.poll(START)  # a ClientHello may take two messages
    proof = knock.server.look(KEY, flight[0], START, UNIX)
    assert isinstance(proof, AddressProof)
    settings = profile(wrap).over("udp")
    session = Session(settings, random=os.urandom, now=START, unix=UNIX, counters=Counters(), proof=proof)
    assert session.greeted
    session.receive(flight, START, UNIX)
    records = session.poll(START, UNIX)
    assert session.ended is None
    assert records
    heard = len(knock.client.negotiations[0].acks)
    for record in records:
        knock.client.receive(record, START)
    assert knock.client.negotiations[0].next_in > 1  # the message after our hard reset
    assert len(knock.client.negotiations[0].acks) > heard


def test_the_packet_ids_of_the_session_follow_the_one_of_the_answer() -> None:
    """The answer had id 1 of its time; a client takes an id once, and no time that goes back (OpenVPN packet_id.c)."""
    knock = Knock("tls-crypt", unix=UNIX)
    assert knock.answer[9:17] == (1).to_bytes(4, "big") + UNIX.to_bytes(4, "big")
    third = knock.third()
    proof = knock.server.look(KEY, third, START + SECOND, UNIX - 100)
    assert isinstance(proof, AddressProof)
    sealed = proof.wrap.seal(5 << 3, proof.session_id, b"\0", UNIX - 100)
    assert sealed[9:17] == (2).to_bytes(4, "big") + UNIX.to_bytes(4, "big")
    again = knock.server.look(KEY, third, START, UNIX)
    assert isinstance(again, AddressProof)
    assert isinstance(again.wrap.open(third), tuple)  # what the look has seen is no replay for the session
    assert again.wrap.open(third) is DropReason.CONTROL_REPLAY


def test_the_wrap_of_the_proof_is_that_of_the_clients_own_key() -> None:
    knock = Knock("tls-crypt-v2")
    third = knock.third()
    assert third[0] >> 3 == 11  # P_CONTROL_WKC_V1
    proof = knock.server.look(KEY, third, START, UNIX)
    assert isinstance(proof, AddressProof)
    assert (proof.wrap.kind, proof.wrap.metadata) == ("tls-crypt-v2", f"time:{UNIX}")


@pytest.mark.parametrize("wrap", WRAPS)
def test_the_same_hard_reset_gets_the_same_answer_but_for_its_time(wrap: str) -> None:
    knock = Knock(wrap)
    again = knock.server.look(KEY, knock.reset, START + SECOND, UNIX)
    assert isinstance(again, Answer)
    assert again.record == knock.answer


@pytest.mark.parametrize(
    ("wrap", "most"), [("none", 1.3), ("tls-auth", 1.3), ("tls-crypt", 1.3), ("tls-crypt-v2", 1.0)]
)
def test_an_answer_is_hardly_longer_than_the_question(wrap: str, most: float) -> None:
    """With the headers of IPv4 and UDP, 28 bytes."""
    knock = Knock(wrap)
    assert 28 + len(knock.answer) <= most * (28 + len(knock.reset))


def refused(handshake: StatelessHandshake, key: bytes, record: bytes, now: int = START) -> DropReason:
    with pytest.raises(PeerError) as raised:
        handshake.look(key, record, now, UNIX)
    return raised.value.reason


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_cookie_is_good_from_its_own_address_and_in_its_time(wrap: str) -> None:
    knock = Knock(wrap)
    third = knock.third()
    assert refused(knock.server, ELSEWHERE, third) is DropReason.BAD_COOKIE
    assert isinstance(knock.server.look(KEY, third, START + 2 * SLOT, UNIX), AddressProof)
    assert refused(knock.server, KEY, third, START + 3 * SLOT) is DropReason.BAD_COOKIE
    # START is in the fourth of the slots, which begin at 0: it is good to the end of the sixth.
    assert isinstance(knock.server.look(KEY, third, 6 * SLOT - 1, UNIX), AddressProof)
    assert refused(knock.server, KEY, third, 6 * SLOT) is DropReason.BAD_COOKIE
    assert refused(knock.server, KEY, third, START - SLOT) is DropReason.BAD_COOKIE
    assert refused(StatelessHandshake(profile(wrap).over("udp"), bytes(32)), KEY, third) is DropReason.BAD_COOKIE


def plain(opcode: int, acks: tuple[int, ...], cookie: bytes, message_id: int | None, key_id: int = 0) -> bytes:
    """A control packet without a wrap, from the words of the protocol."""
    body = bytes((opcode << 3 | key_id,)) + b"client!!" + bytes((len(acks),))
    body += b"".join(ack.to_bytes(4, "big") for ack in acks) + (cookie if acks else b"")
    return body if message_id is None else body + message_id.to_bytes(4, "big") + b"x" * 40


def cookie_of(handshake: StatelessHandshake) -> bytes:
    answer = handshake.look(KEY, plain(7, (), b"", 0), START, UNIX)
    assert isinstance(answer, Answer)
    return answer.record[1:9]


@pytest.mark.parametrize(
    ("opcode", "acks", "message_id", "good"),
    [
        (5, (0,), None, True),  # OpenVPN 2.5 says so first
        (4, (0,), 1, True),  # 2.6
        (4, (0, 1), 1, True),
        (4, (1,), 0, True),
        (5, (), None, False),
        (4, (), 0, False),
        (4, (), 2, False),
        (5, (2,), None, False),
        (5, (0, 2), None, False),
        (4, (0,), 2, False),
        (4, (0,), 0xFFFFFFFF, False),
    ],
)
def test_message_ids_beyond_the_first_two_prove_nothing(
    opcode: int, acks: tuple[int, ...], message_id: int | None, good: bool
) -> None:
    handshake = server()
    record = plain(opcode, acks, cookie_of(handshake), message_id)
    if good:
        assert isinstance(handshake.look(KEY, record, START, UNIX), AddressProof)
    else:
        assert refused(handshake, KEY, record) is DropReason.BAD_COOKIE


@pytest.mark.parametrize("flipped", range(64))
def test_every_bit_of_a_cookie_counts(flipped: int) -> None:
    handshake = server()
    cookie = (int.from_bytes(cookie_of(handshake), "big") ^ 1 << flipped).to_bytes(8, "big")
    assert refused(handshake, KEY, plain(4, (0,), cookie, 1)) is DropReason.BAD_COOKIE


def test_a_client_of_2_5_whose_acknowledgement_was_lost_is_answered_again() -> None:
    """Its next packets have message id 1 and no acknowledgement; the session id in the answer is the one before."""
    handshake = server()
    cookie = cookie_of(handshake)
    answer = handshake.look(KEY, plain(4, (), b"", 1), START + 2 * SECOND, UNIX)
    assert isinstance(answer, Answer)
    assert answer.record[1:9] == cookie
    short = bytes((4 << 3,)) + b"client!!" + b"\0" + (1).to_bytes(4, "big")
    assert refused(handshake, KEY, short) is DropReason.BAD_COOKIE  # an answer would be longer


@pytest.mark.parametrize("key_id", [1, 7])
def test_other_key_ids_begin_nothing(key_id: int) -> None:
    handshake = server()
    cookie = cookie_of(handshake)
    for opcode, acks, message_id in ((7, (), 0), (4, (0,), 1), (5, (0,), None)):
        record = plain(opcode, acks, cookie, message_id, key_id)
        assert refused(handshake, KEY, record) is DropReason.BAD_CONTROL_PACKET


@pytest.mark.parametrize(
    "record",
    [
        plain(7, (), b"", 1),
        plain(7, (), b"", 0).replace(b"client!!", bytes(8)),
        plain(7, (), b"", None),
        bytes((7 << 3,)) + b"client!!" + b"\x09" + bytes(60),
    ],
)
def test_malformed_hard_resets(record: bytes) -> None:
    assert refused(server(), KEY, record) is DropReason.BAD_CONTROL_PACKET


@pytest.mark.parametrize("wrap", ["tls-auth", "tls-crypt", "tls-crypt-v2"])
def test_every_byte_of_a_wrapped_packet_counts(wrap: str) -> None:
    knock = Knock(wrap)
    for record in (knock.reset, knock.third()):
        for at in range(1, len(record)):
            spoiled = record[:at] + bytes((record[at] ^ 1,)) + record[at + 1 :]
            assert refused(knock.server, KEY, spoiled) in (DropReason.BAD_HMAC, DropReason.BAD_CONTROL_PACKET)


@pytest.mark.parametrize("wrap", WRAPS)
def test_every_length_of_a_packet_is_refused_or_right(wrap: str) -> None:
    knock = Knock(wrap)
    for record in (knock.reset, knock.third()):
        for size in range(14, len(record)):
            try:
                found = knock.server.look(KEY, record[:size], START, UNIX)
            except PeerError:
                continue
            assert wrap == "none"
            assert isinstance(found, AddressProof)  # TLS is cut short, not the packet


def test_a_client_without_early_negotiation_begins_at_once() -> None:
    client = ModelClient(kit("tls-crypt-v2"))
    client.early_negotiation = False
    client.start(START)
    [reset] = client.poll(START)
    assert server("tls-crypt-v2").look(KEY, reset, START, UNIX) == FirstPacket()
    settings = profile("tls-crypt-v2").over("udp")
    strict = StatelessHandshake(replace(settings, wrap=replace(settings.wrap, v2_force_cookie=True)), SECRET)
    assert refused(strict, KEY, reset) is DropReason.NO_HARD_RESET


@pytest.mark.parametrize(
    ("ours", "theirs"), [("none", "tls-crypt-v2"), ("tls-crypt", "none"), ("tls-crypt-v2", "tls-crypt")]
)
def test_another_wrap_is_refused(ours: str, theirs: str) -> None:
    client = ModelClient(kit(theirs))
    client.start(START)
    [reset] = client.poll(START)
    expected = DropReason.BAD_CONTROL_PACKET if (ours, theirs) == ("tls-crypt", "none") else DropReason.NO_HARD_RESET
    assert refused(server(ours), KEY, reset) is expected
