"""RACK's records of ranges against RFC 8985 section 6 as it is written: one state per segment."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from hognose.tcp.rack import Rack
from hognose.tcp.ranges import RangeSet
from hognose.tcp.sack import Scoreboard

MS = 1_000_000
MSS = 100


@dataclass
class Sent:
    """One segment of the RFC's: Segment.end_seq, .xmit_ts, .retransmitted, .lost; held: acknowledged or reported."""

    end: int
    at: int
    again: bool = False
    lost: bool = False
    held: bool = False


class Model:
    """RACK_update, RACK_detect_reordering, RACK_update_reo_wnd, RACK_detect_loss."""

    def __init__(self) -> None:
        self.segments: list[Sent] = []
        self.latest = (-1, 0)  # RACK.xmit_ts, RACK.end_seq
        self.rtt = self.min_rtt = self.fack = 0
        self.reordering = False
        self.steps, self.persist, self.dsack_at = 1, 0, 0

    def delivered(self, numbers: list[int], now: int) -> int:
        measured = (-1, -1)
        fack = self.fack
        found = [self.segments[number] for number in numbers]
        for segment in sorted((one for one in found if not one.lost), key=lambda one: one.at):
            rtt = now - segment.at
            if segment.again:
                if rtt < self.min_rtt:
                    continue
            else:
                measured = max(measured, (segment.at, rtt))
                self.min_rtt = min(self.min_rtt or rtt, rtt)
                self.reordering = self.reordering or segment.end < fack
            if (segment.at, segment.end) > self.latest:
                self.latest, self.rtt = (segment.at, segment.end), rtt
        for segment in found:
            self.fack = max(self.fack, segment.end)
            segment.held, segment.lost = True, False
        return measured[1]

    def detect(self, certain: bool, srtt: int, now: int) -> tuple[list[int], int]:
        """Numbers of the segments found lost, and the earliest time at which one more may be; 0: none."""
        window = 0 if certain and not self.reordering else min(self.steps * self.min_rtt // 4, srtt or self.min_rtt)
        lost, later = [], []
        for number, segment in enumerate(self.segments):
            if segment.held or segment.lost or (segment.at, segment.end) >= self.latest:
                continue
            due = segment.at + self.rtt + window
            if due <= now:
                segment.lost = True
                lost.append(number)
            else:
                later.append(due)
        return lost, min(later, default=0)


def joined(numbers: list[int]) -> list[tuple[int, int]]:
    ranges = RangeSet(1000)
    for number in numbers:
        ranges.add(number * MSS, (number + 1) * MSS)
    return ranges.common(0, 1 << 40)


class Life:
    """Both, fed with the same."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.model, self.rack, self.board = Model(), Rack(), Scoreboard(1000)
        self.now = 1000 * MS
        self.una = 0

    def send(self) -> None:
        """New segments, up to ten in one record."""
        start = len(self.model.segments)
        count = self.draw.randint(1, 10)
        for number in range(start, start + count):
            self.model.segments.append(Sent((number + 1) * MSS, self.now))
        self.rack.sent(start * MSS, (start + count) * MSS, self.now, False)

    def again(self) -> None:
        lost = [number for number, segment in enumerate(self.model.segments) if segment.lost][: self.draw.randint(1, 4)]
        for start, end in joined(lost):
            self.rack.sent(start, end, self.now, True)
        for number in lost:
            segment = self.model.segments[number]
            segment.at, segment.again, segment.lost = self.now, True, False

    def arrive(self) -> None:
        """A report of some that are missing, most of them the oldest transmissions; sometimes all up to one."""
        missing = [number for number, segment in enumerate(self.model.segments) if not segment.held]
        missing = [number for number in missing if self.now - self.model.segments[number].at >= 5 * MS]
        if not missing:
            return
        chosen = [number for number in missing if self.draw.random() < 0.4][: self.draw.randint(1, 12)]
        if self.draw.random() < 0.3:
            chosen = sorted({*chosen, *missing[: self.draw.randint(1, 3)]})
        if not chosen:
            return
        fresh = joined(chosen)
        assert self.rack.delivered(fresh, self.now) == self.model.delivered(chosen, self.now)
        for start, end in fresh:
            self.board.add(start, end)
        while self.una < len(self.model.segments) and self.model.segments[self.una].held:
            self.una += 1
        self.board.acknowledge(self.una * MSS)

    def duplicate(self, srtt: int) -> None:
        model = self.model
        self.rack.duplicate(srtt, self.now)
        if self.now - model.dsack_at > srtt:
            model.dsack_at, model.steps, model.persist = self.now, model.steps + 1, 16

    def recovered(self) -> None:
        model = self.model
        self.rack.recovered()
        model.persist -= 1
        if model.persist <= 0:
            model.steps = 1

    def step(self, number: int) -> None:
        self.now += self.draw.choice((2, 3, 7, 20)) * MS
        srtt = self.draw.choice((0, 10, 30)) * MS
        event = self.draw.random()
        if event < 0.3:
            self.send()
        elif event < 0.5:
            self.again()
        elif event < 0.52:
            self.duplicate(srtt)
        elif event < 0.54:
            self.recovered()
        else:
            self.arrive()
        if number == 150:
            self.model.reordering = self.rack.reordering = False
        assert self.rack.reordering is self.model.reordering
        assert self.rack.min_rtt == self.model.min_rtt
        certain = self.draw.random() < 0.5
        lost, later = self.model.detect(certain, srtt, self.now)
        found = self.rack.lost(self.una * MSS, self.board, certain, srtt, self.now)
        assert sorted(number for low, high in found for number in range(low // MSS, high // MSS)) == lost
        assert sum(high - low for low, high in found) == len(lost) * MSS
        assert self.rack.deadline == later


@pytest.mark.parametrize("seed", range(25))
def test_any_life_is_rfc_8985s(seed: int) -> None:
    life = Life(seed)
    for number in range(250):
        life.step(number)
    assert sum(segment.again for segment in life.model.segments) > 5


def test_the_send_time_of_an_end() -> None:
    rack = Rack()
    assert rack.sent_at(1) == -1
    rack.sent(1, 101, 5 * MS, False)
    rack.sent(101, 301, 9 * MS, False)
    assert [rack.sent_at(end) for end in (1, 101, 102, 301, 302)] == [5 * MS, 5 * MS, 9 * MS, 9 * MS, -1]
    rack.acknowledged(100)
    assert len(rack) == 2
    rack.acknowledged(101)
    assert [rack.sent_at(end) for end in (101, 301)] == [9 * MS, 9 * MS]
    assert len(rack) == 1


@pytest.mark.parametrize(
    ("start", "later", "again", "records"),
    [
        (101, 0, False, 1),
        (101, MS - 1, False, 1),
        (101, MS, False, 2),  # another millisecond
        (101, 0, True, 2),  # sent again, not once
        (201, 0, False, 2),  # not the next bytes
        (51, 0, False, 2),
    ],
)
def test_what_is_sent_together_is_one_record(start: int, later: int, again: bool, records: int) -> None:
    rack = Rack()
    rack.sent(1, 101, 5 * MS, False)
    rack.sent(start, start + 100, 5 * MS + later, again)
    assert len(rack) == records


def test_a_probe_takes_its_bytes_out_of_their_record() -> None:
    """They count as lost and are sent again; the part before them stays as it was."""
    for start, kept in ((1, []), (101, [(1, 101)]), (301, [(1, 301)]), (401, [(1, 401)])):
        rack = Rack()
        rack.sent(1, 401, 5 * MS, False)
        rack.retract(start)
        rack.sent(501, 601, 7 * MS, False)
        rack.delivered([(501, 601)], 47 * MS)
        board = RangeSet(8)
        board.add(501, 601)
        assert rack.lost(1, board, True, 0, 47 * MS) == kept


def test_a_cleared_table_begins_anew_and_can_be_put_back() -> None:
    rack, board = Rack(), RangeSet(8)
    rack.sent(1, 201, 5 * MS, False)
    rack.sent(201, 401, 10 * MS, False)
    rack.sent(401, 601, 15 * MS, True)
    rack.delivered([(201, 301)], 50 * MS)
    board.add(201, 301)
    assert rack.lost(1, board, False, 80 * MS, 46 * MS) == []
    assert rack.deadline == 55 * MS
    records = rack.clear()
    assert (len(rack), rack.deadline) == (0, 0)
    rack.sent(1, 101, 60 * MS, True)
    assert rack.lost(1, board, True, 0, 999 * MS) == [], "nothing was delivered since"
    held = RangeSet(8)
    held.add(101, 201)
    held.add(301, 451)
    rack.restore(records, held)
    assert len(rack) == 4
    assert [rack.sent_at(end) for end in (201, 401, 451)] == [5 * MS, 10 * MS, 15 * MS]
    rack.delivered([(1, 101)], 100 * MS)
    board.add(1, 101)
    assert rack.lost(1, board, True, 0, 100 * MS) == [(101, 201), (301, 401), (401, 451)]
