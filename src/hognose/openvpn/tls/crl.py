"""Certificate revocation lists of crl-verify: OpenSSL checks, we choose the lists and say what is wrong.

OpenVPN asks OpenSSL to check the whole chain and passes over a certificate whose issuer has no list at all (openvpn
ssl_verify_openssl.c verify_callback). So do we for the authorities in the chain, but the client's own certificate must
be covered by a list, else a wrong file would let revoked clients in (docs/verdicts.md).
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from hognose.base.pem import CRL_BEGIN, UNREADABLE, load_der, load_revocation_lists
from hognose.errors import ConfigError
from hognose.limits import CRL_ENTRIES
from hognose.openvpn.tls import openssl_binding
from hognose.units import UnixSeconds

# X509_V_ERR codes (openssl verify(1)).
_UNABLE_TO_GET_CRL, _BAD_SIGNATURE, _NOT_YET_VALID, _HAS_EXPIRED, _REVOKED = 3, 8, 11, 12, 23


class RevocationLists:
    """The lists of one config, with the authorities that sign them. ConfigError for a text that is no list.

    next_update: the time at which the first of them expires; the newest list of each issuer counts; None for never.
    """

    def __init__(self, pem: str, authorities: list[x509.Certificate]) -> None:
        self._lists = _parse(pem)
        try:
            self._parsed = [openssl_binding.parse_crl(one.public_bytes(Encoding.DER)) for one in self._lists]
            self.next_update = _next_update(self._lists)
        except UNREADABLE:
            raise ConfigError("a CRL is damaged; write it again in PEM form", directive="crl-verify") from None
        self._authorities = [crypto.X509.from_cryptography(authority) for authority in authorities]

    def check(self, chain: tuple[bytes, ...], unix: UnixSeconds) -> str:
        """ "" when nothing in a chain (DER, the client's own first) is revoked as of `unix`, else the reason."""
        certificates = [crypto.X509.from_cryptography(load_der(der)) for der in chain]
        store = self._store(unix)
        for depth, certificate in enumerate(certificates):
            try:
                crypto.X509StoreContext(store, certificate, certificates[depth + 1 :]).verify_certificate()
            except crypto.X509StoreContextError as error:
                code, at = error.errors[0], error.errors[1]
                if code == _UNABLE_TO_GET_CRL and at == 0 and depth > 0:
                    continue
                return self._explain(int(code), str(error), error.certificate, depth)
        return ""

    def _store(self, unix: UnixSeconds) -> crypto.X509Store:
        """A fresh store: its time can be set once only (openssl_binding.set_verify_time)."""
        store = crypto.X509Store()
        for authority in self._authorities:
            store.add_cert(authority)
        for parsed in self._parsed:
            openssl_binding.add_crl(store, parsed)
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK)
        store.set_time(datetime.fromtimestamp(unix, UTC))
        return store

    def _explain(self, code: int, text: str, culprit: crypto.X509, depth: int) -> str:
        certificate = culprit.to_cryptography()
        issuer = _printable(certificate.issuer.rfc4514_string())
        whose = "the client's certificate" if depth == 0 else "an authority of its chain"
        if code == _REVOKED:
            return f"crl-verify: {whose} (serial {certificate.serial_number:x}) is revoked"
        if code == _UNABLE_TO_GET_CRL:
            return f"crl-verify: there is no CRL of its issuer {issuer}; add that authority's CRL"
        lists = [one for one in self._lists if one.issuer == certificate.issuer]
        if code == _HAS_EXPIRED and lists:
            until = max((one.next_update_utc for one in lists if one.next_update_utc), default=None)
            return f"crl-verify: the CRL of {issuer} has expired on {until:%Y-%m-%d %H:%M} UTC; publish a new one"
        if code == _NOT_YET_VALID and lists:
            since = min(one.last_update_utc for one in lists)
            return f"crl-verify: the CRL of {issuer} is not valid before {since:%Y-%m-%d %H:%M} UTC; check the clock"
        if code == _BAD_SIGNATURE:
            return f"crl-verify: the CRL of {issuer} has a bad signature; publish it again with this authority's key"
        return f"crl-verify: {text}"


def _next_update(lists: list[x509.CertificateRevocationList]) -> UnixSeconds | None:
    """The earliest next update of the newest list of each issuer."""
    newest: dict[bytes, UnixSeconds | None] = {}
    for one in lists:
        issuer = one.issuer.public_bytes()
        until = None if one.next_update_utc is None else int(one.next_update_utc.timestamp())
        before = newest.get(issuer, until)
        newest[issuer] = None if until is None or before is None else max(before, until)
    return min((until for until in newest.values() if until is not None), default=None)


def _parse(pem: str) -> list[x509.CertificateRevocationList]:
    """Every list of a PEM text, at least one; ConfigError for a text that has none, or a broken one."""
    try:
        lists = load_revocation_lists(pem)
    except ValueError as error:
        raise ConfigError(str(error), directive="crl-verify") from None
    if not lists:
        raise ConfigError(f"there is no `{CRL_BEGIN}` in it; write a CRL in PEM form", directive="crl-verify")
    entries = sum(map(len, lists))
    if entries > CRL_ENTRIES:
        raise ConfigError(f"{entries} revoked certificates, more than {CRL_ENTRIES}", directive="crl-verify")
    return lists


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
