"""IPv4 packets around a SYN: broken headers, fragments, options; ICMP echo; frames (T1, T31)."""

from __future__ import annotations

from typing import Any

from tests.probes.peer import MSS_OPTION, Conn, Peer, Wrong, tell_all
from tests.probes.probe import Linux, probe
from tests.world import frames
from tests.world.frames import ACK, PSH, SYN, Icmp

OPTIONS = MSS_OPTION + frames.option(253, bytes(14))  # a SYN of 40 bytes, which fragments can be made of
LOOSE_ROUTE = b"\x83\x07\x04\x0a\0\0\x09\x00"
STRICT_ROUTE = b"\x89\x07\x04\x0a\0\0\x09\x00"
RECORD_ROUTE = b"\x07\x07\x04\0\0\0\0\x01"


def syn_in(peer: Peer, **fields: Any) -> str:
    """Answer to a SYN in a packet with odd fields."""
    port = peer.port
    peer.frame(peer.packet(6, peer.segment(port, 1000, 0, SYN, options=MSS_OPTION), **fields))
    return tell_all(one.names for one in peer.all(port))


def fragments_of(peer: Peer, text: bytes, cuts: list[tuple[int, int, bool]], **fields: Any) -> list[bytes]:
    """A TCP segment in fragments: from, to, and whether more follow."""
    ident = peer.port
    return [
        peer.packet(6, text[start:end], ident=ident, flags=int(more), offset=start, **fields)
        for start, end, more in cuts
    ]


def syn_in_fragments(peer: Peer, cuts: list[tuple[int, int, bool]], order: tuple[int, ...] = ()) -> str:
    """Answer to a SYN of 40 bytes that is cut like that."""
    port = peer.port
    packets = fragments_of(peer, peer.segment(port, 1000, 0, SYN, options=OPTIONS), cuts)
    for number in order or range(len(packets)):
        peer.frame(packets[number])
    return tell_all(one.names for one in peer.all(port))


@probe("T1", "nothing")
def a_bad_ip_checksum(peer: Peer) -> str:
    """A packet whose IPv4 checksum is wrong by one is dropped."""
    return syn_in(peer, wrong=1)


@probe("T31", "5 × nothing")
def headers_that_are_none(peer: Peer) -> str:
    """Version 6 or 0, a header of 16 bytes, a length shorter than the header, one longer than the frame."""
    odd: list[dict[str, object]] = [{"version": 6}, {"version": 0}, {"words": 4}, {"length": 19}, {"length": 100}]
    return tell_all(syn_in(peer, **fields) for fields in odd)


@probe("T31", "SYN|ACK; then 28 bytes")
def padding_is_no_text(peer: Peer) -> str:
    """Bytes of the frame after the packet's end count for nothing: a SYN and half a record with 20 of them."""
    conn = Conn(peer, peer.port, MSS_OPTION, 65535, stamps=False)
    peer.frame(peer.packet(6, peer.segment(conn.port, conn.iss, 0, SYN, options=MSS_OPTION)), padding=20)
    answer = peer.must_answer(conn.port, SYN | ACK)
    conn.snd, conn.rcv = answer.ack, answer.end
    conn.send()
    text = peer.segment(conn.port, conn.snd, conn.rcv, ACK | PSH, data=conn.reset_record[:8])
    peer.frame(peer.packet(6, text), padding=20)
    conn.snd += 8
    conn.say(conn.reset_record[8:])
    return f"{answer.names}; then {len(conn.greeting())} bytes"


@probe("T31", "SYN|ACK")
def a_ttl_of_1(peer: Peer) -> str:
    """A host takes packets whose TTL is used up (RFC 1122 3.2.1.7)."""
    return syn_in(peer, ttl=1)


@probe("T31", "TTL 64, DF, no options")
def the_header_of_answers(peer: Peer) -> str:
    """A SYN-ACK has a TTL of 64 (RFC 1700), and may not be cut, since the path's MTU is looked for."""
    header = peer.syn(MSS_OPTION).header
    return f"TTL {header[8]}, {'DF' if header[6] & 0x40 else 'no DF'}, {'no ' if len(header) == 20 else ''}options"


