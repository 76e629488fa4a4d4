"""Paths that drop large packets (docs/dev/tcp.md T27): RFC 8899, scripted."""

from __future__ import annotations

import pytest
from tests.sim.segments import Segment
from tests.unit.tcp.tcp_script import MS
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, opened

from hognose.drops import Stat
from hognose.tcp.black_hole import MAX_PROBES, RAISE_AFTER, RESOLUTION, SMALLER_MSS, BlackHole


class Path:
    """The peer of a path that delivers no segment of more than `limit` payload bytes; SACK as by RFC 2018."""

    def __init__(self, limit: int, *, sack: bool = True) -> None:
        self.script = opened(sack=sack, rounds=0)
        self.limit = limit
        self.sack = sack
        self.una = self.script.seen
        self.unlucky = -1  # the segment that begins here is lost, whatever its size
        self.held: list[tuple[int, int]] = []
        self.passed: list[int] = []
        self.dropped: list[int] = []

    def deliver(self, segments: list[Segment]) -> list[Segment]:
        """Those that arrive after 20 ms, each answered; the segments sent upon the answers."""
        if not segments:
            return []
        script = self.script
        script.now += 20 * MS
        for segment in segments:
            size = len(segment.payload)
            if segment.seq == self.unlucky:
                self.unlucky = -1
                continue
            if size > self.limit:
                self.dropped.append(size)
                continue
            if size:
                self.passed.append(size)
            self.held.append((segment.seq, segment.end))
            for start, end in sorted(self.held):
                if start <= self.una:
                    self.una = max(self.una, end)
            self.held = [(start, end) for start, end in self.held if start > self.una]
            blocks = [(start, end) for start, end in reversed(self.held)][:3] if self.sack else []
            script.send("A", ack=self.una, sack=tuple(blocks), window=WIDE)
        return script.poll()

    def probe(self, waiting: list[Segment] | None = None) -> list[Segment]:
        """Go on until a probe leaves; what is sent together with it, the probe among it, not yet delivered.

        waiting: what is under way at the beginning.
        """
        script = self.script
        waiting = waiting or []
        while True:
            script.write(bytes(min(script.conn.send_space, 20 * MSS)))
            waiting += script.poll()
            if script.conn.info().size_probe is not None:
                return waiting
            waiting = self.deliver(waiting) if waiting else script.wait(10)

    def transfer(self, size: int, limit_s: int = 100) -> None:
        """Write bytes and see them delivered."""
        script = self.script
        begin = script.now
        waiting: list[Segment] = []
        while size or script.conn.send_queued:
            assert script.now - begin < limit_s * 1000 * MS, (script.conn.info().mss, self.passed[-5:])
            piece = min(size, script.conn.send_space)
            if piece:
                script.write(bytes(piece))
                size -= piece
            waiting += script.poll()
            waiting = self.deliver(waiting) if waiting else script.wait(10)


@pytest.mark.parametrize("limit", [1400, 1360, 1208, 1100])
def test_a_black_hole_is_found_and_the_largest_size_is_looked_for(limit):
    """Without ICMP: after some time-outs smaller segments are tried, and then larger ones by probes."""
    path = Path(limit)
    script = path.script
    path.transfer(400 * MSS)
    assert limit - RESOLUTION <= script.conn.info().mss <= limit
    assert script.stat(Stat.TCP_BLACK_HOLES_SUSPECTED) == 1
    assert script.stat(Stat.TCP_TIMEOUTS) == 3, "a lost probe costs none"
    del path.dropped[:]
    path.transfer(100 * MSS)
    assert path.dropped == [], "the search is over"


def test_a_path_of_small_packets():
    path = Path(600)
    path.transfer(60 * MSS)
    assert 524 <= path.script.conn.info().mss <= 600


def test_a_lost_probe_costs_no_window():
    path = Path(1208)
    path.transfer(100 * MSS)
    recoveries = path.script.stat(Stat.TCP_RECOVERIES)
    threshold = path.script.conn.info().ssthresh
    before = len(path.dropped)
    path.transfer(300 * MSS)
    assert len(path.dropped) > before
    assert path.script.stat(Stat.TCP_RECOVERIES) == recoveries
    assert path.script.conn.info().ssthresh == threshold


def test_a_loss_beside_a_probe_is_a_loss():
    path = Path(1300)
    path.transfer(20 * MSS)
    recoveries = path.script.stat(Stat.TCP_RECOVERIES)
    waiting = path.probe()
    probe = path.script.conn.info().size_probe
    while len(after := [s for s in waiting if s.seq >= probe[1]]) < 2:
        waiting += path.deliver([s for s in waiting if s.end <= probe[0]])
        waiting = [s for s in waiting if s.seq >= probe[0]]
    path.unlucky = after[0].seq
    waiting = path.deliver(waiting)
    for _ in range(5):
        waiting = path.deliver(waiting) if waiting else path.script.wait(20)
    assert path.script.stat(Stat.TCP_RECOVERIES) == recoveries + 1


