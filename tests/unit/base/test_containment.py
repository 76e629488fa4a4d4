"""Work that fails: the exception comes back, is counted and reported, and its text stays here."""

from __future__ import annotations

from hognose.base.containment import RETRY_NS, Failures, attempt
from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason

NOW = 10**12


def fail(text: str) -> None:
    raise KeyError(text)


def test_the_exception_is_returned() -> None:
    done: list[int] = []
    assert attempt(done.append, 7) is None
    assert done == [7]
    error = attempt(fail, "secret")
    assert isinstance(error, KeyError)


def test_a_failure_is_counted_reported_and_tried_again_soon() -> None:
    counters = Counters()
    journal = Journal(20, counters)
    failures = Failures(journal, counters, NOW)
    failures.attempt("ingress", NOW, fail, "secret words")
    failures.note("seal", ValueError("secret words"), NOW + 1, conn=5)
    assert failures.retry_at == NOW + RETRY_NS, "the first counts"
    assert counters.drops[DropReason.INTERNAL_ERROR] == 2
    first, second = (event.fields for event in journal.take())
    assert (first["where"], first["conn"]) == ("ingress", 0)
    assert str(first["error"]).startswith("KeyError at fail:")
    assert (second["where"], second["conn"]) == ("seal", 5)
    assert "secret" not in repr((first, second))
    failures.note("seal", ValueError(), NOW + RETRY_NS)
    assert failures.retry_at == NOW + 2 * RETRY_NS


def test_work_that_succeeds_leaves_no_trace() -> None:
    counters = Counters()
    journal = Journal(20, counters)
    failures = Failures(journal, counters, NOW)
    failures.attempt("ingress", NOW, int, "7")
    assert (failures.retry_at, counters.drops[DropReason.INTERNAL_ERROR], journal.take()) == (NOW, 0, [])
