"""The real openvpn client against the hosted server, over the host recipe of the README."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.interop.cases import (
    GATEWAY,
    MIB,
    Setting,
    check_basics,
    check_client_to_client,
    check_negotiated,
    load_until,
)
from tests.world.processes import Process
from tests.world.server import REPO, Server
from tests.world.topology import Topology

pytestmark = pytest.mark.interop

CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")
WRAPS = ("tls-auth", "tls-crypt", "none")


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-interop", tmp_path_factory.mktemp("topology")) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


@pytest.mark.parametrize(("wrap", "cipher", "tls"), list(itertools.product(WRAPS, CIPHERS, ("1.2", "1.3"))))
def test_cell(setting: Setting, wrap: str, cipher: str, tls: str) -> None:
    extra = (f"data-ciphers {cipher}", *(("auth SHA256",) if wrap == "tls-auth" else ()))
    client_extra = (f"tls-version-max {tls}", *(("auth SHA256",) if wrap == "tls-auth" else ()))
    with setting.server("hosted", wrap, extra) as server, setting.client("c1", wrap, client_extra) as client:
        client.connected()
        check_negotiated(server, client, wrap=wrap, cipher=cipher, tls=f"TLSv{tls}")
        check_basics(setting, client, MIB)


def test_a_server_without_offloads(setting: Setting) -> None:
    config = setting.config()
    arguments = ["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.1", "--offload=off"]
    with (
        Server("hosted", setting.topology.namespaces, config, setting.folder, arguments=arguments).ready() as server,
        setting.client("c1") as client,
    ):
        assert "offloads=rx_gso:0,rx_uso4:0,tx_csum:0,tx_tso4:0,tx_uso4:0 " in server.log
        client.connected()
        check_basics(setting, client, 16 * MIB)


@pytest.mark.parametrize("allowed", [False, True])
def test_client_to_client(setting: Setting, allowed: bool) -> None:
    check_client_to_client(setting, "hosted", allowed)


@pytest.mark.parametrize("wrap", WRAPS)
def test_renegotiation_under_load(setting: Setting, wrap: str) -> None:
    # hand-window and reneg-sec decide when a sender switches keys: short ones make several switches happen.
    extra = ("hand-window 6",)
    with setting.server("hosted", wrap, extra) as server, setting.client("c1", wrap, ("reneg-sec 6",)) as client:
        client.connected()
        load_until(setting, server, "c1", 24 * MIB, "client_renegotiated", 2)
        assert server.event("client_renegotiated", count=2)["tls"] == "TLSv1.3"
        assert client.log.count("Initialization Sequence Completed") == 1
        assert client.log.count("Data Channel: cipher") >= 1
        server.stop()
        assert "drop_data_authentication" not in server.log
        assert "drop_data_replay" not in server.log
        assert "drop_no_data_key" not in server.log


def test_renegotiation_started_by_the_server(setting: Setting) -> None:
    with setting.server("hosted", extra=("reneg-sec 5", "hand-window 5")) as server, setting.client("c1") as client:
        client.connected()
        server.event("client_renegotiated", timeout=20, count=2)
        check_basics(setting, client, MIB)


def test_reconnect_after_a_crash(setting: Setting) -> None:
    identity = setting.authority.issue("alice")
    with setting.server("hosted", extra=("keepalive 2 6",)) as server:
        first = setting.client("c1", identity=identity).connected()
        address = first.address
        first.kill()
        with setting.client("c1", identity=identity) as second:
            second.connected()
            assert second.address == address
            check_basics(setting, second, MIB)
        assert server.process.running


def test_a_silent_client_is_dropped_and_its_connection_reset(setting: Setting) -> None:
    with setting.server("hosted", extra=("keepalive 1 3",)) as server, setting.client("c1") as client:
        client.connected()
        client.process.send_signal(signal.SIGSTOP)
        assert server.event("client_ended", timeout=20)["reason"] == "peer_timeout"
        client.process.send_signal(signal.SIGCONT)
        client.connected(count=2)


def test_a_restarted_server_is_found_again(setting: Setting) -> None:
    with setting.client("c1") as client:
        with setting.server("hosted", extra=("keepalive 2 10",)) as server:
            client.connected()
            assert server.stop() == 0
        with setting.server("hosted", extra=("keepalive 2 10",)):
            client.connected(count=2, timeout=40)
            check_basics(setting, client, MIB)


def test_max_clients_and_duplicate_names(setting: Setting) -> None:
    identity = setting.authority.issue("alice")
    with setting.server("hosted", extra=("max-clients 1",)) as server:
        with setting.client("c1", identity=identity) as first:
            first.connected()
            with setting.client("c2", common_name="bob") as second:
                second.process.wait_for("AUTH_FAILED")
                assert server.event("client_refused")["reason"] == "the server is full"
            with setting.client("c2", identity=identity) as newer:
                newer.connected()
                assert server.event("client_ended")["reason"] == "replaced"


def test_two_sessions_with_one_certificate(setting: Setting) -> None:
    identity = setting.authority.issue("alice")
    with (
        setting.server("hosted", extra=("duplicate-cn",)),
        setting.client("c1", identity=identity) as first,
        setting.client("c2", identity=identity) as second,
    ):
        first.connected()
        second.connected()
        assert first.address != second.address
        assert first.ping(GATEWAY)
        assert second.ping(GATEWAY)


def test_handbook_files(setting: Setting, tmp_path: Path) -> None:
    """The handbook's server.conf and client config with an easy-rsa EC PKI, embedded by the tool."""
    rsa = tmp_path / "rsa"
    environment = {"EASYRSA_ALGO": "ec", "EASYRSA_BATCH": "1", "EASYRSA_PKI": str(rsa), "PATH": "/usr/bin:/bin"}
    easyrsa = shutil.which("easyrsa") or "/usr/share/easy-rsa/easyrsa"
    for words in (["init-pki"], ["build-ca", "nopass"], ["build-server-full", "server", "nopass"],
                  ["build-client-full", "alice", "nopass"]):  # fmt: skip
        subprocess.run([easyrsa, *words], env=environment, cwd=tmp_path, check=True, capture_output=True)
    for source in ("ca.crt", "issued/server.crt", "private/server.key", "issued/alice.crt", "private/alice.key"):
        shutil.copy(rsa / source, tmp_path)
    vectors = REPO / "tests/vectors/config"
    for name in ("server.conf", "alice.config.txt", "dh.pem"):
        shutil.copy(vectors / name, tmp_path)
    (tmp_path / "ta.key").write_text(setting.key)
    embedded = subprocess.run(
        ["python3", "-m", "hognose", "config", "embed", str(tmp_path / "server.conf")],
        check=True, capture_output=True, env={"PYTHONPATH": str(REPO / "src"), "PATH": _path()},
    ).stdout  # fmt: skip
    config = (tmp_path / "alice.config.txt").read_text().replace("remote 10.0.0.2", "remote 192.0.2.1")
    (tmp_path / "alice.ovpn").write_text(f"{config}\nroute 198.51.100.0 255.255.255.0\n")
    spaces = setting.topology.namespaces
    with Server("hosted", spaces, embedded, tmp_path).ready():
        client = Process(spaces.command("c1", "openvpn", "--config", "alice.ovpn"), tmp_path / "alice.log", tmp_path)
        try:
            client.wait_for("Initialization Sequence Completed", 20)
            setting.topology.transfer("c1", "get", MIB)
            setting.topology.transfer("c1", "put", MIB)
        finally:
            client.stop()


