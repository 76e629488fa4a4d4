"""Whole sessions against the model client, in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from tests.unit.openvpn.client import OCC_EXIT, PING
from tests.unit.openvpn.link import (
    KEY,
    SECOND,
    START,
    Link,
    Quality,
    authority,
    client_identity,
    kit,
    profile,
    server_identity,
    tls_context,
)  # fmt: skip
from tests.world.pki import SERVER, Authority
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Disagreed, Established, Renegotiated
from hognose.openvpn.tls.context import TlsContext
from hognose.settings import TlsSettings

PACKET = b"\x45" + bytes(99)
OLD_CLIENT = "IV_VER=2.4.0\nIV_PROTO=2\nIV_NCP=2\n"


def established(link: Link) -> Established:
    return next(event for event in link.events if isinstance(event, Established))


def exchange(link: Link, count: int = 3) -> None:
    """Packets both ways, in order."""
    want = [PACKET + bytes((n,)) for n in range(count)]
    before_in, before_out = len(link.inner), len(link.client.packets)
    for packet in want:
        link.client.send(packet)
    for record in link.session.seal(want, link.now):
        link.send(record, to_server=False)
    link.run(lambda: len(link.inner) == before_in + count and len(link.client.packets) == before_out + count, 5)
    assert link.inner[before_in:] == want
    assert link.client.packets[before_out:] == want


@pytest.mark.parametrize("wrap", ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"])
@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"])
@pytest.mark.parametrize("tls", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_connect_and_exchange(wrap: str, cipher: str, tls: int) -> None:
    link = Link(profile(wrap, ciphers=(cipher,)), kit(wrap, max_tls=tls))
    link.connect()
    event = established(link)
    assert (event.cipher, event.wrap, event.key_source, event.header) == (cipher, wrap, "tls-ekm", "V2")
    assert event.tls == ("TLSv1.2" if tls == SSL.TLS1_2_VERSION else "TLSv1.3")
    assert link.client.messages == [
        "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ifconfig 10.8.0.2 255.255.255.0,peer-id 7,"
        f"cipher {cipher},protocol-flags cc-exit tls-ekm dyn-tls-crypt,tun-mtu 1500"
    ]
    exchange(link)
    assert sum(link.counters.drops) == 0


@pytest.mark.parametrize("digest", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("direction", [None, 0, 1])
def test_tls_auth_digests_and_directions(digest: str, direction: int | None) -> None:
    server = profile("tls-auth")
    server = replace(server, wrap=replace(server.wrap, direction=direction, digest=digest))
    other = None if direction is None else 1 - direction
    link = Link(server, kit("tls-auth", direction=other, digest=digest.lower()))
    link.connect()
    exchange(link)


def test_a_client_that_asks_and_knows_no_key_export() -> None:
    """2.4-like: PRF keys, PUSH_REQUEST, no flags, no tun-mtu."""
    link = Link(profile(), kit(peer_info=OLD_CLIENT))
    link.client.start(link.now)
    link.run(lambda: link.has(Established), 30)
    link.rest(1)
    assert link.client.messages == []
    link.client.cipher, link.client.peer_id = "AES-256-GCM", 7
    link.client.say("PUSH_REQUEST", link.now)
    link.run(lambda: bool(link.client.messages), 5)
    link.client.say("PUSH_REQUEST", link.now)
    link.rest(2)
    assert len(link.client.messages) == 1  # not twice within 30 s
    assert link.client.messages[0].endswith("peer-id 7,cipher AES-256-GCM")
    assert established(link).key_source == "prf"
    exchange(link)


def test_a_client_without_data_v2() -> None:
    link = Link(profile(), kit(peer_info="IV_VER=2.3\nIV_PROTO=4\nIV_NCP=2\n"))
    link.client.cipher = "AES-256-GCM"
    link.connect()
    assert established(link).header == "V1"
    exchange(link)


def test_the_cipher_of_the_options_string_counts_without_iv_ciphers() -> None:
    link = Link(profile(), kit(peer_info="IV_PROTO=6\n", options="V4,dev-type tun,cipher AES-128-GCM,key-method 2"))
    link.client.cipher = "AES-128-GCM"
    link.connect()
    assert established(link).cipher == "AES-128-GCM"
    assert "cipher" not in link.client.messages[0]
    exchange(link)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("wrap", ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"])
def test_datagrams_that_get_lost_repeated_and_reordered(wrap: str, seed: int) -> None:
    """The session does not know its transport: control survives a link that OpenVPN's UDP would face."""
    link = Link(profile(wrap), kit(wrap), Quality(loss=0.15, repeat=0.1, reorder=0.2), seed)
    link.connect()
    link.client.renegotiate(link.now)
    link.run(lambda: link.has(Renegotiated), 60)


