"""The name that a client's certificate gives, and the administrator's rules for it (OpenVPN ssl_verify.c).

No certificate is trusted here: its chain was verified before (tls.py), or its leaf is pinned by fingerprint. It is
untrusted bytes still: a malformed one becomes a refusal with one sentence, never an exception of a parser.
"""

from __future__ import annotations

import hmac

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from hognose.base.pem import UNREADABLE, quiet
from hognose.drops import DropReason
from hognose.errors import ConfigError, PeerError
from hognose.openvpn.tls import openssl_binding
from hognose.settings import CertificateRules
from hognose.vocabulary import FINGERPRINT_LEN, NAME_KINDS

COMMON_NAME_MAX = 64  # bytes of UTF-8: RFC 5280 ub-common-name, OpenVPN TLS_USERNAME_LEN
USERNAME_MAX = 255  # several fields joined (OpenVPN ssl_verify.c verify_cert)
CHAIN_MAX = 16  # certificates of a chain (OpenVPN MAX_CERT_DEPTH)
NO_NAME = ""  # of clients without a certificate: no certificate has it, where UNDEF (OpenVPN) is a name like others
MALFORMED = "client certificate: it is malformed"
_CLIENT_AUTH = "TLS Web Client Authentication"
_Alternatives = type[x509.SubjectAlternativeName] | type[x509.IssuerAlternativeName]
_ALTERNATIVES: dict[str, _Alternatives] = {
    "subjectAltName": x509.SubjectAlternativeName,
    "issuerAltName": x509.IssuerAlternativeName,
}
_SERIAL = "serialNumber"
# RFC 5280 4.2.1.3, in the order of the bits: 0x80 is digitalSignature.
_USAGE_BITS = (
    (0x80, "digital_signature"),
    (0x40, "content_commitment"),
    (0x20, "key_encipherment"),
    (0x10, "data_encipherment"),
    (0x08, "key_agreement"),
    (0x04, "key_cert_sign"),
    (0x02, "crl_sign"),
    (0x01, "encipher_only"),
)


def check_rules(rules: CertificateRules) -> None:
    """ConfigError when no certificate can meet one of the demands."""
    if rules.name_kind not in NAME_KINDS:
        raise ConfigError("write subject, name or name-prefix", directive="verify-x509-name")
    if any(len(fingerprint) != FINGERPRINT_LEN for fingerprint in rules.fingerprints):
        raise ConfigError("write SHA-256 fingerprints, 32 bytes each", directive="peer-fingerprint")
    if rules.eku and not openssl_binding.is_object(rules.eku):
        raise ConfigError(
            f"no key usage is called `{rules.eku}`; write `{_CLIENT_AUTH}`, `clientAuth` or an OID",
            directive="remote-cert-eku",
        )
    if not rules.username_field.split():
        raise ConfigError("write a field name, for example CN", directive="x509-username-field")
    for field in rules.username_field.split():
        kind, _, name = field.rpartition(":")
        if (kind == "ext" and name in _ALTERNATIVES) or (not kind and openssl_binding.is_object(name)):
            continue
        raise ConfigError(
            f"`{field}` is no field of a certificate's subject; write one like CN or emailAddress, serialNumber, "
            "or ext:subjectAltName",
            directive="x509-username-field",
        )


def to_der(certificate: x509.Certificate) -> bytes:
    """The bytes as they were read."""
    return certificate.public_bytes(Encoding.DER)


