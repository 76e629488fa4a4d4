"""Ways to run dist/hognose.hvt: which tender, and on which carrier.

Tender: the real solo5-hvt when SOLO5_HVT names it or it is on PATH, else our own of tests/hvt/, which refuses what the
real one refuses. Carrier: `hvt` directly on this machine's /dev/kvm where a guest runs at speed, else `nested` in a
Debian kernel with kvm-amd under qemu's emulation.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

from .lossy_bridge import IFF_NO_PI, IFF_TAP, TUNSETIFF, TUNSETOFFLOAD, inside
from .namespaces import own

REPO = Path(__file__).resolve().parents[2]
SOURCES = REPO / "tests/hvt"
BUILD = REPO / "build"
KVM_GET_API_VERSION = 0xAE00
DIRECT_LIMIT_S = 15.0  # `--help` takes well under a second where ring 3 runs natively
# As the nano-kernel is compiled (solo5/build-nano-kernel.sh), with the warnings that Solo5 itself has.
WARNINGS = ("-Wshadow", "-Wpointer-arith", "-Wcast-qual", "-Wsign-compare", "-Wwrite-strings")
CFLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", *WARNINGS, "-Werror")


@functools.cache
def compile_tender() -> Path:
    """Our own, compiled; static, so that it also runs in the nested machine."""
    target = BUILD / "test-tender"
    BUILD.mkdir(exist_ok=True)
    partial = BUILD / f"test-tender.{os.getpid()}"  # another worker may be running what is there
    sources = [str(SOURCES / f"{name}.c") for name in ("tender", "image", "devices")]
    command = ["gcc", *CFLAGS, "-static", "-iquote", str(REPO / "solo5"), *sources, "-o", str(partial)]
    subprocess.run(command, check=True)
    partial.replace(target)
    return target


@functools.cache
def tender() -> tuple[str, str]:
    """Path, and what it is for the report."""
    real = os.environ.get("SOLO5_HVT") or shutil.which("solo5-hvt")
    if real:
        version = subprocess.run([real, "--version"], capture_output=True, text=True, check=False)
        return real, (version.stdout + version.stderr).strip().splitlines()[0]
    return str(compile_tender()), "test tender of tests/hvt"


def tender_line(image: Path, block: Path, tap: str, arguments: list[str], mem: int = 256) -> list[str]:
    """A tender's command line."""
    line = [tender()[0], f"--mem={mem}", f"--block:storage={block}", f"--net:service={tap}", "--", str(image)]
    return [*line, *arguments]


def forget_offloads(namespace: str, tap: str) -> None:
    """A tap remembers which offloads its last user could take (qemu: all of them), and no tender switches them off."""
    with inside(namespace), open("/dev/net/tun", "rb+", buffering=0) as device:
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", tap.encode(), IFF_TAP | IFF_NO_PI))
        fcntl.ioctl(device, TUNSETOFFLOAD, 0)


@functools.cache
def direct_problem() -> str:
    """Reason why dist/hognose.hvt cannot run directly on this machine; "" when it can."""
    if os.environ.get("HVT_CARRIER") == "nested":
        return "HVT_CARRIER=nested asks for that"
    try:
        with open("/dev/kvm", "rb+", buffering=0) as device:
            fcntl.ioctl(device, KVM_GET_API_VERSION)
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    namespace = f"{own('hn-direct')}-host"
    block = BUILD / f"direct.{os.getpid()}.block"
    BUILD.mkdir(exist_ok=True)
    block.write_bytes(bytes(512))
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        inside = ["ip", "netns", "exec", namespace]
        subprocess.run([*inside, "ip", "tuntap", "add", "tap0", "mode", "tap"], check=True)
        subprocess.run([*inside, "ip", "link", "set", "tap0", "up"], check=True)
        began = time.monotonic()
        command = [tender()[0], f"--block:storage={block}", "--net:service=tap0", "--", str(REPO / "dist/hognose.hvt")]
        result = subprocess.run(
            [*inside, *command, "--help"], capture_output=True, text=True, timeout=DIRECT_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the guest's first words take more than {DIRECT_LIMIT_S:.0f} s: ring 3 is emulated"
    finally:
        subprocess.run(["ip", "netns", "del", namespace], check=False)
        block.unlink()
    took = time.monotonic() - began
    if result.returncode or "--ipv4" not in result.stdout:
        return (
            f"the guest ended with {result.returncode} after {took:.1f} s: {(result.stdout + result.stderr)[-200:]!r}"
        )
    return ""


# What was run, for the last lines of the report (tests/conftest.py).
used: dict[str, str] = {}


def hvt_carrier() -> str:
    """`hvt` where the guest runs directly, else `nested`."""
    problem = direct_problem()
    if problem:
        used["nested"] = f"under qemu's emulation, {compile_tender().name}, because directly: {problem}"
        return "nested"
    used["hvt"] = f"directly on /dev/kvm, {tender()[1]}"
    return "hvt"
