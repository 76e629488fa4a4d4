"""Classes of intervals: no machine is so slow that it doubles nothing."""

from __future__ import annotations

import itertools

LATE = 1.0  # seconds that a machine may be late with something
GROWTH = 1.5  # at least, from the shortest interval before it to the last one


def patience(times: list[float], least: float) -> float:
    """Seconds to wait for the next repetition: three times the interval before, which a slow first answer stretches."""
    return max(least, 3 * (times[-1] - times[-2])) if len(times) > 1 else least


def doubling(times: list[float]) -> str:
    """`doubling` when the intervals are 1, 2, 4 ... times the same one, each late by LATE at most; else the intervals.

    A timer never ends early, but a busy machine serves it late, and the next interval begins then.
    """
    gaps = [after - before for before, after in itertools.pairwise(times)]
    first = min(gap / 2**number for number, gap in enumerate(gaps)) if gaps else 0.0
    fits = all(gap - first * 2**number < LATE for number, gap in enumerate(gaps))
    if len(gaps) > 1 and first > 0.1 and fits and gaps[-1] > min(gaps[:-1]) * GROWTH:
        return "doubling"
    return "after " + ", ".join(f"{gap:.2f}" for gap in gaps) + " s"
