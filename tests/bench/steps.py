"""The longest step that one client's worst inputs lead to: milliseconds of processor time, for every input.

    PYTHONPATH=src python -m tests.bench.steps

tests/sim/worst_inputs.py has the inputs; tests/sim/test_step_work.py holds them to a bound in calls, which is the same
on every machine. The shortest of three runs counts for every step: a neighbour's load makes a step longer, not shorter.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from tests.sim.worst_inputs import BATCHES, STREAMS, Attack, Cost, begin, steps_of, steps_of_batches

RUNS = 3


def longest(play: Callable[[Attack], list[Cost]]) -> tuple[int, float]:
    """(steps, the longest one in ms), every step at its shortest of RUNS runs."""
    runs = []
    for _ in range(RUNS):
        attack = begin("client-to-client")
        gc.collect()
        gc.disable()  # a collection of what the test has built is not the gateway's work
        runs.append([cost.ms for cost in play(attack)])
        gc.enable()
    steps = min(len(run) for run in runs)
    return steps, max(min(run[n] for run in runs) for n in range(steps))


def main() -> None:
    """Print a line for every input."""
    for make in STREAMS:
        steps, ms = longest(lambda attack, make=make: list(steps_of(attack, make(attack), counted=False)))  # type: ignore[misc]  # bound to this round
        print(f"{make.__name__:30} {steps:5} steps, the longest {ms:6.2f} ms", flush=True)
    for name, frames in BATCHES.items():
        steps, ms = longest(
            lambda attack, frames=frames: list(steps_of_batches(attack, frames(attack), counted=False))  # type: ignore[misc]  # bound to this round
        )
        print(f"{name:30} {steps:5} steps, the longest {ms:6.2f} ms", flush=True)


if __name__ == "__main__":
    main()
