"""A Linux router of a single address (/32), beyond its network, that fails over to another MAC address.

The same functions for the hosted server and the machines. The client's own way to the server is through this router.
"""

from __future__ import annotations

import time

from tests.interop.cases import Setting
from tests.world.namespaces import Namespaces
from tests.world.server import Server
from tests.world.topology import INTERNET, TAP

OWN, ROUTER = "203.0.113.5", "172.31.1.1"
ALONE = [f"--ipv4={OWN}/32", f"--ipv4-gateway={ROUTER}"]
SUCCESSOR = "02:aa:aa:aa:aa:07"
BROADCAST = b"\xff" * 6
SOON = 8  # seconds: two until the server knows, then TCP's next repetition, which has backed off meanwhile

# The host as clouds configure it: its own address and the route to ours have no network in common.
HOST = (
    f"ip addr add {ROUTER}/32 dev {TAP}",
    f"ip route replace {OWN}/32 dev {TAP} src {ROUTER}",
    f"nft add rule ip nat postrouting ip saddr {OWN} oifname != {TAP} masquerade",
    f"nft insert rule ip nat prerouting iifname != {TAP} tcp dport 1194 dnat to {OWN}",
)

# Arguments: device, MAC, address. As keepalived announces a new master: broadcast, sender and target the same.
ANNOUNCE = """
import socket, struct, sys
device, mac, own = sys.argv[1], bytes.fromhex(sys.argv[2].replace(":", "")), socket.inet_aton(sys.argv[3])
packet = b"\\xff" * 6 + mac + b"\\x08\\x06" + struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + own + bytes(6) + own
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind((device, 0))
link.send(packet)
"""


def announce(spaces: Namespaces, mac: str) -> None:
    """From the server's device on the host, in the name of the router."""
    spaces.run("host", "python3", "-c", ANNOUNCE, TAP, mac, ROUTER)


def check_router_of_a_single_address(setting: Setting, carrier: str) -> None:
    """A tunnel is up, a forged announcement does not disturb it, a true one is followed within two seconds."""
    spaces = setting.topology.namespaces
    for line in HOST:
        spaces.run("host", *line.split())
    with (
        Server(carrier, spaces, setting.config(), setting.folder, arguments=ALONE).ready(120) as server,
        setting.client("c1") as client,
    ):
        client.connected(60)
        assert client.ping(INTERNET)
        setting.topology.transfer("c1", "get", 1 << 20)
        old = spaces.run("host", "cat", f"/sys/class/net/{TAP}/address").strip()
        # Only the announcement tells the server: the host's own entry for it needs no question.
        known = f"ip neigh replace {OWN} lladdr {server.event('ready')['mac']} dev {TAP} nud permanent"
        spaces.run("host", *known.split())
        announce(spaces, SUCCESSOR)
        for _ in range(3):  # at once, and when the question about it would have been lost
            assert client.ping(INTERNET), "a forged announcement has an effect"
            time.sleep(0.5)
        spaces.run("host", "ip", "link", "set", TAP, "address", SUCCESSOR)
        spaces.run("host", *known.split())
        announce(spaces, SUCCESSOR)
        began = time.monotonic()
        while " 1 received" not in client.run("ping", "-c", "1", "-W", "1", INTERNET, check=False):
            assert time.monotonic() - began < SOON, "the router's new address is not found"
        spaces.run("host", "ip", "link", "set", TAP, "address", old)
        assert "internal_error" not in server.log
