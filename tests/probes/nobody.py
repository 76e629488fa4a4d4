"""Segments of no connection: when a RST comes back, when nothing may (RFC 9293 3.5.2, 3.10.7.1 to 3.10.7.4; T4, T6)."""

from __future__ import annotations

import time

from tests.probes.peer import MSS_OPTION, Conn, Peer, Target, distance, tell_all
from tests.probes.probe import Linux, probe
from tests.world import frames
from tests.world.frames import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Segment
from tests.world.wire import Host

OF_A_NAT = "the other ports of this address belong to clients behind the NAT, and it is silent there (RFC 5382 REQ-4)"
SEQ, THEIR = 1000, 5000  # the numbers of a stray segment


def stray(peer: Peer, flags: int, data: bytes = b"", *, to: Target | None = None) -> str:
    """Answer to one segment: for a RST, its distance from the numbers that make the sender believe it."""
    port = peer.port
    target = to or peer.target
    text = frames.tcp((peer.host.address, port), (target.address, target.port), SEQ, THEIR, flags, data=data)
    peer.frame(peer.packet(6, text))
    length = len(data) + bool(flags & SYN) + bool(flags & FIN)
    told = []
    for one in peer.all(port):
        words = [one.names, *distance("seq", one.seq, THEIR if flags & ACK else 0)]
        words += distance("ack", one.ack, SEQ + length) if one.flags & ACK else []
        told.append(" ".join(words))
    return tell_all(told)


@probe("T6", "RST")
def an_ack_for_nobody(peer: Peer) -> str:
    """An ACK without a connection is answered with a RST whose number is the one that was acknowledged."""
    return stray(peer, ACK)


@probe("T6", "RST")
def text_for_nobody(peer: Peer) -> str:
    """So is text with an acknowledgement."""
    return stray(peer, ACK | PSH, b"hello")


@probe("T6", "RST")
def a_fin_for_nobody(peer: Peer) -> str:
    """And a FIN with one."""
    return stray(peer, FIN | ACK)


@probe("T6", "RST")
def a_syn_ack_for_nobody(peer: Peer) -> str:
    """A SYN|ACK without a SYN is answered with a RST (RFC 9293 3.10.7.2)."""
    return stray(peer, SYN | ACK)


@probe("T6", "nothing, nothing")
def a_rst_for_nobody(peer: Peer) -> str:
    """A RST is never answered, with or without ACK."""
    return f"{stray(peer, RST)}, {stray(peer, RST | ACK)}"


@probe("T4", "nothing, nothing, nothing")
def neither_syn_nor_ack_in_listen(peer: Peer) -> str:
    """In LISTEN, segments without SYN, ACK and RST (nothing, text, a FIN) are dropped (RFC 9293 3.10.7.2, fourth)."""
    return ", ".join(stray(peer, flags, data) for flags, data in ((0, b""), (PSH, b"hello"), (FIN, b"")))


@probe("T4", "nothing")
def syn_and_fin_together(peer: Peer) -> str:
    """A SYN|FIN opens nothing."""
    return stray(peer, SYN | FIN)


@probe("T4", "nothing")
def syn_and_rst_together(peer: Peer) -> str:
    """A SYN|RST is a RST."""
    return stray(peer, SYN | RST)


@probe("T6", "nothing", linux=Linux("RST|ACK", OF_A_NAT))
def a_syn_to_a_closed_port(peer: Peer) -> str:
    """A SYN to another port."""
    return stray(peer, SYN, to=Target("", peer.target.address, b"", 1195))


@probe("T6", "nothing", linux=Linux("RST", OF_A_NAT))
def an_ack_to_a_closed_port(peer: Peer) -> str:
    """An ACK to another port."""
    return stray(peer, ACK, to=Target("", peer.target.address, b"", 1195))


@probe("T6", "nothing")
def a_rst_to_a_closed_port(peer: Peer) -> str:
    """A RST to another port."""
    return stray(peer, RST, to=Target("", peer.target.address, b"", 1195))