def test_renegotiation_by_the_client_keeps_both_keys() -> None:
    link = Link(profile("tls-crypt", hand_window_s=20), kit("tls-crypt"))
    link.connect()
    link.rest(11)
    key_id = link.client.renegotiate(link.now)
    link.run(lambda: link.has(Renegotiated), 10)
    assert key_id == 1
    sealed = link.session.seal([PACKET], link.now)
    assert sealed[0][0] & 7 == 0  # the old key goes on sealing for hand-window
    link.client.send(PACKET, key_id=0)
    link.client.send(PACKET, key_id=1)
    link.run(lambda: len(link.inner) == 2, 5)
    link.rest(21)
    assert link.session.seal([PACKET], link.now)[0][0] & 7 == 1
    for expected in (2, 3, 4, 5, 6, 7, 1):
        link.rest(11)
        count = len(link.events)
        assert link.client.renegotiate(link.now) == expected
        link.run(lambda count=count: len(link.events) > count, 10)
    exchange(link)


def test_the_old_key_dies_after_the_transition_window() -> None:
    link = Link(profile(hand_window_s=5, tran_window_s=30, ping_timeout_s=0), kit())
    link.connect()
    link.rest(11)
    link.client.renegotiate(link.now)
    link.run(lambda: link.has(Renegotiated), 10)
    link.rest(40)
    link.client.send(PACKET, key_id=0)
    link.rest(1)
    assert link.inner == []
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 1


def test_renegotiation_by_the_server() -> None:
    link = Link(profile(reneg_s=30, hand_window_s=10, ping_timeout_s=0), kit())
    link.connect()
    link.run(lambda: sum(isinstance(event, Renegotiated) for event in link.events) == 3, 200)
    exchange(link)


def test_a_client_cannot_renegotiate_all_the_time() -> None:
    link = Link(profile(), kit())
    link.connect()
    link.client.renegotiate(link.now)
    link.run(lambda: link.has(Renegotiated), 10)
    link.client.renegotiate(link.now)
    link.rest(5)
    assert sum(isinstance(event, Renegotiated) for event in link.events) == 1
    assert link.counters.drops[DropReason.RENEGOTIATION_TOO_SOON] > 0


def test_another_certificate_at_renegotiation_ends_the_session() -> None:
    link = Link(profile(), kit())
    link.connect()
    other = client_identity("mallory")
    link.client.kit = replace(link.client.kit, cert=other.cert, key=other.key)
    link.client.renegotiate(link.now)
    link.run(lambda: link.session.ended is not None, 10)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.CERTIFICATE_REJECTED


