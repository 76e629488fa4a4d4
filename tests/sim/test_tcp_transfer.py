"""Our TCP against a reference client over bad links in virtual time: all arrives, and nothing stands still."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.sim.reference_peer import PeerSettings
from tests.sim.tcp_world import TcpWorld
from tests.world.impairment import Impairment

from hognose.limits import TcpLimits
from hognose.tcp.hystart import HyStart
from hognose.tcp.state import CloseReason

MS = 1_000_000
MIB = 1 << 20
LOSSES = (0.0, 0.01, 0.05)
# ISNs are a hash of the secret plus a clock; this is only a seed for payloads.
BYTES = random.Random(1).randbytes(10 * MIB)


def bad_link(loss: float, **changes: Any) -> Impairment:
    values: dict[str, Any] = {"loss": loss, "delay_ns": 5 * MS}
    if loss:
        values |= {"jitter_ns": MS // 10, "duplicate": loss / 2, "reorder": 0.02, "reorder_ns": 3 * MS}
    return Impairment(**(values | changes))


def check(world: TcpWorld, up: bytes, down: bytes) -> None:
    world.run()
    assert bytes(world.received) == up
    assert bytes(world.peer.received) == down
    assert [connection.close_reason for connection in world.closed] == [CloseReason.FINISHED]
    assert len(world.server) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_ten_megabytes_up(loss):
    world = TcpWorld(up=BYTES, down=b"", link=bad_link(loss), seed=11)
    check(world, BYTES, b"")


@pytest.mark.parametrize("loss", LOSSES)
def test_ten_megabytes_down(loss):
    world = TcpWorld(up=b"", down=BYTES, link=bad_link(loss), seed=12)
    check(world, b"", BYTES)
    assert world.super_segments > 20


@pytest.mark.parametrize("loss", LOSSES)
def test_both_ways_at_once(loss):
    up, down = BYTES[: 2 * MIB], BYTES[-2 * MIB :]
    check(TcpWorld(up=up, down=down, link=bad_link(loss), seed=13), up, down)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "peer",
    [
        PeerSettings(sack=False),
        PeerSettings(timestamps=False),
        PeerSettings(scale=None, window=65535),
        PeerSettings(sack=False, timestamps=False, scale=None, window=8192, mss=536),
        PeerSettings(delayed_ack=False, window=4 * MIB, scale=8),
        PeerSettings(iss=0xFFFFFF00),
        PeerSettings(window=20_000, read_rate=200),
    ],
    ids=["no-sack", "no-timestamps", "no-scale", "ancient", "ack-all", "wrap", "slow-reader"],
)
def test_peers_of_all_kinds(loss, peer):
    up, down = BYTES[: MIB // 2], BYTES[-MIB // 2 :]
    check(TcpWorld(up=up, down=down, link=bad_link(loss), seed=14, peer=peer), up, down)


def test_our_sequence_numbers_wrap_too():
    """The ISN moves with the clock, 250 000 a second: start close enough to the end of the number space."""
    probe = TcpWorld(up=b"", down=b"x", link=bad_link(0), seed=1)
    probe.run()
    iss = probe.peer.irs
    start = ((1 << 32) - iss - 40_000) * 4_000
    world = TcpWorld(up=BYTES[:MIB], down=BYTES[:MIB], link=bad_link(0.01), seed=15, start=start)
    check(world, BYTES[:MIB], BYTES[:MIB])
    assert world.peer.irs > (1 << 32) - 50_000


def test_corrupted_packets_are_dropped_by_checksum():
    up, down = BYTES[:MIB], BYTES[-MIB:]
    link = bad_link(0.01, corrupt=0.02, spare_bytes=20)
    world = TcpWorld(up=up, down=down, link=link, seed=16)
    check(world, up, down)
    assert world.counters.non_zero()["drop_bad_tcp_checksum"] > 5


def test_a_narrow_link_with_a_short_queue():
    """Our congestion control fills 20 Mbit/s at a queue of 30 packets: over half of what the line carries."""
    down = BYTES[: 6 * MIB]
    link = Impairment(delay_ns=10 * MS, rate_bps=20_000_000, queue=60)
    world = TcpWorld(up=b"", down=down, link=link, seed=17, peer=PeerSettings(window=4 * MIB, scale=8))
    check(world, b"", down)
    assert world.now / 1e9 < 2 * len(down) * 8 / 20e6


def test_slow_start_ends_before_the_queue_overflows(monkeypatch):
    """HyStart++ at 40 ms, 20 Mbit/s and a queue of 50 packets besides what the line holds: no loss in the first MiB."""
    link = Impairment(delay_ns=20 * MS, rate_bps=20_000_000, queue=250)
    took = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(HyStart, "acknowledged", lambda hystart, acked, *_: acked)
        world = TcpWorld(up=b"", down=BYTES[:MIB], link=link, seed=20, peer=PeerSettings(window=4 * MIB, scale=8))
        check(world, b"", BYTES[:MIB])
        took.append(world.now)
        assert (world.counters.non_zero().get("tcp_retransmits", 0) > 50) is plain
    assert took[0] < 0.8 * took[1]


@pytest.mark.parametrize("timestamps", [True, False])
def test_delay_spikes_cost_no_go_back_n(timestamps):
    """A link that stands still for 0.6 of every 3 s and loses nothing: each time-out is found to be spurious."""
    down = BYTES[: 6 * MIB]
    link = Impairment(delay_ns=20 * MS, rate_bps=20_000_000, queue=1000, stall_ns=600 * MS, stall_every_ns=3_000 * MS)
    peer = PeerSettings(timestamps=timestamps, window=128 * 1024)
    world = TcpWorld(up=b"", down=down, link=link, seed=19, peer=peer)
    check(world, b"", down)
    counted = world.counters.non_zero()
    assert counted["tcp_timeouts"] >= 1
    assert counted["tcp_spurious_timeouts"] == counted["tcp_timeouts"]
    assert counted["tcp_retransmits"] <= 4 * counted["tcp_timeouts"]


def test_small_buffers_on_our_side():
    up, down = BYTES[:MIB], BYTES[-MIB:]
    limits = TcpLimits(receive_buffer=16 * 1024, send_buffer=16 * 1024, reassembly_ranges=4, sack_ranges=4)
    check(TcpWorld(up=up, down=down, link=bad_link(0.02), seed=18, limits=limits), up, down)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1 << 20), up=st.integers(0, 60_000), down=st.integers(0, 60_000))
def test_any_link_and_any_peer(data, seed, up, down):
    """Up to 15 % loss each way: far beyond that, a hundred seconds without an acknowledgement end a connection."""

    def pick(*choices):
        return data.draw(st.sampled_from(choices))

    link = Impairment(
        loss=pick(0.0, 0.02, 0.15),
        duplicate=pick(0.0, 0.1),
        reorder=pick(0.0, 0.1, 0.5),
        reorder_ns=pick(1, 20) * MS,
        delay_ns=pick(0, 1, 30, 200) * MS,
        jitter_ns=pick(0, 1, 50) * MS,
        rate_bps=pick(0, 1_000_000, 50_000_000),
        queue=pick(5, 50, 1000),
    )
    peer = PeerSettings(
        iss=pick(1000, 0xFFFFFFF0),
        mss=pick(100, 536, 1460, 9000),
        scale=pick(None, 0, 7),
        sack=pick(True, False),
        timestamps=pick(True, False),
        window=pick(3_000, 20_000, 1 << 20),
        read_rate=pick(0, 200),
        delayed_ack=pick(True, False),
    )
    limits = TcpLimits(
        receive_buffer=pick(8_192, 1 << 20),
        send_buffer=pick(8_192, 1 << 20),
        reassembly_ranges=pick(2, 256),
        sack_ranges=pick(2, 256),
    )
    check(
        TcpWorld(up=BYTES[:up], down=BYTES[:down], link=link, seed=seed, peer=peer, limits=limits),
        BYTES[:up],
        BYTES[:down],
    )
