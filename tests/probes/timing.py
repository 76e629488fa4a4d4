"""Classes of intervals: no machine is so slow that it doubles nothing."""

from __future__ import annotations

import itertools

SLACK = 0.4  # seconds that a machine may be late with something
GROWTH = 1.5  # at least, from one interval to the next, over all of them


def patience(times: list[float], least: float) -> float:
    """Seconds to wait for the next repetition: three times the interval before, which a slow first answer stretches."""
    return max(least, 3 * (times[-1] - times[-2])) if len(times) > 1 else least


def doubling(times: list[float]) -> str:
    """`doubling` when every interval is about twice the one before; else the intervals."""
    gaps = [after - before for before, after in itertools.pairwise(times)]
    steps = [1.5 * before - SLACK < after < 2.5 * before + SLACK for before, after in itertools.pairwise(gaps)]
    if len(gaps) > 1 and gaps[0] > 0.1 and all(steps) and gaps[-1] > gaps[0] * GROWTH ** len(steps):
        return "doubling"
    return "after " + ", ".join(f"{gap:.2f}" for gap in gaps) + " s"