def test_a_renegotiation_that_stops_halfway_costs_only_itself() -> None:
    link = Link(profile(hand_window_s=10, ping_timeout_s=0, reneg_s=0), kit())
    link.connect()
    link.client.renegotiate(link.now)
    link.client.negotiations[1].unacked.clear()
    reset = link.client.control(link.client.negotiations[1], 3, 0, b"")
    link.session.receive([reset], link.now, UNIX)
    link.client.negotiations.pop(1)
    link.down = False
    link.rest(15)
    link.client.newest = 0
    link.down = True
    assert link.counters.drops[DropReason.RENEGOTIATION_FAILED] == 1
    assert link.session.ended is None
    exchange(link)


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["control", "occ"])
def test_exit_of_the_client(how: str) -> None:
    link = Link(profile(), kit())
    link.connect()
    if how == "control":
        link.client.say("EXIT", link.now)
    else:
        link.client.send(OCC_EXIT)
    link.run(lambda: link.session.ended is not None, 5)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_EXIT
    assert link.session.receive([b"\x48"], link.now, UNIX) == []
    assert link.session.next_deadline() is None
    link.session.handle_deadline(link.now, UNIX)


def test_keepalive_pings_and_time_out() -> None:
    link = Link(profile(ping_s=10, ping_timeout_s=60), kit())
    link.connect()
    link.rest(35)
    assert link.client.pings == 3
    link.down = False
    link.run(lambda: link.session.ended is not None, 61)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_TIMEOUT


def test_only_authentic_packets_keep_a_client_alive() -> None:
    link = Link(profile("tls-auth"), kit("tls-auth"))
    link.connect()
    link.rest(40)
    forged = bytearray(link.client.seal(PACKET))
    forged[-1] ^= 1
    for record in (bytes(forged), b"\x20" + link.client.sid + bytes(60)):
        link.session.receive([record], link.now, UNIX)
    link.run(lambda: link.session.ended is not None, 21)
    link = Link(profile(), kit())
    link.connect()
    for _ in range(3):
        link.rest(50)
        link.session.receive([link.client.seal(PING)], link.now, UNIX)
    assert link.session.ended is None


def test_refusal_is_told_and_ends_after_a_while() -> None:
    link = Link(profile(), kit(), admit=False)
    link.client.start(link.now)
    link.run(lambda: bool(link.events), 10)
    link.session.refuse("the server is full", link.now)
    link.run(lambda: link.session.ended is not None, 10)
    assert link.client.messages == ["AUTH_FAILED,the server is full"]


def test_no_shared_cipher_is_told() -> None:
    info = "IV_VER=2.6\nIV_PROTO=990\nIV_CIPHERS=AES-256-CBC:BF-CBC\n"
    link = Link(profile(), kit(peer_info=info))
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.NO_SHARED_CIPHER
    [event] = [event for event in link.events if isinstance(event, Disagreed)]
    assert "AES-256-CBC" in event.detail
    assert "CHACHA20-POLY1305" in event.detail
    assert link.client.messages == ["AUTH_FAILED,Data channel cipher negotiation failed (no shared cipher)"]


def test_an_orderly_stop_is_told() -> None:
    link = Link(profile(), kit())
    link.connect()
    link.session.shutdown(link.now)
    link.run(lambda: "RESTART,[P]:the server restarts" in link.client.messages, 5)


def test_a_handshake_that_takes_too_long() -> None:
    link = Link(profile(hand_window_s=60), kit())
    link.client.start(link.now)
    link.exchange()
    link.client.negotiations.clear()
    link.run(lambda: link.session.ended is not None, 61)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.HANDSHAKE_TIMEOUT


