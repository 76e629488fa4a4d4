"""Settings of the server: frozen values with their defaults, which a config gives and engines read.

A group belongs to the engine that reads it; ServerConfig (config/model.py) has all groups. Nothing in them refers to a
file. Names end in the unit: `_s` seconds, `_bytes`; PEM texts are whole, "" for absent. 0 switches a timer or a limit
off unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field
from typing import Any, Literal, TypeVar

from hognose.address import Address, Prefix
from hognose.units import Port
from hognose.vocabulary import (
    DEFAULT_CERT_PROFILE,
    DEFAULT_DATA_CIPHERS,
    DEFAULT_DIGEST,
    TLS_VERSIONS,
    ClientCertificate,
    Compression,
    Proto,
    WrapKind,
)

MssfixMode = Literal["mtu", "plain", "fixed"]
DEFAULT_PORT: Port = 1194  # IANA, openvpn
_T = TypeVar("_T")


def setting(default: _T, name: str = "", *, directive: str | None = None, word: int = 0, live: bool = False) -> _T:
    """A field of a group with what the administrator calls it.

    name: of the setting in the log, the field's own when it is left out. directive: in the config, the name with - for
    _ when it is left out; "" for one that depends. word: the place of the value among the directive's words. live: a
    new value takes effect without a restart.
    """
    return field(default=default, metadata=_told(name, directive, word, live))


def needed(name: str = "", *, directive: str | None = None) -> Any:
    """A field as of `setting` that has no default and needs a restart."""
    return field(metadata=_told(name, directive, 0, False))


def _told(name: str, directive: str | None, word: int, live: bool) -> dict[str, object]:
    return {"name": name, "directive": directive, "word": word, "live": live}


def setting_name(each: Field[Any]) -> str:
    """The name of a group's field in the log."""
    return str(each.metadata.get("name") or each.name)


def directive_of(each: Field[Any]) -> str:
    """The directive that gives a group's field its value; "" when that depends."""
    directive = each.metadata.get("directive")
    return setting_name(each).replace("_", "-") if directive is None else str(directive)


def value_word(each: Field[Any]) -> int:
    """The place of a value among its directive's words."""
    return int(each.metadata.get("word", 0))


def is_live(each: Field[Any]) -> bool:
    """True for a field whose new value takes effect without a restart."""
    return bool(each.metadata.get("live"))


# -- the control channel, TLS, certificates ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WrapSettings:
    """The control channel's wrap: key is the 256 bytes of a static key file; direction the server's key-direction.

    digest: of tls-auth, and of data with the CBC ciphers. v2_key: 128 bytes of a tls-crypt-v2 server key or b""; with
    kind "none" only tls-crypt-v2 clients are served. v2_max_age_days: client keys that are older are refused.
    """

    kind: WrapKind = setting("none", "wrap", directive="")
    key: bytes = setting(b"", "static_key", directive="")
    direction: int | None = setting(None, "key_direction")
    digest: str = setting(DEFAULT_DIGEST, "auth")
    v2_key: bytes = setting(b"", "tls_crypt_v2_key", directive="tls-crypt-v2")
    v2_max_age_days: int = setting(0, "tls_crypt_v2_max_age")
    v2_force_cookie: bool = setting(False, directive="tls-crypt-v2", word=1)  # over UDP: no state before a proof

    @property
    def v2_only(self) -> bool:
        """True when clients without a tls-crypt-v2 key are refused: a server with keys never talks without a wrap."""
        return bool(self.v2_key) and self.kind == "none"


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """Times and sizes of key negotiations; max_packet_size: bytes of the largest control packet."""

    hand_window_s: int = setting(60, "hand_window")
    tran_window_s: int = setting(3600, "tran_window")
    tls_timeout_s: int = setting(2, "tls_timeout")
    max_packet_size: int = setting(1250)
    exit_notify: int = setting(0, "explicit_exit_notify")  # 2: at the end clients go to their next remote


