"""The mutation gate: `make mutants GROUP=nat`, or `python -m tests.mutants [--group nat] [--seed N] [--one NAME]`.

For each group of modules a fixed set of mutants and a fresh one; a set of which the tests notice fewer than the group's
bar is red. docs/dev/testing.md says more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from pathlib import Path
from queue import SimpleQueue

from tests.affected import REPO
from tests.by_module import UNIT, modules, unit_tests
from tests.explore.seeding import fresh
from tests.mutants import equivalents
from tests.mutants.groups import GROUPS, SIZE, fixed_and_fresh, group_of, modules_of
from tests.mutants.operators import Mutant, mutants
from tests.mutants.running import BrokenRunError, Judge, Result, SourceCopy, Verdict

PROCESSES = 2
TAIL = 3_000  # characters of the tests' output about one mutant


def candidates(group: str) -> list[Mutant]:
    """All mutants of a group but the equivalent ones; entries of the table that match none are printed."""
    paths = modules()
    found = [mutant for name in modules_of(group, paths) for mutant in mutants(name, paths[name].read_bytes())]
    left, void = equivalents.without(found, equivalents.read(equivalents.TABLE.read_text(encoding="utf-8")))
    for entry in void:
        print(f"equivalents.txt: matches no mutant: {entry.name}")
    return left


def stages(mutant: Mutant) -> list[list[Path]]:
    """The module's own tests, then all of the folders of its group."""
    folders = [UNIT / name for name in GROUPS[group_of(mutant.module)].folders if (UNIT / name).is_dir()]
    return [unit_tests(mutant.module), folders]


def diff(mutant: Mutant) -> str:
    """The change, with two lines around it."""
    path = modules()[mutant.module]
    source = path.read_bytes()
    old, new = (text.decode().splitlines(keepends=True) for text in (source, mutant.applied(source)))
    name = str(path.relative_to(REPO))
    return "".join(unified_diff(old, new, name, name, n=2))


def tell(result: Result) -> None:
    """A survivor is shown; the others are counted only."""
    if result.verdict is Verdict.SURVIVED:
        print(
            f"SURVIVED {result.mutant.name}\n{diff(result.mutant)}repeat with: make mutants ONE='{result.mutant.name}'"
        )
        sys.stdout.flush()


def judged(chosen: Sequence[Mutant], judge: Callable[[SourceCopy, Mutant], Result], processes: int) -> Iterator[Result]:
    """The results in the order in which they come, each worker with a copy of its own."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        free: SimpleQueue[SourceCopy] = SimpleQueue()
        for number in range(processes):
            free.put(SourceCopy(REPO, Path(folder) / str(number)))

        def one(mutant: Mutant) -> Result:
            copy = free.get()
            try:
                return judge(copy, mutant)
            finally:
                free.put(copy)

        try:
            yield from pool.map(one, chosen)
        finally:
            pool.shutdown(cancel_futures=True)


def verdict(name: str, kind: str, results: Sequence[Result], bar: int) -> tuple[bool, str]:
    """(the set is good, a line about it)."""
    alive = sum(result.verdict is Verdict.SURVIVED for result in results)
    killed = len(results) - alive
    own = sum(result.stage == 0 for result in results)
    late = sum(result.verdict is Verdict.TIMED_OUT for result in results)
    good = killed * 100 >= bar * len(results)
    share = f"{100 * killed / len(results):.1f} %" if results else "no mutants"
    good = good and bool(results)
    return good, (
        f"{name} {kind}: {killed} of {len(results)} noticed ({share}; the bar is {bar} %), {own} by the module's own "
        f"tests, {late} by their time: {'good' if good else 'BELOW THE BAR'}"
    )


def run_group(name: str, seed: int, size: int, processes: int) -> list[tuple[bool, str]]:
    """Both sets of a group."""
    judge = Judge()
    paths = modules()
    lines = []
    for kind, chosen in fixed_and_fresh(candidates(name), seed, size):
        began = time.monotonic()
        print(f"== {name} {kind}: {len(chosen)} mutants", flush=True)
        results = []
        for result in judged(
            chosen, lambda copy, one: judge.verdict(copy, one, paths[one.module], stages(one)), processes
        ):
            tell(result)
            results.append(result)
        lines.append(verdict(name, kind, results, GROUPS[name].bar))
        print(f"{lines[-1][1]} ({time.monotonic() - began:.0f} s)", flush=True)
    return lines


def run_one(name: str) -> int:
    """One mutant by its name, with the output of its tests; 1 if it survives."""
    word = name.partition(":")[0]
    paths = {module: path for module, path in modules().items() if module.rpartition(".")[2] == word}
    found = [one for module, path in paths.items() for one in mutants(module, path.read_bytes()) if one.name == name]
    if not found or not group_of(found[0].module):
        print(f"no mutant of a group is called {name}", file=sys.stderr)
        return 2
    mutant = found[0]
    print(diff(mutant), flush=True)
    [result] = judged([mutant], lambda copy, one: Judge().verdict(copy, one, paths[one.module], stages(one)), 1)
    print(f"{result.output[-TAIL:]}\n{mutant.name}: {result.verdict.value}")
    return int(result.verdict is Verdict.SURVIVED)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--group", choices=GROUPS, action="append", help="all groups without it")
    parser.add_argument("--seed", type=int, help="of the fresh sets")
    parser.add_argument("--one", help="the name of one mutant, as the gate prints it")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--count", type=int, default=SIZE, help=argparse.SUPPRESS)
    a = parser.parse_args(words)
    try:
        if a.one:
            return run_one(a.one)
        seed = fresh() if a.seed is None else a.seed
        chosen = f" GROUP={a.group[0]}" if a.group else ""
        print(f"repeat with: make mutants{chosen} SEED={seed}", flush=True)
        lines = [line for name in a.group or GROUPS for line in run_group(name, seed, a.count, a.processes)]
    except BrokenRunError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(["", *(text for _, text in lines)]))
    return int(not all(good for good, _ in lines))


if __name__ == "__main__":
    sys.exit(main())