# -- certificates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        (lambda: Authority("Other").issue("mallory", start_days=-400, days=4000), "client certificate"),
        (lambda: authority().issue("late", start_days=-400, days=10), "expired"),
        (lambda: authority().issue("early", start_days=3000, days=10), "not yet valid"),
        (lambda: authority().issue("server2", SERVER, start_days=-400, days=4000), "purpose"),
        (lambda: authority().issue("a\nb", start_days=-400, days=4000), "common name"),
    ],
)
@pytest.mark.parametrize("tls", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_certificates_that_are_refused(identity, words: str, tls: int) -> None:
    who = identity()
    link = Link(profile(), kit(cert=who.cert, key=who.key, max_tls=tls))
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.CERTIFICATE_REJECTED
    assert words in link.session.ended.detail
    assert not link.events


def test_a_tls_version_below_the_minimum() -> None:
    link = Link(profile(tls=tls_context("1.3")), kit(max_tls=SSL.TLS1_2_VERSION))
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.TLS_ERROR


def test_a_tap_client_is_told_what_to_change() -> None:
    link = Link(profile(), kit(options="V4,dev-type tap,key-method 2"))
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert "dev tun" in link.session.ended.detail


# -- hostile records ---------------------------------------------------------------------------------------------------


def fresh(wrap: str = "none") -> tuple[Session, Counters]:
    counters = Counters()
    session = Session(profile(wrap), random=lambda n: b"\1" * n, now=START, unix=UNIX, counters=counters)
    return session, counters


RESET = b"\x38" + bytes(range(1, 9)) + b"\0" + bytes(4)


@pytest.mark.parametrize(
    ("wrap", "record", "reason"),
    [
        ("none", b"\x20" + bytes(30), DropReason.NO_HARD_RESET),
        ("none", b"\x08" + bytes(30), DropReason.NO_HARD_RESET),
        ("none", b"\x50" + bytes(30), DropReason.NO_HARD_RESET),
        ("none", b"\x48\0\0\0" + bytes(30), DropReason.NO_HARD_RESET),
        ("none", b"\x38", DropReason.BAD_CONTROL_PACKET),
        ("none", RESET[:12], DropReason.BAD_CONTROL_PACKET),
        ("none", RESET[:9] + b"\x09" + bytes(80), DropReason.BAD_CONTROL_PACKET),
        ("none", b"\x38" + bytes(8) + b"\0" + bytes(4), DropReason.BAD_CONTROL_PACKET),
        ("none", RESET[:-1] + b"\1", DropReason.BAD_CONTROL_PACKET),
        ("none", b"\x39" + RESET[1:], DropReason.BAD_CONTROL_PACKET),
        ("tls-auth", RESET, DropReason.BAD_CONTROL_PACKET),
        ("tls-auth", RESET + bytes(40), DropReason.BAD_HMAC),
        ("tls-crypt", RESET, DropReason.BAD_CONTROL_PACKET),
        ("tls-crypt", RESET + bytes(60), DropReason.BAD_HMAC),
    ],
)
def test_first_records_that_end_it(wrap: str, record: bytes, reason: DropReason) -> None:
    session, _ = fresh(wrap)
    assert session.receive([record], START, UNIX) == []
    assert session.ended is not None
    assert session.ended.reason is reason
    assert session.ended.detail


def test_a_second_reset_and_foreign_session_ids_change_nothing() -> None:
    link = Link(profile(), kit())
    link.connect()
    before = sum(link.counters.drops)
    other = RESET[:1] + b"\x77" * 8 + RESET[9:]
    link.session.receive([other, b"\x20" + link.client.sid + b"\1" + bytes(16), b"\x20\1"], link.now, UNIX)
    assert link.counters.drops[DropReason.WRONG_SESSION_ID] == 2
    assert sum(link.counters.drops) == before + 3
    exchange(link)


def test_control_messages_beyond_the_window_are_dropped() -> None:
    link = Link(profile(), kit())
    link.connect()
    record = b"\x20" + link.client.sid + b"\0" + (1000).to_bytes(4, "big") + b"x"
    link.session.receive([record], link.now, UNIX)
    assert link.counters.drops[DropReason.RECEIVE_WINDOW_FULL] == 1


def test_data_that_does_not_open_is_counted_by_its_reason() -> None:
    link = Link(profile(), kit())
    link.connect()
    good = link.client.seal(PACKET, packet_id=5)
    flipped = good[:-1] + bytes((good[-1] ^ 1,))
    compressed = link.client.seal(b"\xfa" + PACKET, packet_id=6)
    records = [
        good,
        good,
        flipped[:4] + b"\0\0\0\x09" + flipped[8:],
        good[:4] + b"\0\0\0\x0a" + good[8:20],
        b"\x4b" + good[1:],
        compressed,
    ]
    records += [link.client.seal(PACKET, packet_id=0), link.client.seal(PACKET, packet_id=200), good]
    records.append(link.client.seal(PACKET, packet_id=201))
    assert link.session.receive(records, link.now, UNIX) == [PACKET] * 3
    drops = link.counters.drops
    assert drops[DropReason.DATA_REPLAY] == 3
    assert drops[DropReason.DATA_AUTHENTICATION] + drops[DropReason.BAD_DATA_PACKET] >= 1
    assert drops[DropReason.NO_DATA_KEY] == 1
    assert drops[DropReason.COMPRESSED] == 1


def test_ids_out_of_order_inside_the_window_are_taken_once() -> None:
    link = Link(profile(), kit())
    link.connect()
    order = [3, 1, 2, 5, 4, 70, 8, 5, 1]
    got = link.session.receive([link.client.seal(PACKET, packet_id=n) for n in order], link.now, UNIX)
    assert len(got) == 7
    assert link.counters.drops[DropReason.DATA_REPLAY] == 2


def test_control_strings_with_unprintable_characters_are_ignored() -> None:
    link = Link(profile(), kit())
    link.connect()
    link.client.say("EX\x1bIT", link.now)
    link.client.say("what is this", link.now)
    link.rest(1)
    assert link.session.ended is None
    assert link.counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 2


def test_nothing_is_sealed_before_there_are_keys() -> None:
    session, counters = fresh()
    assert session.seal([PACKET], START) == []
    assert counters.drops[DropReason.NO_DATA_KEY] == 1
    assert session.poll(START, UNIX) == []
    session.shutdown(START)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=120), max_size=8), st.sampled_from(["none", "tls-auth", "tls-crypt"]))
