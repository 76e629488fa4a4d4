"""Prints src/hognose/config/tls_capabilities.py: what the TLS library of the running interpreter can do as a server.

Run by `make image` on hognose-python, the interpreter linked from the image's objects, and by hand on any other for a
look. Nothing is believed: each group, suite and kind of key counts when a handshake of our own
TlsContext with a client that allows everything has succeeded. Takes some seconds; the output is the same every time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import cryptography
from cryptography import x509
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from hognose.errors import HognoseError
from hognose.openvpn.tls import openssl_binding
from hognose.openvpn.tls.context import TlsContext
from hognose.settings import TlsSettings
from hognose.vocabulary import CERT_PROFILES

UNIX = 1_800_000_000
AEAD = "ECDHE+AESGCM"  # so that tls-cert-profile suiteb does not take its own suites
NEVER = -1
CURVES: tuple[ec.EllipticCurve, ...] = (
    ec.SECP192R1(), ec.SECP224R1(), ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1(),
    ec.BrainpoolP256R1(), ec.BrainpoolP384R1(), ec.BrainpoolP512R1(),
)  # fmt: skip
RSA_BITS = (1024, 1536, 2048, 3072, 4096)
GROUPS = (
    "secp256r1", "prime256v1", "P-256", "secp384r1", "P-384", "secp521r1", "P-521", "X25519", "X448", "secp256k1",
    "secp224r1", "brainpoolP256r1", "ffdhe2048", "X25519MLKEM768", "secp256r1:secp384r1", "X25519:prime256v1:secp384r1",
)  # fmt: skip
TLS13 = (
    "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
)  # fmt: skip
# Of x509-username-field and remote-cert-eku: what certificates have, by short and long names.
FIELDS = (
    "CN", "commonName", "SN", "surname", "GN", "givenName", "initials", "generationQualifier", "serialNumber", "C",
    "countryName", "L", "localityName", "ST", "stateOrProvinceName", "street", "streetAddress", "O", "organizationName",
    "OU", "organizationalUnitName", "title", "description", "businessCategory", "postalCode", "postalAddress",
    "telephoneNumber", "name", "dnQualifier", "pseudonym", "UID", "userId", "emailAddress", "mail", "DC",
    "domainComponent", "unstructuredName", "unstructuredAddress", "role", "uniqueIdentifier", "x500UniqueIdentifier",
    "houseIdentifier", "organizationIdentifier",
)  # fmt: skip
USAGES = (
    "TLS Web Server Authentication", "serverAuth", "TLS Web Client Authentication", "clientAuth", "Code Signing",
    "codeSigning", "E-mail Protection", "emailProtection", "Time Stamping", "timeStamping", "OCSP Signing",
    "OCSPSigning", "IPSec End System", "ipsecEndSystem", "IPSec Tunnel", "ipsecTunnel", "IPSec User", "ipsecUser",
    "ipsec Internet Key Exchange", "ipsecIKE", "Any Extended Key Usage", "anyExtendedKeyUsage",
    "Microsoft Smartcard Login", "msSmartcardLogin", "SSH Client", "secureShellClient", "SSH Server",
    "secureShellServer", "Signing KDC Response", "pkInitKDC", "PKINIT Client Auth", "pkInitClientAuth",
)  # fmt: skip
# openssl-ciphers(1): words that stand for several suites.
WORDS = (
    "COMPLEMENTOFDEFAULT", "ALL", "COMPLEMENTOFALL", "DEFAULT", "HIGH", "MEDIUM", "LOW", "eNULL", "NULL", "aNULL",
    "kRSA", "aRSA", "RSA", "kDHr", "kDHd", "kDH", "kDHE", "kEDH", "DH", "DHE", "EDH", "ADH", "kEECDH", "kECDHE",
    "ECDH", "ECDHE", "EECDH", "AECDH", "aDSS", "DSS", "aECDSA", "ECDSA", "aGOST", "kGOST", "GOST94", "PSK", "kPSK",
    "aPSK", "kECDHEPSK", "kDHEPSK", "kRSAPSK", "SRP", "kSRP", "aSRP", "TLSv1.2", "TLSv1.0", "TLSv1", "SSLv3", "AES128",
    "AES256", "AES", "AESGCM", "AESCCM", "AESCCM8", "ARIA128", "ARIA256", "ARIA", "ARIAGCM", "CAMELLIA128",
    "CAMELLIA256", "CAMELLIA", "CHACHA20", "3DES", "DES", "RC4", "RC2", "IDEA", "SEED", "MD5", "SHA1", "SHA",
    "SHA256", "SHA384", "CBC", "FIPS", "SUITEB128", "SUITEB128ONLY", "SUITEB192",
)  # fmt: skip

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@dataclass(frozen=True)
class Pair:
    """PEM texts of a certificate and its key."""

    cert: str
    key: str


@cache
def private_key(kind: str) -> PrivateKey:
    """Of `RSA 2048`, `EC secp256r1`, `Ed25519`, `Ed448`."""
    family, _, size = kind.partition(" ")
    if family == "RSA":
        return rsa.generate_private_key(65537, int(size))
    if family == "EC":
        return ec.generate_private_key(next(curve for curve in CURVES if curve.name == size))
    return ed25519.Ed25519PrivateKey.generate() if family == "Ed25519" else ed448.Ed448PrivateKey.generate()


@cache
def issued(kind: str, name: str) -> Pair:
    """A certificate by our one authority, whose own one has the name ""."""
    key = private_key(kind)
    start = datetime.fromtimestamp(UNIX, UTC) - timedelta(days=1)
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    is_authority = name == ""
    builder = (
        x509.CertificateBuilder()
        .subject_name(authority if is_authority else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        usage = ExtendedKeyUsageOID.SERVER_AUTH if name == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    signed = builder.sign(private_key(FAMILIES["EC"]), hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(signed.public_bytes(Encoding.PEM).decode(), pem.decode())


def client(version: int, groups: str = "") -> SSL.Connection:
    """One that allows everything that its library has, with a certificate of the strongest common kind."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_cipher_list(b"ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    openssl_binding.set_ciphersuites(context, ":".join(TLS13))
    if groups and openssl_binding.set_groups(context, groups):
        raise ValueError(groups)
    # Not EC with groups: in TLS 1.2 the curve of a certificate must be one of the groups of who judges it.
    kind = FAMILIES["RSA"] if groups else FAMILIES["EC"]
    context.use_certificate(x509.load_pem_x509_certificate(issued(kind, "client").cert.encode()))
    context.use_privatekey(private_key(kind))
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    return connection


