"""Segments that an established connection must not believe (RFC 9293 3.10.7.4, RFC 5961)."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.probes.peer import MSS_OPTION, RESET_LEN, Conn, Peer, tell_all
from tests.probes.probe import probe
from tests.world import frames
from tests.world.frames import ACK, FIN, PSH, RST, SYN, URG

SACK_OK = frames.option(frames.SACK_OK)


def at_both_stages(peer: Peer, act: Callable[[Conn, bytes], None]) -> str:
    """Answers to an act on a connection that has said nothing yet, and on one that has said half a record.

    It is given what is left of the record, which is then sent as it should be.
    """
    found = []
    for said in (0, RESET_LEN // 2):
        conn = peer.open()
        rest = conn.reset_record[said:]
        if said:
            conn.say(conn.reset_record[:said])
            conn.all()
        act(conn, rest)
        told = conn.told(conn.all())
        conn.say(rest)
        found.append(f"{told}, then {len(conn.greeting())} bytes")
    return tell_all(found)


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
    conn = peer.greeted()
    conn.send(ACK, conn.reset_record, seq=-16)
    return conn.told(conn.all())


@probe("T18", "RST: ACK; RST at RCV.NXT: nothing; ACK: RST")
def a_rst_in_the_window(peer: Peer) -> str:
    """A RST inside the window but not at RCV.NXT is challenged; the one at RCV.NXT ends the connection."""
    conn = peer.greeted()
    conn.send(RST, seq=100)
    first = conn.told(conn.all())
    conn.send(RST)
    second = conn.told(conn.all())
    conn.send()
    return f"RST: {first}; RST at RCV.NXT: {second}; ACK: {conn.told(conn.all())}"


@probe("T19", "2 × ACK, then 28 bytes")
def a_syn_in_the_window(peer: Peer) -> str:
    """A SYN inside the window of a connection is challenged, and the connection goes on."""
    return at_both_stages(peer, lambda conn, _: conn.send(SYN, seq=10))


@probe("T20", "2 × ACK, then 28 bytes")
def an_acknowledgement_of_what_was_not_sent(peer: Peer) -> str:
    """Text beside an acknowledgement of bytes that were never sent is answered with an ACK and not delivered."""
    return at_both_stages(peer, lambda conn, rest: conn.send(ACK | PSH, rest, ack=1000))


@probe("T1", "2 × nothing, then 28 bytes")
def text_with_a_bad_checksum(peer: Peer) -> str:
    """Text whose checksum is wrong is neither acknowledged nor delivered."""
    return at_both_stages(peer, lambda conn, rest: conn.send(ACK | PSH, rest, wrong=1))


@probe("T5", "ACK, ACK, then 28 bytes")
def text_beyond_the_window(peer: Peer) -> str:
    """Text wholly beyond the window, and text of half the number space ago, are acknowledged and not kept."""
    conn = peer.open()
    conn.say(conn.reset_record[:8])
    conn.all()
    found = []
    for seq in (20_000_000, -0x7FFFFF00):
        conn.send(ACK, b"not this", seq=seq)
        found.append(conn.told(conn.all(grace=0.7)))
    conn.say(conn.reset_record[8:])
    return f"{', '.join(found)}, then {len(conn.greeting())} bytes"


@probe("T5", "2 × ACK")
def keep_alives(peer: Peer) -> str:
    """A keep-alive (the number before the next, without text or with one byte) is acknowledged (RFC 9293 3.8.4)."""
    conn = peer.greeted()
    found = []
    for data in (b"", b"x"):
        conn.send(ACK, data, seq=-1)
        found += conn.all(grace=0.7)
    return conn.told(found)


@probe("T5", "2 × nothing, then 28 bytes; 2 × nothing, then 28 bytes")
def segments_without_ack(peer: Peer) -> str:
    """On a connection, text and a FIN without the ACK bit are dropped (RFC 9293 3.10.7.4, fifth)."""
    text = at_both_stages(peer, lambda conn, rest: conn.send(PSH, rest))
    return f"{text}; {at_both_stages(peer, lambda conn, _: conn.send(FIN))}"


@probe("T18", "2 × nothing, then 28 bytes; 2 × nothing, then 28 bytes")
def a_rst_outside_the_window(peer: Peer) -> str:
    """RSTs before and beyond the window are dropped without a word."""
    before = at_both_stages(peer, lambda conn, _: conn.send(RST, seq=-1000))
    return f"{before}; {at_both_stages(peer, lambda conn, _: conn.send(RST, seq=20_000_000))}"


@probe("T18", "nothing; ACK: RST")
def a_rst_with_ack_and_text(peer: Peer) -> str:
    """A RST|ACK with text at RCV.NXT ends the connection; a RST is not answered."""
    conn = peer.greeted()
    conn.send(RST | ACK, b"goodbye")
    first = conn.told(conn.all())
    conn.send()
    return f"{first}; ACK: {conn.told(conn.all())}"


@probe("T19", "ACK, ACK, ACK, then 28 bytes")
def syns_anywhere(peer: Peer) -> str:
    """A SYN at RCV.NXT, one long before it and a SYN|ACK are challenged too (RFC 5961 section 4.2)."""
    conn = peer.open()
    conn.say(conn.reset_record[:4])
    conn.all()
    found = []
    for flags, seq in ((SYN, 0), (SYN, -100_000), (SYN | ACK, 0)):
        conn.send(flags, seq=seq)
        found.append(conn.told(conn.all(grace=0.7)))
    conn.say(conn.reset_record[4:])
    return f"{', '.join(found)}, then {len(conn.greeting())} bytes"


@probe("T20", "2 × ACK, then 28 bytes")
def an_acknowledgement_of_long_ago(peer: Peer) -> str:
    """Text beside an acknowledgement older than the largest window is answered with an ACK and not delivered."""
    return at_both_stages(peer, lambda conn, rest: conn.send(ACK | PSH, rest, ack=-70_000))


@probe("T20", "ACK")
def an_acknowledgement_of_a_short_while_ago(peer: Peer) -> str:
    """Text beside an acknowledgement that was right a while ago is taken: segments overtake each other."""
    conn = peer.greeted()
    conn.send(ACK | PSH, b"\0\4\x48\0\0\0", ack=-28)
    conn.snd += 6
    return conn.told(conn.all())


@probe("T21", "1 to 20 a second of 60; another connection: ACK")
def challenges_are_limited(peer: Peer) -> str:
    """SYNs on one connection get only some challenges, and do not use up those of another connection."""
    conn, other = peer.open(), peer.open()
    for one in (conn, other):
        one.say(one.reset_record[:4])
        one.all()
    began, sent, seconds = time.monotonic(), 0, 0.0
    # Twice as many as may be answered, within the time that a peer without a whole record has.
    while sent < 60 or (sent < 40 * seconds and seconds < 4):
        conn.send(SYN, seq=100 + sent)
        sent += 1
        time.sleep(0.005)  # what comes together may be answered together
        seconds = time.monotonic() - began
    other.send(SYN, seq=100)
    answer, count = other.told(other.all()), len(conn.all())
    told = "1 to 20 a second of 60" if 1 <= count <= 20 * max(1.0, seconds) else f"{count} of {sent} in {seconds:.1f} s"
    return f"{told}; another connection: {answer}"


@probe("T4", "28 bytes")
def urgent_text_stays_in_line(peer: Peer) -> str:
    """Text with the urgent flag is text like other text (RFC 6093)."""
    conn = peer.open()
    conn.send(ACK | PSH | URG, conn.reset_record, urgent=3)
    conn.snd += RESET_LEN
    return f"{len(conn.greeting())} bytes"


@probe("T29", "28 bytes")
def a_record_in_single_bytes_backwards(peer: Peer) -> str:
    """Sixteen segments of one byte, the last one first, are put together."""
    conn = peer.open()
    for at in reversed(range(RESET_LEN)):
        conn.send(ACK, conn.reset_record[at : at + 1], seq=at)
    conn.snd += RESET_LEN
    return f"{len(conn.greeting())} bytes"


@probe("T29", "28 bytes")
def what_was_received_is_not_overwritten(peer: Peer) -> str:
    """Text that begins with other bytes for what was acknowledged: only the rest of it is taken."""
    conn = peer.open()
    record = conn.reset_record
    conn.say(record[:8])
    conn.all()
    conn.send(ACK | PSH, b"\xff" * 4 + record[8:], seq=-4)
    conn.snd += 8
    return f"{len(conn.greeting())} bytes"


@probe("T13", "ACK 10-20; ACK 30-40 10-20; ACK 10-40; ACK")
def sack_blocks(peer: Peer) -> str:
    """Each block is one range, the one that was received last comes first, and none is left when the gap is filled."""
    conn = peer.greeted(MSS_OPTION + SACK_OK)
    record = b"\1\0" + bytes(60)
    found = []
    for at, end in ((10, 20), (30, 40), (20, 30), (0, 10)):
        conn.send(ACK, record[at:end], seq=at)
        if at == 0:
            conn.snd += 40
        answers = conn.all()
        blocks = [f"{left - conn.snd}-{right - conn.snd}" for one in answers for left, right in one.sack]
        found.append(" ".join([conn.told(answers), *blocks]))
    return "; ".join(found)


@probe("T13", "ACK 0-10")
def a_duplicate_is_reported(peer: Peer) -> str:
    """D-SACK: the acknowledgement of text that came twice names it (RFC 2883)."""
    conn = peer.open(MSS_OPTION + SACK_OK)
    conn.greet()
    conn.say(b"\1\0" + bytes(8))
    conn.all()
    conn.send(ACK, b"\1\0" + bytes(8), seq=-10)
    answers = conn.all()
    blocks = [f"{left - conn.snd + 10}-{right - conn.snd + 10}" for one in answers for left, right in one.sack]
    return " ".join([conn.told(answers), *blocks])


@probe("T13", "ACK without options")
def no_blocks_without_permission(peer: Peer) -> str:
    """A gap on a connection without SACK: an acknowledgement without the option."""
    conn = peer.greeted()
    conn.send(ACK, b"later", seq=5)
    answers = conn.all()
    return conn.told(answers) + ("" if any(one.options for one in answers) else " without options")


@probe("T25", "3 × ACK; ACK")
def gaps_are_acknowledged_at_once(peer: Peer) -> str:
    """Each segment beyond a gap brings a duplicate acknowledgement, and the one that fills it an ACK of all."""
    conn = peer.greeted()
    record = b"\1\0" + bytes(60)
    found = []
    for at in (10, 20, 30):
        conn.send(ACK, record[at : at + 10], seq=at)
        found.append(conn.next())
    duplicates = conn.told(found)
    conn.send(ACK, record[:10])
    conn.snd += 40
    return f"{duplicates}; {conn.told([conn.next()])}"


@probe("T25", "every acknowledgement within 0.5 s")
def acknowledgements_are_not_late(peer: Peer) -> str:
    """Text that nothing is said to is acknowledged within half a second (RFC 9293 3.8.6.3), sixty times."""
    conn = peer.open(MSS_OPTION + frames.option(frames.SCALE, b"\7"))
    conn.greet()
    conn.say(b"\4\0\1")
    conn.all()
    for _ in range(60):
        began = time.time()
        conn.say(b"x")
        one = conn.next(2)
        if one is None or one.ack != conn.snd or one.at - began > 0.5:
            return "nothing" if one is None else f"{conn.told([one])} after {one.at - began:.3f} s"
        time.sleep(0.02)
    return "every acknowledgement within 0.5 s"


@probe("T25", "at least 10 for 40 segments")
def acknowledgements_are_not_few(peer: Peer) -> str:
    """Forty full segments in twos: at least every fourth is acknowledged, the last one within half a second."""
    conn = peer.greeted()
    record = (b"\7\xfe" + b"\x48" + bytes(2045)) * 29
    for at in range(0, 40 * 1460, 1460):
        conn.say(record[at : at + 1460])
        if at % 2920:
            time.sleep(0.01)
        if at % 5840 == 4380:
            peer.settle(grace=0)  # a machine that is late has four to answer at once, not more
    answers = conn.all(0.5)
    last = max((one.ack - conn.snd for one in answers), default=-1)
    count = len(answers)
    return f"at least 10 for 40 segments{f' and {-last} bytes short' if last else ''}" if count >= 10 else str(count)
