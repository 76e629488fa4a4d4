"""The table of the image's TLS library, held against OpenSSL itself: a handshake at each level, and one above."""

from __future__ import annotations

from functools import cache

import cryptography
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from OpenSSL import SSL
from tests.unit.config.config_samples import CertificateKey, make_certificate
from tests.world.pki import SERVER

from hognose.config import tls_capabilities as image
from hognose.openvpn.tls import openssl_binding
from hognose.vocabulary import CERT_PROFILES

same_library = pytest.mark.skipif(
    cryptography.__version__ != image.CRYPTOGRAPHY, reason="another OpenSSL has other suites than the image's"
)
AEAD = "ECDHE+AESGCM"  # ALL has suites without certificates at level 0
TLS12, TLS13 = SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION
STRONG = {"RSA": "RSA 3072", "EC": "EC secp256r1", "Ed25519": "Ed25519", "Ed448": "Ed448"}  # for every level
CURVES: tuple[ec.EllipticCurve, ...] = (
    ec.SECP192R1(), ec.SECP224R1(), ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1(),
    ec.BrainpoolP256R1(), ec.BrainpoolP384R1(), ec.BrainpoolP512R1(),
)  # fmt: skip


@cache
def private_key(kind: str) -> CertificateKey:
    """A key by its kind in the table."""
    family, _, size = kind.partition(" ")
    match family:
        case "RSA":
            return rsa.generate_private_key(65537, int(size))
        case "EC":
            return ec.generate_private_key(next(curve for curve in CURVES if curve.name == size))
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case _:
            return ed448.Ed448PrivateKey.generate()


@cache
def certificate(kind: str) -> x509.Certificate:
    """A server's, by an authority with a strong key."""
    authority = private_key("EC secp384r1")
    assert isinstance(authority, ec.EllipticCurvePrivateKey)
    pem = make_certificate("server", private_key(kind), "CA", authority, usage=(SERVER,))
    return x509.load_pem_x509_certificate(pem.encode())


def works(kind: str, level: int, version: int, *, suite: str = AEAD, suite13: str = "") -> bool:
    """True if a server of this security level gets through a handshake with a client that allows everything."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.set_cipher_list(f"{suite}:@SECLEVEL={level}".encode())
        context.use_certificate(certificate(kind))
        context.use_privatekey(private_key(kind))
    except SSL.Error:
        return False
    if suite13:
        assert openssl_binding.set_ciphersuites(context, suite13)
    anything = SSL.Context(SSL.TLS_CLIENT_METHOD)
    anything.set_cipher_list(b"ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    assert openssl_binding.set_ciphersuites(anything, ":".join(image.TLS13_SUITES))
    anything.set_min_proto_version(version)
    anything.set_max_proto_version(version)
    server, client = SSL.Connection(context, None), SSL.Connection(anything, None)
    server.set_accept_state()
    client.set_connect_state()
    for _ in range(4):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False
            try:
                other.bio_write(one.bio_read(65_536))
            except SSL.WantReadError:
                pass
    return bool(server.get_cipher_name()) and server.get_state_string() == client.get_state_string()


def levels(kind: str, *versions: int, suite: str = AEAD, suite13: str = "") -> list[int]:
    return [
        level
        for level in range(len(CERT_PROFILES))
        if any(works(kind, level, version, suite=suite, suite13=suite13) for version in versions)
    ]


def test_levels_are_places_of_tls_cert_profile() -> None:
    """0 to 3, as OpenSSL's security levels; -1 for what works at none, which only keys do."""
    assert len(CERT_PROFILES) == 4
    places = {0, 1, 2, 3}
    assert {*image.TLS13_SUITES.values(), *(level for _, level, _ in image.SUITES.values())} <= places
    assert set(image.KEYS.values()) <= places | {-1}


@same_library
@pytest.mark.parametrize("suite", image.SUITES)
def test_a_suite_works_up_to_its_level_and_with_its_kinds_of_keys(suite: str) -> None:
    families, greatest, _ = image.SUITES[suite]
    good = [name for name, kind in STRONG.items() if works(kind, 0, TLS12, suite=suite)]
    assert good == families.split()
    assert levels(STRONG[good[0]], TLS12, suite=suite) == list(range(greatest + 1))


@same_library
@pytest.mark.parametrize("suite", image.TLS13_SUITES)
def test_a_suite_of_tls_1_3_works_up_to_its_level(suite: str) -> None:
    assert levels(STRONG["EC"], TLS13, suite13=suite) == list(range(image.TLS13_SUITES[suite] + 1))


@same_library
@pytest.mark.parametrize("kind", image.KEYS)
def test_a_key_works_up_to_its_level(kind: str) -> None:
    assert levels(kind, TLS12, TLS13) == list(range(image.KEYS[kind] + 1))
