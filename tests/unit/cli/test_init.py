"""PID 1: one status and one line for each way to end, and no exception that leaves it."""

from __future__ import annotations

import gc
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.openvpn.link import authority, server_identity
from tests.world.server import ServerSettings, with_generation
from tests.world.today import UNIX

import hognose
from hognose.cli import init, service
from hognose.device.tap import TapDevice
from hognose.drops import Counters
from hognose.errors import ConfigError, DeviceError
from hognose.host import boot, clock, heap
from hognose.host.loop import StopSource
from hognose.host.output import DescriptorOutput, open_output
from hognose.link import LinkCaps
from hognose.units import SECOND

LINE = ["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.1"]
TWO_GIB = 2 << 30


class MachineOff(BaseException):
    """The machine has ended: no code of ours runs after that."""


class Button:
    """A power button that is pressed already."""

    def __init__(self) -> None:
        self.fd, writing = os.pipe()
        os.close(writing)

    def pressed(self) -> str:
        return "power button"


class Machine:
    """A machine whose console is a file."""

    nic_uso4: bool | None = True

    def __init__(self, folder: Path) -> None:
        self.console = folder / "console"
        self.config = folder / "vda"
        self.did: list[object] = []
        self.failure: Exception | None = None
        self.button = Button()
        self._stream = self.console.open("w")

    def output(self) -> DescriptorOutput:
        return open_output(self._stream.fileno())

    def prepare(self) -> None:
        self.did.append("prepared")
        if self.failure is not None:
            raise self.failure

    def frame_device(self) -> str:
        self.did.append("frame device")
        return "/dev/fake"

    def forget_blocks(self, fd: int) -> None: ...

    def stop_sources(self) -> list[StopSource]:
        return [self.button]

    def confine(self) -> str:
        self.did.append("confined")
        return "yes"

    def end(self, status: int) -> None:
        self.did.append(("end", int(status)))
        raise MachineOff

    def close(self) -> None:
        self._stream.close()
        os.close(self.button.fd)


class Started:
    """PID 1 with arguments on a machine; what it did, in order, and what the console has."""

    def __init__(self, machine: Machine, patch: pytest.MonkeyPatch) -> None:
        self.machine = machine
        self.opened: list[str] = []
        self.served: list[dict[str, Any]] = []
        self.serving: Callable[..., None] = lambda *words, **named: None
        self._patch = patch
        path = str(machine.config)
        patch.setattr(boot, "machine", lambda: machine)
        patch.setattr(boot, "memory_bytes", lambda: TWO_GIB)
        patch.setattr(boot, "open_config_device", partial(boot.open_config_device, path=path))
        patch.setattr(clock, "wait", lambda seconds: machine.did.append(("waited", seconds)))
        patch.setattr(clock, "wall", lambda: UNIX)
        patch.setattr(init, "open_tap", self._open)
        patch.setattr(init, "serve", self._serve)
        patch.setattr(init, "os", SimpleNamespace(_exit=self._exit))

    def run(self, *words: str) -> list[str]:
        """The lines of the console."""
        self._patch.setattr(sys, "argv", ["hognose", *words])
        with pytest.raises(MachineOff):
            init.main()
        return self.machine.console.read_text().splitlines()

    def _open(self, path: str, counters: Counters) -> object:
        self.opened.append(path)
        return object()

    def _serve(self, *words: object, **named: Any) -> None:
        self.served.append(named)
        self.serving(*words, **named)

    def _exit(self, status: int) -> None:
        self.machine.did.append(("panic", int(status)))
        raise MachineOff


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    machine = Machine(tmp_path)
    machine.config.write_bytes(with_generation(ServerSettings(authority(), server_identity(), "none").text()))
    yield Started(machine, monkeypatch)
    machine.close()


def test_it_serves_and_ends_in_order(started: Started) -> None:
    first, *last = started.run(*LINE, "--delay=3")
    version, python = hognose.__version__, platform.python_version()
    argv = "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1 --delay=3"
    assert first == f'info boot version={version} python={python} memory_mib=2048 argv="{argv}"'
    assert last == ["info stopped status=0", "hognose: exit status 0"]
    assert started.machine.did == ["prepared", ("waited", 3), "frame device", ("end", 0)]
    assert started.opened == ["/dev/fake"]
    [named] = started.served
    assert (named["memory_bytes"], named["sources"]) == (TWO_GIB, [started.machine.button])


def test_help_is_on_the_console(started: Started) -> None:
    lines = started.run("--help")
    assert lines[0] == "arguments:"
    assert any(line.startswith("  --ipv4=ADDRESS/PREFIX") for line in lines)
    assert lines[-1] == "hognose: exit status 0"
    assert started.served == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], 'error config_error text="--ipv4 is missing, for example -- --ipv4=10.0.0.2/24"'),
        (["--nonsense"], "error config_error text="),
        ([*LINE, "--delay=never"], "error config_error text="),
        (["--ipv4"], 'error config_error text="--ipv4 needs a value"'),
    ],
)
def test_wrong_arguments_are_named(started: Started, words: list[str], line: str) -> None:
    first, *last = started.run(*words)
    assert first.startswith(line)
    assert words[-1].partition("=")[0] in first if words else True
    assert last == ["info stopped status=2", "hognose: exit status 2"]
    assert started.machine.did == ["prepared", ("end", 2)]


