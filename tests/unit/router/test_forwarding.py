"""Routing of inner packets: built and read by scapy, decided by the forwarder, with the real NAT and egress."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from hognose.address import Prefix, parse_ipv4
from hognose.destinations import Destinations, Reach
from hognose.drops import Counters, DropReason
from hognose.ip.fragments import Reassembler, fragment
from hognose.ip.icmp_errors import IcmpRates
from hognose.ip.neighbor import NeighborTable
from hognose.limits import IpLimits, NatLimits
from hognose.link import LinkCaps
from hognose.nat.nat import Nat
from hognose.router.egress import Egress
from hognose.router.forwarding import Forwarder
from hognose.router.icmp import TunnelIcmp
from hognose.router.local_endpoints import NO_ENDPOINTS
from hognose.units import SECOND

MAC = bytes.fromhex("020000000002")
HOP = bytes.fromhex("020000000001")
A, B, SERVER = parse_ipv4("10.8.0.2"), parse_ipv4("10.8.0.3"), parse_ipv4("10.8.0.1")
TUNNEL, UPLINK = Prefix.of(SERVER, 24), Prefix.of(parse_ipv4("10.0.0.2"), 24)
OUTSIDE = "198.51.100.7"
T0 = 1000 * SECOND


@dataclass
class World:
    """A forwarder and what stands around it."""

    client_to_client: bool = False
    link_mtu: int = 1500
    offloads: bool = True
    tun_mtu: int = 1500
    nat_limits: NatLimits = field(default_factory=NatLimits)
    destinations: Destinations | None = None

    def __post_init__(self) -> None:
        self.counters = Counters()
        limits = IpLimits()
        caps = LinkCaps(mac=MAC, mtu=self.link_mtu, tx_csum=self.offloads, tx_tso4=self.offloads)
        address = parse_ipv4("10.0.0.2")
        self.neighbors = NeighborTable(mac=MAC, address=address, limits=limits, counters=self.counters)
        self.egress = Egress(
            caps=caps,
            uplink=UPLINK,
            gateway=parse_ipv4("10.0.0.1"),
            neighbors=self.neighbors,
            counters=self.counters,
        )
        self.nat = Nat(
            address=address,
            reserved_ports=frozenset({(6, 1194)}),
            limits=self.nat_limits,
            random=lambda n: bytes(n),
            counters=self.counters,
        )
        self.forwarder = Forwarder(
            server=SERVER,
            tunnel=TUNNEL,
            clients={A: 1, B: 2},
            client_to_client=self.client_to_client,
            caps=caps,
            tun_mtu=self.tun_mtu,
            mss={A: 1300, B: 1300},
            nat=self.nat,
            reassembler=Reassembler(limits, self.counters),
            endpoints=NO_ENDPOINTS,
            icmp=TunnelIcmp(
                address=SERVER,
                tun_mtu=self.tun_mtu,
                endpoints=NO_ENDPOINTS,
                rates=IcmpRates(limits),
                counters=self.counters,
            ),
            counters=self.counters,
            destinations=self.destinations,
        )
        request = bytes(ARP(op=1, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2"))
        self.neighbors.receive(request, 0, T0)
        self.egress.take()

    def send(
        self, *packets: Packet, client: bytes = A, now: int = T0
    ) -> tuple[list[Packet], dict[bytes, list[Packet]]]:
        """Route packets; returns what left for the outside and what goes to clients."""
        raw = [bytes(packet) for packet in packets]
        routed = self.forwarder.from_client(client, raw, now)
        self.egress.send(routed.to_link, now)
        frames: list[Packet] = [Ether(b"".join(pieces)[12:]) for pieces in self.egress.take()]
        return frames, {to: [IP(packet) for packet in packets] for to, packets in routed.to_clients.items()}

    def dropped(self, reason: DropReason) -> int:
        return self.counters.drops[reason]


def test_outside_traffic_leaves_translated_to_the_gateway() -> None:
    world = World()
    [frame], inner = world.send(IP(src="10.8.0.2", dst=OUTSIDE, ttl=64) / UDP(sport=5000, dport=53) / b"q")
    assert inner == {}
    assert (frame.dst, frame.src) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (frame[IP].src, frame[IP].dst, frame[IP].ttl) == ("10.0.0.2", OUTSIDE, 63)
    assert (frame[UDP].dport, bytes(frame[UDP].payload)[:1]) == (53, b"q")


def test_a_syn_is_clamped() -> None:
    world = World()
    syn = IP(src="10.8.0.2", dst=OUTSIDE) / TCP(sport=5000, dport=80, flags="S", options=[("MSS", 1460)])
    [frame], _ = world.send(syn)
    assert dict(frame[TCP].options)["MSS"] == 1300


def test_the_gateway_answers_ping() -> None:
    world = World()
    _, inner = world.send(IP(src="10.8.0.2", dst="10.8.0.1") / ICMP(id=7, seq=3) / b"payload")
    [reply] = inner[A]
    assert (reply.src, reply.dst, reply[ICMP].type, reply[ICMP].id) == ("10.8.0.1", "10.8.0.2", 0, 7)
    assert reply[Raw].load == b"payload"
    assert bytes(IP(bytes(reply))) == bytes(reply)


def test_a_large_ping_is_reassembled_answered_and_fragmented_again() -> None:
    world = World()
    echo = bytes(IP(src="10.8.0.2", dst="10.8.0.1", id=9) / ICMP(id=7) / bytes(3000))
    replies: list[bytes] = []
    for piece in fragment(echo, 1500):
        replies += world.forwarder.from_client(A, [piece], T0).to_clients.get(A, [])
    assert [len(reply) for reply in replies] == [1500, 1500, 68]
    whole = Reassembler(IpLimits(), Counters())
    results = [whole.receive(reply, 0, len(reply), T0) for reply in replies]
    assert isinstance(results[-1], bytes)
    assert IP(results[-1])[Raw].load == bytes(3000)


@pytest.mark.parametrize(
    ("packet", "code"),
    [(UDP(sport=1, dport=2), 3), (TCP(sport=1, dport=22, flags="S"), 3), (Raw(b"x" * 20), 2)],
)
def test_other_traffic_to_the_gateway_is_refused(packet: Packet, code: int) -> None:
    world = World()
    _, inner = world.send(
        IP(src="10.8.0.2", dst="10.8.0.1", proto=packet.overload_fields.get(IP, {}).get("proto", 89)) / packet
    )
    [error] = inner[A]
    assert (error.src, error[ICMP].type, error[ICMP].code) == ("10.8.0.1", 3, code)
    assert world.dropped(DropReason.PORT_CLOSED) == 1


def test_a_bad_echo_and_an_echo_reply_to_the_gateway_are_only_counted() -> None:
    world = World()
    bad = bytearray(bytes(IP(src="10.8.0.2", dst="10.8.0.1") / ICMP() / b"ab"))
    bad[-1] ^= 1
    assert world.forwarder.from_client(A, [bytes(bad)], T0).to_clients == {}
    assert world.dropped(DropReason.BAD_ICMP_CHECKSUM) == 1
    _, inner = world.send(IP(src="10.8.0.2", dst="10.8.0.1") / ICMP(type=0))
    assert inner == {}


def test_between_clients_only_when_configured() -> None:
    packet = IP(src="10.8.0.2", dst="10.8.0.3", ttl=9) / UDP(sport=1, dport=2) / b"x"
    closed = World()
    frames, inner = closed.send(packet)
    assert frames == []
    assert (inner[A][0][ICMP].type, inner[A][0][ICMP].code) == (3, 13)
    assert closed.dropped(DropReason.CLIENT_TO_CLIENT_OFF) == 1
    open_world = World(client_to_client=True)
    _, inner = open_world.send(packet)
    assert (inner[B][0].src, inner[B][0].ttl) == ("10.8.0.2", 8)
    rebuilt = inner[B][0].copy()
    del rebuilt.chksum
    assert bytes(rebuilt) == bytes(inner[B][0])


def test_between_clients_unknown_address_and_ttl() -> None:
    world = World(client_to_client=True)
    _, inner = world.send(IP(src="10.8.0.2", dst="10.8.0.99") / UDP() / b"x")
    assert (inner[A][0][ICMP].type, inner[A][0][ICMP].code) == (3, 1)
    assert world.dropped(DropReason.NO_ROUTE) == 1
    _, inner = world.send(IP(src="10.8.0.2", dst="10.8.0.3", ttl=1) / UDP() / b"x")
    assert (inner[A][0][ICMP].type, inner[A][0].src) == (11, "10.8.0.1")
    assert world.dropped(DropReason.TTL_EXCEEDED) == 1


@pytest.mark.parametrize("source", ["10.8.0.3", "10.8.0.1", "198.51.100.9", "127.0.0.1", "0.0.0.0"])
def test_a_foreign_source_goes_nowhere(source: str) -> None:
    world = World(client_to_client=True)
    frames, inner = world.send(
        IP(src=source, dst=OUTSIDE) / UDP() / b"x", IP(src=source, dst="10.8.0.3") / UDP() / b"x"
    )
    assert (frames, inner) == ([], {})
    assert world.dropped(DropReason.WRONG_SOURCE) == 2


def test_what_is_no_ipv4_or_no_unicast_is_counted() -> None:
    world = World()
    frames, inner = world.send(
        IPv6(src="fe80::1", dst="ff02::2") / ICMPv6ND_RS(),
        Raw(b"\x00garbage"),
        Raw(b""),
        Raw(b"\x45\x00"),
        IP(src="10.8.0.2", dst="224.0.0.251") / UDP() / b"x",
        IP(src="10.8.0.2", dst="10.8.0.255") / UDP() / b"x",
        IP(src="10.8.0.2", dst="255.255.255.255") / UDP() / b"x",
    )
    assert (frames, inner) == ([], {})
    assert world.dropped(DropReason.IPV6_IN_TUNNEL) == 1
    assert world.dropped(DropReason.NOT_IP) == 2
    assert world.dropped(DropReason.BAD_IP_HEADER) == 1
    assert world.dropped(DropReason.MULTICAST) == 3


def uplink_rule(reach: Reach = Reach.ANYWHERE, *dns: str) -> Destinations:
    return Destinations(
        tunnel=Prefix.of(parse_ipv4("10.8.0.1"), 24),
        uplink=Prefix.of(parse_ipv4("10.0.0.2"), 24),
        router=parse_ipv4("10.0.0.1"),
        reach=reach,
        dns_servers=frozenset(map(parse_ipv4, dns)),
    )


def of_every_kind(to: str) -> list[Packet]:
    """A first packet of each protocol, one of a connection, and one that no protocol of the NAT is."""
    head = IP(src="10.8.0.2", dst=to)
    return [
        head / UDP(sport=5000, dport=80) / b"x",
        head / TCP(sport=5000, dport=80, flags="S"),
        head / TCP(sport=5000, dport=80, flags="PA") / b"GET /",
        head / ICMP(id=7, seq=1) / b"ping",
        head / Raw(b"gre-and-more-bytes"),
    ]


REFUSED = ["0.0.0.1", "127.0.0.1", "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "240.0.0.1"]


@pytest.mark.parametrize(
    ("to", "reach", "reason"),
    [(to, Reach.ANYWHERE, DropReason.MARTIAN) for to in REFUSED]
    + [("10.0.0.77", Reach.NOT_UPLINK, DropReason.DESTINATION_PROHIBITED)]
    + [("192.168.1.1", Reach.NOT_PRIVATE, DropReason.DESTINATION_PROHIBITED)],
)
def test_a_refused_destination_costs_no_flow_and_is_answered(to: str, reach: Reach, reason: DropReason) -> None:
    world = World(destinations=uplink_rule(reach))
    for round_ in (1, 2):  # the first packet and every further one
        for number, packet in enumerate(of_every_kind(to)):
            frames, inner = world.send(packet, now=T0 + (10 * round_ + number) * SECOND)
            assert frames == []
            [error] = inner[A]
            assert (error.src, error[ICMP].type, error[ICMP].code) == ("10.8.0.1", 3, 13)
            assert bytes(error[ICMP].payload)[16:20] == parse_ipv4(to)
        assert world.dropped(reason) == 5 * round_
    assert (world.nat.flows, len(world.neighbors.requests())) == (0, 0)


@pytest.mark.parametrize("to", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "10.0.0.255", "10.0.0.0", "10.8.0.0"])
def test_a_group_is_refused_without_an_answer(to: str) -> None:
    world = World(destinations=uplink_rule())
    assert world.send(*of_every_kind(to)) == ([], {})
    assert (world.dropped(DropReason.MULTICAST), world.nat.flows) == (5, 0)


@pytest.mark.stress
def test_runs_to_hosts_that_do_not_exist_hold_a_bounded_number_of_bytes() -> None:
    """20 addresses of the uplink, two super-segments of 44 packets to each: 2.4 MB sent, 1 MiB kept."""
    world = World()
    for number in range(3, 23):
        head = IP(src="10.8.0.2", dst=f"10.0.0.{number}", flags="DF")
        run = [head / TCP(sport=6000, dport=80, flags="A", seq=1 + index * 1360) / bytes(1360) for index in range(89)]
        assert world.send(run[0]) != ([], {})  # the ARP request
        world.send(*run[1:])
    waits = [pieces for entry in world.neighbors._entries.values() for _, _, pieces in entry.pending]
    held = sum(len(piece) for pieces in waits for piece in pieces)
    assert 900_000 < held < world.neighbors.pending_bytes <= 1024 * 1024
    assert max(len(pieces[0]) for pieces in waits) > 50_000
    assert world.dropped(DropReason.ARP_QUEUE_FULL) == 3 * 20 - len(waits)


def test_errors_about_refused_destinations_are_rate_limited() -> None:
    world = World()
    _, inner = world.send(*[IP(src="10.8.0.2", dst="127.0.0.1") / UDP(dport=9) / b"x"] * 30)
    assert len(inner[A]) == IpLimits().icmp_errors_per_client_per_second
    assert world.dropped(DropReason.MARTIAN) == 30


def test_an_error_of_a_client_to_a_refused_destination_is_dropped() -> None:
    """With endpoint-independent filtering an ICMP error could quote what never came (RFC 5508 REQ-5)."""
    world = World(nat_limits=NatLimits(endpoint_independent_filtering=True))
    world.send(IP(src="10.8.0.2", dst=OUTSIDE) / UDP(sport=5000, dport=9) / b"x")
    for source, left in ((OUTSIDE, 1), ("169.254.169.254", 0)):
        quoted = IP(src=source, dst="10.8.0.2") / UDP(sport=9, dport=5000) / b"12345678"
        frames, inner = world.send(IP(src="10.8.0.2", dst=source) / ICMP(type=3, code=3) / quoted)
        assert (len(frames), inner) == (left, {})
    assert world.dropped(DropReason.MARTIAN) == 1


@pytest.mark.parametrize(("to", "errors"), [("169.254.169.254", [1, 0, 0]), ("10.0.0.255", [0, 0, 0])])
def test_fragments_to_a_refused_destination_are_not_kept(to: str, errors: list[int]) -> None:
    """The first is answered, later ones never are (RFC 1122 section 3.2.2)."""
    world = World(destinations=uplink_rule())
    datagram = bytes(IP(src="10.8.0.2", dst=to, id=9) / UDP(sport=5000, dport=53) / bytes(3000))
    answers = [world.forwarder.from_client(A, [piece], T0).to_clients.get(A, []) for piece in fragment(datagram, 1500)]
    assert [len(found) for found in answers] == errors
    assert (world.egress.take(), world.nat.flows, world.forwarder.next_deadline()) == ([], 0, None)
    assert world.dropped(DropReason.MARTIAN) + world.dropped(DropReason.MULTICAST) == 3


def test_fragments_inside_the_tunnel_are_no_matter_of_the_rule() -> None:
    world = World(client_to_client=True, destinations=uplink_rule(Reach.NOT_PRIVATE))
    for to, receiver, lengths in (("10.8.0.3", B, [1500, 1500, 68]), ("10.0.0.2", A, [1500, 1500, 68])):
        datagram = bytes(IP(src="10.8.0.2", dst=to, id=9) / ICMP(id=7) / bytes(3000))
        inner: list[Packet] = []
        for piece in fragment(datagram, 1500):
            inner += world.send(IP(piece))[1].get(receiver, [])
        assert [len(packet) for packet in inner] == lengths


@pytest.mark.parametrize("server", ["169.254.169.254", "10.0.0.53"])
def test_a_pushed_name_server_answers_on_port_53_only(server: str) -> None:
    world = World(destinations=uplink_rule(Reach.NOT_UPLINK, server))
    request = bytes(ARP(op=1, hwsrc="02:00:00:00:00:01", psrc="10.0.0.53", pdst="10.0.0.2"))
    world.neighbors.receive(request, 0, T0)
    world.egress.take()
    head = IP(src="10.8.0.2", dst=server, id=3)
    for packet in (head / UDP(sport=5000, dport=53) / b"q", head / TCP(sport=5000, dport=53, flags="S")):
        frames, inner = world.send(packet)
        assert ([frame[IP].dst for frame in frames], inner) == ([server], {})
    large = bytes(head / UDP(sport=5001, dport=53) / bytes(3000))  # the port stands in the first fragment only
    frames = [frame for piece in reversed(fragment(large, 1500)) for frame in world.send(IP(piece))[0]]
    assert sum(len(frame[IP].payload) for frame in frames) == 3008
    assert world.nat.flows == 3
    for refused in of_every_kind(server):
        frames, inner = world.send(refused)
        assert (frames, inner[A][0][ICMP].code) == ([], 13)
    assert world.nat.flows == 3


def test_padding_behind_the_packet_is_cut() -> None:
    world = World()
    packet = bytes(IP(src="10.8.0.2", dst="10.8.0.1") / ICMP() / b"ab") + bytes(10)
    [reply] = world.forwarder.from_client(A, [packet], T0).to_clients[A]
    assert len(reply) == 30


def test_traceroute_sees_the_gateway() -> None:
    world = World()
    _, inner = world.send(IP(src="10.8.0.2", dst=OUTSIDE, ttl=1) / UDP(sport=1025, dport=33434) / b"x")
    [error] = inner[A]
    assert (error.src, error[ICMP].type, error[ICMP].code) == ("10.8.0.1", 11, 0)


def test_an_uplink_narrower_than_the_tunnel_is_told() -> None:
    world = World(link_mtu=1400)
    big = IP(src="10.8.0.2", dst=OUTSIDE, flags="DF") / UDP(sport=1025, dport=9) / bytes(1440)
    for _ in range(2):  # a flow known to the NAT makes no difference
        frames, inner = world.send(big)
        assert frames == []
        assert (inner[A][0][ICMP].type, inner[A][0][ICMP].code, inner[A][0][ICMP].nexthopmtu) == (3, 4, 1400)
        world.send(IP(src="10.8.0.2", dst=OUTSIDE) / UDP(sport=1025, dport=9) / b"small")
    big.flags = 0
    frames, inner = world.send(big)
    assert [len(bytes(frame)) for frame in frames] == [14 + 1396, 14 + 92]
    assert inner == {}


@pytest.mark.parametrize(("offloads", "mtu"), [(True, 1500), (False, 1500), (True, 576)])
def test_frames_are_counted_as_the_device_takes_them(offloads: bool, mtu: int) -> None:
    """A run of segments is one frame for a device that cuts it, and as many as it has segments for another one."""
    world = World(link_mtu=mtu, offloads=offloads)
    world.send(IP(src="10.8.0.2", dst=OUTSIDE) / TCP(sport=5000, dport=80, flags="S"))
    size = 1200 if mtu == 1500 else 400
    head = IP(src="10.8.0.2", dst=OUTSIDE, flags="DF")
    run = []
    for n in range(10):
        head.id = n
        segment = TCP(sport=5000, dport=80, ack=7, seq=1 + size * n, flags="A")
        run.append(bytes(head / segment / bytes(size)))
    to_link = world.forwarder.from_client(A, run, T0).to_link
    assert len(to_link) == 1
    promised = world.forwarder.frames(to_link)
    world.egress.send(to_link, T0)
    sent = len(world.egress.take())
    assert sent == (1 if offloads else 10)
    assert promised == (1 if offloads else 11)  # headers are counted with the payload


def test_a_full_nat_tells_the_client() -> None:
    world = World(nat_limits=NatLimits(flows=8, flows_per_client=2))
    for port in (2001, 2002):
        world.send(IP(src="10.8.0.2", dst=OUTSIDE) / UDP(sport=port, dport=9) / b"x")
    frames, inner = world.send(IP(src="10.8.0.2", dst=OUTSIDE) / UDP(sport=2003, dport=9) / b"x")
    assert frames == []
    assert (inner[A][0][ICMP].type, inner[A][0][ICMP].code) == (3, 13)
    assert world.dropped(DropReason.NAT_CLIENT_FULL) == 1


def test_what_the_nat_cannot_carry_is_refused() -> None:
    world = World()
    _, inner = world.send(IP(src="10.8.0.2", dst=OUTSIDE, proto=47) / b"gre-and-more-bytes")
    assert (inner[A][0][ICMP].type, inner[A][0][ICMP].code) == (3, 2)


def test_a_port_of_our_outside_address_that_is_nobodys_is_silent() -> None:
    world = World()
    for packet in (UDP(sport=2003, dport=9), TCP(sport=2003, dport=9, flags="S")):
        frames, inner = world.send(IP(src="10.8.0.2", dst="10.0.0.2") / packet)
        assert (frames, inner) == ([], {})
    assert world.dropped(DropReason.NAT_NO_MAPPING) == 2


def test_the_listening_port_is_refused_from_inside() -> None:
    world = World()
    frames, inner = world.send(IP(src="10.8.0.2", dst="10.0.0.2") / TCP(sport=2003, dport=1194, flags="S"))
    assert (frames, inner[A][0][ICMP].type, inner[A][0][ICMP].code) == ([], 3, 13)
    assert (world.dropped(DropReason.DESTINATION_PROHIBITED), world.nat.flows) == (1, 0)


def test_our_outside_address_answers_ping() -> None:
    world = World()
    _, inner = world.send(IP(src="10.8.0.2", dst="10.0.0.2") / ICMP(id=7, seq=3) / b"payload")
    [reply] = inner[A]
    assert (reply.src, reply.dst, reply[ICMP].type, reply[Raw].load) == ("10.0.0.2", "10.8.0.2", 0, b"payload")


def test_clients_meet_at_our_outside_address() -> None:
    world = World()
    ports = {}
    for client, source in ((A, "10.8.0.2"), (B, "10.8.0.3")):
        [frame], _ = world.send(IP(src=source, dst=OUTSIDE) / UDP(sport=5000, dport=53) / b"q", client=client)
        ports[client] = frame[UDP].sport
    frames, inner = world.send(IP(src="10.8.0.2", dst="10.0.0.2") / UDP(sport=5000, dport=ports[B]) / b"one")
    assert (frames, inner) == ([], {})
    assert world.dropped(DropReason.NAT_FILTERED) == 1
    big = IP(src="10.8.0.3", dst="10.0.0.2", id=4) / UDP(sport=5000, dport=ports[A]) / bytes(2000)
    frames, inner = world.send(*(IP(piece) for piece in fragment(bytes(big), 1400)), client=B)
    assert frames == []
    whole = Reassembler(IpLimits(), Counters())
    result = [whole.receive(bytes(piece), 0, len(piece), T0) for piece in inner[A]][-1]
    assert isinstance(result, bytes)
    arrived = IP(result)
    assert (arrived.src, arrived.sport, arrived.dst, arrived.dport) == ("10.0.0.2", ports[B], "10.8.0.2", 5000)
    assert arrived[Raw].load == bytes(2000)


def test_hairpin_of_what_ends_here_is_answered() -> None:
    world = World()
    _, inner = world.send(IP(src="10.8.0.2", dst="10.0.0.2", ttl=1) / UDP(sport=5000, dport=5001))
    assert (inner[A][0].src, inner[A][0][ICMP].type) == ("10.8.0.1", 11)


def test_icmp_errors_are_rate_limited() -> None:
    world = World()
    answers = 0
    for _ in range(50):
        _, inner = world.send(IP(src="10.8.0.2", dst="10.8.0.1") / UDP() / b"x")
        answers += len(inner.get(A, []))
    assert answers <= IpLimits().icmp_errors_per_client_per_second
    assert world.dropped(DropReason.ICMP_RATE_LIMITED) == 50 - answers
    _, inner = world.send(IP(src="10.8.0.2", dst="10.8.0.1", proto=47) / ICMP(type=3), now=T0)
    assert inner == {}


def test_an_incomplete_datagram_times_out_and_its_client_is_told() -> None:
    world = World()
    first = fragment(bytes(IP(src="10.8.0.2", dst=OUTSIDE, id=9) / UDP(sport=1, dport=2) / bytes(3000)), 1500)[0]
    assert world.forwarder.next_deadline() is None
    world.send(IP(first))
    deadline = world.forwarder.next_deadline()
    assert deadline is not None
    told = world.forwarder.expire(deadline).to_clients
    assert (IP(told[A][0])[ICMP].type, IP(told[A][0])[ICMP].code) == (11, 1)
    assert world.dropped(DropReason.FRAGMENT_TIMEOUT) == 1


def test_fragments_to_the_outside_leave_whole_or_fragmented() -> None:
    world = World()
    datagram = IP(src="10.8.0.2", dst=OUTSIDE, id=9) / UDP(sport=3001, dport=2) / bytes(3000)
    frames, _ = world.send(*[IP(piece) for piece in reversed(fragment(bytes(datagram), 1500))])
    assert sorted(frame[IP].frag for frame in frames) == [0, 185, 370]
    assert {frame[IP].src for frame in frames} == {"10.0.0.2"}
    overlapping = fragment(bytes(datagram), 1500)
    world.send(IP(overlapping[1]), IP(overlapping[1][:20] + b"\x01" * 1480))
    assert world.dropped(DropReason.FRAGMENT_OVERLAP) + world.dropped(DropReason.FRAGMENT_BAD) >= 1


def test_two_clients_with_the_same_id_are_kept_apart_at_the_receiver() -> None:
    """RFC 6864 section 5.3: behind one address the IDs of two clients' datagrams must not meet."""
    world = World()
    pieces = []
    for client, source in ((A, "10.8.0.2"), (B, "10.8.0.3")):
        datagram = IP(src=source, dst=OUTSIDE, id=9) / UDP(sport=3001, dport=2) / Raw(bytes([client[3]]) * 3000)
        frames, _ = world.send(*[IP(piece) for piece in fragment(bytes(datagram), 1500)], client=client)
        pieces.append([bytes(frame[IP]) for frame in frames])
    receiver = Reassembler(IpLimits(), Counters())
    results = [receiver.receive(piece, 0, len(piece), T0) for pair in zip(*pieces, strict=True) for piece in pair]
    payloads = {bytes(IP(whole)[UDP].payload)[-3000:] for whole in results if isinstance(whole, bytes)}
    assert payloads == {bytes([A[3]]) * 3000, bytes([B[3]]) * 3000}
