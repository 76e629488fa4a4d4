"""Configs to a ServerConfig: the handbook's, the stock sample's, and one test for each thing that is refused."""

from __future__ import annotations

import base64
import re

import pytest
from tests.unit.config.config_samples import BASE, block, config_text, identity, read_vector, static_key
from tests.unit.config.openvpn_words import OPENVPN_WORDS
from tests.unit.settings_by_name import value as setting

from hognose.address import parse_ipv4
from hognose.config.directives import DIRECTIVES
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.config.rows_clients import CLIENTS
from hognose.config.rows_network import NETWORK
from hognose.config.rows_process import PROCESS
from hognose.config.rows_tls import TLS
from hognose.errors import ConfigError
from hognose.settings import AdmissionSettings, ControlSettings
from hognose.vocabulary import DEFAULT_DATA_CIPHERS

# Standalone commands that `openvpn --help` shows among the directives.
COMMANDS = {
    "config", "genkey", "help", "mktun", "rmtun", "show-ciphers", "show-curves", "show-digests", "show-engines",
    "show-gateway", "show-groups", "show-pkcs11-ids", "show-tls", "test-crypto", "version",
}  # fmt: skip


def pings(config: ServerConfig) -> tuple[int, int, int]:
    """The ping, the server's time-out, and the clients'."""
    return config.liveness.ping_s, config.liveness.ping_timeout_s, config.liveness.push_ping_restart_s


def parse_extra(extra: str, base: str = BASE) -> ServerConfig:
    """A config with some more lines; it must not warn."""
    config, warned = parse(config_text(extra, base), "server.conf")
    assert warned == []
    return config


