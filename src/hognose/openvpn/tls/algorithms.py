"""tls-cipher and tls-cert-profile in OpenSSL's cipher string language (openvpn ssl_openssl.c tls_ctx_restrict_ciphers).

The config has OpenSSL's names already. Names that this OpenSSL does not know are left out with a warning, as OpenVPN
does, and a list of which nothing is left is an error.
"""

from __future__ import annotations

import re

from hognose.errors import ConfigError
from hognose.openvpn.tls import openssl_binding
from hognose.vocabulary import CERT_PROFILES

# TLS 1.2: forward secrecy and AEAD only (RFC 9325 4.2); TLS 1.3 suites are all of that kind.
DEFAULT_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_SUITE_B = "SUITEB128"
_NEVER = "!aNULL:!eNULL"  # suites without a certificate or without encryption are never in use
_WORD = re.compile(r"[A-Za-z0-9!+@=_.-]{1,80}")


def cipher_string(tls_cipher: str, profile: str) -> tuple[str, list[str]]:
    """OpenSSL's cipher string with the security level, and warnings about names that were left out."""
    if profile not in CERT_PROFILES:
        raise ConfigError(f"`{profile}` is none of {', '.join(CERT_PROFILES)}", directive="tls-cert-profile")
    warnings: list[str] = []
    words = []
    for name in filter(None, tls_cipher.split(":")):
        if not _WORD.fullmatch(name):
            raise ConfigError("write cipher names with colons between them", directive="tls-cipher")
        if name.startswith("@SECLEVEL"):
            raise ConfigError("write tls-cert-profile instead of @SECLEVEL", directive="tls-cipher")
        if name[0] not in "!-+@" and not openssl_binding.known_ciphers(name):
            warnings.append(f"tls-cipher: `{name}` is left out, OpenSSL does not have it")
            continue
        words.append(name)
    if tls_cipher and not openssl_binding.known_ciphers(":".join(words) or "!ALL"):
        raise ConfigError(
            "OpenSSL has no cipher of this list; write for example TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384",
            directive="tls-cipher",
        )
    if words:
        words.append(_NEVER)
    base = ":".join(words) or (_SUITE_B if profile == "suiteb" else DEFAULT_CIPHERS)
    return f"{base}:@SECLEVEL={CERT_PROFILES.index(profile)}", warnings
