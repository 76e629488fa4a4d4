"""Event limiting: what strangers can cause is bounded per second and counted."""

from __future__ import annotations

from hognose.base.journal import Journal
from hognose.drops import Counters, Stat
from hognose.events import EventKind
from hognose.units import SECOND


def test_peer_events_are_limited_and_the_rest_is_reported_later() -> None:
    counters = Counters()
    journal = Journal(3, counters)
    for n in range(10):
        journal.add(EventKind.PEER_CONNECTED, 5 * SECOND, conn=n, peer="x")
    assert len(journal.take()) == 3
    assert counters.stats[Stat.EVENTS_SUPPRESSED] == 7
    journal.add(EventKind.PEER_CONNECTED, 6 * SECOND, conn=10, peer="x")
    kinds = [(event.kind, event.fields.get("count")) for event in journal.take()]
    assert kinds == [(EventKind.EVENTS_SUPPRESSED, 7), (EventKind.PEER_CONNECTED, None)]
    assert journal.take() == []


def test_events_of_clients_are_never_limited() -> None:
    journal = Journal(1, Counters())
    for n in range(10):
        journal.add(EventKind.CLIENT_RENEGOTIATED, 0, conn=n, common_name="a", key_id=1, tls="TLSv1.3")
    assert len(journal.take()) == 10


def test_what_is_plentiful_does_not_hide_other_kinds() -> None:
    journal = Journal(2, Counters())
    for n in range(10):
        journal.add(EventKind.PEER_CONNECTED, 0, conn=n, peer="x")
    journal.add(EventKind.PEER_REJECTED, 0, conn=1, peer="x", reason="bad_hmac", detail="look here")
    assert [event.kind for event in journal.take()][-1] is EventKind.PEER_REJECTED
