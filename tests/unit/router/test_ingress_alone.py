"""Batches: the bound on super-segments, floods, and what a bug costs."""

from __future__ import annotations

import pytest
from scapy.layers.inet import UDP
from scapy.packet import Raw
from tests.unit.router.lone_ingress import (
    CLIENT,
    NOW,
    LoneIngress,
    answer,
    frame,
    ip,
    segment,
    vnet,
)

from hognose.router.classify import Classifier

# -- the split bound ---------------------------------------------------------------------------------------------------


def super_frame(number: int) -> bytes:
    return frame(segment(bytes(3000), port=5000, id=number), vnet(1, 1, 1000))


def test_super_frames_beyond_the_bound_wait_with_all_that_follows() -> None:
    """Three packets each, seven a step: the bound is looked at before each, so that the third one exceeds it."""
    lone = LoneIngress(7, *[answer(count=3)] * 6)
    small = frame(ip() / UDP() / Raw(bytes(20)))
    frames = [super_frame(1), super_frame(2), super_frame(3), small, super_frame(4), small]
    assert {to: len(packets) for to, packets in lone.take(*frames).to_clients.items()} == {CLIENT: 12}
    assert lone.ingress.held == frames[4:]
    assert lone.came == (4, sum(map(len, frames[:4])), 3)
    assert {to: len(packets) for to, packets in lone.take(frame(segment())).to_clients.items()} == {CLIENT: 6}
    assert [call[0] for call in lone.engines.calls[-3:]] == ["nat", "nat", "tcp"], "what was held comes first"
    assert lone.ingress.held == []
    assert lone.came == (7, sum(map(len, frames)) + 66, 4)


def test_the_bound_is_reached_exactly() -> None:
    lone = LoneIngress(6, *[answer(count=3)] * 9)
    frames = [super_frame(number) for number in range(5)]
    for done in (2, 4, 5):
        lone.take(*(frames if done == 2 else []))
        assert [call[0] for call in lone.engines.calls] == ["nat"] * done
    assert lone.came[0] == 5


def test_single_packets_do_not_count() -> None:
    lone = LoneIngress(1, *[answer()] * 5, answer(count=2))
    lone.take(*[super_frame(number) for number in range(5)])
    assert (len(lone.engines.calls), lone.ingress.held) == (5, [])


# -- floods and bugs ---------------------------------------------------------------------------------------------------

SYN, SYN_OPTIONS = frame(segment(flags="S")), frame(segment(flags="S", options=[b"\1\1\1\0"]))


def test_without_a_flood_there_is_no_sieve() -> None:
    lone = LoneIngress()
    assert lone.ingress.sieve(NOW) is None
    lone.take(SYN_OPTIONS)
    assert [call[0] for call in lone.engines.calls] == ["tcp"]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_what_the_sieve_takes_out_has_come_and_is_counted(kept: int) -> None:
    lone = LoneIngress()
    lone.engines.overflow_at, lone.engines.kept = NOW, kept
    sieve = lone.ingress.sieve(NOW)
    assert sieve is not None
    frames = [SYN, SYN + bytes(1), SYN + bytes(2)]
    assert sieve(frames) == frames[:kept]
    assert lone.came == (3 - kept, sum(map(len, frames[kept:])), 0)
    assert lone.drops == ({"TCP_SYN_CROWDED": 3 - kept} if kept < 3 else {})


def test_in_a_flood_a_syn_with_options_is_dropped() -> None:
    """The sieve has seen all others; what is no first SYN is let through."""
    lone = LoneIngress()
    lone.engines.overflow_at, lone.engines.kept = NOW, 0
    lone.ingress.sieve(NOW)
    options = [b"\1\1\1\0"]
    lone.take(SYN_OPTIONS)
    assert (lone.engines.calls, lone.drops) == ([], {"TCP_SYN_CROWDED": 1})
    lone.take(SYN, *[frame(segment(flags=flags, options=options)) for flags in ("SA", "A", "SF", "R")])
    assert [call[0] for call in lone.engines.calls] == ["tcp"] * 5
    assert lone.drops == {"TCP_SYN_CROWDED": 1}


def test_a_sieve_that_fails_lets_all_through() -> None:
    lone = LoneIngress()
    lone.engines.overflow_at = NOW
    sieve = lone.ingress.sieve(NOW)
    assert sieve is not None
    assert sieve([SYN]) == [SYN]
    assert (lone.drops, lone.came) == ({"INTERNAL_ERROR": 1}, (0, 0, 0))
    assert [str(error) for error in lone.take().failures] == ["a bug"]
    assert lone.take().failures == []


def test_a_frame_that_an_engine_fails_on_is_lost_alone() -> None:
    lone = LoneIngress(100, (1, 2, 3))  # no answer of a NAT
    routed = lone.take(frame(segment(port=5000)), SYN)
    assert lone.engines.calls[1][0] == "tcp"
    assert (lone.drops, lone.came) == ({"INTERNAL_ERROR": 1}, (2, 132, 0))
    assert [type(error) for error in routed.failures] == [TypeError]
    assert lone.take().failures == []


def test_a_bug_in_a_short_frame_costs_that_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in any other frame: those after it are taken."""

    def broken(*_: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr(Classifier, "short_frame", broken)
    lone = LoneIngress()
    routed = lone.take(bytes(20), frame(segment()))
    assert [type(error) for error in routed.failures] == [TypeError]
    assert [call[0] for call in lone.engines.calls] == ["tcp"]
    assert lone.drops == {"INTERNAL_ERROR": 1}


class Sieve:
    """A filter of one kind of frame; None raises."""

    def __init__(self, dropped: bytes | None, *, on: bool = True) -> None:
        self.dropped = dropped
        self.on = on
        self.seen: list[int] = []

    def begin(self, now: int) -> bool:
        return self.on

    def sift(self, frames: list[bytes]) -> list[bytes]:
        self.seen.append(len(frames))
        if self.dropped is None:
            raise RuntimeError("a bug")
        return [frame for frame in frames if frame != self.dropped]


def test_sieves_of_datagrams_and_of_syns_sift_one_after_the_other() -> None:
    sieves = Sieve(b"a"), Sieve(b"b", on=False), Sieve(b"c")
    lone = LoneIngress(sieves=sieves)
    for flood in (True, False):
        lone.engines.overflow_at, lone.engines.kept = NOW if flood else 0, 1
        sieve = lone.ingress.sieve(NOW)
        assert sieve is not None
        assert sieve([b"a", b"b", b"c", b"d", b"e"]) == ([b"b"] if flood else [b"b", b"d", b"e"])
    assert [one.seen for one in sieves] == [[5, 5], [], [4, 4]]
    assert lone.came == (4 + 2, 6, 0)
    assert lone.drops == {"TCP_SYN_CROWDED": 2}


def test_a_sieve_that_fails_leaves_the_others() -> None:
    lone = LoneIngress(sieves=(Sieve(None), Sieve(b"a")))
    sieve = lone.ingress.sieve(NOW)
    assert sieve is not None
    assert sieve([b"a", b"b"]) == [b"b"]
    assert lone.drops == {"INTERNAL_ERROR": 1}
    assert [str(error) for error in lone.ingress.receive([], NOW).failures] == ["a bug"]
