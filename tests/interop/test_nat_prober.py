"""The hosted server's NAT through real clients, probed from both sides; Linux masquerade is probed beside it.

    c1, c2 --tunnel-- the server 10.0.0.2 -- 10.0.0.1 [host] 198.51.100.1 -- 198.51.100.7, .8 [inet]
    k1, k2 192.168.7.x ------------------------ [kbox] 203.0.113.2 ------- 203.0.113.1 [inet]

Nothing translates between our server and the Internet here. What the control does not do is printed at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, TO_INTERNET, Setting
from tests.interop.nat_probes import PROBES, verdict
from tests.interop.nat_side import INTERNET_2, LISTENING_PORT, NOBODY, TUN_MTU, Side, mapped
from tests.world.namespaces import Namespaces
from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.processes import Process
from tests.world.server import ARGUMENTS, Server
from tests.world.topology import Topology

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(180)]

OUTSIDE, CONTROL = "10.0.0.2", "203.0.113.2"
EXTRA = (f"tun-mtu {TUN_MTU}", "mssfix 0")


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-nat", tmp_path_factory.mktemp("topology")) as made:
        spaces = made.namespaces
        spaces.run("host", "nft", "delete", "table", "ip", "nat")
        spaces.run("inet", "ip", "addr", "add", f"{INTERNET_2}/24", "dev", "eth0")
        spaces.run("inet", "ip", "route", "add", "10.0.0.0/24", "via", "198.51.100.1")
        for name in (
            "c1",
            "c2",
        ):  # what goes to the server's address goes through the tunnel, but for the tunnel itself
            spaces.run(name, "ip", "route", "add", "10.0.0.0/24", "via", "192.0.2.1", "table", "7")
            words = f"ip rule add to {OUTSIDE} ipproto tcp dport {LISTENING_PORT} lookup 7"
            spaces.run(name, *words.split())
        spaces.run("inet", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        spaces.run("inet", "ip", "route", "add", "unreachable", NOBODY)  # as a router of the control's
        _no_limits_of_icmp(spaces, ("host", "inet", "c1", "c2"))
        yield made


def _no_limits_of_icmp(spaces: Namespaces, names: tuple[str, ...]) -> None:
    """The kernels around the NAT answer every probe."""
    for name in names:
        spaces.run(name, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv4.conf.all.rp_filter=0")


def started(topology: Topology, folder: Path, stack: ExitStack, *arguments: str) -> Side:
    """A server and two clients that are connected."""
    spaces = topology.namespaces
    setting = Setting(topology, folder)
    config = setting.config(extra=EXTRA)
    stack.enter_context(Server("hosted", spaces, config, folder, arguments=[*ARGUMENTS, *arguments]).ready())
    clients = []
    for name in ("c1", "c2"):
        identity = setting.authority.issue(name)
        # Its own peer's address through the tunnel is what a client else takes for a mistake.
        lines = [TO_INTERNET, f"route {OUTSIDE} 255.255.255.255", "allow-recursive-routing", *EXTRA]
        settings = ClientSettings(setting.authority.pem, identity, OUTSIDE, static_key=setting.key, extra=lines)
        client = stack.enter_context(OpenvpnClient(spaces, name, settings, folder)).connected()
        clients.append((spaces.full(name), client.address))
    return Side("hognose", GATEWAY, OUTSIDE, (clients[0], clients[1]), spaces.full("inet"), _narrower(spaces, "host"))


def _narrower(spaces: Namespaces, name: str) -> Callable[[int], None]:
    def narrow(mtu: int) -> None:
        spaces.run(name, "ip", "link", "set", "eth1", "mtu", str(mtu))

    return narrow


@pytest.fixture(scope="module")
def ours(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    with ExitStack() as stack:
        yield started(topology, tmp_path_factory.mktemp("ours"), stack)


@pytest.fixture(scope="module")
def linux(topology: Topology, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    with Namespaces("hn-natk", ("kbox", "k1", "k2")) as spaces:
        inet = topology.namespaces.full("inet")
        spaces.run("kbox", "ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth9", "netns", inet)
        spaces.run("kbox", "ip", "addr", "add", f"{CONTROL}/24", "dev", "eth1")
        spaces.run("kbox", "ip", "link", "set", "eth1", "up")
        topology.namespaces.run("inet", "ip", "addr", "add", "203.0.113.1/24", "dev", "eth9")
        topology.namespaces.run("inet", "ip", "link", "set", "eth9", "up")
        spaces.run("kbox", "ip", "route", "add", "default", "via", "203.0.113.1")
        for number, name in enumerate(("k1", "k2"), 1):
            spaces.veth("kbox", f"to{number}", name, "eth0")
            spaces.run("kbox", "ip", "addr", "add", f"192.168.{number}.1/24", "dev", f"to{number}")
            spaces.run("kbox", "ip", "link", "set", f"to{number}", "mtu", str(TUN_MTU))
            spaces.run(name, "ip", "addr", "add", f"192.168.{number}.2/24", "dev", "eth0")
            spaces.run(name, "ip", "link", "set", "eth0", "mtu", str(TUN_MTU))
            spaces.run(name, "ip", "route", "add", "default", "via", f"192.168.{number}.1")
        _no_limits_of_icmp(spaces, ("kbox", "k1", "k2"))
        spaces.run("kbox", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        spaces.run("kbox", "nft", "add", "table", "ip", "nat")
        chain = "{ type nat hook postrouting priority 100 ; }"
        spaces.run("kbox", "nft", "add", "chain", "ip", "nat", "postrouting", chain)
        spaces.run("kbox", "nft", "add", "rule", "ip", "nat", "postrouting", "oifname", "eth1", "masquerade")
        listening = Process(
            spaces.command("kbox", "python3", "-u", "-c", _LISTEN), tmp_path_factory.mktemp("control") / "listen.log"
        )
        try:
            listening.wait_for("ready")
            clients = ((spaces.full("k1"), "192.168.1.2"), (spaces.full("k2"), "192.168.2.2"))
            yield Side("linux", "192.168.1.1", CONTROL, clients, inet, _narrower(spaces, "kbox"))
        finally:
            listening.stop()


_LISTEN = f"""
import socket
listener = socket.create_server(("0.0.0.0", {LISTENING_PORT}))
print("ready")
while True:
    listener.accept()[0].close()
