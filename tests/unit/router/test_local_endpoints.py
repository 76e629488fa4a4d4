"""Servers of ours besides the VPN's: by themselves, and in a whole gateway, on the NIC and in the tunnel."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet
from tests.sim.reference_peer import PeerSettings, ReferencePeer
from tests.sim.segments import build, ipv4_int, parse
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, OUTSIDE, START, GatewayWorld, Remote

from hognose.address import Endpoint, parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.limits import TcpLimits, UdpLimits
from hognose.router.local_endpoints import LocalEndpoints
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer
from hognose.udp.endpoint import Datagram, UdpEndpoint

ONE, OTHER = object(), object()
ENDPOINTS = LocalEndpoints(tcp={80: ONE, 0x1234: OTHER})  # type: ignore[dict-item]  # names in place of servers
SENT = bytes(IP(src="10.8.0.1", dst="10.8.0.2") / TCP(sport=80, dport=0x1234))


def test_ports() -> None:
    assert ENDPOINTS.ports == {(6, 80), (6, 0x1234)}
    assert LocalEndpoints().ports == frozenset()


@pytest.mark.parametrize(
    ("quoted", "found"),
    [
        (SENT, ONE),
        (SENT[:28], ONE),
        (SENT[:27], None),
        (b"", None),
        (bytes(IP() / TCP(sport=0x1234)), OTHER),
        (bytes(IP() / TCP(sport=81, dport=80)), None),
        (bytes(IP() / UDP(sport=80)), None),
        (b"\x65" + SENT[1:], None),
        (bytes(IP(options=[b"\1\1\1\0"]) / TCP(sport=80)), ONE),
        (b"\x4f" + SENT[1:29], None),  # options up to beyond the end
        (b"\x47" + SENT[1:20] + bytes(8) + b"\0\x50", ONE),  # options that leave room for the port
        (b"\x47" + SENT[1:20] + bytes(8) + b"\0", None),
        (b"\x47" + SENT[1:20] + bytes(8), None),
    ],
)
def test_the_sender_of_a_quoted_packet(quoted: bytes, found: object) -> None:
    assert ENDPOINTS.tcp_sender(quoted) is found


# -- in a whole gateway ------------------------------------------------------------------------------------------------


def web_server(address: str, port: int, mtu: int = 1500) -> TcpServer:
    return TcpServer(
        address=parse_ipv4(address), port=port, mtu=mtu, limits=TcpLimits(), secret=bytes(32), now=START, random=bytes,
        counters=Counters(),
    )  # fmt: skip


def name_server(address: str) -> UdpEndpoint:
    return UdpEndpoint(address=parse_ipv4(address), port=5353, limits=UdpLimits(), random=bytes, counters=Counters())


class Browser:
    """A TCP client of alice's inside the tunnel: the simulation's, which shares no code with hognose."""

    def __init__(self, alice: Remote, request: bytes) -> None:
        self.alice = alice
        self.world = alice.world
        self.peer = ReferencePeer(PeerSettings(mss=1300), request)
        self.peer.connect(self.world.now)

    def exchange(self) -> int:
        """Send what the peer has to send; the number of segments that came back."""
        source = ipv4_int(self.alice.tunnel_address)
        out, self.peer.out = self.peer.out, []
        came = self.alice.inner(*[IP(build(one, source, 5000, ipv4_int(GATEWAY), 80)) for one in out])
        for packet in came:
            assert (packet.src, packet.dst, whole(packet)) == (GATEWAY, self.alice.tunnel_address, True)
            self.peer.receive(parse(bytes(packet)), self.world.now)
        return len(came)

    def settle(self) -> None:
        """Until neither side has more to say."""
        for _ in range(400):
            came = self.exchange()
            if not came and not self.peer.out:
                return
            self.world.rest(0.01)
            due = self.peer.next_deadline()
            if due is not None and due <= self.world.now:
                self.peer.handle_deadline(self.world.now)
        raise AssertionError("the exchange does not come to rest")


def whole(packet: Packet) -> bool:
    """True for a packet whose checksums are right, as scapy makes them."""
    again = packet.copy()
    del again.chksum, again.payload.chksum
    return bytes(IP(bytes(again))) == bytes(packet)


def test_a_second_tcp_server_answers_in_the_tunnel() -> None:
    """SYN, data, and FIN of both sides, with an answer of many segments."""
    server = web_server(GATEWAY, 80)
    world = GatewayWorld(tunnel_endpoints=LocalEndpoints(tcp={80: server}))
    alice, answer = world.client("alice"), bytes(range(256)) * 400
    browser = Browser(alice, b"GET / HTTP/1.0\r\n\r\n")
    browser.settle()
    [conn] = server.accepted()
    assert server.readable() == [conn]
    assert (b"".join(conn.take()), conn.eof) == (b"GET / HTTP/1.0\r\n\r\n", True)
    conn.write([answer])
    conn.close(world.now)
    browser.settle()
    assert bytes(browser.peer.received) == answer
    assert browser.peer.finished
    world.rest(1)
    assert server.closed() == [conn]
    assert alice.inner(IP(src=alice.tunnel_address, dst=GATEWAY) / ICMP() / b"still here")[0][ICMP].type == 0
    assert (world.outside, world.dropped(DropReason.INTERNAL_ERROR)) == ([], 0)


def test_a_timer_of_a_server_in_the_tunnel_runs() -> None:
    """Segments without an acknowledgement are sent again; those for a client that has gone are dropped and counted."""
    server = web_server(GATEWAY, 80)
    world = GatewayWorld(tunnel_endpoints=LocalEndpoints(tcp={80: server}))
    alice = world.client("alice")
    browser = Browser(alice, b"q")
    browser.settle()
    [conn] = server.accepted()
    conn.write([b"answer"])
    world.rest(3)
    sent = [packet for packet in alice.take() if bytes(packet[TCP].payload) == b"answer"]
    assert len(sent) >= 2
    alice.abort()
    world.frames()
    world.rest(30)
    assert world.dropped(DropReason.CLIENT_GONE) > 0
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


@pytest.mark.parametrize("options", [[], [b"\1\1\1\0"]], ids=["plain", "options"])
def test_a_udp_endpoint_answers_on_the_nic(options: list[bytes]) -> None:
    endpoint = name_server(ADDRESS)
    world = GatewayWorld(link_endpoints=LocalEndpoints(udp={5353: endpoint}))
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, options=options) / UDP(sport=4000, dport=5353) / b"query")
    remote = Endpoint(parse_ipv4(OUTSIDE), 4000)
    assert endpoint.take() == [Datagram(remote, b"query")]
    endpoint.send(Datagram(remote, b"answer"))
    assert world.gateway.next_deadline() == 0
    world.frames()
    [sent] = world.outside
    assert (sent.src, sent.dst, sent[UDP].sport, sent[UDP].dport, whole(sent)) == (ADDRESS, OUTSIDE, 5353, 4000, True)
    assert bytes(sent[UDP].payload) == b"answer"
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=4000, dport=5354) / b"query")
    assert (endpoint.take(), world.dropped(DropReason.NAT_NO_MAPPING)) == ([], 1)


def test_a_udp_endpoint_answers_in_the_tunnel() -> None:
    endpoint = name_server(GATEWAY)
    world = GatewayWorld(tunnel_endpoints=LocalEndpoints(udp={5353: endpoint}))
    alice = world.client("alice")
    remote = Endpoint(parse_ipv4(alice.tunnel_address), 4000)
    assert alice.inner(IP(src=alice.tunnel_address, dst=GATEWAY) / UDP(sport=4000, dport=5353) / b"query") == []
    assert endpoint.take() == [Datagram(remote, b"query")]
    endpoint.send(Datagram(remote, bytes(2000)))
    world.frames()
    first, second = alice.take()
    assert (first.src, first.frag, second.frag > 0, len(first) <= 1500) == (GATEWAY, 0, True, True)
    [error] = alice.inner(IP(src=alice.tunnel_address, dst=GATEWAY) / UDP(sport=4000, dport=5354) / b"query")
    assert (error[ICMP].type, error[ICMP].code) == (3, 3)
    assert world.dropped(DropReason.PORT_CLOSED) == 1


def test_a_second_tcp_server_answers_on_the_nic_and_sends_again() -> None:
    server = web_server(ADDRESS, 80)
    world = GatewayWorld(link_endpoints=LocalEndpoints(tcp={80: server}))
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=4000, dport=80, seq=7, flags="S"))
    assert (world.outside[-1][TCP].flags, world.outside[-1][TCP].ack) == ("SA", 8)
    world.rest(4)
    assert [one[TCP].flags for one in world.outside].count("SA") >= 2
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=4001, dport=81, seq=7, flags="S"))
    assert world.dropped(DropReason.NAT_NO_MAPPING) == 1


def test_an_error_about_a_segment_goes_to_the_server_that_sent_it() -> None:
    server = web_server(GATEWAY, 80)
    world = GatewayWorld(tunnel_endpoints=LocalEndpoints(tcp={80: server}))
    alice = world.client("alice")
    browser = Browser(alice, b"q")
    browser.settle()
    [conn] = server.accepted()
    before = mss(conn)
    conn.write([bytes(5000)])
    world.frames()
    [*_, sent] = alice.take()
    alice.inner(IP(src=alice.tunnel_address, dst=GATEWAY) / ICMP(type=3, code=4, nexthopmtu=900) / bytes(sent)[:28])
    assert mss(conn) == 900 - 52 < before


def test_an_error_about_another_clients_segment_changes_nothing() -> None:
    """Bob knows what Alice was sent: he may not say how large her packets are to be."""
    server = web_server(GATEWAY, 80)
    world = GatewayWorld("client-to-client", tunnel_endpoints=LocalEndpoints(tcp={80: server}))
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    browser = Browser(alice, b"q")
    browser.settle()
    [conn] = server.accepted()
    before = mss(conn)
    conn.write([bytes(5000)])
    world.frames()
    [*_, sent] = alice.take()
    bob.inner(IP(src=bob.tunnel_address, dst=GATEWAY) / ICMP(type=3, code=4, nexthopmtu=900) / bytes(sent)[:28])
    assert mss(conn) == before


def mss(conn: TcpConnection) -> int:
    return conn._snd.mss


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_no_client_reaches_the_servers_of_the_nic(protocol: str) -> None:
    """As with the VPN's own port: ICMP 3/13, and no server is asked."""
    server, endpoint = web_server(ADDRESS, 80), name_server(ADDRESS)
    world = GatewayWorld(link_endpoints=LocalEndpoints(tcp={80: server}, udp={5353: endpoint}))
    alice = world.client("alice")
    head = TCP(sport=4000, dport=80, flags="S") if protocol == "tcp" else UDP(sport=4000, dport=5353)
    [error] = alice.inner(IP(src=alice.tunnel_address, dst=ADDRESS) / head)
    assert (error[ICMP].type, error[ICMP].code) == (3, 13)
    assert (len(server), server.next_deadline(), endpoint.take()) == (0, None, [])


@pytest.mark.parametrize("side", ["link", "tunnel"])
def test_ports_of_servers_are_never_ports_of_the_nat(side: str) -> None:
    """Alice's flows from these ports leave from others; without the servers they keep their ports."""
    endpoints = LocalEndpoints(tcp={8080: web_server(ADDRESS, 8080)}, udp={5353: name_server(ADDRESS)})
    for given, kept in (({}, True), ({f"{side}_endpoints": endpoints}, False)):
        world = GatewayWorld(**given)  # type: ignore[arg-type]  # either argument
        alice = world.client("alice")
        head = IP(src=alice.tunnel_address, dst=OUTSIDE)
        alice.inner(head / TCP(sport=8080, dport=80, flags="S"), head / UDP(sport=5353, dport=53) / b"q")
        tcp, udp = world.outside
        assert (tcp[TCP].sport == 8080, udp[UDP].sport == 5353) == (kept, kept)


def test_the_vpns_port_is_the_vpns() -> None:
    with pytest.raises(ValueError, match="1194"):
        GatewayWorld(link_endpoints=LocalEndpoints(tcp={1194: web_server(ADDRESS, 1194)}))
