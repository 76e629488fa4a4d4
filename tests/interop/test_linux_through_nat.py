"""Two Linux stacks talk through hognose.nat and hognose.ip: the kernel is the judge of every checksum (needs root).

client namespace --tun--> [ NAT in this process ] --tap, vnet header, GSO--> outside namespace
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from tests.world import lossy_bridge
from tests.world.namespaces import own

from hognose.address import parse_ipv4
from hognose.device.tap import IFF_NO_PI, TUNSETIFF, TapDevice, open_tap
from hognose.drops import Counters, DropReason, Stat
from hognose.ip.fragments import Reassembler, fragment
from hognose.ip.icmp_errors import build_error
from hognose.ip.mss import clamp
from hognose.ip.offload import lower
from hognose.limits import IpLimits, NatLimits
from hognose.link import L3_OFFSET, LinkCaps, Outgoing
from hognose.nat.nat import Nat
from hognose.wire import icmpv4, ipv4, virtio_net

CLIENT_NS, OUTSIDE_NS = (f"{own('hn-linat')}-{side}" for side in ("client", "outside"))
CLIENT, OUTSIDE, SERVER = "10.8.0.2", "10.0.0.2", "10.0.0.1"
CLIENT_NAME = parse_ipv4("10.8.0.2")
TUNNEL_GATEWAY = parse_ipv4("10.8.0.1")
TUN_MTU, LINK_MTU = 1400, 1500
OUR_MAC = bytes.fromhex("020000000042")
IFF_TUN = 1
MEGABYTES = 24

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Gateway(threading.Thread):
    """The data path of a gateway with one client and no tunnel: what it reads from the tun is an inner packet."""

    def __init__(self, tun: int, tap: TapDevice, server_mac: bytes, caps: LinkCaps, counters: Counters) -> None:
        super().__init__(daemon=True)
        self.tun, self.tap, self.caps, self.counters = tun, tap, caps, counters
        self.ethernet = server_mac + OUR_MAC + b"\x08\x00"
        self.stopping = False
        self.largest_in = self.largest_out = 0
        self.errors: list[BaseException] = []
        self.inner = Reassembler(IpLimits(), counters)
        self.outer = Reassembler(IpLimits(), counters)
        self.nat = Nat(
            address=parse_ipv4(OUTSIDE),
            reserved_ports=frozenset({(6, 1194), (6, 45_000), (17, 45_000)}),
            limits=NatLimits(),
            random=os.urandom,
            counters=counters,
        )

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.tun, select.POLLIN)
        poll.register(self.tap.fd, select.POLLIN)
        try:
            while not self.stopping:
                poll.poll(100)
                now = time.monotonic_ns()
                self.from_client(self.read_tun(), now)
                for frame in self.tap.read_batch():
                    self.from_outside(frame, now)
        except BaseException as error:
            self.errors.append(error)

    def read_tun(self) -> list[bytes]:
        packets = []
        try:
            for _ in range(64):
                packets.append(os.read(self.tun, 65536))
        except BlockingIOError:
            pass
        return packets

    def to_client(self, packet: bytes) -> None:
        for piece in fragment(packet, TUN_MTU):
            os.write(self.tun, piece)

    def from_client(self, packets: list[bytes], now: int) -> None:
        out: list[Outgoing] = []
        for packet in self.nat.outbound(CLIENT_NAME, packets, now, out):
            parsed = ipv4.parse(packet, 0, len(packet))
            if isinstance(parsed, DropReason):
                continue  # IPv6 of the client's kernel
            whole: bytes | DropReason | None = packet
            if parsed[3] & ipv4.FRAGMENTED:
                whole = self.inner.receive(packet, 0, parsed[1], now)
            if not isinstance(whole, bytes):
                continue
            reason = self.nat.open_outbound(CLIENT_NAME, clamp(whole, TUN_MTU - 40), now, out)
            if reason is not None:
                self.counters.drop(reason)
            if reason is DropReason.TTL_EXCEEDED:
                error = build_error(whole, source=TUNNEL_GATEWAY, icmp_type=icmpv4.TIME_EXCEEDED, code=0)
                assert error is not None
                self.to_client(error)
        for _, vnet, pieces in lower(out, self.caps):
            self.largest_out = max(self.largest_out, sum(map(len, pieces)))
            if vnet == virtio_net.PLAIN:
                for piece in fragment(b"".join(pieces), LINK_MTU):
                    self.tap.write_batch([[vnet, self.ethernet, piece]])
            else:
                self.tap.write_batch([[vnet, self.ethernet, *pieces]])

    def from_outside(self, frame: bytes, now: int) -> None:
        if frame[12:18] != OUR_MAC or frame[24:26] != b"\x08\x00":
            return
        flags, gso_type, _, gso_size, *_ = virtio_net.HEADER.unpack_from(frame)
        parsed = ipv4.parse(frame, L3_OFFSET, len(frame))
        assert isinstance(parsed, tuple)
        l4, end, protocol, word, _, _ = parsed
        l3 = L3_OFFSET
        if word & ipv4.FRAGMENTED:
            whole = self.outer.receive(frame, l3, end, now)
            if not isinstance(whole, bytes):
                return
            frame, l3, l4, end, flags, gso_type = whole, 0, 20, len(whole), 0, 0
        if protocol == ipv4.ICMP and frame[l4] not in (icmpv4.ECHO_REPLY, icmpv4.ECHO_REQUEST):
            error = self.nat.inbound_error(frame, l3, end, now)
            if isinstance(error, DropReason):
                self.counters.drop(error)
            else:
                self.to_client(error[1])
            return
        partial = bool(flags & virtio_net.F_NEEDS_CSUM)
        result = self.nat.inbound(frame, l3, end, gso_size if gso_type else 0, partial, now)
        if isinstance(result, DropReason):
            self.counters.drop(result)
            return
        self.largest_in = max(self.largest_in, end - l3)
        for packet in result[1]:
            self.to_client(packet)


@pytest.fixture(params=["offloads", "plain frames"])
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    offloads = request.param == "offloads"
    counters = Counters()
    for netns in (CLIENT_NS, OUTSIDE_NS):
        ip("netns", "add", netns)
    tap = tun = None
    try:
        with lossy_bridge.inside(CLIENT_NS):
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"natc", IFF_TUN | IFF_NO_PI))
        with lossy_bridge.inside(OUTSIDE_NS):
            tap = open_tap("/dev/net/tun:nato", counters, mac=OUR_MAC, offloads=offloads)
        ip("-n", CLIENT_NS, "addr", "add", f"{CLIENT}/24", "dev", "natc")
        ip("-n", CLIENT_NS, "link", "set", "natc", "mtu", str(TUN_MTU), "up")
        ip("-n", CLIENT_NS, "route", "add", "default", "dev", "natc")
        ip("-n", OUTSIDE_NS, "addr", "add", f"{SERVER}/24", "dev", "nato")
        ip("-n", OUTSIDE_NS, "link", "set", "nato", "up")
        mac = OUR_MAC.hex(":")
        ip("-n", OUTSIDE_NS, "neigh", "add", OUTSIDE, "lladdr", mac, "dev", "nato", "nud", "permanent")
        show = ["ip", "netns", "exec", OUTSIDE_NS, "cat", "/sys/class/net/nato/address"]
        server_mac = bytes.fromhex(subprocess.check_output(show, text=True).strip().replace(":", ""))
        caps = LinkCaps(OUR_MAC, tx_csum=offloads, tx_tso4=offloads)
        thread = Gateway(tun, tap, server_mac, caps, counters)
        thread.start()
        yield thread
        thread.stopping = True
        thread.join(10)
        assert thread.errors == []
    finally:
        if tap is not None:
            tap.close()
        if tun is not None:
            os.close(tun)
        for netns in (CLIENT_NS, OUTSIDE_NS):
            subprocess.run(["ip", "netns", "del", netns], check=False, capture_output=True)


def sock(netns: str, kind: int, bind: tuple[str, int] | None = None) -> socket.socket:
    with lossy_bridge.inside(netns):
        made = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP if kind == socket.SOCK_RAW else 0)
    made.settimeout(20)
    if bind:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(bind)
    return made


def nstat(netns: str, *names: str) -> dict[str, int]:
    """Counters of a namespace's kernel."""
    command = ["ip", "netns", "exec", netns, "cat", "/proc/net/snmp"]
    lines = subprocess.check_output(command, text=True).splitlines()
    table: dict[str, int] = {}
    for keys, values in zip(lines[::2], lines[1::2], strict=True):
        proto, *words = keys.split()
        table.update({proto[:-1] + word: int(value) for word, value in zip(words, values.split()[1:], strict=True)})
    return {name: table[name] for name in names}