"""


@pytest.fixture(scope="module")
def control(pytestconfig: pytest.Config) -> Iterator[dict[str, str]]:
    """Answers of the control, by probe; printed at the end."""
    found: dict[str, str] = {}
    yield found
    failed = {name: text for name, text in found.items() if text}
    lines = [f"\nLinux masquerade passes {len(found) - len(failed)} of {len(found)} probes; not these:"]
    lines += [f"  {name}: {' '.join(text.split())[:90]}" for name, text in failed.items()]
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n".join(lines))


def test_endpoint_independent_filtering(topology: Topology, tmp_path: Path) -> None:
    """--nat-filtering=endpoint-independent: a stranger comes in, and gets an answer.

    It stands before the verdicts, whose server keeps the interface until the end.
    """
    with ExitStack() as stack:
        side = started(topology, tmp_path, stack, "--nat-filtering=endpoint-independent")
        with side.udp() as host, side.udp(0) as inside, side.udp(None, 0, INTERNET_2) as stranger:
            outside = mapped(inside, host)
            stranger.sendto(b"hello", (OUTSIDE, outside))
            data, sender = inside.recvfrom(100)
            assert (data, sender) == (b"hello", stranger.getsockname())
            inside.sendto(b"hello yourself", sender)
            assert stranger.recvfrom(100) == (b"hello yourself", (OUTSIDE, outside))


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_verdict(probe: Callable[[Side], None], ours: Side, linux: Side, control: dict[str, str]) -> None:
    control[probe.__name__] = verdict(probe, linux)
    assert verdict(probe, ours) == ""
