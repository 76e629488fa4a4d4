"""The gateway as a whole, frames in and frames out: clients come, use the tunnel, and go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP
from scapy.packet import Raw
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, OUTSIDE, GatewayWorld, query
from tests.unit.openvpn.client import OCC_EXIT, PING
from tests.world.pki import Authority

from hognose.address import parse_ipv4
from hognose.drops import DropReason, Stat
from hognose.errors import ConfigError
from hognose.gateway.assemble import Uplink, check_uplink
from hognose.limits import Limits
from hognose.units import KIB, SECOND

RESET = b"\x38" + bytes(range(1, 9)) + b"\0" + bytes(4)  # a client's hard reset without any wrap


def echo(source: str, destination: str) -> IP:
    return IP(src=source, dst=destination, ttl=64) / ICMP(id=7, seq=1) / b"ping"


def test_a_client_connects_and_pings_the_gateway() -> None:
    world = GatewayWorld()
    alice = world.client()
    [established] = world.events_of("client_established")
    assert established["common_name"] == "alice"
    assert established["address"] == alice.tunnel_address == "10.8.0.2"
    assert established["peer"] == "192.0.2.11:40000"
    assert (established["cipher"], established["key_source"]) == ("AES-256-GCM", "tls-ekm")
    [reply] = alice.inner(echo("10.8.0.2", GATEWAY))
    assert (reply.src, reply[ICMP].type, reply[Raw].load) == (GATEWAY, 0, b"ping")
    assert world.gateway.client_count == 1
    assert sum(world.counters.drops) == 0


def test_the_pushed_options_are_those_of_the_config() -> None:
    world = GatewayWorld('push "dhcp-option DNS 192.0.2.53"', "keepalive 5 20")
    alice = world.client()
    assert alice.vpn is not None
    [reply] = alice.vpn.messages
    options = reply.split(",")
    assert options[:7] == [
        "PUSH_REPLY", "dhcp-option DNS 192.0.2.53", "route-gateway 10.8.0.1", "topology subnet", "ping 5",
        "ping-restart 20", "socket-flags TCP_NODELAY",
    ]  # fmt: skip


def test_more_options_than_one_message_holds() -> None:
    routes = [f'push "route 198.18.{n}.0 255.255.255.0"' for n in range(60)]
    world = GatewayWorld(*routes)
    alice = world.client()
    assert alice.vpn is not None
    vpn = alice.vpn
    assert vpn is not None
    world.run(lambda: "push-continuation 1" in vpn.messages[-1], 5)
    messages = alice.vpn.messages
    assert [message.split(",")[-1] for message in messages[:-1]] == ["push-continuation 2"] * (len(messages) - 1)
    assert len(messages) >= 2
    assert all(len(message) < 1024 and message.startswith("PUSH_REPLY,") for message in messages)
    pushed = [option for message in messages for option in message.split(",")[1:-1]]
    assert pushed[:60] == [line.removeprefix('push "').removesuffix('"') for line in routes]
    assert pushed[-1] == "tun-mtu 1500"


def test_traffic_to_the_internet_and_back() -> None:
    world = GatewayWorld()
    alice = world.client()
    assert alice.inner(query("10.8.0.2")) == []
    [out] = world.outside
    assert (out.src, out.dst, out.ttl, out[UDP].dport) == (ADDRESS, OUTSIDE, 63, 53)
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, ttl=60) / UDP(sport=53, dport=out[UDP].sport) / b"answer")
    [answer] = alice.take()
    assert (answer.src, answer.dst, answer.ttl, answer[UDP].dport) == (OUTSIDE, "10.8.0.2", 59, 5000)
    # A stranger to that flow gets nothing through.
    world.ip(IP(src="198.51.100.8", dst=ADDRESS, ttl=60) / UDP(sport=53, dport=out[UDP].sport) / b"evil")
    assert alice.take() == []
    assert world.dropped(DropReason.NAT_FILTERED) == 1


def test_uploads_leave_as_super_frames_and_downloads_are_cut() -> None:
    world = GatewayWorld()
    alice = world.client()
    flow: dict[str, Any] = {"sport": 5000, "dport": 80}
    alice.inner(IP(src="10.8.0.2", dst=OUTSIDE) / TCP(**flow, flags="S", seq=100))
    outside_port = world.outside[0][TCP].sport
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=80, dport=outside_port, flags="SA", seq=900, ack=101))
    packets = [
        IP(src="10.8.0.2", dst=OUTSIDE, flags="DF") / TCP(**flow, flags="A", seq=101 + n * 1000, ack=901) / bytes(1000)
        for n in range(10)
    ]
    alice.inner(*packets)
    [(vnet, packet)] = world.super_frames
    assert int.from_bytes(vnet[4:6], "little") == 1000
    assert len(packet) == 40 + 10_000
    answer = IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=80, dport=outside_port, flags="A", seq=901, ack=101) / bytes(3000)
    alice.take()
    vnet = b"\1\1" + (54).to_bytes(2, "little") + (1200).to_bytes(2, "little") + bytes(6)
    world.ip(answer, vnet)
    got = alice.take()
    assert [len(part[TCP].payload) for part in got] == [1200, 1200, 600]
    assert [part[TCP].seq for part in got] == [901, 2101, 3301]
    for part in got:
        bare = IP(bytes(part))
        del bare[IP].chksum, bare[TCP].chksum
        assert bytes(IP(bytes(bare))) == bytes(part)


@pytest.mark.parametrize("allowed", [False, True])
def test_clients_reach_each_other_only_when_configured(allowed: bool) -> None:
    world = GatewayWorld(*(["client-to-client"] if allowed else []))
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    assert (alice.tunnel_address, bob.tunnel_address) == ("10.8.0.2", "10.8.0.3")
    back = alice.inner(echo("10.8.0.2", "10.8.0.3"))
    arrived = bob.take()
    if allowed:
        assert back == []
        assert (arrived[0].src, arrived[0].ttl) == ("10.8.0.2", 63)
        assert world.stat(Stat.CLIENT_TO_CLIENT_PACKETS) == 1
    else:
        assert arrived == []
        assert back[0][ICMP].type == 3


def test_a_forged_source_goes_nowhere() -> None:
    world = GatewayWorld("client-to-client")
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    alice.inner(echo("10.8.0.3", GATEWAY), query("10.8.0.3"), query("192.0.2.99"), echo("10.8.0.9", "10.8.0.3"))
    assert world.dropped(DropReason.WRONG_SOURCE) == 4
    assert (alice.take(), bob.take(), world.outside) == ([], [], [])


def test_the_same_name_gets_its_address_again_and_replaces_the_older_session() -> None:
    world = GatewayWorld()
    older = world.client("alice")
    older.inner(query("10.8.0.2"))
    world.client("bob", "192.0.2.12")
    newer = world.client("alice", "192.0.2.13")
    assert newer.tunnel_address == "10.8.0.2"
    ended = world.events_of("client_ended")
    assert [(event["common_name"], event["reason"]) for event in ended] == [("alice", "replaced")]
    assert older.closed
    # The flow belongs to the user, not to the session.
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=world.outside[0][UDP].sport) / b"late")
    assert len(newer.take()) == 1
    assert world.gateway.client_count == 2


def test_another_name_does_not_inherit_flows() -> None:
    world = GatewayWorld(network="10.8.0.0 255.255.255.248")  # five addresses
    names = ["a", "b", "c", "d", "e"]
    remotes = [world.client(name, f"192.0.2.{20 + n}") for n, name in enumerate(names)]
    remotes[0].inner(query("10.8.0.2"))
    remotes[0].fin()
    world.run(lambda: world.gateway.client_count == 4)
    newcomer = world.client("f", "192.0.2.30")
    assert newcomer.tunnel_address == "10.8.0.2"
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=world.outside[0][UDP].sport) / b"for a")
    assert newcomer.take() == []
    assert world.dropped(DropReason.NAT_NO_MAPPING) == 1


def test_several_sessions_of_one_name_when_configured() -> None:
    world = GatewayWorld("duplicate-cn")
    first, second = world.client("alice"), world.client("alice", "192.0.2.12")
    assert first.tunnel_address == "10.8.0.2" != second.tunnel_address
    assert world.gateway.client_count == 2


def refused(world: GatewayWorld, name: str = "late", address: str = "192.0.2.99") -> str:
    """The reason that a client is told."""
    late = world.start(name, address)
    world.run(lambda: late.vpn is not None and any("AUTH_FAILED" in message for message in late.vpn.messages))
    assert late.vpn is not None
    world.run(lambda: late.closed, 10)
    [event] = world.events_of("client_refused")
    # IV_PROTO bit 8: the client is asked to come again.
    assert late.vpn.messages == [f"AUTH_FAILED,TEMP[backoff 10,advance no]:{event['reason']}"]
    return str(event["reason"])


def test_max_clients() -> None:
    world = GatewayWorld("max-clients 1")
    world.client("alice")
    assert refused(world) == "the server is full"
    assert world.dropped(DropReason.CLIENTS_FULL) == 1


def test_a_pool_that_is_used_up() -> None:
    world = GatewayWorld(network="10.8.0.0 255.255.255.248")
    for n in range(5):
        world.client(f"user{n}", f"192.0.2.{20 + n}")
    assert refused(world) == "no address is free"
    assert world.dropped(DropReason.POOL_EXHAUSTED) == 1


def test_no_shared_cipher() -> None:
    world = GatewayWorld("data-ciphers CHACHA20-POLY1305")
    info = "IV_VER=2.6.14\nIV_PROTO=990\nIV_CIPHERS=AES-256-GCM\n"
    late = world.start("alice", peer_info=info)
    world.run(lambda: late.closed, 10)
    assert late.vpn is not None
    assert "AUTH_FAILED" in late.vpn.messages[0]
    [event] = world.events_of("peer_rejected")
    assert (event["reason"], event["detail"]) == (
        "no_shared_cipher",
        "no shared data cipher; write `data-ciphers CHACHA20-POLY1305` in the client's config, it offers AES-256-GCM",
    )


def test_a_client_that_closes_its_connection() -> None:
    world = GatewayWorld()
    alice = world.client()
    alice.fin()
    world.run(lambda: alice.closed, 5)
    [ended] = world.events_of("client_ended")
    assert (ended["reason"], ended["address"]) == ("peer_closed", "10.8.0.2")
    assert world.gateway.client_count == 0


def test_a_client_whose_connection_is_reset() -> None:
    world = GatewayWorld()
    alice = world.client()
    alice.inner(echo("10.8.0.2", GATEWAY))
    alice.abort()
    world.frames()
    [ended] = world.events_of("client_ended")
    assert ended["reason"] == "peer_closed"
    assert int(ended["bytes_in"]) > 0
    assert int(ended["bytes_out"]) > 0


@pytest.mark.parametrize("how", ["control", "data"])
def test_a_client_that_says_goodbye(how: str) -> None:
    world = GatewayWorld()
    alice = world.client()
    assert alice.vpn is not None
    if how == "control":
        alice.vpn.say("EXIT", world.now)
    else:
        alice.vpn.send(OCC_EXIT)
    world.frames()
    assert [event["reason"] for event in world.events_of("client_ended")] == ["peer_exit"]
    assert alice.closed


def test_keepalive_pings_and_the_end_of_a_silent_client() -> None:
    world = GatewayWorld("keepalive 5 20")
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    assert alice.vpn is not None
    assert bob.vpn is not None
    for _ in range(15):
        world.rest(2)
        alice.inner(echo("10.8.0.2", GATEWAY))  # busy: no pings for this one
        bob.vpn.send(PING)
    assert alice.vpn.pings == 0
    assert 5 <= bob.vpn.pings <= 7
    alice.silent = True
    began = world.now
    while world.now - began < 60 * SECOND and not world.events_of("client_ended"):
        bob.vpn.send(PING)
        world.rest(1)
    [ended] = world.events_of("client_ended")
    assert (ended["common_name"], ended["reason"]) == ("alice", "peer_timeout")
    assert 38 * SECOND <= world.now - began <= 41 * SECOND  # twice keepalive's second number
    assert world.gateway.client_count == 1


def test_an_orderly_stop_tells_clients_and_closes_connections() -> None:
    world = GatewayWorld()
    alice, stranger = world.client("alice"), world.remote("192.0.2.12")
    stranger.send(b"\0")
    world.frames()
    world.gateway.stop("power button", world.now, 0)
    assert not world.gateway.stopped
    world.frames()
    assert alice.vpn is not None
    assert alice.vpn.messages[-1].startswith("RESTART")
    assert alice.closed
    assert stranger.closed
    [event] = world.events_of("stopping")
    assert (event["reason"], event["clients"]) == ("power button", 1)
    alice.fin()
    stranger.fin()
    world.frames()
    assert world.gateway.stopped


def test_a_stop_does_not_wait_for_a_dead_client() -> None:
    world = GatewayWorld()
    alice = world.client("alice")
    alice.silent = True
    world.gateway.stop("power button", world.now, 0)
    world.run(lambda: world.gateway.stopped, 10)


def test_nobody_is_let_in_while_the_server_stops() -> None:
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    late = world.start("late")
    world.gateway.service.admissions.stopping = True  # the moment between the power button and the end of connections
    world.run(lambda: bool(world.events_of("client_refused")))
    assert world.events_of("client_refused")[0]["reason"] == "the server is stopping"
    assert late is not bob


def test_a_connection_that_comes_while_the_server_stops_is_reset() -> None:
    world = GatewayWorld()
    alice = world.client("alice")
    alice.silent = True
    world.gateway.stop("power button", world.now, 0)
    late = world.remote("192.0.2.12")
    late.send(b"\0")
    world.frames()
    assert not world.gateway.stopped
    assert late.reset
    assert world.dropped(DropReason.SERVER_STOPPING) == 1
    assert world.events_of("peer_connected")[1:] == []  # alice's is the first


def test_a_silent_stranger_costs_ten_seconds() -> None:
    world = GatewayWorld()
    stranger = world.remote()
    began = world.now
    world.run(lambda: stranger.reset, 20)
    assert 10 * SECOND <= world.now - began < 11 * SECOND
    assert world.events == []
    assert world.dropped(DropReason.TCP_SILENT) == 1


def test_a_handshake_that_stops_half_way_ends_at_hand_window() -> None:
    world = GatewayWorld("hand-window 20")
    half = world.remote()
    half.records(RESET)
    began = world.now
    world.run(lambda: bool(world.events_of("peer_rejected")), 30)
    assert world.now - began == 20 * SECOND
    assert world.events_of("peer_rejected")[0]["reason"] == "handshake_timeout"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\0\0", DropReason.BAD_FRAME_LENGTH),
        (b"\xff\xff", DropReason.BAD_FRAME_LENGTH),
        (b"GET / HTTP/1.1\r\n\r\n", DropReason.BAD_FRAME_LENGTH),
        (b"\0\1\x38", DropReason.BAD_CONTROL_PACKET),
        (b"\0\x14\x50" + bytes(19), DropReason.NO_HARD_RESET),
        (b"\0\x14\x48" + bytes(19), DropReason.NO_HARD_RESET),
    ],
)
@pytest.mark.parametrize("size", [1460, 1])
def test_strange_first_bytes(data: bytes, reason: DropReason, size: int) -> None:
    """Whole or byte by byte: the same verdict, once, whatever follows."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    stranger = world.remote()
    stranger.send(data, size)
    world.frames()
    stranger.send(data * 3, size)
    world.frames()
    assert not stranger.closed
    assert world.dropped(reason) == 1
    [event] = world.events_of("peer_rejected")
    assert (event["reason"], event["peer"]) == (reason.name.lower(), "192.0.2.11:40000")
    assert len(bob.inner(echo("10.8.0.2", GATEWAY))) == 1
    world.run(lambda: stranger.reset, 11)  # as one who never said a word
    assert not stranger.closed
    assert stranger.stream == b""


