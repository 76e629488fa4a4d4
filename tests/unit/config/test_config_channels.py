"""tls-crypt-v2, data ciphers, framing, timers of key negotiations, and pushes that would break the data channel."""

from __future__ import annotations

import base64

import pytest
from tests.unit.config.config_samples import BASE, block, config_text, read_vector, static_key
from tests.unit.settings_by_name import value

from hognose.config.channels import check_push
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.errors import ConfigError
from hognose.vocabulary import DEFAULT_DATA_CIPHERS, Compression

V2_KEY = read_vector("v2s.key")
V2_BYTES = base64.b64decode("".join(V2_KEY.splitlines()[1:-1]))
WITHOUT_KEEPALIVE = BASE.replace("keepalive 10 60\n", "")


def parse_extra(extra: str, base: str = BASE) -> ServerConfig:
    config, warned = parse(config_text(extra, base), "server.conf")
    assert warned == []
    return config


def refuse(extra: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(config_text(extra), "server.conf")
    return str(caught.value)


@pytest.mark.parametrize("words", ["", " force-cookie", " allow-noncookie"])
@pytest.mark.parametrize("beside", ["none", "tls-auth", "tls-crypt"])
def test_tls_crypt_v2(words: str, beside: str) -> None:
    extra = f"tls-crypt-v2 [inline]{words}\n" + block("tls-crypt-v2", V2_KEY) + "tls-crypt-v2-max-age 30\n"
    config = parse_extra(extra + (block(beside, static_key()) if beside != "none" else ""))
    assert (config.wrap.v2_key, config.wrap.v2_max_age_days, config.wrap.kind) == (V2_BYTES, 30, beside)
    assert len(config.wrap.key) == (0 if beside == "none" else 256)
    from_file, _ = parse(config_text(f"tls-crypt-v2 v2.key{words}\n"), "f", {"v2.key": V2_KEY}.__getitem__)
    assert (from_file.wrap.v2_key, from_file.wrap.v2_max_age_days) == (V2_BYTES, 0)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (block("tls-crypt-v2", read_vector("v2c.key")), "a client's key; make one with `openvpn --genkey"),
        (block("tls-crypt-v2", static_key()), "no tls-crypt-v2 server key; make one with"),
        (block("tls-crypt-v2", V2_KEY.replace(V2_KEY.splitlines()[1], "")), "no tls-crypt-v2 server key"),
        (block("tls-crypt-v2", V2_KEY.replace("=", "")), "no tls-crypt-v2 server key"),
        ("tls-crypt-v2 [inline] cookies\n" + block("tls-crypt-v2", V2_KEY), "`cookies` is not understood; write"),
        ("tls-crypt-v2-max-age 30\n", "there is no tls-crypt-v2; write `tls-crypt-v2 v2-server.key`"),
        ("tls-crypt-v2-max-age 0\n" + block("tls-crypt-v2", V2_KEY), "`0` is no number"),
    ],
)  # fmt: skip
def test_tls_crypt_v2_refused(extra: str, expected: str) -> None:
    text = refuse(extra)
    assert text.startswith("server.conf:")
    assert ": tls-crypt-v2" in text
    assert expected in text


@pytest.mark.parametrize(
    ("line", "ciphers"),
    [
        ("data-ciphers DEFAULT:AES-256-CBC", (*DEFAULT_DATA_CIPHERS, "AES-256-CBC")),
        ("data-ciphers aes-192-gcm:AES-192-CBC:AES-128-CBC", ("AES-192-GCM", "AES-192-CBC", "AES-128-CBC")),
        ("data-ciphers ?BF-CBC:AES-256-GCM:AES-256-GCM:?none", ("AES-256-GCM",)),
    ],
)
def test_data_ciphers(line: str, ciphers: tuple[str, ...]) -> None:
    assert parse_extra(line + "\n").data.ciphers == ciphers


def test_no_cbc_by_itself_and_a_fallback() -> None:
    assert not any("CBC" in cipher for cipher in parse_extra("").data.ciphers)
    config = parse_extra("data-ciphers-fallback aes-256-cbc\nauth RSA-SHA512\n")
    assert (config.data.ciphers, config.data.fallback_cipher) == (DEFAULT_DATA_CIPHERS, "AES-256-CBC")
    assert config.wrap.digest == "SHA512"