def works(kind: str, profile: str, version: int, *, peer_groups: str = "", **more: Any) -> bool:
    """Whether a server with such a key and such settings completes a handshake of that version."""
    pair = issued(kind, "server")
    settings = TlsSettings(
        ca=issued(FAMILIES["EC"], "").cert, cert=pair.cert, key=pair.key, cert_profile=profile, **more
    )
    try:
        server = TlsContext(settings).accept(UNIX)
        ours = client(version, peer_groups)
        for _ in range(6):
            try:
                ours.do_handshake()
            except SSL.WantReadError:
                pass
            server.receive(_output(ours))
            if server.handshake_done:
                return True
            ours.bio_write(server.take_output())
    except (HognoseError, SSL.Error, ValueError):
        pass
    return False


def _output(connection: SSL.Connection) -> bytes:
    try:
        return connection.bio_read(65_536)
    except SSL.WantReadError:
        return b""


def greatest(good: Callable[[str], bool]) -> int:
    """The greatest security level at which something works, as on all below; NEVER for none."""
    for level, profile in enumerate(CERT_PROFILES):
        if not good(profile):
            return level - 1
    return len(CERT_PROFILES) - 1


@cache
def kinds() -> dict[str, int]:
    """Kind of key -> greatest level at which some version of TLS works with it."""
    names = [*(f"RSA {bits}" for bits in RSA_BITS), *(f"EC {curve.name}" for curve in CURVES), "Ed25519", "Ed448"]
    found = {}
    for name in names:
        try:
            private_key(name)
        except Exception:
            continue
        found[name] = greatest(
            lambda profile, name=name: any(  # type: ignore[misc]  # bound to this round
                works(name, profile, version, ciphers=AEAD) for version in VERSIONS
            )
        )
    return found


VERSIONS = (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)
# One of each that is strong enough for every level.
FAMILIES = {"RSA": "RSA 3072", "EC": "EC secp256r1", "Ed25519": "Ed25519", "Ed448": "Ed448"}


