"""Clients - host - internet, with the host recipe of the README in the middle.

    c1 … c10 192.0.2.11 … --- br0 192.0.2.1 [host] tap0 10.0.0.1 --- the server 10.0.0.2
                                            eth1 198.51.100.1 --- 198.51.100.7 [inet]

The host forwards, masquerades 10.0.0.0/24 and passes tcp/1194 and udp/1194 on to 10.0.0.2. Clients have no route to the
internet but through the tunnel.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .namespaces import Namespaces
from .processes import Process

HOST = "192.0.2.1"
INTERNET = "198.51.100.7"
TAP = "tap0"
CLIENTS = tuple(f"c{number}" for number in range(1, 11))
TRAFFIC_PORT = 8000

RECIPE = [
    "sysctl -qw net.ipv4.ip_forward=1",
    f"ip tuntap add {TAP} mode tap user root",
    f"ip addr add 10.0.0.1/24 dev {TAP}",
    f"ip link set {TAP} up",
    "nft add table ip nat",
    "nft add chain ip nat postrouting { type nat hook postrouting priority 100 ; }",
    "nft add rule ip nat postrouting ip saddr 10.0.0.0/24 oifname != tap0 masquerade",
    "nft add chain ip nat prerouting { type nat hook prerouting priority -100 ; }",
    "nft add rule ip nat prerouting iifname != tap0 tcp dport 1194 dnat to 10.0.0.2",
    "nft add rule ip nat prerouting iifname != tap0 udp dport 1194 dnat to 10.0.0.2",
]

# Asked after a transfer that failed: how much programs wait for a processor (while others take all of it, SYNs wait in
# the tunnel's device for the client's program), the way there, the links, the sockets (the tunnel's outer connection
# among them), how often SYNs were repeated, and whether a packet gets through now. A connection that the server has let
# out stands in the host's list of connections.
AFTERMATH = (
    ("client", "cat /proc/loadavg /proc/pressure/cpu"),
    ("client", f"ip route get {INTERNET}"),
    ("client", "ip -br link"),
    ("client", "ss -tin"),
    ("client", "nstat -asz TcpActiveOpens TcpRetransSegs TcpInErrs TcpExtTCPSynRetrans IpOutNoRoutes"),
    ("client", f"ping -c 1 -w 2 {INTERNET}"),
    ("host", f"ip -s link show dev {TAP}"),
    ("host", "ip neigh"),
    ("host", f"grep dport={TRAFFIC_PORT} /proc/net/nf_conntrack"),
    ("inet", "ip -br link"),
    ("inet", "ss -tin"),
    ("inet", "nstat -asz TcpPassiveOpens TcpRetransSegs TcpInErrs TcpExtListenDrops TcpExtTCPChallengeACK"),
)
ANSWER_LENGTH = 1000  # characters of one of them that are kept, the last ones


def client_address(name: str, above: int = 0) -> str:
    """Outer address of c1, c2 and so on; with `above` (100) one that is free."""
    return f"192.0.2.{10 + above + int(name.removeprefix('c'))}"


class Topology:
    """The namespaces, up and connected; a context manager."""

    def __init__(self, prefix: str, folder: Path, clients: int = 2) -> None:
        self.folder = folder
        self.clients = CLIENTS[:clients]
        self.namespaces = Namespaces(prefix, ("host", "inet", *self.clients))
        self._traffic: Process | None = None

    def __enter__(self) -> Topology:
        spaces = self.namespaces.__enter__()
        try:
            self._build(spaces)
        except BaseException:
            spaces.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._traffic is not None:
            self._traffic.stop()
        self.namespaces.remove()

    def _build(self, spaces: Namespaces) -> None:
        spaces.run("host", "ip", "link", "add", "br0", "type", "bridge")
        spaces.run("host", "ip", "addr", "add", f"{HOST}/24", "dev", "br0")
        spaces.run("host", "ip", "link", "set", "br0", "up")
        for name in self.clients:
            spaces.veth("host", f"to-{name}", name, "eth0")
            self.plug_in(name)
        spaces.veth("host", "eth1", "inet", "eth0")
        spaces.run("host", "ip", "addr", "add", "198.51.100.1/24", "dev", "eth1")
        spaces.run("inet", "ip", "addr", "add", f"{INTERNET}/24", "dev", "eth0")
        for line in RECIPE:
            spaces.run("host", "sh", "-c", line.replace("{", "'{'").replace("}", "'}'").replace(";", "';'"))
        self._traffic = Process(
            spaces.command("inet", sys.executable, str(Path(__file__).with_name("traffic.py")), "serve", INTERNET,
                           str(TRAFFIC_PORT)),
            self.folder / "traffic.log",
        )  # fmt: skip
        self._traffic.wait_for("ready")

    def plug_in(self, client: str) -> None:
        """Give a client's cable, whose ends are there, its place at the bridge and its address."""
        self.namespaces.run("host", "ip", "link", "set", f"to-{client}", "master", "br0")
        self.namespaces.run(client, "ip", "addr", "add", f"{client_address(client)}/24", "dev", "eth0")

    def transfer(self, client: str, direction: str, size: int, seed: int = 1, timeout: float = 300) -> float:
        """Move bytes between a client and the internet host; seconds. RuntimeError with the aftermath when it fails."""
        try:
            out = self.namespaces.run(
                client, sys.executable, str(Path(__file__).with_name("traffic.py")), direction, INTERNET,
                str(TRAFFIC_PORT), str(size), str(seed), timeout=timeout,
            )  # fmt: skip
            got, expected, seconds = out.split()
            if got != expected:
                raise RuntimeError(f"{direction} of {size} bytes: sha256 {got}, expected {expected}")
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(f"{error}\n{self.aftermath(client)}") from error
        return float(seconds)

    def aftermath(self, client: str) -> str:
        """Everything that the kernels of the three namespaces say about traffic of this client, bounded."""
        return "\n".join(self._answer(client if where == "client" else where, line) for where, line in AFTERMATH)

    def _answer(self, name: str, line: str) -> str:
        try:
            said = self.namespaces.run(name, *line.split(), check=False, timeout=10)
        except subprocess.TimeoutExpired:
            said = "no answer"
        return f"{name}: {line}\n{said.rstrip()[-ANSWER_LENGTH:]}"
