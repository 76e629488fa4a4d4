"""dist/hognose.hvt as users run it: boots, restarts, small machines, bad configs, floods.

What every machine must do is in tests/vm/test_machines.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting, check_basics
from tests.world.openvpn_client import OpenvpnClient
from tests.world.server import Server
from tests.world.tender import compile_tender, hvt_carrier, used
from tests.world.topology import TAP, Topology

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-hvt", tmp_path_factory.mktemp("topology"), clients=10) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


@pytest.fixture
def carrier() -> str:
    return hvt_carrier()


@pytest.mark.timeout(600)
def test_nested(setting: Setting) -> None:
    """A real ring 0: Debian's kvm-amd under emulation."""
    used["nested"] = f"in a Debian kernel under qemu's emulation, {compile_tender().name}"
    with setting.server("nested") as server, setting.client("c1") as client:
        client.connected(90)
        check_basics(setting, client, 4 * MIB)
        assert "nano-kernel" not in server.log


@pytest.mark.timeout(900)
def test_boots(setting: Setting, carrier: str) -> None:
    for _ in range(int(os.environ.get("HOGNOSE_BOOTS", "5"))):
        with setting.server(carrier) as server:
            assert server.process.running
            assert server.event("ready")["offloads"] == "rx_gso:1,rx_uso4:0,tx_csum:1,tx_tso4:1,tx_uso4:1"


def test_a_client_finds_a_restarted_guest_again(setting: Setting, carrier: str) -> None:
    """The tender is killed: unknown TCP segments are reset, the client comes back at once, whatever its keepalive."""
    with setting.client("c1") as client:
        with setting.server(carrier, extra=("keepalive 10 60",)) as server:
            client.connected(60)
            server.process.stop(signal.SIGKILL)
        with setting.server(carrier, extra=("keepalive 10 60",)):
            began = time.monotonic()
            client.connected(60, count=2)
            if carrier == "hvt":
                assert time.monotonic() - began < 15
            assert client.ping(GATEWAY)


@pytest.mark.timeout(600)
def test_ten_clients_in_a_small_machine(setting: Setting, carrier: str) -> None:
    """64 MiB, 17 of them the image."""
    with setting.server(carrier, mem=64) as server:
        clients: list[OpenvpnClient] = []
        try:
            for name in setting.topology.clients:
                clients.append(setting.client(name).connected(60))
            assert len({client.address for client in clients}) == 10
            for client in clients:
                check_basics(setting, client, MIB)
            assert "internal_error" not in server.log
        finally:
            for client in clients:
                client.stop()


def test_a_config_that_fills_its_blocks(setting: Setting, carrier: str) -> None:
    """Exactly 512 n bytes, the last one a newline: nothing after it to say that it ends."""
    text = setting.config()
    filler = -len(text) % 512
    text += "#" * (filler - 1) + "\n" if filler else ""
    assert len(text) % 512 == 0
    with Server(carrier, setting.topology.namespaces, text, setting.folder).ready(90), setting.client("c1") as client:
        client.connected(60)


@pytest.mark.parametrize("size", [0, 1000])
def test_a_config_that_is_no_block_device(setting: Setting, carrier: str, size: int) -> None:
    """The tender's own error."""
    if carrier != "hvt":
        pytest.skip("the nested machine's tender says it on a console of its own")
    server = Server(carrier, setting.topology.namespaces, b"#" * size, setting.folder)
    assert server.process.wait(20) == 1
    assert "512 bytes" in server.log


def test_frames_beyond_the_mtu_are_dropped(setting: Setting, carrier: str) -> None:
    spaces = setting.topology.namespaces
    with setting.server(carrier) as server, setting.client("c1") as client:
        client.connected(60)
        spaces.run("host", "ip", "link", "set", TAP, "mtu", "9000")
        try:
            flags = ["-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", "4000"]
            spaces.run("host", "ping", *flags, "10.0.0.2", check=False)
        finally:
            spaces.run("host", "ip", "link", "set", TAP, "mtu", "1500")
        assert client.ping(GATEWAY)
        assert server.process.running


def test_a_client_that_floods(setting: Setting, carrier: str) -> None:
    """One client sends all that it can for a while; another one is served during that and after it."""
    with setting.server(carrier) as server, setting.client("c1") as first, setting.client("c2") as second:
        first.connected(60)
        second.connected(60)
        flood = ["timeout", "8", "ping", "-f", "-s", "1300", GATEWAY]
        command = setting.topology.namespaces.command("c1", *flood)
        flooding = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        out = second.run("ping", "-c", "5", "-i", "0.5", "-W", "5", GATEWAY, check=False)
        assert " 0% packet loss" in out
        flooding.wait(30)
        assert first.ping(GATEWAY)
        check_basics(setting, second, MIB)
        assert "internal_error" not in server.log