@probe("T4", "2 × SYN|ACK")
def a_syn_with_other_flags(peer: Peer) -> str:
    """A SYN that asks for ECN, and one with text and the urgent flag, are SYNs like others."""
    found = []
    for flags, data in ((SYN | ECE | CWR, b""), (SYN | PSH | URG, b"text")):
        port = peer.port
        peer.tell(port, SEQ, 0, flags, options=MSS_OPTION, data=data)
        found.append(peer.must_answer(port, SYN | ACK).names)
    return tell_all(found)


@probe(
    "T21",
    "at most 40 of 200, others are answered",
    linux=Linux("all of 200, others are answered", "it sets no limit to RSTs; one that all share could be counted"),
    alone=True,  # in each second it uses up the answers of one group of sources in 64
)
def resets_are_limited(peer: Peer) -> str:
    """ACKs without a connection bring some RSTs a second only, and those of one source use up nothing of all others'
    (RFC 5961 section 7)."""
    port = peer.port
    for number in range(200):
        peer.tell(port, SEQ + number, THEIR, ACK)
    count = len(peer.all(port))
    told = "all of" if count == 200 else "at most 40 of" if 1 <= count <= 40 else f"{count} of"
    answered = [stray(peer.beyond(number), ACK) for number in range(3)]
    return f"{told} 200, others are {'' if 'RST' in answered else 'not '}answered"


@probe("T4", "RST; then 28 bytes")
def a_wrong_acknowledgement_in_syn_received(peer: Peer) -> str:
    """The third segment acknowledges another number: a RST, and the handshake can still be completed."""
    conn = Conn(peer, peer.port, MSS_OPTION, 65535, stamps=False)
    peer.tell(conn.port, conn.iss, 0, SYN, options=MSS_OPTION)
    answer = peer.must_answer(conn.port, SYN | ACK)
    conn.snd, conn.rcv = answer.ack, answer.end
    conn.send(ACK, ack=77)
    resets = [" ".join([one.names, *distance("seq", one.seq, conn.rcv + 77)]) for one in conn.all()]
    return f"{tell_all(resets)}; then {len(conn.greet())} bytes"


@probe("T4", "28 bytes")
def text_with_the_third_segment(peer: Peer) -> str:
    """The segment that completes the handshake has text already."""
    conn = Conn(peer, peer.port, MSS_OPTION, 65535, stamps=False)
    peer.tell(conn.port, conn.iss, 0, SYN, options=MSS_OPTION)
    answer = peer.must_answer(conn.port, SYN | ACK)
    conn.snd, conn.rcv = answer.ack, answer.end
    return f"{len(conn.greet())} bytes"


@probe("T4", "28 bytes")
def text_before_the_third_segment(peer: Peer) -> str:
    """The acknowledgement of the SYN-ACK was lost, and the second part of the text came before the first."""
    conn = Conn(peer, peer.port, MSS_OPTION, 65535, stamps=False)
    peer.tell(conn.port, conn.iss, 0, SYN, options=MSS_OPTION)
    answer = peer.must_answer(conn.port, SYN | ACK)
    conn.snd, conn.rcv = answer.ack, answer.end
    conn.send(ACK, conn.reset_record[8:], seq=8)
    conn.send(ACK, conn.reset_record[:8])
    conn.snd += 16
    return f"{len(conn.greeting())} bytes"


SYN_PORT = 4321  # that SYNs of syn_packet come from


def silent_towards(peer: Peer, host: Host, frame: bytes) -> str:
    """Answer of a host to a frame with a SYN, once the target has settled."""
    peer.wire.send(frame)
    peer.settle()
    ports = (SYN_PORT, peer.target.port)  # not that of the SYN which has told that it has settled
    found = host.take_all(
        lambda one: isinstance(one, Segment) and one.source == peer.target.address and one.dport in ports
    )
    return tell_all(one.names for one in found if isinstance(one, Segment))