def transfer(sender: socket.socket, receiver: socket.socket, data: bytes) -> None:
    """Send and receive everything; the digests are equal."""

    def send() -> None:
        sender.sendall(data)
        sender.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    digest = hashlib.sha256()
    while chunk := receiver.recv(1 << 18):
        digest.update(chunk)
    thread.join()
    assert digest.digest() == hashlib.sha256(data).digest()


def test_bulk_both_ways(gateway: Gateway) -> None:
    data = random.Random(1).randbytes(MEGABYTES << 20)
    with sock(OUTSIDE_NS, socket.SOCK_STREAM, (SERVER, 8000)) as listener:
        listener.listen()
        for upload in (True, False):
            # a port that the NAT does not preserve, and one that it does
            with sock(CLIENT_NS, socket.SOCK_STREAM, (CLIENT, 45_000 + (not upload))) as client:
                client.connect((SERVER, 8000))
                server, peer = listener.accept()
                with server:
                    assert peer[0] == OUTSIDE
                    assert (peer[1] == 45_001) == (not upload)
                    transfer(*((client, server) if upload else (server, client)), data)
    for netns in (CLIENT_NS, OUTSIDE_NS):
        assert set(nstat(netns, "TcpInErrs", "IpInHdrErrors").values()) == {0}
    if gateway.caps.tx_tso4:
        assert gateway.largest_out > 20_000
        assert gateway.largest_in > 20_000
    assert gateway.counters.drops[DropReason.NAT_FILTERED] == 0


