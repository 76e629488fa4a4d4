"""The weaknesses that OpenVPN servers have had, tried on our session; docs/cve-tests.md lists which test is for which.

Here is what a peer can do to its own session by its records; tests/unit/gateway/test_hostile_peers.py has the rest.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.openvpn.client import OCC_EXIT, PEER_INFO
from tests.unit.openvpn.link import KEY, SECOND, START, UNIX, Link, kit, profile, wrapped_client_key
from tests.unit.openvpn.stages import STAGES, at_stage, body_of, control, drops, whole_life

from hognose.drops import Counters, DropReason
from hognose.openvpn.data_cbc import CbcRecords
from hognose.openvpn.data_epoch import FUTURE_KEYS, EpochRecords
from hognose.openvpn.data_format import DataFormat
from hognose.openvpn.session import Authenticated, Established, Renegotiated, Session
from hognose.openvpn.usage_limits import LAST_PACKET_ID, RENEGOTIATE_AT
from hognose.wire import openvpn as wire

PACKET = b"\x45" + bytes(99)
WRAPS = ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"]
EPOCH = PEER_INFO.replace("IV_PROTO=990", "IV_PROTO=8094")
CBC = PEER_INFO.replace("AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", "AES-256-CBC")
OLD = "IV_PROTO=2\nIV_NCP=2\n"


def alive(link: Link) -> None:
    """The session still carries packets both ways."""
    before = len(link.inner), len(link.client.packets)
    link.client.send(PACKET)
    for record in link.session.seal([PACKET], link.now):
        link.send(record, to_server=False)
    link.run(lambda: len(link.inner) > before[0] and len(link.client.packets) > before[1], 5)


def give(link: Link, *records: bytes) -> None:
    link.inner += link.session.receive(list(records), link.now, UNIX)
    for record in link.session.poll(link.now, UNIX):
        link.send(record, to_server=False)


def fresh(wrap: str = "none") -> tuple[Session, Counters]:
    counters = Counters()
    session = Session(profile(wrap), log_id=1, random=os.urandom, now=START, unix=UNIX, counters=counters)
    return session, counters


# -- the key exchange message ------------------------------------------------------------------------------------------


def complete_message() -> bytes:
    client = Link(profile(), kit(username="alice", password="secret")).client
    client.start(START)
    return client._key_message(client.negotiations[0])


MESSAGE = complete_message()
LENGTH = len(MESSAGE)
BOUNDARIES = {MESSAGE.index(b"alice") - 2, MESSAGE.index(b"secret") - 2, MESSAGE.index(b"IV_VER") - 2}


@pytest.mark.parametrize("size", [*range(LENGTH - 300, LENGTH), *range(130), *range(130, LENGTH - 300, 9)])
def test_cve_2014_8104_every_truncation_of_the_key_message(size: int) -> None:
    """CVE-2014-8104: a control payload shorter than four bytes, and every other cut."""
    client = kit(username="alice", password="secret", cut=lambda message: [message[:size]] if size else [])
    link = Link(profile(hand_window_s=10), client)
    link.client.start(link.now)
    link.rest(11)
    whole = [event for event in link.events if isinstance(event, Authenticated)]
    if not whole:
        assert link.session.ended is not None
        # Old clients leave out what they do not have: a cut between two strings is a whole message, without peer info.
        between = link.session._primary is not None and link.session._primary.client is not None
        assert link.session.ended.reason is (DropReason.NO_SHARED_CIPHER if between else DropReason.HANDSHAKE_TIMEOUT)
        assert between == (size in BOUNDARIES)
    assert not link.has(Established)
    assert not link.client.packets


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 50, 117])
def test_cve_2014_8104_tls_records_of_a_few_bytes(size: int) -> None:
    """CVE-2014-8104: TLS records of 1 ... 4 bytes, empty ones beside; nothing is lost where it can be put together."""
    client = kit(cut=lambda message: [message[at : at + size] for at in range(0, len(message), size)])
    link = Link(profile(hand_window_s=10), client)
    link.client.start(link.now)
    link.run(lambda: link.has(Authenticated) or link.session.ended is not None, 30)
    link.rest(2)
    for piece in (b"\0", b"\0\0\0\0", b"\0" * 5, b"EX", b"IT\0"):
        link.client.say_bytes(piece, link.now)
    link.run(lambda: link.session.ended is not None, 20)


@pytest.mark.parametrize("method", [0, 1, 3, 15])
def test_cve_2017_12166_other_key_methods_are_refused(method: int) -> None:
    """CVE-2017-12166: key method 1 had no bounds check; we know method 2 only."""
    link = Link(profile(), kit(cut=lambda message: [message[:4] + bytes((method,)) + message[5:]]))
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.BAD_KEY_METHOD
    assert not link.has(Authenticated)


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("opcode", [wire.HARD_RESET_CLIENT_V1, wire.HARD_RESET_SERVER_V1])
def test_cve_2017_12166_opcodes_of_key_method_1(opcode: int, stage: str, wrap: str) -> None:
    """CVE-2017-12166: opcodes 1 and 2 never begin anything and never change a session."""
    link = at_stage(stage, wrap)
    before = link.session.ended
    for key_id in range(8):
        give(link, control(link.client, opcode, key_id, body_of(0, bytes(20))))
    if stage == "fresh":
        assert link.session.ended is not None
        assert link.session.ended.reason is DropReason.NO_HARD_RESET
    else:
        assert link.session.ended is before
    if stage in ("established", "renegotiated"):
        alive(link)


@pytest.mark.parametrize("size", [0, 1, 4, 90, 91, 92, 128, 500, 4000])
def test_cve_2026_13122_tokens_of_every_length_are_no_reason_to_fall(size: int) -> None:
    """CVE-2026-13122: a password that begins as an auth-token and is too short; we give none, and look at none."""
    for text in ("SESS_ID_AT_" + "A" * size, "=" * size):
        link = Link(profile(), kit(username="alice", password=text))
        link.connect()
        alive(link)


@pytest.mark.parametrize(
    ("field", "size"), [("username", 5000), ("password", 5000), ("peer_info", 5000), ("options", 600)]
)
def test_strings_that_are_too_long_end_the_session_with_a_reason(field: str, size: int) -> None:
    link = Link(profile(), kit(**{field: "x" * size}))
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.BAD_KEY_METHOD


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("stage", STAGES)
def test_cve_2017_7478_records_of_extreme_sizes_at_every_stage(stage: str, wrap: str) -> None:
    """CVE-2017-7478: control packets that are larger than a buffer, or nearly nothing; wrapped well or not."""
    link = at_stage(stage, wrap)
    for size in (0, 1, 3, 1200, 1976, 2048, 65_535):
        for opcode in (3, 4, 5, 6, 7, 9, 10, 11, 0, 31):
            give(link, control(link.client, opcode, 0, bytes(size)))
            give(link, bytes((opcode << 3,)) + bytes(size))
    give(link, b"")
    whole_life(link)
    if stage == "fresh":
        assert link.session.ended is not None
    elif stage != "ended":
        assert drops(link)


def test_cve_2017_7478_a_handshake_without_end_is_bounded() -> None:
    """CVE-2017-7478: bytes that TLS goes on waiting for cost 64 KiB at most."""
    link = at_stage("reset")
    # A TLS record header that announces a handshake message of 16 MiB, then its bytes.
    payload = b"\x16\x03\x01\x10\x00\x01\xff\xff\xff" + bytes(0x1000 - 4)
    sent = 0
    for message_id in range(1, 200):
        if link.session.ended is not None:
            break
        part = (payload * 2)[:1100]
        give(link, control(link.client, wire.CONTROL_V1, 0, body_of(message_id, part)))
        sent += len(part)
    assert link.session.ended is not None
    assert sent <= 66 * 1024


# -- packet ids that run out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", [PEER_INFO, CBC, OLD], ids=["AEAD", "CBC", "PRF"])
def test_cve_2017_7479_packet_ids_never_wrap(info: str) -> None:
    """CVE-2017-7479: no renegotiation ever completes and packet ids run out: we ask, then stop, and never wrap."""
    link = Link(profile(ciphers=("AES-256-GCM", "AES-256-CBC"), reneg_s=0, ping_timeout_s=0), kit(peer_info=info))
    link.client.start(link.now)
    link.run(lambda: link.has(Established), 20)
    link.rest(1)
    key = link.session._data._current
    assert key is not None
    counter = key if key.other is None else key.other
    assert not isinstance(counter, EpochRecords)
    counter.next_id = RENEGOTIATE_AT
    link.down = False  # nobody answers any more
    asked = 0
    for step in range(40):
        deadline = link.session.next_deadline()
        assert deadline is not None
        link.now = max(link.now + 1, deadline)
        link.session.handle_deadline(link.now, UNIX)
        asked += sum(record[0] >> 3 == wire.SOFT_RESET_V1 for record in link.session.poll(link.now, UNIX))
        assert link.session.ended is None, step
    assert asked
    counter.next_id = LAST_PACKET_ID - 3
    sealed = [record for _ in range(3) for record in link.session.seal([PACKET, PACKET], link.now)]
    assert len(sealed) == 2
    assert counter.next_id <= LAST_PACKET_ID
    assert link.session.seal([PACKET] * 5, link.now) == []
    assert link.counters.drops[DropReason.NO_DATA_KEY] >= 9
    link.session.poll(link.now + 20 * SECOND, UNIX)  # nor a ping
    assert counter.next_id <= LAST_PACKET_ID


def test_cve_2017_7479_the_clients_ids_end_too() -> None:
    """CVE-2017-7479, the other direction: the highest id is taken once, and new keys are asked for."""
    link = Link(profile(reneg_s=0), kit())
    link.connect()
    link.rest(1)
    for packet_id in (0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFF, 0, 1):
        link.client.send(PACKET, packet_id=packet_id)
    link.run(lambda: link.has(Renegotiated), 10)
    assert len(link.inner) == 2
    assert link.counters.drops[DropReason.DATA_REPLAY] == 3
    alive(link)


def test_wrap_packet_ids_begin_a_new_window_at_their_end() -> None:
    """The control wrap's 32-bit ids go on under a later time, which a receiver takes as a new window."""
    link = Link(profile("tls-crypt"), kit("tls-crypt"))
    link.connect()
    link.session._wrap._base._ids._next = 0xFFFFFFFE  # type: ignore[attr-defined]
    seen = []
    for _ in range(3):
        link.session._primary.send_message("INFO,x")  # type: ignore[union-attr]
        [record] = link.session.poll(link.now, UNIX)
        seen.append((int.from_bytes(record[13:17], "big"), int.from_bytes(record[9:13], "big")))
        link.client.receive(record, link.now)
        give(link, *link.client.poll(link.now))
    assert seen[0][1] == 0xFFFFFFFF
    assert [number for _, number in seen[1:]] == [1, 2]
    assert seen[1][0] > seen[0][0]
    assert link.client.messages[1:] == ["INFO,x"] * 3


