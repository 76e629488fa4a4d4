"""Certificates and revocation lists out of PEM and DER bytes, read in the same way by a config and by TLS.

Nothing is trusted here. A text that cannot be read is a ValueError without a word of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

LISTS_MAX = 64  # revocation lists in one text
# Exceptions of cryptography for certificates that OpenSSL could still read; found by changing bytes at random.
UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, x509.InvalidVersion, x509.DuplicateExtension,
              x509.UnsupportedGeneralNameType, UnsupportedAlgorithm)  # fmt: skip
CRL_BEGIN, CRL_END = "-----BEGIN X509 CRL-----", "-----END X509 CRL-----"


class TooManyListsError(ValueError):
    """A text with more than LISTS_MAX revocation lists."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep cryptography's warnings about unusual certificates off standard error; a peer must not cause output."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def load_certificates(pem: str) -> list[x509.Certificate]:
    """Certificates of a PEM text in their order; ValueError when there is none or one is broken."""
    with quiet():
        try:
            return x509.load_pem_x509_certificates(pem.encode())
        except UNREADABLE:
            raise ValueError("no readable certificate") from None


def load_der(der: bytes) -> x509.Certificate:
    """One certificate; ValueError when it is broken."""
    with quiet():
        try:
            return x509.load_der_x509_certificate(der)
        except UNREADABLE:
            raise ValueError("no readable certificate") from None


def load_revocation_lists(pem: str) -> list[x509.CertificateRevocationList]:
    """Every list of a PEM text, [] for none; text around them is ignored as OpenSSL does.

    TooManyListsError, and ValueError with the number of a list that is broken.
    """
    lists: list[x509.CertificateRevocationList] = []
    parts = pem.split(CRL_BEGIN)[1:]
    if len(parts) > LISTS_MAX:
        raise TooManyListsError(f"more than {LISTS_MAX} CRLs")
    for number, part in enumerate(parts, 1):
        body, mark, _ = part.partition(CRL_END)
        try:
            lists.append(x509.load_pem_x509_crl(f"{CRL_BEGIN}{body}{mark}\n".encode()))
        except UNREADABLE:
            raise ValueError(f"CRL {number} is damaged; write it again in PEM form") from None
    return lists
