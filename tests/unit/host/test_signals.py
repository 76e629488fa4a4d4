"""Signals of the hosted process as the poll loop sees them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from hognose.host.signals import SignalPipe


@pytest.fixture
def pipe() -> Iterator[tuple[SignalPipe, list[str]]]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    hangups: list[str] = []
    made = SignalPipe(lambda: hangups.append("hangup"))
    yield made, hangups
    signal.set_wakeup_fd(-1)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    os.close(made.fd)
    os.close(made._write_fd)


def test_a_hangup_asks_for_no_end(pipe: tuple[SignalPipe, list[str]]) -> None:
    source, hangups = pipe
    os.kill(os.getpid(), signal.SIGHUP)
    assert source.pressed() is None
    assert hangups == ["hangup"]
    assert source.pressed() is None
    assert hangups == ["hangup"]


def test_an_end_is_named_also_behind_a_hangup(pipe: tuple[SignalPipe, list[str]]) -> None:
    source, hangups = pipe
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert source.pressed() == "SIGTERM"
    assert hangups == ["hangup"]
    os.kill(os.getpid(), signal.SIGINT)
    assert source.pressed() == "SIGINT"
