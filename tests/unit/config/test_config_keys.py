"""Certificates, private keys and static keys: what is refused, what is warned of, and that nothing leaks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier, load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.unit.config.config_samples import (
    BETWEEN,
    NOT_AFTER,
    NOT_BEFORE,
    block,
    config_text,
    identity,
    key_pem,
    make_certificate,
    read_vector,
    static_key,
)

from hognose.config.keys import BadPemError, check_identity, parse_static_key, parse_tls_crypt_v2_key, server_key
from hognose.config.parser import parse
from hognose.errors import ConfigError


def test_the_static_key_of_openvpn() -> None:
    assert parse_static_key(static_key()) == bytes(range(256))
    begin, _, rest = static_key().partition("\n")
    crlf = "# comment\n" + begin + "\n" + rest.replace("ab", "AB")
    assert parse_static_key(crlf.replace("\n", "\r\n")) == bytes(range(256))
    assert len(parse_static_key(read_vector("ta.key"))) == 256


@pytest.mark.parametrize(
    "text", ["", static_key()[:-60], static_key().replace("ff", ""), static_key().replace("ff", "gg")]
)
def test_what_is_no_static_key(text: str) -> None:
    with pytest.raises(ValueError, match="openvpn --genkey"):
        parse_static_key(text)


def test_a_good_identity_has_no_warnings() -> None:
    pems = identity()
    assert check_identity(pems["ca"], pems["cert"], pems["key"], BETWEEN) == []
    assert check_identity(pems["plain-ca"], pems["cert"], pems["key"], BETWEEN) == []  # as certificates of version 1
    assert check_identity(pems["ca"], pems["cert"] + pems["ca"], pems["key"], BETWEEN) == []  # a chain
    assert check_identity(pems["ca"], pems["plain-cert"], pems["key"], BETWEEN) == []  # for any purpose


@pytest.mark.parametrize(
    ("usages", "told"),
    [
        ((ExtendedKeyUsageOID.SERVER_AUTH,), []),
        ((ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,), []),
        ((ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH), []),
        ((ExtendedKeyUsageOID.CLIENT_AUTH,), ["cert"]),
        ((ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.OCSP_SIGNING), ["cert"]),
    ],
)
def test_a_servers_certificate_is_made_for_servers_or_for_anything(
    usages: tuple[ObjectIdentifier, ...], told: list[str]
) -> None:
    """RFC 5280 4.2.1.12, as a client with `remote-cert-tls server` reads it."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = make_certificate("CA", authority, "CA", authority, ca=True)
    cert = make_certificate("server", key, "CA", authority, usage=usages)
    assert [name for name, _ in check_identity(ca, cert, key_pem(key), BETWEEN)] == told


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), ("EC", "EC secp384r1", 0)),
        (lambda: rsa.generate_private_key(65537, 1024), ("RSA", "RSA 1024", 1024)),
        (ed25519.Ed25519PrivateKey.generate, ("Ed25519", "Ed25519", 0)),
        (ed448.Ed448PrivateKey.generate, ("Ed448", "Ed448", 0)),
        (lambda: dsa.generate_private_key(1024), ("", "", 0)),
    ],
)
def test_kinds_of_keys(key: Callable[[], Any], expected: tuple[str, str, int]) -> None:
    authority = ec.generate_private_key(ec.SECP256R1())
    found = server_key(make_certificate("server", key(), "CA", authority))
    assert (found.family, found.kind, found.bits) == expected


@pytest.mark.parametrize("size", [127, 129])
def test_a_tls_crypt_v2_server_key_has_128_bytes(size: int) -> None:
    """OpenVPN doc/tls-crypt-v2.txt."""
    name = "OpenVPN tls-crypt-v2 server key"
    for length in (128, size):
        text = f"-----BEGIN {name}-----\n{b64encode(bytes(length)).decode()}\n-----END {name}-----\n"
        if length == 128:
            assert parse_tls_crypt_v2_key(text) == bytes(128)
            continue
        with pytest.raises(ValueError, match="no tls-crypt-v2 server key; make one with"):
            parse_tls_crypt_v2_key(text)


