"""Configs that do not fit each other, with the real client: one line of the server's log says what to change where."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from tests.interop.cases import Setting, block
from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.pki import (
    CLIENT,
    SERVER,
    Identity,
    current_authority,
    static_key,
    tls_crypt_v2_client_key,
    tls_crypt_v2_keys,
)
from tests.world.server import Server
from tests.world.topology import Topology

pytestmark = pytest.mark.interop

DAY = 86_400


@dataclass(frozen=True)
class Misfit:
    """A client that one server must turn away, and how that one line must read; `*` stands for anything.

    reason "" is a client_refused line, which has no detail.
    """

    server: str
    name: str
    reason: str
    detail: str
    wrap: str = "tls-crypt"
    extra: tuple[str, ...] = ()
    key: Callable[[Setting], str] | None = None
    key_direction: int | None = 1
    identity: Callable[[Setting], Identity] | None = None


def known(setting: Setting, name: str) -> Identity:
    """The same certificate at every call."""
    if name not in _KNOWN:
        _KNOWN[name] = setting.authority.issue(name)
    return _KNOWN[name]


_KNOWN: dict[str, Identity] = {}
# Wrap and further lines of each server.
SERVERS: dict[str, tuple[str, Callable[[Setting], tuple[str, ...]]]] = {
    "tls-auth": ("tls-auth", lambda _: ()),
    "tls-crypt": (
        "tls-crypt",
        lambda _: ("tls-version-min 1.3", "tls-groups secp256r1", "data-ciphers AES-256-GCM:CHACHA20-POLY1305"),
    ),
    "none": ("none", lambda _: ()),
    "tls-crypt-v2": ("tls-crypt-v2", lambda _: ("tls-crypt-v2-max-age 30",)),
    "revoking": (
        "tls-crypt",
        lambda setting: (
            block("crl-verify", setting.authority.revocation_list(known(setting, "revoked"))),
            block("client-config-dir", "[disabled]\ndisable\n[revoked]\n"),
            "ccd-exclusive",
        ),
    ),
    "expired-crl": (
        "tls-crypt",
        lambda setting: (block("crl-verify", setting.authority.revocation_list(start_days=-9, days=8)),),
    ),
    "picky": (
        "tls-crypt",
        lambda _: ("verify-x509-name office- name-prefix", 'remote-cert-eku "TLS Web Client Authentication"'),
    ),
    "pinned": (
        "tls-crypt",
        lambda setting: (block("peer-fingerprint", known(setting, "pinned").sha256.hex(":")),),
    ),
}


def other_key(_: Setting) -> str:
    """A static key that is not the server's."""
    return static_key()


def old_v2_key(setting: Setting) -> str:
    """Made with the right server key, too long ago."""
    return tls_crypt_v2_client_key(setting.v2_keys[0], int(time.time()) - 31 * DAY)


def issued(name: str, usage: x509.ObjectIdentifier | None = CLIENT, **changes: Any) -> Callable[[Setting], Identity]:
    """A certificate of the setting's authority."""
    return lambda setting: setting.authority.issue(name, usage, **changes)


