#!/usr/bin/env python3
"""Builds dist/: kernel, initramfs, checksums, manifest. Standard library only; run by `make image`, as root.

Steps, each cached under a hash of everything that goes into it: the builder tree (mkosi), the kernel, the static
interpreter, the pure Python packages. Packing (image/pack.py) runs every time and takes seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
IMAGE = REPO / "image"
INITRAMFS = REPO / "initramfs"
SOLO5 = REPO / "solo5"
TLS_TABLE = REPO / "src/hognose/config/tls_capabilities.py"
CACHE = Path(
    os.environ.get("HOGNOSE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hognose"
)
SOURCE_DATE_EPOCH = "1735689600"  # 2025-01-01; every time stamp of the image
HOST_PACKAGES = ("uidmap", "cpio", "zstd", "xz-utils", "kmod", "dpkg-dev", "debian-archive-keyring", "python3-pip")
CFFI = ("cffi", "1.17.1", "1c39c6016c32bc48dd54561950ebd6836e1670f2ae46128f67cf49e789c52824")


def main() -> None:
    """Everything that is out of date."""
    started = time.monotonic()
    with exclusive("image"):
        make()
    say(f"dist/ is complete after {time.monotonic() - started:.0f} s")


def make() -> None:
    """The steps, in their order; the cache is the caller's alone."""
    kernel = CACHE / f"kernel-{kernel_key()}"
    interpreter = CACHE / f"interpreter-{interpreter_key()}"
    if not (kernel / "vmlinuz").exists():
        build_kernel(kernel)
    if not (interpreter / "init").exists():
        build_interpreter(interpreter)
    nano_kernel = CACHE / f"nano-kernel-{nano_kernel_key()}"
    if not (nano_kernel / "nano-kernel.elf").exists():
        build_nano_kernel(nano_kernel)
    check_tls_table(interpreter)
    words = (kernel, interpreter, nano_kernel, python_packages(), REPO / "dist")
    run([sys.executable, str(IMAGE / "pack.py"), *map(str, words)])


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """One process at a time makes something of this name in the cache; others wait for it, and find it there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process makes {name} in {CACHE}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(*parts: Path | str) -> str:
    """Hash of files and words."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        total.update(b"\0")
    return total.hexdigest()[:16]


def kernel_key() -> str:
    """Names the kernel."""
    return digest(IMAGE / "kernel.config", IMAGE / "build-kernel.sh", builder_key())


def interpreter_key() -> str:
    """Names the static interpreter."""
    sources = sorted(INITRAMFS.glob("*.[ch]"))
    return digest(*sources, INITRAMFS / "build-interpreter.sh", builder_key(), "/".join(CFFI))


def nano_kernel_sources() -> list[Path]:
    """Everything that the nano-kernel is made of."""
    return sorted(path for path in SOLO5.iterdir() if path.suffix in (".c", ".h", ".S", ".ld", ".json", ".py", ".sh"))


def nano_kernel_key() -> str:
    """Names the nano-kernel."""
    return digest(*nano_kernel_sources(), builder_key())


def builder_key() -> str:
    """Names the builder tree."""
    return digest(IMAGE / "builder" / "mkosi.conf", IMAGE / "apt.sh")


def build_kernel(target: Path) -> None:
    """vmlinuz and the final configuration."""
    tree = builder_tree()
    in_builder(tree, [IMAGE / "kernel.config", IMAGE / "build-kernel.sh"], "build-kernel.sh")
    keep(tree, target, ("vmlinuz", "kernel.config"))


def build_interpreter(target: Path) -> None:
    """init, hognose-python, the standard library and the Python half of cryptography."""
    tree = builder_tree()
    sources = fetch_sources()
    files = [*INITRAMFS.glob("*.[ch]"), INITRAMFS / "build-interpreter.sh", *sources]
    in_builder(tree, files, "build-interpreter.sh")
    keep(tree, target, ("init", "hognose-python", "home", "site"))


