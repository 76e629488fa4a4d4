"""`hognose serve`: what its own options must say, and one status and one line for each way to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.openvpn.link import authority, server_identity
from tests.world.server import ServerSettings
from tests.world.today import UNIX

from hognose.cli import main, serve
from hognose.errors import ConfigError, DeviceError
from hognose.host import clock

ADDRESS = "--ipv4=10.0.0.2/24"


class Hosted:
    """`hognose serve` with a gateway and a frame device that are not there."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.config = folder / "server.conf.full"
        self.config.write_text(ServerSettings(authority(), server_identity(), "none").text())
        self.config.chmod(0o600)
        self.opened: list[tuple[str, dict[str, Any]]] = []
        self.served: list[tuple[Any, dict[str, Any]]] = []
        self.waited: list[int] = []
        self.hangups: list[object] = []
        self.error: Exception | None = None
        self.log = folder / "log"
        self._stream = self.log.open("w")
        patch.setattr(serve, "open_output", lambda: serve_output(self._stream.fileno()))
        patch.setattr(serve, "open_tap", self._open)
        patch.setattr(serve, "serve", self._serve)
        patch.setattr(serve, "SignalPipe", self._signals)
        patch.setattr(clock, "wall", lambda: UNIX)
        patch.setattr(clock, "wait", self.waited.append)

    def run(self, *words: str) -> int:
        try:
            return main.run(["serve", *words])
        finally:
            self._stream.close()

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def _open(self, path: str, counters: object, **named: Any) -> object:
        self.opened.append((path, named))
        return "device"

    def _serve(self, loaded: Any, device: object, boot: Any, **named: Any) -> None:
        assert device == "device"
        self.served.append((loaded, named))
        if self.error is not None:
            raise self.error

    def _signals(self, hangup: object) -> object:
        self.hangups.append(hangup)
        return "signals"


serve_output = serve.open_output


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hosted:
    return Hosted(monkeypatch, tmp_path)


def test_it_serves_what_it_is_told(hosted: Hosted) -> None:
    words = ["--device=/dev/net/tun:tap0", "--mac", "02:00:00:00:00:42", "--offload=off", "--memory", "64", "--delay=2"]
    assert hosted.run("--config", str(hosted.config), *words, ADDRESS) == 0
    assert hosted.opened == [("/dev/net/tun:tap0", {"mac": bytes.fromhex("020000000042"), "offloads": False})]
    [(loaded, named)] = hosted.served
    assert (named["memory_bytes"], named["sources"]) == (64 << 20, ["signals"])
    assert (loaded.config.network.listeners[0].port, loaded.file) == (1194, str(hosted.config))
    assert hosted.waited == [2]
    assert hosted.lines == ["info stopped status=0"]
    assert hosted.hangups == [loaded.source.request]  # SIGHUP has the config looked at


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_config_that_others_can_read_is_warned_of(hosted: Hosted, mode: int) -> None:
    hosted.config.chmod(mode)
    assert hosted.run(f"--config={hosted.config}", "--device", "/dev/tap7", ADDRESS) == 0
    [warning, _] = hosted.lines
    assert warning.startswith(f"warning config_warning where={hosted.config} directive=--config text=")
    assert warning.endswith(f'chmod 600 {hosted.config}"')


def test_what_is_not_said(hosted: Hosted) -> None:
    assert hosted.run(f"--config={hosted.config}", "--device", "/dev/tap7", ADDRESS) == 0
    assert hosted.opened == [("/dev/tap7", {"mac": None, "offloads": True})]
    assert hosted.served[0][1]["memory_bytes"] == 1 << 30


def test_help(hosted: Hosted, capsys: pytest.CaptureFixture[str]) -> None:
    assert hosted.run("--help") == 0
    output, errors = capsys.readouterr()
    assert output.startswith("usage: hognose serve --config FILE --device PATH")
    assert "--ipv4-gateway=ADDRESS" in output
    assert errors == ""


