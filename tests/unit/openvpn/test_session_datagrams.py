"""Sessions over links that lose, repeat and reorder: every wrap, renegotiations of both sides, data meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.openvpn.client import PEER_INFO
from tests.unit.openvpn.link import KEY, SECOND, Link, Quality, kit, profile
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.control.session_wrap import SessionWrap
from hognose.openvpn.session_events import Established, Renegotiated
from hognose.settings import WrapSettings
from hognose.wire import openvpn as wire

PACKET = b"\x45" + bytes(99)
OPENVPN_3 = PEER_INFO.replace("IV_VER=2.6.14", "IV_VER=3.12_git").replace("IV_PROTO=990", "IV_PROTO=8094")
WRAPS = ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"]
LOSSY = Quality(loss=0.15, repeat=0.1, reorder=0.2)


def count(link: Link) -> int:
    return sum(isinstance(event, Renegotiated) for event in link.events)


def renegotiate(link: Link, who: str, seconds: float = 60) -> None:
    """One renegotiation begun by `client`, `server` or `both` at the same moment."""
    before = count(link)
    if who in ("client", "both"):
        link.client.renegotiate(link.now)
    if who in ("server", "both"):
        link.session.control.renegotiate(link.now)
    link.run(lambda: count(link) > before and link.client.newest in link.client.data_keys, seconds)


# -- loss --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("soft_resets", [True, False], ids=["2.x", "3"])
def test_renegotiations_of_both_sides_in_a_row_on_a_bad_link(wrap: str, seed: int, soft_resets: bool) -> None:
    """Key ids 1 ... 7, 1, 2 under the dynamic key, begun by one, the other, both."""
    link = Link(profile(wrap, ping_timeout_s=0), kit(wrap, soft_resets=soft_resets), LOSSY, seed)
    link.connect()
    for number in range(9):
        link.rest(11)  # a client may not ask more often
        who = ("client", "server", "both")[number % 3]
        renegotiate(link, who if soft_resets else "server")
    link.rest(5)
    assert link.session.ended is None
    ids = [event.key_id for event in link.events if isinstance(event, Renegotiated)]
    assert ids == [1, 2, 3, 4, 5, 6, 7, 1, 2]
    assert {event.wrap for event in link.events if isinstance(event, Renegotiated)} == {"dynamic"}
    assert link.counters.drops[DropReason.BAD_HMAC] == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("wrap", WRAPS)
def test_a_clienthello_of_two_packets_on_a_bad_link(wrap: str, seed: int) -> None:
    """As 2.7 with a post-quantum key share sends it; its parts come in any order."""
    link = Link(profile(wrap), kit(wrap, hello_padding=1400), LOSSY, seed)
    link.client.start(link.now)
    link.run(lambda: link.client.established and link.has(Established), 90)
    assert link.session.ended is None


def test_a_clienthello_of_two_packets_is_one() -> None:
    link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2", hello_padding=1400))
    sizes: list[int] = []
    link.client.start(link.now)
    queue = link.client.queue

    def spy(negotiation, opcode, payload, now) -> None:
        sizes.append(len(payload))
        queue(negotiation, opcode, payload, now)

    link.client.queue = spy  # type: ignore[method-assign]  # a spy
    link.run(lambda: link.client.established and link.has(Established), 10)
    assert sizes[0] == 1000  # the first part of the ClientHello
    assert sizes[0] + sizes[1] > 1500


@pytest.mark.parametrize("soft_resets", [True, False], ids=["2.x", "3"])
@pytest.mark.parametrize("failed_by", ["client", "server"])
@pytest.mark.parametrize("then_by", ["client", "server"])
def test_key_ids_go_on_after_a_renegotiation_that_failed(failed_by: str, then_by: str, soft_resets: bool) -> None:
    """OpenVPN counts every attempt (ssl.c key_state_init), so that the next one has another key id."""
    link = Link(profile("tls-crypt", hand_window_s=10, ping_timeout_s=0), kit("tls-crypt", soft_resets=soft_resets))
    link.connect()
    link.rest(1)
    if failed_by == "client":
        link.client.renegotiate(link.now)
    else:
        link.session.control.renegotiate(link.now)
    link.run(lambda: 1 in link.client.negotiations and link.negotiations.pending is not None, 5)
    link.down = False
    link.rest(12)
    link.client.negotiations.pop(1)
    link.down = True
    assert link.counters.drops[DropReason.RENEGOTIATION_FAILED] == 1
    renegotiate(link, then_by, 10)
    assert [event.key_id for event in link.events if isinstance(event, Renegotiated)] == [2]
    link.client.send(PACKET, key_id=2)
    link.run(lambda: bool(link.inner), 5)


def test_a_soft_reset_that_never_arrived_does_not_bring_key_ids_out_of_step() -> None:
    """The client has used key id 1 and begins with 2; ours would have been 1."""
    link = Link(profile(hand_window_s=10, ping_timeout_s=0), kit())
    link.connect()
    link.rest(1)
    link.down = False
    link.client.renegotiate(link.now)
    link.rest(12)
    link.client.negotiations.pop(1)
    link.down = True
    renegotiate(link, "client", 10)
    renegotiate(link, "server", 10)
    assert [event.key_id for event in link.events if isinstance(event, Renegotiated)] == [2, 3]


def test_the_key_in_use_keeps_its_id_however_many_attempts_fail() -> None:
    link = Link(profile(hand_window_s=10, ping_timeout_s=0), kit())
    link.connect()
    link.rest(1)
    renegotiate(link, "server", 10)
    seen = []
    link.down = False
    for _ in range(8):
        link.session.control.renegotiate(link.now)
        assert link.negotiations.pending is not None
        seen.append(link.negotiations.pending.key_id)
        link.rest(12)
    assert seen == [2, 3, 4, 5, 6, 7, 2, 3]
    link.down = True
    link.client.send(PACKET, key_id=1)
    link.run(lambda: bool(link.inner), 5)


def test_a_client_that_negotiates_more_often_than_we_change_keys_loses_nothing() -> None:
    """At its soft reset it forgets the key before the last (OpenVPN ssl.c key_state_soft_reset): not ours to use."""
    link = Link(profile(ping_timeout_s=0), kit())  # hand-window 60: that is when our side would change keys by itself
    link.connect()
    link.rest(11)
    for key_id in (1, 2, 3):
        link.client.renegotiate(link.now)
        # Between its soft reset and the new key's use we seal with the newest key that there is.
        link.run(lambda: link.negotiations.pending is not None, 10)
        [record] = link.session.seal([PACKET], link.now)
        assert record[0] & 7 == key_id - 1
        link.rest(12)
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 0


# -- data during renegotiation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", [PEER_INFO, OPENVPN_3], ids=["AEAD", "epoch"])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("who", ["client", "server", "both"])
def test_no_packet_is_lost_while_keys_change_on_a_reordering_link(who: str, seed: int, info: str) -> None:
    server = profile("tls-crypt", hand_window_s=2, reneg_s=3600)
    client = kit("tls-crypt", switch_after=2 * SECOND, peer_info=info)
    link = Link(server, client, Quality(reorder=0.3), seed)
    link.connect()
    link.rest(11)
    sent_up: list[bytes] = []
    sent_down: list[bytes] = []
    sealed_with: set[int] = set()

    def traffic() -> None:
        packet = PACKET + len(sent_up).to_bytes(4, "big")
        sent_up.append(packet)
        link.client.send(packet)
        down = [PACKET + b"down" + len(sent_down).to_bytes(4, "big")]
        sent_down.extend(down)
        for record in link.session.seal(down, link.now):
            sealed_with.add(record[0] & 7)
            link.send(record, to_server=False)

    for step in range(1400):  # 14 seconds, one packet each way every 10 ms
        if step in (100, 1150):
            if who != "server":
                link.client.renegotiate(link.now)
            if who != "client":
                link.session.control.renegotiate(link.now)
        traffic()
        link.rest(0.01)
    link.rest(1)
    assert count(link) == 2
    assert sealed_with == {0, 1, 2}
    assert sorted(link.inner) == sorted(sent_up)
    assert sorted(link.client.packets) == sorted(sent_down)
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 0
    assert link.counters.drops[DropReason.DATA_REPLAY] == 0


# -- OpenVPN 3 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", WRAPS)
def test_openvpn_3_answers_a_soft_reset_with_its_clienthello(wrap: str) -> None:
    """CONTROL_V1 with message id 0 instead of a SOFT_RESET (openvpn3 openvpn/ssl/proto.hpp)."""
    link = Link(profile(wrap), kit(wrap, soft_resets=False, peer_info=OPENVPN_3))
    link.connect()
    seen: list[int] = []
    receive = link.session.receive

    def spy(records, now, unix):
        seen.extend(record[0] >> 3 for record in records if record[0] & 7 == 1)
        return receive(records, now, unix)

    link.session.receive = spy  # type: ignore[method-assign]  # a spy
    renegotiate(link, "server", 10)
    assert wire.SOFT_RESET_V1 not in seen
    assert wire.CONTROL_V1 in seen
    assert sum(link.counters.drops) == 0


@pytest.mark.parametrize("wrap", WRAPS)
def test_openvpn_3_says_exit_with_key_id_0_under_the_dynamic_key(wrap: str) -> None:
    link = Link(profile(wrap), kit(wrap, peer_info=OPENVPN_3))
    link.connect()
    renegotiate(link, "server", 10)
    link.client.exit_with_dynamic = True
    link.client.say("EXIT", link.now, key_id=0)
    link.run(lambda: link.session.ended is not None, 5)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_EXIT


def test_a_push_request_that_crosses_the_reply_is_not_answered_twice() -> None:
    link = Link(profile(), kit(peer_info=OPENVPN_3))
    link.client.start(link.now)
    link.run(lambda: link.has(Established), 10)
    assert link.client.messages == []  # our reply is in the air
    link.client.say("PUSH_REQUEST", link.now)
    link.rest(3)
    assert len(link.client.messages) == 1
    link.client.say("PUSH_REQUEST", link.now)
    link.rest(3)
    assert len(link.client.messages) == 1
    link.rest(31)
    link.client.say("PUSH_REQUEST", link.now)
    link.rest(3)
    assert link.client.messages == [link.client.messages[0]] * 2  # after 30 s, the same once more


@pytest.mark.parametrize("wrap", WRAPS)
def test_control_strings_on_the_old_key_after_a_renegotiation(wrap: str) -> None:
    link = Link(profile(wrap, hand_window_s=30), kit(wrap))
    link.connect()
    renegotiate(link, "server", 10)
    link.rest(5)
    link.client.say("EXIT", link.now, key_id=0)
    link.run(lambda: link.session.ended is not None, 5)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_EXIT


def test_the_old_keys_strings_are_not_heard_for_ever() -> None:
    link = Link(profile(hand_window_s=10), kit())
    link.connect()
    renegotiate(link, "client", 10)
    link.rest(15)
    link.client.say("EXIT", link.now, key_id=0)
    link.rest(3)
    assert link.session.ended is None
    assert link.counters.drops[DropReason.BAD_OPCODE] > 0


# -- tls-crypt-v2 ------------------------------------------------------------------------------------------------------


def test_a_static_wrap_beside_tls_crypt_v2_serves_both_kinds_of_clients() -> None:
    for wrap in ("tls-auth", "tls-crypt"):
        ours = profile(wrap)
        both = replace(ours, wrap=replace(ours.wrap, v2_key=profile("tls-crypt-v2").wrap.v2_key))
        for client in (wrap, "tls-crypt-v2"):
            link = Link(both, kit(client))
            link.connect()
            [event] = [event for event in link.events if isinstance(event, Established)]
            assert event.wrap == client
            renegotiate(link, "both", 10)


def test_wraps_of_two_sessions_share_nothing() -> None:
    """A record of one client's session is not taken by another's, dynamic keys or not."""
    links = [Link(profile("tls-crypt"), kit("tls-crypt")) for _ in range(2)]
    for link in links:
        link.connect()
        renegotiate(link, "client", 10)
    record = links[0].client.control(links[0].client.negotiations[1], wire.CONTROL_V1, 9, b"x")
    links[1].session.receive([record], links[1].now, UNIX)
    assert links[1].counters.drops[DropReason.BAD_HMAC] == 1
    assert SessionWrap(WrapSettings("tls-crypt", KEY)).kind == "none"  # before the first packet