def test_a_probe_in_a_time_out_is_lost():
    """An acknowledgement then is for repeated small segments, and says nothing of the large one."""
    path = Path(1300)
    path.transfer(20 * MSS)
    path.probe()  # and all of it is lost
    before = path.script.stat(Stat.TCP_TIMEOUTS)
    waiting: list[Segment] = []
    while path.script.stat(Stat.TCP_TIMEOUTS) == before:
        waiting = path.script.wait(10)
    while path.script.conn.send_queued:
        waiting = path.deliver(waiting) if waiting else path.script.wait(10)
        assert path.script.conn.info().mss <= 1300


def test_a_router_that_speaks_of_a_probe():
    """The probe is smaller than the first MSS and larger than what the router lets through; it passed all the same."""
    path = Path(1300)
    path.transfer(20 * MSS)
    conn = path.script.conn
    waiting = path.probe()
    while conn.info().size_candidate == MSS:
        waiting = path.probe(path.deliver(waiting))
    path.limit = 1500
    conn.path_mtu(912, path.script.iss + waiting[-1].seq, path.script.now)
    path.deliver(waiting)
    assert conn.info().mss == 900
    assert conn.info().size_due_at == path.script.now - 20 * MS + RAISE_AFTER


def test_a_probe_that_passes_is_noticed_at_once():
    path = Path(1300)
    path.transfer(20 * MSS)
    waiting = path.probe()
    assert not path.script.conn.info().calm, "the short way of an acknowledgement does not look for probes"
    path.limit = 1500
    path.deliver(waiting)
    assert path.script.conn.info().mss == MSS


def test_no_probe_without_something_behind_it():
    """Its loss would be found by a time-out only."""
    path = Path(1300)
    path.transfer(20 * MSS)
    assert not path.script.conn.info().size_found
    del path.dropped[:]
    path.transfer(1500)
    assert path.dropped == []


def test_between_small_attempts_the_usual_size_is_tried():
    hole = BlackHole(1448)
    assert [hole.size_after(n, 1360, 9000) for n in range(7)] == [0, 0, 1024, 1360, 524, 1360, 524]