GOOD = {"--config": "c", "--device": "/dev/tap7", "--ipv4": "10.0.0.2/24"}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"--config": None}, "--config is missing, for example --config server.conf.full"),
        ({"--device": None}, "--device is missing, for example --device /dev/tap7"),
        ({"--ipv4": None}, "--ipv4 is missing, for example --ipv4=10.0.0.2/24"),
        ({"--offload": "maybe"}, "--offload=maybe is neither on nor off"),
        ({"--memory": "15"}, "--memory 15 is no number of MiB from 16"),
        ({"--memory": "1048577"}, "--memory 1048577 is no number of MiB from 16"),
        ({"--memory": "-64"}, "--memory -64 is no number of MiB from 16"),
        ({"--mac": "02:00:00:00:00"}, "--mac 02:00:00:00:00 is no unicast MAC address"),
        ({"--mac": "zz:00:00:00:00:42"}, "--mac zz:00:00:00:00:42 is no unicast MAC address"),
        ({"--mac": "01:00:5e:00:00:42"}, "--mac 01:00:5e:00:00:42 is no unicast MAC address"),
        ({"--ipv4": "10.0.0.2"}, "--ipv4"),
        ({"--nonsense": "1"}, "unknown argument '--nonsense=1'; see --help"),
        ({"--memory": "9" * 5000}, "--memory " + "9" * 5000 + " is no number of MiB from 16"),
        ({"--memory": "²⁵⁶"}, "--memory ²⁵⁶ is no number of MiB from 16"),
    ],
)
def test_wrong_options_are_named(
    hosted: Hosted, capsys: pytest.CaptureFixture[str], changed: dict[str, str | None], line: str
) -> None:
    """One line on standard error and status 2; no device is opened."""
    said = {**GOOD, **changed}
    assert hosted.run(*(f"{option}={value}" for option, value in said.items() if value is not None)) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"hognose serve: {line}")
    assert errors.count("\n") == 1
    assert (hosted.opened, hosted.lines) == ([], [])


@pytest.mark.parametrize("option", ["--config", "--memory", "--ipv4"])
def test_an_option_at_the_end_needs_its_value(hosted: Hosted, capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert hosted.run(option) == 2
    assert capsys.readouterr().err == f"hognose serve: {option} needs a value\n"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (None, 4, "No such file or directory"),
        ("", 3, "empty"),
        ("proto udp6\n", 3, ":1: proto: `udp6`"),
    ],
)
def test_a_config_that_cannot_be_used(hosted: Hosted, text: str | None, status: int, words: str) -> None:
    """The frame device is left alone."""
    if text is None:
        hosted.config.unlink()
    else:
        hosted.config.write_text(text)
    assert hosted.run(f"--config={hosted.config}", "--device=/dev/tap7", ADDRESS) == status
    [error, stopped] = hosted.lines
    assert error.startswith(f'error config_error text="{hosted.config}')
    assert words in error
    assert stopped == f"info stopped status={status}"
    assert hosted.opened == []


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("overlaps", file="server.conf"), 3, "error config_error text="),
        (DeviceError("reading frames: gone"), 5, 'error device_error text="reading frames: gone"'),
    ],
)
def test_serving_that_ends_by_an_error(hosted: Hosted, error: Exception, status: int, line: str) -> None:
    hosted.error = error
    assert hosted.run(f"--config={hosted.config}", "--device=/dev/tap7", ADDRESS) == status
    assert hosted.lines[0].startswith(line)
    assert hosted.lines[1:] == [f"info stopped status={status}"]


def test_a_device_that_cannot_be_opened(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(path: str, counters: object, **named: object) -> None:
        raise DeviceError(f"frame device {path}: No such file or directory")

    monkeypatch.setattr(serve, "open_tap", none)
    assert hosted.run(f"--config={hosted.config}", "--device=/dev/tap7", ADDRESS) == 5
    assert hosted.lines == [
        'error device_error text="frame device /dev/tap7: No such file or directory"', "info stopped status=5",
    ]  # fmt: skip


def test_the_level_of_the_log_is_that_of_the_last_line_too(hosted: Hosted) -> None:
    assert hosted.run(f"--config={hosted.config}", "--device=/dev/tap7", ADDRESS, "-l", "error") == 0
    assert hosted.lines == []