def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the DER bytes."""
    return certificate.fingerprint(SHA256())


def check_identity(certificate: x509.Certificate, rules: CertificateRules, *, pinned_only: bool = False) -> str:
    """The client's name by its own certificate; PeerError(CERTIFICATE_REJECTED) where a rule forbids it.

    pinned_only: no chain was verified, the fingerprint alone makes it good; then key usage is only looked at where a
    directive asks for it (OpenVPN: verify_hash_no_ca overrides OpenSSL's verdict).
    """
    try:
        with quiet():
            if rules.fingerprints:
                _check_fingerprint(certificate, rules.fingerprints)
            if not pinned_only:
                _check_purpose(certificate)
            _check_usages(certificate, rules)
            name = username(certificate, rules.username_field)
            _check_name(certificate, rules, name)
    except UNREADABLE:
        raise _refusal("it is malformed: its subject or extensions cannot be read") from None
    return name


def username(certificate: x509.Certificate, fields: str) -> str:
    """The name by x509-username-field: of each field the last one there is, joined by `_`.

    OpenVPN would cut a name at a NUL and turn control characters into `_`; both are refused here, as are characters
    that cannot be printed (CVE-2017-7522, CVE-2024-5594).
    """
    parts = [_field(certificate, field) for field in fields.split()]
    name = "_".join(parts)
    if len(name.encode()) > USERNAME_MAX:
        raise _refusal(f"its name by `x509-username-field {fields}` is longer than {USERNAME_MAX} bytes")
    return name


def subject_text(certificate: x509.Certificate) -> str:
    """The subject as verify-x509-name compares it: `C=KG, ST=NA, L=Bishkek, CN=Server-1` (OpenVPN x509_get_subject).

    Parts in the certificate's order, ` + ` inside a multi-valued one; control characters as backslash and two digits.
    """
    groups = []
    with quiet():
        for group in certificate.subject.rdns:
            parts = [f"{openssl_binding.short_name(a.oid.dotted_string)}={_escaped(a.value)}" for a in group]
            groups.append(" + ".join(parts))
    text = ", ".join(groups)
    stripped = text.lstrip("-")
    return "_" * (len(text) - len(stripped)) + stripped


def _refusal(text: str) -> PeerError:
    return PeerError(DropReason.CERTIFICATE_REJECTED, f"client certificate: {text}")


def _check_fingerprint(certificate: x509.Certificate, allowed: tuple[bytes, ...]) -> None:
    ours = fingerprint(certificate)
    if not any(hmac.compare_digest(ours, one) for one in allowed):
        text = ours.hex(":").upper()
        raise _refusal(f"peer-fingerprint: it is not in the list; add {text} if this client may connect")


def _check_purpose(certificate: x509.Certificate) -> None:
    """Check the purpose sslclient as OpenSSL does; absent extensions allow all (RFC 5280 4.2.1.3, 4.2.1.12)."""
    usages = _extended(certificate)
    if usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string not in usages:
        raise _refusal("extended key usage is not clientAuth; issue a client certificate")
    bits = _usage_bits(certificate)
    if bits is not None and not bits & 0x88:
        raise _refusal("key usage forbids signatures; issue a certificate with digitalSignature")


def _check_usages(certificate: x509.Certificate, rules: CertificateRules) -> None:
    """Check remote-cert-ku, remote-cert-eku and remote-cert-tls client (OpenVPN verify_peer_cert)."""
    wanted = ["remote-cert-eku", rules.eku] if rules.eku else []
    if rules.remote_cert_tls:
        wanted = ["remote-cert-tls", _CLIENT_AUTH]
    if rules.remote_cert_tls or rules.key_usage:
        directive = "remote-cert-ku" if rules.key_usage else "remote-cert-tls"
        bits = _usage_bits(certificate)
        if bits is None:
            raise _refusal(f"{directive}: it has no key usage extension; issue one that has")
        values = [value for value in rules.key_usage if value]
        if values and not any(bits & value == value for value in values):
            expected = ", ".join(f"{value:02x}" for value in values)
            raise _refusal(f"remote-cert-ku: its key usage is {bits:02x}, expected one of {expected}")
    if wanted:
        directive, name = wanted
        usages = _extended(certificate)
        if usages is None or not any(openssl_binding.is_named(usage, name) for usage in usages):
            raise _refusal(f"{directive}: its extended key usage lacks {name}; issue one that has it")


def _check_name(certificate: x509.Certificate, rules: CertificateRules, name: str) -> None:
    """Check verify-x509-name."""
    if not rules.name_kind:
        return
    actual = subject_text(certificate) if rules.name_kind == "subject" else name
    good = actual.startswith(rules.name) if rules.name_kind == "name-prefix" else actual == rules.name
    if not good:
        must = "begin with" if rules.name_kind == "name-prefix" else "be"
        shown = "".join(c if c.isprintable() else "?" for c in actual)
        what = "subject" if rules.name_kind == "subject" else "name"
        raise _refusal(f"verify-x509-name: its {what} is `{shown}`, it must {must} `{rules.name}`")


def _field(certificate: x509.Certificate, field: str) -> str:
    """One field of x509-username-field, fit for tables, pushes and logs."""
    kind, _, wanted = field.rpartition(":")
    if kind == "ext":
        values = _emails(certificate, wanted)
    elif field == _SERIAL:
        digits = f"{certificate.serial_number:X}"
        values = ["0x" + "0" * (len(digits) % 2) + digits]
    else:
        values = [a.value for a in certificate.subject if openssl_binding.is_named(a.oid.dotted_string, wanted)]
    if not values or not values[-1]:
        what = "common name" if field == "CN" else f"`{field}`, which x509-username-field asks for"
        raise _refusal(f"it has no {what}; issue one with a name")
    value = values[-1]
    what = "common name" if field == "CN" else field
    if not isinstance(value, str) or not value.isprintable():
        raise _refusal(f"unusable {what}: control characters or others that cannot be printed")
    if len(value.encode()) > COMMON_NAME_MAX:
        raise _refusal(f"unusable {what}: longer than {COMMON_NAME_MAX} bytes")
    return value


def _emails(certificate: x509.Certificate, extension: str) -> list[str | bytes]:
    """Mail addresses of an alternative name; names of another kind are passed over, as OpenVPN does."""
    for one in certificate.extensions:
        if isinstance(one.value, _ALTERNATIVES[extension]):
            return [name.value for name in one.value if isinstance(name, x509.RFC822Name)]
    return []


def _extended(certificate: x509.Certificate) -> list[str] | None:
    """Dotted OIDs of the extended key usage; None without the extension."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return [usage.dotted_string for usage in usages]


def _usage_bits(certificate: x509.Certificate) -> int | None:
    """The first octet of the key usage bits; None without the extension."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    bits = 0
    for bit, name in _USAGE_BITS:
        if name == "encipher_only" and not usage.key_agreement:
            continue  # the library refuses to tell it then
        if getattr(usage, name):
            bits |= bit
    return bits


def _escaped(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return value.hex()
    value = value.replace("\\", "\\\\")
    return "".join(c if c >= " " and c != "\x7f" else f"\\{ord(c):02X}" for c in value)
