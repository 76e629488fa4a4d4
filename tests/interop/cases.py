"""What a server must do for a real client; the same functions for the hosted server and the VM."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.pki import SERVER, Authority, Identity, static_key
from tests.world.server import Server, ServerSettings
from tests.world.topology import INTERNET, Topology

MIB = 1 << 20
GATEWAY = "10.8.0.1"
TO_INTERNET = "route 198.51.100.0 255.255.255.0"


@dataclass
class Setting:
    """One PKI, one static key, one topology; makes servers and clients that fit each other."""

    topology: Topology
    folder: Path
    authority: Authority = field(default_factory=Authority)
    key: str = field(default_factory=static_key)

    def __post_init__(self) -> None:
        self.server_identity = self.authority.issue("server", SERVER)

    def config(self, wrap: str = "tls-crypt", extra: tuple[str, ...] = ()) -> str:
        """An embedded server config."""
        return ServerSettings(self.authority, self.server_identity, wrap, self.key, list(extra)).text()

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
    ) -> OpenvpnClient:
        """A client that was started."""
        who = identity or self.authority.issue(common_name or name)
        settings = ClientSettings(
            self.authority.pem, who, wrap=wrap, static_key=key or self.key, extra=[TO_INTERNET, *extra]
        )
        return OpenvpnClient(self.topology.namespaces, name, settings, self.folder)


def check_basics(setting: Setting, client: OpenvpnClient, size: int) -> None:
    """Ping the gateway, ping beyond the NAT, move bytes both ways."""
    assert client.ping(GATEWAY)
    assert client.ping(INTERNET)
    setting.topology.transfer(client.name, "get", size)
    setting.topology.transfer(client.name, "put", size)


def check_negotiated(server: Server, client: OpenvpnClient, *, wrap: str, cipher: str, tls: str) -> None:
    """Cipher, wrap, TLS version and key source, as both sides say."""
    event = server.event("client_established")
    assert (event["cipher"], event["wrap"], event["tls"]) == (cipher, wrap, tls)
    assert event["key_source"] == "tls-ekm"
    log = client.log
    assert f"Data Channel: cipher '{cipher}'" in log
    assert f"Control Channel: {tls}," in log
    assert re.search(r"Protocol options: .*protocol-flags .*tls-ekm", log)
    encrypted = "Outgoing Control Channel Encryption: Cipher 'AES-256-CTR'" in log
    authenticated = "Outgoing Control Channel Authentication: Using" in log
    expected = {"tls-crypt": (True, False), "tls-auth": (False, True), "none": (False, False)}
    assert (encrypted, authenticated) == expected[wrap]


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
