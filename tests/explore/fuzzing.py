"""Fuzz targets on the plain interpreter: `python -m tests.explore.fuzzing --seed N [--seconds 3] [TARGET …]`.

The committed corpora are mutated by a seed. What fails is kept as a file; `--executions N` runs the same inputs up to
that one again however fast the machine is, `--input FILE` that one alone.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import FrameType

from tests.explore import results
from tests.explore.mutator import Mutator
from tests.explore.seeding import derived, seed_urandom
from tests.fuzz.campaign import MAX_LEN, SHORTER
from tests.fuzz.targets import TARGETS, Target

CORPUS = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"
MEMORY = 2 << 30  # bytes of address space
INPUT_SECONDS = 20  # for one input; the slowest of the corpora takes a quarter of one
SHOWN = 400  # bytes of an input that is printed


class TooSlow(BaseException):
    """An input whose end is not waited for; no target catches it."""


@dataclass(frozen=True)
class Failure:
    """An input that fails and the number of executions up to it."""

    data: bytes
    executions: int
    text: str


@dataclass(frozen=True)
class Run:
    """Result of one target."""

    executions: int
    failure: Failure | None


def corpus(name: str) -> list[bytes]:
    """The committed inputs, in an order that is the same everywhere."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def run(
    target: Target, inputs: Mutator, *, until: float, executions: int = 0, clock: Callable[[], float] = time.monotonic
) -> Run:
    """Mutated inputs up to a time, or a number of them; the first that fails ends it."""
    count = 0
    while count < executions if executions else clock() < until or not count:
        data = inputs.next()
        count += 1
        try:
            target(data)
        except (Exception, TooSlow):
            return Run(count, Failure(data, count, traceback.format_exc()))
    return Run(count, None)


def guarded(target: Target) -> Target:
    """The target with a time-out for each input."""

    def too_slow(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"an input takes longer than {INPUT_SECONDS} s")

    signal.signal(signal.SIGALRM, too_slow)

    def call(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_REAL, INPUT_SECONDS)
        try:
            target(data)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    return call


def explore(name: str, seed: int, *, until: float, executions: int = 0) -> Run:
    """One target by its name."""
    drawn = derived(seed, "fuzz", name)
    seed_urandom(drawn)
    inputs = Mutator(corpus(name), drawn, SHORTER.get(name, MAX_LEN))
    target = guarded(TARGETS[name])
    target(b"")  # what is made once is made before anything is drawn
    return run(target, inputs, until=until, executions=executions)


def report(name: str, seed: int, failure: Failure, folder: Path) -> None:
    """Keep the input, say how to run it again."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{sha256(failure.data).hexdigest()[:16]}"
    path.write_bytes(failure.data)
    print(failure.text)
    if len(failure.data) <= SHOWN:
        print(f"input: {failure.data.hex()}")
    print(f"fuzz target {name} fails after {failure.executions} executions, {len(failure.data)} bytes, kept as {path}")
    print(f"alone: python -m tests.explore.fuzzing --seed {seed} --executions {failure.executions} {name}")
    print(f"alone: python -m tests.explore.fuzzing --input {path} {name}", flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each target")
    parser.add_argument("--until", type=float, default=float("inf"), help="the monotonic clock at the end of all")
    parser.add_argument("--executions", type=int, default=0, help="instead of a time")
    parser.add_argument("--input", type=Path, help="this input alone")
    parser.add_argument("--findings", type=Path, default=Path("build/explore"))
    arguments = parser.parse_args(words)
    names = arguments.targets or list(TARGETS)
    if arguments.input:
        for name in names:
            TARGETS[name](arguments.input.read_bytes())
        return 0
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    executions: dict[str, int] = {}
    failed = False
    for number, name in enumerate(names):
        now = time.monotonic()
        # One that begins late takes its time from all that are left, not from the last one.
        share = min(arguments.seconds, (arguments.until - now) / (len(names) - number))
        done = explore(name, arguments.seed, until=now + share, executions=arguments.executions)
        executions[name] = done.executions
        if done.failure:
            failed = True
            report(name, arguments.seed, done.failure, arguments.findings)
    print(results.line(fuzz=executions))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
