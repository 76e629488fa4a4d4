"""Batches of datagrams that are the most work for a step: as many as the device gives at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scapy.layers.inet import IP, UDP
from scapy.packet import Raw
from tests.sim.segments import Segment, build, ipv4_int
from tests.sim.world_peer import echo_request, ip_packet, udp_packet
from tests.sim.worst_inputs import Cost, step_cost
from tests.unit.gateway.gateway_world import ADDRESS, MAC, OUTSIDE, PLAIN, ROUTER_MAC
from tests.unit.gateway.udp_world import UDP_PORT, UdpRemote, UdpWorld, joined

from hognose.address import address_text
from hognose.limits import DeviceLimits

FRAMES = DeviceLimits().frames
HEAD = PLAIN + MAC + bytes.fromhex(ROUTER_MAC.replace(":", "")) + b"\x08\0"
CLIENTS = 9


@dataclass
class Attack:
    """A world with clients over UDP; alice is the attacker, bob the last of the others."""

    world: UdpWorld
    clients: list[UdpRemote]

    @property
    def alice(self) -> UdpRemote:
        return self.clients[0]

    @property
    def bob(self) -> UdpRemote:
        return self.clients[-1]

    def sealed(self, packet: bytes) -> bytes:
        assert self.alice.vpn is not None
        return self.alice.vpn.seal(packet)

    def from_alice(self, *records: bytes) -> list[bytes]:
        return [frame(self.alice.source, self.alice.port, record) for record in records]


def begin(clients: int = 2) -> Attack:
    world = UdpWorld()
    return Attack(world, [world.udp_client(f"client{n}", f"192.0.2.{10 + n}") for n in range(clients)])


def frame(source: int, port: int, payload: bytes) -> bytes:
    """A frame of one datagram to the VPN's port; its checksum is left to us."""
    return HEAD + udp_packet(source, port, ipv4_int(ADDRESS), UDP_PORT, payload)


def super_frame(source: int, port: int, payload: bytes, size: int) -> bytes:
    head = IP(src=address_text(source.to_bytes(4, "big")), dst=ADDRESS)
    return joined(head / UDP(sport=port, dport=UDP_PORT) / Raw(payload), size)


# -- of a client -------------------------------------------------------------------------------------------------------


def new_flows(attack: Attack) -> list[bytes]:
    inner = ipv4_int(attack.alice.tunnel_address)
    packets = [udp_packet(inner, 1024 + n, ipv4_int(OUTSIDE), 9, b"x") for n in range(FRAMES)]
    return attack.from_alice(*map(attack.sealed, packets))


def syns(attack: Attack) -> list[bytes]:
    """Each opens a flow and has its MSS changed."""
    inner = ipv4_int(attack.alice.tunnel_address)
    syn = Segment(1, 0, "S", 65535, mss=1460)
    packets = [build(syn, inner, 1024 + n, ipv4_int(OUTSIDE), 80) for n in range(FRAMES)]
    return attack.from_alice(*map(attack.sealed, packets))


def pings(attack: Attack) -> list[bytes]:
    inner = ipv4_int(attack.alice.tunnel_address)
    return attack.from_alice(*(attack.sealed(echo_request(inner, ipv4_int("10.8.0.1"), b"x")) for _ in range(FRAMES)))


def to_a_client(attack: Attack) -> list[bytes]:
    inner, other = ipv4_int(attack.alice.tunnel_address), ipv4_int(attack.bob.tunnel_address)
    return attack.from_alice(*(attack.sealed(udp_packet(inner, 5, other, 9, b"x")) for _ in range(FRAMES)))


def fragments(attack: Attack) -> list[bytes]:
    """First ones, of as many datagrams."""
    inner = ipv4_int(attack.alice.tunnel_address)
    packets = [ip_packet(17, inner, ipv4_int(OUTSIDE), bytes(64)) for _ in range(FRAMES)]
    first = [packet[:4] + n.to_bytes(2, "big") + b"\x20" + packet[7:] for n, packet in enumerate(packets)]
    return attack.from_alice(*map(attack.sealed, first))