@pytest.mark.parametrize("size", [1460, 1])
def test_a_bad_length_ends_what_a_reset_has_begun(size: int) -> None:
    """Whole or byte by byte: the reset before it is answered, then the connection is closed."""
    world = GatewayWorld()
    greeted = world.remote()
    greeted.send(len(RESET).to_bytes(2, "big") + RESET + b"\xff\xff" + bytes(50), size)
    world.frames()
    assert greeted.stream[2] >> 3 == 8
    assert greeted.closed
    assert world.dropped(DropReason.BAD_FRAME_LENGTH) == 1
    [event] = world.events_of("peer_rejected")
    assert event["reason"] == "bad_frame_length"


def test_a_session_byte_by_byte_is_the_same() -> None:
    """Handshake, traffic, renegotiation and EXIT with a segment and a step for every byte."""
    kinds = []
    for size in (1460, 1):
        world = GatewayWorld()
        remote = world.start()
        remote.size, world.one_by_one = size, size == 1
        vpn = remote.vpn
        assert vpn is not None
        world.run(lambda vpn=vpn: vpn.established)  # type: ignore[misc]  # a default binds the loop variable
        assert len(remote.inner(echo(remote.tunnel_address, GATEWAY), echo(remote.tunnel_address, GATEWAY))) == 2
        world.rest(1)
        vpn.renegotiate(world.now)
        world.run(lambda vpn=vpn: len(vpn.data_keys) == 2)  # type: ignore[misc]  # likewise
        remote.inner(query(remote.tunnel_address))
        vpn.say("EXIT", world.now)
        world.run(lambda remote=remote: remote.closed, 10)  # type: ignore[misc]  # likewise
        assert sum(world.counters.drops) == world.dropped(DropReason.PEER_EXIT)
        kinds.append([(event.kind, {**event.fields, "seconds": 0}) for event in world.events])
    assert kinds[0] == kinds[1]