@pytest.mark.parametrize(
    ("name", "wrap"), [("reference-tool", "tls-auth"), ("reference-tool.tls-crypt-v2", "tls-crypt-v2")]
)
def test_what_the_reference_tool_wrote_boots_unchanged(setting: Setting, tmp_path: Path, name: str, wrap: str) -> None:
    vectors = REPO / "tests/vectors/config"
    for file in ("ca.crt", "alice.crt", "alice.key", "ta.key", "v2c.key"):
        shutil.copy(vectors / file, tmp_path)
    config = (vectors / "alice.config.txt").read_text().replace("remote 10.0.0.2", "remote 192.0.2.1")
    if wrap == "tls-crypt-v2":
        config = config.replace("tls-auth ta.key 1", "tls-crypt-v2 v2c.key")
    (tmp_path / "alice.ovpn").write_text(f"{config}\nverb 4\nroute 198.51.100.0 255.255.255.0\n")
    spaces = setting.topology.namespaces
    with Server("hosted", spaces, (vectors / f"{name}.server.conf.full").read_bytes(), tmp_path).ready() as server:
        client = Process(spaces.command("c1", "openvpn", "--config", "alice.ovpn"), tmp_path / "alice.log", tmp_path)
        try:
            client.wait_for("Initialization Sequence Completed", 20)
            setting.topology.transfer("c1", "get", MIB)
            # Its ping and ping-restart are its server's: the client is told half of the time-out.
            assert "ping 10,ping-restart 15" in client.text
            [line] = server.process.wait_for("client_established")
            assert f"wrap={wrap}" in line
        finally:
            client.stop()


