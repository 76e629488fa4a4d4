"""State of a server and its connections as plain values, and back: all slots of all classes, so that none is forgotten.

Plain values are numbers, strings, byte strings, None, tuples, and the frozen classes here. Counters, limits and the
queue of a server are no state: a name stands for them. Times are those of the server's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, Union

from hognose.base.rate import FixedWindow
from hognose.drops import Counters
from hognose.limits import TcpLimits
from hognose.tcp.black_hole import BlackHole
from hognose.tcp.congestion import Cubic
from hognose.tcp.connection import PollQueue, TcpConnection
from hognose.tcp.hystart import HyStart
from hognose.tcp.listener import HalfOpen
from hognose.tcp.path import Path
from hognose.tcp.rack import Rack
from hognose.tcp.ranges import RangeSet
from hognose.tcp.rate_reduction import RateReduction
from hognose.tcp.reassembly import Reassembly
from hognose.tcp.receiver import Receiver
from hognose.tcp.recovery import Recovery
from hognose.tcp.rtt import RttEstimator
from hognose.tcp.sack import Scoreboard
from hognose.tcp.send_buffer import SendBuffer
from hognose.tcp.send_timers import SendTimers
from hognose.tcp.sender import Sender
from hognose.tcp.time_out import TimeOut
from hognose.units import Nanos

Plain = Union[None, int, float, str, bytes, tuple["Plain", ...], "Items", "Part", "Surrounding"]
_ENGINES = (
    *(TcpConnection, Path, FixedWindow, Receiver, Reassembly, HalfOpen),
    *(Sender, SendBuffer, SendTimers, RttEstimator, Cubic, HyStart, BlackHole),
    *(Recovery, Scoreboard, RangeSet, Rack, RateReduction, TimeOut),
)
_SURROUNDINGS = (Counters, TcpLimits, PollQueue)
_CLASSES: dict[str, type] = {kind.__name__: kind for kind in _ENGINES}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Items:
    """The elements of a list."""

    values: tuple[Plain, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """An engine's object: the name of its class, and its slots with their values."""

    kind: str
    slots: tuple[tuple[str, Plain], ...]


@dataclass(frozen=True, slots=True)
class Surrounding:
    """An object that the restoring server has of its own."""

    kind: str


@dataclass(frozen=True, slots=True)
class TcpServerState:
    """All that a server keeps between two steps. `secret` is to be kept as one.

    half_open: one tuple per number of repeats. spent: keys of handshakes whose cookies are no longer good. time_wait:
    key, expiry, and FinalNumbers. Keys are 6 bytes, address and port.
    """

    secret: bytes
    last_id: int
    connections: tuple[Part, ...]
    half_open: tuple[tuple[tuple[bytes, Part], ...], ...]
    overflow_at: Nanos
    spent: tuple[bytes, ...]
    silent: tuple[tuple[bytes, bytes], ...]
    time_wait: tuple[tuple[bytes, Nanos, tuple[int, int, int, int]], ...]


def part_of(engine: object) -> Part:
    """The state of an engine's object; TypeError for one that is not plain data."""
    kind = type(engine)
    if kind not in _ENGINES:
        raise TypeError(f"{kind.__name__} has no place in a state")
    return Part(kind.__name__, tuple((name, _plain(getattr(engine, name))) for name in _slots(kind)))


def made_of(kind: type[T], part: Part, *surroundings: object) -> T:
    """A new object of this state. ValueError when it is of another class or version: its slots are not the same."""
    if part.kind != kind.__name__ or [name for name, _ in part.slots] != _slots(kind):
        raise ValueError(f"the state of a {part.kind} is not one of a {kind.__name__} of this version")
    made = object.__new__(kind)
    for name, value in part.slots:
        setattr(made, name, _value(value, surroundings))
    return made


def _slots(kind: type) -> list[str]:
    return [name for base in reversed(kind.__mro__) for name in base.__dict__.get("__slots__", ())]


def _plain(value: object) -> Plain:
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    if isinstance(value, list):
        return Items(tuple(_plain(one) for one in value))
    if isinstance(value, _SURROUNDINGS):
        return Surrounding(type(value).__name__)
    return part_of(value)


def _value(plain: Plain, surroundings: tuple[object, ...]) -> object:
    if isinstance(plain, Part):
        return made_of(_CLASSES[plain.kind], plain, *surroundings)
    if isinstance(plain, Items):
        return [_value(one, surroundings) for one in plain.values]
    if isinstance(plain, tuple):
        return tuple(_value(one, surroundings) for one in plain)
    if isinstance(plain, Surrounding):
        return next(one for one in surroundings if type(one).__name__ == plain.kind)
    return plain
