"""The mutation gate: `make mutants GROUP=nat`, or `python -m tests.mutants [--group nat] [--seed N] [--one NAME]`.

For each group of modules a fixed set of mutants and a fresh one; a set is red when the tests notice fewer of it than
the bar of the group, or when one of it could not be judged. docs/dev/testing.md says more.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from difflib import unified_diff
from pathlib import Path
from queue import SimpleQueue

from tests.affected import REPO
from tests.by_module import UNIT, imported, modules, unit_tests
from tests.explore.seeding import fresh
from tests.mutants import equivalents
from tests.mutants.groups import GROUPS, SIZE, fixed_and_fresh, group_of, modules_of
from tests.mutants.operators import Mutant, mutants
from tests.mutants.running import BrokenRunError, Judge, Result, SourceCopy, Stage, Verdict

PROCESSES = 2
KINDS = ("fixed", "fresh")
TAIL = 3_000  # characters of the tests' output about one mutant


def candidates(group: str) -> list[Mutant]:
    """All mutants of a group but the equivalent ones; entries of the table that match none are printed."""
    paths = modules()
    found = [mutant for name in modules_of(group, paths) for mutant in mutants(name, paths[name].read_bytes())]
    left, void = equivalents.without(found, equivalents.read(equivalents.TABLE.read_text(encoding="utf-8")))
    for entry in void:
        print(f"equivalents.txt: matches no mutant: {entry.name}")
    return left


def stages(mutant: Mutant, *, only_own: bool = False) -> list[Stage]:
    """The module's own tests, then the others in the folders of its group, first those that import the module."""
    own = unit_tests(mutant.module)
    if only_own:
        return [Stage(own, own)]
    folders = [UNIT / name for name in GROUPS[group_of(mutant.module)].folders if (UNIT / name).is_dir()]
    others = [path for folder in folders for path in sorted(folder.rglob("test_*.py")) if path not in own]
    others.sort(key=lambda path: f"hognose.{mutant.module}" not in imported(path))
    return [Stage(own, own), *([Stage(others, folders)] if others else [])]


def diff(mutant: Mutant) -> str:
    """The change, with two lines around it."""
    path = modules()[mutant.module]
    source = path.read_bytes()
    old, new = (text.decode().splitlines(keepends=True) for text in (source, mutant.applied(source)))
    name = str(path.relative_to(REPO))
    return "".join(unified_diff(old, new, name, name, n=2))


def tell(result: Result, place: str) -> None:
    """A line for each mutant as it ends; a survivor is shown."""
    name = result.mutant.name
    by = f" by {result.witness}" if result.witness else ""
    print(f"{place}: {result.verdict.value}{by}: {name} ({result.seconds:.1f} s)", flush=True)
    if result.verdict is Verdict.SURVIVED:
        print(f"SURVIVED {name}\n{diff(result.mutant)}repeat with: make mutants ONE='{name}'", flush=True)


