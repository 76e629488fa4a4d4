"""Every container in a peer's state names its bound, and keeps it after whatever the peer sends.

The live objects are walked: what can be reached from one peer and not from another is its own. A new attribute that
holds a container fails here until BOUNDS names what bounds it: a field of limits.py or a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from functools import cache

import pytest
from scapy.layers.inet import IP, UDP
from tests.sim.segments import Segment
from tests.unit.gateway.bounds import Bound, entries, total
from tests.unit.gateway.gateway_world import ADDRESS, OUTSIDE, GatewayWorld, Remote, query
from tests.unit.gateway.object_graph import Held, reachable, size_of
from tests.unit.openvpn.client import PEER_INFO, _Negotiation

from hognose.limits import Limits, StepLimits, TcpLimits
from hognose.units import KIB
from hognose.vpn.peer import Peer
from hognose.wire.openvpn import CONTROL_V1, build_control_body

EPOCH = PEER_INFO.replace("IV_PROTO=990", "IV_PROTO=8094")
CBC = PEER_INFO.replace("AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", "AES-256-CBC")
# Small ones, so that a fill is quick; what has no buffer here keeps its default.
LIMITS = Limits(
    tcp=TcpLimits(receive_buffer=64 * KIB, send_buffer=64 * KIB, reassembly_ranges=24, sack_ranges=24),
    step=StepLimits(records=32, client_bytes=8 * KIB),
    client_queue=32 * KIB,
)


# Shapes that the code or a protocol fixes: bytes of a key, an identifier or an address, members of a tuple.
FIXED = {
    "TcpConnection.key": 6, "Rack.records[]": 4, "StreamTransport.key": 6,
    "StreamTransport.endpoint": 2, "Peer.session_id": 8, "Peer.address": 4, "Admission.address": 4,
    "Admission.netmask": 4, "Path.ends": 12, "Path.next_hop": 4,
    "Negotiations.session_id": 8, "Negotiations.remote_id": 8, "OpenSslEndpoint.sha256": 32,
    "ClientKeyMessage.pre_master": 48, "ClientKeyMessage.random1": 32, "ClientKeyMessage.random2": 32,
    "ServerKeyMessage.random1": 32, "ServerKeyMessage.random2": 32, "Agreement.push": 4,
    "SessionWrap.base_key": 256, "SessionWrap.dynamic_key": 256,
    "TlsCryptWrap.receive_hmac": 32, "TlsCryptWrap.receive_key": 32,
    "TlsCryptWrap.send_hmac": 32, "TlsCryptWrap.send_key": 32, "Keyring.head": 4, "AeadRecords.open_iv": 8,
    "AeadRecords.seal_iv": 8, "AeadRecords.keys": 256, "CbcRecords.keys": 256, "EpochRecords.keys": 256,
    "EpochKey.secret": 32, "EpochKey.iv_tail": 4, "CbcRecords.open_hmac": 64,
    "CbcRecords.seal_hmac": 64,
}  # fmt: skip
BOUNDS: dict[str, Bound] = {
    # the TCP connection
    "Receiver.ready": total("TcpLimits.receive_buffer"),
    "Reassembly.chunks": total("TcpLimits.receive_buffer"),
    "Reassembly.chunks[]": entries("TcpLimits.reassembly_ranges", times=16),  # CHUNKS_PER_RANGE for all ranges
    "Reassembly.starts": entries("TcpLimits.reassembly_ranges"),
    "Reassembly.ends": entries("TcpLimits.reassembly_ranges"),
    "Reassembly.recent": entries("tcp.reassembly:RECENT"),
    "SendBuffer.pieces": total("TcpLimits.send_buffer"),
    "SendBuffer.starts": entries("TcpLimits.send_buffer", plus=512),  # no piece is empty; and _COMPACT_AT old ones
    "Rack.records": entries("TcpLimits.send_buffer"),  # each covers bytes in flight that no other one covers
    "RangeSet.starts": entries("TcpLimits.sack_ranges", times=3),  # twice, and what removals split
    "RangeSet.ends": entries("TcpLimits.sack_ranges", times=3),
    "Scoreboard.starts": entries("TcpLimits.sack_ranges"),
    "Scoreboard.ends": entries("TcpLimits.sack_ranges"),
    # records and their control channel
    "RecordSplitter.rest": total("StepLimits.client_bytes"),
    "Session.held": entries("StepLimits.records"),
    "Reliability.acks": entries("OpenvpnLimits.control_acks"),
    "Reliability.recent": entries("wire.openvpn:MAX_ACKS"),
    "Reliability.early": entries("OpenvpnLimits.control_window"),
    "Reliability.flying": entries("OpenvpnLimits.control_send_window"),
    "Reliability.queue": total("OpenvpnLimits.control_queue_bytes"),
    "_Message.payload": total("OpenvpnLimits.record_len"),
    "KeyState.plaintext": total("OpenvpnLimits.handshake_bytes"),
    "MessageReader.rest": total("OpenvpnLimits.control_string"),
    "ControlChannel.events": entries("OpenvpnLimits.control_turn", plus=1),  # drained in the step that made them
    "ClientOptions.peer_info": entries("openvpn.control.key_exchange:PEER_INFO_LINES"),
    "ClientKeyMessage.peer_info": entries("openvpn.control.key_exchange:PEER_INFO_LINES"),
    "OpenSslEndpoint.chain": total("OpenvpnLimits.handshake_bytes"),
    # the data channel
    "Peer.down": entries("StepLimits.split_packets"),  # sealed, or dropped, in the step that brought them
    "Keyring.keys": entries("wire.openvpn:KEY_IDS"),
    "Keyring.by_first_byte": entries("wire.openvpn:KEY_IDS", times=2),  # V1 and V2
    "EpochRecords.future": entries("openvpn.data.epoch:FUTURE_KEYS"),
    "EpochRecords.secrets": entries("openvpn.data.epoch:FUTURE_KEYS"),
    "ReplayWindow.marks": entries("openvpn.data.formats:MAX_REPLAY_TIME", plus=6),  # one a second, and REAP_INTERVAL
}


# -- peers in many states, and what they do ----------------------------------------------------------------------------


def packets_from_outside(world: GatewayWorld, remote: Remote, count: int, size: int) -> None:
    """Answers to a query of the client: inner packets that the gateway is to deliver."""
    world.outside.clear()
    remote.inner(query(remote.tunnel_address))
    port = world.outside[-1][UDP].sport
    for _ in range(count):
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / bytes(size))


def an_idle_client(world: GatewayWorld) -> Remote:
    return world.client("mallory", "203.0.113.9")


def a_stranger_with_half_a_record(world: GatewayWorld) -> Remote:
    remote = world.remote("203.0.113.9")
    remote.send((2000).to_bytes(2, "big") + bytes(1999))
    world.frames()
    return remote


def a_burst_of_small_records(world: GatewayWorld) -> Remote:
    """Far more than a step works on."""
    remote = world.client("mallory", "203.0.113.9")
    world.rest(1)
    assert remote.vpn is not None
    remote.records(*[remote.vpn.seal(b"\x45") for _ in range(1000)])
    world.frames()
    return remote


def a_burst_of_control_messages(world: GatewayWorld) -> Remote:
    """Far more than a turn works on, all of them valid, in one step."""
    remote = world.client("mallory", "203.0.113.9")
    world.rest(1)
    remote.records(*(out_of_order(remote, 50 + number, b"") for number in range(200)))
    world.frames()
    return remote


def gaps_in_the_stream(world: GatewayWorld) -> Remote:
    """Single bytes beyond the window's start, none next to another."""
    remote = world.client("mallory", "203.0.113.9")
    world.rest(1)
    for number in range(400):
        remote.out.append(Segment(remote.seq + 2 + 2 * number, remote.ack, "PA", 65535, b"x"))
        if number % 50 == 0:
            world.frames()
    world.frames()
    return remote


