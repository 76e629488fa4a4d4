"""Output of `make image`: small, static, whole, and the same bytes wherever it is packed."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
DIST = REPO / "dist"
MAX_BYTES = 14 << 20  # kernel and compressed initramfs


def members(cpio: bytes) -> dict[str, tuple[int, bytes]]:
    """Name -> (mode, content) of newc archives one after the other, as the kernel unpacks them."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while at < len(cpio):
        if cpio[at] == 0:
            at += 1
            continue
        assert cpio[at : at + 6] == b"070701"
        fields = [int(cpio[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name_len, size, mode = fields[11], fields[6], fields[1]
        assert fields[2:4] == [0, 0], "owner"
        assert fields[5] == 0, "date"
        name = cpio[at + 110 : at + 110 + name_len - 1].decode()
        start = at + (110 + name_len + 3) // 4 * 4
        if name != "TRAILER!!!":
            found[name] = (mode, cpio[start : start + size])
        at = start + (size + 3) // 4 * 4
    return found


@pytest.fixture(scope="module")
def initramfs() -> dict[str, tuple[int, bytes]]:
    packed = (DIST / "hognose.cpio.zst").read_bytes()
    return members(subprocess.run(["zstd", "-dcq"], input=packed, capture_output=True, check=True).stdout)


def test_it_is_small() -> None:
    assert sum((DIST / name).stat().st_size for name in ("vmlinuz", "hognose.cpio.zst")) <= MAX_BYTES


def test_the_checksums_are_those_of_the_files() -> None:
    lines = [line.split() for line in (DIST / "SHA256SUMS").read_text().splitlines()]
    assert sorted(name for _, name in lines) == ["hognose.cpio.zst", "hognose.hvt", "manifest.json", "vmlinuz"]
    for digest, name in lines:
        assert hashlib.sha256((DIST / name).read_bytes()).hexdigest() == digest


def test_the_table_of_tls_is_of_this_interpreter() -> None:
    """`make image` has compared it handshake by handshake; here the versions, so that an old dist/ is found out."""
    code = (
        "import cryptography; from cryptography.hazmat.backends.openssl import backend;"
        "from hognose.config import tls_capabilities as image;"
        "versions = backend.openssl_version_text().split()[1], cryptography.__version__;"
        "print(versions == (image.OPENSSL, image.CRYPTOGRAPHY))"
    )
    command = [sys.executable, str(REPO / "tests" / "image_python.py"), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_there_is_nothing_but_the_program(initramfs: dict[str, tuple[int, bytes]]) -> None:
    """No shell, no shared object, no source text."""
    assert sorted(initramfs) == ["dev", "hognose.zip", "init", "proc", "sys"]
    names = zipfile.ZipFile(io.BytesIO(initramfs["hognose.zip"][1])).namelist()
    assert all(name.endswith(".pyc") for name in names)
    assert "hognose/cli/init.pyc" in names
    hosted = ("serve", "config_tool", "config_parser", "main")
    assert not [name for name in names if name.startswith("hognose/cli/") and Path(name).stem in hosted]


def test_the_program_is_static(initramfs: dict[str, tuple[int, bytes]], tmp_path: Path) -> None:
    init = tmp_path / "init"
    init.write_bytes(initramfs["init"][1])
    assert "statically linked" in subprocess.run(["file", init], capture_output=True, text=True, check=True).stdout
    linked = subprocess.run(["ldd", init], capture_output=True, text=True, check=False)
    assert "not a dynamic executable" in linked.stdout + linked.stderr
    assert initramfs["init"][0] & 0o777 == 0o555


def test_the_manifest_names_every_file_package_and_source(initramfs: dict[str, tuple[int, bytes]]) -> None:
    manifest = json.loads((DIST / "manifest.json").read_text())
    files = {name: data for name, (mode, data) in initramfs.items() if mode & 0o100000}
    archive = zipfile.ZipFile(io.BytesIO(files["hognose.zip"]))
    files |= {f"hognose.zip/{name}": archive.read(name) for name in archive.namelist()}
    assert manifest["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    packages = {row["package"]: row for row in manifest["builder_packages"]}
    for name in ("linux-source-6.12", "libc6-dev", "libssl-dev", "libpython3.13-dev", "librust-openssl-dev"):
        assert packages[name]["version"]
        assert packages[name]["source_version"]
    inputs = " ".join([*manifest["inputs"]["interpreter"], *manifest["inputs"]["kernel"]])
    for word in ("python3.13_", "python-cryptography_", "cffi-", "kernel.config", "main.c"):
        assert word in inputs
    requirements = [row["requirement"] for row in manifest["python_packages"]]
    assert [word.split("==")[0] for word in requirements] == ["pyOpenSSL", "pyroute2"]


def test_the_pinned_packages_are_the_images() -> None:
    """The unit tests run on the very versions that the image carries."""
    pinned = (REPO / "pyproject.toml").read_text()
    manifest = json.loads((DIST / "manifest.json").read_text())
    for row in manifest["python_packages"]:
        assert f'"{row["requirement"]}"' in pinned
    [source] = [
        name for name in manifest["inputs"]["interpreter"] if name.startswith("python-cryptography_") and "orig" in name
    ]
    assert f'"cryptography=={source.split("_")[1].split(".orig")[0]}"' in pinned


def test_packing_in_two_other_folders_gives_the_same_bytes(tmp_path: Path) -> None:
    """From copies of the tree, with the interpreter's archive compressed anew in one of them."""
    sys.path.insert(0, str(REPO / "image"))
    import build

    interpreter = build.CACHE / f"interpreter-{build.interpreter_key()}"
    kernel = build.CACHE / f"kernel-{build.kernel_key()}"
    nano_kernel = build.CACHE / f"nano-kernel-{build.nano_kernel_key()}"
    anew = tmp_path / "interpreter"
    anew.mkdir()
    for entry in interpreter.iterdir():
        if entry.name != "base.cpio.zst":
            (anew / entry.name).symlink_to(entry)
    sums = []
    for name, products in (("one", interpreter), ("another/deeper", anew)):
        copy = tmp_path / name
        for part in ("src", "image", "initramfs"):
            shutil.copytree(REPO / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        words = [kernel, products, nano_kernel, build.python_packages(), copy / "dist"]
        subprocess.run([sys.executable, str(copy / "image/pack.py"), *map(str, words)], check=True)
        sums.append((copy / "dist/SHA256SUMS").read_text())
    assert sums == [(DIST / "SHA256SUMS").read_text()] * 2