def test_many_records_of_a_stranger_in_one_segment() -> None:
    world = GatewayWorld()
    stranger = world.remote()
    stranger.send((b"\0\x14\x50" + bytes(19)) * 60)
    world.frames()
    assert world.dropped(DropReason.NO_HARD_RESET) == 1


def test_a_certificate_of_another_authority() -> None:
    world = GatewayWorld()
    other = Authority("Other CA").issue("mallory")
    stranger = world.start("alice", cert=other.cert, key=other.key)
    world.run(lambda: stranger.closed, 10)
    [event] = world.events_of("peer_rejected")
    assert event["reason"] == "certificate_rejected"
    assert stranger.vpn is not None
    assert stranger.vpn.alerts  # TLS told it so


def test_the_log_of_strangers_is_limited() -> None:
    world = GatewayWorld(limits=replace(Limits(), events_per_second=5))
    for number in range(30):
        world.remote(port=41_000 + number).send(b"\0\0")
        world.frames()
    assert [len(world.events_of(kind)) for kind in ("peer_rejected", "peer_connected")] == [5, 5]
    assert world.dropped(DropReason.BAD_FRAME_LENGTH) == 30
    world.rest(2)
    world.remote(port=42_000).send(b"\0\0")
    world.frames()
    assert int(world.events_of("events_suppressed")[0]["count"]) >= 50


