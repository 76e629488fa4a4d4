"""A new config while serving, in virtual time: what is read, when it is taken, what the log says."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from tests.unit.openvpn.link import authority, server_identity
from tests.world.server import ServerSettings, with_generation
from tests.world.today import UNIX

from hognose.cli.config_watch import CHECK_INTERVAL_NS, WHOLE_INTERVAL_NS, ConfigReload, load
from hognose.config.model import ServerConfig
from hognose.errors import ConfigError, DeviceError
from hognose.host.config_source import HEAD_BYTES, ConfigSource
from hognose.host.console import Console, log_queue
from hognose.host.output import open_output
from hognose.units import SECOND, Nanos, UnixSeconds

START: Nanos = 1000 * SECOND
LOOKS = WHOLE_INTERVAL_NS // CHECK_INTERVAL_NS  # one of this number reads all of a text without marks
MISMATCH = "does not match its marks: half written, or changed by hand: embed it again"


def text(*lines: str) -> bytes:
    """A good config without a generation."""
    return ServerSettings(authority(), server_identity(), "none", extra=list(lines)).text().encode()


def told(data: bytes) -> bytes:
    """The same between its marks, in whole sectors."""
    return with_generation(data.decode())


def told_once(data: bytes) -> bytes:
    """The same as Hognose 0.1 has embedded it."""
    return b"# hognose sha256 " + sha256(data).hexdigest().encode() + b"\n" + data


class FakeSource(ConfigSource):
    """Bytes in memory; remembers what is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.replaced: bytes | None = None  # what the path names
        self.error = ""
        self.requested, self.repeatable, self.block_device = False, True, False
        self.reads: list[tuple[int, int]] = []
        self._name = "fake"

    def reopen(self) -> None:
        self.requested = False
        if self.replaced is not None:
            self.data = self.replaced

    def _read(self, position: int, size: int) -> bytes:
        if self.error:
            raise DeviceError(self.error)
        self.reads.append((position, size))
        return self.data[position : position + size]


class KeptConsole(Console):
    """Keeps its lines."""

    def __init__(self) -> None:
        super().__init__("info", log_queue(open_output()))
        self.printed: list[str] = []

    def line(self, text: str) -> None:
        self.printed.append(text)


class World:
    """A server that has begun with a config, and whose time passes look by look."""

    def __init__(self, data: bytes) -> None:
        self.now = START
        self.source = FakeSource(data)
        self.applied: list[ServerConfig] = []
        self.failure: Exception | None = None
        console = KeptConsole()
        self._printed = console.printed
        loaded = load(self.source, "server.conf", console, UNIX)
        self.watch = ConfigReload(loaded, now=self.now, apply=self._apply, console=console)
        self.source.reads.clear()
        self.lines()

    def _apply(self, config: ServerConfig, now: Nanos, unix: UnixSeconds) -> None:
        assert (now, unix) == (self.now, UNIX)
        if self.failure is not None:
            raise self.failure
        self.applied.append(config)

    def look(self, looks: int = 1) -> list[str]:
        """The next looks; what they have printed."""
        for _ in range(looks):
            assert self.watch.next_check in (0, self.now + CHECK_INTERVAL_NS)
            self.now += 0 if self.watch.next_check == 0 else CHECK_INTERVAL_NS
            self.watch.check(self.now, UNIX)
        return self.lines()

    def lines(self) -> list[str]:
        lines = self._printed.copy()
        self._printed.clear()
        return lines


def test_without_a_change_one_sector_is_read() -> None:
    world = World(told(text()))
    assert world.look(10) == []
    assert (world.source.reads, world.applied) == ([(0, HEAD_BYTES)] * 10, [])


def test_without_marks_all_is_read_now_and_then_and_nothing_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(text())
    monkeypatch.setattr("hognose.cli.config_watch.parse", None)
    assert world.look(4 * LOOKS) == []
    whole = [position for position, _ in world.source.reads if position == len(world.source.data)]
    assert len(whole) == 4
    assert {size for position, size in world.source.reads if position == 0} > {HEAD_BYTES}
    assert world.applied == []


def test_a_whole_new_text_is_taken_at_once() -> None:
    """Within 5 s, so that a revoked client is cut within 10."""
    assert CHECK_INTERVAL_NS <= 5 * SECOND
    world = World(told(text()))
    new = world.source.data = told(text("client-to-client", "max-clients 5"))
    generation = new.split()[3].decode()
    assert world.look() == [f"info config_reloaded generation={generation[:12]} changed=client_to_client,max_clients"]
    assert [config.admission.max_clients for config in world.applied] == [5]
    world.source.reads.clear()
    assert world.look(5) == []
    assert (world.source.reads, len(world.applied)) == ([(0, HEAD_BYTES)] * 5, 1)


