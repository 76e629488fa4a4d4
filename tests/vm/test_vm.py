"""The image under qemu: what only this machine has. What every machine must do is in test_machines.py."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import MIB, Setting, check_basics, check_negotiated
from tests.world.processes import Process
from tests.world.server import ARGUMENTS, REPO, Server
from tests.world.topology import TAP, Topology

pytestmark = pytest.mark.vm

LAUNCHER = REPO / "image/hognose-qemu"
IMAGE = REPO / "dist/hognose.cpio.zst"


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-vm", tmp_path_factory.mktemp("topology"), clients=5) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


def largest_frames(text: str) -> tuple[int, int]:
    """Largest frame to and from the server in a tcpdump -e listing."""
    to_server = from_server = 0
    for line in text.splitlines():
        match = re.search(r"length (\d+): (\S+) > (\S+):", line)
        if match and match[3].startswith("10.0.0.2"):
            to_server = max(to_server, int(match[1]))
        elif match and match[2].startswith("10.0.0.2"):
            from_server = max(from_server, int(match[1]))
    return to_server, from_server


@pytest.mark.timeout(900)  # emulated, on a machine that may be busy
def test_a_client_reaches_the_internet(setting: Setting) -> None:
    """16 MiB both ways, super-frames both ways, an orderly power-off by the button."""
    spaces = setting.topology.namespaces
    with setting.server("vm", mem=128) as server, setting.client("c1") as client:
        client.connected()
        check_negotiated(server, client, wrap="tls-crypt", cipher="AES-256-GCM", tls="TLSv1.3")
        dump = Process(
            spaces.command("host", "tcpdump", "-i", TAP, "-e", "-n", "-l", "-c", "20000", "greater", "1600"),
            setting.folder / "tcpdump.log",
        )
        check_basics(setting, client, 16 * MIB)
        dump.stop()
        to_server, from_server = largest_frames(dump.text)
        assert to_server > 1514
        assert from_server > 1514
        # Datagrams: the kernel gives and takes super-frames; whether the NIC cuts them is the hypervisor's choice.
        assert re.search(r" offloads=rx_gso:1,rx_uso4:1,tx_csum:1,tx_tso4:1,tx_uso4:1,nic_uso4:[01] ", server.log)
        assert server.stop() == 0
        assert server.printed_status == 0
        assert server.log.replace("\r", "").rstrip().endswith("hognose: exit status 0")
        assert "drop_internal_error" not in server.log


def machine(setting: Setting, tmp_path: Path, *without: str, image: Path = IMAGE) -> Process:
    """The launcher's own qemu line, less the devices named in `without`."""
    config = tmp_path / "server.conf.full"
    config.write_text(setting.config())
    words = [str(LAUNCHER), "--dry-run", "--mem=128", f"--block:storage={config}", f"--net:service={TAP}"]
    line = shlex.split(setting.topology.namespaces.run("host", *words, "--", str(image), *ARGUMENTS))
    kept: list[str] = []
    while line:
        word = line.pop(0)
        if word in ("-device", "-drive", "-netdev") and any(name in line[0] for name in without):
            line.pop(0)
        else:
            kept.append(word)
    assert len(kept) < 40
    return Process(setting.topology.namespaces.command("host", *kept), tmp_path / "qemu.log")


@pytest.mark.parametrize(
    ("without", "status", "words"),
    [
        (("if=virtio",), 4, "config block device /dev/vda: No such file or directory: attach the config"),
        (("netdev",), 5, "no network device"),
    ],
)
def test_a_machine_that_lacks_a_device(
    setting: Setting, tmp_path: Path, without: tuple[str, ...], status: int, words: str
) -> None:
    process = machine(setting, tmp_path, *without)
    assert process.wait(60) == 0
    console = process.text.replace("\r", "")
    assert words in console
    assert console.rstrip().endswith(f"hognose: exit status {status}")


def test_without_a_source_of_randomness(setting: Setting, tmp_path: Path) -> None:
    process = machine(setting, tmp_path, "virtio-rng")
    try:
        process.wait_for("^info ready ", 60)
        with setting.client("c1") as client:
            client.connected()
    finally:
        process.stop()


def test_a_crash_is_told_by_the_status(setting: Setting, tmp_path: Path) -> None:
    """An image without its byte code: the interpreter gives up, the kernel panics, and that is no success."""
    sys.path.insert(0, str(REPO / "image"))
    import build

    image = tmp_path / "hognose.cpio.zst"
    shutil.copy(build.CACHE / f"interpreter-{build.interpreter_key()}" / "base.cpio.zst", image)
    shutil.copy(REPO / "dist/vmlinuz", tmp_path)
    process = machine(setting, tmp_path, image=image)
    assert process.wait(60) != 0
    server = Server("vm", setting.topology.namespaces, setting.config(), tmp_path, image=image)
    assert server.process.wait(60) == 1


@pytest.mark.timeout(900)
def test_boots(setting: Setting) -> None:
    """Every boot comes up and goes down in order."""
    for _ in range(int(os.environ.get("HOGNOSE_BOOTS", "3"))):
        with setting.server("vm", mem=128) as server:
            assert server.stop() == 0


def test_launcher_errors(setting: Setting, tmp_path: Path) -> None:
    """A missing tap, block file or image is one line, before qemu starts."""
    spaces = setting.topology.namespaces
    config = tmp_path / "server.conf.full"
    config.write_text(setting.config())
    launcher, image = str(LAUNCHER), str(IMAGE)
    for words, text in (
        ([f"--block:storage={config}", "--net:service=nosuch", "--", image], "no such tap"),
        (["--block:storage=/nonexistent", f"--net:service={TAP}", "--", image], "no such file"),
        ([f"--block:storage={config}", f"--net:service={TAP}", "--", "/nonexistent"], "no such file"),
        ([f"--net:service={TAP}", "--", image], "--block:storage"),
        (["--mem=64", f"--block:storage={config}", f"--net:service={TAP}", "--", image], "from 80"),
    ):
        out = spaces.run("host", launcher, *words, check=False)
        assert text in out
        assert len(out.strip().splitlines()) == 1
