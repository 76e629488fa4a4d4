"""Place of the probes: the server under test and Linux's TCP on one link, and a raw socket beside them.

    the server 10.0.0.2 [host] tap0 --- br0 --- eth0 [wire], which plays 10.0.0.1 and all others
                                     |
                                     +--- eth0 10.0.0.3 [linux]

No kernel on the link takes an offload, so that what leaves has its checksums and what comes in is looked at.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from scapy.layers.inet import IP, TCP
from tests.probes.peer import Peer, Target
from tests.probes.probe import Probe
from tests.world.frames import Segment
from tests.world.namespaces import Namespaces
from tests.world.processes import Process
from tests.world.topology import TAP
from tests.world.wire import Host, Wire

OURS, LINUX = "hognose", "linux"
ADDRESSES = {OURS: "10.0.0.2", LINUX: "10.0.0.3"}
PORT = 1194
ARGUMENTS = ["--ipv4=10.0.0.2/22", "--ipv4-gateway=10.0.0.1"]
ROUTER_MAC = bytes.fromhex("020000000001")
FLIGHT = 4096  # bytes that the control answers a control message with
_NETS = {OURS: 1, LINUX: 2}  # third byte of the phantoms' addresses
AT_ONCE = 40  # probes that wait together; most do nothing else
_NO_OFFLOADS = "rx off tx off sg off tso off gso off gro off"
_FILTERS = ("iptables", "ip6tables", "arptables")
_NO_IPV6 = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
_SYSCTLS = (
    "net.ipv4.tcp_syncookies=1",
    "net.ipv4.tcp_synack_retries=4",
    "net.ipv4.tcp_rfc1337=1",
    "net.ipv4.tcp_mtu_probing=1",
    "net.ipv4.tcp_max_syn_backlog=256",
    "net.ipv4.tcp_rmem=4096 131072 6291456",
    "net.ipv4.conf.all.rp_filter=1",
    "net.ipv4.conf.eth0.rp_filter=1",
    "net.ipv4.icmp_ratelimit=0",
)


class Place:
    """The link, up; a context manager. The server under test is the caller's."""

    def __init__(self, prefix: str, folder: Path) -> None:
        self.namespaces = Namespaces(prefix, ("host", "wire", "linux"))
        self._folder = folder
        self._wire: Wire | None = None
        self._listening: Process | None = None

    def __enter__(self) -> Place:
        spaces = self.namespaces.__enter__()
        try:
            self._build(spaces)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._wire is not None:
            self._wire.__exit__()
        if self._listening is not None:
            self._listening.stop()
        self.namespaces.remove()

    def _build(self, spaces: Namespaces) -> None:
        for name in spaces.names:
            spaces.run(name, "sysctl", "-qw", *_NO_IPV6)
        spaces.run("host", "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        # The packet filter's look at bridged packets would drop broken ones on the way.
        spaces.run("host", "sysctl", "-qw", *(f"net.bridge.bridge-nf-call-{one}=0" for one in _FILTERS), check=False)
        spaces.run("host", "ip", "link", "set", "br0", "up")
        spaces.run("host", "ip", "tuntap", "add", TAP, "mode", "tap")
        spaces.run("host", "ip", "link", "set", TAP, "txqueuelen", "5000")  # a flood fits
        for name in ("wire", "linux"):
            spaces.veth("host", name, name, "eth0")
        for port in (TAP, "wire", "linux"):
            spaces.run("host", "ip", "link", "set", port, "master", "br0", "up")
        for where, interface in (("host", "wire"), ("host", "linux"), ("wire", "eth0"), ("linux", "eth0")):
            spaces.run(where, "ethtool", "-K", interface, *_NO_OFFLOADS.split())
        spaces.run("linux", "ip", "addr", "add", f"{ADDRESSES[LINUX]}/22", "dev", "eth0")
        spaces.run("linux", "ip", "route", "add", "default", "via", "10.0.0.1")
        spaces.run("linux", "sysctl", "-qw", *_SYSCTLS)
        script = Path(__file__).with_name("linux_server.py")
        words = (sys.executable, str(script), ADDRESSES[LINUX], str(PORT), str(FLIGHT))
        self._listening = Process(spaces.command("linux", *words), self._folder / "linux.log")
        self._listening.wait_for("ready")
        self._wire = Wire(spaces.full("wire"), "eth0").__enter__()
        self.router = self._wire.join("10.0.0.1", ROUTER_MAC)

    @property
    def wire(self) -> Wire:
        """The raw socket."""
        assert self._wire is not None
        return self._wire

    def target(self, name: str) -> Target:
        """The server of this name; its MAC is asked for."""
        return Target(name, ADDRESSES[name], self.wire.resolve(self.router, ADDRESSES[name]), PORT)

    def peer(self, net: int, number: int, target: Target) -> Peer:
        """A phantom of its own for one probe at one target."""
        host = self.wire.join(f"10.0.{net}.{number + 10}", bytes((2, 0, 0, 1, net, number + 10)))
        return Peer(self.wire, host, target, self.router)


class Runs:
    """Probes at our server and at the control: all at once, those that must be alone afterwards.

    Each runs once, and what it finds is its verdict, the control's as ours: a question that was not answered is one.
    """

    def __init__(self, place: Place, probes: list[Probe], at_once: int) -> None:
        self._place = place
        self._numbers = {probe.name: number for number, probe in enumerate(probes)}
        self._targets = {name: place.target(name) for name in (OURS, LINUX)}
        self._pools = {OURS: ThreadPoolExecutor(at_once), LINUX: ThreadPoolExecutor(AT_ONCE)}
        self._found: dict[tuple[str, str], Future[str]] = {}
        for probe in sorted(probes, key=lambda one: not one.long):
            if not probe.alone:
                for name in (LINUX, OURS):
                    self._start(probe, name)

    def _start(self, probe: Probe, name: str) -> Future[str]:
        peer = self._place.peer(_NETS[name], self._numbers[probe.name], self._targets[name])
        future = self._found[probe.name, name] = self._pools[name].submit(_verdict, probe, peer)
        return future

    def verdict(self, probe: Probe, name: str) -> str:
        """Result of a probe; also what is wrong with any packet that it had."""
        running = self._found.get((probe.name, name))
        if running is None:  # one that must be alone
            for future in self._found.values():
                future.result()
            running = self._start(probe, name)
        return running.result()

    def stop(self) -> None:
        """Wait for what still runs."""
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)


def _verdict(probe: Probe, peer: Peer) -> str:
    return probe.verdict(peer) + spoiled(peer.host)


def spoiled(host: Host) -> str:
    """Findings of a second reader (scapy) in the TCP packets that a host had: their checksums."""
    for frame in host.raw:
        packet = IP(frame[14:])
        if TCP not in packet:
            continue
        again = IP(frame[14:])
        del again.chksum, again[TCP].chksum
        again = IP(bytes(again))
        if (again.chksum, again[TCP].chksum) != (packet.chksum, packet[TCP].chksum):
            return f"; scapy sums another packet: {frame.hex()}"
    wrong = [one.wrong for one in host.inbox if isinstance(one, Segment) and one.wrong]
    return f"; {wrong[0]}" if wrong else ""
