"""State of a NAT as plain values: what `Nat.export` gives and `Nat.restore` takes.

Times are those of the caller's clock. Configuration (address, bounds, reserved ports) and counters are not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.address import Address
from hognose.units import Nanos, Port


@dataclass(frozen=True, slots=True)
class SavedFlow:
    """One flow. out_key: of its packets from inside (flow_keys). state: bits of nat.flow.

    bucket: the second of the wheel in which it is looked at; it may be earlier than the second in which it ends. rests:
    of its mapping.
    """

    client: Address
    protocol: int
    out_key: bytes
    outside_port: Port
    last_out: Nanos
    changed: Nanos
    state: int
    bucket: int
    acked: int
    window: int
    shift: int
    rests: bool


@dataclass(frozen=True, slots=True)
class RestingPort:
    """A port that only its last user gets before the time `until`."""

    protocol: int
    port: Port
    client: Address
    inside: Address
    until: Nanos


@dataclass(frozen=True, slots=True)
class EndingFlows:
    """Flows to be looked at because one port of some addresses was closed; None for a flow that has ended since.

    flows: indices into SavedTable.flows; the last one is looked at first.
    """

    flows: tuple[int | None, ...]
    remotes: frozenset[Address]
    remote_port: Port


@dataclass(frozen=True, slots=True)
class SavedTable:
    """The flow table. flows: in the order in which they were opened; wheel: their indices, bucket by bucket.

    finished, unanswered: the indices of those that may make room, of each client the oldest first (nat.eviction).
    now: the latest time that a call brought. resting: in the order in which the ports were given back.
    """

    address: Address
    now: Nanos
    flows: tuple[SavedFlow, ...]
    wheel: tuple[int, ...]
    finished: tuple[int, ...]
    unanswered: tuple[int, ...]
    resting: tuple[RestingPort, ...]
    ending: tuple[EndingFlows, ...]


@dataclass(frozen=True, slots=True)
class SavedNat:
    """A whole NAT. ident, ident_step: the sequence of IDs of packets that leave in fragments."""

    ident: int
    ident_step: int
    table: SavedTable
