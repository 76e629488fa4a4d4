"""The nano-kernel alone: its pure parts under sanitizers, its file against the ABI, its answers beside Linux's."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.world import nested
from tests.world.lossy_bridge import inside
from tests.world.namespaces import Namespaces
from tests.world.processes import Process
from tests.world.tender import CFLAGS, REPO, hvt_carrier, tender, tender_line

sys.path.insert(0, str(REPO / "image"))

import build
import pack

import hvt

pytestmark = pytest.mark.vm

GUEST = REPO / "dist/hognose.hvt"
HERE = Path(__file__).parent
PURE = ("memory", "paging", "user", "cpio", "elf", "random", "text")
FRAMES = 50
ETHERTYPE = 0x88B5  # for experiments


# -- pure parts --------------------------------------------------------------------------------------------------------


def test_the_pure_parts_under_sanitizers(tmp_path: Path) -> None:
    program = tmp_path / "program"
    (tmp_path / "program.c").write_text(
        '#include <stdio.h>\nint big[9999]; int main(void) { puts("x"); return big[7]; }\n'
    )
    subprocess.run(["gcc", "-static", "-O1", str(tmp_path / "program.c"), "-o", str(program)], check=True)
    units = tmp_path / "units"
    sources = [*map(str, sorted(HERE.glob("units*.c"))), *(str(REPO / f"solo5/{name}.c") for name in PURE)]
    flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DHOST_TEST"]
    subprocess.run(["gcc", *CFLAGS, *flags, "-iquote", str(REPO / "solo5"), *sources, "-o", str(units)], check=True)
    result = subprocess.run([str(units), str(program)], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr, result.returncode) == ("all passed\n", "", 0)


# -- the file ----------------------------------------------------------------------------------------------------------


def headers(image: bytes) -> list[tuple[int, ...]]:
    """(type, flags, offset, vaddr, paddr, filesz, memsz, align) of every program header."""
    phoff, count = struct.unpack_from("<Q", image, 32)[0], struct.unpack_from("<H", image, 56)[0]
    return [struct.unpack_from("<IIQQQQQQ", image, phoff + 56 * n) for n in range(count)]


def notes(image: bytes) -> dict[int, bytes]:
    """Type -> description of the first note of every PT_NOTE, as the tender looks at them."""
    found = {}
    for kind, _, offset, _, _, size, _, _ in headers(image):
        if kind == 4:
            name_len, len_, note_type = struct.unpack_from("<III", image, offset)
            assert image[offset + 12 : offset + 20] == b"Solo5\0\0\0"
            assert name_len == 6
            assert 20 + len_ <= size
            found[note_type] = image[offset + 20 : offset + 20 + len_]
    return found


def test_the_file_is_what_the_abi_asks_for() -> None:
    image = GUEST.read_bytes()
    assert image[:7] == b"\x7fELF\2\1\1"
    assert struct.unpack_from("<HH", image, 16) == (2, 62)  # ET_EXEC, x86_64
    assert struct.unpack_from("<HHH", image, 52)[:2] == (64, 56)
    loads = [header for header in headers(image) if header[0] == 1]
    assert len(loads) == 4
    behind = 0x100000
    for _, flags, offset, vaddr, _, filesz, memsz, align in loads:
        assert filesz == memsz > 0
        assert align == 4096
        assert vaddr % 4096 == offset % 4096 == 0
        assert vaddr >= behind
        assert flags & 3 != 3, "writable and executable"
        behind = (vaddr + memsz + 4095) // 4096 * 4096
    assert [flags for _, flags, *_ in loads] == [5, 4, 6, 4]
    entry = struct.unpack_from("<Q", image, 24)[0]
    assert loads[0][3] <= entry < loads[0][3] + loads[0][6]


def test_the_notes_are_what_the_abi_asks_for() -> None:
    found = notes(GUEST.read_bytes())
    assert struct.unpack("<IIII", found[0x31494241]) == (1, 2, 0, 0)
    manifest = found[0x3154464D]
    version, entries = struct.unpack_from("<II", manifest, 4)
    assert (version, entries, len(manifest)) == (1, 3, 4 + 8 + 3 * 104)
    declared = []
    for n in range(entries):
        name, kind, rest = struct.unpack_from("<68sI32s", manifest, 12 + 104 * n)
        assert rest == bytes(32)
        declared.append((name.rstrip(b"\0").decode(), kind))
    assert declared == [("", 1 << 30), ("service", 2), ("storage", 1)]
    listed = json.loads((REPO / "solo5/manifest.json").read_text())["devices"]
    assert [device["name"] for device in listed] == ["service", "storage"]


def test_the_payload_is_the_initramfs() -> None:
    image = GUEST.read_bytes()
    _, _, offset, _, _, size, _, _ = [header for header in headers(image) if header[0] == 1][-1]
    payload = image[offset : offset + size]
    interpreter = build.CACHE / f"interpreter-{build.interpreter_key()}"
    at = payload.index((interpreter / "init").read_bytes())
    assert at % 4096 == 0, "pages could not be mapped in place"
    manifest = json.loads((REPO / "dist/manifest.json").read_text())
    assert set(manifest["inputs"]["nano_kernel"]) >= {"start.c", "entry.S", "layout.ld", "manifest.json"}


# -- the tender --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spaces() -> Iterator[Namespaces]:
    with Namespaces("hn-nano", ("host",)) as made:
        made.run("host", "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        made.run("host", "ip", "tuntap", "add", "tap0", "mode", "tap")
        made.run("host", "ip", "link", "set", "tap0", "up")
        yield made


def changed(image: bytes, **places: tuple[int, str, int]) -> bytes:
    """The image with numbers replaced: offset, struct format, value."""
    out = bytearray(image)
    for offset, kind, value in places.values():
        struct.pack_into(kind, out, offset, value)
    return bytes(out)


def load(image: bytes, number: int) -> int:
    """Offset of the number-th PT_LOAD's program header."""
    phoff = struct.unpack_from("<Q", image, 32)[0]
    return phoff + 56 * [n for n, header in enumerate(headers(image)) if header[0] == 1][number]