def _path() -> str:
    return f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin"


# pread64 is the look at the config; restart_syscall is the poll that strace's arrival interrupted.
LOAD_CALLS = {
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "poll",
    "ppoll",
    "clock_gettime",
    "ioctl",
    "restart_syscall",
}
# At a handshake only: OpenSSL's random generator reseeds, and looks whether the process was forked; a first use grows
# the heap.
HANDSHAKE_CALLS = {"getrandom", "getpid", "futex", "brk", "mmap", "munmap", "mremap", "madvise"}


def _traced(setting: Setting, server: Server, work: Callable[[], None]) -> set[str]:
    """System calls of the server while work runs."""
    trace = setting.folder / "strace.txt"
    command = ["strace", "-f", "-o", str(trace), "-p", str(server.process.pid)]
    strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    work()
    strace.send_signal(signal.SIGINT)
    strace.wait(10)
    return {
        match[1] for match in (re.match(r"\d+\s+(\w+)\(", line) for line in trace.read_text().splitlines()) if match
    }


def test_run_time_system_calls(setting: Setting) -> None:
    """After the ready line: read and write families, poll, clock, ioctl; no socket, no epoll among the fds."""

    def load() -> None:
        began = time.monotonic()
        while time.monotonic() - began < 10:
            setting.topology.transfer("c1", "get", 8 * MIB, timeout=300)
            setting.topology.transfer("c1", "put", 8 * MIB, timeout=300)

    def handshake() -> None:
        with setting.client("c2") as second:
            second.connected()

    with setting.server("hosted") as server, setting.client("c1") as client:
        client.connected()
        for direction in ("get", "put"):  # buffers have their size then, the congestion window too
            setting.topology.transfer("c1", direction, 64 * MIB)
        calls = _traced(setting, server, load)
        assert calls <= LOAD_CALLS, f"unexpected system calls: {calls - LOAD_CALLS}"
        assert {"read", "writev", "poll"} <= calls
        calls = _traced(setting, server, handshake)
        assert calls <= LOAD_CALLS | HANDSHAKE_CALLS, f"unexpected system calls: {calls}"
        links = [str(path.readlink()) for path in Path(f"/proc/{server.process.pid}/fd").iterdir()]
        assert not [link for link in links if "socket" in link or "eventpoll" in link]


def test_a_server_without_any_capability(setting: Setting) -> None:
    """The tap belongs to its user; from `ready` on the kernel says that it is confined."""
    under = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    spaces = setting.topology.namespaces
    with (
        Server("hosted", spaces, setting.config(), setting.folder, under=under).ready() as server,
        setting.client("c1") as client,
    ):
        client.connected()
        setting.topology.transfer("c1", "get", MIB)
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert [int(found[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0, 0, 0, 0]
        assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
        [ready] = server.process.wait_for("^info ready ")
        assert " confined=yes " in ready


def test_hosted_mode_never_imports_pyroute2() -> None:
    code = "import sys, hognose.cli.main, hognose.cli.serve; sys.exit(bool({'pyroute2', 'asyncio'} & set(sys.modules)))"
    subprocess.run(["python3", "-c", code], check=True, env={"PYTHONPATH": str(REPO / "src"), "PATH": _path()})
