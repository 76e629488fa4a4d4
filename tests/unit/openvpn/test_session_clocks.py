"""The clocks of an established session begin when it is established, and nothing begins after its end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.openvpn.client import OCC_EXIT, PEER_INFO, PING
from tests.unit.openvpn.link import ADMISSION, SECOND, START, Link, kit, profile
from tests.unit.openvpn.stages import CBC, EPOCH, PACKET, body_of, control, drops
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.liveness import Liveness
from hognose.openvpn.renegotiation import RenegotiationClock
from hognose.openvpn.session_events import Authenticated, EndReason, Established, Renegotiated
from hognose.settings import LivenessSettings, RenegotiationSettings
from hognose.wire import openvpn as wire

# -- from when on ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"session_timeout_s": 60}, DropReason.SESSION_TIMEOUT), ({"inactive_s": 60}, DropReason.INACTIVE)],
    ids=["session-timeout", "inactive"],
)
def test_a_client_that_waited_for_its_admission_has_its_whole_time(changes: dict[str, Any], reason: DropReason) -> None:
    """A minute from the moment at which the data channel works, 40 seconds after the first packet."""
    link = Link(profile(ping_timeout_s=0, hand_window_s=55, **changes), kit(), admit=False)
    link.client.start(link.now)
    link.run(lambda: link.has(Authenticated), 10)
    link.rest(40)
    link.session.admit(ADMISSION, link.now)
    admitted = link.now
    link.run(lambda: link.has(Established), 5)
    link.run(lambda: link.session.ended is not None, 80)
    assert link.session.ended is not None
    assert link.session.ended.reason is reason
    # `inactive` looks eight times in its span, so that it may come an eighth of it late.
    assert admitted + 60 * SECOND <= link.now <= admitted + 68 * SECOND


def test_both_clocks_to_the_nanosecond() -> None:
    first_packet, established = START, START + 45 * SECOND
    timeout, inactive = LivenessSettings(session_timeout_s=60), LivenessSettings(inactive_s=60)
    for ours, reason in ((timeout, DropReason.SESSION_TIMEOUT), (inactive, DropReason.INACTIVE)):
        clocks = Liveness(first_packet)
        clocks.established(established)
        due = established + 60 * SECOND
        assert clocks.over(ours, 0, due - 1) is None
        if ours is inactive:
            clocks = Liveness(first_packet)  # it has just looked
            clocks.established(established)
        over = clocks.over(ours, 0, due)
        assert over is not None
        assert over[0] is reason


def test_deadlines_count_from_the_same_moment() -> None:
    clocks = Liveness(START)
    clocks.established(START + 45 * SECOND)
    assert clocks.deadlines(LivenessSettings(session_timeout_s=60)) == [START + 105 * SECOND]
    assert clocks.deadlines(LivenessSettings(inactive_s=80)) == [START + 55 * SECOND]
    assert clocks.deadlines(LivenessSettings(ping_s=10, ping_timeout_s=60)) == [
        START + 10 * SECOND,
        START + 60 * SECOND,
    ]


def test_a_ping_is_due_when_its_deadline_has_come() -> None:
    """Not a nanosecond later, or the loop would come again and again; and not before."""
    clocks, ours = Liveness(START), LivenessSettings(ping_s=10, ping_timeout_s=60)
    assert not clocks.ping_due(ours, START + 10 * SECOND - 1)
    assert clocks.ping_due(ours, START + 10 * SECOND)
    assert clocks.over(ours, 0, START + 60 * SECOND - 1) is None
    assert clocks.over(ours, 0, START + 60 * SECOND) is not None


def test_data_makes_a_ping_unnecessary() -> None:
    link = established(ping_s=10)
    link.session.poll(link.now, UNIX)
    for _ in range(4):
        link.now += 8 * SECOND
        assert len(link.session.seal([PACKET], link.now)) == 1
        assert link.session.poll(link.now, UNIX) == []
    assert link.session.poll(link.now + 10 * SECOND - 1, UNIX) == []
    assert len(link.session.poll(link.now + 10 * SECOND, UNIX)) == 1


@pytest.mark.parametrize(
    ("least", "traffic", "active"), [(0, 0, False), (0, 1, True), (100, 99, False), (100, 100, True)]
)
def test_the_least_bytes_of_activity(least: int, traffic: int, active: bool) -> None:
    """OpenVPN forward.h register_activity: as many as that are enough; without a number any packet is."""
    ours, clocks = LivenessSettings(inactive_s=80, inactive_bytes=least), Liveness(START)
    clocks.established(START)
    assert clocks.over(ours, traffic, START + 40 * SECOND) is None
    over = clocks.over(ours, traffic, START + 80 * SECOND)
    assert (over is None) == active


def test_a_client_may_ask_for_new_keys_every_ten_seconds() -> None:
    """The first time at once; what came too early does not put the next one off."""
    clock = RenegotiationClock(RenegotiationSettings(), bytes, START)
    assert clock.client_may(START)
    assert not clock.client_may(START + 10 * SECOND - 1)
    assert clock.client_may(START + 10 * SECOND)
    assert not clock.client_may(START + 20 * SECOND - 1)
    assert clock.client_may(START + 20 * SECOND)


def test_attempts_that_fail_never_take_the_id_of_the_key_in_use() -> None:
    """Key ids go from 7 to 1; the key in use has 1, and data still comes under it."""
    link = established(reneg_s=100, reneg_min_s=100, hand_window_s=30, tran_window_s=86_400)
    link.client.renegotiate(link.now)
    link.run(lambda: link.has(Renegotiated), 10)
    link.rest(1)
    tried: list[int] = []
    while len(tried) < 8:
        deadline = link.session.next_deadline()
        assert deadline is not None
        link.now = max(link.now + 1, deadline)
        assert link.now < START + 3600 * SECOND
        link.session.handle_deadline(link.now, UNIX)
        for record in link.session.poll(link.now, UNIX):
            if record[0] >> 3 == wire.SOFT_RESET_V1 and tried[-1:] != [record[0] & 7]:
                tried.append(record[0] & 7)
    assert tried == [2, 3, 4, 5, 6, 7, 2, 3]
    assert link.session.receive([link.client.seal(PACKET)], link.now, UNIX) == [PACKET]


@pytest.mark.parametrize("before", [[], [b""]], ids=["alone", "after an empty datagram"])
def test_a_packet_and_a_ping_in_one_call_keep_a_client_alive(before: list[bytes]) -> None:
    link = established(ping_s=0, ping_timeout_s=60)
    link.rest(30)
    records = [*before, link.client.seal(PACKET), link.client.seal(PING)]
    heard = link.now
    link.session.receive(records, link.now, UNIX)
    assert link.session.next_deadline() is not None
    link.session.handle_deadline(heard + 60 * SECOND - 1, UNIX)
    assert link.session.ended is None
    link.session.handle_deadline(heard + 60 * SECOND, UNIX)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_TIMEOUT


def test_forged_records_in_one_call_keep_no_client_alive() -> None:
    link = established(ping_s=0, ping_timeout_s=60)
    heard = link.now
    link.session.receive([link.client.seal(PACKET)], heard, UNIX)
    forged = [record[:-1] + bytes((record[-1] ^ 1,)) for record in (link.client.seal(PACKET), link.client.seal(PING))]
    link.session.receive(forged, heard + 50 * SECOND, UNIX)
    link.session.handle_deadline(heard + 60 * SECOND, UNIX)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_TIMEOUT


def test_traffic_both_ways_is_activity() -> None:
    """As many bytes in as out do not cancel each other (OpenVPN forward.h register_activity)."""
    link = established(ping_s=0, inactive_s=80)
    for _ in range(4):
        link.rest(60)
        link.session.receive([link.client.seal(PACKET)], link.now, UNIX)
        link.session.seal([PACKET], link.now)
    assert link.session.bytes_in == link.session.bytes_out > 0
    assert link.session.ended is None
    link.run(lambda: link.session.ended is not None, 95)


def test_a_handshake_has_hand_window_to_the_nanosecond() -> None:
    link = Link(profile(hand_window_s=30), kit(), admit=False)
    assert link.session.next_deadline() == START + 30 * SECOND
    link.client.start(link.now)
    link.session.receive(link.client.poll(link.now), link.now, UNIX)
    link.session.handle_deadline(START + 30 * SECOND - 1, UNIX)
    assert link.session.ended is None
    link.session.handle_deadline(START + 30 * SECOND, UNIX)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.HANDSHAKE_TIMEOUT
    assert link.session.next_deadline() is None


# -- after the end -----------------------------------------------------------------------------------------------------


def established(info: str = PEER_INFO, **changes: Any) -> Link:
    settings: dict[str, Any] = {"ping_timeout_s": 0, "ciphers": ("AES-256-GCM", "AES-256-CBC"), **changes}
    ours = profile(**settings)
    link = Link(ours, kit(peer_info=info))
    link.connect()
    link.rest(11)
    return link


def answers(link: Link) -> list[int]:
    """Opcodes of what the session says now, at its next deadline, and in the hour after it."""
    records = link.session.poll(link.now, UNIX)
    for seconds in (0, 60, 3600, 7200):
        link.session.handle_deadline(link.now + seconds * SECOND, UNIX)
        records += link.session.poll(link.now + seconds * SECOND, UNIX)
    return [record[0] >> 3 for record in records]


@pytest.mark.parametrize("info", [PEER_INFO, EPOCH, CBC], ids=["GCM", "epoch", "CBC"])
@pytest.mark.parametrize("limit", [{"reneg_bytes": 1000}, {"reneg_packets": 5}], ids=["reneg-bytes", "reneg-pkts"])
def test_a_goodbye_with_the_last_packets_begins_no_renegotiation(info: str, limit: dict[str, int]) -> None:
    """The packets before it use up the key in the same batch."""
    link = established(info, **limit)
    packets = [link.client.seal(PACKET) for _ in range(20)]
    assert link.session.receive([*packets, link.client.seal(OCC_EXIT)], link.now, UNIX) == [PACKET] * 20
    assert link.session.ended == EndReason(DropReason.PEER_EXIT, "the client said goodbye")
    assert link.negotiations.pending is None
    assert answers(link) == []


def goodbye(link: Link, how: str) -> list[bytes]:
    if how == "OCC":
        return [link.client.seal(OCC_EXIT)]
    link.client.say("EXIT", link.now)
    return link.client.poll(link.now)


@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("how", ["OCC", "EXIT"])
def test_a_soft_reset_after_the_goodbye_begins_nothing(how: str, batches: int) -> None:
    """Together with the goodbye, or later: the session is over, its goodbye is all that is acknowledged."""
    link = established()
    records = goodbye(link, how)
    soft_reset = control(link.client, wire.SOFT_RESET_V1, 1, body_of(0))
    if batches == 1:
        link.session.receive([*records, soft_reset], link.now, UNIX)
    else:
        link.session.receive(records, link.now, UNIX)
        link.session.receive([soft_reset], link.now, UNIX)
    while link.session.has_work:
        link.session.work(link.now, UNIX)
    assert link.session.ended == EndReason(DropReason.PEER_EXIT, "the client said goodbye")
    assert link.negotiations.pending is None
    assert set(answers(link)) <= {wire.ACK_V1}


@pytest.mark.parametrize("how", ["OCC", "EXIT"])
def test_what_comes_after_the_goodbye_is_not_opened(how: str) -> None:
    """Packets before the goodbye are; and no packet after it, in another batch or after a control packet."""
    link = established()
    first, second, last = (link.client.seal(PACKET) for _ in range(3))
    acknowledgement = control(link.client, wire.ACK_V1, 0, bytes(1))
    batch = [first, *goodbye(link, how), acknowledgement, second]
    assert link.session.receive(batch, link.now, UNIX) == [PACKET]
    assert link.session.receive([last], link.now, UNIX) == []
    assert link.session.next_deadline() is None


def test_a_goodbye_ends_a_renegotiation_under_way() -> None:
    link = established()
    link.client.renegotiate(link.now)
    link.run(
        lambda: link.negotiations.pending is not None and link.negotiations.pending.tls is not None,
        10,
    )
    link.session.poll(link.now, UNIX)
    link.session.receive([link.client.seal(OCC_EXIT)], link.now, UNIX)
    assert link.session.ended == EndReason(DropReason.PEER_EXIT, "the client said goodbye")
    assert link.session.next_deadline() is None


@pytest.mark.parametrize("direction", ["in", "time"])
def test_a_session_that_is_to_end_begins_no_renegotiation(direction: str) -> None:
    """Refused after its admission, its end a few seconds away: neither use nor time asks for new keys any more."""
    link = established(reneg_packets=5, reneg_s=12, reneg_min_s=12)
    link.session.refuse("certificate has been revoked", link.now)
    assert drops(link) == {"CERTIFICATE_REJECTED": 1}
    if direction == "in":
        link.session.receive([link.client.seal(PACKET) for _ in range(20)], link.now, UNIX)
    else:
        link.now += 4 * SECOND
        link.session.handle_deadline(link.now, UNIX)
    assert link.negotiations.pending is None
    assert wire.SOFT_RESET_V1 not in {record[0] >> 3 for record in link.session.poll(link.now, UNIX)}
    link.now += 5 * SECOND
    link.session.handle_deadline(link.now, UNIX)
    assert link.session.ended is not None