def note(image: bytes, number: int) -> int:
    """Offset of the number-th note."""
    return [header[2] for header in headers(image) if header[0] == 4][number]


BAD_IMAGES = {
    "no ELF file": lambda image: b"text" + image[4:],
    "another machine": lambda image: changed(image, machine=(18, "<H", 183)),
    "position-independent": lambda image: changed(image, type=(16, "<H", 3)),
    "writable and executable": lambda image: changed(image, flags=(load(image, 0) + 4, "<I", 7)),
    "below 1 MiB": lambda image: changed(image, vaddr=(load(image, 0) + 16, "<Q", 0x1000)),
    "overlapping": lambda image: changed(image, vaddr=(load(image, 1) + 16, "<Q", 0x100000)),
    "beyond memory": lambda image: changed(image, vaddr=(load(image, 3) + 16, "<Q", 1 << 40)),
    "not on a page": lambda image: changed(
        image, vaddr=(load(image, 1) + 16, "<Q", headers(image)[1][3] + 8), align=(load(image, 1) + 48, "<Q", 8)
    ),
    "another target": lambda image: changed(image, target=(note(image, 0) + 20, "<I", 2)),
    "another ABI version": lambda image: changed(image, version=(note(image, 0) + 24, "<I", 3)),
    "another manifest version": lambda image: changed(image, version=(note(image, 1) + 24, "<I", 2)),
    "no manifest": lambda image: changed(image, kind=(note(image, 1) + 8, "<I", 5)),
    "attached before": lambda image: changed(image, attached=(note(image, 1) + 24 + 8 + 104 + 96, "<B", 1)),
}


