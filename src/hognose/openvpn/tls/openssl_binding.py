"""Functions of OpenSSL that pyOpenSSL has no method for: calls of its cffi library, each as one typed function.

Names that this module uses exist in cryptography 43 and in the newest one; a function that only some have says so.
No Python callback is made here (docs/dev/decisions/0001-no-verify-callback.md).
"""

from __future__ import annotations

import re
from typing import Any

from OpenSSL import SSL, crypto

from hognose.units import UnixSeconds

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # not in the stubs
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]  # not in the stubs
_DOTTED = re.compile(r"[0-2](\.\d{1,20}){1,20}")


def verify_result(connection: SSL.Connection) -> int:
    """X509_V_OK (0) or the X509_V_ERR code of the peer's chain (openssl verify(1), DIAGNOSTICS)."""
    return int(_lib.SSL_get_verify_result(connection._ssl))


def verify_text(code: int) -> str:
    """OpenSSL's words for an X509_V_ERR code."""
    return str(_ffi.string(_lib.X509_verify_cert_error_string(code)).decode())


def set_verify_time(connection: SSL.Connection, unix: UnixSeconds) -> None:
    """Judge certificates of this connection as of `unix`.

    Not X509Store.set_time: OpenSSL's X509_VERIFY_PARAM_set1 keeps the first time that a store was given.
    """
    _lib.X509_VERIFY_PARAM_set_time(_lib.SSL_get0_param(connection._ssl), unix)


def parse_crl(der: bytes) -> Any:
    """A CRL in OpenSSL's own form, to be shared by many stores; ValueError when it is broken."""
    source = _ffi.gc(_lib.BIO_new_mem_buf(_ffi.from_buffer(der), len(der)), _lib.BIO_free)
    parsed = _lib.d2i_X509_CRL_bio(source, _ffi.NULL)
    if parsed == _ffi.NULL:
        _lib.ERR_clear_error()
        raise ValueError("no CRL")
    return _ffi.gc(parsed, _lib.X509_CRL_free)


def add_crl(store: crypto.X509Store, parsed: Any) -> None:
    """Add a CRL of parse_crl; the store takes a reference, not a copy."""
    _lib.X509_STORE_add_crl(store._store, parsed)


def ask_without_judging(context: SSL.Context, required: bool) -> bool:
    """Ask for a certificate, demand proof of its key, accept any chain; False when that is impossible.

    The caller must judge the certificate itself as soon as the handshake is done (peer-fingerprint without ca). The
    verify callback is the C function RAND_status of the same library: docs/dev/decisions/0005-pinned-certificates.md.
    """
    symbol = _ffi.addressof(_lib._original_lib, "RAND_status")
    accept = _ffi.cast("int(*)(int, X509_STORE_CTX *)", symbol)
    if accept(0, _ffi.NULL) != 1:
        return False
    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if required else 0)
    _lib.SSL_CTX_set_verify(context._context, mode, accept)
    return True


def set_ciphersuites(context: SSL.Context, names: str) -> bool:
    """Set TLS 1.3 suites by IANA name, colons between; False when OpenSSL knows none or one of them not."""
    done: bool = _lib.SSL_CTX_set_ciphersuites(context._context, names.encode()) == 1
    if not done:
        _lib.ERR_clear_error()
    return done


def set_groups(context: SSL.Context, names: str) -> str:
    """Set key exchange groups, colons between; "" when done, else the reason.

    The image's binding has no list of groups, only SSL_CTX_set_tmp_ecdh, which allows exactly one NIST curve.
    """
    if hasattr(_lib, "SSL_CTX_set1_curves_list"):
        if _lib.SSL_CTX_set1_curves_list(context._context, names.encode()) == 1:
            return ""
        _lib.ERR_clear_error()
        return f"OpenSSL does not know `{names}`"
    nid = _lib.OBJ_txt2nid(names.replace("secp256r1", "prime256v1").replace("P-256", "prime256v1").encode())
    if names in ("P-384", "P-521"):
        nid = _lib.OBJ_txt2nid(f"secp{names[2:]}r1".encode())
    curve = _lib.EC_KEY_new_by_curve_name(nid) if nid else _ffi.NULL
    if curve == _ffi.NULL:
        _lib.ERR_clear_error()
        return "this build can set one of secp256r1, secp384r1 and secp521r1, no list and no other group"
    curve = _ffi.gc(curve, _lib.EC_KEY_free)
    return "" if _lib.SSL_CTX_set_tmp_ecdh(context._context, curve) == 1 else f"OpenSSL refuses `{names}`"


def known_ciphers(names: str) -> list[str]:
    """TLS 1.2 suites that an OpenSSL cipher string stands for; [] when OpenSSL knows none of it."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    try:
        context.set_cipher_list(f"{names}:@SECLEVEL=0".encode())
    except SSL.Error:
        return []
    return [name for name in SSL.Connection(context, None).get_cipher_list() if not name.startswith("TLS_")]


def set_client_purpose(store: crypto.X509Store) -> None:
    """Verify certificates for the use by TLS clients with this store, as a TLS server's own check does."""
    _lib.X509_STORE_set_purpose(store._store, _lib.X509_PURPOSE_SSL_CLIENT)


def short_name(oid: str) -> str:
    """OpenSSL's short name of a dotted OID (CN, emailAddress …); the OID itself when it has none."""
    nid = _lib.OBJ_txt2nid(oid.encode())
    return str(_ffi.string(_lib.OBJ_nid2sn(nid)).decode()) if nid else oid


def is_object(name: str) -> bool:
    """True when OpenSSL knows a short name, a long name, or takes the text as a dotted OID (OBJ_txt2obj)."""
    known = _DOTTED.fullmatch(name) is not None or _lib.OBJ_txt2nid(name.encode()) != 0
    _lib.ERR_clear_error()
    return known


def is_named(oid: str, name: str) -> bool:
    """True when a dotted OID is the one that a short name, a long name or a dotted text stands for."""
    if oid == name:
        return True
    nid = _lib.OBJ_txt2nid(name.encode())
    same = bool(nid) and _lib.OBJ_txt2nid(oid.encode()) == nid
    _lib.ERR_clear_error()
    return same