def test_a_text_that_is_being_written_is_waited_for() -> None:
    old, new = told(text()), told(text("max-clients 5"))
    world = World(old)
    for written in (100, 700, 1500):
        world.source.data = new[:written] + old[written:]
        assert world.look() == []
    world.source.data = new
    [line] = world.look()
    assert line.endswith("changed=max_clients")


@pytest.mark.parametrize("marks", [told, told_once])
def test_an_embedded_text_edited_by_hand_is_refused_when_it_rests(marks: Callable[[bytes], bytes]) -> None:
    world = World(marks(text()))
    world.source.data = marks(text("max-clients 5")).replace(b"max-clients 5", b"max-clients 6")
    assert world.look() == []
    [error] = world.look()
    assert error == f'error config_error text="server.conf: {MISMATCH}" effect="the old config stays in force"'
    assert world.look(3 * LOOKS) == []
    world.source.data = marks(text("max-clients 5"))  # the head is the same
    assert [line.split()[-1] for line in world.look(LOOKS)] == ["changed=max_clients"]
    assert [config.admission.max_clients for config in world.applied] == [5]


def test_a_writer_that_rests_longer_than_two_looks() -> None:
    """The half text is refused, the whole one is found although its head is the same."""
    new = told(text("max-clients 5"))
    world = World(told(text()))
    world.source.data = new[:1024]
    [error] = world.look(2)
    assert f"server.conf: the device has 1024 bytes, the config {len(new)}" in error
    world.source.data = new
    [line] = world.look(LOOKS)
    assert line.endswith("changed=max_clients")


def test_a_text_without_marks_is_taken_when_it_rests() -> None:
    world = World(text())
    world.source.data = text("max-clients 5")
    assert world.look(LOOKS) == []
    world.source.data = text("max-clients 6")
    assert world.look(LOOKS) == []
    assert [line.split()[-1] for line in world.look()] == ["changed=max_clients"]
    assert world.applied[0].admission.max_clients == 6
    world.source.data += b"client-to-client\n"  # far from the head
    assert [line.split()[-1] for line in world.look(2 * LOOKS)] == ["changed=client_to_client"]


def test_a_text_that_comes_back_is_nothing_new() -> None:
    world = World(text())
    old = world.source.data
    for data in (text("max-clients 5"), old, text("max-clients 5"), old, old):
        world.source.data = data
        assert world.look(LOOKS) == []
    assert world.applied == []


def test_a_hangup_takes_what_the_path_names_at_once() -> None:
    world = World(text())
    world.source.replaced = text("max-clients 5")
    assert world.look(3) == []
    world.source.request()
    assert world.watch.next_check == 0
    [line] = world.look()
    assert line.endswith("changed=max_clients")
    assert world.watch.next_check == world.now + CHECK_INTERVAL_NS
    world.source.request()
    assert world.look() == []


def test_a_broken_text_leaves_the_old_config_in_force() -> None:
    world = World(told(text()))
    broken = text("max-clients many")
    world.source.data = told(broken)
    [line] = world.look()
    number = 1 + told(broken).decode().splitlines().index("max-clients many")
    assert line.startswith(f'error config_error text="server.conf:{number}: max-clients: ')
    assert line.endswith('effect="the old config stays in force"')
    assert world.look(3) == []
    assert world.applied == []
    world.source.data = told(text("max-clients 5"))
    [line] = world.look()
    assert line.endswith("changed=max_clients")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "server.conf: empty"), (b"\0" * 4096, "server.conf: empty"), (b"\xff\xfe" * 600, "not UTF-8")],
)
def test_what_is_no_config_leaves_the_old_one_in_force(data: bytes, words: str) -> None:
    world = World(told(text()))
    world.source.data = data
    [line] = world.look(LOOKS + 1)
    assert words in line
    assert world.applied == []


def test_comments_alone_change_nothing() -> None:
    world = World(told(text()))
    world.source.data = told(text("# a comment"))
    [line] = world.look()
    assert line.endswith("changed=nothing")
    assert world.applied == []


def test_warnings_of_the_new_text_are_told() -> None:
    world = World(told(text()))
    world.source.data = told(text("user nobody", "max-clients 5"))
    warning, reloaded = world.look()
    assert warning.startswith("warning config_warning where=server.conf:")
    assert "directive=user" in warning
    assert reloaded.endswith("changed=max_clients")


def test_a_device_that_fails_is_told_once() -> None:
    world = World(told(text()))
    world.source.error = "config block device /dev/vda: Input/output error"
    expected = [
        'warning config_unreadable text="config block device /dev/vda: Input/output error; '
        'the old config stays in force"'
    ]
    assert world.look(5) == expected
    world.source.error = ""
    assert world.look() == []
    world.source.error = "config block device /dev/vda: Input/output error"
    assert world.look(5) == expected
    world.source.error = ""
    world.source.data = told(text("max-clients 5"))
    assert len(world.look()) == 1


