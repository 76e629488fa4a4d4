"""tls-cipher, tls-ciphersuites, tls-groups, tls-cert-profile: what is refused is what no client could use."""

from __future__ import annotations

from functools import cache

import cryptography
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from tests.unit.openvpn.handshake import verdict
from tests.world.pki import SERVER, Authority, Identity
from tests.world.server import ServerSettings

from hognose.config import tls_capabilities as image
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.errors import ConfigError
from hognose.gateway.live import LiveConfig
from hognose.limits import Limits
from hognose.openvpn.tls.context import TlsContext
from hognose.settings import CertificateRules, TlsSettings
from hognose.vocabulary import CERT_PROFILES

EC_EXAMPLE = "write `tls-cipher TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384:TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256`"
RSA_EXAMPLE = EC_EXAMPLE.replace("ECDSA", "RSA")
WEAK = "are too weak for `tls-cert-profile legacy`"
NONE = "no cipher of this list works with the"
NO_DHE = "; key exchange by DHE is not done here"
DHE = "TLS-DHE-RSA-WITH-AES-256-GCM-SHA384"
ECDSA = "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384"
RSA = "TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256"
GROUPS = "the image's TLS can be told one of"
SAME_LIBRARY = cryptography.__version__ == image.CRYPTOGRAPHY


@cache
def authority() -> Authority:
    return Authority()


@cache
def server(key: str) -> Identity:
    return authority().issue("server", SERVER, key=key)


def read(*lines: str, key: str = "P-256", identity: Identity | None = None) -> tuple[ServerConfig, list[str]]:
    """The config with these further lines, and its warnings about them; the first of them is line 7."""
    text = ServerSettings(authority(), identity or server(key), "none", extra=list(lines)).text()
    config, warned = parse(text, "server.conf")
    return config, [warning.in_file("server.conf") for warning in warned]


def refuse(*lines: str, key: str = "P-256", identity: Identity | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(*lines, key=key, identity=identity)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "words", "expected"),
    [
        ("P-256", DHE, f"{NONE} EC key of `cert`{NO_DHE}; {EC_EXAMPLE}"),
        ("RSA2048", DHE, f"{NONE} RSA key of `cert`{NO_DHE}; {RSA_EXAMPLE}"),
        ("RSA2048", ECDSA, f"{NONE} RSA key of `cert`; {RSA_EXAMPLE}"),
        ("P-256", RSA, f"{NONE} EC key of `cert`; {EC_EXAMPLE}"),
        ("Ed25519", RSA, f"{NONE} Ed25519 key of `cert`; {EC_EXAMPLE}"),
        ("P-256", "TLS-RSA-WITH-AES-256-GCM-SHA384", f"{NONE} EC key of `cert`; {EC_EXAMPLE}"),
        ("P-256", "HIGH:!ECDHE", f"{NONE} EC key of `cert`; {EC_EXAMPLE}"),
        ("P-256", "HIGH:@STRENGTH:!ECDHE", f"{NONE} EC key of `cert`; {EC_EXAMPLE}"),
        ("P-256", "HIGH:DEFAULT:!ECDHE", f"{NONE} EC key of `cert`; {EC_EXAMPLE}"),
        ("P-256", "DHE+AESGCM:kEDH", f"{NONE} EC key of `cert`{NO_DHE}; {EC_EXAMPLE}"),
        ("P-256", "aNULL:eNULL:PSK", f"{NONE} EC key of `cert`; {EC_EXAMPLE}"),
        ("P-256", "NONSENSE-SHA", f"the image's OpenSSL has no cipher of this list; {EC_EXAMPLE}"),
        ("P-256", "!aNULL", f"the image's OpenSSL has no cipher of this list; {EC_EXAMPLE}"),
        ("P-256", "TLS-NULL", f"`TLS-NULL` is no cipher suite; {EC_EXAMPLE}"),
        ("P-256", "ECDHE-ECDSA-AES128-CCM8", f"the ciphers of this list {WEAK}; {EC_EXAMPLE}"),
        ("P-256", f"{ECDSA}:@x", f"`@x` is no cipher suite; {EC_EXAMPLE}"),
        ("P-256", f"{ECDSA}:!A++B", f"`!A++B` is no cipher suite; {EC_EXAMPLE}"),
        ("P-256", "DEFAULT:@SECLEVEL=0", "`@SECLEVEL` follows from tls-cert-profile; leave it out of the list"),
    ],
)  # fmt: skip
def test_lists_of_which_nothing_is_left(key: str, words: str, expected: str) -> None:
    assert refuse(f"tls-cipher {words}", key=key) == f"server.conf:7: tls-cipher: {expected}"


