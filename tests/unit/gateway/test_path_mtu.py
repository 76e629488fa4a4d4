"""Clients over UDP beyond narrow links: a whole gateway learns their paths, and tells those who send to them."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, MAC, OUTSIDE, PLAIN, ROUTER_MAC, GatewayWorld, Remote
from tests.unit.gateway.gateway_world import query as ask

from hognose.drops import DropReason, Stat
from hognose.limits import Limits, NatLimits
from hognose.link import LinkCaps
from hognose.units import MS

ALICE, BOB = "192.0.2.11", "192.0.2.12"
ROUTER = "203.0.113.1"  # where the narrow link begins
NARROW = 1400
FITS = NARROW - 28 - 24  # IPv4, UDP; head with peer id, packet id, tag
FRAME_HEAD = PLAIN + MAC + bytes.fromhex(ROUTER_MAC.replace(":", "")) + b"\x08\0"


class Caller(Remote):
    """An OpenVPN client over UDP."""

    def poll(self) -> list[bytes]:
        assert self.vpn is not None
        return [self.frame(record) for record in self.vpn.poll(self.world.now)]

    def frame(self, record: bytes) -> bytes:
        source = self.source.to_bytes(4, "big")
        destination = bytes(map(int, ADDRESS.split(".")))
        packet = IP(src=".".join(map(str, source)), dst=ADDRESS) / UDP(sport=self.port, dport=1194) / Raw(record)
        assert bytes(packet)[16:20] == destination
        return FRAME_HEAD + bytes(packet)

    def move(self, address: str, port: int) -> None:
        """Be elsewhere from now on, and send something from there."""
        self.world.remotes = {at: one for at, one in self.world.remotes.items() if one is not self}
        self.world.remotes[address, port] = self
        self.source, self.port = int.from_bytes(bytes(map(int, address.split("."))), "big"), port
        self.inner(ask(self.tunnel_address))

    def ask(self) -> int:
        """Send a query to the outside; the port of ours that it left from."""
        self.inner(ask(self.tunnel_address))
        return int(self.world.outside[-1][UDP].sport)


class NarrowWorld(GatewayWorld):
    """A server on UDP. `mtu` has the MTU of the path to an address, whose router tells of what does not fit."""

    def __init__(self, *lines: str, caps: LinkCaps | None = None, limits: Limits | None = None) -> None:
        self.mtu: dict[str, int] = {}
        self.tells = True
        self.told = 0
        self.quotes = 576 - 28
        self.outer: list[bytes] = []  # packets to clients, those that were lost too
        super().__init__("local * 1194 udp", *lines, caps=caps, limits=limits)

    def remote(self, address: str = ALICE, port: int = 40_000) -> Remote:
        self.remotes[address, port] = caller = Caller(self, address, port)
        return caller

    def caller(self, name: str = "alice", address: str = ALICE) -> Caller:
        client = self.client(name, address)
        assert isinstance(client, Caller)
        self.rest(1)
        return client

    def sent(self, frame: bytes) -> list[bytes]:
        packet = frame[26:]
        if frame[24:26] != b"\x08\0" or packet[9] != 17 or packet[20:22] != (1194).to_bytes(2, "big"):
            return super().sent(frame)
        self.outer.append(packet)
        address = ".".join(map(str, packet[16:20]))
        segment = struct.unpack_from("<H", frame, 4)[0] if frame[1] == 5 else len(packet) - 28
        if 28 + segment > self.mtu.get(address, 1500) and packet[6] & 0x40:
            self.told += 1
            return [self.fragmentation_needed(packet, self.mtu[address])] if self.tells else []
        remote = self.remotes.get((address, int.from_bytes(packet[22:24], "big")))
        if remote is not None and remote.vpn is not None:
            for at in range(28, len(packet), segment):
                remote.vpn.receive(packet[at : at + segment], self.now)
        return []

    def fragmentation_needed(self, packet: bytes, mtu: int) -> bytes:
        message = IP(src=ROUTER, dst=ADDRESS) / ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(packet[: self.quotes])
        return FRAME_HEAD + bytes(message)

    def limit(self) -> int:
        """Bytes of the largest record of the one client's path; 0 when none is known."""
        [peer] = self.gateway.service.table.clients.values()
        return peer.transport.record_limit

    def mss(self, client: Caller) -> int:
        """The MSS of a SYN of a client, outside."""
        syn = TCP(sport=5000, dport=80, flags="S", options=[("MSS", 1460)])
        client.inner(IP(src=client.tunnel_address, dst=OUTSIDE) / syn)
        return int(dict(self.outside[-1][TCP].options)["MSS"])


