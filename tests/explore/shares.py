"""Shares of a run's parts in its time, as seconds from its beginning.

Each process goes through all parts: properties, worlds, fuzz targets. What begins late ends at its time all the same,
so one slow part takes from the next one and not from the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

WHOLE = 180.0  # the stage of CI
PER_TARGET = 3.0  # of WHOLE; longer runs give each target more
START = 4.0  # of a process, before it does anything
MARGIN = 0.03  # of the whole: what a part may be late
PROPERTIES = 0.65  # of what fuzzing leaves
ROUND = 75.0  # in which a process goes about once through all properties, on one core
MAX_FACTOR = 20


@dataclass(frozen=True)
class Shares:
    """End of each part; fuzzing ends with the run."""

    properties: float
    worlds: float
    fuzz: float
    per_target: float
    factor: int  # how many times the examples that a property has by default


def shares(seconds: float, targets: int, processes: int) -> Shares:
    """The times of a run of `seconds` seconds."""
    end = seconds * (1 - MARGIN)
    per_target = PER_TARGET * seconds / WHOLE
    worlds = end - per_target * ceil(targets / processes) - START
    properties = worlds * PROPERTIES
    factor = int(properties / (2 * ROUND))
    return Shares(properties, worlds, end, per_target, max(1, min(factor, MAX_FACTOR)))
