"""Names of TLS cipher suites: IANA's, as OpenVPN's configs have them, to OpenSSL's."""

from __future__ import annotations

import re

_IANA = re.compile(r"TLS-(?:(ECDHE-ECDSA|ECDHE-RSA|DHE-RSA|RSA)-)WITH-([A-Z0-9-]+)")
_OPENSSL = re.compile(r"[!+-]?[A-Za-z0-9@=_+.-]+")


def openssl_cipher(name: str) -> str:
    """OpenSSL's name of one suite or rule; ValueError with the name when it cannot be one.

    Suites of IANA (RFC 5246, 5289, 7905): TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384 is ECDHE-RSA-AES256-GCM-SHA384; what
    is no such name is OpenSSL's already.
    """
    match = _IANA.fullmatch(name.upper().replace("_", "-"))
    if match is None:
        if not _OPENSSL.fullmatch(name) or name.upper().startswith(("TLS-", "TLS_")):
            raise ValueError(name)
        return name
    exchange, rest = match[1], match[2]
    rest = re.sub(r"AES-(128|256)-", r"AES\1-", rest).replace("-CBC-", "-")
    rest = rest.replace("-CCM-8", "-CCM8")
    rest = rest.removesuffix("-SHA256") if rest.startswith("CHACHA20-POLY1305") else rest
    return rest if exchange == "RSA" else f"{exchange}-{rest}"