def test_garbage_never_raises(records: list[bytes], wrap: str) -> None:
    """No packet comes of it; the first record is a reason to end, or is answered as a hard reset is."""
    session, counters = fresh(wrap)
    assert session.receive(records, START, UNIX) == []
    answers = session.poll(START, UNIX)
    assert (session.ended is not None or answers != []) == (records != [])
    deadline = session.next_deadline()
    if deadline is not None:
        session.handle_deadline(deadline, UNIX)
    assert counters.drops[DropReason.INTERNAL_ERROR] == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 31), st.integers(0, 7), st.binary(max_size=200)), max_size=12))
def test_garbage_inside_an_open_session_never_raises(parts: list[tuple[int, int, bytes]]) -> None:
    link = Link(profile(), kit())
    link.client.start(link.now)
    for _ in range(3):
        link.exchange()
        link.now += 2 * SECOND // 1000
    sid = link.client.sid
    records = [bytes((opcode << 3 | key_id,)) + sid + rest for opcode, key_id, rest in parts]
    before = len(link.events)
    assert link.session.receive(records, link.now, UNIX) == []
    link.session.poll(link.now, UNIX)
    assert not link.has(Established)
    assert len(link.events) == before


def test_a_wrong_static_key_is_explained() -> None:
    link = Link(profile("tls-crypt"), kit("tls-crypt", static_key=KEY[::-1]))
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 5)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.BAD_HMAC
    assert "the client has another static key" in link.session.ended.detail


def test_a_handshake_that_a_reload_overtakes_is_judged_by_the_new_list() -> None:
    old = profile()
    link = Link(old, kit())
    link.client.start(link.now)
    link.run(
        lambda: link.negotiations.primary is not None and link.negotiations.primary.tls is not None,
        10,
    )
    identity = server_identity()
    crl = authority().revocation_list(client_identity(), start_days=-400, days=4000)
    wanted = TlsSettings(authority().pem, identity.cert, identity.key, crl=crl)
    link.session.replace_profile(replace(old, tls=TlsContext(wanted)))
    link.run(lambda: link.session.ended is not None, 10)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.CERTIFICATE_REJECTED
    assert "revoked" in link.session.ended.detail
    assert not link.has(Established)
