"""Runs of tests against a copy of the sources in which one module is a mutant."""

from __future__ import annotations

import compileall
import os
import py_compile
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
MARGIN, FACTOR = 10.0, 4.0
PATIENCE = 10.0  # times as long by the clock as in CPU time: other processes may have the cores
PASSED, FAILED, INTERRUPTED, INTERNAL = 0, 1, 2, 3  # statuses of pytest that say something about the code


class Verdict(Enum):
    """Outcome of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"


class BrokenRunError(Exception):
    """Tests that fail without a mutant, or a pytest that could not run them."""


@dataclass(frozen=True)
class Ended:
    """A run of pytest; the time is CPU time."""

    status: int
    seconds: float
    output: str


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

    def run(self, tests: Sequence[Path], cpu: float | None = None) -> Ended:
        """Run test files until one fails, or for `cpu` seconds of CPU time."""
        limits = [f"--as={MEMORY}", *([f"--cpu={max(1, round(cpu))}"] if cpu else [])]
        words = ["-x", "-q", "-p", "no:cacheprovider", "--tb=short", "--hypothesis-profile=unshrunk"]
        command = ["prlimit", *limits, sys.executable, "-m", "pytest", *words, "-m", "not stress", *map(str, tests)]
        environment = {**os.environ, "PYTHONPATH": str(self._sources), "PYTHONDONTWRITEBYTECODE": "1"}
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                command, cwd=self._root, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            status, seconds = _wait(process, cpu * PATIENCE if cpu else None)
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
    """Verdicts; the time that tests take without a mutant is measured once for each list of them."""

    def __init__(self, margin: float = MARGIN, factor: float = FACTOR) -> None:
        self._margin = margin
        self._factor = factor
        self._seconds: dict[tuple[Path, ...], float] = {}
        self._locks: defaultdict[tuple[Path, ...], Lock] = defaultdict(Lock)

    def verdict(self, copy: SourceCopy, mutant: Mutant, path: Path, stages: Sequence[Sequence[Path]]) -> Result:
        """The first stage, a list of test files, that notices a mutant of the module at `path`.

        Raises BrokenRunError.
        """
        source = mutant.applied(path.read_bytes())
        last = ""
        for number, tests in enumerate(stages):
            limit = self._margin + self._factor * self._without(copy, tests)
            with copy.changed(path, source):
                ended = copy.run(tests, limit)
            last = ended.output
            if ended.status in (FAILED, INTERRUPTED, INTERNAL):
                return Result(mutant, Verdict.KILLED, number, last)
            if ended.status < 0 or ended.status > 128:
                over = ended.status in (-signal.SIGXCPU, -signal.SIGKILL)
                return Result(mutant, Verdict.TIMED_OUT if over else Verdict.KILLED, number, last)
            if ended.status != PASSED:
                raise BrokenRunError(f"pytest ended with {ended.status}:\n{last}")
        return Result(mutant, Verdict.SURVIVED, len(stages), last)

    def _without(self, copy: SourceCopy, tests: Sequence[Path]) -> float:
        key = tuple(tests)
        with self._locks[key]:
            if key not in self._seconds:
                ended = copy.run(tests)
                if ended.status != PASSED:
                    raise BrokenRunError(f"red without a mutant (exit {ended.status}):\n{ended.output}")
                self._seconds[key] = ended.seconds
            return self._seconds[key]


@dataclass(frozen=True)
class Result:
    """A mutant's verdict, the number of the stage that gave it, and the output of its tests."""

    mutant: Mutant
    verdict: Verdict
    stage: int
    output: str
