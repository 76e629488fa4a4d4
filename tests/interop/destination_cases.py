"""Destinations of clients through the NAT, with a real client; the same functions for the hosted server and machines.

The host of the topology stands for a cloud's: it has the addresses of a metadata service and of a name server, and
answers at all of its addresses.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.cases import GATEWAY, MIB, Setting
from tests.world import questions
from tests.world.openvpn_client import OpenvpnClient
from tests.world.processes import Process
from tests.world.server import ARGUMENTS, Server

METADATA, NAME_SERVER, ROUTER = "169.254.169.254", "169.254.169.253", "10.0.0.1"
NOT_UPLINK = [*ARGUMENTS, "--clients-may-reach=not-uplink"]
PUSHED = f'push "dhcp-option DNS {NAME_SERVER}"'
ROUTES = ("route 169.254.0.0 255.255.0.0", "route 10.0.0.0 255.255.255.0")
REFUSED = "EHOSTUNREACH"  # what Linux makes of ICMP 3/13
SCRIPT = str(Path(questions.__file__))


@contextmanager
def cloud(setting: Setting) -> Iterator[Process]:
    """The host with its services; what they heard is in the process's text."""
    spaces = setting.topology.namespaces
    for address in (METADATA, NAME_SERVER):
        spaces.run("host", "ip", "addr", "replace", f"{address}/32", "dev", "lo")
    process = Process(spaces.command("host", sys.executable, SCRIPT, "answer"), setting.folder / "cloud.log")
    try:
        process.wait_for("ready")
        yield process
    finally:
        process.stop()
        for address in (METADATA, NAME_SERVER):
            spaces.run("host", "ip", "addr", "del", f"{address}/32", "dev", "lo", check=False)


def asks(client: OpenvpnClient, address: str, port: int) -> list[str]:
    """Answers that a client gets over UDP and over TCP."""
    return [client.run(sys.executable, SCRIPT, "ask", kind, address, str(port)).strip() for kind in ("udp", "tcp")]


def filtered(client: OpenvpnClient, address: str) -> bool:
    """True when ping is told that a router filters."""
    told = client.run("ping", "-c", "1", "-W", "2", address, check=False)
    return f"From {GATEWAY}" in told and "Packet filtered" in told


def check_destinations(setting: Setting, carrier: str) -> None:
    """Metadata service and router are refused and hear nothing; the pushed name server and the Internet answer."""
    spaces = setting.topology.namespaces
    config = setting.config(extra=(PUSHED,))
    with (
        cloud(setting) as host,
        Server(carrier, spaces, config, setting.folder, arguments=NOT_UPLINK).ready(120),
        setting.client("c1", extra=ROUTES) as client,
    ):
        client.connected(60)
        for address in (METADATA, ROUTER, "10.0.0.77"):
            time.sleep(0.7)  # a client gets ten ICMP errors a second, and its five questions may be over in less
            assert asks(client, address, 80) == asks(client, address, 53) == [REFUSED] * 2, address
            assert filtered(client, address), address
        assert asks(client, NAME_SERVER, 53) == ["answer"] * 2
        assert asks(client, NAME_SERVER, 80) == [REFUSED] * 2
        assert client.run(sys.executable, SCRIPT, "ask", "udp", "10.0.0.255", "80").strip() == "silence"
        setting.topology.transfer("c1", "get", MIB)
        heard = [line for line in host.text.splitlines() if line.startswith("heard")]
        assert heard == [f"heard {kind} {NAME_SERVER} 53" for kind in ("udp", "tcp")]


def check_anywhere(setting: Setting, carrier: str) -> None:
    """Without the argument the router answers as before, the metadata service still does not."""
    with (
        cloud(setting),
        Server(carrier, setting.topology.namespaces, setting.config(), setting.folder).ready(120),
        setting.client("c1", extra=ROUTES) as client,
    ):
        client.connected(60)
        assert asks(client, ROUTER, 80) == ["answer"] * 2
        assert asks(client, METADATA, 80) == asks(client, NAME_SERVER, 53) == [REFUSED] * 2


def check_a_refused_route_is_a_config_error(setting: Setting, carrier: str) -> None:
    """Exit status 3, and the line."""
    config = setting.config(extra=('push "route 10.0.0.0 255.255.255.0"',))
    text = config.encode() + bytes(-len(config) % 512)
    spaces = setting.topology.namespaces
    with Server(carrier, spaces, text, setting.folder, arguments=NOT_UPLINK) as server:
        server.process.wait_for(r"exit status 3|stopped status=3", 90)
        assert server.process.wait(60) == (0 if carrier == "nested" else 3)
        assert server.printed_status == 3
        assert "push: --clients-may-reach=not-uplink refuses 10.0.0.0/24; remove the line" in server.log