def refuse(text: str) -> str:
    """The error's text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "server.conf")
    return str(caught.value)


def test_the_handbooks_config() -> None:
    config, warned = parse(read_vector("server.conf"), "server.conf", read_vector)
    assert (config.network.listeners[0].port, str(config.network.tunnel)) == (1194, "10.8.0.0/24")
    assert config.network.server_address == parse_ipv4("10.8.0.1")
    assert config.network.pool == (parse_ipv4("10.8.0.2"), parse_ipv4("10.8.0.254"))
    assert pings(config) == (10, 60, 30)
    wrap = config.wrap
    assert (wrap.kind, wrap.direction, wrap.digest, len(wrap.key)) == ("tls-auth", 0, "SHA1", 256)
    assert config.data.ciphers == DEFAULT_DATA_CIPHERS
    assert [(w.line, w.directive) for w in warned] == [
        (7, "dh"),
        (10, "ifconfig-pool-persist"),
        (13, "persist-key"),
        (14, "persist-tun"),
        (15, "user"),
        (16, "group"),
    ]


def test_the_handbooks_slip_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"^server.conf:5: server: .*`cert server.crt`"):
        parse(read_vector("handbook-verbatim-typo.server.conf"), "server.conf", read_vector)


def test_the_reference_tools_output_is_read_unchanged() -> None:
    config, warned = parse(read_vector("reference-tool.server.conf.full"), "f")
    assert {w.directive for w in warned} == {"persist-key", "persist-tun"}
    assert (config.wrap.kind, config.wrap.direction) == ("tls-auth", 0)
    assert config.wrap.key == parse(read_vector("server.conf"), "f", read_vector)[0].wrap.key
    assert config.data.ciphers == ("AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305")
    assert pings(config) == (10, 30, 15)
    assert (config.control, config.renegotiation.reneg_s) == (ControlSettings(60, 3600, 2, 1250), 3600)


def test_the_reference_tools_tls_crypt_v2_output_is_read_unchanged() -> None:
    config, warned = parse(read_vector("reference-tool.tls-crypt-v2.server.conf.full"), "f")
    assert {w.directive for w in warned} == {"persist-key", "persist-tun", "verb"}
    assert (config.wrap.kind, config.network.client_to_client) == ("none", True)
    body = "".join(read_vector("v2s.key").splitlines()[1:-1])
    assert config.wrap.v2_key == base64.b64decode(body)
    assert len(config.wrap.v2_key) == 128
    assert config.admission.push == ("redirect-gateway def1", "dhcp-option DNS 9.9.9.9")


STOCK_SAMPLE = """port 1194
proto tcp
dev tun
ca ca.crt
cert server.crt
key server.key  # This file should be kept secret
dh dh2048.pem
topology subnet
server 10.8.0.0 255.255.255.0
ifconfig-pool-persist /var/log/openvpn/ipp.txt
push "redirect-gateway def1 bypass-dhcp"
client-to-client
duplicate-cn
keepalive 10 120
tls-auth ta.key 0 # This file is secret
max-clients 100
user openvpn
group openvpn
persist-key
persist-tun
status /var/log/openvpn/openvpn-status.log
log-append  /var/log/openvpn/openvpn.log
verb 3
mute 20
explicit-exit-notify 1
data-ciphers AES-256-GCM:AES-128-GCM:?CHACHA20-POLY1305:?AES-256-CBC
"""


def test_every_line_of_the_stock_sample_over_tcp() -> None:
    config, warned = parse(STOCK_SAMPLE, "server.conf", read_vector)  # nothing but the four files is read
    assert config.network.client_to_client
    assert (config.admission.max_clients, config.admission.duplicate_cn) == (100, True)
    assert config.admission.push == ("redirect-gateway def1 bypass-dhcp",)
    assert pings(config) == (10, 240, 120)
    assert [w.line for w in warned] == [7, 10, 17, 18, 19, 20, 22, 23, 24]
    assert (config.status.status_interval_s, config.status.status_version) == (60, 1)
    assert config.data.ciphers == (*DEFAULT_DATA_CIPHERS, "AES-256-CBC")


def test_defaults() -> None:
    config = parse_extra("")
    assert [str(one) for one in config.network.listeners] == ["1194/tcp"]
    assert (config.wrap.kind, config.wrap.key, config.data.tun_mtu, config.data.mssfix) == (
        "none",
        b"",
        1500,
        1492,
    )
    assert (config.tls.min_version, config.tls.max_version, config.control.tls_timeout_s) == ("1.2", "", 2)
    assert not config.network.client_to_client
    assert config.admission == AdmissionSettings(push=(), duplicate_cn=False, max_clients=1024)
    assert (config.control, config.renegotiation.reneg_s) == (ControlSettings(60, 3600, 2, 1250), 3600)


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        ("auth sha256", "auth", "SHA256"),
        ("data-ciphers CHACHA20-POLY1305:aes-128-gcm", "data_ciphers", ("CHACHA20-POLY1305", "AES-128-GCM")),
        (
            "data-ciphers ?AES-256-CBC:AES-128-GCM:DEFAULT",
            "data_ciphers",
            ("AES-256-CBC", "AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"),
        ),
        ("ncp-ciphers AES-128-GCM", "data_ciphers", ("AES-128-GCM",)),
        ("data-ciphers AES-128-GCM\ncipher AES-128-GCM", "data_ciphers", ("AES-128-GCM",)),
        ("tls-version-min 1.3", "tls_version_min", "1.3"),
        ("tls-version-min 1.2 or-highest", "tls_version_min", "1.2"),
        ("tls-version-max 1.2", "tls_version_max", "1.2"),
        ("hand-window 30", "hand_window", 30),
        ("tran-window 600", "tran_window", 600),
        ("reneg-sec 0", "reneg_sec", 0),
        ("reneg-sec 600 500", "reneg_sec", 600),
        ("tls-timeout 4", "tls_timeout", 4),
        ("tun-mtu 1400", "tun_mtu", 1400),
        ("mssfix", "mssfix", 1492),
        ("mssfix 0", "mssfix", 0),
        ("mssfix 1400 mtu", "mssfix", 1400),
        ("mssfix 1400", "mssfix", 1400),
        ("max-clients 5", "max_clients", 5),
        ("duplicate-cn", "duplicate_cn", True),
        ("client-to-client", "client_to_client", True),
        ("local * 443 udp\npasstos", "passtos", True),
        ("force-tls-key-material-export", "force_tls_key_material_export", True),
        ("client-to-client\nclient-to-client", "client_to_client", True),
        ('push "dhcp-option DNS 9.9.9.9"\npush "block-ipv6"', "push", ("dhcp-option DNS 9.9.9.9", "block-ipv6")),
        (
            "mode server\ntls-server\ndev-type tun\nverify-client-cert require\nremote-cert-tls client",
            "max_clients",
            1024,
        ),
        ("verify-client-cert\nallow-compression no\ntcp-nodelay\nsocket-flags TCP_NODELAY", "max_clients", 1024),
        ("dh none\nexplicit-exit-notify 0", "explicit_exit_notify", 0),
    ],
)
def test_honoured(line: str, attribute: str, value: object) -> None:
    assert setting(parse_extra(line + "\n"), attribute) == value


@pytest.mark.parametrize("proto", ["tcp", "tcp-server", "tcp4", "tcp4-server"])
def test_every_name_of_tcp(proto: str) -> None:
    assert parse_extra("", BASE.replace("proto tcp", f"proto {proto}")).network.listeners[0].port == 1194


@pytest.mark.parametrize("dev", ["dev tun7", "dev vpn\ndev-type tun"])
def test_every_name_of_a_tun(dev: str) -> None:
    assert parse_extra("", BASE.replace("dev tun", dev)).network.listeners[0].port == 1194


@pytest.mark.parametrize(
    ("wrap", "kind", "direction"),
    [
        (block("tls-auth", static_key()), "tls-auth", None),
        ("key-direction 0\n" + block("tls-auth", static_key()), "tls-auth", 0),
        ("tls-auth [inline] 1\n" + block("tls-auth", static_key()), "tls-auth", 1),
        ("tls-auth [inline] 1\nkey-direction 1\n" + block("tls-auth", static_key()), "tls-auth", 1),
        (block("tls-crypt", static_key()), "tls-crypt", None),
        ("key-direction 0\n" + block("tls-crypt", static_key()), "tls-crypt", None),
    ],
)
def test_wraps(wrap: str, kind: str, direction: int | None) -> None:
    config = parse_extra(wrap)
    assert (config.wrap.kind, config.wrap.key, config.wrap.direction) == (kind, bytes(range(256)), direction)


def test_ping_and_ping_restart_alone_are_this_sides() -> None:
    config, warned = parse(config_text("ping 10\nping-restart 60\n", BASE.replace("keepalive 10 60\n", "")), "f")
    assert (pings(config), warned) == ((10, 60, 30), [])
    config, warned = parse(config_text("ping-exit 60\n", BASE.replace("keepalive 10 60\n", "")), "f")
    assert (pings(config), [w.directive for w in warned]) == ((0, 60, 0), ["ping-exit"])


@pytest.mark.parametrize(
    ("remove", "extra", "directive"),
    [
        ("topology subnet\n", "", "topology"),
        ("keepalive 10 60\n", "", "keepalive"),
        ("", "cipher AES-256-CBC\n", "cipher"),
        ("", "data-ciphers AES-256-GCM\ncipher AES-128-GCM\n", "cipher"),
        ("", "tls-version-min 1.0\n", "tls-version-min"),
    ],
)
def test_warned_of(remove: str, extra: str, directive: str) -> None:
    _, (warning,) = parse(config_text(extra, BASE.replace(remove, "")), "server.conf")
    assert warning.directive == directive
    text = warning.in_file("server.conf")
    assert text.startswith(
        f"server.conf:{warning.line}: {directive}: " if warning.line else f"server.conf: {directive}: "
    )


def test_a_single_cipher_never_widens_the_list() -> None:
    config, _ = parse(config_text("data-ciphers AES-256-GCM\ncipher AES-128-GCM\n"), "f")
    assert config.data.ciphers == ("AES-256-GCM",)


@pytest.mark.parametrize("name", sorted(name for name, row in DIRECTIVES.items() if row.verdict == "ignore"))
def test_every_ignored_directive_is_warned_of(name: str) -> None:
    _, (warning,) = parse(config_text(f"{name} some words\n"), "f")
    assert (warning.line, warning.directive) == (6, name)
    assert warning.text == f"ignored: {DIRECTIVES[name].text}"


@pytest.mark.parametrize("name", sorted(name for name, row in DIRECTIVES.items() if row.verdict == "reject"))
def test_what_to_write_instead(name: str) -> None:
    text = DIRECTIVES[name].text
    assert refuse(config_text(f"{name}\n")) == f"server.conf:6: {name}: {text}"
    assert "write" in text or "remove" in text


def test_the_tables_agree() -> None:
    assert set(DIRECTIVES) - OPENVPN_WORDS - COMMANDS == set()
    assert OPENVPN_WORDS - set(DIRECTIVES) == set()
    assert len(DIRECTIVES) == sum(len(rows) for rows in (NETWORK, TLS, CLIENTS, PROCESS))
    assert all(row.text for row in DIRECTIVES.values())


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("prot tcp", r"prot: no directive of OpenVPN; did you mean proto\?"),
        ("xyzzy", r"xyzzy: no directive of OpenVPN$"),
        ("port", r"port: takes 1 word\(s\), 0 given"),
        ("port 1 2", r"port: takes 1 word\(s\), 2 given"),
        ("port 0", r"port: `0` is no number from 1 to 65535"),
        ("port 65536", "no number"),
        ("port ssh", "no number"),
        ("port ²", "no number"),
        ("port 99999999999", "no number"),
        ("port 1194\nport 443", "server.conf:7: port: given twice, first in line 6"),
        ("port 1194\nlport 1194", "server.conf:7: lport: not together with port"),
        ("lport 1194\nport 1194", "server.conf:7: port: not together with lport"),
        (block("port", "1194"), r"port: is no block; write `port …`"),
        ("mode p2p", "write `mode server`"),
        ("dev-type tap", "write `dev-type tun`"),
        ("remote-cert-tls server", "write `remote-cert-tls client`"),
        (
            "verify-client-cert none",
            "write `verify-client-cert require`; `none` is taken only with the argument `--",
        ),
        ("comp-lzo", "`comp-lzo` is not supported: .*write `compress migrate`"),
        ("comp-lzo yes", "write `compress migrate`"),
        ("allow-compression yes", "write `compress migrate`"),
        ("keepalive 10 60\nping 10", "not together with keepalive"),
        ("ping 10", "not together with keepalive"),
        ("ping-restart 10", "not together with keepalive"),
        ("ping-exit 10", "not together with keepalive"),
        ("tls-version-min 1.4", "write `tls-version-min 1.2`"),
        ("tls-version-min 1.3 or-better", "`or-better` is not understood; write `tls-version-min 1.3`"),
        ("tls-version-max 1.0", "write `tls-version-max 1.2`"),
        ("tls-version-min 1.3\ntls-version-max 1.2", "less than tls-version-min"),
        ("auth none", "`none` is not supported; write one of SHA1"),
        ("data-ciphers AES-256-CFB", "`AES-256-CFB` is not supported; write `data-ciphers AES-256-GCM:"),
        ("data-ciphers ?BF-CBC", "no supported cipher; write"),
        ("data-ciphers AES-256-GCM\nncp-ciphers AES-256-GCM", "not together"),
        ("tun-mtu 575", "no number from 576 to 1500"),
        ("tun-mtu 9000", "no number from 576 to 1500"),
        ("mssfix 1400 inner", "write `mssfix 1400 mtu` or `mssfix 1400 fixed`"),
        ("mssfix many", "no number"),
        ('push "a,b"', "without commas"),
        ('push ""', "1 to 255 printable"),
        ('push "a\x07"', "printable"),
        ("tls-auth [inline]", "its block is missing; write <tls-auth>"),
        ("tls-auth ta.key 0", "the file ta.key is not embedded; make the config with `hognose config embed`"),
        (block("tls-auth", "nothing"), "no OpenVPN static key; make one with"),
        (block("tls-auth", static_key().replace("00", "0", 1)), "no OpenVPN static key"),
        (block("tls-auth", static_key()) + block("tls-crypt", static_key()), "tls-crypt: not together with tls-auth"),
        ("tls-auth [inline] 2\n" + block("tls-auth", static_key()), "`2` is no number from 0 to 1"),
        ("key-direction 1\ntls-auth [inline] 0\n" + block("tls-auth", static_key()), "key-direction: tls-auth in line"),
        ("push", "push: takes 1"),
    ],
)
def test_refused(extra: str, expected: str) -> None:
    text = refuse(config_text(extra + "\n"))
    assert re.search(expected, text), text
    assert re.match(r"server\.conf:\d+: [a-z-]+: ", text), text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("proto tcp", "proto tcp6", "server.conf:1: proto: `tcp6` is not supported (yet): clients come over IPv4; "),
        ("dev tun\n", "", "server.conf: dev: missing; write `dev tun`"),
        ("dev tun", "dev tap", "server.conf:2: dev: `tap` is not supported; write `dev tun`"),
        ("topology subnet", "topology net30", "server.conf:3: topology: `net30` is not supported; write"),
        ("topology subnet", "topology p2p", "server.conf:3: topology: `p2p` is not supported; write"),
        ("server 10.8.0.0 255.255.255.0\n", "", "server.conf: server: missing; write `server 10.8.0.0 255.255.255.0`"),
        ("255.255.255.0", "255.255.255.0 nopool", "server.conf:4: server: `nopool` wants a pool"),
        ("255.255.255.0", "255.255.255.0 pool", "server.conf:4: server: the third word can only be `nopool`"),
        ("255.255.255.0", "255.0.255.0", "server.conf:4: server: the netmask must be one of"),
        ("255.255.255.0", "255.255.255.252", "server.conf:4: server: the netmask must be"),
        ("10.8.0.0", "10.8.0.1", "server.conf:4: server: host bits are set; write `server 10.8.0.0 255.255.255.0`"),
        ("10.8.0.0", "tunnel", "server.conf:4: server: `tunnel` is no IPv4 address; write"),
        ("10.8.0.0", "127.0.0.0", "server.conf:4: server: 127.0.0.0 is no network for hosts"),
        ("10.8.0.0", "224.0.0.0", "server.conf:4: server: 224.0.0.0 is no network for hosts"),
        ("10.8.0.0", "0.0.0.0", "server.conf:4: server: 0.0.0.0 is no network for hosts"),
        ("keepalive 10 60", "keepalive 10 19", "server.conf:5: keepalive: the second number must be"),
        ("keepalive 10 60", "keepalive 0 60", "server.conf:5: keepalive: `0` is no number"),
        ("keepalive 10 60", "keepalive 10", "server.conf:5: keepalive: takes 2 word(s), 1 given"),
    ],
)  # fmt: skip
def test_refused_shapes(old: str, new: str, expected: str) -> None:
    assert refuse(config_text(base=BASE.replace(old, new))).startswith(expected)


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_missing_files(name: str) -> None:
    text = config_text().replace(block(name, identity()[name]), "")
    assert refuse(text).startswith(f"server.conf: {name}: missing; write `{name} ")


def test_files_that_cannot_be_read() -> None:
    def missing(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    def binary(path: str) -> str:
        return b"\xff".decode()

    def nameless(path: str) -> str:
        raise OSError("odd")

    text = config_text().replace(block("ca", identity()["ca"]), "ca ca.crt\n")
    for reader, message in (
        (missing, "No such file or directory"),
        (binary, "not a text file"),
        (nameless, "odd"),
    ):
        with pytest.raises(ConfigError, match=rf"^server.conf:6: ca: cannot read ca.crt: {message}"):
            parse(text, "server.conf", reader)
    for content in (identity()["ca"] + "\0", identity()["ca"] + "</ca>\n"):
        with pytest.raises(ConfigError, match=r"ca\.crt is not a text file that can be embedded"):
            parse(text, "server.conf", {"ca.crt": content}.__getitem__)