def chunks_of_one_byte(world: GatewayWorld) -> Remote:
    """One long range in pieces of one byte."""
    remote = world.client("mallory", "203.0.113.9")
    world.rest(1)
    for number in range(1000):
        remote.out.append(Segment(remote.seq + 2 + number, remote.ack, "PA", 65535, b"x"))
    world.frames()
    return remote


def a_reader_that_stopped(world: GatewayWorld) -> Remote:
    remote = world.client("mallory", "203.0.113.9")
    world.rest(1)
    remote.reads = False
    packets_from_outside(world, remote, 200, 1300)
    packets_from_outside(world, remote, 2000, 1)
    return remote


def control_messages_out_of_order(world: GatewayWorld) -> Remote:
    """Far more of them, and of acknowledgements, than any window."""
    remote = world.client("mallory", "203.0.113.9")
    world.rest(1)
    for round_ in range(3):
        remote.records(*(out_of_order(remote, 1 + round_ * 40 + number) for number in range(40)))
        world.frames()
    return remote


def out_of_order(remote: Remote, beyond: int, payload: bytes = bytes(1100)) -> bytes:
    vpn = remote.vpn
    assert vpn is not None
    negotiation: _Negotiation = vpn.negotiations[0]
    body = build_control_body((0, 1, 5000, 5001), vpn.server_sid, negotiation.next_out + beyond, payload)
    return vpn.wrapped(CONTROL_V1, negotiation, body)


