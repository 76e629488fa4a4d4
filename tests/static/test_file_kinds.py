"""The repository holds text and small pictures: no programs, archives or large files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from .test_layout import FILES, ROOT

MAX_BYTES = 200_000
TEST_DATA = (ROOT / "tests" / "vectors", ROOT / "tests" / "fuzz" / "corpus")
SCRIPTS = {".ci/run", "image/hognose-qemu"}  # texts with an interpreter line that are run as they are
PICTURES = ROOT / "docs" / "images"
PROGRAMS = {b"\x7fELF": "ELF", b"MZ": "PE", b"\xcf\xfa\xed\xfe": "Mach-O", b"\xca\xfe\xba\xbe": "Mach-O or Java",
            b"\0asm": "WebAssembly", b"!<arch>\n": "static library or Debian package"}  # fmt: skip
ARCHIVES = {
    b"PK\3\4": "zip or wheel", b"PK\5\6": "empty zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "rar",
    b"070701": "cpio", b"070707": "cpio", b"\xed\xab\xee\xdb": "rpm", b"hsqs": "squashfs",
}  # fmt: skip
ARCHIVE_NAMES = (".whl", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".cpio", ".deb", ".rpm",
                 ".egg", ".jar", ".iso", ".img", ".so", ".a", ".o", ".pyc", ".exe", ".dll", ".hvt")  # fmt: skip


def what_is_wrong(path: Path) -> str:
    """A reason to keep this file out, or nothing."""
    name, head = str(path.relative_to(ROOT)), path.read_bytes()[:512]
    for magic, kind in {**PROGRAMS, **ARCHIVES}.items():
        if head.startswith(magic):
            return f"is {kind} by its first bytes"
    if head[257:262] == b"ustar":
        return "is a tar archive by its first bytes"
    if path.name.lower().endswith(ARCHIVE_NAMES):
        return "has the name of an archive or a built product"
    runs = stat.S_IMODE(path.stat().st_mode) & 0o111
    if runs and not (name in SCRIPTS and head.startswith(b"#!")):
        return "is executable and no script of the list"
    if b"\0" in head and not any(path.is_relative_to(folder) for folder in (*TEST_DATA, PICTURES)):
        return "is binary"
    if path.is_relative_to(PICTURES) and not (path.suffix == ".png" and head.startswith(b"\x89PNG\r\n\x1a\n")):
        return "is in docs/images and no PNG"
    if path.stat().st_size > MAX_BYTES and not any(path.is_relative_to(folder) for folder in TEST_DATA):
        return f"has more than {MAX_BYTES} bytes"
    return ""


def test_every_file_is_text_or_a_small_picture() -> None:
    wrong = [f"{path.relative_to(ROOT)} {why}" for path in FILES if (why := what_is_wrong(path))]
    assert wrong == []


def test_the_list_of_scripts_is_true() -> None:
    """A script that went away, or lost its mode bit, leaves the list."""
    assert {name for name in SCRIPTS if (ROOT / name).stat().st_mode & 0o111} == SCRIPTS


@pytest.mark.parametrize(
    ("name", "content", "mode", "why"),
    [
        ("a.py", b"#!/bin/sh\n", 0o755, "executable"),
        ("a.py", b"x" * 200_001, 0o644, "bytes"),
        ("tool", b"\x7fELF\2\1\1", 0o644, "ELF"),
        ("tests/vectors/tool", b"\x7fELF\2\1\1", 0o644, "ELF"),
        ("data", b"PK\3\4", 0o644, "zip"),
        ("a.whl", b"", 0o644, "name"),
        ("a.tar", bytes(257) + b"ustar", 0o644, "tar"),
        ("core", b"\1\0\2", 0o644, "binary"),
        ("docs/images/a.png", b"GIF89a", 0o644, "PNG"),
        ("docs/images/a.png", b"\x89PNG\r\n\x1a\n" + bytes(200_000), 0o644, "bytes"),
        ("docs/images/a.png", b"\x89PNG\r\n\x1a\n" + bytes(100_000), 0o644, ""),
        ("tests/fuzz/corpus/x/1", bytes(300_000), 0o644, ""),
        ("a.py", b"x" * 200_000, 0o644, ""),
    ],
)
def test_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, mode: int, why: str
) -> None:
    module = globals()
    for key, folder in (("ROOT", ""), ("PICTURES", "docs/images")):
        monkeypatch.setitem(module, key, tmp_path / folder)
    monkeypatch.setitem(module, "TEST_DATA", (tmp_path / "tests/vectors", tmp_path / "tests/fuzz/corpus"))
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    said = what_is_wrong(path)
    assert why in said if why else said == ""