def judged(
    chosen: Sequence[Mutant], judge: Callable[[SourceCopy, Mutant], Result], processes: int, end: float = math.inf
) -> Iterator[Result]:
    """The results in the order in which they come, each worker with a copy of its own.

    What has not begun at `end`, a time of time.monotonic, is not judged.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        free: SimpleQueue[SourceCopy] = SimpleQueue()
        for number in range(processes):
            free.put(SourceCopy(REPO, Path(folder) / str(number)))

        def one(mutant: Mutant) -> Result:
            if time.monotonic() >= end:
                return Result(mutant, Verdict.NOT_JUDGED, 0, "")
            copy = free.get()
            try:
                return judge(copy, mutant)
            finally:
                free.put(copy)

        try:
            for future in as_completed([pool.submit(one, mutant) for mutant in chosen]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def verdict(name: str, kind: str, results: Sequence[Result], bar: int) -> tuple[bool, str]:
    """(the set is good, a line about it)."""
    killed = sum(result.verdict in (Verdict.KILLED, Verdict.TIMED_OUT) for result in results)
    unknown = sum(result.verdict is Verdict.NOT_JUDGED for result in results)
    own = sum(result.stage == 0 and result.verdict is not Verdict.NOT_JUDGED for result in results)
    late = sum(result.verdict is Verdict.TIMED_OUT for result in results)
    high = bool(results) and killed * 100 >= bar * len(results)
    share = f"{100 * killed / len(results):.1f} %" if results else "no mutants"
    outcome = f"{unknown} NOT JUDGED" if unknown else "good" if high else "BELOW THE BAR"
    return high and not unknown, (
        f"{name} {kind}: {killed} of {len(results)} noticed ({share}; the bar is {bar} %), {own} by the module's own "
        f"tests, {late} by their time: {outcome}"
    )


def run_group(name: str, seed: int, end: float, a: argparse.Namespace) -> list[tuple[bool, str]]:
    """The sets of a group."""
    own = bool(a.own)
    judge = Judge()
    paths = modules()
    lines = []
    for kind, chosen in fixed_and_fresh(candidates(name), seed, a.count):
        if kind not in (a.set or KINDS):
            continue
        began = time.monotonic()
        print(f"== {name} {kind}: {len(chosen)} mutants", flush=True)
        results: list[Result] = []
        for result in judged(
            chosen,
            lambda copy, one: judge.verdict(copy, one, paths[one.module], stages(one, only_own=own)),
            a.processes,
            end,
        ):
            results.append(result)
            tell(result, f"{len(results)} of {len(chosen)}")
        lines.append(verdict(name, kind, results, GROUPS[name].bar))
        cpu = sum(result.seconds for result in results)
        print(f"{lines[-1][1]} ({time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU time for mutants)", flush=True)
    return lines


def run_one(name: str, *, own: bool = False) -> int:
    """One mutant by its name, with the output of its tests; 1 if it is not noticed."""
    word = name.partition(":")[0]
    paths = {module: path for module, path in modules().items() if module.rpartition(".")[2] == word}
    found = [one for module, path in paths.items() for one in mutants(module, path.read_bytes()) if one.name == name]
    if not found or not group_of(found[0].module):
        print(f"no mutant of a group is called {name}", file=sys.stderr)
        return 2
    mutant = found[0]
    print(diff(mutant), flush=True)
    found_by = stages(mutant, only_own=own)
    [result] = judged([mutant], lambda copy, one: Judge().verdict(copy, one, paths[one.module], found_by), 1)
    print(f"{result.output[-TAIL:]}\n{mutant.name}: {result.verdict.value}")
    return int(result.verdict in (Verdict.SURVIVED, Verdict.NOT_JUDGED))


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--group", choices=GROUPS, action="append", help="all groups without it")
    parser.add_argument("--seed", type=int, help="of the fresh sets")
    parser.add_argument("--set", choices=KINDS, action="append", help="both without it")
    parser.add_argument(
        "--own", action="store_true", help="by the modules' own tests alone: at least so many are noticed by all"
    )
    parser.add_argument("--one", help="the name of one mutant, as the gate prints it")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--count", type=int, default=SIZE, help="mutants of each set")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="mutants that have not begun then are not judged"
    )
    a = parser.parse_args(words)
    try:
        if a.one:
            return run_one(a.one, own=a.own)
        seed = fresh() if a.seed is None else a.seed
        chosen = f" GROUP={a.group[0]}" if a.group else ""
        few = f" MUTANTS={a.count}" if a.count != SIZE else ""
        print(f"repeat with: make mutants{chosen} SEED={seed}{few}", flush=True)
        end = time.monotonic() + a.minutes * 60
        lines = [line for name in a.group or GROUPS for line in run_group(name, seed, end, a)]
    except BrokenRunError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(["", *(text for _, text in lines)]))
    return int(not all(good for good, _ in lines))


if __name__ == "__main__":
    sys.exit(main())
