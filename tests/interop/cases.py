"""Cases of a server with a real client; the same functions for the hosted server and the VM."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.compat.cells import Cell
from tests.world import old_clients
from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.pki import SERVER, Authority, Identity, current_authority, static_key, tls_crypt_v2_keys
from tests.world.server import Server, ServerSettings
from tests.world.topology import INTERNET, Topology

MIB = 1 << 20
GATEWAY = "10.8.0.1"
TO_INTERNET = "route 198.51.100.0 255.255.255.0"


class Listening(Protocol):
    """Facts of a server that a check needs."""

    def event(self, name: str, timeout: float = 10, count: int = 1) -> dict[str, str]: ...


def block(name: str, body: str) -> str:
    """An embedded file."""
    return f"<{name}>\n{body.strip()}\n</{name}>"


@dataclass
class Setting:
    """One PKI, one static key, one topology; makes servers and clients that fit each other."""

    topology: Topology
    folder: Path
    authority: Authority = field(default_factory=current_authority)
    key: str = field(default_factory=static_key)
    proto: str = "tcp"

    def __post_init__(self) -> None:
        self.server_identity = self.authority.issue("server", SERVER)

    @functools.cached_property
    def v2_keys(self) -> tuple[str, str]:
        """The tls-crypt-v2 keys of the server and of every client."""
        return tls_crypt_v2_keys()

    def wrap_key(self, wrap: str, side: int) -> str:
        """The key of a wrap for the server (side 0) or a client (side 1)."""
        return self.v2_keys[side] if wrap == "tls-crypt-v2" else self.key

    def config(self, wrap: str = "tls-crypt", extra: tuple[str, ...] = (), *, with_ca: bool = True) -> str:
        """An embedded server config."""
        key = self.wrap_key(wrap, 0)
        return ServerSettings(self.authority, self.server_identity, wrap, key, list(extra), with_ca, self.proto).text()

    def server(self, carrier: str, wrap: str = "tls-crypt", extra: tuple[str, ...] = (), mem: int = 256) -> Server:
        """A server that is up."""
        return Server(carrier, self.topology.namespaces, self.config(wrap, extra), self.folder, mem=mem).ready()

    def client(
        self,
        name: str,
        wrap: str = "tls-crypt",
        extra: tuple[str, ...] = (),
        *,
        identity: Identity | None = None,
        key: str | None = None,
        common_name: str = "",
        program: tuple[str, ...] = ("openvpn",),
        label: str = "",
        proto: str = "",
    ) -> OpenvpnClient:
        """A client that was started."""
        who = identity or self.authority.issue(common_name or name)
        settings = ClientSettings(
            self.authority.pem,
            who,
            wrap=wrap,
            static_key=key or self.wrap_key(wrap, 1),
            extra=[TO_INTERNET, *extra],
            proto=proto or self.proto,
        )
        return OpenvpnClient(self.topology.namespaces, name, settings, self.folder, program=program, label=label)


def revoking(setting: Setting, *identities: Identity) -> str:
    """Embedded crl-verify of the setting's authority."""
    return block("crl-verify", setting.authority.revocation_list(*identities))


def check_basics(setting: Setting, client: OpenvpnClient, size: int) -> None:
    """Ping the gateway, ping beyond the NAT, move bytes both ways."""
    for address in (GATEWAY, INTERNET):
        assert client.ping(address), f"a ping of {address} was not answered"
    setting.topology.transfer(client.name, "get", size)
    setting.topology.transfer(client.name, "put", size)


def load_until(setting: Setting, server: Server, name: str, size: int, event: str, count: int) -> None:
    """Bytes move both ways through a client until the server has logged the event so often, and once more after that.

    The test's timeout bounds it.
    """
    done = False
    while not done:
        done = len(re.findall(rf"^\w+ {event} ", server.log, re.M)) >= count
        setting.topology.transfer(name, "get", size)
        setting.topology.transfer(name, "put", size)


def check_negotiated(
    server: Listening,
    client: OpenvpnClient,
    *,
    wrap: str,
    cipher: str,
    tls: str,
    key_source: str = "tls-ekm",
    digest: str = "",
    epoch: bool = False,
) -> None:
    """Cipher, wrap, TLS version, key source and data format, as both sides say; digest is that of tls-auth and CBC."""
    event = server.event("client_established")
    said = {name: event[name] for name in ("cipher", "wrap", "tls", "key_source")}
    assert said == {"cipher": cipher, "wrap": wrap, "tls": tls, "key_source": key_source}, f"the server says {event}"
    assert event["header"].endswith("+epoch") is epoch, f"the server says {event}"
    assert client.ping(GATEWAY, 1), f"a ping of {GATEWAY} was not answered"
    heard = client.negotiated
    expected = {
        "cipher": cipher,
        "tls": tls,
        "wrap": wrap.removesuffix("-v2"),
        "key_source": key_source,
        "format": "epoch" if epoch else "",
    }
    if digest and wrap == "tls-auth":
        expected["digest"] = digest
    if digest and cipher.endswith("-CBC"):
        expected["auth"] = digest
    assert {name: heard[name] for name in expected} == expected, f"the client says {heard}"


def check_cell(server: Listening, client: OpenvpnClient, cell: Cell, *, epoch: bool) -> None:
    """Negotiation demanded of a cell of the compatibility matrix; epoch: both sides can."""
    check_negotiated(
        server,
        client,
        wrap=cell.wrap,
        cipher=cell.cipher,
        tls=cell.tls,
        key_source=cell.key_source,
        digest=cell.digest,
        epoch=epoch,
    )
    said = client.negotiated["transport"]
    assert said == cell.transport, f"the client says {said}"
    dynamic = "Outgoing dynamic tls-crypt: Cipher" in client.log
    assert dynamic is (cell.key_source == "tls-ekm"), f"dynamic tls-crypt: {dynamic}"


def check_release(setting: Setting, carrier: str, cell: Cell) -> None:
    """A client of any release gets what its cell says, and bytes pass; NotServed when there is no such client."""
    setting.proto = cell.transport
    program = old_clients.openvpn(cell.release)
    with (
        setting.server(carrier, cell.wrap, cell.server_lines) as server,
        setting.client("c1", cell.wrap, cell.client_lines, program=program) as client,
    ):
        client.connected()
        check_cell(server, client, cell, epoch=cell.epoch)
        check_basics(setting, client, MIB)


def check_client_to_client(setting: Setting, carrier: str, allowed: bool) -> None:
    """Two clients reach each other exactly when the config says so."""
    extra = ("client-to-client",) if allowed else ()
    with (
        setting.server(carrier, extra=extra) as server,
        setting.client("c1") as first,
        setting.client("c2") as second,
    ):
        first.connected()
        second.connected()
        assert first.address != second.address
        assert first.ping(second.address) is allowed
        assert second.ping(first.address) is allowed
        assert first.ping(GATEWAY)
        assert server.process.running