def forged(attack: Attack) -> list[bytes]:
    record = attack.sealed(b"")
    return attack.from_alice(*(record[:4] + n.to_bytes(4, "big") + bytes(40) for n in range(1000, 1000 + FRAMES)))


def control(attack: Attack) -> list[bytes]:
    """Control packets with the client's session id."""
    assert attack.alice.vpn is not None
    record = bytes((4 << 3,)) + attack.alice.vpn.sid + b"\0"
    return attack.from_alice(*(record + n.to_bytes(4, "big") + b"\x16" for n in range(FRAMES)))


def super_frames_of_a_byte(attack: Attack) -> list[bytes]:
    return [super_frame(attack.alice.source, attack.alice.port, bytes(128), 1)] * FRAMES


def super_frames(attack: Attack) -> list[bytes]:
    inner = ipv4_int(attack.alice.tunnel_address)
    found = []
    for at in range(0, 20 * 100, 100):
        packets = [udp_packet(inner, 1024 + at + n, ipv4_int(OUTSIDE), 9, b"x") for n in range(100)]
        records = [attack.sealed(packet) for packet in packets]
        found.append(super_frame(attack.alice.source, attack.alice.port, b"".join(records), len(records[0])))
    return found


# -- of strangers ------------------------------------------------------------------------------------------------------


def strangers(payload: bytes) -> Callable[[Attack], list[bytes]]:
    """One packet from as many addresses."""
    return lambda attack: [frame(0xC6120000 + n * 256, 1 + n, payload) for n in range(FRAMES)]


def strangers_super_frames(payload: bytes) -> Callable[[Attack], list[bytes]]:
    joined_ones = payload * 128
    return lambda attack: [super_frame(0xC6120000 + n * 256, 1 + n, joined_ones, len(payload)) for n in range(64)]


def of_all(attack: Attack, number: int) -> bytes:
    """A data packet with the peer id of one of the clients, under a key that is none."""
    vpn = attack.clients[number % len(attack.clients)].vpn
    assert vpn is not None
    assert vpn.peer_id is not None
    return b"\x48" + vpn.peer_id.to_bytes(3, "big") + number.to_bytes(4, "big") + bytes(60)


def moves(attack: Attack) -> list[bytes]:
    """Data packets of all clients from elsewhere."""
    return [frame(0xC6120000 + n, 1 + n, of_all(attack, n)) for n in range(FRAMES)]


def moves_in_super_frames(attack: Attack) -> list[bytes]:
    records = [of_all(attack, n) for n in range(120)]
    return [super_frame(0xC6120000 + n, 1 + n, b"".join(records), len(records[0])) for n in range(64)]


RESET = b"\x38" + b"8 bytes." + bytes(5)
PROOF = b"\x20" + b"8 bytes." + b"\1" + bytes(4) + b"remotes." + bytes(3) + b"\1" + b"\x16\3"
WORST: dict[str, Callable[[Attack], list[bytes]]] = {
    "new_flows": new_flows,
    "syns": syns,
    "pings": pings,
    "to_a_client": to_a_client,
    "fragments": fragments,
    "forged": forged,
    "control": control,
    "super_frames_of_a_byte": super_frames_of_a_byte,
    "super_frames": super_frames,
    "resets": strangers(RESET),
    "resets_in_super_frames": strangers_super_frames(RESET),
    "proofs": strangers(PROOF),
    "proofs_in_super_frames": strangers_super_frames(PROOF),
    "data": strangers(b"\x48" + bytes(40)),
    "short": strangers(b""),
    "moves": moves,
    "moves_in_super_frames": moves_in_super_frames,
}


def steps_of(attack: Attack, frames: list[bytes], *, counted: bool = True) -> list[Cost]:
    """The steps of frames that come as fast as the device gives them."""
    gateway = attack.world.gateway
    costs: list[Cost] = []
    for _ in range(2000):
        taken: list[bytes] = []
        if gateway.wants_frames:
            taken, frames = frames[:FRAMES], frames[FRAMES:]
        deadline = gateway.next_deadline()
        if not taken and not frames and (deadline is None or deadline > attack.world.now):
            return costs
        costs.append(step_cost(attack.world, taken, counted))
    raise AssertionError("the frames do not come to an end")
