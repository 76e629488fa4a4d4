"""The timers of one connection: which is first, and what each does at its time and a moment before."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, in_flight, opened

from hognose.drops import Stat
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp.connection import PollQueue, TcpConnection
from hognose.tcp.export import Part, made_of, part_of
from hognose.tcp.state import CloseReason, TcpState


def changed(part: Part, **values: Any) -> Part:
    """The same object with other values; names of objects in it as a__b."""
    slots = dict(part.slots)
    for name, value in values.items():
        head, _, rest = name.partition("__")
        inner = slots[head]
        if rest:
            assert isinstance(inner, Part)
            slots[head] = changed(inner, **{rest: value})
        else:
            assert type(inner) is type(value)
            slots[head] = value
    return Part(part.kind, tuple(slots.items()))


class Timed:
    """A connection with data in flight whose timers are set by the test; 0: does not run."""

    def __init__(
        self,
        script: Script,
        *,
        rto: int = 0,
        tail: int = 0,
        reordering: int = 0,
        persist: int = 0,
        wait: int = 0,
        pause: int = 0,
        state: TcpState = TcpState.ESTABLISHED,
        **others: Any,
    ) -> None:
        part = changed(
            part_of(script.conn),
            _snd__timers__rto_at=rto,
            _snd__timers__tail_at=tail,
            _snd__timers__persist_at=persist,
            _snd__recovery__rack__deadline=reordering,
            _rcv__ack_at=pause,
            _wait_at=wait,
            _state=int(state),
            **others,
        )
        self.counters = script.counters
        self.conn = made_of(TcpConnection, part, script.counters, TcpLimits(), PollQueue())
        self.now = script.now

    def stat(self, stat: Stat) -> int:
        return self.counters.stats[stat]

    def run(self) -> list[Outgoing]:
        out: list[Outgoing] = []
        self.conn.handle_deadline(self.now, out)
        return out


@pytest.fixture(scope="module")
def waiting() -> Script:
    script = opened()
    in_flight(script, 10)
    return script


@pytest.mark.parametrize("state", [TcpState.ESTABLISHED, TcpState.FIN_WAIT_2])
def test_the_deadline_is_the_earliest_of_the_timers_that_run(state: TcpState) -> None:
    """The limit of FIN-WAIT-2 runs in that state; probes and reordering have a time only beside the RTO's."""
    script = Script()
    script.open()
    for rto, tail, reordering, persist, wait in product((0, 5, 7), repeat=5):
        if not rto and (tail or reordering):
            continue
        timed = Timed(script, rto=rto, tail=tail, reordering=reordering, persist=persist, wait=wait, state=state)
        running = [at for at in (rto, tail, reordering, persist) if at]
        if wait and state is TcpState.FIN_WAIT_2:
            running.append(wait)
        assert timed.conn.next_deadline() == min(running, default=0), (rto, tail, reordering, persist, wait)


def test_a_closed_connection_has_no_deadline(waiting: Script) -> None:
    assert Timed(waiting, rto=5, persist=5, state=TcpState.CLOSED).conn.next_deadline() == 0


@pytest.mark.parametrize(("state", "pause"), [(TcpState.ESTABLISHED, 7), (TcpState.CLOSED, 0)])
def test_a_delayed_acknowledgement_has_a_time_of_its_own(waiting: Script, state: TcpState, pause: int) -> None:
    timed = Timed(waiting, pause=7, state=state)
    assert (timed.conn.pause_at, timed.conn.next_deadline()) == (pause, 0)


DUE = {"before": 1, "at": 0, "after": -1}  # milliseconds from now to the timer's time


@pytest.mark.parametrize("due", DUE)
def test_the_retransmission_time_out(waiting: Script, due: str) -> None:
    before = waiting.stat(Stat.TCP_TIMEOUTS)
    timed = Timed(waiting, rto=waiting.now + DUE[due] * MS)
    assert timed.run() == []
    assert timed.stat(Stat.TCP_TIMEOUTS) - before == (due != "before")
    assert timed.conn.info().backoff == (due != "before")


