"""The `hognose` command: what each word leads to, and its status when it is interrupted or its reader is gone."""

from __future__ import annotations

import errno
import io
import sys

import pytest

import hognose
from hognose.cli import config_parser, config_tool, main, serve


@pytest.mark.parametrize(
    ("words", "status", "output", "errors"),
    [
        (["--version"], 0, f"hognose {hognose.__version__}\n", ""),
        (["--help"], 0, f"{main.USAGE}\n", ""),
        (["-h"], 0, f"{main.USAGE}\n", ""),
        ([], 2, "", f"{main.USAGE}\n"),
        (["nonsense"], 2, "", f"{main.USAGE}\n"),
        (["events", "all"], 2, "", f"{main.USAGE}\n"),
        (["--version", "please"], 2, "", f"{main.USAGE}\n"),
    ],
)
def test_words_that_are_answered_at_once(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int, output: str, errors: str
) -> None:
    assert main.run(words) == status
    assert capsys.readouterr() == (output, errors)


def test_every_event_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["events"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("| event | level | fields | meaning |\n|---|---|---|---|\n")
    assert "\n| `client_established` | info | " in output


@pytest.mark.parametrize(("word", "module"), [("serve", serve), ("config", config_tool)])
def test_commands_get_the_words_after_theirs(monkeypatch: pytest.MonkeyPatch, word: str, module: object) -> None:
    monkeypatch.setattr(module, "run", lambda words: 40 + len(words))
    assert main.run([word, "a", "b"]) == 42


@pytest.mark.parametrize("entry", [main, config_parser])
@pytest.mark.parametrize("status", [0, 2, 3])
def test_the_process_ends_with_the_commands_status(monkeypatch: pytest.MonkeyPatch, entry: object, status: int) -> None:
    seen: list[list[str]] = []

    def run(words: list[str]) -> int:
        seen.append(words)
        return status

    monkeypatch.setattr(entry, "run", run)
    monkeypatch.setattr(sys, "argv", ["hognose", "config", "check"])
    with pytest.raises(SystemExit) as caught:
        entry.main()  # type: ignore[attr-defined]  # a module made by hand
    assert (caught.value.code, seen) == (status, [["config", "check"]])


def test_an_interrupt_is_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    assert main.guarded(interrupted, []) == 130
    assert capsys.readouterr() == ("", "")


class Gone(io.StringIO):
    """An output that cannot be flushed."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__()
        self.error = OSError(number, text)

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("number", "text", "told"),
    [
        (errno.EPIPE, "Broken pipe", ""),  # its reader knows
        (errno.ENOSPC, "No space left on device", "hognose: No space left on device\n"),
    ],
)
def test_an_output_that_is_gone_is_told_unless_its_reader_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, text: str, told: str
) -> None:
    """The interpreter has nothing left to flush at its end, which would be a traceback."""
    output = Gone(number, text)
    monkeypatch.setattr(sys, "stdout", output)
    assert main.guarded(lambda words: sys.stdout.write("x") - 1, []) == 1
    monkeypatch.undo()
    assert output.closed
    assert capsys.readouterr().err == told
