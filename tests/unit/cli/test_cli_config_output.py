"""`hognose config embed -o` and `--update`: whole or not at all, for its owner only, never half of it for a server."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.unit.config.config_samples import config_text

from hognose.cli import config_output, config_tool
from hognose.config import blockfile
from hognose.config.parser import parse
from hognose.errors import ConfigError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "server.conf"
    path.write_text(config_text("max-clients 5\n"))
    return path


def embed(*words: object) -> int:
    return config_tool.run(["embed", *map(str, words)])


def served(path: Path) -> int:
    """max-clients of the config that a block device holds."""
    return parse(blockfile.decode(path.read_bytes(), "f", block_device=True), "f")[0].admission.max_clients


def test_a_new_file_is_for_its_owner_only(config: Path, capsys: Capture) -> None:
    full = config.parent / "server.conf.full"
    old = os.umask(0o022)
    try:
        assert embed("-o", full, config) == 0
    finally:
        os.umask(old)
    assert capsys.readouterr() == ("", "")
    assert stat.S_IMODE(full.stat().st_mode) == 0o600
    assert full.stat().st_size == 65_536
    assert served(full) == 5
    assert sorted(path.name for path in config.parent.iterdir()) == ["server.conf", "server.conf.full"]


def test_an_old_file_is_replaced_as_a_whole(config: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    full, link = config.parent / "server.conf.full", config.parent / "link"
    full.write_text("old")
    full.chmod(0o644)
    link.symlink_to(full)

    def fails(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails)
        assert embed("-o", link, config) == 3
    assert capsys.readouterr().err == f"{link}: cannot write: No space left on device\n"
    assert full.read_text() == "old"
    assert sorted(path.name for path in config.parent.iterdir()) == ["link", "server.conf", "server.conf.full"]
    assert embed("-o", link, config) == 0
    assert link.is_symlink()
    assert stat.S_IMODE(full.stat().st_mode) == 0o600
    assert served(full) == 5


def test_files_that_are_not_written(config: Path, capsys: Capture) -> None:
    before = config.read_text()
    for words, error in (
        (("-o", config), "is the config itself; write another name after `-o`"),
        (("-o", config.parent / "none" / "full"), "cannot write: No such file or directory"),
        (("-o", "/dev/null"), "is no file; for a block device write `--update` instead of `-o`"),
        (("--update", config.parent / "none"), "cannot open: No such file or directory"),
        (("--update", "/dev/null"), "is neither a file nor a block device"),
    ):
        assert embed(*words, config) == 3
        assert capsys.readouterr().err == f"{words[1]}: {error}\n"
    assert config.read_text() == before


def test_an_embedded_file_that_was_edited_is_embedded_again_in_place(config: Path, capsys: Capture) -> None:
    full = config.parent / "server.conf.full"
    for option in ("-o", "--update"):
        assert embed("-o", full, config) == 0
        full.write_bytes(full.read_bytes().replace(b"max-clients 5", b"max-clients 6"))
        with pytest.raises(ConfigError):
            served(full)
        assert embed(option, full, full) == 0
        assert served(full) == 6
    assert capsys.readouterr().err.count("was changed by hand") == 2


def test_update_keeps_size_and_node(config: Path) -> None:
    full = config.parent / "server.conf.full"
    assert embed("-o", full, "--block-size", "128K", config) == 0
    node = full.stat()
    config.write_text(config_text("max-clients 6\n"))
    assert embed("--update", full, config) == 0
    assert (full.stat().st_ino, full.stat().st_size) == (node.st_ino, 131_072)
    assert served(full) == 6
    for size in (9_216, 10_000):  # whole sectors of it
        full.write_bytes(bytes(size))
        assert embed("--update", full, config) == 0
        assert full.stat().st_size == size
        assert served(full) == 6
    with full.open("r+b") as file:
        file.truncate(3 << 20)
        file.seek(2 << 20)
        file.write(b"not ours")
    assert embed("--update", full, config) == 0
    data = full.read_bytes()
    assert blockfile.first_mark(data) == blockfile.first_mark(data[:65_536])
    assert len(data) == 3 << 20
    assert data[2 << 20 :].startswith(b"not ours")  # no server reads so far
    assert not data[65_536 : 1 << 20].strip(b"\0")


def test_update_refuses_what_does_not_fit(config: Path, capsys: Capture) -> None:
    full = config.parent / "server.conf.full"
    full.write_bytes(before := bytes(1024))
    assert embed("--update", full, config) == 3
    sentence = "the device has 1024 bytes, the config "
    error = capsys.readouterr().err
    assert error.startswith(f"{config}: {sentence}")
    assert error.endswith("; stop the machine and write the config to a larger device, or take lines out\n")
    assert full.read_bytes() == before


@pytest.mark.parametrize(
    "holds",
    [
        bytes(1024) + b"\x53\xef" + bytes(3000),
        b"\x7fELF\2\1\1" + bytes(9) + b"\3\0\x3e",
        b"some notes of mine\n" * 9,
        b"\xeb\x63\x90" + bytes(507) + b"\x55\xaa" * 999,
    ],
)
def test_update_leaves_what_is_no_config(config: Path, capsys: Capture, holds: bytes) -> None:
    full = config.parent / "disk"
    full.write_bytes(holds + bytes(8192))
    assert embed("--update", full, config) == 3
    assert capsys.readouterr().err == f"{full}: holds something else than a config: it is left as it is\n"
    assert full.read_bytes() == holds + bytes(8192)


def before_the_update(kind: str, config: Path) -> bytes:
    """The bytes of a device of 16 KiB with max-clients 5."""
    plain = config_text("max-clients 5\n" + "# and so on\n" * 600).encode()
    config.write_bytes(plain)
    full = config.parent / "before"
    full.write_bytes(bytes(16_384))
    assert embed("--update", full, config) == 0
    return {"plain": plain + bytes(16_384 - len(plain)), "marked": full.read_bytes(), "full": plain}[kind]


@pytest.mark.parametrize("kind", ["plain", "marked", "full"])
def test_an_update_that_is_interrupted_is_never_a_config(
    kind: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each sector that was written: the old text, the new one, or an error; and the next update succeeds."""
    before = before_the_update(kind, config)
    config.write_text(config_text("max-clients 6\n"))
    states: list[bytes] = []
    synced: list[int] = []
    pwrite, fsync = os.pwrite, os.fsync

    def one_sector(fd: int, data: bytes, position: int) -> int:
        written = pwrite(fd, data[:512], position)
        states.append(os.pread(fd, 1 << 20, 0))
        return written

    full = config.parent / "server.conf.full"
    full.write_bytes(before)
    monkeypatch.setattr(os, "pwrite", one_sector)

    def noted(fd: int) -> None:
        synced.append(len(states))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    assert embed("--update", full, config) == 0
    monkeypatch.undo()
    sectors = len(before) // 512
    assert synced == [1, sectors, sectors + 1]  # before the first sector everything else is on the disk
    assert len(states) == sectors + 1
    taken = []
    for state in states:
        full.write_bytes(state)
        try:
            taken.append(served(full))
        except ConfigError:
            taken.append(0)
        assert embed("--update", full, config) == 0
        assert served(full) == 6
    assert taken[-1] == 6
    assert set(taken[1:-1]) <= {0, 5}
    assert states[0][512:600] == before[512:600]
    assert taken[0] == 0 or kind == "marked"


def test_a_warning_when_others_may_read_the_key(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    full = config.parent / "server.conf.full"
    full.write_bytes(bytes(16_384))
    for mode, warned in ((0o600, False), (0o640, True), (0o604, True)):
        full.chmod(mode)
        assert config_output.is_open_to_others(str(full)) == warned
        assert embed("--update", full, config) == 0
        error = f"warning: {full}: it holds the private key, and others may read it: chmod 600\n"
        assert capfd.readouterr().err == (error if warned else "")
    assert not config_output.is_open_to_others(-1)
    assert not config_output.is_open_to_others("/dev/null")