@pytest.mark.parametrize(
    "cipher", ["none", "BF-CBC", "DES-EDE3-CBC", "RC2-CBC", "CAST5-CBC", "AES-256-OFB", "AES-256-CFB", ""]
)
def test_ciphers_that_are_refused(cipher: str) -> None:
    text = refuse(f"data-ciphers '{cipher}'\n")
    assert text.startswith(f"server.conf:6: data-ciphers: `{cipher.upper()}` is not supported; write `data-ciphers AES")
    text = refuse(f"data-ciphers-fallback '{cipher}'\n")
    assert text.startswith(f"server.conf:6: data-ciphers-fallback: `{cipher}` is not supported; write one of AES-256")


@pytest.mark.parametrize(
    ("line", "framing"),
    [
        ("compress", "stub"),
        ("compress stub", "stub"),
        ("compress stub-v2", "stub-v2"),
        ("compress migrate", "migrate"),
        ("comp-lzo no", "comp-lzo"),
        ("allow-compression no", "none"),
        ("allow-compression stub-only\ncompress", "stub"),
        ('comp-lzo no\npush "comp-lzo no"', "comp-lzo"),
        ('compress stub-v2\npush "compress stub-v2"', "stub-v2"),
        ('compress\npush "compress"', "stub"),
    ],
)
def test_framing(line: str, framing: str) -> None:
    assert parse_extra(line + "\n").data.framing == framing


@pytest.mark.parametrize(
    "line",
    [
        "compress lzo",
        "compress lz4",
        "compress lz4-v2",
        "compress zip",
        "comp-lzo",
        "comp-lzo yes",
        "comp-lzo adaptive",
        "allow-compression yes",
        "allow-compression asym",
        'push "comp-lzo no"',
        'push "compress lz4-v2"',
        'push "compress"',
        'comp-lzo no\npush "comp-lzo yes"',
    ],
)
def test_compression_is_refused(line: str) -> None:
    text = refuse(line + "\n")
    assert text.startswith("server.conf:")
    assert text.endswith("write `compress migrate`, which suits clients with and without compression")


@pytest.mark.parametrize(
    "option",
    ["cipher AES-256-GCM", "peer-id 1", "ifconfig 10.8.0.9 255.255.255.0", "topology net30", "topology", "fragment 9"],
)  # fmt: skip
def test_pushes_that_are_refused(option: str) -> None:
    assert refuse(f'push "{option}"\n').startswith("server.conf:6: push: ")


def test_an_option_is_as_long_as_a_word() -> None:
    """OpenVPN's OPTION_PARM_SIZE is 256 with its end."""
    check_push("x" * 255, "none")
    check_push(" ", "none")
    for option in ("x" * 256, ""):
        with pytest.raises(ValueError, match="1 to 255 printable characters"):
            check_push(option, "none")


@pytest.mark.parametrize(
    ("option", "framed", "good"),
    [
        ("compress", "stub", True),
        ("compress stub", "stub", True),
        ("compress stub", "none", False),
        ("compress", "stub-v2", False),
        ("compress stub-v2", "none", True),
        ("compress stub-v2", "migrate", True),
        ("compress lz4", "stub", False),
        ("comp-lzo no", "comp-lzo", True),
        ("comp-lzo", "comp-lzo", False),
        ("comp-lzo no", "stub", False),
        ("topology subnet", "none", True),
        ("route 10.0.0.0 255.0.0.0", "comp-lzo", True),
    ],
)
def test_pushed_framings(option: str, framed: Compression, good: bool) -> None:
    """A client must not be told of another framing than the server's own (OpenVPN comp.c)."""
    if good:
        check_push(option, framed)
    else:
        with pytest.raises(ValueError, match="the server's own framing differ"):
            check_push(option, framed)