def build_nano_kernel(target: Path) -> None:
    """The nano-kernel of the .hvt file, without its payload."""
    tree = builder_tree()
    in_builder(tree, nano_kernel_sources(), "build-nano-kernel.sh")
    keep(tree, target, ("nano-kernel.elf", "syscall-entry"))


def check_tls_table(interpreter: Path) -> None:
    """The committed table of what TLS can do must be what this interpreter does; a minute when one of both is new."""
    tls = REPO / "src/hognose/openvpn/tls"
    sources = [
        tls / f"{name}.py" for name in ("context", "openssl_endpoint", "algorithms", "openssl_binding", "certificates")
    ]
    inputs = (TLS_TABLE, IMAGE / "measure_tls.py", IMAGE / "requirements.txt", *sources)
    stamp = CACHE / f"tls-table-{digest(interpreter_key(), *inputs)}"
    if stamp.exists():
        return
    say("measuring what the image's TLS can do (a minute)")
    paths = (REPO / "src", interpreter / "site", python_packages())
    variables = {"PYTHONHOME": str(interpreter / "home"), "PYTHONPATH": ":".join(map(str, paths))}
    variables["OPENSSL_CONF"] = os.devnull  # the image has no openssl.cnf; this machine's must not count
    command = [str(interpreter / "hognose-python"), "-S", "-B", str(IMAGE / "measure_tls.py")]
    done = subprocess.run(command, env={**os.environ, **variables}, check=True, capture_output=True, text=True)
    if done.stdout != TLS_TABLE.read_text(encoding="utf-8"):
        measured = REPO / "dist" / TLS_TABLE.name
        measured.parent.mkdir(exist_ok=True)
        measured.write_text(done.stdout, encoding="utf-8")
        place = TLS_TABLE.relative_to(REPO)
        sys.exit(f"image: {place} is not what this image can do; compare, then: cp dist/{TLS_TABLE.name} {place}")
    stamp.touch()


def builder_tree() -> Path:
    """The Debian tree with compilers and libraries, made by mkosi."""
    tree = CACHE / f"builder-{builder_key()}"
    if (tree / "builder").exists():
        return tree / "builder"
    prepare_host()
    say("making the builder tree with mkosi (a few minutes)")
    work = CACHE / "mkosi-work"
    shutil.rmtree(work, ignore_errors=True)
    sandbox = work / "mkosi.sandbox/etc/apt"
    (sandbox / "sources.list.d").mkdir(parents=True)
    (sandbox / "apt.conf.d").mkdir()
    (sandbox / "apt.conf.d/99languages").write_text('Acquire::Languages "none";\n')
    shutil.copy(IMAGE / "builder" / "mkosi.conf", work)
    apt(f'write_sources "{sandbox}/sources.list.d/mkosi.sources"')
    packages = CACHE / "packages"
    packages.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mkosi", f"--directory={work}", f"--output-directory={work}/out"]
    command += [f"--package-cache-dir={packages}", "--force", "build"]
    run(command, env={**os.environ, "PYTHONPATH": str(mkosi())})
    tree.mkdir(exist_ok=True)
    (work / "out" / "builder").rename(tree / "builder")
    shutil.rmtree(work)
    return tree / "builder"


def mkosi() -> Path:
    """Folder to import mkosi from: Debian's package of the builder's suite, unpacked (pure Python)."""
    found = list(CACHE.glob("mkosi/usr/lib/python3/dist-packages"))
    if not found:
        folder = CACHE / "mkosi-deb"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        apt(f'apt_prepare "{CACHE}/apt"; cd "{folder}"; apt_do download -q mkosi; dpkg -x mkosi_*.deb "{CACHE}/mkosi"')
        found = list(CACHE.glob("mkosi/usr/lib/python3/dist-packages"))
    return found[0]


