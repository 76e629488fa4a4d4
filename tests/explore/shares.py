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
BOOTS = 0.25  # of the whole, at most, when there are boots
ROUND = 75.0  # in which a process goes about once through all properties, on one core
MAX_FACTOR = 20


@dataclass(frozen=True)
class Shares:
    """End of each part; fuzzing ends with the run."""

    boots: float
    properties: float
    worlds: float
    fuzz: float
    per_target: float
    factor: int  # how many times the examples that a property has by default


def shares(seconds: float, targets: int, processes: int, *, boots: bool = False) -> Shares:
    """The times of a run of `seconds` seconds."""
    booted = seconds * BOOTS if boots else 0.0
    end = seconds * (1 - MARGIN)
    exploring = end - booted
    per_target = PER_TARGET * exploring / (WHOLE * (1 - MARGIN))
    worlds = end - per_target * ceil(targets / processes) - START
    properties = booted + (worlds - booted) * PROPERTIES
    factor = int((properties - booted) / (2 * ROUND))
    return Shares(booted, properties, worlds, end, per_target, max(1, min(factor, MAX_FACTOR)))