def incoming(port: int, size: int, flags: str = "DF", number: int = 7) -> Packet:
    """A packet of the outside of `size` bytes."""
    return IP(src=OUTSIDE, dst=ADDRESS, flags=flags, id=number) / UDP(sport=53, dport=port) / bytes(size - 28)


def errors(packets: list[Packet]) -> list[Packet]:
    return [packet for packet in packets if ICMP in packet and packet[ICMP].type == 3]


def test_an_outside_sender_is_told_what_fits() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    world.ip(incoming(port, 1440))
    assert (world.told, alice.take(), world.limit()) == (1, [], NARROW - 28)
    assert world.stat(Stat.UDP_PATHS_NARROWED) == 1
    for size in (FITS + 1, 1440, FITS):
        world.outside.clear()
        world.ip(incoming(port, size))
        if size == FITS:
            assert [len(packet) for packet in alice.take()] == [FITS]
            continue
        [error] = world.outside
        assert (error.src, error.dst, error[ICMP].type, error[ICMP].code) == (ADDRESS, OUTSIDE, 3, 4)
        assert error[ICMP].nexthopmtu == FITS
        quoted = IP(bytes(error[ICMP].payload))
        assert (quoted.src, quoted.dst, quoted.len) == (OUTSIDE, ADDRESS, size)
        assert (quoted[UDP].sport, quoted[UDP].dport) == (53, port)
    assert world.told == 1, "nothing more is lost on the narrow link"
    assert world.dropped(DropReason.TOO_BIG) == 2
    assert world.dropped(DropReason.BAD_ICMP) == 0


