"""Lists of revoked certificates, fingerprints, what a client's certificate must be, and TLS's own settings."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.config.config_samples import BASE, BETWEEN, NEXT_UPDATE, block, config_text, crl_pem, identity
from tests.unit.settings_by_name import value as setting

from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.config.tls_names import openssl_cipher
from hognose.errors import ConfigError
from hognose.settings import CertificateRules

PRINT = ":".join(f"{value:02X}" for value in range(32))
SELF_SIGNED = BASE + block("cert", identity()["cert"]) + block("key", identity()["key"])


def parse_extra(extra: str, *, allow: bool = False) -> ServerConfig:
    config, warned = parse(config_text(extra), "server.conf", allow_no_authentication=allow)
    assert warned == []
    return config


def refuse(extra: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(config_text(extra), "server.conf")
    return str(caught.value)


def test_a_list_of_revoked_certificates() -> None:
    pem = crl_pem()
    assert parse_extra(block("crl-verify", pem)).tls.crl == pem
    both = pem + crl_pem()
    assert parse_extra(block("crl-verify", "comment\n" + both)).tls.crl == "comment\n" + both
    config, _ = parse(config_text("crl-verify crl.pem\n"), "f", {"crl.pem": pem}.__getitem__)
    assert config.tls.crl == pem


@pytest.mark.parametrize(
    ("unix", "issuer", "expected"),
    [
        (NEXT_UPDATE + timedelta(seconds=1), "CA", "expired on 2028-06-01: every client is refused; embed a new one"),
        (NEXT_UPDATE - timedelta(days=13), "CA", "expires on 2028-06-01, then every client is refused"),
        (NEXT_UPDATE, "CA", "expires on 2028-06-01, then every client is refused"),
        (NEXT_UPDATE - timedelta(days=14) + timedelta(seconds=1), "CA", "expires on 2028-06-01, then every client"),
        (NEXT_UPDATE - timedelta(days=14), "CA", ""),
        (None, "CA", ""),
        (None, "another", "holds a list that no certificate in `ca` has issued"),
    ],
)
def test_lists_that_are_warned_of(unix: datetime | None, issuer: str, expected: str) -> None:
    when = int(unix.timestamp()) if unix else None
    _, warned = parse(config_text(block("crl-verify", crl_pem(issuer))), "f", unix=when)
    assert [warning.text.startswith(expected) for warning in warned] == ([True] if expected else [])
    assert all((warning.line, warning.directive) == (6, "crl-verify") for warning in warned)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (block("crl-verify", "nothing"), "no PEM list of revoked certificates"),
        (block("crl-verify", crl_pem().replace("M", "N", 3)), "no PEM list of revoked certificates"),
        (block("crl-verify", identity()["ca"]), "no PEM list of revoked certificates"),
        ("crl-verify crls dir\n", "no directories; write a list of revoked certificates: `crl-verify crl.pem`"),
        ("crl-verify crl.pem\n", "the file crl.pem is not embedded"),
    ],
)  # fmt: skip
def test_lists_that_are_refused(extra: str, expected: str) -> None:
    text = refuse(extra)
    assert text.startswith("server.conf:6: crl-verify: ")
    assert expected in text


def test_fingerprints_instead_of_a_ca() -> None:
    config, warned = parse(f"{SELF_SIGNED}peer-fingerprint {PRINT}\npeer-fingerprint {PRINT.lower()}\n", "f")
    assert (config.tls.ca, config.tls.rules.fingerprints, warned) == ("", (bytes(range(32)),), [])
    body = f"# alice\n{PRINT}\n\n  {PRINT.replace('00', 'FF')}\n; the end\n"
    config, warned = parse(SELF_SIGNED + block("peer-fingerprint", body), "f")
    assert config.tls.rules.fingerprints == (bytes(range(32)), b"\xff" + bytes(range(1, 32)))
    assert parse_extra(f"peer-fingerprint {PRINT}\n").tls.ca  # both: the chain is asked for too


def test_a_revocation_list_without_a_ca_is_warned_of() -> None:
    text = f"{SELF_SIGNED}peer-fingerprint {PRINT}\n" + block("crl-verify", crl_pem())
    _, (warning,) = parse(text, "f")
    assert warning.text.startswith("without `ca` no list is asked")


@pytest.mark.parametrize(
    "extra",
    [
        f"peer-fingerprint {PRINT[3:]}\n",
        f"peer-fingerprint {PRINT.replace(':', '')}\n",
        f"peer-fingerprint {PRINT.replace('00', '0x')}\n",
        f"peer-fingerprint {PRINT.replace('00', '٠٠')}\n",
        block("peer-fingerprint", f"{PRINT}\nmore\n"),
        block("peer-fingerprint", "# none\n"),
    ],
)
def test_what_is_no_fingerprint(extra: str) -> None:
    assert refuse(extra).startswith("server.conf:6: peer-fingerprint: no ")


def test_neither_ca_nor_fingerprints() -> None:
    with pytest.raises(ConfigError, match=r"^f: ca: missing; write `ca ca.crt`, or `peer-fingerprint`"):
        parse(SELF_SIGNED, "f")


@pytest.mark.parametrize("value", ["none", "optional"])
def test_no_authentication_only_by_the_boot_argument(value: str) -> None:
    line = f"verify-client-cert {value}\n"
    expected = rf"^f:6: verify-client-cert: with `{value}` anybody could .* the argument `--really-no-authentication`$"
    with pytest.raises(ConfigError, match=expected):
        parse(config_text(line), "f")
    config, (warning,) = parse(config_text(line), "f", allow_no_authentication=True)
    assert config.tls.verify_client_cert == value
    assert "--really-no-authentication" in warning.text


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ("verify-client-cert", {}),
        ("verify-client-cert require", {}),
        ("x509-username-field CN", {}),
        ("x509-username-field uid ext:subjectAltName", {"username_field": "UID ext:subjectAltName"}),
        ("x509-username-field emailAddress", {"username_field": "emailAddress"}),
        ("verify-x509-name 'C=DE, CN=alice'", {"name_kind": "subject", "name": "C=DE, CN=alice"}),
        ("verify-x509-name alice name", {"name_kind": "name", "name": "alice"}),
        ("verify-x509-name client- name-prefix", {"name_kind": "name-prefix", "name": "client-"}),
        ("remote-cert-tls client", {"remote_cert_tls": True}),
        ("remote-cert-ku", {"key_usage": (0,)}),
        ("remote-cert-ku 80 0x08 88", {"key_usage": (0x80, 0x08, 0x88)}),
        ('remote-cert-eku "TLS Web Client Authentication"', {"eku": "TLS Web Client Authentication"}),
        ("remote-cert-eku 1.3.6.1.5.5.7.3.2", {"eku": "1.3.6.1.5.5.7.3.2"}),
    ],
)
def test_what_a_clients_certificate_must_be(line: str, policy: dict[str, Any]) -> None:
    assert parse_extra(line + "\n").tls.rules == CertificateRules(**policy)


@pytest.mark.parametrize(
    ("line", "attribute", "value"),
    [
        (block("extra-certs", identity()["ca"]), "extra_certs", identity()["ca"]),
        ("tls-cipher TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:!aNULL", "tls_cipher",
         "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:!aNULL"),
        ("tls-ciphersuites TLS-AES-128-GCM-SHA256:TLS_AES_256_GCM_SHA384", "tls_ciphersuites",
         "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"),
        ("tls-groups P-256", "tls_groups", "P-256"),
        ("tls-cert-profile preferred", "tls_cert_profile", "preferred"),
        ("tls-cert-profile insecure", "tls_cert_profile", "insecure"),
    ],
)  # fmt: skip
def test_tls(line: str, attribute: str, value: object) -> None:
    assert setting(parse_extra(line + "\n"), attribute) == value


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("verify-client-cert maybe", "`maybe` is not understood; write `verify-client-cert require`"),
        ("x509-username-field ext:", "write `x509-username-field CN`"),
        ("verify-x509-name alice suffix", "`suffix` is not understood; write `verify-x509-name NAME name`"),
        ("verify-x509-name ''", "the name is empty"),
        ("remote-cert-tls server", "write `remote-cert-tls client`"),
        ("remote-cert-ku digitalSignature", "`digitalSignature` is no key usage in hex; write"),
        ("remote-cert-ku 0", "no key usage"),
        ("remote-cert-ku 10000", "no key usage"),
        ("remote-cert-eku 'a;b'", 'write `remote-cert-eku "TLS Web Client Authentication"`'),
        ("tls-cipher TLS-NULL", "`TLS-NULL` is no cipher suite; write `tls-cipher TLS-ECDHE-"),
        ("tls-cipher A::B", "`` is no cipher suite"),
        ("tls-ciphersuites ECDHE-RSA-AES256-GCM-SHA384", "is no suite of TLS 1.3; write"),
        ("tls-groups X25519,P-256", "`X25519,P-256` is no group; write `tls-groups secp256r1`"),
        ("tls-cert-profile strict", "write `tls-cert-profile preferred` or `tls-cert-profile legacy`"),
        (block("extra-certs", "nothing").rstrip(), "no PEM certificate"),
        ("capath certs", "write all certificates to one file: `ca ca.crt`"),
        ("pkcs12 all.p12", "openssl pkcs12 -in FILE"),
    ],
)
def test_refused(line: str, expected: str) -> None:
    text = refuse(line + "\n")
    assert text.startswith("server.conf:6: ")
    assert expected in text


@pytest.mark.parametrize(
    ("iana", "openssl"),
    [
        ("TLS-ECDHE-ECDSA-WITH-CHACHA20-POLY1305-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLS-DHE-RSA-WITH-AES-128-CBC-SHA", "DHE-RSA-AES128-SHA"),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "ECDHE-RSA-AES256-SHA384"),
        ("TLS-RSA-WITH-AES-256-GCM-SHA384", "AES256-GCM-SHA384"),
        ("DEFAULT@SECLEVEL=2", "DEFAULT@SECLEVEL=2"),
    ],
)
def test_names_of_suites(iana: str, openssl: str) -> None:
    assert openssl_cipher(iana) == openssl


def test_dates_of_the_identity_are_still_looked_at() -> None:
    _, warned = parse(f"{SELF_SIGNED}peer-fingerprint {PRINT}\n", "f", unix=BETWEEN + 10 * 365 * 86_400)
    assert [warning.directive for warning in warned] == ["cert"]