@pytest.mark.parametrize(
    ("lines", "attributes"),
    [
        ("replay-window 128", {"replay_window": 128, "replay_time": 15}),
        ("replay-window 128 30", {"replay_window": 128, "replay_time": 30}),
        ("reneg-sec 600", {"reneg_sec": 600, "reneg_sec_min": 0}),
        ("reneg-sec 600 500", {"reneg_sec": 600, "reneg_sec_min": 500}),
        ("reneg-bytes 67108864\nreneg-pkts 1000", {"reneg_bytes": 67_108_864, "reneg_pkts": 1000}),
        ("inactive 300", {"inactive": 300, "inactive_bytes": 0}),
        ("inactive 300 5000000000", {"inactive": 300, "inactive_bytes": 5_000_000_000}),
        ("session-timeout 86400", {"session_timeout": 86_400}),
        ("status /run/status.log", {"status_interval": 60, "status_version": 1}),
        ("status s.log 10\nstatus-version 3", {"status_interval": 10, "status_version": 3}),
        ("status s.log 0", {"status_interval": 0}),
        ("ping-timer-rem\nkey-method 2", {"ping": 10}),
    ],
)
def test_numbers(lines: str, attributes: dict[str, int]) -> None:
    config = parse_extra(lines + "\n")
    assert {name: value(config, name) for name in attributes} == attributes


@pytest.mark.parametrize(
    "line",
    [
        "replay-window 65537", "replay-window 64 601", "reneg-sec 500 600", "reneg-bytes -1",
        "reneg-pkts many", "inactive soon", "inactive 300 -1", "session-timeout 1.5", "status s.log often",
        "status-version 4", "key-method 1", "inactive 99999999999999999999", "compress stub\ncomp-lzo no",
    ],
)  # fmt: skip
def test_numbers_that_are_refused(line: str) -> None:
    text = refuse(line + "\n")
    assert text.startswith("server.conf:")
    assert text.split(": ")[1] in line


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ping 10\nping-restart 30\n", (10, 30, 15)),
        ("ping 10\nping-restart 15\n", (10, 15, 0)),  # a client would give up before our ping
        ("ping 10\nping-exit 30\n", (10, 30, 0)),
        ('ping 10\nping-restart 120\npush "ping 10"\npush "ping-restart 60"\n', (10, 120, 0)),
    ],
)
def test_ping_and_ping_restart(lines: str, expected: tuple[int, int, int]) -> None:
    config = parse_extra(lines, WITHOUT_KEEPALIVE)
    assert (config.liveness.ping_s, config.liveness.ping_timeout_s, config.liveness.push_ping_restart_s) == expected


@pytest.mark.parametrize(
    "lines",
    [
        "ignore-unknown-option frob nicate\nfrob 1 2\nnicate\n",
        "setenv opt frob 1\n",
        "setenv FORWARD_COMPATIBLE 1\nfrob\n",
    ],
)
def test_unknown_options_may_be_ignored(lines: str) -> None:
    _, warned = parse(config_text(lines), "f")
    assert {warning.directive for warning in warned} <= {"frob", "nicate"}
    assert {warning.text for warning in warned} == {"ignored: no directive of OpenVPN"}


def test_setenv_opt_is_the_directive_itself() -> None:
    assert parse_extra("setenv opt port 443\n").network.listeners[0].port == 443
    assert refuse("setenv opt plugin x\n").startswith("server.conf:6: plugin: ")
    assert refuse("setenv opt port x\n").startswith("server.conf:6: port: `x` is no number")
    assert refuse("ignore-unknown-option plugin\nplugin x\n").startswith("server.conf:7: plugin: ")
    assert refuse("setenv A frob\nfrob\n").startswith("server.conf:7: frob: no directive of OpenVPN")
    assert refuse("setenv FORWARD_COMPATIBLE 0\nfrob\n").startswith("server.conf:7: frob: no directive of OpenVPN")
    assert refuse("ignore-unknown-option opt\nfrob\n").startswith("server.conf:7: frob: no directive of OpenVPN")
    _, (warning,) = parse(config_text("setenv opt\n"), "f")
    assert (warning.directive, warning.text) == ("setenv", "ignored: no script is ever run")
