"""Queue of log lines for a reader that may be slow, stop, or close: written whole and in order, else counted.

Nothing here waits, `end` apart. Lines that the output does not take at once wait, LogLimits.queue bytes at the most;
then the newest are dropped until half of that is free again, and one line (`log_dropped`) in their place says how many
they were. A list of clients waits besides, one at a time, and gives way to events.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence

from hognose.drops import Counters, Stat
from hognose.host import clock as machine_clock
from hognose.host.output import Output
from hognose.limits import LogLimits
from hognose.units import KIB, MS, SECOND, Nanos

NEVER: Nanos = 1 << 63
FLUSH_BYTES = 64 * KIB  # written in one turn at the most
TURN_NS: Nanos = 5 * MS  # until the next turn when that was not enough
FIRST_PAUSE_NS: Nanos = 50 * MS  # before an output that took nothing is asked again
LAST_PAUSE_NS: Nanos = 1 * SECOND  # after several attempts in vain, each pause twice the one before
END_WAIT_NS: Nanos = 1 * SECOND  # for what waits at the end of the program, and again for the last lines
_FULL = (errno.ENOSPC, errno.EDQUOT)  # the rest of a line that was cut is still wanted in the same file


class LogQueue:
    """Bounded queue of lines before an output.

    next_flush: time at which `flush` is to be called, NEVER when nothing waits. notice: makes the line that tells of
    dropped ones out of their number.
    """

    def __init__(
        self,
        output: Output,
        notice: Callable[[int], bytes],
        *,
        limits: LogLimits | None = None,
        clock: Callable[[], Nanos] = machine_clock.monotonic,
        counters: Counters | None = None,
    ) -> None:
        self.next_flush: Nanos = NEVER
        self._output = output
        self._notice = notice
        self._limits = limits or LogLimits()
        self._clock = clock
        self._counters = counters or Counters()
        self._lines: deque[tuple[bytes, int]] = deque()  # a line, and the number of dropped ones that it tells of
        self._bytes = 0  # of _lines
        self._report: deque[bytes] = deque()
        self._rest = b""  # what of _current is still to be written
        self._current: tuple[bytes, int] = (b"", 0)
        self._dropped = 0  # lines that no notice in the queue tells of
        self._pause = FIRST_PAUSE_NS

    def count_in(self, counters: Counters) -> None:
        """Count dropped lines there from now on, with those dropped before."""
        counters.stats[Stat.LOG_LINES_DROPPED] += self._counters.stats[Stat.LOG_LINES_DROPPED]
        self._counters = counters

    def put(self, line: bytes) -> None:
        """Write a line (with its newline), or keep it, or drop and count it."""
        self._note_dropped()
        if self._dropped or self._bytes + len(line) > self._limits.queue:
            self._drop(1)
        else:
            self._append(line, 0)
        if self.next_flush == NEVER or self._clock() >= self.next_flush:
            self.flush()

    def put_report(self, lines: Sequence[bytes]) -> None:
        """Write lines that belong together: all of them, however long it takes, or none.

        They are dropped while the report before is not yet written, and beyond LogLimits.report bytes.
        """
        if self._report or sum(map(len, lines)) > self._limits.report:
            self._drop(len(lines))
        else:
            self._report.extend(lines)
        if self.next_flush == NEVER or self._clock() >= self.next_flush:
            self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the output takes it, FLUSH_BYTES at the most; never waits, never raises."""
        self._write(FLUSH_BYTES)

    def end(self, lines: Sequence[bytes]) -> None:
        """Write everything and these last lines, which always find room. Takes 2 * END_WAIT_NS at the longest."""
        self._drain()
        self._drop(len(self._report))
        self._report.clear()
        self._note_dropped(always=True)
        for line in lines:
            self._append(line, 0)
        self._drain()

    def _drain(self) -> None:
        until = self._clock() + END_WAIT_NS
        while self._write(FLUSH_BYTES):
            left = until - self._clock()
            if left <= 0:
                return
            self._output.wait(min(left, FIRST_PAUSE_NS))

    def _write(self, budget: int) -> bool:
        """True when more waits, and may be taken later."""
        took = 0
        while self._rest or self._next_line():
            if took >= budget:
                self.next_flush = self._clock() + TURN_NS
                return True
            try:
                count = self._output.write(self._rest)
            except OSError as error:
                self._lose(error)
                self._retry_later()
                return False
            if count <= 0:
                if took:
                    self._pause = FIRST_PAUSE_NS
                self._retry_later()
                return True
            took += count
            self._rest = self._rest[count:]
        self.next_flush = NEVER
        self._pause = FIRST_PAUSE_NS
        return False

    def _next_line(self) -> bool:
        self._note_dropped()
        if self._lines:
            self._current = self._lines.popleft()
            self._bytes -= len(self._current[0])
        elif self._report:
            self._current = (self._report.popleft(), 0)
        else:
            return False
        self._rest = self._current[0]
        return True

    def _retry_later(self) -> None:
        self.next_flush = self._clock() + self._pause
        self._pause = min(2 * self._pause, LAST_PAUSE_NS)

    def _append(self, line: bytes, told: int) -> None:
        self._lines.append((line, told))
        self._bytes += len(line)

    def _drop(self, count: int) -> None:
        self._dropped += count
        self._counters.stats[Stat.LOG_LINES_DROPPED] += count

    def _note_dropped(self, *, always: bool = False) -> None:
        if self._dropped and (always or self._bytes <= self._limits.queue // 2):
            self._append(self._notice(self._dropped), self._dropped)
            self._dropped = 0

    def _lose(self, error: OSError) -> None:
        """Drop what waits: the output failed (its reader has closed it, its disk is full)."""
        line, told = self._current
        if len(self._rest) == len(line) or error.errno not in _FULL:
            self._rest = b""
            self._lines.appendleft((line, told))
        for _, told in self._lines:
            self._dropped += told
        self._drop(sum(not told for _, told in self._lines) + len(self._report))
        self._lines.clear()
        self._report.clear()
        self._bytes = 0