def test_a_client_that_does_not_read_loses_packets_as_at_a_full_router() -> None:
    limits = Limits()
    limits = replace(limits, tcp=replace(limits.tcp, send_buffer=128 * KIB), client_queue=64 * KIB)
    world = GatewayWorld("client-to-client", limits=limits)
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    bob.reads = False
    packets = [IP(src="10.8.0.2", dst="10.8.0.3") / UDP(sport=1, dport=2) / bytes(1000) for _ in range(50)]
    alice.inner(*packets)
    assert world.dropped(DropReason.SEND_QUEUE_FULL) == 0
    alice.inner(*packets)
    lost = world.dropped(DropReason.SEND_QUEUE_FULL)
    assert 35 <= lost <= 45
    alice.inner(*packets)
    assert world.dropped(DropReason.SEND_QUEUE_FULL) == lost + 50
    assert len(alice.inner(echo("10.8.0.2", GATEWAY))) == 1


def test_a_peer_that_provokes_answers_and_never_reads_them() -> None:
    limits = Limits()
    limits = replace(limits, tcp=replace(limits.tcp, send_buffer=300))
    world = GatewayWorld(limits=limits)
    stranger = world.remote()
    stranger.reads = False
    world.frames()
    repeat = b"\x20" + bytes(range(1, 9)) + b"\0"
    stranger.records(RESET, *[repeat + n.to_bytes(4, "big") for n in range(1, 9)])
    for n in range(40):
        stranger.records(repeat + (n % 8).to_bytes(4, "big"))
        world.frames()
    assert world.dropped(DropReason.SEND_QUEUE_FULL) == 1
    assert world.events_of("peer_rejected")[0]["detail"] == "the peer does not read"