# -- epochs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", range(1, FUTURE_KEYS + 1))
def test_cve_2025_15497_epoch_jumps_that_may_be(jump: int) -> None:
    """CVE-2025-15497: a jump of exactly the number of future keys was an assert."""
    link = Link(profile(), kit(peer_info=EPOCH))
    link.connect()
    alive(link)
    link.client.send_epoch += jump
    alive(link)
    link.client.send_epoch -= jump  # the retiring one still opens
    alive(link)
    assert sum(link.counters.drops) == 0


@pytest.mark.parametrize("epoch", [0, 2 + FUTURE_KEYS, 3 + FUTURE_KEYS, 300])
def test_cve_2025_15497_epoch_jumps_that_may_not_be(epoch: int) -> None:
    """CVE-2025-15497: too far, or zero; authentic all the same, as only a client with the keys can make them."""
    link = Link(profile(), kit(peer_info=EPOCH))
    link.connect()
    if epoch:
        link.client.send_epoch = epoch
        give(link, link.client.seal(PACKET))
    else:
        record = bytearray(link.client.seal(PACKET))
        for number in (0, 0xFFFF, 0xFFFF - FUTURE_KEYS - 1, 0xF000):
            record[4:6] = number.to_bytes(2, "big")
            give(link, bytes(record))
    assert link.inner == []
    assert link.counters.drops[DropReason.BAD_DATA_EPOCH] == (1 if epoch else 4)
    link.client.send_epoch = 1
    alive(link)
    link.client.send_epoch = 2
    alive(link)
    link.client.send_epoch = 3
    alive(link)
    link.client.send_epoch = 1  # two behind: gone
    give(link, link.client.seal(PACKET))
    assert link.counters.drops[DropReason.BAD_DATA_EPOCH] == (2 if epoch else 5)