@pytest.mark.parametrize(
    ("ca", "cert", "key", "directive", "message"),
    [
        ("key", "cert", "key", "ca", "no PEM certificate"),
        ("ca", "key", "key", "cert", "no PEM certificate"),
        ("ca", "cert", "ca", "key", "no PEM private key"),
        ("ca", "cert", "locked-key", "key", "the key is encrypted"),
        ("ca", "cert", "other-key", "key", "does not belong to the certificate"),
        ("ca", "ca", "key", "key", "does not belong to the certificate"),
    ],
)
def test_what_cannot_be_used(ca: str, cert: str, key: str, directive: str, message: str) -> None:
    pems = identity()
    with pytest.raises(BadPemError, match=message) as caught:
        check_identity(pems[ca], pems[cert], pems[key], None)
    assert caught.value.directive == directive


@pytest.mark.parametrize("directive", ["ca", "cert"])
def test_a_damaged_certificate_is_taken_or_named(directive: str) -> None:
    """Found by the fuzz target block-device: cryptography raised when it was asked for the certificate's key."""
    pems = identity()
    der = load_pem_x509_certificate(pems[directive].encode()).public_bytes(Encoding.DER)
    told = set()
    for at in range(len(der)):
        changed = bytearray(der)
        changed[at] ^= 0x1F
        text = f"-----BEGIN CERTIFICATE-----\n{b64encode(changed).decode()}\n-----END CERTIFICATE-----\n"
        given = {"ca": pems["ca"], "cert": pems["cert"]} | {directive: text}
        try:
            check_identity(given["ca"], given["cert"], pems["key"], BETWEEN)
        except BadPemError as error:
            told.add((error.directive, error.message))
    assert (directive, "no PEM certificate") in told
    assert directive == "ca" or any("cannot be read" in words for _, words in told)


def test_the_parser_names_the_block() -> None:
    text = config_text().replace(block("key", identity()["key"]), block("key", identity()["other-key"]))
    line = text.splitlines().index("<key>") + 1
    with pytest.raises(ConfigError, match=rf"^server.conf:{line}: key: the key does not belong"):
        parse(text, "server.conf")


@pytest.mark.parametrize("unix", [int(NOT_BEFORE.timestamp()), int(NOT_AFTER.timestamp()) + 3600])
def test_a_certificate_is_good_from_its_first_second_to_its_last(unix: int) -> None:
    """RFC 5280 4.1.2.5: both dates are inside of the period."""
    pems = identity()
    assert check_identity(pems["ca"], pems["cert"], pems["key"], unix) == []


@pytest.mark.parametrize(
    ("ca", "cert", "unix", "expected"),
    [
        ("ca", "cert", int(NOT_AFTER.timestamp()) + 3601, [("cert", "expired on 2030-01-01"), ("ca", "expired on")]),
        ("ca", "cert", int(NOT_BEFORE.timestamp()) - 1, [("cert", "not valid before 2026-01-01"), ("ca", "not valid")]),
        ("ca", "client-cert", BETWEEN, [("cert", "not made for servers")]),
        ("cert", "cert", BETWEEN, [("cert", "not issued by"), ("ca", "may not sign")]),
        ("ca", "cert", None, []),
    ],
)
def test_warnings(ca: str, cert: str, unix: int | None, expected: list[tuple[str, str]]) -> None:
    pems = identity()
    warnings = check_identity(pems[ca], pems[cert], pems["key"], unix)
    assert [name for name, _ in warnings] == [name for name, _ in expected]
    for (_, text), (_, beginning) in zip(warnings, expected, strict=True):
        assert text.startswith(beginning) or beginning in text


def test_warnings_carry_the_blocks_line() -> None:
    text = config_text()
    _, warned = parse(text, "f", unix=int(NOT_AFTER.timestamp()) + 7200)
    lines = text.splitlines()
    assert [(lines[w.line - 1], w.directive) for w in warned] == [("<ca>", "ca"), ("<cert>", "cert")]


def test_no_error_shows_what_is_secret() -> None:
    secret = identity()["other-key"].splitlines()[1]
    for name in ("key", "cert", "ca", "tls-auth", "tls-crypt"):
        with pytest.raises(ConfigError) as caught:
            parse(config_text(f"<{name}>\n{secret}\n</{name}>\n"), "f")
        assert secret[:10] not in str(caught.value)
