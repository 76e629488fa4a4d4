"""The real openvpn as the server, with the interface of tests/world/server.py: proves clients and script."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.world.namespaces import Namespaces
from tests.world.processes import Process

# In place of Hognose at the tap: the port stays on the host, and the tunnel's addresses are masqueraded there.
HOST_RULES = (
    "flush chain ip nat prerouting",
    "add rule ip nat postrouting ip saddr 10.8.0.0/24 oifname eth1 masquerade",
)
CONTROL = r"Control Channel: (TLSv[\d.]+),"
EXTRA = ("dh none", "verb 4")


class OpenvpnServer:
    """A running openvpn server; use as a context manager, `host_rules` once per topology before."""

    def __init__(self, namespaces: Namespaces, config: str, folder: Path, program: tuple[str, ...]) -> None:
        path = folder / "server.conf"
        path.write_text("\n".join(EXTRA) + "\n" + config)
        self.process = Process(namespaces.command("host", *program, "--config", str(path)), folder / "openvpn.log")

    def __enter__(self) -> OpenvpnServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ready(self, timeout: float = 20) -> OpenvpnServer:
        """Wait until it serves."""
        self.process.wait_for("Initialization Sequence Completed", timeout)
        return self

    @property
    def log(self) -> str:
        """Everything it printed."""
        return self.process.text

    def event(self, name: str, timeout: float = 10, count: int = 1) -> dict[str, str]:
        """Hognose's event line of that name, from the lines that openvpn prints instead."""
        if name == "client_renegotiated":
            line = self.process.wait_for(CONTROL, timeout, count + 1)[count]
            return {"tls": _found(CONTROL, line)}
        if name != "client_established":
            raise ValueError(name)
        self.process.wait_for(r"/\S+ Timers: ping", timeout, count)  # 2.6 and later; data is served from here on
        log = self.log
        # A server prints its static wraps at its start, and a client's own key when that client comes.
        wrap = "none"
        if "Control Channel: using tls-crypt-v2 key" in log or "tls-crypt-v2 server key" in log.lower():
            wrap = "tls-crypt-v2"
        elif "Control Channel Encryption: Cipher" in log:
            wrap = "tls-crypt"
        elif "Control Channel Authentication: Using" in log:
            wrap = "tls-auth"
        return {
            "cipher": _found(r"PUSH_REPLY,.*cipher ([\w-]+)", log),
            "wrap": wrap,
            "tls": _found(CONTROL, log),
            "key_source": "tls-ekm" if re.search(r"PUSH_REPLY,.*tls-ekm", log) else "prf",
            "header": "V2+epoch" if re.search(r"PUSH_REPLY,.*aead-epoch", log) else "V2",
        }

    def stop(self) -> int:
        """End it."""
        return self.process.stop(signal.SIGTERM, 10)


def host_rules(namespaces: Namespaces) -> None:
    """Change a topology's host from Hognose's recipe to one that serves by itself."""
    for rule in HOST_RULES:
        namespaces.run("host", "nft", *rule.split())


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match else ""