def test_the_full_size_is_tried_again_later():
    """RFC 8899 section 5.1.1; the path has become better."""
    path = Path(1300)
    path.transfer(800 * MSS)
    path.limit = 1500
    path.script.wait(RAISE_AFTER // MS - 10_000)
    path.transfer(50 * MSS)
    assert path.script.conn.info().mss <= 1300
    path.script.wait(20_000)
    path.transfer(50 * MSS)
    assert path.script.conn.info().mss == MSS


def test_peers_without_sack_get_the_full_size_after_a_pause():
    path = Path(1300, sack=False)
    path.transfer(50 * MSS)
    assert path.script.conn.info().mss == SMALLER_MSS[0]
    path.limit = 1500
    path.script.wait(RAISE_AFTER // MS + 1000)
    path.transfer(50 * MSS)
    assert path.script.conn.info().mss == MSS


def test_a_wrong_suspicion_is_over_soon():
    """The path was dead for some seconds: the first probe is of the full size."""
    path = Path(10)
    script = path.script
    script.write(bytes(20 * MSS))
    while script.stat(Stat.TCP_BLACK_HOLES_SUSPECTED) < 1:
        script.poll()
        script.wait(100)
    path.limit = 1500
    path.transfer(60 * MSS)
    assert script.conn.info().mss == MSS


def test_what_is_small_was_not_lost_for_being_large():
    script = opened()
    script.write(bytes(500))
    script.poll()
    while script.stat(Stat.TCP_TIMEOUTS) < 6:
        script.wait(500)
    assert script.stat(Stat.TCP_BLACK_HOLES_SUSPECTED) == 0
    assert script.conn.info().mss == MSS


def test_a_router_that_speaks_ends_the_search():
    path = Path(1300)
    path.transfer(50 * MSS)
    path.script.write(bytes(MSS))
    path.script.conn.path_mtu(912, path.script.iss + path.script.poll()[0].seq, path.script.now)
    path.transfer(300 * MSS)
    assert path.script.conn.info().mss == 900


def test_what_a_router_has_said_is_tried_again_after_ten_minutes():
    """RFC 1191 section 6.3; forged or not, the path may have become better."""
    path = Path(1500)
    path.transfer(20 * MSS)
    path.script.write(bytes(MSS))
    path.script.conn.path_mtu(912, path.script.iss + path.script.poll()[0].seq, path.script.now)
    path.transfer(50 * MSS)
    path.script.wait(590_000)
    path.transfer(50 * MSS)
    assert path.script.conn.info().mss == 900
    path.script.wait(20_000)
    path.transfer(50 * MSS)
    assert path.script.conn.info().mss == MSS


def test_a_router_that_refuses_the_probe_has_it_for_ten_minutes_more():
    """One segment is lost for it, not a search."""
    path = Path(912)
    path.script.write(bytes(MSS))
    path.script.conn.path_mtu(912, path.script.iss + path.script.poll()[0].seq, path.script.now)
    path.transfer(50 * MSS)
    path.script.wait(610_000)
    del path.dropped[:]
    waiting = path.probe()
    probe = path.script.conn.info().size_probe
    assert probe is not None
    path.script.conn.path_mtu(912, path.script.iss + probe[0], path.script.now)
    path.deliver(waiting)
    path.transfer(300 * MSS)
    assert path.dropped == [MSS]
    assert path.script.conn.info().mss == 900
    assert path.script.conn.info().size_due_at > path.script.now + 500_000 * MS


def test_a_dead_path_is_no_black_hole():
    """All sizes are tried in turn; the one that is answered stays."""
    script = opened()
    script.write(bytes(20 * MSS))
    script.poll()
    sizes = []
    while MSS not in sizes[-1:] or len(sizes) < 6:
        sizes += [len(s.payload) for s in script.wait(100)]
    assert {1024, MSS} <= set(sizes)
    script.send("A", window=WIDE)
    script.write(bytes(5 * MSS))
    assert max(len(s.payload) for s in script.poll()) == MSS


def test_the_search_halves_the_interval_and_counts_probes():
    hole = BlackHole(1448)
    hole.search(1024)
    tried = []
    while not hole.found:
        size = hole.candidate
        tried.append(size)
        if size <= 1388:
            assert hole.passed() == size
        else:
            hole.lost()
    assert tried == [1448] * MAX_PROBES + [1236, 1342] + [1395] * MAX_PROBES + [1368, 1381]


@pytest.mark.parametrize(
    ("mss", "sizes"),
    [
        (1448, [0, 0, 1024, 1448, 524, 1448, 524, 1448, 524]),
        (1460, [0, 0, 1024, 1460, 524, 1460, 524, 1460, 524]),
        (1000, [0, 0, 1000, 1000, 524, 1000, 524, 1000, 524]),
        (536, [0, 0, 536, 536, 524, 536, 524, 536, 524]),
    ],
)
def test_the_sizes_of_a_row_of_time_outs(mss, sizes):
    """Payload that fits MTUs of 1076 and 576 with 40 bytes of headers and 12 of timestamps; 0: as it is."""
    hole = BlackHole(mss)
    assert [hole.size_after(number, mss, 100_000) for number in range(9)] == sizes


@pytest.mark.parametrize(("flight", "size"), [(1, 0), (524, 0), (525, 1024)])
def test_a_flight_that_fits_the_least_size_says_nothing(flight, size):
    assert BlackHole(1448).size_after(2, 1448, flight) == size


def test_the_search_by_the_numbers():
    """The full size, then halves; three lost ones are too large (RFC 8899 section 5.1.2); 16 bytes are near enough."""
    hole = BlackHole(1448)
    hole.search(1024)
    tried = []
    while not hole.found:
        tried.append(hole.candidate)
        if hole.candidate > 1300:
            hole.probe = (1, 2)
            hole.lost()
            assert hole.probe is None
        else:
            hole.probe = (1, 2)
            assert hole.passed() == tried[-1]
            assert hole.probe is None
    assert tried == [1448] * 3 + [1236] + [1342] * 3 + [1289] + [1315] * 3 + [1302] * 3
    assert RAISE_AFTER == 600 * 1000 * MS, "PMTU_RAISE_TIMER (RFC 8899 section 5.1.1)"


def test_a_probe_that_passed_forgives_the_lost_ones():
    hole = BlackHole(1448)
    hole.search(1000)
    for _ in range(2):
        hole.lost()
    hole.search(1000)
    hole.lost()
    assert hole.candidate == 1448
    assert hole.passed() == 1448
    assert hole.found
    hole.told(1200, 7 * MS)
    assert (hole.full, hole.probe, hole.due_at, hole.candidate) == (1448, None, 600_007 * MS, 1448)


@pytest.mark.parametrize(("works", "full", "found"), [(1432, 1448, False), (1433, 1448, True), (1448, 1448, True)])
def test_near_enough(works, full, found):
    """A size of 1449 bytes is known not to be."""
    hole = BlackHole(full)
    hole.search(works)
    assert hole.found is found