@pytest.mark.parametrize("name", list(BAD_IMAGES))
def test_images_that_a_tender_refuses(spaces: Namespaces, tmp_path: Path, name: str) -> None:
    """Ours does as the real one: one line or two, status 1, nothing of the guest's."""
    image = tmp_path / "image.hvt"
    image.write_bytes(BAD_IMAGES[name](GUEST.read_bytes()))
    block = tmp_path / "block"
    block.write_bytes(bytes(512))
    line = tender_line(image, block, "tap0", [])
    result = subprocess.run(spaces.command("host", *line), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode not in (0, 3)
    assert "info boot" not in result.stdout
    assert result.stderr.strip()


@pytest.mark.parametrize(
    ("size", "words", "text"),
    [
        (1000, None, "512 bytes"),
        (0, None, "512 bytes"),
        (512, ["--net:service=nosuch"], "nosuch"),
        (512, ["--net:other=tap0"], "other"),
        (512, [], "service"),
    ],
)
def test_devices_that_a_tender_refuses(
    spaces: Namespaces, tmp_path: Path, size: int, words: list[str] | None, text: str
) -> None:
    block = tmp_path / "block"
    block.write_bytes(bytes(size))
    line = [
        tender()[0],
        f"--block:storage={block}",
        *(["--net:service=tap0"] if words is None else words),
        "--",
        str(GUEST),
    ]
    result = subprocess.run(spaces.command("host", *line), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert text in result.stderr


# -- beside Linux ------------------------------------------------------------------------------------------------------


def conformance_zip() -> bytes:
    """The image's byte code with conformance.py in the place of hognose.cli.init."""
    interpreter = build.CACHE / f"interpreter-{build.interpreter_key()}"
    files = pack.trace(interpreter, build.python_packages())
    return pack.build_zip(interpreter, files | {"hognose.cli.init": str(HERE / "conformance.py")})


def echo(namespace: str, interface: str, started: Process) -> None:
    """Send frames of all sizes to the echo program on the interface, and get each back."""
    with inside(namespace):
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
        link.bind((interface, ETHERTYPE))
    link.settimeout(20)
    ours = link.getsockname()[4]
    started.wait_for("^echo$", 120)
    for number in range(FRAMES):
        body = number.to_bytes(2, "big") + os.urandom(46 + number * (1500 - 48) // (FRAMES - 1))
        link.send(b"\xff" * 6 + ours + ETHERTYPE.to_bytes(2, "big") + body)
        while (frame := link.recv(2000))[:6] != ours:
            pass
        assert frame[14:] == body
    link.close()


def run_on_linux(tmp_path: Path, app: bytes) -> str:
    """In a folder of its own, on a macvtap of a namespace of its own."""
    root = tmp_path / "root"
    interpreter = build.CACHE / f"interpreter-{build.interpreter_key()}"
    for folder in ("dev", "proc", "sys"):
        (root / folder).mkdir(parents=True)
    (root / "init").write_bytes((interpreter / "init").read_bytes())
    (root / "init").chmod(0o555)
    (root / "hognose.zip").write_bytes(app)
    with Namespaces("hn-conform", ("host", "peer")) as made:
        made.run("host", "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        made.run("peer", "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        made.veth("host", "eth0", "peer", "eth0")
        made.run("host", "ip", "link", "add", "link", "eth0", "name", "tap0", "type", "macvtap", "mode", "passthru")
        made.run("host", "ip", "link", "set", "tap0", "up")
        index = made.run("host", "cat", "/sys/class/net/tap0/ifindex").strip()
        numbers = made.run("host", "sh", "-c", f"cat /sys/class/net/tap0/tap{index}/dev").strip().split(":")
        os.mknod(root / "dev/tap", 0o020600, os.makedev(int(numbers[0]), int(numbers[1])))
        command = ["prlimit", f"--as={256 << 20}", "chroot", str(root), "/init", str(int(time.time())), str(FRAMES)]
        process = Process(made.command("host", *command), tmp_path / "linux.log")
        try:
            echo(made.full("peer"), "eth0", process)
            assert process.wait(30) == 42
        finally:
            process.stop()
        return process.text


def run_on_nano_kernel(tmp_path: Path, app: bytes, spaces: Namespaces) -> str:
    interpreter = build.CACHE / f"interpreter-{build.interpreter_key()}"
    kernel = build.CACHE / f"nano-kernel-{build.nano_kernel_key()}" / "nano-kernel.elf"
    image = tmp_path / "conformance.hvt"
    content = [*pack.base_entries(interpreter), ("hognose.zip", 0o100444, app)]
    image.write_bytes(hvt.join(kernel.read_bytes(), hvt.archive(content)))
    block = tmp_path / "block"
    block.write_bytes(bytes(512))
    line = tender_line(image, block, "tap0", [str(int(time.time())), str(FRAMES)])
    process = Process(spaces.command("host", *line), tmp_path / "nano.log")
    try:
        echo(spaces.full("host"), "tap0", process)
        assert process.wait(60) == 42
    finally:
        process.stop()
    return process.text


def test_the_same_answers_as_linux(spaces: Namespaces, tmp_path: Path) -> None:
    if hvt_carrier() != "hvt":
        pytest.skip("the guest does not run directly here; the nested machine has no second interface to echo on")
    app = conformance_zip()
    linux = run_on_linux(tmp_path, app).splitlines()
    nano = run_on_nano_kernel(tmp_path, app, spaces).splitlines()
    shared = [line for line in nano if not line.startswith(("own: ", "nano-kernel: "))]
    assert shared == [line for line in linux if not line.startswith("own: ")]
    assert len(shared) > 25
    # solo5/README.md; docs/dev/device.md: what the device would have to cut or complete never leaves.
    assert [line for line in nano if line.startswith("own: ")] == [
        "own: writing to the block device EROFS",
        "own: a page to write and to run EACCES",
        "own: a frame beyond the MTU EINVAL",
        "own: an offload EINVAL",
    ]


# -- isolation ---------------------------------------------------------------------------------------------------------


def hostile_image(tmp_path: Path) -> Path:
    """A guest whose program jumps to the nano-kernel's system call entry."""
    kernel = build.CACHE / f"nano-kernel-{build.nano_kernel_key()}" / "nano-kernel.elf"
    target = int((kernel.parent / "syscall-entry").read_text(), 16)
    program = tmp_path / "hostile"
    flags = ["-static", "-nostdlib", "-Wl,-Ttext=0x500000", f"-DTARGET={target:#x}"]
    subprocess.run(["gcc", *flags, "-x", "assembler-with-cpp", str(HERE / "hostile.S"), "-o", str(program)], check=True)
    image = tmp_path / "hostile.hvt"
    image.write_bytes(hvt.join(kernel.read_bytes(), hvt.archive([("init", 0o100555, program.read_bytes())])))
    return image


def run_nested(tmp_path: Path, image: Path, cpu: str = "max") -> str:
    """The console of a guest of the nested machine, where ring 0 is real, to its end."""
    block = tmp_path / "block"
    block.write_bytes(bytes(512))
    with Namespaces("hn-alone", ("host",)) as made:
        made.run("host", "ip", "tuntap", "add", "tap0", "mode", "tap")
        line = nested.command(tmp_path, image, block, ["--ipv4=10.0.0.2/24"], "tap0", cpu)
        process = Process(made.command("host", *line), tmp_path / "nested.log")
        process.wait_for("nested: exit status", 120)
        process.stop()
    return process.text


def test_a_program_cannot_enter_the_nano_kernel_but_by_a_system_call(tmp_path: Path) -> None:
    console = run_nested(tmp_path, hostile_image(tmp_path))
    assert "hostile" in console
    assert "nano-kernel: the program crashed: vector 14" in console
    assert "nested: exit status 254" in console


def test_without_a_source_of_randomness_nothing_starts(tmp_path: Path) -> None:
    console = run_nested(tmp_path, GUEST, "max,-rdrand,-rdseed")
    assert "cannot start: this processor has neither RDSEED nor RDRAND" in console
    assert "nested: exit status 252" in console
