"""The queue before the log's reader, in virtual time, with a reader that takes what it is told to."""

from __future__ import annotations

import errno

from hypothesis import example, given
from hypothesis import strategies as st

from hognose.drops import Counters, Stat
from hognose.host.log_queue import END_WAIT_NS, FLUSH_BYTES, LAST_PAUSE_NS, NEVER, LogQueue
from hognose.limits import LogLimits
from hognose.units import MS, SECOND, Nanos


class Reader:
    """An output and its clock: `room` bytes are taken, then none."""

    def __init__(self, room: int = 0) -> None:
        self.now: Nanos = 1000 * SECOND
        self.room = room
        self.error = 0
        self.got = bytearray()
        self.asked = 0
        self.failed = 0
        self.per_wait = 0

    def write(self, data: bytes) -> int:
        self.asked += 1
        if self.error and not self.room:
            self.failed += 1
            raise OSError(self.error, "no")
        count = min(self.room, len(data))
        self.room -= count
        self.got += data[:count]
        return count

    def wait(self, duration: Nanos) -> None:
        self.now += duration
        self.room += self.per_wait

    def clock(self) -> Nanos:
        return self.now


def queue_before(reader: Reader, limits: LogLimits | None = None, counters: Counters | None = None) -> LogQueue:
    return LogQueue(reader, b"-%d\n".__mod__, limits=limits, clock=reader.clock, counters=counters)


def read_on(queue: LogQueue, reader: Reader, room: int = 1 << 30) -> bytes:
    """Output when the reader takes `room` bytes from now on, and the loop keeps its times."""
    reader.error, reader.room, reader.got = 0, room, bytearray()
    while queue.next_flush != NEVER and reader.room:
        reader.now = max(reader.now, queue.next_flush)
        queue.flush()
    return bytes(reader.got)


def test_a_reader_that_takes_everything_has_each_line_at_once() -> None:
    reader = Reader(room=1000)
    queue = queue_before(reader)
    queue.put(b"one\n")
    queue.put(b"two\n")
    assert (reader.got, queue.next_flush) == (b"one\ntwo\n", NEVER)


def test_the_rest_of_a_line_comes_before_the_next_line() -> None:
    reader = Reader(room=2)
    queue = queue_before(reader)
    queue.put(b"first\n")
    queue.put(b"second\n")
    assert reader.got == b"fi"
    assert read_on(queue, reader) == b"rst\nsecond\n"


def test_a_full_queue_drops_the_newest_lines_and_says_so_in_their_place() -> None:
    reader = Reader()
    counters = Counters()
    queue = queue_before(reader, LogLimits(queue=40), counters)
    for number in range(10):
        queue.put(b"line %d...\n" % number)  # ten bytes
    assert counters.stats[Stat.LOG_LINES_DROPPED] == 5  # one is at the output, four wait
    assert read_on(queue, reader) == b"line 0...\nline 1...\nline 2...\nline 3...\nline 4...\n-5\n"
    queue.put(b"after\n")
    assert reader.got.endswith(b"-5\nafter\n")
    assert counters.stats[Stat.LOG_LINES_DROPPED] == 5


def test_no_line_overtakes_the_notice_of_those_dropped_before_it() -> None:
    reader = Reader()
    queue = queue_before(reader, LogLimits(queue=100))
    for number in range(15):
        queue.put(b"line %02d..\n" % number)
    reader.now += LAST_PAUSE_NS
    reader.room = 30
    queue.flush()
    queue.put(b"line 15..\n")  # there would be room
    assert reader.got.endswith(b"line 02..\n")
    assert read_on(queue, reader).endswith(b"line 10..\n-5\n")


def test_while_lines_are_dropped_a_little_room_brings_no_notice_for_each() -> None:
    reader = Reader()
    queue = queue_before(reader, LogLimits(queue=1000))
    for _ in range(300):
        queue.put(b"line.....\n")
        reader.now += LAST_PAUSE_NS
        reader.room += 5
        queue.flush()
    assert read_on(queue, reader).count(b"-") <= 4


