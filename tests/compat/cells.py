"""The cells of the matrix: a client release, transport, control channel wrap, data cipher; what must come of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

RELEASES = ("2.5", "2.6", "2.7")
TRANSPORTS = ("udp", "tcp")
WRAPS = ("none", "tls-auth SHA1", "tls-auth SHA256", "tls-auth SHA512", "tls-crypt", "tls-crypt-v2")
CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-CBC")
# CBC's HMAC where the wrap does not decide it: `auth` is also the digest of tls-auth.
CBC_DIGESTS = {"none": "SHA1", "tls-crypt": "SHA256", "tls-crypt-v2": "SHA512"}


@dataclass(frozen=True)
class Cell:
    """One client, one transport, one wrap, one cipher; everything else follows."""

    release: str
    transport: str
    wrap_name: str
    cipher: str

    @property
    def name(self) -> str:
        """`2.5, udp, tls-auth SHA1, AES-256-GCM`."""
        return f"{self.release}, {self.transport}, {self.wrap_name}, {self.cipher}"

    @property
    def wrap(self) -> str:
        """Without the digest."""
        return self.wrap_name.split()[0]

    @property
    def digest(self) -> str:
        """Of tls-auth and of CBC; the option `auth`."""
        return CBC_DIGESTS.get(self.wrap_name) or self.wrap_name.split()[1]

    @property
    def tls(self) -> str:
        """A third of the cells runs with TLS 1.2; every release, transport, wrap and cipher sees both."""
        return "TLSv1.2" if (WRAPS.index(self.wrap_name) + 2 * CIPHERS.index(self.cipher)) % 3 == 0 else "TLSv1.3"

    @property
    def key_source(self) -> str:
        """Clients before 2.6 cannot export keying material."""
        return "prf" if self.release == "2.5" else "tls-ekm"

    @property
    def epoch(self) -> bool:
        """Clients since 2.7 use the epoch format with AEAD ciphers, when the server can."""
        return self.release == "2.7" and not self.cipher.endswith("-CBC")

    @property
    def client_renegotiates(self) -> bool:
        """In a quarter of the cells the client starts the renegotiations, in the others the server."""
        return (WRAPS.index(self.wrap_name) + 2 * CIPHERS.index(self.cipher)) % 4 == 0

    @property
    def server_lines(self) -> tuple[str, ...]:
        """For server.conf beside what every server has."""
        return (f"data-ciphers {self.cipher}", f"auth {self.digest}")

    @property
    def client_lines(self) -> tuple[str, ...]:
        """For the client's config."""
        tls = self.tls.removeprefix("TLSv")
        return (f"data-ciphers {self.cipher}", f"auth {self.digest}", f"tls-version-max {tls}")


def all_cells() -> list[Cell]:
    """Every cell of the document."""
    return [Cell(*words) for words in itertools.product(RELEASES, TRANSPORTS, WRAPS, CIPHERS)]


def covering_cells() -> list[Cell]:
    """For CI: every wrap with every cipher once, by releases in turn, over UDP and TCP in turn.

    So each two of release, transport, wrap and cipher meet. The client of 2.5 with a key of its own, the only one of
    which UDP keeps something at its first packet, is among those over UDP.
    """
    return [
        Cell(RELEASES[(row + column) % len(RELEASES)], TRANSPORTS[(row + column) % len(TRANSPORTS)], wrap, cipher)
        for row, wrap in enumerate(WRAPS)
        for column, cipher in enumerate(CIPHERS)
    ]


def machine_cells() -> list[Cell]:
    """Cells of the VM and of the guest of solo5-hvt: each release, one without AEAD, one with a client's key."""
    return [
        Cell("2.5", "udp", "tls-auth SHA256", "AES-256-CBC"),
        Cell("2.6", "udp", "tls-crypt-v2", "AES-256-GCM"),
        Cell("2.7", "tcp", "tls-crypt", "AES-256-GCM"),
    ]
