"""The real openvpn client in a namespace of its own."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

from .namespaces import Namespaces
from .pki import Identity
from .processes import Process


@dataclass
class ClientSettings:
    """Settings of a client's config; extra are further lines, `lport` among them in place of `nobind`.

    key_direction goes with tls-auth, None is no line.
    """

    ca: str
    identity: Identity
    remote: str = "192.0.2.1"
    wrap: str = "tls-crypt"
    static_key: str = ""
    extra: list[str] = field(default_factory=list)
    key_direction: int | None = 1
    proto: str = "tcp"

    def text(self) -> str:
        """The config, everything inline."""
        lines = ["client", "dev tun", f"proto {self.proto}", f"remote {self.remote} 1194", "verb 4"]
        if not any(line.startswith("lport ") for line in self.extra):
            lines.append("nobind")
        lines += ["connect-retry 1 2", "remote-cert-tls server", *self.extra]
        blocks = {"ca": self.ca, "cert": self.identity.cert, "key": self.identity.key}
        if self.wrap == "tls-auth" and self.key_direction is not None:
            lines.append(f"key-direction {self.key_direction}")
        if self.wrap != "none":
            blocks[self.wrap] = self.static_key
        for name, body in blocks.items():
            lines += [f"<{name}>", body.strip(), f"</{name}>"]
        return "\n".join(lines) + "\n"


class OpenvpnClient:
    """A running client; use as a context manager."""

    def __init__(
        self,
        namespaces: Namespaces,
        name: str,
        settings: ClientSettings,
        folder: Path,
        *,
        program: tuple[str, ...] = ("openvpn",),
        label: str = "",
    ) -> None:
        """program: words that run it (old_clients.py); label tells the logs of one namespace's clients apart."""
        config = folder / f"{name}{label}.ovpn"
        config.write_text(settings.text())
        self._namespaces = namespaces
        self.name = name
        command = namespaces.command(name, *program, "--config", str(config))
        # Debian's own openssl.cnf of another release may name what this one's library does not know.
        environment = {**os.environ, "OPENSSL_CONF": os.devnull} if program != ("openvpn",) else None
        self.process = Process(command, folder / f"{name}{label}.log", environment=environment)

    def __enter__(self) -> OpenvpnClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def connected(self, timeout: float = 30, count: int = 1) -> OpenvpnClient:
        """Wait until it says that it is up (for the count-th time)."""
        self.process.wait_for("Initialization Sequence Completed", timeout, count)
        return self

    @property
    def log(self) -> str:
        """Everything it said."""
        return self.process.text

    @property
    def address(self) -> str:
        """Its tunnel address."""
        found = re.findall(r"net_addr_v4_add: (\S+)/\d+ dev", self.log)
        if not found:
            raise RuntimeError(f"no tunnel address in the log:\n{self.log[-1500:]}")
        return str(found[-1])

    @property
    def negotiated(self) -> dict[str, str]:
        """Its lines about its first keys; the words differ between 2.5 and later releases.

        From 2.6 on some of it is said after the line that `connected` waits for. It does one thing after the other, so
        that all is said once a ping was answered.

        wrap is tls-auth, tls-crypt (version 2 too: a client logs the same) or none; digest is that of tls-auth,
        auth that of CBC; key_source, format (epoch or not) and flags follow from the protocol-flags pushed to it;
        transport is udp or tcp.
        """
        log = self.log
        flags = _first(r"Protocol options: .*protocol-flags ([\w -]+)", log).split()
        digest = _first(r"Outgoing Control Channel Authentication: Using \d+ bit message hash '([\w-]+)'", log)
        encrypted = "Outgoing Control Channel Encryption: Cipher 'AES-256-CTR'" in log
        return {
            "transport": _first(r"\b(UDP|TCP)\w* link remote:", log).lower(),
            "cipher": _first(r"Data Channel: (?:using negotiated )?cipher '([\w-]+)'", log),
            "auth": _first(r"Outgoing Data Channel: Using \d+ bit message hash '([\w-]+)'", log),
            "tls": _first(r"Control Channel: (TLSv[\d.]+),", log),
            "wrap": "tls-crypt" if encrypted else "tls-auth" if digest else "none",
            "digest": digest,
            "key_source": "tls-ekm" if "tls-ekm" in flags else "prf",
            "format": "epoch" if "aead-epoch" in flags else "",
            "flags": " ".join(flags),
        }

    def run(self, *words: str, check: bool = True, timeout: float = 60) -> str:
        """A command in its namespace."""
        return self._namespaces.run(self.name, *words, check=check, timeout=timeout)

    def ping(self, address: str, count: int = 3) -> bool:
        """True if `count` pings were answered in five seconds.

        With -w, because ping else waits only two round trips for the last one, too short on a busy machine.
        """
        out = self.run("ping", "-c", str(count), "-i", "0.2", "-w", "5", address, check=False)
        return f" {count} received" in out

    def kill(self) -> None:
        """As a crash: nothing is said to the server."""
        self.process.stop(signal.SIGKILL)

    def stop(self) -> None:
        """In an orderly way."""
        self.process.stop(signal.SIGTERM, 5)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
