"""Our lexer and table against OpenVPN's own: the same words, the same refusals, and a row for every directive."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest
from tests.unit.config.config_samples import crl_pem, identity, read_vector

from hognose.config.directives import DIRECTIVES
from hognose.config.lexer import split_words
from hognose.config.parser import parse
from hognose.errors import ConfigError

pytestmark = pytest.mark.interop

ALPHABET = ["a", "b", "x", " ", "\t", "\\", '"', "'", "#", ";", "\\\\", '\\"', "\\ ", ' "', " '", '" ', "' ", "=", "-"]
REFUSED = "refused"


def openvpn_reads(line: str, folder: Path) -> str:
    """OpenVPN's value of `mode`: the word, REFUSED, or "" when there is none or more than one."""
    config = folder / "one.conf"
    config.write_text(f"mode {line}\n")
    told = subprocess.run(
        ["openvpn", "--config", str(config)], capture_output=True, check=False, timeout=20
    ).stdout.decode()
    first = told.splitlines()[0]
    if match := re.fullmatch(r"Options error: Bad --mode parameter: (.*)", first):
        return f"<{match[1]}>"
    if "No closing" in first or "Bad backslash" in first or "Residual parse state" in first:
        return REFUSED
    return ""


def we_read(line: str) -> str:
    """The same of our lexer."""
    try:
        words = split_words(f"mode {line}")
    except ConfigError:
        return REFUSED
    return f"<{words[1]}>" if len(words) == 2 else ""


# Where we differ on purpose: OpenVPN drops a backslash before white space or a comment sign at a word's beginning.
DIFFERENT = re.compile(r"(^|[ \t\"'])\\[ \t#;]|(^|[ \t])[^ \t]*\\$")


def test_the_same_words_from_random_lines(tmp_path: Path) -> None:
    source = random.Random(20261124)
    compared = 0
    differ = []
    for _ in range(400):
        line = "".join(source.choice(ALPHABET) for _ in range(source.randint(1, 7)))
        if DIFFERENT.search(line):
            continue
        compared += 1
        theirs, ours = openvpn_reads(line, tmp_path), we_read(line)
        if theirs != ours:
            differ.append((line, theirs, ours))
    assert differ == [], "\n".join(map(str, differ))
    assert compared > 250


def test_every_directive_that_openvpn_shows_has_a_row() -> None:
    told = subprocess.run(["openvpn", "--help"], capture_output=True, check=False, timeout=20).stdout.decode()
    names = set(re.findall(r"^--([a-z0-9-]+)", told, re.MULTILINE))
    assert len(names) > 200
    assert names - set(DIRECTIVES) == set()


BOTH_TAKE = """port 1194
proto tcp-server
dev tun0
dev-type tun
topology subnet
server 10.8.0.0 255.255.255.0
ca ca.crt
cert server.crt
key server.key
extra-certs ca.crt
crl-verify crl.pem
dh none
tls-crypt ta.key
tls-crypt-v2 v2s.key allow-noncookie
auth SHA256
data-ciphers ?BF-CBC:AES-256-GCM:AES-192-GCM:CHACHA20-POLY1305:AES-256-CBC:AES-192-CBC:AES-128-CBC
data-ciphers-fallback AES-128-CBC
cipher AES-256-GCM
compress migrate
allow-compression no
replay-window 128 30
tun-mtu 1400 1400
mssfix 1300 fixed
max-packet-size 1200
reneg-sec 600 500
reneg-bytes 100000000
reneg-pkts 100000
hand-window 30
tran-window 600
tls-timeout 4
keepalive 10 60
ping-timer-rem
inactive 3600 1000
session-timeout 86400
verify-client-cert require
verify-x509-name client- name-prefix
remote-cert-tls client
remote-cert-ku 80 08
remote-cert-eku "TLS Web Client Authentication"
x509-username-field CN
peer-fingerprint 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F
tls-version-min 1.2 or-highest
tls-version-max 1.3
tls-cipher TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384:TLS-ECDHE-RSA-WITH-CHACHA20-POLY1305-SHA256
tls-ciphersuites TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256
tls-groups secp384r1
tls-cert-profile preferred
ifconfig-pool-persist ipp.txt 0
client-config-dir ccd
ccd-exclusive
max-clients 10
duplicate-cn
client-to-client
push "route 192.168.0.0 255.255.255.0"
tcp-nodelay
status status.log 30
status-version 3
ignore-unknown-option frob
frob 1
setenv opt nicate 2
setenv-safe A b
"""


def test_a_config_with_most_directives_is_taken_by_both(tmp_path: Path) -> None:
    ccd = tmp_path / "ccd"
    ccd.mkdir()
    (ccd / "alice").write_text("ifconfig-push 10.8.0.9 255.255.255.0\npush-reset\npush-remove route\ndisable\n")
    files = {name: read_vector(name) for name in ("ta.key", "v2s.key")}
    files |= {"ca.crt": identity()["ca"], "server.crt": identity()["cert"], "server.key": identity()["key"]}
    files |= {"crl.pem": crl_pem(), "ipp.txt": "alice,10.8.0.4\n", "server.conf": BOTH_TAKE}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    _, warned = parse(BOTH_TAKE, "server.conf", files.__getitem__, read_folder=lambda _: {"alice": ""})
    # tls-groups: the image can set one curve, which clients with TLS 1.2 must have
    assert {warning.directive for warning in warned} == {"frob", "nicate", "setenv-safe", "tls-groups"}
    told = subprocess.run(
        ["openvpn", "--config", "server.conf", "--dev-node", str(tmp_path / "none")],
        cwd=tmp_path, capture_output=True, check=False, timeout=60,
    ).stdout.decode()  # fmt: skip
    assert "Options error" not in told, told
    assert "Cannot open TUN/TAP dev" in told, told
