"""Certificates of both sides: the server's identity, demands on clients', and the bounds of TLS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from hognose.config import keys
from hognose.config import tls_capabilities as image
from hognose.config.collected import Collected
from hognose.config.lexer import Directive, split_lines
from hognose.errors import ConfigError
from hognose.settings import CertificateRules
from hognose.units import UnixSeconds
from hognose.vocabulary import NAME_KINDS, TLS_VERSIONS, ClientCertificate


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM texts of ca ("" with fingerprints alone), cert, key and extra-certs ("" for none)."""

    ca: str
    cert: str
    key: str
    extra_certs: str


def identity(lines: Collected, unix: UnixSeconds | None) -> Identity:
    """The server's certificate and key, and the authorities of its clients.

    unix: the wall clock for warnings of dates, None for none. ConfigError when one is absent or unreadable, or when the
    key is not the certificate's.
    """
    ca = lines.get("ca")
    if ca is None and "peer-fingerprint" not in lines:
        text = "missing; write `ca ca.crt`, or `peer-fingerprint` with the fingerprints of the clients' certificates"
        raise ConfigError(text, file=lines.file, directive="ca")
    cert, key = lines.need("cert", "cert server.crt"), lines.need("key", "key server.key")
    extra = lines.get("extra-certs")
    found = Identity(
        ca=lines.text(ca) if ca is not None else "",
        cert=lines.text(cert),
        key=lines.text(key),
        extra_certs=lines.text(extra) if extra is not None else "",
    )
    places: dict[str, Directive | None] = {"ca": ca, "cert": cert, "key": key, "extra-certs": extra}
    try:
        warnings = keys.check_identity(found.ca, found.cert, found.key, unix)
        if extra is not None:
            keys.check_certificates("extra-certs", found.extra_certs)
    except keys.BadPemError as error:
        raise lines.error(places[error.directive] or cert, error.message) from None
    for name, text in warnings:
        lines.warn(places[name] or cert, text)
    return found


_OID = re.compile(r"[0-2](\.\d{1,20}){1,20}", re.ASCII)
_ALTERNATIVES = ("ext:subjectAltName", "ext:issuerAltName")


def certificate_rules(lines: Collected) -> CertificateRules:
    """Demands on a client's certificate; ConfigError for one that is not understood."""
    kind, name = _verify_name(lines)
    return CertificateRules(
        fingerprints=_fingerprints(lines),
        name_kind=kind,
        name=name,
        key_usage=_key_usage(lines),
        eku=_eku(lines),
        remote_cert_tls=lines.choice("remote-cert-tls", "", ("client",)) == "client",
        username_field=_username_field(lines),
    )


def _username_field(lines: Collected) -> str:
    """Fields of the subject, or ext:subjectAltName; lower-case names are meant in upper case (options.c)."""
    directive = lines.get("x509-username-field")
    if directive is None:
        return "CN"
    fields = [word.upper() if word.islower() else word for word in directive.words]
    for field in fields:
        if not (field in (*_ALTERNATIVES, *image.SUBJECT_FIELDS) or _OID.fullmatch(field)):
            raise lines.error(directive, f"`{field}` is no field of a certificate; write `x509-username-field CN`")
    return " ".join(fields)


def verify_client_cert(lines: Collected, allowed: bool) -> ClientCertificate:
    """The word of verify-client-cert; ConfigError for one that needs no certificate, unless that is allowed."""
    directive = lines.get("verify-client-cert")
    given = directive.words[0] if directive is not None and directive.words else "require"
    for value in get_args(ClientCertificate):
        if value == given:
            break
    else:
        assert directive is not None
        raise lines.error(directive, f"`{given}` is not understood; write `verify-client-cert require`")
    if value != "require" and directive is not None:
        if not allowed:
            only = f"`{value}` is taken only with the argument `--really-no-authentication`"
            text = f"with `{value}` anybody could connect; write `verify-client-cert require`; {only}"
            raise lines.error(directive, text)
        lines.warn(directive, "anybody can connect; the server takes this only with `--really-no-authentication`")
    return value  # type: ignore[no-any-return]  # one of the literals


