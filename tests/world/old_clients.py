"""Other releases of the openvpn program than the installed one: Debian's packages, unpacked and run where they lie.

Each comes from the host's own Debian mirror with the suite replaced (image/apt.sh: private apt state, signatures
checked), with the libraries and the ld.so of its suite, into the cache folder. Nothing is installed.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .tender import REPO

CACHE = Path(
    os.environ.get("HOGNOSE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hognose"
)
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
# The packages that a process needs: openvpn and all shared libraries that it depends on, directly or not, libc6 too.
FETCH = """
. "{apt}"; SUITE={suite}
apt_prepare "{root}"
from=
for extra in {extra}; do
    sed '/^$/q' "$APT_ROOT/etc/sources.list.d/builder.sources" | sed "s/^Suites:.*/Suites: $extra/" \
        >"$APT_ROOT/etc/sources.list.d/$extra.sources"
    from="-t $extra"
done
apt_do update -qq
names=$(apt_do install -s -y --no-install-recommends $from openvpn | awk '/^Inst (lib|openvpn)/ {{ print $2 }}')
mkdir -p "{root}/packages"; cd "{root}/packages"
apt_do download -q $from $names
for package in *.deb; do dpkg -x "$package" "{tree}"; done
"""


class NotServed(Exception):  # noqa: N818
    """The mirror has no such suite (any more), or not that release in it; the text says which."""


@dataclass(frozen=True)
class Origin:
    """Source of a release; extra: a suite beside the first one, which the package is taken from."""

    suite: str
    extra: str = ""


ORIGINS = {
    "2.5": Origin("bullseye"),
    "2.6": Origin("bookworm"),
    "2.7": Origin("trixie", "trixie-backports"),
}


def openvpn(release: str) -> tuple[str, ...]:
    """Words that run the openvpn program of a release (`2.5`); the installed one when it is of that release.

    NotServed when the mirror does not have it; RuntimeError when what was fetched does not run.
    """
    if version(("openvpn",)).startswith(f"{release}."):
        return ("openvpn",)
    tree = _fetched(release)
    if isinstance(tree, str):
        raise NotServed(tree)
    program = _command(tree)
    found = version(program)
    if not found.startswith(f"{release}."):
        raise RuntimeError(f"openvpn {release} of {ORIGINS[release].suite} does not run: {found!r}")
    return program


def version(program: tuple[str, ...]) -> str:
    """`2.5.1`, or what it says instead; "" when there is no such program."""
    if shutil.which(program[0]) is None:
        return ""
    told = subprocess.run([*program, "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"OpenVPN (\S+)", told.stdout)
    return match[1] if match else (told.stdout + told.stderr)[-300:]


def libraries(program: tuple[str, ...]) -> str:
    """The TLS library that it runs with, as `--version` says."""
    told = subprocess.run([*program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"library versions: (OpenSSL \S+)", told)
    return match[1] if match else "unknown"


@functools.cache
def _without_url(line: str) -> str:
    """apt's words; which mirror it was is this machine's business."""
    return re.sub(r"https?://\S+ ?", "", line).strip()


def _fetched(release: str) -> Path | str:
    """Folder where it lies unpacked, or why it cannot be had; asked once per process, by one process at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    tree = CACHE / f"openvpn-{release}"
    with (CACHE / f"openvpn-{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not tree.exists():
                _fetch(release, tree)
        except NotServed as error:
            return str(error)
    return tree


def _command(tree: Path) -> tuple[str, ...]:
    """ld.so by hand: the program's own interpreter path is that of the host's other libc."""
    loaders = [path for folder in LIBRARIES for path in (tree / folder).glob("ld-*.so*") if not path.is_symlink()]
    if not loaders:
        raise RuntimeError(f"{tree} has no ld.so")
    path = ":".join(str(tree / folder) for folder in LIBRARIES)
    return (str(loaders[0]), "--library-path", path, str(tree / "usr/sbin/openvpn"))


def _fetch(release: str, tree: Path) -> None:
    origin = ORIGINS[release]
    root, partial = CACHE / f"apt-{origin.suite}", tree.with_suffix(".part")
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(partial, ignore_errors=True)
    script = FETCH.format(apt=REPO / "image/apt.sh", suite=origin.suite, extra=origin.extra, root=root, tree=partial)
    told = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False)
    if told.returncode:
        lines = (told.stdout + told.stderr).splitlines()
        reason = next((line for line in lines if re.search(r"\b404\b|Release file|Unable to locate", line)), "")
        if reason:
            raise NotServed(
                f"openvpn {release}: the mirror does not serve it from {origin.suite}: {_without_url(reason)}"
            )
        raise RuntimeError(f"openvpn {release} from {origin.suite}: {' '.join(lines[-5:])[-600:]}")
    partial.rename(tree)
    shutil.rmtree(root)