def suites() -> tuple[dict[str, tuple[str, int, str]], list[str]]:
    """Suites of TLS 1.2 that work, with families of keys, greatest level and words for them; and those that do not."""
    members = {word: set(openssl_binding.known_ciphers(word)) for word in WORDS}
    # They need what no server here has: a shared secret, or no certificate, or no encryption.
    hopeless = set().union(*(members[word] for word in ("PSK", "SRP", "aNULL", "eNULL", "aDSS")))
    working, idle = {}, []
    for suite in sorted({*openssl_binding.known_ciphers("ALL:COMPLEMENTOFALL")}):
        version = SSL.TLS1_2_VERSION
        candidates = {} if suite in hopeless else FAMILIES
        good = [family for family, kind in candidates.items() if works(kind, CERT_PROFILES[0], version, ciphers=suite)]
        if not good:
            idle.append(suite)
            continue
        words = " ".join(word for word in WORDS if suite in members[word])
        kind = FAMILIES[good[0]]
        level = greatest(lambda p, k=kind, s=suite: works(k, p, SSL.TLS1_2_VERSION, ciphers=s))  # type: ignore[misc]  # bound to this round
        working[suite] = (" ".join(good), level, words)
    used = {word for *_, words in working.values() for word in words.split()}
    idle += [word for word in WORDS if members[word] and word not in used]
    return working, idle


def groups() -> list[str]:
    """Values of tls-groups that are obeyed in both versions: the same one works, another one does not."""
    good = []
    for name in GROUPS:
        other = "secp384r1" if "256" in name else "secp256r1"
        same = [works(FAMILIES["RSA"], "legacy", v, groups=name, peer_groups=name) for v in VERSIONS]
        differing = [works(FAMILIES["RSA"], "legacy", v, groups=name, peer_groups=other) for v in VERSIONS]
        if all(same) and not any(differing):
            good.append(name)
    return good


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if openssl_binding.is_object(name))


def table() -> str:
    """The module's text."""
    working, idle = suites()
    rows = [f"    {name!r}: {row!r}," for name, row in working.items()]
    tls13 = {
        name: greatest(
            lambda p, name=name: works(FAMILIES["EC"], p, SSL.TLS1_3_VERSION, ciphersuites=name, ciphers=AEAD)  # type: ignore[misc]  # bound to this round
        )
        for name in TLS13
    }
    strong = [kind for kind, level in kinds().items() if level == len(CERT_PROFILES) - 1]
    suite_b = [kind for kind in strong if all(works(kind, CERT_PROFILES[-1], version) for version in VERSIONS)]
    parts = [
        '"""What the image\'s TLS library can do as a server: measured by image/measure_tls.py, not to be edited.\n\n'
        "Levels are OpenSSL's security levels, the places of vocabulary.CERT_PROFILES; -1: at none.\n" + '"""',
        "# ruff: noqa: E501\n# fmt: off\nfrom __future__ import annotations",
        f"OPENSSL = {ssl_version()!r}\nCRYPTOGRAPHY = {cryptography.__version__!r}",
        "# Values of tls-groups that can be set.\n" + f"GROUPS = {tuple(groups())!r}",
        "# Kind of the server's key: greatest level.\n" + f"KEYS = {kinds()!r}",
        "# Kinds that work with tls-cert-profile suiteb and no tls-cipher.\n" + f"SUITE_B_KEYS = {tuple(suite_b)!r}",
        "# Names of fields and of extended key usages; any OID besides.\n"
        f"SUBJECT_FIELDS = {_known(FIELDS)!r}\nEXTENDED_KEY_USAGES = {_known(USAGES)!r}",
        "# Suites of TLS 1.3: greatest level.\n" + f"TLS13_SUITES = {tls13!r}",
        "# Suites of TLS 1.2 by OpenSSL's names: families of keys that they work with, greatest level, words that\n"
        "# stand for them.\nSUITES: dict[str, tuple[str, int, str]] = {\n" + "\n".join(rows) + "\n}",
        "# Suites and words that OpenSSL knows and no key works with.\n" + f"IDLE = {tuple(idle)!r}",
    ]
    return "\n\n".join(parts) + "\n"


def ssl_version() -> str:
    """Of the library that cryptography uses, as the `ready` line tells it."""
    return backend.openssl_version_text().split()[1]


if __name__ == "__main__":
    sys.stdout.write(table())