def test_a_config_that_the_gateway_cannot_use() -> None:
    world = World(told(text()))
    world.source.data = told(text("max-clients 5"))
    world.failure = ConfigError("no", file="server.conf", directive="ca")
    [line] = world.look()
    assert line.startswith('error config_error text="server.conf')
    assert "effect=" in line
    world.source.data = told(text("max-clients 6"))
    world.failure = RuntimeError("with a key in it")
    assert world.look() == ["error internal_error where=reload error=RuntimeError conn=0"]
    world.failure = None
    world.source.data = told(text("max-clients 7"))
    [line] = world.look()
    assert line.endswith("changed=max_clients")


def test_a_pipe_is_not_read_again() -> None:
    world = World(text())
    world.source.repeatable = False
    world.source.error = "would be read"
    assert world.look(3) == []
    assert world.source.reads == []


@pytest.mark.parametrize("marks", [told, told_once])
def test_a_text_ends_where_its_marks_say(marks: Callable[[bytes], bytes]) -> None:
    """A shorter text over a longer one, as `dd conv=notrunc` leaves it; nothing is read after its last sector."""
    world = World(marks(text("max-clients 5", *[f'push "route 10.{n}.0.0 255.255.0.0"' for n in range(200)])))
    new = marks(text("max-clients 6"))
    new += bytes(-len(new) % HEAD_BYTES)
    world.source.data = new + world.source.data[len(new) :]
    [line] = world.look()
    assert line.endswith("changed=push,max_clients")
    assert max(position + size for position, size in world.source.reads) == len(new)
    assert world.look(2) == []
    again = World(world.source.data)  # and so it does at the next start
    assert again.look(2) == []


@pytest.mark.parametrize("overtaken_at", [1, 2])
def test_a_sector_of_another_text_in_between(overtaken_at: int) -> None:
    """The head of one text, then the whole of another one: the writer is faster than the reader."""
    world = World(told(text()))
    new, newer = told(text("max-clients 5")), told(text("max-clients 6"))
    world.source.data = new
    read = world.source._read

    def overtaken(position: int, size: int) -> bytes:
        if len(world.source.reads) == overtaken_at:
            world.source.data = newer
        return read(position, size)

    world.source._read = overtaken  # type: ignore[method-assign]  # a spy
    assert len(world.look(2)) == 1
    assert world.applied[-1].admission.max_clients == 6


def test_a_plain_text_on_a_block_device_ends_with_a_line() -> None:
    """The rest of a text is lost on a device that is too small; a text between marks says so itself."""
    source = FakeSource(text("client-to-client")[:-1])
    assert load(source, "server.conf", KeptConsole(), UNIX).config.network.client_to_client
    source.block_device = True
    with pytest.raises(ConfigError, match=r"^server\.conf: the last line has no end: the text may be cut short"):
        load(source, "server.conf", KeptConsole(), UNIX)
    for end in (b"", b"\0", bytes(700)):
        source.data = text("client-to-client") + end
        assert load(source, "server.conf", KeptConsole(), UNIX).config.network.client_to_client


@pytest.mark.parametrize("keep", [512, 1024, -512])
def test_a_device_that_is_too_small_is_refused_at_the_start_and_live(keep: int) -> None:
    new = told(text("client-to-client"))
    cut = new[:keep]
    words = f"the device has {len(cut)} bytes, the config {len(new)}"
    with pytest.raises(ConfigError) as caught:
        load(FakeSource(cut), "server.conf", KeptConsole(), UNIX)
    assert str(caught.value) == f"server.conf: {words}"
    world = World(told(text()))
    world.source.data = cut
    [error] = world.look(3)
    assert error == f'error config_error text="server.conf: {words}" effect="the old config stays in force"'
    assert world.applied == []


def test_a_device_that_shrinks_vanishes_and_comes_back() -> None:
    world = World(told(text()))
    whole = world.source.data
    world.source.data = whole[:512]  # the head is the same: the text in force is not read again
    assert world.look(2 * LOOKS) == []
    world.source.data = b""
    [error] = world.look(2 * LOOKS)
    assert "server.conf: empty" in error
    world.source.error = "config block device /dev/vda: No such device"
    [line] = world.look(LOOKS)
    assert line.startswith("warning config_unreadable ")
    world.source.error, world.source.data = "", whole
    assert [line.split()[-1] for line in world.look(LOOKS)] == ["changed=nothing"]
    assert world.applied == []
