"""Runs of tests against a copy of the sources in which one module is a mutant."""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.util import cache_from_source
from pathlib import Path
from threading import Lock

from tests.mutants.operators import Mutant

LOOK = 0.02  # seconds between looks at a process
MEMORY = 4 << 30  # bytes of address space
# Seconds of CPU time that tests may take: MARGIN and FACTOR times what they take without a mutant.
MARGIN, FACTOR = 5.0, 3.0
# Seconds by the clock: PATIENCE, and SLOWNESS times the CPU time. Others may have the cores or stop the process:
# what has not ended by then says nothing about the mutant.
PATIENCE, SLOWNESS = 1_800.0, 30.0
GRACE = 5  # seconds of CPU time from SIGXCPU to SIGKILL
PASSED, FAILED, INTERRUPTED, INTERNAL = 0, 1, 2, 3  # statuses of pytest that say something about the code
EMPTY = 5  # all tests of a file may be marked `stress`
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class Verdict(Enum):
    """Outcome of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    NOT_JUDGED = "not judged"  # ended by the clock, or by a signal that the tests did not cause


class BrokenRunError(Exception):
    """Tests that fail without a mutant, or a pytest that could not run them."""


@dataclass(frozen=True)
class Ended:
    """A run of pytest; the time is CPU time of the process and of its children that have ended."""

    status: int
    seconds: float
    output: str


@dataclass(frozen=True)
class Stage:
    """Tests, and files or folders that have at least the same ones, each of which is measured once.

    Where the two are the same the quickest run first, else they run as listed.
    """

    tests: Sequence[Path]
    measured: Sequence[Path]


class SourceCopy:
    """A copy of `root`/src to change, with compiled modules; tests are those of `root`, which stays as it is."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._root = root
        self._sources = folder / "src"
        shutil.copytree(root / "src", self._sources, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(self._sources, quiet=2, invalidation_mode=mode)

    @contextmanager
    def changed(self, path: Path, source: bytes) -> Iterator[None]:
        """One module with another source; the path is below `root`."""
        file = self._sources / path.relative_to(self._root / "src")
        compiled = Path(cache_from_source(str(file)))
        before, aside = file.read_bytes(), compiled.with_suffix(".aside")
        compiled.rename(aside)
        file.write_bytes(source)
        try:
            yield
        finally:
            file.write_bytes(before)
            aside.rename(compiled)

    def run(self, tests: Sequence[Path], cpu: float | None = None, clock: float | None = None) -> Ended:
        """Run test files until one fails, or for `cpu` seconds of CPU time, or for `clock` seconds.

        A process that is out of CPU time ends with SIGXCPU, one out of time by the clock with SIGKILL. The limit of
        pytest-timeout, which is by the clock, does not hold.
        """
        most = max(1, round(cpu)) if cpu else 0
        limits = [f"--as={MEMORY}", *([f"--cpu={most}:{most + GRACE}"] if cpu else [])]
        words = ["-x", "-q", "-p", "no:cacheprovider", "--tb=short", "--hypothesis-profile=unshrunk", "--timeout=0"]
        command = ["prlimit", *limits, sys.executable, "-m", "pytest", *words, "-m", "not stress", *map(str, tests)]
        environment = {**os.environ, "PYTHONPATH": str(self._sources), "PYTHONDONTWRITEBYTECODE": "1"}
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, cwd=self._root, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            status, seconds = _wait(process, clock)
            output.seek(0)
            return Ended(status, seconds, output.read().decode(errors="replace"))


def _wait(process: subprocess.Popen[bytes], limit: float | None) -> tuple[int, float]:
    """(status, seconds of CPU time) of a process, which is ended after `limit` seconds by the clock."""
    began = time.monotonic()
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        if limit is not None and time.monotonic() - began > limit:
            os.killpg(process.pid, signal.SIGKILL)
            limit = None
        time.sleep(LOOK)


class Judge:
    """Verdicts; the time that tests take without a mutant is measured once for each file, or folder."""

    def __init__(self, margin: float = MARGIN, factor: float = FACTOR, patience: float = PATIENCE) -> None:
        self._margin = margin
        self._factor = factor
        self._patience = patience
        self._seconds: dict[Path, float] = {}
        self._locks: defaultdict[Path, Lock] = defaultdict(Lock)

    def verdict(self, copy: SourceCopy, mutant: Mutant, path: Path, stages: Sequence[Stage]) -> Result:
        """The first stage that notices a mutant of the module at `path`.

        Raises BrokenRunError.
        """
        source = mutant.applied(path.read_bytes())
        taken = 0.0
        last = ""
        for number, stage in enumerate(stages):
            limit = self._margin + self._factor * sum(self._without(copy, one) for one in stage.measured)
            tests = sorted(stage.tests, key=lambda one: self._seconds.get(one, 0.0))
            with copy.changed(path, source):
                ended = copy.run(tests, limit, self._patience + SLOWNESS * limit)
            last = ended.output
            taken += ended.seconds
            verdict = _meaning(ended)
            if verdict is not Verdict.SURVIVED:
                return Result(mutant, verdict, number, last, taken)
        return Result(mutant, Verdict.SURVIVED, len(stages), last, taken)

    def _without(self, copy: SourceCopy, tests: Path) -> float:
        with self._locks[tests]:
            if tests not in self._seconds:
                ended = copy.run([tests])
                if ended.status not in (PASSED, EMPTY):
                    raise BrokenRunError(f"red without a mutant (exit {ended.status}):\n{ended.output}")
                self._seconds[tests] = ended.seconds
            return self._seconds[tests]


def _meaning(ended: Ended) -> Verdict:
    """Verdict of a run; raises BrokenRunError."""
    if ended.status == PASSED:
        return Verdict.SURVIVED
    if ended.status in (FAILED, INTERRUPTED, INTERNAL):
        return Verdict.KILLED
    if ended.status < 0:
        if -ended.status == signal.SIGXCPU:
            return Verdict.TIMED_OUT
        return Verdict.KILLED if -ended.status in CRASHES else Verdict.NOT_JUDGED
    raise BrokenRunError(f"pytest ended with {ended.status}:\n{ended.output}")


@dataclass(frozen=True)
class Result:
    """A mutant's verdict, the number of the stage that gave it, the output of its tests and their CPU time."""

    mutant: Mutant
    verdict: Verdict
    stage: int
    output: str
    seconds: float = 0.0

    @property
    def witness(self) -> str:
        """The test or the file that failed, or nothing."""
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", self.output, re.MULTILINE)
        return found[1] if found else ""