def test_packets_of_a_client_that_was_not_admitted_are_dropped() -> None:
    world = GatewayWorld()
    alice = world.client()
    world.gateway.service.admissions.leave(  # as if it had just been refused
        next(iter(world.gateway.service.table.by_transport.values())), DropReason.REPLACED, world.now
    )
    alice.inner(echo("10.8.0.2", GATEWAY))
    assert world.dropped(DropReason.NO_DATA_KEY) == 1


def test_packets_for_a_client_that_is_gone() -> None:
    world = GatewayWorld()
    alice = world.client()
    alice.inner(query("10.8.0.2"))
    port = world.outside[0][UDP].sport
    alice.fin()
    world.run(lambda: alice.closed, 5)
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / b"late")
    assert world.dropped(DropReason.CLIENT_GONE) == 1


def test_a_renegotiation_is_told() -> None:
    world = GatewayWorld("hand-window 5")
    alice = world.client()
    assert alice.vpn is not None
    world.rest(1)
    alice.vpn.renegotiate(world.now)
    world.run(lambda: bool(world.events_of("client_renegotiated")), 10)
    assert world.events_of("client_renegotiated")[0]["key_id"] == 1
    assert world.stat(Stat.RENEGOTIATIONS) == 1
    world.rest(10)
    assert len(alice.inner(echo("10.8.0.2", GATEWAY))) == 1


