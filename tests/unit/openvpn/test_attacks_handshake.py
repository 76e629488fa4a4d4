"""The weaknesses that OpenVPN servers have had, tried on our session: its handshake, key message, pushes, strings.

docs/dev/cve-tests.md lists which test is for which; tests/unit/gateway/test_hostile_peers.py has those of whole
gateways.
"""

from __future__ import annotations

import pytest
from tests.unit.openvpn.link import SECOND, START, Link, kit, profile
from tests.unit.openvpn.stages import (
    PACKET,
    STAGES,
    WRAPS,
    alive,
    at_stage,
    body_of,
    control,
    drops,
    give,
    whole_life,
)
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.session_events import Authenticated, Established
from hognose.wire import openvpn as wire

# -- the key exchange message ------------------------------------------------------------------------------------------


def complete_message() -> bytes:
    client = Link(profile(), kit(username="alice", password="secret")).client
    client.start(START)
    return client.key_message(client.negotiations[0])


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
        between = link.negotiations.primary is not None and link.negotiations.primary.client is not None
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
    if link.session.ended is not None:
        # The key message came in several flights, the first of which ended between two strings: without peer info, as
        # old clients send it. In how many flights 400 records of a byte come depends on their ciphertexts' sizes.
        assert (size, link.session.ended.reason) == (1, DropReason.NO_SHARED_CIPHER)
        return
    link.rest(2)
    for piece in (b"\0", b"\0\0\0\0", b"\0" * 5, b"EX", b"IT\0"):
        assert link.session.ended is None
        link.client.say_bytes(piece, link.now)
        link.rest(0.1)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_EXIT


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
    assert link.session.data.current is None


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
    assert link.negotiations.primary is not None
    assert not link.negotiations.primary.reliability.idle
    link.session.take_events()
    assert link.session.data.current is None
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


def test_cve_2024_28882_a_client_that_is_cut_gets_nothing_more() -> None:
    """CVE-2024-28882: refused long after its PUSH_REPLY, when another one would be due, it asks for one in vain."""
    link = at_stage("established")
    link.rest(31)
    link.session.refuse("certificate has been revoked", link.now)
    link.client.say("PUSH_REQUEST", link.now)
    link.rest(2)
    assert link.client.messages[1:] == ["AUTH_FAILED,certificate has been revoked"]
    link.run(lambda: link.session.ended is not None, 6)


def test_a_client_that_asks_and_never_acknowledges_costs_nothing_more() -> None:
    """Its options wait for their acknowledgement once, asking again queues no others; after two minutes it is gone."""
    link = at_stage("established")
    link.rest(31)
    link.client.say("PUSH_REQUEST", link.now)
    begin = link.now
    while link.session.ended is None:
        link.now += 31 * SECOND
        assert link.now < begin + 200 * SECOND
        link.client.negotiations[0].acks.clear()
        records = link.client.poll(link.now)
        give(link, *records, link.client.seal(PACKET))
        link.session.handle_deadline(link.now, UNIX)
        link.client.negotiations[0].unacked.clear()
        link.client.say("PUSH_REQUEST", link.now)
        primary = link.negotiations.primary
        assert primary is not None
        assert len(primary.reliability._queue) + len(primary.reliability._flying) <= 1
    assert link.session.ended.reason is DropReason.RETRANSMIT_LIMIT
    assert link.now - begin > 120 * SECOND


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
    found = MessageReader(Counters(), OpenvpnLimits()).feed(plaintext)
    assert all(text.isprintable() and len(text) <= 4096 for text in found)
    assert "EXIT" not in found or b"EXIT\0" in plaintext
    link = at_stage(stage)
    for _ in range(8):
        link.client.say_bytes(plaintext, link.now)
        link.rest(0.01)
    link.rest(1)
    assert link.session.ended is None
    assert len(link.negotiations._messages._rest) <= 4096
    replies = [message for message in link.client.messages if message.startswith("PUSH_REPLY")]
    assert len(replies) == (stage in ("established", "renegotiated"))
    link.client.say_bytes(b"\0EXIT\0", link.now)
    link.run(lambda: link.session.ended is not None, 5)
