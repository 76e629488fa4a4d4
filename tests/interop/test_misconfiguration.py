"""Configs that do not fit each other, with the real client: one line of the server's log says what to change where."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from tests.interop.cases import Setting
from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.pki import SERVER, Authority, Identity, static_key, tls_crypt_v2_client_key, tls_crypt_v2_keys
from tests.world.server import Server
from tests.world.topology import Topology

pytestmark = pytest.mark.interop

DAY = 86_400


@dataclass(frozen=True)
class Misfit:
    """A client that one server must turn away, and how that one line must read; `*` stands for anything."""

    server: str
    name: str
    reason: str
    detail: str
    wrap: str = "tls-crypt"
    extra: tuple[str, ...] = ()
    key: Callable[[Setting], str] | None = None
    key_direction: int | None = 1
    identity: Callable[[Setting], Identity] | None = None
    event: str = "peer_rejected"


SERVERS: dict[str, tuple[str, Callable[[Setting], tuple[str, ...]]]] = {
    "tls-auth": ("tls-auth", lambda setting: ()),
    "tls-crypt": ("tls-crypt", lambda setting: ("tls-version-min 1.3", "data-ciphers AES-256-GCM:CHACHA20-POLY1305")),
    "none": ("none", lambda setting: ()),
    "tls-crypt-v2": ("tls-crypt-v2", lambda setting: ("tls-crypt-v2-max-age 30",)),
    "both": ("tls-crypt", lambda setting: (f"<tls-crypt-v2>\n{setting.v2_keys[0].strip()}\n</tls-crypt-v2>",)),
    "revoking": (
        "tls-crypt",
        lambda setting: (
            f"<crl-verify>\n{setting.authority.revocation_list(named(setting, 'revoked')).strip()}\n</crl-verify>",
            "<client-config-dir>\n[disabled]\ndisable\n[welcome]\n[revoked]\n</client-config-dir>",
            "ccd-exclusive",
        ),
    ),
    "expired-crl": (
        "tls-crypt",
        lambda setting: (
            f"<crl-verify>\n{setting.authority.revocation_list(start_days=-9, days=8).strip()}\n</crl-verify>",
        ),
    ),
    "picky": (
        "tls-crypt",
        lambda setting: ("verify-x509-name office- name-prefix", "remote-cert-eku \"TLS Web Client Authentication\""),
    ),
    "pinned": (
        "tls-crypt",
        lambda setting: (f"<peer-fingerprint>\n{named(setting, 'pinned').sha256.hex(':')}\n</peer-fingerprint>",),
    ),
}


_NAMED: dict[tuple[int, str], Identity] = {}


def named(setting: Setting, name: str) -> Identity:
    """The same certificate at every call."""
    key = (id(setting), name)
    if key not in _NAMED:
        _NAMED[key] = setting.authority.issue(name)
    return _NAMED[key]

V2 = lambda setting: setting.v2_keys[1]

MISFITS = [
    Misfit("tls-auth", "auth-digest", "bad_hmac", "*", "tls-auth", ("auth SHA256",)),
    Misfit("tls-auth", "direction-swapped", "bad_hmac", "*", "tls-auth", key_direction=0),
    Misfit("tls-auth", "direction-missing", "bad_hmac", "*", "tls-auth", key_direction=None),
    Misfit("tls-auth", "tls-crypt", "bad_hmac", "*"),
    Misfit("tls-auth", "tls-crypt-other", "bad_hmac", "*", key=lambda s: static_key()),
    Misfit("tls-auth", "no-wrap", "bad_hmac", "*", "none"),
    Misfit("tls-auth", "other-key", "bad_hmac", "*", "tls-auth", key=lambda s: static_key()),
    Misfit("tls-auth", "v2", "bad_hmac", "*", "tls-crypt-v2"),
    Misfit("tls-crypt", "tls-auth", "bad_hmac", "*", "tls-auth"),
    Misfit("tls-crypt", "tls-auth-512", "bad_hmac", "*", "tls-auth", ("auth SHA512",)),
    Misfit("tls-crypt", "tls-auth-other", "bad_hmac", "*", "tls-auth", key=lambda s: static_key()),
    Misfit("tls-crypt", "no-wrap", "bad_hmac", "*", "none"),
    Misfit("tls-crypt", "other-key", "bad_hmac", "*", key=lambda s: static_key()),
    Misfit("tls-crypt", "v2", "bad_hmac", "*", "tls-crypt-v2"),
    Misfit("tls-crypt", "ca", "bad_hmac", "*", identity=lambda s: Authority("Other").issue("mallory")),
    Misfit("tls-crypt", "self-signed", "bad_hmac", "*", identity=lambda s: s.authority.issue("mallory", own_signature=True)),
    Misfit("tls-crypt", "expired", "bad_hmac", "*", identity=lambda s: s.authority.issue("m", start_days=-30, days=10)),
    Misfit("tls-crypt", "future", "bad_hmac", "*", identity=lambda s: s.authority.issue("m", start_days=3, days=10)),
    Misfit("tls-crypt", "server-auth", "bad_hmac", "*", identity=lambda s: s.authority.issue("m", SERVER)),
    Misfit("tls-crypt", "tls-version", "bad_hmac", "*", extra=("tls-version-max 1.2",)),
    Misfit("tls-crypt", "group", "bad_hmac", "*", extra=("tls-groups secp521r1",)),
    Misfit("tls-crypt", "cipher", "bad_hmac", "*", extra=("data-ciphers AES-256-CBC:AES-128-CBC",)),
    Misfit("tls-crypt", "comp-lzo", "bad_hmac", "*", extra=("comp-lzo no",)),
    Misfit("tls-crypt", "compress", "bad_hmac", "*", extra=("compress",)),
    Misfit("tls-crypt", "tap", "bad_hmac", "*", extra=("dev tap",)),
    Misfit("tls-crypt", "udp", "port_closed", "*", extra=("proto udp",)),
    Misfit("tls-crypt", "server-ca", "bad_hmac", "*", extra=("verify-x509-name nobody name",)),
    Misfit("none", "tls-crypt", "bad_hmac", "*"),
    Misfit("none", "tls-auth", "bad_hmac", "*", "tls-auth"),
    Misfit("none", "tls-auth-256", "bad_hmac", "*", "tls-auth", ("auth SHA256",)),
    Misfit("none", "tls-auth-512", "bad_hmac", "*", "tls-auth", ("auth SHA512",)),
    Misfit("none", "v2", "bad_hmac", "*", "tls-crypt-v2"),
    Misfit("tls-crypt-v2", "none", "bad_hmac", "*", "none"),
    Misfit("tls-crypt-v2", "tls-crypt", "bad_hmac", "*"),
    Misfit("tls-crypt-v2", "tls-auth", "bad_hmac", "*", "tls-auth"),
    Misfit("tls-crypt-v2", "other", "bad_hmac", "*", "tls-crypt-v2", key=lambda s: tls_crypt_v2_keys()[1]),
    Misfit("tls-crypt-v2", "old", "bad_hmac", "*", "tls-crypt-v2", key=lambda s: tls_crypt_v2_client_key(s.v2_keys[0], int(time.time()) - 31 * DAY)),
    Misfit("both", "none", "bad_hmac", "*", "none"),
    Misfit("both", "other", "bad_hmac", "*", key=lambda s: static_key()),
    Misfit("revoking", "revoked", "bad_hmac", "*", identity=lambda s: named(s, "revoked")),
    Misfit("revoking", "disabled", "bad_hmac", "*", identity=lambda s: named(s, "disabled"), event="client_refused"),
    Misfit("revoking", "unknown", "bad_hmac", "*", identity=lambda s: named(s, "unknown"), event="client_refused"),
    Misfit("expired-crl", "any", "bad_hmac", "*"),
    Misfit("picky", "name", "bad_hmac", "*"),
    Misfit("picky", "eku", "bad_hmac", "*", identity=lambda s: s.authority.issue("office-1", None)),
    Misfit("pinned", "fp", "bad_hmac", "*"),
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


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, setting: Setting) -> Iterator[Server]:
    wrap, lines = SERVERS[request.param]
    with setting.server("hosted", wrap, lines(setting)) as running:
        yield running


@pytest.mark.parametrize(("server", "number"), [(m.server, n) for n, m in enumerate(MISFITS)], indirect=["server"],
    ids=[f"{m.server}-{m.name}" for m in MISFITS])
def test_one_line_says_what_to_change(setting: Setting, server: Server, number: int) -> None:
    misfit = MISFITS[number]
    name = setting.topology.clients[number % len(setting.topology.clients)]
    address = f"192.0.2.{11 + number % len(setting.topology.clients)}"
    identity = misfit.identity(setting) if misfit.identity else setting.authority.issue(name)
    key = misfit.key(setting) if misfit.key else setting.wrap_key(misfit.wrap, 1)
    settings = ClientSettings(setting.authority.pem, identity, wrap=misfit.wrap, static_key=key,
        extra=list(misfit.extra), key_direction=misfit.key_direction)
    pattern = rf"{misfit.event} .*peer={address}:"
    before = len(re.findall(pattern, server.log))
    t = time.time()
    with OpenvpnClient(setting.topology.namespaces, name, settings, setting.folder) as client:
        try:
            line = server.process.wait_for(pattern, 15, before + 1)[before]
        except RuntimeError as e:
            line = str(e)[-800:]
        print(f"PROBE {misfit.server} {misfit.name} {time.time()-t:.1f}\n   {line}\n", [l for l in client.log.splitlines() if re.search("AUTH_FAILED|rror", l)])