@pytest.mark.parametrize(
    ("config", "status", "words"),
    [
        (b"", 3, "error config_error text="),
        (b"proto udp6\n", 3, "server.conf:1: proto: `udp6`"),
        (b"proto tcp", 3, "the last line has no end"),
        (None, 4, "error device_error text="),
        (None, 4, "No such file or directory: attach the config (--block:storage"),
    ],
)
def test_a_config_that_cannot_be_used(started: Started, config: bytes | None, status: int, words: str) -> None:
    """Nothing is touched then but the config."""
    if config is None:
        started.machine.config.unlink()
    else:
        started.machine.config.write_bytes(config)
    [_, error, stopped, last] = started.run(*LINE)
    assert words in error
    assert (stopped, last) == (f"info stopped status={status}", f"hognose: exit status {status}")
    assert started.machine.did == ["prepared", ("end", status)]


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("overlaps", file="server.conf"), 3, "error config_error text="),
        (DeviceError("reading frames: gone"), 5, 'error device_error text="reading frames: gone"'),
    ],
)
def test_serving_that_ends_by_an_error(started: Started, error: Exception, status: int, line: str) -> None:
    def fail(*words: object, **named: object) -> None:
        raise error

    started.serving = fail
    [_, told, stopped, last] = started.run(*LINE)
    assert told.startswith(line)
    assert (stopped, last) == (f"info stopped status={status}", f"hognose: exit status {status}")
    assert started.machine.did[-1] == ("end", status)


def test_a_machine_without_a_frame_device(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(path: str, counters: Counters) -> TapDevice:
        raise DeviceError("no network device")

    monkeypatch.setattr(init, "open_tap", none)
    assert started.run(*LINE)[1:] == [
        'error device_error text="no network device"', "info stopped status=5", "hognose: exit status 5",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["preparing", "serving"])
@pytest.mark.parametrize("error", [PermissionError(1, "secret"), MemoryError("secret"), RuntimeError("secret")])
def test_a_bug_is_a_line_and_a_panic(started: Started, where: str, error: Exception) -> None:
    """Its type alone is told: what it says could hold a key. The kernel panics, and the hypervisor sees that."""

    def fail(*words: object, **named: object) -> None:
        raise error

    if where == "preparing":
        started.machine.failure = error
    started.serving = fail
    lines = started.run(*LINE)
    assert lines[-2:] == [
        f"error internal_error where=pid1 error={type(error).__name__} conn=0", "hognose: exit status 1",
    ]  # fmt: skip
    assert "secret" not in " ".join(lines)
    assert started.machine.did[-1] == ("panic", 1)
    assert ("end", 1) not in started.machine.did


def test_what_the_arguments_ask_for_in_vain_is_warned_of(started: Started) -> None:
    lines = started.run(*LINE, "-l", "arp.handler:debug")
    assert lines[1].startswith("warning config_warning where=arguments directive=-l text=")


@pytest.mark.timeout(30)
def test_it_serves_frames_and_ends_at_the_button(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it but the machine: the gateway, the loop and the frame device are the real ones."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    mac = bytes.fromhex("020000000042")
    kept: list[int] = []
    collected: list[str] = []

    def open_tap(path: str, counters: Counters) -> TapDevice:
        return TapDevice(ours.fileno(), LinkCaps(mac=mac), counters)

    router = bytes.fromhex("020000000001")
    request = b"\0\1\x08\0\6\4\0\1" + router + bytes((10, 0, 0, 1)) + bytes(6) + bytes((10, 0, 0, 2))
    theirs.send(bytes(12) + b"\xff" * 6 + router + b"\x08\6" + request)
    monkeypatch.setattr(init, "open_tap", open_tap)
    monkeypatch.setattr(init, "serve", service.serve)
    monkeypatch.setattr(clock, "monotonic", lambda: 1000 * SECOND)
    monkeypatch.setattr(heap, "keep_memory", kept.append)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(service, "gc", SimpleNamespace(collect=gc.collect, freeze=lambda: collected.append("frozen")))
    lines = started.run(*LINE, "--name=alpha")
    ready = next(line for line in lines if line.startswith("info ready "))
    for words in (
        "address=10.0.0.2/24", "gateway=10.0.0.1", "port=1194", "mac=02:00:00:00:00:42", "mtu=1500",
        "offloads=rx_gso:1,rx_uso4:0,tx_csum:1,tx_tso4:1,tx_uso4:0,nic_uso4:1 ", "confined=yes", "tunnel=10.8.0.0/24",
        "name=alpha",
    ):  # fmt: skip
        assert f" {words}" in ready, words
    assert 'info stopping reason="power button" clients=0' in lines
    assert lines[-2:] == ["info stopped status=0", "hognose: exit status 0"]
    assert (kept, collected) == ([TWO_GIB], ["frozen"])
    theirs.setblocking(False)
    answers: list[bytes] = []
    while not answers or answers[-1]:
        try:
            answers.append(theirs.recv(2000)[12:])
        except BlockingIOError:
            break
    assert router + mac + b"\x08\6\0\1\x08\0\6\4\0\2" + mac + bytes((10, 0, 0, 2)) + router in [
        answer[:38] for answer in answers
    ]
    ours.close()
    theirs.close()