# -- data without keys, early pushes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["reset", "TLS", "not admitted", "not acknowledged", "refused"])
def test_cve_2020_11810_data_before_there_are_keys(stage: str) -> None:
    """CVE-2020-11810: data packets of a session without keys open nothing, move nothing, keep nothing alive."""
    link = at_stage(stage)
    for opcode in (wire.DATA_V1, wire.DATA_V2):
        for size in (0, 3, 4, 8, 24, 100):
            give(link, bytes((opcode << 3,)) + bytes(size))
    assert link.inner == []
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 12
    assert not link.session._data.established


def test_cve_2020_11810_data_under_unknown_keys_keeps_nobody_alive() -> None:
    """CVE-2020-11810: nor do packets of key ids that there are not, once there are keys."""
    link = at_stage("established")
    silence = link.session._liveness.last_received
    link.rest(1)
    link.now += SECOND
    sealed = link.client.seal(PACKET)
    for key_id in range(1, 8):
        link.session.receive([bytes((sealed[0] | key_id,)) + sealed[1:]], link.now, UNIX)
        link.session.receive([bytes((wire.DATA_V1 << 3 | key_id,)) + sealed[4:]], link.now, UNIX)
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 14
    assert link.session._liveness.last_received <= max(silence, link.now - SECOND)