def test_fragments_of_a_client_that_never_become_whole() -> None:
    world = GatewayWorld("keepalive 10 60")
    alice = world.client()
    piece = IP(src="10.8.0.2", dst=GATEWAY, id=9, flags="MF") / ICMP() / bytes(800)
    alice.inner(piece)
    for _ in range(6):
        world.rest(6)
        alice.inner(echo("10.8.0.2", GATEWAY))
    assert world.dropped(DropReason.FRAGMENT_TIMEOUT) == 1


def test_arp_for_the_router_is_asked_and_announced() -> None:
    world = GatewayWorld()
    first = world.arp[0][ARP]
    assert (first.op, first.psrc, first.pdst) == (1, ADDRESS, ADDRESS)
    alice = world.client()
    assert world.arp[1][ARP].pdst == "10.0.0.1"
    assert alice.connected


def test_without_a_router_only_the_subnet_is_reached() -> None:
    world = GatewayWorld(router=None)
    world.ip(IP(src="198.51.100.9", dst=ADDRESS) / ICMP(id=1))
    assert world.dropped(DropReason.NO_ROUTE) == 1


@pytest.mark.parametrize(
    ("network", "fits"),
    [
        ("10.0.0.0 255.255.255.0", False),
        ("10.0.0.128 255.255.255.128", False),
        ("10.0.0.0 255.255.0.0", False),
        ("10.0.1.0 255.255.255.0", True),
    ],
)
def test_a_tunnel_network_must_not_overlap_the_uplinks(network: str, fits: bool) -> None:
    """RFC 4787 REQ-7; the uplink is 10.0.0.2/24."""
    if fits:
        assert GatewayWorld(network=network).gateway.next_deadline() is not None
        return
    with pytest.raises(ConfigError, match="overlaps the uplink's") as caught:
        GatewayWorld(network=network)
    assert caught.value.directive == "server"


def test_a_router_must_not_be_in_the_tunnel_network() -> None:
    """It can be anywhere when --ipv4 is a /32."""
    config = GatewayWorld().config
    for router, fits in (("10.8.0.1", False), ("10.8.0.255", False), ("10.9.0.1", True), ("169.254.0.1", True)):
        uplink = Uplink(parse_ipv4("203.0.113.66"), 32, parse_ipv4(router))
        if fits:
            check_uplink(config, uplink)
            continue
        with pytest.raises(ConfigError, match=f"--ipv4-gateway={router} is in the tunnel network 10.8.0.0/24"):
            check_uplink(config, uplink)


def test_a_deadline_has_a_reason() -> None:
    world = GatewayWorld("keepalive 10 60")
    reasons = set()
    for number in range(3):
        world.start("alice", port=40_000 + number)
        for _ in range(40):
            due = world.gateway.next_deadline()
            reasons.add(world.gateway.waits_for.reason)
            assert due == world.gateway.waits_for.at
            world.rest(0.5 if number else 0.05)
    assert {"timers", "tcp.timer"} <= reasons
    assert reasons <= {"timers", "tcp.timer", "nat.timer", "arp.timer", "periodic tasks"}
