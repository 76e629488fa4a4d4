"""A volume instead of a file for the config: written by `embed --update` under a server, cut, and gone."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, Setting
from tests.world.server import Server
from tests.world.topology import Topology

pytestmark = pytest.mark.interop
SIZE = 65_536


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-volume", tmp_path_factory.mktemp("topology"), clients=1) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A block device of 64 KiB, all zeros."""
    image = tmp_path / "volume"
    image.write_bytes(bytes(SIZE))
    made = subprocess.run(["losetup", "-f", "--show", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no loop device here: {made.stderr.strip()}")
    device = Path(made.stdout.strip())
    yield device
    subprocess.run(["losetup", "-d", str(device)], capture_output=True, check=False)


class VolumeServer(Server):
    """A hosted server whose config is the volume."""

    def __init__(self, setting: Setting, volume: Path) -> None:
        super().__init__("hosted", setting.topology.namespaces, "", setting.folder, config_path=volume)


def update(setting: Setting, volume: Path, *extra: str) -> str:
    """Write a config over the volume's; standard error, "" when all went well."""
    (setting.folder / "server.conf").write_text(setting.config(extra=extra))
    words = ["-m", "hognose", "config", "embed", "--update", str(volume), str(setting.folder / "server.conf")]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.stderr if done.returncode else ""


def test_a_volume_under_a_server(setting: Setting, volume: Path) -> None:
    assert update(setting, volume, "max-clients 5") == ""
    assert len(volume.read_bytes()) == SIZE
    with VolumeServer(setting, volume).ready() as server, setting.client("c1") as alice:
        alice.connected()
        assert update(setting, volume, "max-clients 6") == ""
        assert server.event("config_reloaded", 10)["changed"] == "max_clients"
        told = update(setting, volume, "max-clients 7", *["# " + "x" * 90] * 700)
        assert "server.conf: the device has 65536 bytes, the config " in told
        whole = volume.read_bytes()
        plain = setting.config(extra=("max-clients 8",)).encode()
        with volume.open("r+b") as device:
            device.write(plain + b"# no end" + bytes(SIZE - len(plain) - 8))
        check = [sys.executable, "-m", "hognose", "config", "check", str(volume)]
        checked = subprocess.run(check, capture_output=True, text=True, check=False)
        assert (checked.returncode, "the last line has no end" in checked.stderr) == (3, True)
        server.process.send_signal(signal.SIGHUP)  # without one it is waited for, half a minute
        assert "the last line has no end" in server.event("config_error")["text"]
        with volume.open("r+b") as device:
            device.write(whole[:4096] + bytes(SIZE - 4096))
        assert "does not match its marks" in server.event("config_error", 40, 2)["text"]
        assert update(setting, volume, "max-clients 9") == ""
        assert server.event("config_reloaded", 10, 2)["changed"] == "max_clients"
        assert alice.ping(GATEWAY)
        assert alice.log.count("Initialization Sequence Completed") == 1
    with volume.open("r+b") as device:
        device.seek(SIZE - 512)
        device.write(bytes(512))
    with VolumeServer(setting, volume) as server:
        assert server.process.wait(20) == 3
        assert "does not match its marks" in server.event("config_error")["text"]