def test_cve_2020_15078_push_requests_while_authentication_is_pending() -> None:
    """CVE-2020-15078: no reply and no data before the gateway's word, however often it is asked for."""
    link = at_stage("not admitted")
    for _ in range(50):
        link.client.say("PUSH_REQUEST", link.now)
        link.rest(0.2)
    assert link.client.messages == []
    assert link.session.seal([PACKET], link.now) == []
    give(link, b"\x48\0\0\7" + bytes(40))
    assert not link.has(Established)
    link.session.refuse("no", link.now)
    link.rest(1)
    for _ in range(5):
        link.client.say("PUSH_REQUEST", link.now)
        link.rest(0.2)
    assert link.client.messages == ["AUTH_FAILED,no"]


def test_cve_2020_15078_no_push_before_our_key_message_is_acknowledged() -> None:
    """CVE-2020-15078: admission alone is not enough either; the key must be ACTIVE on both sides."""
    link = at_stage("not acknowledged")
    assert not link.has(Established)
    assert link.session._primary is not None
    assert not link.session._primary.reliability.idle
    link.session.take_events()
    assert not link.session._data.established
    link.run(lambda: link.client.established, 10)
    assert len(link.client.messages) == 1


def test_cve_2022_0547_one_point_decides() -> None:
    """CVE-2022-0547: partial results of several authenticators; here one answer, and the last word is a refusal."""
    link = at_stage("not admitted")
    link.session.refuse("no", link.now)
    link.rest(1)
    assert link.client.messages == ["AUTH_FAILED,no"]
    assert link.session.seal([PACKET], link.now) == []
    link.run(lambda: link.session.ended is not None, 6)


@pytest.mark.parametrize("text", ["PUSH_REQUEST", "INFO,x", "CR_RESPONSE,eA==", "AUTH_PENDING", "PUSH_REQUEST\r\n"])
def test_cve_2024_28882_a_refused_client_cannot_stay(text: str) -> None:
    """CVE-2024-28882: what a client says after AUTH_FAILED does not put its end off."""
    link = at_stage("not admitted")
    link.session.refuse("no", link.now)
    begin = link.now
    while link.session.ended is None:
        assert link.now - begin < 6 * SECOND
        link.client.say(text, link.now)
        give(link, control(link.client, wire.HARD_RESET_CLIENT_V2, 0, body_of(0)))
        give(link, control(link.client, wire.SOFT_RESET_V1, 1, body_of(0)))
        link.rest(0.1)
    assert link.now - begin >= 5 * SECOND  # time to fetch the reason
    assert link.client.messages == ["AUTH_FAILED,no"]


# -- control strings ---------------------------------------------------------------------------------------------------

STRANGE = [
    b"EXIT\n\x1b[2J\0",
    b"\x1b]0;owned\7EXIT\0", b"EX\0IT\0", b"\xff\xfe\xfdEXIT\0", b"EXIT\xff\0", b"E\rXIT\0", b"\r\n\0",
    b"\0" * 2048, b"A" * 2047 + b"\0", b"A" * 2048 + b"\0", b"A" * 16_000 + b"\0", b"A" * 16_000, b"PUSH_REQUEST",
    b"%s%n%x\0", b"exit\0", b" EXIT\0", b"EXIT \0", b"EXIT,now\0", b"PUSH_REPLY,ifconfig 10.8.0.99 255.255.255.0\0",
    b"AUTH_FAILED\0", b"RESTART\0", b"HALT,bye\0", "EXIT\u2028\0".encode(), "EXIT\u202e\0".encode(),
]  # fmt: skip