@probe("T31", "SYN|ACK, nothing, nothing, nothing")
def ip_options(peer: Peer) -> str:
    """NOPs and a recorded route are passed over, source routes are refused, a length of 0 is the packet's end."""
    return ", ".join(syn_in(peer, options=one) for one in (
        RECORD_ROUTE, LOOSE_ROUTE, STRICT_ROUTE, b"\x44\x00\0\0",
    ))  # fmt: skip


@probe("T31", "SYN|ACK")
def a_syn_in_two_fragments(peer: Peer) -> str:
    """A SYN in two fragments, in order."""
    return syn_in_fragments(peer, [(0, 24, True), (24, 40, False)])


@probe("T31", "SYN|ACK")
def a_syn_in_fragments_backwards(peer: Peer) -> str:
    """In three, the last one first, one of them twice."""
    return syn_in_fragments(peer, [(0, 24, True), (24, 32, True), (32, 40, False)], (2, 1, 2, 0))


@probe("T31", "nothing")
def overlapping_fragments(peer: Peer) -> str:
    """Fragments that overlap are dropped with all of their packet (RFC 5722, RFC 1858)."""
    return syn_in_fragments(peer, [(0, 32, True), (24, 40, False)])


@probe("T31", "nothing")
def an_overlap_and_then_the_rest(peer: Peer) -> str:
    """Nor does what was dropped for an overlap come to life with the fragment that was missing."""
    return syn_in_fragments(peer, [(0, 24, True), (16, 32, True), (24, 40, False)], (0, 1, 2))


@probe(
    "T31",
    "nothing, nothing",
    linux=Linux("SYN|ACK, SYN|ACK", "it looks at whole packets only; RFC 1858 and 3128 protect the filters in front"),
)
def tiny_fragments(peer: Peer) -> str:
    """A first fragment with 8 bytes of the TCP header, and a second one that begins within it."""
    first = syn_in_fragments(peer, [(0, 8, True), (8, 40, False)])
    return f"{first}, {syn_in_fragments(peer, [(0, 16, True), (16, 40, False)])}"


@probe("T31", "nothing, then SYN|ACK")
def a_fragment_beyond_64_kib(peer: Peer) -> str:
    """A last fragment whose end is beyond 65535 bytes."""
    port = peer.port
    text = peer.segment(port, 1000, 0, SYN, options=OPTIONS)
    peer.frame(peer.packet(6, text[:24], ident=77, flags=1))
    peer.frame(peer.packet(6, bytes(1400), ident=77, flags=0, offset=65528))
    return f"{tell_all(one.names for one in peer.all(port))}, then {peer.syn(MSS_OPTION).names}"


@probe("T31", "28 bytes")
def text_in_fragments(peer: Peer) -> str:
    """A segment with text, in fragments out of order."""
    conn = peer.open()
    text = peer.segment(conn.port, conn.snd, conn.rcv, ACK | PSH, data=conn.reset_record)
    for packet in reversed(fragments_of(peer, text, [(0, 24, True), (24, 32, True), (32, len(text), False)])):
        peer.frame(packet)
    conn.snd += len(conn.reset_record)
    return f"{len(conn.greeting())} bytes"


@probe("T31", "nothing, then SYN|ACK", alone=True)
def many_unfinished_packets(peer: Peer) -> str:
    """A thousand first fragments: none is answered, and a whole packet in fragments still is put together."""
    for ident in range(1000):
        peer.frame(peer.packet(6, bytes(32), ident=ident, flags=1))
    port = peer.port
    packets = fragments_of(peer, peer.segment(port, 1000, 0, SYN, options=OPTIONS), [(0, 24, True), (24, 40, False)])
    first = tell_all(one.names for one in peer.all(port))
    for packet in packets:
        peer.frame(packet)
    return f"{first}, then {peer.must_answer(port, SYN | ACK).names}"