@dataclass(frozen=True, slots=True)
class CertificateRules:
    """Demands on a client's own certificate beyond its chain.

    fingerprints: SHA-256 of the certificates that are accepted, 32 bytes each; () allows all; with them and without ca
    no chain is asked for. name_kind: one of NAME_KINDS. key_usage: one of these values of remote-cert-ku must be
    contained in the certificate's bits (0 alone: any, but the extension must be there); () is no demand. eku: OpenSSL's
    name or OID. username_field: words of x509-username-field, spaces between.
    """

    fingerprints: tuple[bytes, ...] = setting((), directive="peer-fingerprint", live=True)
    name_kind: str = setting("", directive="verify-x509-name")
    name: str = setting("", directive="verify-x509-name")
    key_usage: tuple[int, ...] = setting((), directive="remote-cert-ku")
    eku: str = setting("", directive="remote-cert-eku")
    remote_cert_tls: bool = setting(False)
    username_field: str = setting("CN", directive="x509-username-field")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The server's identity, the bounds of TLS, and the checks of clients' certificates.

    ca "" is allowed with rules.fingerprints: then a certificate is good when it is pinned, regardless of its chain.
    Versions are of TLS_VERSIONS, max_version "" for the newest. ciphers, ciphersuites, groups: OpenSSL's names of
    tls-cipher, tls-ciphersuites, tls-groups; "" for our own choice. extra_certs is sent along with the server's
    certificate.
    """

    ca: str = needed()
    cert: str = needed()
    key: str = needed()
    min_version: str = setting(TLS_VERSIONS[0], "tls_version_min")
    max_version: str = setting("", "tls_version_max")
    ciphers: str = setting("", "tls_cipher")
    ciphersuites: str = setting("", "tls_ciphersuites")
    groups: str = setting("", "tls_groups")
    cert_profile: str = setting(DEFAULT_CERT_PROFILE, "tls_cert_profile")
    extra_certs: str = setting("")
    crl: str = setting("", "policy", directive="crl-verify", live=True)
    verify_client_cert: ClientCertificate = setting("require", "policy", directive="verify-client-cert")
    rules: CertificateRules = setting(CertificateRules(), "policy")


# -- the data channel and the life of a session ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DataSettings:
    """The data channel: data_ciphers in order of preference; framing as the server's config has it.

    replay_window: packets that may overtake each other, 0 for none. replay_time_s: for which a packet may be late.
    tun_mtu: bytes of the largest inner packet. mssfix: bytes of a packet that inner TCP must fit, counted by
    mssfix_mode: "mtu" with all outer headers, "plain" without outer IP and TCP, "fixed" the inner packet itself.
    passtos: datagrams have the traffic class of the packets in them.
    """

    ciphers: tuple[str, ...] = setting(DEFAULT_DATA_CIPHERS, "data_ciphers")
    fallback_cipher: str = setting("", "data_ciphers_fallback")
    framing: Compression = setting("none", directive="compress")
    replay_window: int = setting(64)
    replay_time_s: int = setting(15, "replay_time", directive="replay-window", word=1)
    tun_mtu: int = setting(1500)
    mssfix: int = setting(1492)
    mssfix_mode: MssfixMode = setting("mtu", directive="mssfix")
    passtos: bool = setting(False)
    force_tls_key_material_export: bool = setting(False)  # no keys by OpenVPN's own PRF


@dataclass(frozen=True, slots=True)
class LivenessSettings:
    """Pings and the reasons to end an idle session; ping_timeout_s is the server's own (2b of `keepalive a b`).

    push_ping_restart_s: of the clients. inactive_bytes: traffic below this in inactive_s is inactivity.
    """

    ping_s: int = setting(0, "ping", directive="keepalive")
    ping_timeout_s: int = setting(0, "ping_timeout", directive="keepalive")
    push_ping_restart_s: int = setting(0, "push_ping_restart", directive="keepalive")
    inactive_s: int = setting(0, "inactive", live=True)
    inactive_bytes: int = setting(0, directive="inactive", word=1, live=True)
    session_timeout_s: int = setting(0, "session_timeout", live=True)


@dataclass(frozen=True, slots=True)
class RenegotiationSettings:
    """The time or traffic after which keys are negotiated again; reneg_s 0: only clients start renegotiations."""

    reneg_s: int = setting(3600, "reneg_sec")
    reneg_min_s: int = setting(0, "reneg_sec_min", directive="reneg-sec", word=1)  # 0: nine tenths of reneg_s
    reneg_bytes: int = setting(0)
    reneg_packets: int = setting(0, "reneg_pkts")

    @property
    def least_s(self) -> int:
        """Seconds of the shortest interval: a session draws its own between this and reneg_s.

        OpenVPN's servers take up to a tenth off, so that their clients do not all come at once (init.c).
        """
        return min(self.reneg_min_s or self.reneg_s * 9 // 10, self.reneg_s)


# -- the gateway -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One port that clients come to."""

    proto: Proto
    port: Port

    def __str__(self) -> str:
        return f"{self.port}/{self.proto}"


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The tunnel network, of which the first address is the server's, and the ports; pool b"": all other addresses."""

    tunnel: Prefix = needed("network", directive="server")
    listeners: tuple[ListenerSettings, ...] = setting((ListenerSettings("udp", DEFAULT_PORT),), "port")
    pool_first: Address = setting(b"", directive="ifconfig-pool")
    pool_last: Address = setting(b"", directive="ifconfig-pool")
    client_to_client: bool = setting(False)

    @property
    def server_address(self) -> Address:
        """The tunnel gateway: the first address."""
        return self.tunnel.at(1)

    @property
    def pool(self) -> tuple[Address, Address]:
        """First and last address for clients."""
        return (self.pool_first, self.pool_last) if self.pool_first else (self.tunnel.at(2), self.tunnel.at(-2))


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings of client-config-dir for one common name; address b"" when it has no ifconfig-push."""

    address: Address = b""
    push: tuple[str, ...] = ()
    push_reset: bool = False  # none of the server's pushes, only this client's own
    push_remove: tuple[str, ...] = ()  # the server's pushes that begin so are left out
    disable: bool = False


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """The clients that are admitted, and what each gets.

    push: options for all. clients: of client-config-dir, by common name; the name DEFAULT stands for all without their
    own. reservations: address by common name, of ifconfig-pool-persist. connect_freq: (new connections, in this number
    of seconds), (0, 0) for no limit; connect_freq_initial: likewise of hard resets over UDP, (0, 0) for our own limit.
    """

    push: tuple[str, ...] = setting((), live=True)
    duplicate_cn: bool = setting(False)
    max_clients: int = setting(1024, live=True)
    clients: Mapping[str, ClientSettings] = field(
        default_factory=dict, metadata=_told("", "client-config-dir", 0, True)
    )
    ccd_exclusive: bool = setting(False, live=True)
    reservations: Mapping[str, Address] = field(
        default_factory=dict, metadata=_told("", "ifconfig-pool-persist", 0, True)
    )
    connect_freq: tuple[int, int] = setting((0, 0), live=True)
    connect_freq_initial: tuple[int, int] = setting((0, 0))

    @property
    def pushed(self) -> Iterator[str]:
        """All options that are pushed to any client."""
        yield from self.push
        for client in self.clients.values():
            yield from client.push


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """The list of clients on the console: seconds between two, 0 for none, and its format."""

    status_interval_s: int = setting(0, "status_interval", directive="status", live=True)
    status_version: int = setting(1, live=True)
