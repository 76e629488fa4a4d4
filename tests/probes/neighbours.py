"""ARP: whose questions are answered, and whom the target believes (T32)."""

from __future__ import annotations

import itertools
import socket
import struct
import time

from tests.probes.peer import MSS_OPTION, Peer, Wrong, tell_all
from tests.probes.probe import Linux, probe
from tests.world import frames
from tests.world.frames import RST, SYN, Arp, Segment

REQUEST, REPLY = 1, 2
EVIL = bytes.fromhex("02000000ee0e")


def ask(peer: Peer, packet: bytes, to: bytes = frames.BROADCAST) -> str:
    """Answer to an ARP packet."""
    peer.wire.send(frames.ethernet(to, peer.host.mac, frames.TYPE_ARP, packet))
    peer.settle()
    return tell_all(told(peer, one) for one in peer.others(Arp) if isinstance(one, Arp) and one.operation == REPLY)


def told(peer: Peer, one: Arp) -> str:
    right = (one.to, one.sender_mac, one.sender) == (peer.host.mac, peer.target.mac, peer.target.address)
    return "a reply" if right else f"a reply from {one.sender_mac.hex(':')} for {one.sender}"


def question(peer: Peer, sender: str, target: str) -> bytes:
    """An ARP request of ours."""
    return frames.arp(REQUEST, peer.host.mac, sender, bytes(6), target)


@probe("T32", "a reply, a reply")
def arp_requests_for_the_target(peer: Peer) -> str:
    """A request for its address is answered, by broadcast as well as directly."""
    packet = question(peer, peer.host.address, peer.target.address)
    return f"{ask(peer, packet)}, {ask(peer, packet, peer.target.mac)}"


@probe("T32", "3 × nothing")
def arp_requests_for_others(peer: Peer) -> str:
    """Requests for another address, for the router's and for the link's broadcast address are not."""
    return tell_all(
        ask(peer, question(peer, peer.host.address, address)) for address in ("10.0.0.77", "10.0.0.1", "10.0.3.255")
    )


@probe("T32", "a reply")
def an_arp_probe(peer: Peer) -> str:
    """A probe (RFC 5227: no sender's address yet) for the target's address is answered: no other host may take it."""
    return ask(peer, question(peer, "0.0.0.0", peer.target.address))


@probe("T32", "4 × nothing")
def broken_arp(peer: Peer) -> str:
    """Another hardware, another protocol, other lengths of addresses, an unknown operation: none is answered."""
    right = question(peer, peer.host.address, peer.target.address)
    odd = [struct.pack(">HHBBH", *words) + right[8:] for words in (
        (9, 0x0800, 6, 4, 1), (1, 0x86DD, 6, 4, 1), (1, 0x0800, 8, 4, 1), (1, 0x0800, 6, 4, 77),
    )]  # fmt: skip
    return tell_all(ask(peer, packet) for packet in odd)


@probe("T32", "SYN|ACK")
def somebody_claims_the_targets_address(peer: Peer) -> str:
    """Announcements and replies with the target's own address as sender do not disturb it."""
    for operation in (REQUEST, REPLY):
        packet = frames.arp(operation, EVIL, peer.target.address, bytes(6), peer.target.address)
        peer.wire.send(frames.ethernet(frames.BROADCAST, EVIL, frames.TYPE_ARP, packet))
    peer.settle()
    return peer.syn(MSS_OPTION).names


def macs_of_answers(peer: Peer) -> set[bytes]:
    """To whom the target sends a SYN|ACK for our address now."""
    port = peer.port
    before = len(peer.host.raw)
    peer.tell(port, 1000, 0, SYN, options=MSS_OPTION)
    if peer.answer(port) is None:
        raise Wrong("no SYN|ACK came")
    peer.tell(port, 1001, 0, RST)
    time.sleep(0.1)
    wanted = socket.inet_aton(peer.host.address)
    return {frame[:6] for frame in peer.host.raw[before:] if frame[12:14] == b"\x08\0" and frame[30:34] == wanted}


@probe(
    "T32",
    "believed: no one",
    linux=Linux("believed: announcement, reply", "it lets any ARP overwrite a neighbour that it has"),
)
def gratuitous_arp_of_another(peer: Peer) -> str:
    """Announcements and unasked replies in another's name do not turn his packets away (ARP spoofing)."""
    peer.settle()
    believed = []
    for name, operation, to in (("announcement", REQUEST, peer.host.address), ("reply", REPLY, peer.target.address)):
        time.sleep(1.2)
        mac = frames.BROADCAST if operation == REQUEST else peer.target.mac
        packet = frames.arp(operation, EVIL, peer.host.address, peer.target.mac, to)
        peer.wire.send(frames.ethernet(mac, EVIL, frames.TYPE_ARP, packet))
        if EVIL in macs_of_answers(peer):
            believed.append(name)
        time.sleep(1.2)
        ask(peer, question(peer, peer.host.address, peer.target.address))  # the right one again
    return f"believed: {', '.join(believed) or 'no one'}"


@probe("T32", "it asks")
def an_unasked_reply_is_not_learned(peer: Peer) -> str:
    """An unrequested reply makes no neighbour: the target asks before it answers that address."""
    packet = frames.arp(REPLY, EVIL, peer.host.address, peer.target.mac, peer.target.address)
    peer.wire.send(frames.ethernet(peer.target.mac, EVIL, frames.TYPE_ARP, packet))
    time.sleep(0.3)
    peer.tell(peer.port, 1000, 0, SYN, options=MSS_OPTION)
    one = peer.host.take(lambda one: not isinstance(one, Arp) or one.operation == REQUEST, time.monotonic() + 5)
    return "it asks" if isinstance(one, Arp) else "it answers" if isinstance(one, Segment) else "nothing"


@probe("T32", "three times, a second apart")
def unanswered_requests(peer: Peer) -> str:
    """A silent host is asked again once a second, not for every packet (RFC 1122 2.3.2.1)."""
    peer.host.answers_arp = False
    times = []
    until = time.monotonic() + 2.7
    port = peer.port
    while time.monotonic() < until:
        peer.tell(port, 1000, 0, SYN, options=MSS_OPTION)
        one = peer.host.take(lambda one: isinstance(one, Arp), time.monotonic() + 0.1)
        if one is not None:
            times.append(one.at)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    right = len(times) == 3 and all(0.8 < gap < 1.4 for gap in gaps)
    return "three times, a second apart" if right else f"{len(times)} times, {gaps}"
