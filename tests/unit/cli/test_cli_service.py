"""Serving: what the interpreter itself has to say is an event of the log, never a write to standard error."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from hognose.cli import service
from hognose.host.console import Console, log_queue
from hognose.host.output import open_output


class Broken:
    """Its finalizer fails."""

    def __del__(self) -> None:
        raise KeyError("secret")


def test_an_exception_that_no_caller_can_catch_is_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        console = Console("info", log_queue(open_output(stream.fileno())))
        monkeypatch.setattr(sys, "unraisablehook", partial(service._note_unraisable, console))
        Broken()
    assert path.read_text() == "error internal_error where=interpreter error=KeyError conn=0\n"
    assert capfd.readouterr() == ("", "")
