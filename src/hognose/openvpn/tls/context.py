"""The TLS settings that all sessions of a server share: certificates, key, CA, CRL, algorithms, rules.

No Python callback goes into OpenSSL (docs/dev/decisions/0001-no-verify-callback.md): the chain is verified by OpenSSL
against the CA at the injected time, the reason of a failure is read afterwards; revocation and the administrator's
rules are checked (crl.py, certificates.py) as soon as the handshake is done, before any key message is accepted.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from hognose.base.pem import UNREADABLE, load_certificates, load_der, quiet
from hognose.drops import DropReason
from hognose.errors import ConfigError, PeerError
from hognose.openvpn.tls import openssl_binding
from hognose.openvpn.tls.algorithms import cipher_string
from hognose.openvpn.tls.certificates import (
    CHAIN_MAX,
    MALFORMED,
    NO_NAME,
    check_identity,
    check_rules,
)
from hognose.openvpn.tls.crl import RevocationLists
from hognose.openvpn.tls.openssl_endpoint import OpenSslEndpoint
from hognose.openvpn.tls.verify_errors import error_reasons, explain
from hognose.settings import TlsSettings
from hognose.units import UnixSeconds

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_OPTIONS = SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class TlsContext:
    """The TLS settings that all sessions share: certificates, key, CA, CRL, rules. ConfigError when one is refused.

    warnings: sentences for the administrator about settings that are obeyed in part only.
    """

    def __init__(self, settings: TlsSettings) -> None:
        check_rules(settings.rules)
        self._settings = settings
        self.warnings: tuple[str, ...] = ()
        self.pinned_only = not settings.ca and bool(settings.rules.fingerprints)
        if not settings.ca and not self.pinned_only and settings.verify_client_cert != "none":
            raise ConfigError("is missing; write the clients' CA, or peer-fingerprint", directive="ca")
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_options(_OPTIONS)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self._set_algorithms(context)
        self._use_identity(context)
        self._trust(context)
        self._context = context

    @property
    def crl_next_update(self) -> UnixSeconds | None:
        """Time at which the first CRL expires and clients are refused; None without one."""
        return None if self._lists is None else self._lists.next_update

    def accept(self, unix: UnixSeconds) -> OpenSslEndpoint:
        """A fresh server connection that judges certificates as of `unix`."""
        return OpenSslEndpoint(self._context, self, unix)

    def judge(self, chain: tuple[bytes, ...], unix: UnixSeconds) -> str:
        """The client's name by a chain that OpenSSL has verified (or need not); PeerError(CERTIFICATE_REJECTED)."""
        if not chain:
            if self._settings.verify_client_cert == "require":
                raise PeerError(DropReason.CERTIFICATE_REJECTED, "the client sent no certificate")
            return NO_NAME
        if len(chain) > CHAIN_MAX:
            raise PeerError(DropReason.CERTIFICATE_REJECTED, f"client certificate: more than {CHAIN_MAX} in its chain")
        try:
            with quiet():
                leaf = load_der(chain[0])
                name = check_identity(leaf, self._settings.rules, pinned_only=self.pinned_only)
                revoked = "" if self._lists is None else self._lists.check(chain, unix)
        except (*UNREADABLE, crypto.Error):
            raise PeerError(DropReason.CERTIFICATE_REJECTED, MALFORMED) from None
        if revoked:
            raise PeerError(DropReason.CERTIFICATE_REJECTED, f"client certificate {name}: {revoked}")
        return name

    def recheck(self, chain: tuple[bytes, ...], unix: UnixSeconds) -> str:
        """ "" when a live client's chain (TlsEndpoint.peer_chain) is good as of `unix` here, else the reason.

        The context may be another one than accepted the client: after a reload, live clients are judged by the new CA,
        CRL, fingerprints and rules.
        """
        try:
            if chain and not self.pinned_only and self._settings.verify_client_cert != "none":
                self._verify(chain, unix)
            self.judge(chain if self._settings.verify_client_cert != "none" else (), unix)
        except PeerError as error:
            return error.detail
        except (*UNREADABLE, crypto.Error):
            return MALFORMED
        return ""

    def _verify(self, chain: tuple[bytes, ...], unix: UnixSeconds) -> None:
        """Verify a chain as OpenSSL does in a handshake."""
        leaf, *others = [crypto.X509.from_cryptography(load_der(der)) for der in chain]
        store = crypto.X509Store()
        for trusted in self._trusted:
            store.add_cert(trusted)
        store.set_time(datetime.fromtimestamp(unix, UTC))
        openssl_binding.set_client_purpose(store)
        try:
            crypto.X509StoreContext(store, leaf, others).verify_certificate()
        except crypto.X509StoreContextError as error:
            raise PeerError(DropReason.CERTIFICATE_REJECTED, explain(int(error.errors[0]))) from None

    def _set_algorithms(self, context: SSL.Context) -> None:
        settings = self._settings
        for directive, version in (
            ("tls-version-min", settings.min_version),
            ("tls-version-max", settings.max_version or "1.3"),
        ):
            if version not in _VERSIONS:
                raise ConfigError(f"`{version}`: write 1.2 or 1.3", directive=directive)
        context.set_min_proto_version(_VERSIONS[settings.min_version])
        if settings.max_version:
            context.set_max_proto_version(_VERSIONS[settings.max_version])
        names, warned = cipher_string(settings.ciphers, settings.cert_profile)
        try:
            context.set_cipher_list(names.encode())
        except SSL.Error as error:
            raise ConfigError(f"OpenSSL refuses it: {error_reasons(error)[0]}", directive="tls-cipher") from None
        self.warnings += tuple(warned)
        if settings.ciphersuites and not openssl_binding.set_ciphersuites(context, settings.ciphersuites):
            raise ConfigError(
                "OpenSSL does not know all of them; write for example TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
                directive="tls-ciphersuites",
            )
        if settings.groups:
            problem = openssl_binding.set_groups(context, settings.groups)
            if problem:
                raise ConfigError(f"{problem}; leave tls-groups out for OpenSSL's own list", directive="tls-groups")

    def _use_identity(self, context: SSL.Context) -> None:
        """Use the server's own certificate, key, and the extra certificates."""
        settings = self._settings
        own, *sent = _certificates(settings.cert, "cert")
        if settings.extra_certs:
            sent += _certificates(settings.extra_certs, "extra-certs")
        try:
            context.use_certificate(own)
            for intermediate in sent:
                context.add_extra_chain_cert(intermediate)
        except SSL.Error as error:
            raise ConfigError(f"OpenSSL refuses it: {error_reasons(error)[0]}", directive="cert") from None
        try:
            context.use_privatekey(_private_key(settings.key))
        except SSL.Error as error:
            raise ConfigError(
                f"OpenSSL refuses it with this cert: {error_reasons(error)[0]}", directive="key"
            ) from None

    def _trust(self, context: SSL.Context) -> None:
        """Set CA, CRL, and the way to ask for a client's certificate."""
        settings = self._settings
        store = context.get_cert_store()
        assert store is not None
        authorities = _certificates(settings.ca, "ca") if settings.ca else []
        try:
            self._trusted = [crypto.X509.from_cryptography(authority) for authority in authorities]
            for authority, trusted in zip(authorities, self._trusted, strict=True):
                store.add_cert(trusted)
                context.add_client_ca(authority)
            self._lists = RevocationLists(settings.crl, authorities) if settings.crl else None
        except (SSL.Error, crypto.Error):
            raise ConfigError("OpenSSL refuses one of its certificates", directive="ca") from None
        if self.pinned_only and self._lists is not None:
            self._lists = None  # as OpenVPN: without a CA there is no issuer of a list
            self.warnings += ("crl-verify: nothing is looked up without a ca; take clients off the fingerprints",)
        if settings.verify_client_cert == "none":
            context.set_verify(SSL.VERIFY_NONE)
        elif self.pinned_only:
            if not openssl_binding.ask_without_judging(context, settings.verify_client_cert == "require"):
                raise ConfigError("needs a ca with this build of OpenSSL", directive="peer-fingerprint")
        elif settings.verify_client_cert == "optional":
            context.set_verify(SSL.VERIFY_PEER)
        else:
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)


def _certificates(pem: str, directive: str) -> list[x509.Certificate]:
    """At least one certificate; ConfigError, without a word of the text, for anything else."""
    try:
        return load_certificates(pem)
    except ValueError:
        raise ConfigError(
            "there is no readable certificate in it; write PEM certificates", directive=directive
        ) from None


def _private_key(pem: str) -> _PrivateKey:
    """A key of a kind that TLS servers use; ConfigError, without a word of the text, for any other."""
    try:
        key = load_pem_private_key(pem.encode(), None)
    except TypeError:
        raise ConfigError("it is encrypted; decrypt it with `openssl pkey`", directive="key") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError("there is no readable private key in it; write it in PEM form", directive="key") from None
    if not isinstance(key, _PrivateKey):
        raise ConfigError("it must be RSA, EC, Ed25519 or Ed448", directive="key")
    return key