@pytest.mark.parametrize("size", [0, 1, 1372, 1373, 3001, 20_000])
def test_udp_of_every_size(gateway: Gateway, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with (
        sock(OUTSIDE_NS, socket.SOCK_DGRAM, (SERVER, 9000)) as server,
        sock(CLIENT_NS, socket.SOCK_DGRAM, (CLIENT, 45_000)) as client,
    ):
        for _ in range(3):  # slow path, hot path
            client.sendto(data, (SERVER, 9000))
            received, peer = server.recvfrom(65536)
            assert received == data
            assert peer[0] == OUTSIDE
            assert peer[1] % 2 == 0
            assert peer[1] != 45_000
            server.sendto(received[::-1], peer)
            assert client.recv(65536) == data[::-1]
    assert nstat(CLIENT_NS, "UdpInErrors") == nstat(OUTSIDE_NS, "UdpInErrors") == {"UdpInErrors": 0}


def test_a_stranger_does_not_come_in(gateway: Gateway) -> None:
    with (
        sock(OUTSIDE_NS, socket.SOCK_DGRAM, (SERVER, 9000)) as server,
        sock(OUTSIDE_NS, socket.SOCK_DGRAM, (SERVER, 9001)) as stranger,
        sock(CLIENT_NS, socket.SOCK_DGRAM) as client,
    ):
        client.sendto(b"hello", (SERVER, 9000))
        _, peer = server.recvfrom(100)
        stranger.sendto(b"evil", peer)
        server.sendto(b"good", peer)
        assert client.recv(100) == b"good"
    assert gateway.counters.drops[DropReason.NAT_FILTERED] == 1


def test_errors_reach_the_socket_that_caused_them(gateway: Gateway) -> None:
    with (
        sock(OUTSIDE_NS, socket.SOCK_DGRAM, (SERVER, 9000)) as server,
        sock(CLIENT_NS, socket.SOCK_DGRAM, (CLIENT, 45_000)) as client,
    ):
        client.connect((SERVER, 9009))  # no service is there
        client.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(100)
        # The other direction: the client's socket is gone, its kernel complains to the server's socket.
        client.connect((SERVER, 9000))
        client.send(b"bye")
        _, peer = server.recvfrom(100)
        server.connect(peer)
        client.close()
        server.send(b"still there?")
        with pytest.raises(ConnectionRefusedError):
            server.recv(100)
    assert nstat(CLIENT_NS, "IcmpInErrors", "IcmpInCsumErrors") == {"IcmpInErrors": 0, "IcmpInCsumErrors": 0}
    assert nstat(OUTSIDE_NS, "IcmpInErrors", "IcmpInCsumErrors") == {"IcmpInErrors": 0, "IcmpInCsumErrors": 0}


@pytest.mark.parametrize("size", [0, 56, 1372, 4000])
def test_echo(gateway: Gateway, size: int) -> None:
    data = random.Random(size).randbytes(size)
    with sock(CLIENT_NS, socket.SOCK_RAW) as client:
        for sequence in range(3):
            client.sendto(icmpv4.build(icmpv4.ECHO_REQUEST, 0, 77 << 16 | sequence, data), (SERVER, 0))
            reply, sender = client.recvfrom(65536)
            assert sender[0] == SERVER
            assert reply[20:] == icmpv4.build(icmpv4.ECHO_REPLY, 0, 77 << 16 | sequence, data)
    assert gateway.nat.flows == 1


def test_ttl_one_is_answered_by_the_tunnel_gateway(gateway: Gateway) -> None:
    with sock(CLIENT_NS, socket.SOCK_RAW) as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        client.sendto(icmpv4.build(icmpv4.ECHO_REQUEST, 0, 5, b"data"), (SERVER, 0))
        answer, sender = client.recvfrom(1000)
    assert sender[0] == "10.8.0.1"
    assert answer[20] == icmpv4.TIME_EXCEEDED
    assert answer[28 + 12 : 28 + 20] == socket.inet_aton(CLIENT) + socket.inet_aton(SERVER)
    assert gateway.counters.stats[Stat.NAT_FLOWS_OPENED] == 0