def crl(lines: Collected, ca: str, unix: UnixSeconds | None) -> str:
    """PEM text of crl-verify, "" for none; ca and unix: for its warnings. ConfigError when it holds no list."""
    directive = lines.get("crl-verify")
    if directive is None:
        return ""
    words = directive.words if directive.block is not None else directive.words[1:]
    if words:
        text = "there are no directories; write a list of revoked certificates: `crl-verify crl.pem`"
        raise lines.error(directive, text)
    pem = lines.text(directive)
    try:
        warnings = keys.check_crl(pem, ca, unix)
    except keys.BadPemError as error:
        raise lines.error(directive, error.message) from None
    for text in warnings:
        lines.warn(directive, text)
    return pem


def _fingerprints(lines: Collected) -> tuple[bytes, ...]:
    """Without doubles, in order (OpenVPN options.c, parse_hash_fingerprint_multiline). Bound: the lines of a config."""
    found: dict[bytes, None] = {}
    for directive in lines.every("peer-fingerprint"):
        texts = directive.words if directive.block is None else split_lines(directive.block)
        for text in texts:
            if directive.block is not None and (not text.strip() or text.lstrip()[0] in "#;"):
                continue
            try:
                found[keys.parse_fingerprint(text)] = None
            except ValueError as error:
                raise lines.error(directive, str(error)) from None
    first = lines.get("peer-fingerprint")
    if first is not None and not found:
        raise lines.error(first, "no fingerprint; write the SHA-256 of a client's certificate on a line")
    return tuple(found)


def _verify_name(lines: Collected) -> tuple[str, str]:
    """(kind, name) of verify-x509-name; the kind is `subject` when it is left out, as in OpenVPN."""
    directive = lines.get("verify-x509-name")
    if directive is None:
        return "", ""
    name, kind = directive.words[0], (*directive.words, "subject")[1]
    if not name:
        raise lines.error(directive, "the name is empty; write `verify-x509-name NAME name`")
    if not kind or kind not in NAME_KINDS:
        raise lines.error(directive, f"`{kind}` is not understood; write `verify-x509-name NAME name`")
    return kind, name


def _key_usage(lines: Collected) -> tuple[int, ...]:
    directive = lines.get("remote-cert-ku")
    if directive is None:
        return ()
    values = []
    for word in directive.words:
        digits = word.lower().removeprefix("0x")
        if not re.fullmatch("[0-9a-f]{1,4}", digits) or not int(digits, 16):
            raise lines.error(directive, f"`{word}` is no key usage in hex; write for example `remote-cert-ku 80`")
        values.append(int(digits, 16))
    return tuple(values) or (0,)


def _eku(lines: Collected) -> str:
    directive = lines.get("remote-cert-eku")
    if directive is None:
        return ""
    if directive.words[0] not in image.EXTENDED_KEY_USAGES and not _OID.fullmatch(directive.words[0]):
        text = 'an OpenSSL name or OID is needed; write `remote-cert-eku "TLS Web Client Authentication"`'
        raise lines.error(directive, text)
    return directive.words[0]


def tls_versions(lines: Collected) -> tuple[str, str]:
    """Least and greatest version; "" for the greatest that there is. ConfigError for others, and for an empty range."""
    least = _tls_version(lines, "tls-version-min", TLS_VERSIONS[0])
    greatest = _tls_version(lines, "tls-version-max", "")
    directive = lines.get("tls-version-max")
    if directive is not None and greatest < least:
        raise lines.error(directive, f"less than tls-version-min; write `tls-version-max {least}`")
    return least, greatest


def _tls_version(lines: Collected, name: str, default: str) -> str:
    directive = lines.get(name)
    if directive is None:
        return default
    version = directive.words[0]
    if version in ("1.0", "1.1") and name == "tls-version-min":
        lines.warn(directive, "1.2 is the least that is spoken")
        return "1.2"
    if version not in TLS_VERSIONS:
        raise lines.error(directive, f"`{version}` is not supported; write `{name} 1.2` or `{name} 1.3`")
    if directive.words[1:] not in ((), ("or-highest",)):
        raise lines.error(directive, f"`{directive.words[1]}` is not understood; write `{name} {version}`")
    return version