def a_string_without_end(world: GatewayWorld) -> Remote:
    remote = world.client("mallory", "203.0.113.9")
    assert remote.vpn is not None
    for text in (b"x" * 9000, b"x" * 5000 + b"\0", b"x" * 4000, b"x" * 90):
        remote.vpn.say_bytes(text, world.now)
        world.rest(3)
    return remote


def a_string_far_too_long(world: GatewayWorld) -> Remote:
    remote = world.client("mallory", "203.0.113.9")
    assert remote.vpn is not None
    for _ in range(5):
        remote.vpn.say_bytes(b"x" * 4000, world.now)
        world.rest(3)
    return remote


def a_key_message_that_does_not_end(world: GatewayWorld) -> Remote:
    remote = world.start("mallory", "203.0.113.9", username="x" * 3000, password="y" * 3000, cut=lambda one: [one[:-1]])
    world.rest(10)
    return remote


def single_bytes_reported(world: GatewayWorld) -> Remote:
    """SACK blocks of one byte each, far apart and many, of what is in flight (CVE-2019-11477)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Remote, "connect", connect_with_sack)
        remote = world.client("mallory", "203.0.113.9")
    packets_from_outside(world, remote, 3, 1300)
    remote.reads = False
    packets_from_outside(world, remote, 40, 1300)
    for number in range(60):
        at = remote.ack + 20 + 12 * number
        blocks = [(at + 4 * block, at + 4 * block + 1) for block in range(3)]
        remote.out.append(Segment(remote.seq, remote.ack, "A", 65535, sack=blocks))
        world.frames()
    return remote


def connect_with_sack(remote: Remote) -> None:
    remote.out.append(Segment(remote.seq, 0, "S", 65535, mss=1460, sack_ok=True))
    remote.seq += 1


def replies_that_are_not_acknowledged(world: GatewayWorld) -> Remote:
    """Requests again and again, of a client that acknowledges nothing."""
    remote = world.client("mallory", "203.0.113.9")
    assert remote.vpn is not None
    world.rest(31)
    remote.reads = False
    for _ in range(30):
        remote.vpn.say("PUSH_REQUEST", world.now)
        world.frames()
    return remote


def renegotiations(world: GatewayWorld) -> Remote:
    """Through all key ids and once more."""
    remote = world.client("mallory", "203.0.113.9")
    for _ in range(9):
        world.rest(61)
        assert remote.vpn is not None
        key_id = remote.vpn.renegotiate(world.now)
        world.run(lambda key_id=key_id, vpn=remote.vpn: key_id in vpn.data_keys, 20)  # type: ignore[misc]  # bound to this round
    return remote


def a_renegotiation_under_way(world: GatewayWorld) -> Remote:
    remote = world.client("mallory", "203.0.113.9")
    world.rest(61)
    assert remote.vpn is not None
    remote.vpn.renegotiate(world.now)
    remote.reads = False
    world.frames()
    return remote


def epoch_keys(world: GatewayWorld) -> Remote:
    remote = world.client("mallory", "203.0.113.9", peer_info=EPOCH)
    remote.inner(*[query(remote.tunnel_address)] * 20)
    return remote


def cbc_records(world: GatewayWorld) -> Remote:
    remote = world.client("mallory", "203.0.113.9", peer_info=CBC)
    remote.inner(*[query(remote.tunnel_address)] * 20)
    return remote


def much_peer_info(world: GatewayWorld) -> Remote:
    info = PEER_INFO + "".join(f"UV_{number}=x\n" for number in range(150))
    return world.client("mallory", "203.0.113.9", peer_info=info)


def packets_for_a_long_time(world: GatewayWorld) -> Remote:
    """Longer than replay times and key timers."""
    remote = world.client("mallory", "203.0.113.9")
    for _ in range(60):
        remote.inner(query(remote.tunnel_address))
        world.rest(1.1)
    return remote


STATES: list[Callable[[GatewayWorld], Remote]] = [
    a_burst_of_small_records, a_burst_of_control_messages, an_idle_client, a_stranger_with_half_a_record,
    gaps_in_the_stream, chunks_of_one_byte, a_reader_that_stopped,
    control_messages_out_of_order, a_string_without_end, a_string_far_too_long, a_key_message_that_does_not_end,
    single_bytes_reported, replies_that_are_not_acknowledged, renegotiations, a_renegotiation_under_way,
    epoch_keys, cbc_records, much_peer_info, packets_for_a_long_time,
]  # fmt: skip
# How far a fill must come, so that its bound was put to the test: shares of the bound.
FILLED = {
    "Reassembly.starts": 1.0, "Reassembly.ends": 1.0, "Reassembly.chunks[]": 1.0, "Reassembly.recent": 1.0,
    "Reliability.early": 0.9, "RecordSplitter.rest": 0.8, "MessageReader.rest": 0.9, "SendBuffer.pieces": 0.4,
    "ClientOptions.peer_info": 1.0, "Keyring.keys": 1.0, "ReplayWindow.marks": 0.02, "Scoreboard.starts": 0.9,
    "Reliability.recent": 1.0, "KeyState.plaintext": 0.02,
}  # fmt: skip


def own_containers(peer: Peer, other: Peer) -> list[Held]:
    """Objects of one peer that the other has not: its session, its connection, its buffers."""
    mine, _ = reachable(peer)
    theirs, _ = reachable(other)
    assert id(other) not in mine, "one peer's state leads to another's"
    return reachable(peer, [one for number, one in mine.items() if number in theirs])[1]


@cache
def largest(state: Callable[[GatewayWorld], Remote]) -> dict[str, int]:
    """The largest container of each name after that."""
    world = GatewayWorld("keepalive 1000 10000", "data-ciphers AES-256-GCM:AES-256-CBC", limits=LIMITS)
    world.client("alice")
    (bystander,) = world.gateway.service.table.by_transport.values()
    state(world)
    found: dict[str, int] = {}
    for peer in world.gateway.service.table.by_transport.values():
        if peer is not bystander:
            for name, container in own_containers(peer, bystander):
                in_bytes = isinstance(container, bytes) or (name in BOUNDS and BOUNDS[name].unit == "bytes")
                assert isinstance(container, Sized)
                size = size_of(container) if in_bytes else len(container)
                found[name] = max(found.get(name, 0), size)
    return found


@pytest.mark.stress
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_every_container_of_a_peer_names_its_bound_and_keeps_it(state: Callable[[GatewayWorld], Remote]) -> None:
    found = largest(state)
    assert found
    unknown = set(found) - set(FIXED) - set(BOUNDS)
    assert unknown == set(), "containers of a peer: name in BOUNDS what bounds each"
    most = FIXED | {name: bound.most(LIMITS) for name, bound in BOUNDS.items()}
    assert [f"{name}: {size}, more than {most[name]}" for name, size in found.items() if size > most[name]] == []


@pytest.mark.stress
def test_no_row_is_left_of_what_is_gone() -> None:
    seen = set().union(*map(largest, STATES))
    assert (set(BOUNDS) | set(FIXED)) - seen == set()


@pytest.mark.parametrize("name", FILLED)
def test_the_fill_comes_near_the_bound(name: str) -> None:
    """Or the test above would say nothing."""
    assert max(largest(state).get(name, 0) for state in STATES) >= FILLED[name] * BOUNDS[name].most(LIMITS)


def test_a_container_without_a_bound_is_found() -> None:
    """Objects that the walk must see: slots, dataclass fields, containers in containers, owners of bound methods."""
    world = GatewayWorld(limits=LIMITS)
    world.client("alice")
    world.client("bob", "192.0.2.12")
    alice, bob = world.gateway.service.table.by_transport.values()
    assert alice.session is not None
    alice.session._surprise = {1: [bytearray(5)]}  # type: ignore[attr-defined]  # of this kind only
    names = {name for name, _ in own_containers(alice, bob)}
    assert {"Session.surprise", "Session.surprise[]", "Session.surprise[][]", "Peer.down", "Rack.records"} <= names