@pytest.mark.parametrize("plaintext", STRANGE, ids=lambda text: repr(text[:24]))
@pytest.mark.parametrize("stage", ["not admitted", "established", "renegotiated", "refused"])
def test_cve_2024_5594_control_strings_with_anything_in_them(plaintext: bytes, stage: str) -> None:
    """CVE-2024-5594: unprintable, unterminated and long strings mean nothing, cost little, and are not remembered."""
    link = at_stage(stage)
    for _ in range(8):
        link.client.say_bytes(plaintext, link.now)
        link.rest(0.01)
    link.rest(1)
    assert link.session.ended is None
    assert len(link.session._messages._rest) <= 4096
    replies = [message for message in link.client.messages if message.startswith("PUSH_REPLY")]
    assert len(replies) == (stage in ("established", "renegotiated"))
    link.client.say_bytes(b"\0EXIT\0", link.now)
    link.run(lambda: link.session.ended is not None, 5)


# -- tls-crypt-v2 ------------------------------------------------------------------------------------------------------


def v3_reset() -> bytes:
    link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2"))
    link.client.start(link.now)
    [record] = link.client.poll(link.now)
    return record


@pytest.mark.parametrize("corrupt", ["", "tag", "key", "length", "other key"])
@pytest.mark.parametrize("opcode", [wire.HARD_RESET_CLIENT_V3, wire.CONTROL_WKC_V1])
@pytest.mark.parametrize("stage", ["reset", "TLS", "not admitted", "established", "renegotiating", "renegotiated"])
def test_cve_2025_2704_a_client_key_in_the_middle_of_a_session(stage: str, opcode: int, corrupt: str) -> None:
    """CVE-2025-2704: a second client key, good or not, is not installed and breaks nothing."""
    link = at_stage(stage, "tls-crypt-v2")
    key_before = link.session._wrap._base
    metadata = link.session._wrap.metadata
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
    assert link.session._wrap._base is key_before
    assert link.session._wrap.metadata == metadata
    assert link.session.ended is None
    if stage in ("established", "renegotiated"):
        alive(link)
    if stage == "not admitted":
        link.rest(1)
        assert link.session.ended is None


def test_cve_2025_2704_a_repeated_first_flight_with_its_key_is_processed_without_it() -> None:
    """What 2.6 and 3 send over datagrams: ClientHello in CONTROL_WKC_V1, perhaps more than once."""
    link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2"))
    original = link.client._queue

    def with_key(negotiation, opcode, payload, now) -> None:
        original(negotiation, 11 if opcode == 4 and negotiation.next_out == 1 else opcode, payload, now)

    link.client._queue = with_key  # type: ignore[method-assign]
    link.client.start(link.now)
    seen = []
    receive = link.session.receive

    def spy(records, now, unix):
        again = [record for record in records for _ in range(2 if record[0] >> 3 == 11 else 1)]
        seen.extend(record[0] >> 3 for record in again)
        return receive(again, now, unix)

    link.session.receive = spy  # type: ignore[method-assign]
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

    link.session.poll = spy  # type: ignore[method-assign]
    make_keys = link.client._make_keys

    def and_talk(negotiation) -> None:
        """The acknowledgement that makes the key ACTIVE and messages of the client go out together."""
        make_keys(negotiation)
        for _ in range(seed):
            link.client.say("INFO,hello", link.now, key_id=1)

    link.client._make_keys = and_talk  # type: ignore[method-assign]
    link.run(lambda: link.has(Renegotiated) and not link.client.negotiations[1].unacked, 10)
    assert {record[0] & 7 for record in sent} <= {0, 1}
    assert link.counters.drops[DropReason.BAD_CONTROL_MESSAGE] == seed
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
    assert link._air == []


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
    """What waits in the TLS connection goes out before the session does, so that the client can say why."""
    from tests.world.pki import Authority

    stranger = Authority("Other").issue("mallory", start_days=-400, days=4000)
    link = Link(profile(wrap), kit(wrap, cert=stranger.cert, key=stranger.key))
    link.client.start(link.now)
    link.run(lambda: bool(link.client.alerts), 10)
    assert link.session.ended is not None
    assert "alert" in link.client.alerts[0]