def fetch_sources() -> list[Path]:
    """Source packages of python3.13 and python-cryptography (signed indexes), cffi's sdist (hash)."""
    folder = CACHE / "sources"
    folder.mkdir(exist_ok=True)
    apt(f'apt_prepare "{CACHE}/apt"; cd "{folder}"; apt_do source --download-only -q python3.13 python-cryptography')
    name, version, sha256 = CFFI
    requirement = folder / "cffi.txt"
    requirement.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    sdist = folder / f"{name}-{version}.tar.gz"
    if not sdist.exists() or hashlib.sha256(sdist.read_bytes()).hexdigest() != sha256:
        pip_download(folder, requirement, "--no-binary", ":all:")
    return [path for path in folder.iterdir() if ".tar." in path.name]


def python_packages() -> Path:
    """Unpacked wheels of image/requirements.txt."""
    target = CACHE / f"site-{digest(IMAGE / 'requirements.txt')}"
    if target.exists():
        return target
    wheels = CACHE / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir()
    pip_download(wheels, IMAGE / "requirements.txt", "--only-binary", ":all:")
    partial = target.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(partial)
    partial.rename(target)
    return target


def pip_download(folder: Path, requirements: Path, *options: str) -> None:
    """pip, with hashes required and no dependencies."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-d", str(folder)]
    run([*command, *options, "-r", str(requirements)])


def in_builder(tree: Path, files: list[Path], script: str) -> None:
    """Run a script inside the builder tree, with its inputs in /build/in and its results in /build/out."""
    say(f"running {script} in the builder (several minutes)")
    shutil.rmtree(tree / "build", ignore_errors=True)
    (tree / "build/in").mkdir(parents=True)
    (tree / "build/out").mkdir()
    for file in files:
        shutil.copy(file, tree / "build/in")
    variables = f"SOURCE_DATE_EPOCH={SOURCE_DATE_EPOCH} PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/build"
    variables += " LC_ALL=C.UTF-8 TZ=UTC"
    inside = (
        f'mount --bind /dev "{tree}/dev" && mount -t proc proc "{tree}/proc" && '
        f'exec env -i {variables} chroot "{tree}" sh /build/in/{script}'
    )
    run(["nice", "unshare", "--mount", "--pid", "--net", "--fork", "sh", "-c", inside])


def keep(tree: Path, target: Path, names: tuple[str, ...]) -> None:
    """Move results into the cache, with the versions of all packages of the builder beside them."""
    partial = target.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name in names:
        shutil.move(str(tree / "build/out" / name), partial / name)
    columns = "${Package} ${Version} ${source:Package} ${source:Version}\n"
    query = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f", columns]
    listing = subprocess.run(query, check=True, capture_output=True, text=True)
    (partial / "packages.txt").write_text(listing.stdout)
    inputs = sorted((tree / "build/in").iterdir())
    (partial / "inputs.json").write_text(
        json.dumps({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs}, indent=1)
    )
    shutil.rmtree(tree / "build")
    partial.rename(target)


def prepare_host() -> None:
    """Debian packages that the steps need on this machine."""
    installed = subprocess.run(["dpkg-query", "-W", "-f", "${Package}\n"], capture_output=True, text=True, check=True)
    missing = [name for name in HOST_PACKAGES if name not in installed.stdout.split()]
    if missing:
        if os.geteuid() != 0:
            sys.exit(f"make image needs root, or these packages: {' '.join(missing)}")
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing])


def apt(script: str) -> None:
    """A few lines of shell with the functions of image/apt.sh."""
    run(["bash", "-euc", f'. "{IMAGE}/apt.sh"; {script}'])


def run(command: list[str], env: dict[str, str] | None = None) -> None:
    """A command that must succeed."""
    result = subprocess.run(command, env=env, check=False)
    if result.returncode:
        sys.exit(f"image: {' '.join(command)[:200]} ended with {result.returncode}")


def say(text: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"image: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