def test_what_may_be_cut_is_cut_before_it_is_sealed() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    world.ip(incoming(port, 1440))
    world.ip(incoming(port, 1440, flags=0, number=9))  # type: ignore[arg-type]  # scapy's flags
    pieces = alice.take()
    assert [len(piece) for piece in pieces] == [FITS - (FITS - 20) % 8, 20 + 1420 - (FITS - 20) // 8 * 8]
    assert [(piece.id, piece.frag) for piece in pieces] == [(9, 0), (9, (FITS - 20) // 8)]
    whole = b"".join(bytes(piece)[20:] for piece in pieces)
    assert whole[8:] == bytes(1412)
    assert (world.told, world.dropped(DropReason.TOO_BIG)) == (1, 0)


def test_inner_tcp_is_clamped_to_the_path_for_ten_minutes() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    assert world.mss(alice) == 1400
    world.mtu[ALICE] = NARROW
    world.ip(incoming(port, 1440))
    assert world.mss(alice) == FITS - 40
    for _ in range(12):
        world.rest(49.9)
        alice.ask()
        world.ip(incoming(port, 100))
    assert world.mss(alice) == FITS - 40
    world.mtu.clear()
    world.rest(2)
    world.ip(incoming(port, 1440))
    assert [len(packet) for packet in alice.take() if UDP in packet][-1] == 1440
    assert (world.mss(alice), world.limit(), world.told) == (1400, 0, 1)


def test_an_answer_to_a_syn_is_clamped_too() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    world.ip(incoming(port, 1440))
    world.mss(alice)
    answer = TCP(sport=80, dport=world.outside[-1][TCP].sport, flags="SA", options=[("MSS", 1460)])
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / answer)
    [packet] = [packet for packet in alice.take() if TCP in packet]
    assert dict(packet[TCP].options)["MSS"] == FITS - 40
    checksum = packet[TCP].chksum
    del packet[TCP].chksum
    assert IP(bytes(packet))[TCP].chksum == checksum


def test_another_client_is_told_by_the_gateway() -> None:
    world = NarrowWorld("client-to-client")
    alice, bob = world.caller(), world.caller("bob", BOB)
    world.mtu[ALICE] = NARROW
    long = IP(src=bob.tunnel_address, dst=alice.tunnel_address, flags="DF") / UDP(sport=1, dport=2) / bytes(1412)
    assert bob.inner(long) == []
    [error] = bob.inner(long)
    assert (error.src, error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (GATEWAY, 3, 4, FITS)
    assert bytes(error[ICMP].payload)[12:20] == bytes(long)[12:20]
    assert alice.take() == []
    long[IP].flags = 0
    bob.inner(long)
    assert [piece.frag * 8 + len(piece) - 20 for piece in alice.take()] == [(FITS - 20) // 8 * 8, 1420]
    back = IP(src=alice.tunnel_address, dst=bob.tunnel_address, flags="DF") / UDP(sport=2, dport=1) / bytes(1412)
    alice.inner(back)
    assert [len(packet) for packet in bob.take()] == [1440], "the other path is as wide as before"


def test_a_client_that_came_by_hairpin_is_told() -> None:
    world = NarrowWorld(limits=Limits(nat=NatLimits(endpoint_independent_filtering=True)))
    alice, bob = world.caller(), world.caller("bob", BOB)
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    long = IP(src=bob.tunnel_address, dst=ADDRESS, flags="DF") / UDP(sport=6000, dport=port) / bytes(1412)
    assert bob.inner(long) == []
    [error] = bob.inner(long)
    assert (error.dst, error[ICMP].code, error[ICMP].nexthopmtu) == (bob.tunnel_address, 4, FITS)
    quoted = IP(bytes(error[ICMP].payload))
    assert (quoted.src, quoted.dst, quoted.sport, quoted.dport) == (bob.tunnel_address, ADDRESS, 6000, port)


def test_the_gateways_own_packets_are_cut() -> None:
    world = NarrowWorld()
    alice = world.caller()
    ping = IP(src=alice.tunnel_address, dst=GATEWAY, flags="DF", id=3) / ICMP(id=1, seq=1) / bytes(1412)
    world.mtu[ALICE] = NARROW
    assert alice.inner(ping) == []
    assert [piece.frag * 8 + len(piece) - 20 for piece in alice.inner(ping)] == [(FITS - 20) // 8 * 8, 1420]


def test_a_client_at_a_new_address_has_a_new_path() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    world.ip(incoming(port, 1440))
    assert world.mss(alice) == FITS - 40
    world.now += 2000 * MS
    alice.move("192.0.2.99", 41_000)
    assert (world.limit(), world.mss(alice)) == (0, 1400)
    alice.take()
    world.ip(incoming(port, 1440))
    assert [len(packet) for packet in alice.take()] == [1440]


def test_a_burst_that_left_as_a_super_frame_is_known_by_the_quote_of_the_whole() -> None:
    world = NarrowWorld(caps=LinkCaps(mac=MAC, tx_csum=True, tx_uso4=True))
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    burst = [FRAME_HEAD + bytes(incoming(port, 1440, number=number)) for number in range(1, 9)]
    world.frames(*burst)
    assert (world.told, world.limit(), alice.take()) == (1, NARROW - 28, [])
    world.frames(*[FRAME_HEAD + bytes(incoming(port, FITS, number=number)) for number in range(1, 9)])
    assert [len(packet) for packet in alice.take()] == [FITS] * 8


@pytest.mark.parametrize("mtu", [576, 300])
def test_a_handshake_over_a_path_that_is_narrower_than_control_packets(mtu: int) -> None:
    """They are sent again without DF, as Linux does for OpenVPN; and data that is wider than a path below 576 bytes."""
    world = NarrowWorld()
    world.mtu[ALICE] = mtu
    alice = world.caller()
    assert world.told > 0
    port = alice.ask()
    world.ip(incoming(port, 524))
    world.ip(incoming(port, 525))
    assert [len(packet) for packet in alice.take()] == [524]
    assert errors(world.outside)[-1][ICMP].nexthopmtu == 576 - 28 - 24
    assert world.mss(alice) == 576 - 28 - 24 - 40


def test_a_black_hole_is_none_of_ours() -> None:
    """Without ICMP nothing is learned; mssfix is what keeps inner TCP below the size of most paths."""
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    world.tells = False
    for _ in range(3):
        world.ip(incoming(port, 1440))
    assert (world.limit(), world.told, alice.take()) == (0, 3, [])


def test_errors_that_end_no_session() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    reply = IP(src=ADDRESS, dst=ALICE, flags="DF") / UDP(sport=1194, dport=40_000) / bytes(100)
    for kind, code in [(3, number) for number in range(16)] + [(4, 0), (5, 1), (11, 0), (12, 0)]:
        world.ip(IP(src=ROUTER, dst=ADDRESS) / ICMP(type=kind, code=code) / Raw(bytes(reply)))
    world.rest(1)
    world.ip(incoming(port, 1440))
    assert [len(packet) for packet in alice.take()] == [1440]
    assert (world.limit(), world.events_of("client_ended")) == (0, [])
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


def forged(mtu: int, size: int = 1468, port: int = 40_000, address: str = ALICE) -> Packet:
    """A router's word about a datagram with `size` bytes of ours; the largest one that a client is sent has 1468."""
    quote = IP(src=ADDRESS, dst=address, flags="DF") / UDP(sport=1194, dport=port) / bytes(size)
    return ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(bytes(quote)[:100])


def test_a_client_learns_nothing_to_say_about_another_ones_path() -> None:
    """An error out of the tunnel is no router's word about the link: to our address, or to the gateway's."""
    world = NarrowWorld("client-to-client")
    alice, mallory = world.caller(), world.caller("mallory", BOB)
    port = alice.ask()
    world.ip(incoming(port, 1444))
    alice.take()
    for to in (ADDRESS, GATEWAY, alice.tunnel_address, OUTSIDE):
        mallory.inner(IP(src=mallory.tunnel_address, dst=to) / forged(900))
    world.ip(incoming(port, 1444))
    assert [len(packet) for packet in alice.take() if UDP in packet] == [1444]
    assert world.stat(Stat.UDP_PATHS_NARROWED) == 0


def test_lies_from_outside_and_the_most_that_one_does() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    for lie in (forged(900), forged(1472), forged(900, port=40_001), forged(900, address=BOB), forged(900, 1448)):
        world.ip(IP(src=ROUTER, dst=ADDRESS) / lie)
    assert (world.limit(), world.stat(Stat.UDP_PATHS_NARROWED)) == (0, 0)
    assert world.dropped(DropReason.BAD_ICMP) == 3
    assert world.dropped(DropReason.NO_SESSION) == 2
    world.ip(incoming(port, 1444))
    alice.take()
    for source in (ADDRESS, "10.0.0.255", "127.0.0.1", "224.0.0.1"):
        world.ip(IP(src=source, dst=ADDRESS) / forged(68))
    assert (world.limit(), world.dropped(DropReason.MARTIAN)) == (0, 4)
    for mtu in (1495, 1300, 68, 0, 1400):
        world.ip(IP(src=ROUTER, dst=ADDRESS, options=[b"\1\1\1\0"]) / forged(mtu))
    assert world.limit() == 576 - 28
    world.ip(incoming(port, 1444, flags=0))  # type: ignore[arg-type]  # scapy's flags
    assert sum(len(packet) - 20 for packet in alice.take()) == 1424, "smaller pieces, and none is lost"


def test_a_path_that_is_told_over_and_over_is_one() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.ip(incoming(port, 1444))
    error = FRAME_HEAD + bytes(IP(src=ROUTER, dst=ADDRESS) / forged(1300))
    for _ in range(20):
        world.frames(*[error] * 50)
    assert (world.stat(Stat.UDP_PATHS_NARROWED), world.limit()) == (1, 1272)
    assert world.outside[-1].dst == OUTSIDE, "no answer to any of them"
    assert errors(world.outside) == []


def test_errors_about_what_does_not_fit_have_a_rate() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    world.ip(incoming(port, 1440))
    world.outside.clear()
    for _ in range(20):
        world.frames(*[FRAME_HEAD + bytes(incoming(port, 1440))] * 30)
    limits = Limits().ip
    assert len(errors(world.outside)) == limits.icmp_errors_per_client_per_second
    assert world.dropped(DropReason.TOO_BIG) == 600
    assert world.dropped(DropReason.ICMP_RATE_LIMITED) == 600 - limits.icmp_errors_per_client_per_second


def test_a_datagram_in_fragments_reaches_its_session() -> None:
    """A client's kernel cuts what does not fit a path that it knows."""
    world = NarrowWorld()
    alice = world.caller()
    assert alice.vpn is not None
    record = alice.vpn.seal(bytes(ask(alice.tunnel_address, payload=bytes(range(200)) * 6)))
    whole = IP(alice.frame(record)[26:])
    whole.id = 77
    pieces = [FRAME_HEAD + bytes(piece) for piece in whole.fragment(576)]
    assert len(pieces) >= 3
    world.frames(*reversed(pieces))
    assert bytes(world.outside[-1][UDP].payload) == bytes(range(200)) * 6


def test_no_error_about_an_error_that_does_not_fit() -> None:
    world = NarrowWorld()
    alice = world.caller()
    port = alice.ask()
    world.mtu[ALICE] = NARROW
    world.ip(incoming(port, 1440))
    world.outside.clear()
    quote = IP(src=ADDRESS, dst=OUTSIDE) / UDP(sport=port, dport=53) / bytes(1384)
    world.ip(IP(src=ROUTER, dst=ADDRESS, flags="DF") / ICMP(type=11) / quote)
    assert (world.dropped(DropReason.TOO_BIG), alice.take(), world.outside) == (1, [], [])
    assert world.stat(Stat.ICMP_ERRORS_SENT) == 0