# -- data packets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BF-CBC", "DES-EDE3-CBC", "CAST5-CBC", "RC2-CBC", "DES-CBC", "none"])
def test_cve_2016_6329_no_cipher_of_64_bit_blocks(name: str) -> None:
    """CVE-2016-6329: such ciphers are not known, whoever offers them and in whichever way."""
    with pytest.raises(ValueError, match="unknown data cipher"):
        DataFormat(name)
    for info in (f"IV_PROTO=6\nIV_CIPHERS={name}\n", "IV_PROTO=6\n"):
        link = Link(profile(), kit(peer_info=info, options=f"V4,dev-type tun,cipher {name}"))
        link.client.start(link.now)
        link.run(lambda link=link: link.session.ended is not None, 20)  # type: ignore[misc]
        assert link.session.ended is not None
        assert link.session.ended.reason is DropReason.NO_SHARED_CIPHER


@pytest.mark.parametrize("info", [PEER_INFO, CBC, EPOCH, "IV_PROTO=4\nIV_NCP=2\n"], ids=["AEAD", "CBC", "epoch", "V1"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_data_packet_is_opened_or_counted(info: str, data: st.DataObject) -> None:
    """Whole, cut, changed, and with any authentic payload."""
    link = Link(profile(ciphers=("AES-256-GCM", "AES-256-CBC")), kit(peer_info=info))
    link.client.cipher = "AES-256-GCM"
    link.connect()
    for _ in range(20):
        record = link.client.seal_payload(data.draw(st.one_of(st.binary(max_size=80), st.just(OCC_EXIT[:-1] + b"\0"))))
        cut = data.draw(st.integers(0, len(record)))
        flip = data.draw(st.integers(0, len(record) - 1))
        changed = bytes((byte ^ (at == flip) for at, byte in enumerate(record)))
        give(link, *data.draw(st.lists(st.sampled_from([record, record[:cut], changed, record[cut:]]), max_size=4)))
    assert link.session.ended is None or link.session.ended.reason is DropReason.PEER_EXIT


def test_cbc_padding_is_looked_at_only_behind_the_hmac() -> None:
    """No padding oracle: whatever follows a wrong HMAC is counted alike."""
    assert CbcRecords.open_records.__doc__ is not None
    link = Link(profile(ciphers=("AES-256-CBC",)), kit(peer_info=CBC))
    link.connect()
    record = link.client.seal(PACKET)
    for at in range(4, len(record)):
        give(link, record[:at] + bytes((record[at] ^ 1,)) + record[at + 1 :])
    assert drops(link) == {"DATA_AUTHENTICATION": len(record) - 4}
    assert KEY  # the static key is not what data is under


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


@pytest.mark.parametrize("stage", STAGES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wrap=st.sampled_from(WRAPS), parts=st.lists(RECORDS, max_size=10))
def test_anything_at_any_stage_never_raises(stage: str, wrap: str, parts: list[tuple[str, object]]) -> None:
    """Arbitrary records, wrapped well or not, arbitrary plaintext under TLS, arbitrary payloads under data keys."""
    link = at_stage(stage, wrap)
    client = link.client
    for kind, what in parts:
        if kind == "raw":
            assert isinstance(what, bytes)
            give(link, what)
        elif kind == "wrapped":
            opcode, key_id, body = what  # type: ignore[misc]
            give(link, control(client, opcode, key_id, body.replace(b"server", client.server_sid or bytes(8))))
        elif kind == "text" and client.negotiations and client.negotiations[0].done:
            client.say_bytes(what, link.now, key_id=0)  # type: ignore[arg-type]
            give(link, *client.poll(link.now))
        elif kind == "data" and client.data_keys:
            key_id, payload = what  # type: ignore[misc]
            give(link, client.seal_payload(payload, key_id if key_id in client.data_keys else 0))
        elif kind == "wait":
            link.now += what * SECOND // 10  # type: ignore[operator]
            link.session.handle_deadline(link.now, UNIX)
            link.session.poll(link.now, UNIX)
    link.session.take_events()
    link.session.seal([PACKET], link.now)
    whole_life(link)
