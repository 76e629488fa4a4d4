"""Names and usages of certificates against the administrator's rules; what openvpn does stands in docs/verdicts.md."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.world.pki import CLIENT, SERVER, Authority, key_usage, name_of

from hognose.base.pem import load_certificates
from hognose.drops import DropReason
from hognose.errors import ConfigError, PeerError
from hognose.openvpn.tls.certificates import check_identity, check_rules, subject_text, username
from hognose.settings import CertificateRules

CN, O, OU, MAIL = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.EMAIL_ADDRESS,
)
AUTHORITY = Authority()
Subject = Sequence[tuple[x509.ObjectIdentifier, str]]


def issue(*names: str, **more: Any) -> x509.Certificate:
    """With these common names; read as the server reads it."""
    subject: Subject = more.pop("subject", name_of(*[(CN, name) for name in names]))
    identity = AUTHORITY.issue("", subject=subject, **more)
    [certificate] = load_certificates(identity.cert)
    return certificate


def refusal(certificate: x509.Certificate, rules: CertificateRules | None = None, **more: bool) -> str:
    """The detail of a refusal, "" when there is none."""
    try:
        check_identity(certificate, rules or CertificateRules(), **more)
    except PeerError as error:
        return error.detail if error.reason is DropReason.CERTIFICATE_REJECTED else f"wrong reason {error}"
    return ""


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "it has no common name"),
        (("",), "it has no common name"),
        (("first", ""), "it has no common name"),
        (("a\tb",), "unusable common name: control characters"),
        (("alice\0mallory",), "unusable common name: control characters"),
        (("\x1b[31m",), "unusable common name: control characters"),
        (("a\u202eb",), "unusable common name: control characters or others"),
        (("x" * 65,), "longer than 64 bytes"),
        (("ü" * 33,), "longer than 64 bytes"),
    ],
)
def test_common_names_that_cannot_be_used(names: tuple[str, ...], words: str) -> None:
    assert words in refusal(issue(*names))


@pytest.mark.parametrize("name", ["alice", "Jürgen Groß", "a/b=c, d", "x" * 64, "ü" * 32, "田中", "-dash", "UNDEF"])
def test_common_names_as_they_are(name: str) -> None:
    assert check_identity(issue(name), CertificateRules()) == name


def test_the_last_common_name_counts() -> None:
    assert check_identity(issue("first", "last"), CertificateRules()) == "last"


def test_username_fields() -> None:
    mail = x509.SubjectAlternativeName([x509.DNSName("x.example"), x509.RFC822Name("a@x.example")])
    certificate = issue(subject=name_of((O, "Acme"), (CN, "alice"), (MAIL, "alice@x.example")), extensions=[mail])
    serial = subprocess.run(
        ["openssl", "x509", "-noout", "-serial"], input=_pem(certificate), capture_output=True, check=True
    ).stdout.decode()
    for field, name in (
        ("CN", "alice"),
        ("commonName", "alice"),
        ("2.5.4.3", "alice"),
        ("emailAddress", "alice@x.example"),
        ("O CN", "Acme_alice"),
        ("ext:subjectAltName", "a@x.example"),
        ("serialNumber", "0x" + serial.strip().partition("=")[2]),
    ):
        assert check_identity(certificate, CertificateRules(username_field=field)) == name
    assert "it has no `OU`" in refusal(certificate, CertificateRules(username_field="OU"))
    assert "it has no `ext:issuerAltName`" in refusal(certificate, CertificateRules(username_field="ext:issuerAltName"))
    assert "it has no `2.3.4.5`" in refusal(certificate, CertificateRules(username_field="2.3.4.5"))
    long = issue(subject=name_of(*[(oid, "x" * 64) for oid in (CN, O, OU, NameOID.TITLE)]))
    assert "longer than 255" in refusal(long, CertificateRules(username_field="CN O OU title"))


@pytest.mark.parametrize("field", ["", "nonsense", "ext:keyUsage", "ext:nonsense", "CN nonsense", "int:CN"])
def test_username_fields_that_there_are_not(field: str) -> None:
    with pytest.raises(ConfigError, match="x509-username-field: "):
        check_rules(CertificateRules(username_field=field))


def test_no_common_name_is_needed_where_another_field_names() -> None:
    certificate = issue(subject=name_of((MAIL, "a@x.example")))
    assert check_identity(certificate, CertificateRules(username_field="emailAddress")) == "a@x.example"


@pytest.mark.parametrize("odd", ["alice\0.example", "alice\0", "\0alice", "alice\n", "alice\x7f", "alice\u2028"])
def test_cve_2026_84790_no_field_makes_one_client_another(odd: str) -> None:
    """CVE-2026-84790: a NUL in any field of the subject cuts nothing: neither the name nor what it is compared with."""
    for field, oid in (("CN", CN), ("emailAddress", MAIL), ("OU", OU)):
        certificate = issue(subject=name_of((O, "Acme"), (oid, odd)))
        assert "unusable" in refusal(certificate, CertificateRules(username_field=field))
        assert "unusable" in refusal(certificate, CertificateRules(username_field=f"O {field}"))
        for kind in ("name", "name-prefix"):
            assert "unusable" in refusal(
                certificate, CertificateRules(name_kind=kind, name="alice", username_field=field)
            )
    beside = issue(subject=name_of((O, f"Acme{odd}"), (CN, "alice")))
    for kind, name in (("subject", "O=Acme, CN=alice"), ("subject", "O=Acme")):
        assert "verify-x509-name" in refusal(beside, CertificateRules(name_kind=kind, name=name))


# -- verify-x509-name --------------------------------------------------------------------------------------------------


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    "subject",
    [
        name_of((NameOID.COUNTRY_NAME, "KG"), (NameOID.STATE_OR_PROVINCE_NAME, "NA"), (CN, "Server-1"), (MAIL, "me@x")),
        name_of((CN, 'a, b + c = "d" \\ /'), (O, "Ünï ⇒ 田"), (NameOID.USER_ID, "u1"), (NameOID.DOMAIN_COMPONENT, "x")),
        name_of((CN, "a\x01b\x7fc\nd"), (NameOID.SERIAL_NUMBER, "7"), (NameOID.GIVEN_NAME, "g"), (NameOID.TITLE, "t")),
        name_of((x509.ObjectIdentifier("1.2.3.4.5.6.7"), "private"), (NameOID.SURNAME, "s"), (CN, "")),
        [],
    ],
)
def test_subjects_as_openssl_prints_them(subject: Subject) -> None:
    """OpenVPN prints with these options of openssl(1): XN_FLAG_SEP_CPLUS_SPC, FN_SN, UTF8_CONVERT, ESC_CTRL."""
    certificate = issue(subject=subject)
    options = "sep_comma_plus_space,sname,utf8,esc_ctrl"
    command = ["openssl", "x509", "-noout", "-subject", "-nameopt", options]
    printed = subprocess.run(command, input=_pem(certificate), capture_output=True, check=True).stdout.decode()
    assert subject_text(certificate) == printed.removeprefix("subject=").removesuffix("\n")


def test_several_values_in_one_part_of_a_subject() -> None:
    group = x509.RelativeDistinguishedName([x509.NameAttribute(CN, "a"), x509.NameAttribute(MAIL, "b")])

    class Fake:
        subject = x509.Name([x509.RelativeDistinguishedName([x509.NameAttribute(O, "-x")]), group])

    text = subject_text(Fake)  # type: ignore[arg-type]  # a stand-in
    assert text in ("O=-x, CN=a + emailAddress=b", "O=-x, emailAddress=b + CN=a")


def test_verify_x509_name() -> None:
    certificate = issue(subject=name_of((O, "Acme"), (CN, "gate-1")))
    for kind, name, good in (
        ("subject", "O=Acme, CN=gate-1", True),
        ("subject", "CN=gate-1", False),
        ("subject", "gate-1", False),
        ("name", "gate-1", True),
        ("name", "gate", False),
        ("name", "Gate-1", False),
        ("name-prefix", "gate-", True),
        ("name-prefix", "gate-1", True),
        ("name-prefix", "gate-12", False),
        ("name-prefix", "ate", False),
    ):
        said = refusal(certificate, CertificateRules(name_kind=kind, name=name))
        assert (said == "") is good
        assert good or ("verify-x509-name: its" in said and f"`{name}`" in said)
    other = CertificateRules(name_kind="name", name="Acme", username_field="O")
    assert check_identity(certificate, other) == "Acme"
    with pytest.raises(ConfigError, match="verify-x509-name: write subject"):
        check_rules(CertificateRules(name_kind="nonsense", name="x"))


# -- usages ------------------------------------------------------------------------------------------------------------


def test_purpose_of_tls_clients() -> None:
    """Absent extensions allow everything (RFC 5280); what OpenSSL has checked already is checked here again."""
    anything = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    assert refusal(issue("a", usage=None, key_usage=None)) == ""
    assert refusal(issue("a", key_usage=key_usage("key_agreement"))) == ""
    assert "not clientAuth" in refusal(issue("a", usage=SERVER))
    assert "not clientAuth" in refusal(issue("a", usage=anything))
    assert "forbids signatures" in refusal(issue("a", key_usage=key_usage("key_encipherment")))
    assert refusal(issue("a", usage=SERVER), pinned_only=True) == ""


def test_remote_cert_ku() -> None:
    certificate = issue("a", key_usage=key_usage("digital_signature", "key_encipherment"))
    for values, good in (
        ((0xA0,), True),
        ((0x80,), True),
        ((0x88, 0xA0), True),
        ((0x88,), False),
        ((0xA8,), False),
        ((0,), True),
    ):
        assert (refusal(certificate, CertificateRules(key_usage=values)) == "") is good
    assert "its key usage is a0, expected one of 88" in refusal(certificate, CertificateRules(key_usage=(0x88,)))
    agreement = issue("a", key_usage=key_usage("key_agreement", "encipher_only"))
    assert refusal(agreement, CertificateRules(key_usage=(0x09,))) == ""
    assert "no key usage" in refusal(issue("a", key_usage=None), CertificateRules(key_usage=(0,)))
    assert "no key usage" in refusal(issue("a", key_usage=None), CertificateRules(key_usage=(0x80,)))


def test_remote_cert_eku() -> None:
    certificate = issue("a", usage=CLIENT)
    for name, good in (
        ("TLS Web Client Authentication", True),
        ("clientAuth", True),
        ("1.3.6.1.5.5.7.3.2", True),
        ("TLS Web Server Authentication", False),
        ("1.3.6.1.5.5.7.3.1", False),
        ("1.2.3.4", False),
    ):
        assert (refusal(certificate, CertificateRules(eku=name)) == "") is good
    private = issue("a", usage=x509.ObjectIdentifier("1.2.3.4"))
    assert refusal(private, CertificateRules(eku="1.2.3.4"), pinned_only=True) == ""
    assert "lacks clientAuth" in refusal(issue("a", usage=None), CertificateRules(eku="clientAuth"))
    with pytest.raises(ConfigError, match="remote-cert-eku: no key usage is called `nonsense`"):
        check_rules(CertificateRules(eku="nonsense"))


def test_remote_cert_tls() -> None:
    rules = CertificateRules(remote_cert_tls=True)
    assert refusal(issue("a"), rules) == ""
    assert "remote-cert-tls: its extended key usage lacks" in refusal(issue("a", usage=None), rules)
    assert "remote-cert-tls: it has no key usage" in refusal(issue("a", key_usage=None), rules)
    assert "lacks" in refusal(issue("a", usage=SERVER), rules, pinned_only=True)


def test_cve_2026_106017_usages_are_compared_whole() -> None:
    """CVE-2026-106017: an extended key usage that is not the one asked for never stands for it."""
    asked = "1.3.6.1.5.5.7.3.2"
    others = (
        "1.3.6.1.5.5.7.3", "1.3.6.1.5.5.7.3.20", "1.3.6.1.5.5.7.3.2.1", "1.3.6.1.5.5.7.3.1", "2.5.29.37.0",
        "1.3.6.1.5.5.7.3.14",
    )  # fmt: skip
    for rules in (
        CertificateRules(eku=asked),
        CertificateRules(eku="clientAuth"),
        CertificateRules(remote_cert_tls=True),
    ):
        assert refusal(issue("a"), rules) == ""
        for pinned_only in (False, True):  # a pinned fingerprint waives no rule that was asked for
            assert refusal(issue("a", usage=None), rules, pinned_only=pinned_only) != ""
            for other in others:
                certificate = issue("a", usage=x509.ObjectIdentifier(other))
                assert refusal(certificate, rules, pinned_only=pinned_only) != "", other
    private = issue("a", usage=None, extensions=[x509.ExtendedKeyUsage([CLIENT, x509.ObjectIdentifier("1.2.3.45")])])
    assert refusal(private, CertificateRules(eku="1.2.3.45")) == ""
    for near in ("1.2.3.4", "1.2.3.456", "1.2.3.45.1"):
        assert "lacks" in refusal(private, CertificateRules(eku=near))


def test_extensions_that_cannot_be_read() -> None:
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), b"\x30\x03abc")
    assert "malformed" in refusal(issue("a", usage=None, extensions=[broken]))


# -- bits and bounds ---------------------------------------------------------------------------------------------------

USAGES = {
    "digital_signature": 0x80,
    "content_commitment": 0x40,
    "key_encipherment": 0x20,
    "data_encipherment": 0x10,
    "key_agreement": 0x08,
    "key_cert_sign": 0x04,
    "crl_sign": 0x02,
}


@pytest.mark.parametrize("name", USAGES)
def test_each_bit_of_the_key_usage(name: str) -> None:
    """RFC 5280 4.2.1.3: the first octet, from digitalSignature on; either of two bits makes a TLS client."""
    bit = USAGES[name]
    certificate = issue("a", key_usage=key_usage(name))
    said = refusal(certificate, CertificateRules(key_usage=(0xFF,)), pinned_only=True)
    assert f"its key usage is {bit:02x}, expected one of ff" in said
    assert refusal(certificate, CertificateRules(key_usage=(bit,)), pinned_only=True) == ""
    assert (refusal(certificate) == "") is (name in ("digital_signature", "key_agreement"))


def test_all_bits_of_the_key_usage() -> None:
    certificate = issue("a", key_usage=key_usage(*USAGES, "encipher_only"))
    assert "its key usage is ff, expected" in refusal(certificate, CertificateRules(key_usage=(0x100,)))
    certificate = issue("a", key_usage=key_usage(*USAGES))
    assert "its key usage is fe, expected" in refusal(certificate, CertificateRules(key_usage=(0x100,)))


@pytest.mark.parametrize(("last", "good"), [(60, True), (61, False)])
def test_a_name_of_several_fields_has_255_bytes(last: int, good: bool) -> None:
    """With the lines between them: 64, 64, 64 and 60 (OpenVPN's buffer of 256 ends in a zero)."""
    certificate = issue(subject=name_of((CN, "x" * 64), (O, "y" * 64), (OU, "z" * 64), (NameOID.TITLE, "t" * last)))
    rules = CertificateRules(username_field="CN O OU title")
    if good:
        assert len(check_identity(certificate, rules)) == 255
    else:
        assert "longer than 255" in refusal(certificate, rules)


@pytest.mark.parametrize(("serial", "name"), [(0xF, "0x0F"), (0x10, "0x10"), (0xABC, "0x0ABC"), (0x1234, "0x1234")])
def test_serial_numbers_have_whole_bytes(serial: int, name: str) -> None:
    """As OpenSSL prints them: two digits a byte."""

    class Fake:
        serial_number = serial

    assert username(Fake, "serialNumber") == name  # type: ignore[arg-type]  # a stand-in


def test_a_name_that_is_no_text() -> None:
    """A uniqueIdentifier is a BIT STRING (RFC 4524 2.24): no client's name, and shown by its digits."""
    oid = NameOID.X500_UNIQUE_IDENTIFIER
    parts = [SimpleNamespace(oid=oid, value=b"\0\x01\xab"), SimpleNamespace(oid=CN, value="alice")]

    class FakeName(list[SimpleNamespace]):
        rdns = tuple([part] for part in parts)

    class Fake:
        subject = FakeName(parts)

    assert subject_text(Fake) == "x500UniqueIdentifier=0001ab, CN=alice"  # type: ignore[arg-type]  # a stand-in
    with pytest.raises(PeerError, match=r"unusable 2\.5\.4\.45"):
        username(Fake, oid.dotted_string)  # type: ignore[arg-type]  # a stand-in


@pytest.mark.parametrize(
    "rules",
    [
        CertificateRules(eku="clientAuth"),
        CertificateRules(eku="1.2.3.4"),
        CertificateRules(eku="TLS Web Client Authentication"),
        CertificateRules(username_field="ext:subjectAltName"),
        CertificateRules(username_field="ext:issuerAltName serialNumber"),
        CertificateRules(username_field="emailAddress CN 1.2.3.4"),
        CertificateRules(fingerprints=(bytes(32), bytes(32))),
        *(CertificateRules(name_kind=kind, name="x") for kind in ("", "subject", "name", "name-prefix")),
    ],
)
def test_rules_that_a_certificate_can_meet(rules: CertificateRules) -> None:
    check_rules(rules)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_fingerprints_have_32_bytes(size: int) -> None:
    with pytest.raises(ConfigError, match="peer-fingerprint: write SHA-256"):
        check_rules(CertificateRules(fingerprints=(bytes(32), bytes(size))))


def test_what_a_refusal_shows_can_be_printed() -> None:
    """One character for each that cannot; which of name and subject is compared, and how."""
    certificate = issue(subject=name_of((O, "A\u2028me"), (CN, "gate")))
    for kind, text in (
        ("subject", "its subject is `O=A?me, CN=gate`, it must be `x`"),
        ("name", "its name is `gate`, it must be `x`"),
        ("name-prefix", "its name is `gate`, it must begin with `x`"),
    ):
        said = refusal(certificate, CertificateRules(name_kind=kind, name="x"))
        assert said == f"client certificate: verify-x509-name: {text}"