DIRECTION = "tls-auth: the client's key-direction does not fit; write `key-direction 1` in its config"
OTHER_KEY = "tls-crypt: the client has another static key, or uses tls-auth; give it `tls-crypt` with this server's key"
CRYPT_FOR_AUTH = "the client uses tls-auth with our key; write `tls-crypt ta.key` in its config, or tls-auth here"
V2_HERE = "the client uses tls-crypt-v2, this server does not; write `tls-crypt-v2 server.key` here"
NO_V2 = "the client has no tls-crypt-v2 key, which this server asks for; embed one in the client's config"
COMPRESSION = (
    "the client uses comp-lzo or compress, this server does not; write `compress migrate` here or remove it from the "
    "client's config"
)
MISFITS = [
    Misfit(
        "tls-auth",
        "auth-digest",
        "bad_hmac",
        "tls-auth: the client's auth digest is SHA256, ours SHA1; write `auth SHA256` here or `auth SHA1` in its "
        "config",
        wrap="tls-auth",
        extra=("auth SHA256",),
    ),
    Misfit("tls-auth", "swapped-direction", "bad_hmac", DIRECTION, wrap="tls-auth", key_direction=0),
    Misfit("tls-auth", "no-direction", "bad_hmac", DIRECTION, wrap="tls-auth", key_direction=None),
    Misfit(
        "tls-auth",
        "tls-crypt",
        "bad_hmac",
        "the client uses tls-crypt with our key; write `tls-auth ta.key 1` in its config, or tls-crypt here",
    ),
    Misfit(
        "tls-auth",
        "no-wrap",
        "bad_control_packet",
        "the client has no tls-auth, this server has; write `tls-auth ta.key 1` in its config",
        wrap="none",
    ),
    Misfit(
        "tls-auth",
        "another-key",
        "bad_hmac",
        "tls-auth: the client has another static key; give it the key of this server",
        wrap="tls-auth",
        key=other_key,
    ),
    Misfit("tls-auth", "tls-crypt-v2", "no_hard_reset", V2_HERE, wrap="tls-crypt-v2"),
    Misfit("tls-crypt", "tls-auth", "bad_control_packet", CRYPT_FOR_AUTH, wrap="tls-auth"),
    Misfit("tls-crypt", "tls-auth-512", "bad_hmac", CRYPT_FOR_AUTH, wrap="tls-auth", extra=("auth SHA512",)),
    Misfit("tls-crypt", "tls-auth-another-key", "bad_control_packet", OTHER_KEY, wrap="tls-auth", key=other_key),
    Misfit(
        "tls-crypt",
        "no-wrap",
        "bad_control_packet",
        "the client has no tls-crypt, this server has; write `tls-crypt ta.key` in its config",
        wrap="none",
    ),
    Misfit("tls-crypt", "another-key", "bad_hmac", OTHER_KEY, key=other_key),
    Misfit("tls-crypt", "tls-crypt-v2", "no_hard_reset", V2_HERE, wrap="tls-crypt-v2"),
    Misfit(
        "tls-crypt",
        "ca",
        "certificate_rejected",
        "client certificate: unable to get local issuer certificate; its CA is not in `ca`; issue one with that CA, or "
        "add intermediate CAs to the client's cert or to `ca`",
        identity=lambda _: current_authority("Other CA").issue("mallory"),
    ),
    Misfit(
        "tls-crypt",
        "self-signed",
        "certificate_rejected",
        "client certificate: self-signed certificate; it is signed by itself, not by the CA in `ca`; issue one with "
        "that CA, or pin it with peer-fingerprint",
        identity=issued("alone", own_signature=True),
    ),
    Misfit(
        "tls-crypt",
        "expired",
        "certificate_rejected",
        "client certificate: certificate has expired; issue a new one, or check this machine's clock",
        identity=issued("late", start_days=-30, days=10),
    ),
    Misfit(
        "tls-crypt",
        "not-yet",
        "certificate_rejected",
        "client certificate: certificate is not yet valid; check its dates and this machine's clock",
        identity=issued("early", start_days=3, days=10),
    ),
    Misfit(
        "tls-crypt",
        "server-certificate",
        "certificate_rejected",
        "client certificate: unsuitable certificate purpose; it is not for TLS clients: issue one with the extended "
        "key usage clientAuth and key usage digitalSignature",
        identity=issued("pretender", SERVER),
    ),
    Misfit(
        "tls-crypt",
        "tls-version",
        "tls_error",
        "unsupported protocol; the client's TLS version is too old: raise its tls-version-max, or lower our "
        "tls-version-min",
        extra=("tls-version-max 1.2",),
    ),
    Misfit(
        "tls-crypt",
        "tls-groups",
        "tls_error",
        "no suitable key share; client and server share no TLS group: look at tls-groups on both sides",
        extra=("tls-groups secp521r1",),
    ),
    Misfit(
        "tls-crypt",
        "data-ciphers",
        "no_shared_cipher",
        "no shared data cipher; write `data-ciphers AES-256-GCM:CHACHA20-POLY1305` in the client's config, it offers "
        "AES-256-CBC:AES-128-CBC",
        extra=("data-ciphers AES-256-CBC:AES-128-CBC",),
    ),
    Misfit("tls-crypt", "comp-lzo", "framing_mismatch", COMPRESSION, extra=("comp-lzo no",)),
    Misfit("tls-crypt", "compress", "framing_mismatch", COMPRESSION, extra=("compress",)),
    Misfit(
        "tls-crypt",
        "tap",
        "bad_key_method",
        "the client uses `dev tap`; write `dev tun` in its config",
        extra=("dev tap",),
    ),
    Misfit(
        "tls-crypt",
        "udp",
        "port_closed",
        "an OpenVPN client speaks UDP, this port TCP; write `proto tcp` in its config",
        extra=("proto udp",),
    ),
    Misfit(
        "tls-crypt",
        "our-name",
        "peer_closed",
        "the client gave up in the TLS handshake: its log says why (its ca, verify-x509-name, remote-cert-tls)",
        extra=("verify-x509-name another name",),
    ),
    Misfit(
        "none",
        "tls-crypt",
        "bad_control_packet",
        "the client uses tls-crypt (or tls-auth with SHA256), this server neither; write it here too",
    ),
    Misfit(
        "none",
        "tls-auth",
        "bad_control_packet",
        "the client uses tls-auth with SHA1, this server not; write it here too",
        wrap="tls-auth",
    ),
    Misfit("none", "tls-crypt-v2", "no_hard_reset", V2_HERE, wrap="tls-crypt-v2"),
    Misfit("tls-crypt-v2", "no-wrap", "no_hard_reset", NO_V2, wrap="none"),
    Misfit("tls-crypt-v2", "tls-crypt", "no_hard_reset", NO_V2),
    Misfit("tls-crypt-v2", "tls-auth", "no_hard_reset", NO_V2, wrap="tls-auth"),
    Misfit(
        "tls-crypt-v2",
        "another-server",
        "bad_hmac",
        "tls-crypt-v2: the client's key was not made with this server key; make one from the key in use",
        wrap="tls-crypt-v2",
        key=lambda _: tls_crypt_v2_keys()[1],
    ),
    Misfit(
        "tls-crypt-v2",
        "old-key",
        "client_key_too_old",
        "tls-crypt-v2: the client's key (time:*) is older than tls-crypt-v2-max-age allows; make a new one",
        wrap="tls-crypt-v2",
        key=old_v2_key,
    ),
    Misfit(
        "revoking",
        "revoked",
        "certificate_rejected",
        "client certificate revoked: crl-verify: the client's certificate (serial *) is revoked",
        identity=lambda setting: known(setting, "revoked"),
    ),
    Misfit("revoking", "disabled", "", "disabled by the server's client-config-dir", identity=issued("disabled")),
    Misfit("revoking", "unknown", "", "not in the server's client-config-dir", identity=issued("unknown")),
    Misfit(
        "expired-crl",
        "anybody",
        "certificate_rejected",
        "client certificate c*: crl-verify: the CRL of CN=Test CA has expired on * UTC; publish a new one",
    ),
    Misfit(
        "picky",
        "name",
        "certificate_rejected",
        "client certificate: verify-x509-name: its name is `alice`, it must begin with `office-`",
        identity=issued("alice"),
    ),
    Misfit(
        "picky",
        "eku",
        "certificate_rejected",
        "client certificate: remote-cert-eku: its extended key usage lacks TLS Web Client Authentication; issue one "
        "that has it",
        identity=issued("office-1", None),
    ),
    Misfit(
        "pinned",
        "fingerprint",
        "certificate_rejected",
        "client certificate: peer-fingerprint: it is not in the list; add * if this client may connect",
    ),
]


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-misfit", tmp_path_factory.mktemp("topology"), clients=10) as made:
        rule = "nft add rule ip nat prerouting iifname '!=' tap0 udp dport 1194 dnat to 10.0.0.2"
        made.namespaces.run("host", "sh", "-c", rule)
        yield made


