"""Classes of intervals: no machine is so slow that it doubles nothing."""

from __future__ import annotations

import itertools


def doubling(times: list[float]) -> str:
    """`doubling` when every interval is twice the one before, give or take a third; else the intervals."""
    gaps = [after - before for before, after in itertools.pairwise(times)]
    ratios = [after / max(before, 0.001) for before, after in itertools.pairwise(gaps)]
    if gaps and gaps[0] > 0.1 and all(1.4 < ratio < 2.8 for ratio in ratios):
        return "doubling"
    return "after " + ", ".join(f"{gap:.2f}" for gap in gaps) + " s"
