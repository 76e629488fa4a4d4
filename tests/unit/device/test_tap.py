"""The frame device's batching, back-pressure and failures, over a message socket as the kernel's stand-in."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from hognose.device import tap
from hognose.device.tap import WRITE_QUEUE_FRAMES, TapDevice
from hognose.drops import Counters, DropReason
from hognose.errors import DeviceError
from hognose.limits import DeviceLimits
from hognose.link import LinkCaps

CAPS = LinkCaps(mac=bytes(6))
LIMITS = DeviceLimits(frames=12, bytes=400, stretch=4)


@pytest.fixture
def pair() -> Iterator[tuple[TapDevice, socket.socket, Counters]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    counters = Counters()
    device = TapDevice(os.dup(ours.fileno()), CAPS, counters, LIMITS)
    ours.close()
    yield device, theirs, counters
    device.close()
    device.close()
    theirs.close()


def test_reads_what_is_there_up_to_a_batch(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, peer, _ = pair
    assert device.read_batch() == []
    for n in range(15):
        peer.send(bytes([n]) * 30)
    assert [frame[0] for frame in device.read_batch()] == list(range(12))
    assert [len(frame) for frame in device.read_batch()] == [30, 30, 30]
    assert device.read_batch() == []


@pytest.mark.parametrize(("size", "batches"), [(50, [12, 3]), (51, [8, 7]), (100, [8, 7]), (101, [4, 4, 4, 3])])
def test_large_frames_make_smaller_batches(
    pair: tuple[TapDevice, socket.socket, Counters], size: int, batches: list[int]
) -> None:
    """Bytes are counted after each stretch of four; above 400 no further one is read."""
    device, peer, _ = pair
    for n in range(15):
        peer.send(bytes([n]) * size)
    assert [len(device.read_batch()) for _ in batches] == batches


def test_a_batch_of_a_server() -> None:
    """512 datagrams of any size that fits Ethernet; 64 super-frames."""
    limits = DeviceLimits()
    assert limits.frames == 512
    assert limits.frames * 1526 <= limits.bytes
    assert limits.stretch * 65_561 > limits.bytes


def test_what_a_sieve_takes_away_does_not_count(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, peer, _ = pair
    seen: list[int] = []

    def odd_ones(frames: list[bytes]) -> list[bytes]:
        seen.append(len(frames))
        return [frame for frame in frames if frame[0] & 1]

    for n in range(10):
        peer.send(bytes([n]) * 30)
    assert [frame[0] for frame in device.read_batch(odd_ones)] == [1, 3, 5, 7]
    assert [frame[0] for frame in device.read_batch(odd_ones)] == [9]
    assert seen == [4, 4, 2]
    assert device.read_batch(odd_ones) == []


def test_a_sieve_that_takes_everything_ends_too(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, _, _ = pair
    read, os_read = 0, os.read

    def endless(fd: int, size: int) -> bytes:
        nonlocal read
        read += 1
        return b"frame"

    tap.os.read = endless  # a module seen through another
    try:
        assert device.read_batch(lambda frames: []) == []
    finally:
        tap.os.read = os_read
    assert read == LIMITS.frames


def test_pieces_leave_as_one_frame(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, peer, _ = pair
    device.write_batch([[b"ab", b"cd"], [b"ef"]])
    assert (peer.recv(100), peer.recv(100)) == (b"abcd", b"ef")
    assert not device.blocked


def test_a_full_device_keeps_order_and_is_bounded(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, peer, counters = pair
    sent = 0
    while not device.blocked:
        device.write_batch([[sent.to_bytes(4, "big") * 1000]])
        sent += 1
    frames = [[n.to_bytes(4, "big") * 1000] for n in range(sent, sent + WRITE_QUEUE_FRAMES + 5)]
    device.write_batch(frames)
    assert counters.drops[DropReason.DEVICE_FULL] == 6
    received = []
    for _ in range(10_000):
        try:
            received.append(int.from_bytes(peer.recv(8000)[:4], "big"))
        except BlockingIOError:
            if not device.blocked:
                break
            device.write_batch([])
    assert received == list(range(sent + WRITE_QUEUE_FRAMES - 1))


def test_a_burst_over_the_bound_at_once(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, _, counters = pair
    device.write_batch([[bytes(60_000)]] * 2000)
    assert device.blocked
    assert counters.drops[DropReason.DEVICE_FULL] > 0


def test_a_refused_frame_is_lost_alone(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, peer, counters = pair
    device.write_batch([[bytes(20_000_000)], [b"ok"]])  # EMSGSIZE for the first
    assert counters.drops[DropReason.DEVICE_ERROR] == 1
    assert peer.recv(10) == b"ok"


def test_a_device_that_is_gone(pair: tuple[TapDevice, socket.socket, Counters]) -> None:
    device, _, _ = pair
    device.close()
    with pytest.raises(DeviceError, match="reading frames"):
        device.read_batch()


def test_a_read_that_fails_for_once_is_counted(
    pair: tuple[TapDevice, socket.socket, Counters], monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO: the link is down at the moment. What was read before is not lost."""
    device, peer, counters = pair
    peer.send(b"frame")
    results: list[bytes | OSError] = [b"frame", OSError(errno.EIO, "Input/output error")]

    def read(fd: int, size: int) -> bytes:
        result = results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result

    monkeypatch.setattr(tap, "os", SimpleNamespace(read=read, close=os.close))
    assert device.read_batch() == [b"frame"]
    assert counters.drops[DropReason.DEVICE_ERROR] == 1
