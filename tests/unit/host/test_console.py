"""The log format: nothing a peer says can break a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.config.directives import DIRECTIVES
from hognose.events import Event, EventKind
from hognose.host.console import Console, format_event, format_value, log_queue
from hognose.host.output import open_output


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ("AES-256-GCM", "AES-256-GCM"),
        ("", '""'),
        ("a b", '"a b"'),
        ('say "x"\\', '"say \\"x\\"\\\\"'),
        ("line\nbreak\x1b[0m", '"line\\x0abreak\\x1b[0m"'),
        ("k=v", '"k=v"'),
        ("é", '"\\xe9"'),
    ],
)
def test_values(value: str | int, text: str) -> None:
    assert format_value(value) == text


@given(st.text(max_size=400))
def test_any_text_stays_on_one_printable_line(text: str) -> None:
    assert all(c.isprintable() and c.isascii() for c in format_value(text))


def test_what_a_peer_says_is_cut_and_advice_about_the_config_is_not() -> None:
    """A boot's error is as long as that of `hognose config check`: it ends with the line to write instead."""
    advice = max((row.text for row in DIRECTIVES.values()), key=len)
    assert len(advice) > 200
    for kind in (EventKind.CONFIG_ERROR, EventKind.CONFIG_WARNING):
        assert advice in format_event(Event(kind, {"text": f"server.conf:7: directive: {advice}"}))
    assert len(format_event(Event(EventKind.CONFIG_ERROR, {"text": "x" * 5000}))) < 1100
    line = format_event(Event(EventKind.PEER_REJECTED, {"detail": "x" * 5000}))
    assert line.endswith("x...")
    assert len(line) < 250


def test_levels_and_line_shape(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        console = Console("warning", log_queue(open_output(stream.fileno())))
        console.event(EventKind.READY, version="1")
        console.log(Event(EventKind.PEER_REJECTED, {"conn": 1, "reason": "bad_hmac", "detail": "wrong key"}))
        console.line("hognose: exit status 0")
    assert path.read_text() == (
        'warning peer_rejected conn=1 reason=bad_hmac detail="wrong key"\nhognose: exit status 0\n'
    )


def test_a_source_has_its_own_level(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        sources = (
            ("client_ended", "error"),
            ("client", "debug"),
            ("peer", "debug"),
            ("stats", "info"),
            ("stats", "error"),
        )
        console = Console("warning", log_queue(open_output(stream.fileno())), sources)
        console.event(EventKind.READY, version="1")
        console.event(EventKind.CLIENT_ESTABLISHED, conn=1)
        console.event(EventKind.CLIENT_ENDED, conn=1)
        console.event(EventKind.PEER_CONNECTED, conn=2)
        console.event(EventKind.STATS)
        console.event(EventKind.CONFIG_WARNING, where="x")
    assert path.read_text().splitlines() == [
        "info client_established conn=1",
        "debug peer_connected conn=2",
        "warning config_warning where=x",
    ]
