"""The meaning of a config: a frozen value, checked; nothing in it refers to a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hognose.config.pushed import dns_servers
from hognose.units import Ipv4Int, Port, netmask
from hognose.vocabulary import DEFAULT_DATA_CIPHERS, DEFAULT_DIGEST, ClientCertificate, Compression, WrapKind


@dataclass(frozen=True, slots=True)
class Warned:
    """A line that is ignored or questionable, and why; line 0 when the whole config is meant."""

    line: int
    directive: str
    text: str

    def in_file(self, file: str) -> str:
        """One line for people: `file:line: directive: text`."""
        where = f"{file}:{self.line}" if self.line else file
        return f"{where}: {self.directive}: {self.text}"


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings of client-config-dir for one common name; address 0 when it has no ifconfig-push."""

    address: Ipv4Int = 0
    push: tuple[str, ...] = ()
    push_reset: bool = False  # none of the server's pushes, only this client's own
    push_remove: tuple[str, ...] = ()  # the server's pushes that begin so are left out
    disable: bool = False


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """Demands on a client's certificate beyond its chain; PEM texts whole, "" for absent.

    fingerprints: SHA-256 of certificates that are accepted, 32 bytes each; with them and without ca no chain is asked
    for. name_kind is "", "subject", "name" or "name-prefix" of verify-x509-name. key_usage: any of these values of
    remote-cert-ku (0 alone: whatever it is, but it must be there); () is no demand. eku: OpenSSL's name or OID.
    """

    crl: str = ""
    fingerprints: tuple[bytes, ...] = ()
    verify_client_cert: ClientCertificate = "require"
    name_kind: str = ""
    name: str = ""
    key_usage: tuple[int, ...] = ()
    eku: str = ""
    remote_cert_tls: bool = False
    username_field: str = "CN"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of the server. Times in seconds; PEM texts whole; static_key 256 bytes or b"".

    tls_crypt_v2_key: 128 bytes or b""; with wrap "none" only tls-crypt-v2 clients are served, else both kinds.
    clients: of client-config-dir, by common name; the name DEFAULT stands for all without their own.
    reservations: address by common name, of ifconfig-pool-persist.
    """

    port: Port
    network: Ipv4Int
    prefix_len: int
    ca: str
    cert: str
    key: str
    wrap: WrapKind = "none"
    static_key: bytes = b""
    key_direction: int | None = None
    auth: str = DEFAULT_DIGEST
    data_ciphers: tuple[str, ...] = DEFAULT_DATA_CIPHERS
    ping: int = 0
    ping_timeout: int = 0  # the server's own; twice keepalive's second number
    push_ping_restart: int = 0
    hand_window: int = 60
    tran_window: int = 3600
    reneg_sec: int = 3600
    tls_timeout: int = 2
    tls_version_min: str = "1.2"
    tls_version_max: str = ""
    tun_mtu: int = 1500
    mssfix: int = 1492  # outer packet size that inner TCP must fit, headers of the outer IP and TCP included
    push: tuple[str, ...] = ()
    client_to_client: bool = False
    duplicate_cn: bool = False
    max_clients: int = 1024
    tcp_nodelay: bool = True
    tls_crypt_v2_key: bytes = b""
    tls_crypt_v2_max_age: int = 0  # days; 0: no limit
    data_ciphers_fallback: str = ""
    framing: Compression = "none"  # compress, comp-lzo: how data packets are framed, never compressed
    replay_window: int = 64
    replay_time: int = 15
    mssfix_mode: Literal["mtu", "plain", "fixed"] = "mtu"
    reneg_sec_min: int = 0  # 0: nine tenths of reneg_sec
    reneg_bytes: int = 0
    reneg_pkts: int = 0
    inactive: int = 0
    inactive_bytes: int = 0
    session_timeout: int = 0
    max_packet_size: int = 1250  # of control packets
    tls_cipher: str = ""
    tls_ciphersuites: str = ""
    tls_groups: str = ""
    tls_cert_profile: str = "legacy"
    extra_certs: str = ""
    policy: CertificatePolicy = CertificatePolicy()
    clients: Mapping[str, ClientSettings] = field(default_factory=dict)
    ccd_exclusive: bool = False
    reservations: Mapping[str, Ipv4Int] = field(default_factory=dict)
    pool_first: Ipv4Int = 0  # of ifconfig-pool; 0: the whole network but for our address
    pool_last: Ipv4Int = 0
    status_interval: int = 0  # seconds between status lines on the console; 0: none
    status_version: int = 1
    connect_freq: tuple[int, int] = (0, 0)  # (new connections, in this number of seconds); (0, 0): no limit

    @property
    def mask(self) -> Ipv4Int:
        """Netmask of the tunnel network."""
        return netmask(self.prefix_len)

    @property
    def server_address(self) -> Ipv4Int:
        """The tunnel gateway: the first address."""
        return self.network + 1

    @property
    def pool(self) -> tuple[Ipv4Int, Ipv4Int]:
        """First and last address for clients."""
        if self.pool_first:
            return self.pool_first, self.pool_last
        return self.network + 2, (self.network | (0xFFFFFFFF & ~self.mask)) - 1

    @property
    def dns_servers(self) -> frozenset[Ipv4Int]:
        """Name servers pushed to any client; computed from all pushes at each call."""
        own = (option for client in self.clients.values() for option in client.push)
        return dns_servers((*self.push, *own))
