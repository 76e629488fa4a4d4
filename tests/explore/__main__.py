"""New examples from a fresh seed: `python -m tests.explore [--seconds 180] [--seed N] [--boots 30]`.

New examples for all property tests, new worlds, new inputs for every fuzz target, in as many processes as there are
cores to be had. All of it follows from one seed, which is printed first and with every failure.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.explore import processes
from tests.explore.processes import Child, Ended, Part
from tests.explore.results import Sums, without
from tests.explore.seeding import derived, fresh
from tests.explore.shares import WHOLE, Shares, shares
from tests.fuzz.targets import TARGETS

PROCESSES = 2
LATE = 0.05  # of the whole: how much later than it should a part that ends a run is aborted
BOOT_TESTS = ("tests/vm/test_vm.py", "tests/hvt")
BOOT, BEFORE_BOOTS = 15.0, 60.0  # seconds that a boot of a carrier may take, and the start of their tests
TAIL = 12_000  # characters of a failed part's output


def again(seed: int, seconds: float, boots: int) -> str:
    """The line that runs the same again."""
    if boots:
        return f"make nightly EXPLORE_MINUTES={seconds / 60:g} BOOTS={boots} EXPLORE_SEED={seed}"
    return f"make explore EXPLORE_SEED={seed}" + (f" EXPLORE_SECONDS={seconds:g}" if seconds != WHOLE else "")


def queue(seed: int, number: int, seconds: float, share: Shares, began: float) -> list[Part]:
    """The parts of one process."""

    def module(name: str, *words: object) -> tuple[str, ...]:
        return sys.executable, "-m", f"tests.explore.{name}", *map(str, words)

    late = seconds * LATE
    own = derived(seed, "process", number)
    mine = list(TARGETS)[number::PROCESSES]
    return [
        Part(
            "properties",
            module(
                "properties", "--seed", seed, "--process", number, "--until", began + share.properties,
                "--factor", share.factor,
            ),
            share.worlds,
        ),
        Part("worlds", module("worlds", "--seed", own, "--until", began + share.worlds), share.worlds + late),
        Part(
            "fuzz",
            module("fuzzing", "--seed", seed, "--seconds", share.per_target, "--until", began + share.fuzz, *mine),
            share.fuzz + late,
        ),
    ]  # fmt: skip


def boots(count: int) -> Part:
    """Boots of each carrier and nothing else."""
    command = (sys.executable, "-m", "pytest", "-q", *BOOT_TESTS, "-k", "boots")
    return Part("boots", ("env", f"HOGNOSE_BOOTS={count}", *command), BEFORE_BOOTS + BOOT * count * len(BOOT_TESTS))


def tell(ended: Ended, repeat: str) -> None:
    """Last output of a failed part, and how to repeat it."""
    print(without(ended.output)[-TAIL:])
    how = "did not end in time" if ended.aborted else f"exit {ended.status}"
    print(f"FAILED {ended.part.name} ({how}): {shlex.join(ended.part.command)}")
    print(f"repeat with: {repeat}", flush=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=WHOLE)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--boots", type=int, default=0, help="boots of each carrier before that (root, an image)")
    parser.add_argument("--folder", type=Path, default=Path("build/explore"), help="for logs and inputs that failed")
    a = parser.parse_args(words)
    seed = fresh() if a.seed is None else a.seed
    repeat = again(seed, a.seconds, a.boots)
    print(f"exploring for {a.seconds:g} s in {PROCESSES} processes; repeat with: {repeat}", flush=True)
    a.folder.mkdir(parents=True, exist_ok=True)
    failed = False
    sums = Sums()

    def start(part: Part, number: int) -> Child:
        return Child(part, a.folder / f"{part.name}-{number}.log")

    def run(queues: list[list[Part]], began: float) -> None:
        nonlocal failed
        for ended in processes.run(queues, start):
            sums.add(ended.output)
            print(f"{ended.part.name}: {time.monotonic() - began:.0f} s", flush=True)
            if ended.status or ended.aborted:
                failed = True
                tell(ended, repeat)

    if a.boots:
        run([[boots(a.boots)]], time.monotonic())
    began = time.monotonic()
    share = shares(a.seconds, len(TARGETS), PROCESSES)
    run([queue(seed, number, a.seconds, share, began) for number in range(PROCESSES)], began)
    print("\n".join(sums.text()))
    outcome = f"something was found; repeat with: {repeat}" if failed else f"nothing was found with seed {seed}"
    print(f"explored for {time.monotonic() - began:.0f} s: {outcome}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