@pytest.mark.parametrize(("tail", "rto"), list(product(DUE, DUE)))
def test_a_probe_goes_before_a_time_out(waiting: Script, tail: str, rto: str) -> None:
    """Whichever of the two is due: when the server was late for both, the probe is still worth its time."""
    probes, timeouts = waiting.stat(Stat.TCP_TAIL_PROBES), waiting.stat(Stat.TCP_TIMEOUTS)
    timed = Timed(waiting, tail=waiting.now + DUE[tail] * MS, rto=waiting.now + DUE[rto] * MS)
    timed.run()
    due = tail != "before" or rto != "before"
    assert timed.stat(Stat.TCP_TAIL_PROBES) - probes == due
    assert timed.stat(Stat.TCP_TIMEOUTS) == timeouts
    if due:
        assert timed.conn.next_deadline() == waiting.now + timed.conn.info().rto


@pytest.mark.parametrize("due", DUE)
def test_the_time_for_reordering(due: str) -> None:
    script = opened()
    first = in_flight(script, 3)
    script.send("A", ack=first, sack=((first + MSS, first + 2 * MSS),), window=WIDE)
    assert script.poll() == []
    late = script.conn.info().reordering_at
    script.now = late
    timed = Timed(script, rto=late + 500 * MS, reordering=late + DUE[due] * MS)
    assert timed.run() == []
    assert timed.conn.info().recovering is (due != "before")
    assert not timed.conn.info().calm
    timed = Timed(script, rto=late + 500 * MS)
    timed.run()
    assert not timed.conn.info().recovering, "it does not run"


@pytest.mark.parametrize("due", DUE)
@pytest.mark.parametrize("window", [0, 5])
def test_the_persist_timer(due: str, window: int) -> None:
    """With no window at all a probe, which has the number before SND.UNA; a small one is used from then on."""
    script = Script()
    script.open(scale=None, window=4000)
    script.write(bytes(4000))
    script.poll()
    script.send("A", window=window)
    script.write(bytes(1000))
    assert script.poll() == []
    timed = Timed(script, persist=script.now + DUE[due] * MS)
    out = timed.run()
    assert [int.from_bytes(b"".join(pieces)[24:28], "big") for _, _, pieces in out] == (
        [script.iss + 4000] if due != "before" and not window else []
    )
    out = []
    timed.conn.output(script.now, out)
    assert len(out) == (1 if due != "before" and window else 0)
    assert timed.conn.close_reason is None


@pytest.mark.parametrize("state", list(TcpState))
@pytest.mark.parametrize("due", DUE)
def test_the_limit_of_fin_wait_2(waiting: Script, due: str, state: TcpState) -> None:
    timed = Timed(waiting, wait=waiting.now + DUE[due] * MS, state=state)
    over = due != "before" and state is TcpState.FIN_WAIT_2
    assert len(timed.run()) == over
    assert timed.conn.close_reason is (CloseReason.TIMED_OUT if over else None)


@pytest.mark.parametrize("due", DUE)
def test_the_pause(waiting: Script, due: str) -> None:
    timed = Timed(waiting, pause=waiting.now + DUE[due] * MS)
    assert timed.run() == []
    out: list[Outgoing] = []
    timed.conn.output(timed.now, out)
    assert len(out) == (due != "before")
    assert timed.conn.pause_at == (0 if out else waiting.now + MS)


def test_who_gives_up_sends_one_reset_and_nothing_else(waiting: Script) -> None:
    """All timers are due, and no acknowledgement has come for 100 seconds."""
    now = waiting.now
    timed = Timed(waiting, rto=now, persist=now, wait=now, state=TcpState.FIN_WAIT_2)
    timed.now += 100_000 * MS
    [(_, _, pieces)] = timed.run()
    assert b"".join(pieces)[33] == 0x14, "RST and ACK"
    assert timed.conn.close_reason is CloseReason.TIMED_OUT
    assert timed.run() == []
