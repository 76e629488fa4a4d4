"""Worlds with clients over UDP beside those over TCP; and such whose gateway is broken on purpose."""

from __future__ import annotations

import pytest
from tests.sim.world import SimWorld, WorldSettings

from hognose.drops import DropReason, Stat
from hognose.openvpn.data.replay import ReplayWindow
from hognose.openvpn.session import Session

NEVER = 1e9


def busy(seed: int, **changes: float | int) -> SimWorld:
    """A short one in which clients over UDP move all the time, and strangers copy what they say."""
    settings = {
        "clients": 2, "roamers": 3, "hours": 0.06, "mean_act": 6, "mean_life": 150, "mean_away": 5, "mean_roam": 30,
        "mean_hostile": 2,
    }  # fmt: skip
    return SimWorld(WorldSettings(seed, **{**settings, **changes}))  # type: ignore[arg-type]  # numbers by name


@pytest.mark.parametrize("seed", [1, 2])
def test_clients_over_udp_roam_and_others_copy_them(seed: int) -> None:
    """Links lose, repeat 5 % and reorder; none fails altogether, so that no client is ever cut off."""
    world = busy(seed, mean_partition=NEVER)
    world.run()
    facts, stats, drops = world.facts, world.counters.stats, world.counters.drops
    assert facts["clients over UDP that heard nothing more"] == 0
    assert facts["roams"] >= 15
    assert stats[Stat.UDP_FLOATS] >= 8
    assert facts["packets across"] >= 8
    assert facts["starts at the same port"] >= 1
    assert facts["datagrams that came twice"] >= 5
    assert facts["lost packets"] >= 1
    assert facts["data to strangers"] == 0
    assert facts["sessions over UDP at the end"] >= 2
    assert drops[DropReason.DATA_REPLAY] >= 10  # repeated by the link, or copied
    assert min(drops[DropReason.BAD_COOKIE], drops[DropReason.NO_SESSION]) >= 5
    assert facts["datagrams to strangers"] >= 5  # answers to their hard resets


def test_one_name_over_both_transports() -> None:
    """The newer session wins, on each side in turn."""
    world = busy(3, twins=1, mean_partition=200)
    world.run()
    assert world.facts["ended: replaced"] >= 5
    assert world.facts["partitions"] >= 2


def _takes_copies(session: Session, record: bytes, now: int, unix: int) -> tuple[list[bytes], bool]:
    return session.receive([record], now, unix), True


def test_a_client_that_a_copy_moves_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "receive_from_elsewhere", _takes_copies)
    world = busy(1, mean_partition=NEVER)
    world.run()
    assert world.facts["data to strangers"] >= 1


def test_packets_that_are_taken_twice_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("accept", "is_new"):
        monkeypatch.setattr(ReplayWindow, name, lambda window, packet_id: True)
    world = busy(1, mean_partition=NEVER)
    with pytest.raises(AssertionError, match=r"python -m tests\.sim\.world --seed 1 "):
        world.run()
