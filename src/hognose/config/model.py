"""What a config means: a frozen value, checked; nothing in it refers to a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hognose.units import Ipv4Int, Port, netmask

WrapKind = Literal["none", "tls-auth", "tls-crypt"]
DEFAULT_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")


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
class ServerConfig:
    """Settings of the server. Times in seconds; PEM texts whole; static_key 256 bytes or b""."""

    port: Port
    network: Ipv4Int
    prefix_len: int
    ca: str
    cert: str
    key: str
    wrap: WrapKind = "none"
    static_key: bytes = b""
    key_direction: int | None = None
    auth: str = "SHA1"
    data_ciphers: tuple[str, ...] = DEFAULT_CIPHERS
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
        return self.network + 2, (self.network | (0xFFFFFFFF & ~self.mask)) - 1
