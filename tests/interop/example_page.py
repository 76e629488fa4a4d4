"""The page of examples as a user types it: its commands, its files, its profiles with the real client."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.world.openvpn_client import OpenvpnClient
from tests.world.processes import Process
from tests.world.server import ARGUMENTS, Server
from tests.world.tender import REPO
from tests.world.topology import HOST, Topology

EXAMPLES = REPO / "docs" / "examples"
TEXT = (REPO / "docs" / "examples.md").read_text(encoding="utf-8")
SPACES = {"alice": "c1", "bob": "c2", "carol": "c3"}


def make_pki(folder: Path) -> Path:
    """Files that the page makes for all examples, and the clients' files beside it; returns the folder."""
    run(folder, "pki")
    for name in SPACES:
        shutil.copy(folder / "pki" / "issued" / f"{name}.crt", folder)
        shutil.copy(folder / "pki" / "private" / f"{name}.key", folder)
    return folder


def commands(name: str) -> str:
    """The block after `<!-- run name -->`."""
    block = re.search(rf"<!-- run {name} -->\n```\n(.*?)```", TEXT, re.DOTALL)
    assert block, name
    return block[1]


def run(folder: Path, name: str) -> None:
    """Type the commands after `<!-- run name -->`."""
    type_in(folder, commands(name))


def type_in(folder: Path, text: str) -> None:
    """Commands in a shell with the package's and easy-rsa's programs in its path; the first that fails is an error."""
    tools = [Path(sys.executable).parent, "/usr/share/easy-rsa"]
    environment = {
        **os.environ,
        "PATH": ":".join(map(str, (*tools, os.environ["PATH"]))),
        "EASYRSA_BATCH": "1",
        "EASYRSA_ALGO": "ec",
    }
    told = subprocess.run(
        ["sh", "-euc", text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
    assert "Traceback" not in told.stderr


def add_revoked(folder: Path, first: int, end: int) -> None:
    """Put the certificates of former users, by their numbers, into easy-rsa's index as revoked."""
    with (folder / "pki" / "index.txt").open("a", encoding="ascii") as index:
        for number in range(first, end):
            serial = f"{0xA0 << 120 | number:032X}"
            index.write(f"R\t400101000000Z\t260101000000Z\t{serial}\tunknown\t/CN=user{number}\n")


class Client(OpenvpnClient):
    """The real client with an example's profile: only `remote` and, for another than alice, the names of her files."""

    def __init__(
        self, topology: Topology, folder: Path, name: str, profile: str, program: tuple[str, ...] = ("openvpn",)
    ) -> None:
        text = (folder / profile).read_text(encoding="utf-8").replace("vpn.example.org", HOST)
        own = folder / f"{name}.ovpn"
        own.write_text(text.replace("alice.", f"{name}."))
        self.name = SPACES[name]
        self._namespaces = topology.namespaces
        command = self._namespaces.command(self.name, *program, "--config", own.name)
        environment = {**os.environ, "OPENSSL_CONF": os.devnull} if program[0] != "openvpn" else None
        self.process = Process(command, folder / f"{name}.log", folder, environment)

    def way_to(self, address: str) -> str:
        """The interface that packets for an address leave by."""
        route = self.run("ip", "route", "get", address)
        return re.findall(r"dev (\S+)", route)[0]

    def end(self) -> str:
        """Its log, when it has ended by itself."""
        self.process.wait(20)
        return self.log


class Example:
    """The files of one example beside those that they name; the server is started by `serve`."""

    def __init__(self, name: str, topology: Topology, pki: Path, folder: Path, stack: ExitStack) -> None:
        self.folder = folder / name
        self._topology = topology
        self._stack = stack
        shutil.copytree(pki, self.folder)
        shutil.copytree(EXAMPLES / name, self.folder, dirs_exist_ok=True)

    def serve(self, *commands: str, carrier: str = "hosted", mem: int = 256) -> Server:
        """Run these commands of the page, embed the config, start the server."""
        for name in (*commands, "embed"):
            run(self.folder, name)
        config = (self.folder / "server.conf.full").read_bytes()
        words = [*ARGUMENTS, "--clients-may-reach=not-uplink"]
        server = Server(carrier, self._topology.namespaces, config, self.folder, arguments=words, mem=mem)
        return self._stack.enter_context(server.ready())

    def client(self, name: str, profile: str = "client.ovpn", program: tuple[str, ...] = ("openvpn",)) -> Client:
        """A client that was started."""
        client = Client(self._topology, self.folder, name, profile, program)
        self._stack.enter_context(client)
        return client

    def connected(self, name: str, profile: str = "client.ovpn") -> Client:
        """A client that is in."""
        client = self.client(name, profile)
        client.connected()
        return client
