"""Clients that the real OpenVPN server lets in, and ours: the same clients at both, in one run."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.interop.verdict_cases import CASES, SETTINGS, Case, Pki
from tests.world.pki import Identity
from tests.world.processes import Process
from tests.world.server import Server
from tests.world.topology import HOST, Topology

from hognose.host.console import format_value

pytestmark = pytest.mark.interop

REAL = "192.0.2.12 1195"  # in the namespace c2; the host takes port 1194 away even on its bridge
OURS = f"{HOST} 1194"
BASE = ("proto tcp-server", "dev tun", "topology subnet", "server 10.8.0.0 255.255.255.0",
        "keepalive 10 60", "dh none")  # fmt: skip
CLIENT = ("client", "dev null", "proto tcp", "nobind", "verb 3", "ifconfig-noexec", "route-noexec", "auth-nocache",
          "remap-usr1 SIGTERM", "connect-retry-max 1", "connect-timeout 5", "hand-window 15",
          "tls-cert-profile insecure")  # fmt: skip


def text(lines: tuple[str, ...], blocks: dict[str, str]) -> str:
    """A config with everything inline."""
    parts = [*lines]
    for name, body in blocks.items():
        if body:
            parts += [f"<{name}>", body.strip(), f"</{name}>"]
    return "\n".join(parts) + "\n"


@dataclass
class Verdict:
    """Verdict on a client, its name by the server, and what the server said of it."""

    accepted: bool
    name: str
    log: str


class Rivals:
    """Both servers with one setting."""

    def __init__(self, topology: Topology, folder: Path, pki: Pki, setting: str) -> None:
        side = SETTINGS[setting]
        blocks = {"ca": pki.ca.pem, "cert": pki.server.cert, "key": pki.server.key, **side.blocks(pki)}
        config = folder / "openvpn.conf"
        lines = (*BASE, "port 1195", "verb 3", "disable-dco", *side.lines)
        if side.files:
            directory = folder / "ccd"
            directory.mkdir()
            for name, body in side.files.items():
                (directory / name).write_text(f"{body}\n")
            lines = (*lines, f"client-config-dir {directory}")
        config.write_text(text(lines, blocks))
        if side.files:
            sections = [f"[{name}]\n{body}\n" for name, body in side.files.items()]
            blocks["client-config-dir"] = "".join(sections)
        self._spaces, self._folder, self._pki = topology.namespaces, folder, pki
        self.real = Process(self._spaces.command("c2", "openvpn", "--config", str(config)), folder / "openvpn.log")
        ours = text((*BASE, "port 1194", *side.lines), blocks)
        padded = ours + "\n" * (-len(ours.encode()) % 512)
        self.ours = Server("hosted", self._spaces, padded, folder)

    def ready(self) -> Rivals:
        """Both are up."""
        self.real.wait_for("Initialization Sequence Completed")
        self.ours.ready()
        return self

    def stop(self) -> None:
        """Both."""
        self.ours.process.stop()
        self.real.stop()

    def at_real(self, case: Case, identity: Identity | None) -> Verdict:
        """OpenVPN's verdict."""
        before = len(self.real.text)
        accepted = self._run(REAL, case, identity)
        log = self.real.text[before:]
        names = re.findall(r"\[(.*)\] Peer Connection Initiated", log)
        return Verdict(accepted, names[-1] if names else "", self.real.text[before:])

    def at_ours(self, case: Case, identity: Identity | None) -> Verdict:
        """Hognose's verdict."""
        pattern = r"^\w+ (client_established|client_refused|peer_rejected) "
        before = len(re.findall(pattern, self.ours.log, re.M))
        accepted = self._run(OURS, case, identity)
        line = self.ours.process.wait_for(pattern, 10, before + 1)[-1]
        name = re.search(r'common_name=("(?:[^"\\]|\\.)*"|\S+)', line)
        return Verdict(accepted, name[1].strip('"') if name and accepted else "", line)

    def _run(self, address: str, case: Case, identity: Identity | None) -> bool:
        blocks = {"ca": self._pki.ca.pem}
        if identity is not None:
            blocks |= {"cert": identity.cert, "key": identity.key}
        config = self._folder / "client.ovpn"
        config.write_text(text((*CLIENT, f"remote {address}", *case.lines), blocks))
        client = Process(self._spaces.command("c1", "openvpn", "--config", str(config)), self._folder / "client.log")
        try:
            client.wait_for("Initialization Sequence Completed", 20)
        except RuntimeError:
            assert "TCP connection established" in client.text, client.text
            assert not client.running, client.text
            return False
        finally:
            client.stop()
        return True


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-verdicts", tmp_path_factory.mktemp("topology")) as made:
        yield made


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


class Arena:
    """The servers of one setting at a time: they stay until a case asks for others."""

    def __init__(self, topology: Topology, folder: Path, pki: Pki) -> None:
        self._topology, self._folder, self._pki = topology, folder, pki
        self._setting = ""
        self._rivals: Rivals | None = None

    def rivals(self, setting: str) -> Rivals:
        """Both servers, up."""
        if setting != self._setting:
            self.stop()
            folder = self._folder / f"{len(list(self._folder.iterdir()))}"
            folder.mkdir()
            self._rivals, self._setting = Rivals(self._topology, folder, self._pki, setting), setting
            self._rivals.ready()
        assert self._rivals is not None
        return self._rivals

    def stop(self) -> None:
        """End the servers that run."""
        if self._rivals is not None:
            self._rivals.stop()
        self._setting, self._rivals = "", None


@pytest.fixture(scope="module")
def arena(topology: Topology, pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    made = Arena(topology, tmp_path_factory.mktemp("verdicts"), pki)
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def _unhurried() -> Iterator[None]:
    """The server limits lines about peers by the second; every test here wants its line."""
    yield
    time.sleep(0.2)


def by_setting(case: Case) -> int:
    """The order in which the servers are started: each setting once."""
    return list(SETTINGS).index(case.setting)


IN_ORDER: list[Case] = sorted(CASES, key=by_setting)


@pytest.mark.parametrize("case", IN_ORDER, ids=lambda case: case.id)
def test_verdict(arena: Arena, pki: Pki, case: Case) -> None:
    rivals = arena.rivals(case.setting)
    identity = case.client(pki)
    real, ours = rivals.at_real(case, identity), rivals.at_ours(case, identity)
    assert real.accepted is case.openvpn, real.log
    assert ours.accepted is case.ours, ours.log
    if real.accepted and ours.accepted:
        assert ours.name == format_value(real.name).strip('"')
    if not ours.accepted:
        assert case.says in ours.log
        assert re.search(r"reason=(certificate_rejected|tls_error)|^warning client_refused ", ours.log)
    assert "internal_error" not in rivals.ours.log
    assert "BEGIN" not in rivals.ours.log
