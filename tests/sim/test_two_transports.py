"""Clients over UDP and TCP of one gateway: one pool, one list of names, packets across."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from tests.unit.gateway.gateway_world import ADDRESS, OUTSIDE, Remote, query
from tests.unit.gateway.udp_world import UdpRemote, UdpWorld

from hognose.drops import DropReason, Stat
from hognose.units import SECOND

ORDERS = [("udp", "tcp"), ("tcp", "udp"), ("udp", "udp")]


def answer_to(world: UdpWorld) -> None:
    """The host outside answers the last packet that it got."""
    port = world.outside[-1][UDP].sport
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / b"answer")


def payloads(remote: Remote) -> list[bytes]:
    return [bytes(packet[UDP].payload) for packet in remote.take()]


@pytest.mark.parametrize(("first", "second"), ORDERS)
def test_of_one_name_the_newer_session_wins(first: str, second: str) -> None:
    """And has the older one's address and flows."""
    world = UdpWorld()
    older = world.any_client(first, "alice", "192.0.2.11")
    assert older.inner(query("10.8.0.2")) == []
    newer = world.any_client(second, "alice", "192.0.2.12")
    assert (older.tunnel_address, newer.tunnel_address) == ("10.8.0.2", "10.8.0.2")
    assert [(event["common_name"], event["reason"]) for event in world.events_of("client_ended")] == [
        ("alice", "replaced")
    ]
    answer_to(world)
    assert (payloads(newer), older.take(), world.gateway.client_count) == ([b"answer"], [], 1)
    assert older.inner(query("10.8.0.2")) == []
    assert len(world.outside) == 1


@pytest.mark.parametrize(("first", "second"), ORDERS)
def test_with_duplicate_cn_both_go_on(first: str, second: str) -> None:
    world = UdpWorld("duplicate-cn")
    older = world.any_client(first, "alice", "192.0.2.11")
    newer = world.any_client(second, "alice", "192.0.2.12")
    assert (older.tunnel_address, world.gateway.client_count) == ("10.8.0.2", 2)
    assert newer.tunnel_address != "10.8.0.2"
    for one in (older, newer):
        one.inner(query(one.tunnel_address))
        answer_to(world)
        assert payloads(one) == [b"answer"]
    assert world.events_of("client_ended") == []


def test_packets_go_across_in_both_directions() -> None:
    world = UdpWorld()
    alice, bob = world.any_client("udp", "alice", "192.0.2.11"), world.any_client("tcp", "bob", "192.0.2.12")
    for source, there, remote in ((alice, bob.tunnel_address, bob), (bob, alice.tunnel_address, alice)):
        packet = IP(src=source.tunnel_address, dst=there) / UDP(sport=5, dport=7) / bytes(1200)
        assert source.inner(*[packet] * 3) == []
        arrived = remote.take()
        assert [(one.src, one.dst, bytes(one[UDP].payload)) for one in arrived] == [
            (source.tunnel_address, there, bytes(1200))
        ] * 3
    assert world.stat(Stat.CLIENT_TO_CLIENT_PACKETS) == 6


def test_two_clients_behind_one_address() -> None:
    world = UdpWorld()
    world.remote_type = UdpRemote
    both = [world.client(name, "192.0.2.11", port) for name, port in (("alice", 40_000), ("bob", 40_001))]
    for one in both:
        one.inner(query(one.tunnel_address, payload=one.tunnel_address.encode()))
        answer_to(world)
        assert payloads(one) == [b"answer"]
    assert world.gateway.client_count == 2
    assert world.dropped(DropReason.FLOAT_REFUSED) == 0


def test_a_client_that_starts_again_at_its_port_is_back_at_once() -> None:
    """openvpn 2.6 took 32 s for that; the flows of its name are kept."""
    world = UdpWorld()
    older = world.udp_client("alice", "192.0.2.11")
    older.inner(query("10.8.0.2"))
    world.rest(1)
    began = world.now
    newer = world.udp_client("alice", "192.0.2.11")
    assert newer is not older
    answer_to(world)
    assert payloads(newer) == [b"answer"]
    assert world.now - began < 3 * SECOND
    assert [event["reason"] for event in world.events_of("client_ended")] == ["replaced"]
    assert world.gateway.client_count == 1