@pytest.fixture(scope="module")
def setting(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(topology, tmp_path_factory.mktemp("misfit"))


@pytest.fixture(autouse=True)
def _unhurried() -> Iterator[None]:
    """The server limits lines about peers by the second; every case here wants its line."""
    yield
    time.sleep(0.3)


class OneServer:
    """The server that a case needs; the one before goes on as long as cases ask for it."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._name = ""
        self._stack = ExitStack()

    def get(self, name: str) -> Server:
        if name != self._name:
            self.stop()
            wrap, lines = SERVERS[name]
            self._server = self._stack.enter_context(self._setting.server("hosted", wrap, lines(self._setting)))
            self._name = name
        return self._server

    def stop(self) -> None:
        self._name = ""
        self._stack.close()


@pytest.fixture(scope="module")
def servers(setting: Setting) -> Iterator[OneServer]:
    made = OneServer(setting)
    yield made
    made.stop()


@pytest.mark.parametrize("number", range(len(MISFITS)), ids=[f"{m.server}-{m.name}" for m in MISFITS])
def test_one_line_says_what_to_change(setting: Setting, servers: OneServer, number: int) -> None:
    misfit = MISFITS[number]
    server = servers.get(misfit.server)
    place = number % len(setting.topology.clients)  # a neighbour's last words cannot be taken for this one's
    name, peer = setting.topology.clients[place], f"192.0.2.{11 + place}:"
    settings = ClientSettings(
        setting.authority.pem,
        misfit.identity(setting) if misfit.identity is not None else setting.authority.issue(name),
        wrap=misfit.wrap,
        static_key=misfit.key(setting) if misfit.key is not None else setting.wrap_key(misfit.wrap, 1),
        extra=list(misfit.extra),
        key_direction=misfit.key_direction,
    )
    before = len(lines_about(server, peer))
    with OpenvpnClient(setting.topology.namespaces, name, settings, setting.folder) as client:
        server.process.wait_for(f"(peer_rejected|client_refused) .*peer={peer}", 15, before + 1)
        assert "Initialization Sequence Completed" not in client.log
    found = lines_about(server, peer)[before:]
    connections = [match[0] for line in found if (match := re.search(r"conn=\d+ peer=\S+", line))]
    assert len(connections) == len(found)
    assert len(set(connections)) == len(found), "more than one line about one connection"
    detail = ".*".join(re.escape(part) for part in misfit.detail.split("*"))
    wanted = rf' reason={misfit.reason} detail="{detail}"' if misfit.reason else rf' reason="{detail}"'
    assert re.search(f"^warning .*{wanted}$", found[0]), found[0]


def lines_about(server: Server, peer: str) -> list[str]:
    """Lines with the reason why a peer from there was refused."""
    return re.findall(rf"^.*(?:peer_rejected|client_refused) .*peer={peer}.*$", server.log, re.M)


def test_who_finds_no_place_comes_back_by_itself(setting: Setting, servers: OneServer) -> None:
    """AUTH_FAILED,TEMP: a client of OpenVPN 2.6 waits and tries again without anybody's help."""
    servers.stop()
    own = block("client-config-dir", "[carol]\nifconfig-push 10.8.0.70\n[dave]\nifconfig-push 10.8.0.71\n")
    extra = ("ifconfig-pool 10.8.0.50 10.8.0.50", "max-clients 2", own)
    with setting.server("hosted", extra=extra) as server, ExitStack() as stack:
        clients = {name: setting.client(place, common_name=name) for name, place in (("alice", "c1"), ("carol", "c2"))}
        for client in clients.values():
            client.connected()
        dave = stack.enter_context(setting.client("c4", common_name="dave"))
        assert server.event("client_refused")["reason"] == "the server is full"
        clients["carol"].stop()
        server.event("client_ended")
        bob = stack.enter_context(setting.client("c3", common_name="bob"))
        assert server.event("client_refused", count=2)["reason"] == "no address is free"
        clients["alice"].stop()
        for late, address in ((dave, "10.8.0.71"), (bob, "10.8.0.50")):
            late.process.wait_for("AUTH_FAILED,TEMP")
            late.connected()
            assert late.address == address
