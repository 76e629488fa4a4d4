"""Floor 0: units, limits, errors, counters, the event table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hognose.drops import Counters, DropReason, Stat
from hognose.errors import ConfigError, PeerError
from hognose.events import EVENTS, EventKind
from hognose.limits import HANDSHAKE_COST, Limits
from hognose.units import MIB


def test_limits_grow_with_memory_and_never_beyond_the_design() -> None:
    small, large, huge = (Limits.for_memory(n * MIB) for n in (64, 512, 16_384))
    assert huge == Limits(client_queue=large.client_queue)
    assert large == replace(huge, handshake=replace(huge.handshake, handshakes=315))
    assert small.nat.flows < large.nat.flows == 32_768
    assert small.nat.flows_per_client < large.nat.flows_per_client == 4_096
    assert small.tcp.send_buffer >= 128 * 1024
    # What the tables of the smallest machine can hold at their fullest, 1 KiB an entry, fits in half of it.
    assert (small.nat.flows + small.tcp.connections + small.tcp.half_open) * 1024 < 32 * MIB


@pytest.mark.parametrize(("mebibytes", "places"), [(64, 39), (128, 78), (256, 157), (512, 315), (831, 511), (832, 512)])
def test_the_worst_handshakes_have_an_eighth_of_the_memory(mebibytes: int, places: int) -> None:
    assert Limits.for_memory(mebibytes * MIB).handshake.handshakes == places
    assert HANDSHAKE_COST == 208 * 1024


def test_config_error_names_the_place() -> None:
    error = ConfigError("write `proto tcp`", file="server.conf", line=3, directive="proto")
    assert str(error) == "server.conf:3: proto: write `proto tcp`"
    assert str(ConfigError("empty")) == "config: empty"


def test_peer_error_names_the_reason() -> None:
    assert str(PeerError(DropReason.BAD_HMAC, "wrong key")) == "bad_hmac: wrong key"
    assert str(PeerError(DropReason.BAD_HMAC)) == "bad_hmac"


def test_counters_show_what_is_not_zero() -> None:
    counters = Counters()
    assert counters.non_zero() == {}
    counters.drop(DropReason.BAD_HMAC, 2)
    counters.stats[Stat.FRAMES_IN] += 1
    assert counters.non_zero() == {"frames_in": 1, "drop_bad_hmac": 2}


def test_every_event_has_a_row() -> None:
    assert set(EVENTS) == set(EventKind)
    assert all(spec.meaning.endswith(".") or ";" in spec.meaning for spec in EVENTS.values())