def syn_packet(source: str, to: Target, address: str = "") -> bytes:
    """An IPv4 packet with a SYN from SYN_PORT."""
    text = frames.tcp((source, SYN_PORT), (address or to.address, to.port), SEQ, 0, SYN, options=MSS_OPTION)
    return frames.ipv4(source, address or to.address, 6, text)


@probe("T6", "nothing")
def a_syn_from_the_target_itself(peer: Peer) -> str:
    """LAND: source and destination are the target's own address and port."""
    itself = peer.wire.join(peer.target.address, peer.router.mac)
    itself.answers_arp = False
    source = (peer.target.address, peer.target.port)
    text = frames.tcp(source, source, SEQ, 0, SYN, options=MSS_OPTION)
    packet = frames.ipv4(source[0], source[0], 6, text)
    return silent_towards(peer, itself, frames.ethernet(peer.target.mac, peer.router.mac, frames.TYPE_IPV4, packet))


@probe("T6", "nothing")
def syns_from_groups_and_nowhere(peer: Peer) -> str:
    """SYNs from a multicast, the broadcast, the zero, a loopback and the link's own broadcast address."""
    found = []
    for address in ("224.0.0.5", "255.255.255.255", "0.0.0.0", "127.0.0.1", "10.0.3.255"):
        host = peer.wire.join(address, peer.router.mac)
        packet = syn_packet(address, peer.target)
        frame = frames.ethernet(peer.target.mac, peer.router.mac, frames.TYPE_IPV4, packet)
        if (told := silent_towards(peer, host, frame)) != "nothing":
            found.append(f"{address}: {told}")
    return ", ".join(found) or "nothing"


@probe("T6", "nothing, nothing, nothing")
def syns_to_groups(peer: Peer) -> str:
    """SYNs to all hosts, to the link's broadcast address and to a multicast address, in frames for the target."""
    found = []
    for address in ("255.255.255.255", "10.0.3.255", "224.0.0.1"):
        packet = syn_packet(peer.host.address, peer.target, address)
        frame = frames.ethernet(peer.target.mac, peer.host.mac, frames.TYPE_IPV4, packet)
        found.append(silent_towards(peer, peer.host, frame))
    return ", ".join(found)


@probe("T6", "nothing, nothing")
def syns_in_group_frames(peer: Peer) -> str:
    """SYNs to the target's own address in a broadcast and in a multicast frame (RFC 1122 3.3.6)."""
    found = []
    for mac in (frames.BROADCAST, bytes.fromhex("01005e000001")):
        packet = syn_packet(peer.host.address, peer.target)
        found.append(silent_towards(peer, peer.host, frames.ethernet(mac, peer.host.mac, frames.TYPE_IPV4, packet)))
    return ", ".join(found)


@probe(
    "T26", "RST|ACK after 10 s", linux=Linux("nothing", "how long to wait for a first byte is the application's matter")
)
def a_connection_that_says_nothing(peer: Peer) -> str:
    """The handshake is complete and no byte follows: it is ended after ten seconds."""
    conn = peer.open()
    began = time.time()
    one = conn.next(13)
    return f"{conn.told([one])} after {one.at - began:.0f} s" if one else "nothing"


@probe(
    "T26",
    "RST|ACK after 10 s",
    long=True,
    linux=Linux("nothing", "how long to wait for a first record is the application's matter"),
)
def a_connection_that_says_half_a_record(peer: Peer) -> str:
    """Some bytes, but never a whole record: ended after ten seconds too, counted from the handshake."""
    conn = peer.open()
    began = time.time()
    conn.say(conn.reset_record[:5])
    answers = conn.all()
    one = conn.next(13)
    return f"{conn.told([one])} after {one.at - began:.0f} s" if one and conn.told(answers) == "ACK" else "nothing"
