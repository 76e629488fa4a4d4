"""Segments that an established connection must not believe (RFC 9293 3.10.7.4, RFC 5961)."""

from __future__ import annotations

from tests.probes.peer import MSS_OPTION, Peer
from tests.probes.probe import probe
from tests.world.frames import ACK, RST, SYN


@probe("T1", "nothing, then SYN|ACK")
def a_syn_with_a_bad_tcp_checksum(peer: Peer) -> str:
    """A SYN whose TCP checksum is wrong by one is dropped without a word; the same SYN with the right one is not."""
    port = peer.port
    peer.tell(port, 1000, 0, SYN, options=MSS_OPTION, wrong=1)
    first = peer.all(port)
    peer.tell(port, 1000, 0, SYN, options=MSS_OPTION)
    return f"{first[0].names if first else 'nothing'}, then {peer.must_answer(port, SYN | ACK).names}"


@probe("T5", "ACK")
def old_text_is_acknowledged_again(peer: Peer) -> str:
    """A segment that was received before is answered with an acknowledgement of everything, and not delivered again."""
    conn = peer.open()
    conn.greet()
    conn.all()
    conn.send(ACK, conn.reset_record, seq=-16)
    return conn.told(conn.all())


@probe("T18", "RST: ACK; RST at RCV.NXT: nothing; ACK: RST")
def a_rst_in_the_window(peer: Peer) -> str:
    """A RST inside the window but not at RCV.NXT is challenged; the one at RCV.NXT ends the connection."""
    conn = peer.open()
    conn.greet()
    conn.all()
    conn.send(RST, seq=100)
    first = conn.told(conn.all())
    conn.send(RST)
    second = conn.told(conn.all())
    conn.send()
    return f"RST: {first}; RST at RCV.NXT: {second}; ACK: {conn.told(conn.all())}"


@probe("T19", "ACK, then 28 bytes")
def a_syn_in_the_window(peer: Peer) -> str:
    """A SYN inside the window of a connection is challenged, and the connection goes on."""
    conn = peer.open()
    conn.send(SYN, seq=10)
    first = conn.told(conn.all())
    return f"{first}, then {len(conn.greet())} bytes"


@probe("T20", "ACK, then 28 bytes")
def an_acknowledgement_of_what_was_not_sent(peer: Peer) -> str:
    """Text beside an acknowledgement of bytes that were never sent is answered with an ACK and not delivered."""
    conn = peer.open()
    conn.send(ACK, conn.reset_record, ack=1000)
    first = conn.told(conn.all())
    return f"{first}, then {len(conn.greet())} bytes"