def test_a_reader_that_stopped_is_asked_less_and_less_often() -> None:
    reader = Reader()
    queue = queue_before(reader)
    for _ in range(10_000):
        queue.put(b"line\n")
    assert reader.asked == 1
    times = []
    for _ in range(8):
        assert queue.next_flush > reader.now, "the loop would spin"
        times.append((queue.next_flush - reader.now) // MS)
        reader.now = queue.next_flush
        queue.flush()
    assert times == [50, 100, 200, 400, 800, 1000, 1000, 1000]


def test_one_turn_writes_a_bounded_number_of_bytes() -> None:
    reader = Reader(room=1 << 30)
    queue = queue_before(reader)
    queue.put_report([b"%099d\n" % number for number in range(20_000)])
    assert FLUSH_BYTES <= len(reader.got) <= FLUSH_BYTES + 100
    assert reader.now < queue.next_flush <= reader.now + 10 * MS
    begun = bytes(reader.got)
    lines = (begun + read_on(queue, reader)).split()
    assert [int(line) for line in lines] == list(range(20_000))


def test_a_report_is_written_whole_or_not_at_all_and_gives_way_to_events() -> None:
    reader = Reader(room=3)
    counters = Counters()
    queue = queue_before(reader, LogLimits(report=20), counters)
    queue.put_report([b"r1\n", b"r2\n", b"r3\n"])
    queue.put_report([b"s1\n", b"s2\n"])  # the one before is not yet written
    queue.put(b"event\n")
    assert reader.got + read_on(queue, reader) == b"r1\nr2\n-2\nevent\nr3\n"
    queue.put_report([b"too long\n"] * 3)
    assert counters.stats[Stat.LOG_LINES_DROPPED] == 5


def test_a_closed_reader_costs_every_line_and_a_new_one_begins_with_a_whole_line() -> None:
    reader = Reader(room=3)
    reader.error = errno.EPIPE
    counters = Counters()
    queue = queue_before(reader, counters=counters)
    queue.put(b"cut in two\n")
    for _ in range(5):
        queue.put(b"line\n")
        reader.now += 2 * SECOND
    assert counters.stats[Stat.LOG_LINES_DROPPED] == 6
    assert queue.next_flush != NEVER
    assert read_on(queue, reader) == b"-6\n"


def test_a_disk_that_was_full_has_no_two_lines_in_one() -> None:
    reader = Reader(room=3)
    reader.error = errno.ENOSPC
    queue = queue_before(reader)
    queue.put(b"cut in two\n")
    queue.put(b"lost\n")
    reader.now += 2 * SECOND
    queue.flush()
    reader.now += 2 * SECOND
    assert reader.got + read_on(queue, reader) == b"cut in two\n-1\n"


def test_the_end_waits_for_a_slow_reader() -> None:
    reader = Reader()
    reader.per_wait = 1000
    queue = queue_before(reader)
    for _ in range(1000):
        queue.put(b"line.....\n")
    queue.end([b"stopped\n"])
    assert reader.got.count(b"line") == 1000
    assert reader.got.endswith(b"\nstopped\n")


def test_the_last_words_find_room_and_a_long_report_does_not_keep_them_back() -> None:
    reader = Reader()
    reader.per_wait = 20
    queue = queue_before(reader, LogLimits(queue=40))
    queue.put_report([b"status...\n"] * 10_000)
    for _ in range(20):
        queue.put(b"event....\n")
    queue.end([b"stopped\n"])
    assert reader.got.endswith(b"stopped\n")
    assert all(line in (b"status...", b"event....", b"stopped") or line[:1] == b"-" for line in reader.got.split())
    left_out = 10_021 - len([line for line in reader.got.split() if line[:1] != b"-"])
    assert sum(-int(line) for line in reader.got.split() if line[:1] == b"-") == left_out


def test_the_end_does_not_wait_forever() -> None:
    for error in (0, errno.EPIPE, errno.ENOSPC):
        reader = Reader()
        reader.error = error
        queue = queue_before(reader)
        began = reader.now
        queue.put(b"line\n")
        queue.end([b"stopped\n"])
        assert reader.now - began == (0 if error else 2 * END_WAIT_NS)


@example([(1, 0, 0), (0, 0, errno.EPIPE)])
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3000), st.sampled_from([0, 0, 0, errno.EPIPE, 28]))))
def test_every_line_is_there_once_or_counted(steps: list[tuple[int, int, int]]) -> None:
    """Lines in order, none cut (a closed reader apart: what it has of a line is gone with it), none lost uncounted."""
    reader = Reader()
    counters = Counters()
    queue = queue_before(reader, LogLimits(queue=200), counters)
    texts = [b""]
    number = 0
    for room, passed, error in steps:
        reader.room, reader.error, reader.failed = room, error, 0
        queue.put(b"%d%s\n" % (number, b"." * (number % 23)))
        number += 1
        if error == errno.EPIPE and reader.failed:  # between its times the queue does not ask
            texts.append(b"")
            texts[-2] = bytes(reader.got)
            reader.got = bytearray()
        reader.now += passed * MS
        assert queue._bytes <= 200 + 10
    texts[-1] = bytes(reader.got) + read_on(queue, reader)
    queue.end([])
    found = [line for text in texts for line in text[: text.rfind(b"\n") + 1].splitlines()]
    told = -sum(int(line) for line in found if line.startswith(b"-"))
    lines = [int(line.rstrip(b".")) for line in found if not line.startswith(b"-")]
    assert lines == sorted(set(lines))
    assert all(line == b"%d%s" % (int(line.rstrip(b".")), b"." * (int(line.rstrip(b".")) % 23)) for line in found
               if not line.startswith(b"-"))  # fmt: skip
    if not any(error == errno.EPIPE for *_, error in steps):
        assert told == counters.stats[Stat.LOG_LINES_DROPPED] == number - len(lines)
