#!/usr/bin/env python3
"""Packs dist/ from cached products and the source tree: byte code zip, initramfs, .hvt file, checksums, manifest.

usage: pack.py KERNEL INTERPRETER NANO_KERNEL SITE DIST. The output depends on the inputs only: fixed dates, owners and
order. The initramfs is two compressed archives one after the other (the kernel unpacks both): the interpreter,
compressed once and kept beside it, and the byte code, which changes with every edit. The .hvt file holds the same,
as it is.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import hvt

REPO = Path(__file__).resolve().parent.parent
INITRAMFS = REPO / "initramfs"
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
LEVEL = "-19"
FOLDERS = ("dev", "proc", "sys")
PRODUCTS = ("hognose.cpio.zst", "hognose.hvt", "manifest.json", "vmlinuz")


def main(kernel: Path, interpreter: Path, nano_kernel: Path, site: Path, dist: Path) -> None:
    """Write everything."""
    dist.mkdir(exist_ok=True)
    files = trace(interpreter, site)
    app = build_zip(interpreter, files)
    base = compressed_base(interpreter)
    tail = compress(cpio([("hognose.zip", 0o100444, app)]))
    write(dist / "vmlinuz", (kernel / "vmlinuz").read_bytes())
    write(dist / "hognose.cpio.zst", base + tail)
    content = [*base_entries(interpreter), ("hognose.zip", 0o100444, app)]
    write(dist / "hognose.hvt", hvt.join((nano_kernel / "nano-kernel.elf").read_bytes(), hvt.archive(content)))
    shutil.copy2(interpreter / "hognose-python", dist / "hognose-python")
    manifest = make_manifest(kernel, interpreter, nano_kernel, files, app)
    write(dist / "manifest.json", (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())
    sums = [f"{sha256(dist / name)}  {name}\n" for name in PRODUCTS]
    write(dist / "SHA256SUMS", "".join(sums).encode())


def environment(interpreter: Path, *paths: Path) -> dict[str, str]:
    """Variables with which hognose-python finds its standard library and packages.

    It neither writes nor reads cached byte code: what marshal writes depends on how often the interpreter itself refers
    to a string, so it must come to each file in the same state every time.
    """
    return {
        "PYTHONHOME": str(interpreter / "home"),
        "PYTHONPATH": ":".join(str(path) for path in paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPYCACHEPREFIX": "/nonexistent",
        "PYTHONHASHSEED": "0",
        "PATH": os.environ["PATH"],
    }


def trace(interpreter: Path, site: Path) -> dict[str, str]:
    """Module name -> source path of everything that the image carries."""
    command = [str(interpreter / "hognose-python"), "-S", str(INITRAMFS / "trace_imports.py")]
    env = environment(interpreter, REPO / "src", interpreter / "site", site)
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"image: tracing imports failed:\n{result.stderr}")
    found: dict[str, str] = json.loads(result.stdout)
    return found


def build_zip(interpreter: Path, files: dict[str, str]) -> bytes:
    """The byte code of all modules, stored, sorted."""
    jobs = []
    for name, path in sorted(files.items()):
        inside = name.replace(".", "/") + ("/__init__" if Path(path).name == "__init__.py" else "")
        jobs.append([path, inside + ".pyc"])
    # pyroute2's own __init__ pulls in what the image does not carry; an empty package stands in (host/netlink.py).
    jobs = [job for job in jobs if job[1] != "pyroute2/__init__.pyc"]
    command = [str(interpreter / "hognose-python"), "-S", str(INITRAMFS / "compile.py")]
    env = environment(interpreter)
    result = subprocess.run(command, env=env, input=json.dumps(jobs), capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"image: compiling failed:\n{result.stderr}")
    compiled: dict[str, str] = json.loads(result.stdout)
    job = json.dumps([[os.devnull, "pyroute2/__init__.pyc"]])
    empty = subprocess.run(command, env=env, input=job, capture_output=True, text=True, check=True)
    compiled.update(json.loads(empty.stdout))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(compiled):
            info = zipfile.ZipInfo(name, ZIP_DATE)
            info.create_system = 3
            info.external_attr = 0o444 << 16
            archive.writestr(info, base64.b64decode(compiled[name]))
    return target.getvalue()


def compressed_base(interpreter: Path) -> bytes:
    """The archive that only changes with the interpreter; kept beside it."""
    kept = interpreter / "base.cpio.zst"
    if not kept.exists():
        write(kept, compress(cpio(base_entries(interpreter))))
    return kept.read_bytes()


def base_entries(interpreter: Path) -> list[tuple[str, int, bytes]]:
    """(name, mode, content) of everything but the byte code."""
    folders = [(name, 0o040755, b"") for name in FOLDERS]
    return [*folders, ("init", 0o100555, (interpreter / "init").read_bytes())]


def cpio(entries: list[tuple[str, int, bytes]]) -> bytes:
    """A newc archive: owner 0, date 0, in the order given."""
    out = io.BytesIO()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        encoded = name.encode() + b"\0"
        links = 2 if mode & 0o040000 else 1
        fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        out.write(header + encoded + b"\0" * (-(len(header) + len(encoded)) % 4))
        out.write(data + b"\0" * (-len(data) % 4))
    return out.getvalue()


def compress(data: bytes) -> bytes:
    """zstd at a fixed level; single-threaded output differs from the default's, so the mode is fixed too."""
    result = subprocess.run(["zstd", "-q", LEVEL, "-T1", "-c"], input=data, capture_output=True, check=True)
    return result.stdout


def make_manifest(
    kernel: Path, interpreter: Path, nano_kernel: Path, files: dict[str, str], app: bytes
) -> dict[str, object]:
    """The inputs: packages with versions, inputs with hashes, every file of the initramfs with its hash."""
    members: dict[str, str] = {}
    with zipfile.ZipFile(io.BytesIO(app)) as archive:
        for name in archive.namelist():
            members[f"hognose.zip/{name}"] = hashlib.sha256(archive.read(name)).hexdigest()
    packages = sorted({tuple(line.split()) for line in (interpreter / "packages.txt").read_text().splitlines()})
    requirements = [
        line.split() for line in (REPO / "image/requirements.txt").read_text().splitlines() if line and line[0] != "#"
    ]
    wheels = [{"requirement": words[0], "hash": words[1].removeprefix("--hash=")} for words in requirements]
    return {
        "files": {
            "init": sha256(interpreter / "init"),
            "hognose.zip": hashlib.sha256(app).hexdigest(),
            **members,
        },
        "folders": list(FOLDERS),
        "inputs": {
            "interpreter": json.loads((interpreter / "inputs.json").read_text()),
            "kernel": json.loads((kernel / "inputs.json").read_text()),
            "nano_kernel": json.loads((nano_kernel / "inputs.json").read_text()),
        },
        "builder_packages": [
            {"package": p[0], "version": p[1], "source": p[2], "source_version": p[3]} for p in packages
        ],
        "python_packages": wheels,
        "modules": len(files),
    }


def write(path: Path, data: bytes) -> None:
    """Replace a file in one step."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    partial.replace(path)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main(*(Path(word) for word in sys.argv[1:6]))