@pytest.mark.parametrize(
    ("key", "words", "kept"),
    [
        ("P-256", f"{DHE}:{ECDSA}", "DHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("RSA2048", "TLS-RSA-WITH-AES-256-GCM-SHA384", "AES256-GCM-SHA384"),
        ("P-256", "ECDHE+AESGCM:!AES128", "ECDHE+AESGCM:!AES128"),
        ("Ed25519", ECDSA, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("P-256", "DEFAULT:!kRSA:@STRENGTH", "DEFAULT:!kRSA:@STRENGTH"),
        ("P-256", "AESGCM:-ECDHE:ECDHE+AES256", "AESGCM:-ECDHE:ECDHE+AES256"),
    ],
)  # fmt: skip
def test_lists_of_which_something_works(key: str, words: str, kept: str) -> None:
    config, warned = read(f"tls-cipher {words}", key=key)
    assert (config.tls.ciphers, warned) == (kept, [])


def test_a_name_that_the_image_lacks_is_left_out() -> None:
    config, warned = read(f"tls-cipher NONSENSE-SHA:{ECDSA}")
    assert config.tls.ciphers == "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert warned == ["server.conf:7: tls-cipher: `NONSENSE-SHA` is left out: the image's OpenSSL does not have it"]


def test_lists_for_a_version_that_is_not_spoken_refuse_nothing() -> None:
    config, warned = read("tls-version-min 1.3", f"tls-cipher {DHE}")
    assert config.tls.ciphers == ""
    assert warned == ["server.conf:8: tls-cipher: of no effect: it is about TLS 1.2, and tls-version-min is 1.3"]
    _, warned = read("tls-version-max 1.2", "tls-ciphersuites TLS_AES_128_CCM_8_SHA256")
    assert warned == ["server.conf:8: tls-ciphersuites: of no effect: it is about TLS 1.3, and tls-version-max is 1.2"]


def test_suites_of_tls_1_3() -> None:
    assert read("tls-ciphersuites TLS-AES-128-CCM-8-SHA256:TLS_AES_128_GCM_SHA256")[0].tls.ciphersuites == (
        "TLS_AES_128_CCM_8_SHA256:TLS_AES_128_GCM_SHA256"
    )
    weak = refuse("tls-ciphersuites TLS_AES_128_CCM_8_SHA256")
    assert weak.startswith(
        "server.conf:7: tls-ciphersuites: the suites of this list are too weak for `tls-cert-profile "
    )
    assert read("tls-cert-profile insecure", "tls-ciphersuites TLS_AES_128_CCM_8_SHA256")[1] == []


@pytest.mark.parametrize(
    ("words", "better"),
    [
        ("X25519:prime256v1:secp384r1", "prime256v1"),  # the default of a much-used installer
        ("X25519", "secp256r1"),
        ("secp256r1:secp384r1", "secp256r1"),
        ("brainpoolP256r1", "secp256r1"),
    ],
)
def test_groups_that_the_image_cannot_set(words: str, better: str) -> None:
    text = refuse(f"tls-groups {words}")
    assert text.startswith(f"server.conf:7: tls-groups: {GROUPS} ")
    assert text.endswith(f"; write `tls-groups {better}`, or remove the line for OpenSSL's own list")
    assert read(f"tls-groups {better}")[0].tls.groups == better


def test_a_group_of_another_curve_than_the_keys_is_warned_of() -> None:
    """OpenSSL refuses such clients in TLS 1.2 (`wrong curve`), as it does for OpenVPN."""
    text = "server.conf:7: tls-groups: TLS 1.2 clients whose certificate has an EC key of another curve than secp384r1 "
    for group in ("secp384r1", "P-384"):
        assert read(f"tls-groups {group}")[1] == [f"{text}are refused"]
        assert read(f"tls-groups {group}", "tls-version-min 1.3")[1] == []
        assert read(f"tls-groups {group}", key="RSA2048")[1] == read(f"tls-groups {group}", key="P-384")[1] == []


def test_groups_of_the_image_are_those_of_the_facts() -> None:
    """Three curves, by each of their names."""
    assert image.GROUPS == (
        "secp256r1", "prime256v1", "P-256", "secp384r1", "P-384", "secp521r1", "P-521",
    )  # fmt: skip


def test_the_servers_own_key() -> None:
    text = refuse("tls-cert-profile preferred", key="RSA1024")
    assert ": cert: its RSA 1024 key is too short for `tls-cert-profile preferred`; issue one with an EC key " in text
    assert read("tls-cert-profile insecure", key="RSA1024")[1] == []
    suite_b = refuse("tls-cert-profile suiteb", key="RSA4096")
    assert suite_b.startswith("server.conf:7: tls-cert-profile: `suiteb` wants an EC key of secp256r1 or secp384r1 in ")
    assert read("tls-cert-profile suiteb", key="P-384")[1] == []
    assert read("tls-cert-profile suiteb", f"tls-cipher {RSA}", key="RSA4096")[1] == []


def test_the_boot_cannot_be_told_more_than_the_table_has() -> None:
    """Every value that a config may have is set by the library that runs here, or the start is refused."""
    told = {group: told_at_the_start(read(f"tls-groups {group}")[0]) for group in image.GROUPS}
    for suite, (families, level, _) in image.SUITES.items():
        key = "RSA2048" if "RSA" in families.split() else "P-256"
        config, _ = read(f"tls-cert-profile {CERT_PROFILES[min(level, 2)]}", f"tls-cipher {suite}", key=key)
        told[suite] = told_at_the_start(config) if SAME_LIBRARY else ""
    assert {name: words for name, words in told.items() if words} == {}
    assert len(told) == len(image.GROUPS) + len(image.SUITES) > 20


def told_at_the_start(config: ServerConfig) -> str:
    """Objection of the boot to a config, "" for none."""
    try:
        LiveConfig(config, Limits())
    except ConfigError as error:
        return str(error)
    return ""


def test_names_of_fields_and_usages_are_those_of_the_boot() -> None:
    """OpenSSL takes every entry of the table; all others are refused with the line, not at the boot."""
    for field in image.SUBJECT_FIELDS:
        CertificateRules(username_field=field)
    for usage in image.EXTENDED_KEY_USAGES:
        CertificateRules(eku=usage)
    for words in ("nonsense", "title", "ext:subject", "ext:keyUsage", "CN nonsense", "1.2.٣"):
        assert refuse(f"x509-username-field {words}").startswith("server.conf:7: x509-username-field: `")
    for words in ("nonsense", "clientAuthentication", "1"):
        assert refuse(f"remote-cert-eku {words}").startswith("server.conf:7: remote-cert-eku: an OpenSSL name or OID")
    assert read("x509-username-field cn 2.5.4.3 ext:subjectAltName", "remote-cert-eku 1.3.6.1.5.5.7.3.2")[1] == []


# What OpenSSL itself makes of a list, as the oracle: a handshake with a client that allows everything.
_WORDS = [*image.SUITES, *image.IDLE, "ALL", "HIGH", "AESGCM", "kRSA", "ECDHE", "aECDSA", "AES128", "CBC"]
_ODD = [
    "@STRENGTH",
    "@x",
    "++",
    "AESGCM++ECDHE",
    "!!RSA",
    "x=y",
    "!x=y",
    "-!RSA",
    "+@x",
    "z" * 81,
    "!" + "z" * 80,
]
_TERMS = st.tuples(
    st.sampled_from(["", "", "", "!", "-", "+"]), st.lists(st.sampled_from(_WORDS), min_size=1, max_size=2)
)


@pytest.mark.skipif(not SAME_LIBRARY, reason="another OpenSSL has other suites than the image's")
@given(
    st.lists(_TERMS, min_size=1, max_size=4),
    st.sampled_from(["P-256", "RSA2048", "Ed25519"]),
    st.integers(0, 2),
    st.sampled_from(["", "", "DEFAULT:"]),
    st.sampled_from(["", "", *(f":{word}" for word in _ODD)]),
)
@settings(max_examples=60, deadline=None)
def test_openssl_agrees(terms: list[tuple[str, list[str]]], key: str, level: int, first: str, last: str) -> None:
    words = first + ":".join(sign + "+".join(names) for sign, names in terms) + last
    lines = (f"tls-cert-profile {CERT_PROFILES[level]}", f"tls-cipher {words}")
    if len(lines[1]) > 250:
        return
    try:
        config, _ = read(*lines, key=key)
    except ConfigError as error:
        refused = str(error)
    else:
        assert works(config.tls.ciphers, key, level), words
        return
    assert ": tls-cipher: " in refused
    assert not works(words, key, level), words


@cache
def alice() -> Identity:
    return authority().issue("alice")


def works(words: str, key: str, level: int) -> bool:
    """True if a TLS 1.2 client gets in. SEED is in OpenSSL's legacy provider, which the image does not have."""
    words = f"{words}:!SEED"
    own = server(key)
    profile = CERT_PROFILES[level]
    try:
        tls = TlsContext(TlsSettings(authority().pem, own.cert, own.key, ciphers=words, cert_profile=profile))
        return verdict(tls, alice(), maximum=SSL.TLS1_2_VERSION, ciphers="ALL:COMPLEMENTOFALL") == ""
    except (ConfigError, SSL.Error):
        return False