@probe("T31", "3 × nothing")
def frames_for_others(peer: Peer) -> str:
    """A SYN in a frame for another MAC, in one of VLAN 5, and in one of an unknown type."""
    found = []
    for to, kind, front in (
        (b"\x02\0\0\0\7\7", frames.TYPE_IPV4, b""),
        (None, frames.TYPE_VLAN, b"\0\5\x08\0"),
        (None, 0x88B5, b""),
    ):
        port = peer.port
        packet = peer.packet(6, peer.segment(port, 1000, 0, SYN, options=MSS_OPTION))
        peer.frame(front + packet, to=to, kind=kind)
        found.append(tell_all(one.names for one in peer.all(port)))
    return tell_all(found)


@probe("T31", "SYN|ACK")
def short_frames(peer: Peer) -> str:
    """Frames that end within the Ethernet, the IPv4 or the TCP header: nothing, and the next SYN is answered."""
    packet = peer.packet(6, peer.segment(peer.port, 1000, 0, SYN))
    for size in (0, 1, 10, 19, 20, 21, 30, 39):
        peer.frame(packet[:size])
        peer.frame(peer.packet(6, packet[20 : 20 + size]))
    return peer.syn(MSS_OPTION).names


# -- ICMP echo -----------------------------------------------------------------------------------------------------


def echo(peer: Peer, payload: bytes = b"0123456789", *, wrong: int = 0, **fields: Any) -> str:
    """Answer to an echo request."""
    peer.frame(peer.packet(1, frames.icmp(8, 0, 0x12345678, payload, wrong), flags=0, **fields))
    return tell_all(echo_told(one, payload) for one in peer.icmp())


def echo_told(one: Icmp, payload: bytes) -> str:
    same = (one.rest, one.payload) == (0x12345678, payload) and not one.wrong
    return f"{'a reply' if (one.kind, one.code) == (0, 0) else f'{one.kind}/{one.code}'}{'' if same else ' of another'}"


@probe("T31", "a reply, a reply, a reply")
def an_echo_request(peer: Peer) -> str:
    """Echo requests without, with an odd number of, and with 1472 bytes are answered as they are."""
    return ", ".join(echo(peer, payload) for payload in (b"", b"odd", bytes(range(256)) * 5 + bytes(192)))


@probe("T31", "nothing")
def an_echo_request_with_a_bad_checksum(peer: Peer) -> str:
    """One whose ICMP checksum is wrong is not."""
    return echo(peer, wrong=1)


@probe("T31", "a reply")
def an_echo_request_in_fragments(peer: Peer) -> str:
    """One in two fragments is."""
    message = frames.icmp(8, 0, 0x12345678, bytes(range(40)))
    peer.frame(peer.packet(1, message[24:], ident=9, flags=0, offset=24))
    peer.frame(peer.packet(1, message[:24], ident=9, flags=1))
    return tell_all(echo_told(one, bytes(range(40))) for one in peer.icmp())


@probe("T31", "nothing, nothing")
def echo_requests_to_all(peer: Peer) -> str:
    """Those to the link's broadcast address and to all hosts are not answered."""
    return f"{echo(peer, to='10.0.3.255')}, {echo(peer, to='224.0.0.1')}"


@probe("T31", "4 × nothing")
def icmp_that_asks_for_nothing(peer: Peer) -> str:
    """A reply, a redirect, an unknown type and an error about a packet that was never sent are not answered."""
    found = []
    for kind, code, payload in ((0, 0, b"x"), (5, 1, bytes(28)), (200, 0, b"x"), (3, 3, bytes(28))):
        peer.frame(peer.packet(1, frames.icmp(kind, code, 0, payload), flags=0))
        found.append(tell_all(f"{one.kind}/{one.code}" for one in peer.icmp()))
    return tell_all(found)


@probe(
    "T31",
    "nothing, nothing",
    linux=Linux("3/3, 3/2", "toward strangers a NAT is silent; who sends OpenVPN over UDP is told of in the log"),
)
def other_protocols(peer: Peer) -> str:
    """UDP to the port, and an unknown protocol."""
    found = []
    for protocol, payload in ((17, b"\x30\x39\x04\xaa\0\x09\0\0x"), (250, bytes(20))):
        peer.frame(peer.packet(protocol, payload))
        found.append(tell_all(f"{one.kind}/{one.code}" for one in peer.icmp()))
    if not found:
        raise Wrong("nothing was asked")
    return ", ".join(found)
