"""Goodbyes of both sides, over a stream and over datagrams, and data records from another address."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.openvpn.link import SECOND, Link, kit, profile
from tests.unit.openvpn.stages import PACKET, drops
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.session_events import EndReason

RESTART, GO_AWAY = "RESTART,[P]:the server restarts", "RESTART,[N]:the server goes away"


def established(proto: str = "udp", **changes: Any) -> Link:
    link = Link(profile(proto=proto, ping_timeout_s=0, ping_s=0, **changes), kit())
    link.connect()
    link.rest(1)
    assert not leaving(link)
    return link


def leaving(link: Link) -> bool:
    return link.session.control.leaving


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize(("exit_notify", "text"), [(0, RESTART), (1, RESTART), (2, GO_AWAY)])
def test_clients_are_told_to_come_back_or_to_go_to_their_next_remote(proto: str, exit_notify: int, text: str) -> None:
    """OpenVPN push.c send_restart: explicit-exit-notify 2 of a server is for the next remote."""
    link = established(proto, exit_notify=exit_notify)
    link.session.shutdown(link.now)
    assert leaving(link) == (proto == "udp")
    link.run(lambda: text in link.client.messages, 5)


def test_the_acknowledgement_of_a_restart_ends_the_session() -> None:
    link = established()
    began = link.now
    link.session.shutdown(link.now)
    link.run(lambda: link.session.ended is not None, 2)
    assert link.session.ended == EndReason(DropReason.SERVER_STOPPING, "", told=True)
    assert link.now - began < SECOND
    assert not leaving(link)
    assert drops(link) == {}


def test_a_restart_that_is_not_acknowledged_is_waited_for_two_seconds() -> None:
    """OpenVPN multi.c multi_process_signal."""
    link = established()
    link.down = False
    began = link.now
    link.session.shutdown(link.now)
    link.rest(2 - 0.001)
    assert link.session.ended is None
    assert leaving(link)
    link.run(lambda: link.session.ended is not None, 1)
    assert link.now == began + 2 * SECOND
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.SERVER_STOPPING


def test_over_a_stream_a_restart_needs_no_answer() -> None:
    link = established("tcp")
    link.session.shutdown(link.now)
    link.rest(10)
    assert not leaving(link)
    assert link.session.ended is None


def test_a_client_that_says_exit_over_datagrams_is_heard_for_five_seconds_more() -> None:
    """Its EXIT may come again, and wants an acknowledgement each time."""
    link = established()
    link.client.say("EXIT", link.now)
    link.run(lambda: leaving(link), 5)
    began = link.now
    assert link.session.ended is None
    link.rest(5 - 0.001)
    assert link.session.ended is None
    link.run(lambda: link.session.ended is not None, 1)
    assert link.now == began + 5 * SECOND
    assert link.session.ended == EndReason(DropReason.PEER_EXIT, "the client said goodbye")


def test_a_second_goodbye_does_not_put_the_end_off() -> None:
    link = established()
    link.client.say("EXIT", link.now)
    link.run(lambda: leaving(link), 5)
    began = link.now
    link.rest(4)
    link.client.say("EXIT", link.now)
    link.run(lambda: link.session.ended is not None, 2)
    assert link.now == began + 5 * SECOND


def test_the_server_does_not_wait_for_a_client_that_has_said_goodbye() -> None:
    link = established()
    link.client.say("EXIT", link.now)
    link.run(lambda: leaving(link), 5)
    began = link.now
    link.session.shutdown(link.now)
    link.run(lambda: link.session.ended is not None, 1)
    assert link.now == began
    assert link.session.ended == EndReason(DropReason.PEER_EXIT, "the client said goodbye")
    assert not any(text.startswith("RESTART") for text in link.client.messages)


def test_a_client_that_was_refused_is_not_asked_to_come_back() -> None:
    link = established()
    link.session.refuse("disabled", link.now, DropReason.CLIENT_DISABLED)
    link.session.shutdown(link.now)
    link.run(lambda: link.session.ended is not None, 1)
    link.rest(1)
    assert not any(text.startswith("RESTART") for text in link.client.messages)


def test_over_a_stream_exit_is_the_end() -> None:
    link = established("tcp")
    link.client.say("EXIT", link.now)
    link.run(lambda: link.session.ended is not None, 1)
    assert link.session.ended == EndReason(DropReason.PEER_EXIT, "the client said goodbye")


# -- data records from another address ---------------------------------------------------------------------------------


def test_the_newest_record_shows_that_a_client_has_moved() -> None:
    """Authentic and newer than all before (OpenVPN multi.c multi_process_float)."""
    link = established()
    held = link.client.seal(PACKET, packet_id=5)
    moved = link.client.seal(PACKET, packet_id=9)
    assert link.session.receive_from_elsewhere(moved, link.now, UNIX) == ([PACKET], True)
    assert link.session.receive_from_elsewhere(held, link.now, UNIX) == ([PACKET], False), "it was held back"
    assert link.session.receive_from_elsewhere(moved, link.now, UNIX) == ([], False), "a copy"
    forged = moved[:4] + (99).to_bytes(4, "big") + moved[8:]
    assert link.session.receive_from_elsewhere(forged, link.now, UNIX) == ([], False)
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 0
    newest = link.client.seal(PACKET, packet_id=10)
    assert link.session.receive_from_elsewhere(newest, link.now, UNIX) == ([PACKET], True)


def test_control_records_from_another_address_are_not_taken() -> None:
    link = established()
    link.client.say("EXIT", link.now)
    [record] = link.client.poll(link.now)
    assert link.session.receive_from_elsewhere(record, link.now, UNIX) == ([], False)
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 1
    assert not leaving(link)


def test_nothing_moves_before_there_are_keys_or_after_the_end() -> None:
    link = established()
    record = link.client.seal(PACKET)
    early = Link(profile(proto="udp"), kit())
    early.client.start(early.now)
    early.exchange()
    assert early.session.receive_from_elsewhere(record, early.now, UNIX) == ([], False)
    assert early.counters.drops[DropReason.NO_DATA_KEY] == 1
    link.session.refuse("no", link.now)
    link.rest(6)
    assert link.session.ended is not None
    before = link.counters.drops[DropReason.NO_DATA_KEY]
    assert link.session.receive_from_elsewhere(link.client.seal(PACKET), link.now, UNIX) == ([], False)
    assert link.counters.drops[DropReason.NO_DATA_KEY] == before + 1
