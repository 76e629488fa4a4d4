"""Handshakes: what is offered and answered, initial numbers, SYN-ACKs sent again (T2, T3, T7, T10, T17, T22, T30)."""

from __future__ import annotations

import itertools
import time

from tests.probes.peer import MSS_OPTION, Conn, Peer, Wrong, tell_all
from tests.probes.probe import Linux, probe
from tests.world import frames
from tests.world.frames import ACK, MASK, PSH, RST, SYN, Segment, option

NAMES = {frames.MSS: "MSS", frames.SCALE: "scale", frames.SACK_OK: "SACK permitted", frames.STAMPS: "timestamps"}
SACK_OK = option(frames.SACK_OK)
SCALE = option(frames.SCALE, b"\7")
STAMPS = option(frames.STAMPS, b"\0\0\x10\x01\0\0\0\0")
UNKNOWN = option(253, b"abcd")
MALFORMED = {
    "a length of 0": b"\x02\x00\x05\xb4",
    "a length of 1": b"\xfd\x01\x05\xb4",
    "a length past the end": b"\x02\x0a\x05\xb4",
    "no length": b"\1\1\1\x02",
    "an MSS of 3 bytes": b"\x02\x03\x05\1",
    "timestamps of 9 bytes": b"\x08\x09\0\0\0\1\0\0\0\1\1\1",
    "a scale of 2 bytes": b"\x03\x02\1\1",
    "noise": bytes(range(180, 192)),
}


def kinds(answer: Segment) -> str:
    """The options that were answered."""
    return ", ".join(NAMES.get(kind, str(kind)) for kind in sorted(answer.options)) or "none"


@probe("T2", "8 × SYN|ACK")
def malformed_options_in_a_syn(peer: Peer) -> str:
    """SYNs whose options have a length of 0, of 1, beyond the end, none at all, or a wrong one for their kind, are
    answered."""
    found = []
    for name, options in MALFORMED.items():
        port = peer.port
        peer.tell(port, 1000, 0, SYN, options=options)
        answer = peer.answer(port, 3)
        found.append(answer.names if answer else f"nothing to {name}")
    return tell_all(found)


@probe("T2", "MSS, scale")
def an_unknown_option_is_skipped(peer: Peer) -> str:
    """Options after an unknown option are read."""
    return kinds(peer.syn(UNKNOWN + b"\1" + SCALE))


@probe("T2", "MSS")
def nothing_is_read_behind_the_end_of_options(peer: Peer) -> str:
    """Bytes after the end-of-options octet are not read."""
    return kinds(peer.syn(b"\0" + SCALE))


@probe("T2", "8 × 28 bytes")
def malformed_options_beside_text(peer: Peer) -> str:
    """Text beside malformed or unknown options is delivered."""
    found = []
    for options in (*list(MALFORMED.values())[:-1], UNKNOWN):
        conn = peer.open()
        conn.send(ACK | PSH, conn.reset_record, options=options)
        conn.snd += len(conn.reset_record)
        found.append(f"{len(conn.greeting())} bytes")
    return tell_all(found)


@probe("T2", "nothing, nothing")
def a_header_that_is_no_header(peer: Peer) -> str:
    """A SYN that says it has a header of 16 bytes, or one longer than the segment, is dropped."""
    found = []
    for words in (4, 8):
        port = peer.port
        peer.tell(port, 1000, 0, SYN, words=words)
        found.append(", ".join(one.names for one in peer.all(port)) or "nothing")
    return ", ".join(found)


@probe("T3", "1460")
def the_mss_that_is_offered(peer: Peer) -> str:
    """The SYN-ACK has the MSS of the link, 1500 less both headers, also when timestamps will stand beside text."""
    answers = {peer.syn(options).options.get(frames.MSS, b"") for options in (MSS_OPTION, MSS_OPTION + STAMPS)}
    return ", ".join(str(int.from_bytes(one, "big")) for one in answers)


def largest(peer: Peer, options: bytes, *, stamps: bool = False) -> str:
    """Bytes of text in the largest segment of a long answer."""
    conn = peer.open(options, stamps=stamps)
    conn.greet()
    return str(max(len(one.data) for one in conn.flight()))


@probe("T3", "536")
def segments_to_a_peer_without_an_mss(peer: Peer) -> str:
    """A SYN without the option: 536 bytes at most."""
    return largest(peer, b"")


@probe("T3", "300")
def segments_to_a_peer_with_a_small_mss(peer: Peer) -> str:
    """The peer's MSS is a limit."""
    return largest(peer, option(frames.MSS, (300).to_bytes(2, "big")))


@probe("T3", "1460")
def segments_to_a_peer_with_a_large_mss(peer: Peer) -> str:
    """An MSS of 9000 does not make segments that the link cannot carry."""
    return largest(peer, option(frames.MSS, (9000).to_bytes(2, "big")))


@probe("T3", "524")
def timestamps_are_deducted_from_the_mss(peer: Peer) -> str:
    """RFC 6691: the MSS counts no options, so there is less text beside them."""
    return largest(peer, option(frames.MSS, (536).to_bytes(2, "big")), stamps=True)


@probe("T30", "88", linux=Linux("48", "its floor is `tcp_min_snd_mss`, 48"))
def a_tiny_mss(peer: Peer) -> str:
    """An MSS of 1 does not make segments of one byte (CVE-2019-11479)."""
    return largest(peer, option(frames.MSS, (1).to_bytes(2, "big")))


@probe("T7", "the same SYN|ACK")
def a_repeated_syn(peer: Peer) -> str:
    """A SYN that comes twice gets the same answer twice."""
    peer.sees_repeats = True
    port = peer.port
    answers = []
    for _ in range(2):
        peer.tell(port, 1000, 0, SYN, options=MSS_OPTION)
        answers.append(peer.must_answer(port, SYN | ACK))
        time.sleep(0.1)
    first, second = answers
    same = (first.seq, first.ack, first.options) == (second.seq, second.ack, second.options)
    return "the same SYN|ACK" if same else "another one"


@probe("T17", "MSS")
def what_was_not_offered_is_not_answered(peer: Peer) -> str:
    """Scale, SACK and timestamps are not in the answer to a SYN without them."""
    return kinds(peer.syn(MSS_OPTION))


@probe("T17", "MSS, scale, SACK permitted, timestamps")
def what_was_offered_is_answered(peer: Peer) -> str:
    """All of them are in the answer to a SYN with them."""
    return kinds(peer.syn(MSS_OPTION + SACK_OK + STAMPS + SCALE))


@probe("T17", "scale; MSS and SACK permitted; timestamps", linux=None)
def options_are_answered_one_by_one(peer: Peer) -> str:
    """Each option stands for itself."""
    found = [set(peer.syn(one).options) - {frames.MSS} for one in (SCALE, MSS_OPTION + SACK_OK, STAMPS)]
    right = found == [{frames.SCALE}, {frames.SACK_OK}, {frames.STAMPS}]
    return "scale; MSS and SACK permitted; timestamps" if right else str(found)


@probe("T17", "at least 4000 bytes")
def a_scale_of_15_counts_as_14(peer: Peer) -> str:
    """A shift beyond 14 is read as 14: a window of 1 lets a long answer through at once."""
    conn = peer.slow(MSS_OPTION + option(frames.SCALE, b"\x0f"), 1)
    size = sum(len(one.data) for one in conn.flight())
    return "at least 4000 bytes" if size >= 4000 else f"{size} bytes"


@probe("T22", "all far apart")
def initial_numbers_of_several_ports(peer: Peer) -> str:
    """The initial numbers of eight handshakes at the same time have nothing to do with each other."""
    numbers = sorted(peer.syn(MSS_OPTION).seq for _ in range(8))
    closest = min(after - before for before, after in itertools.pairwise(numbers))
    return "all far apart" if closest > 10_000 else f"two are {closest} apart: {numbers}"


@probe("T22", "it moves on by the clock")
def the_initial_number_of_one_port(peer: Peer) -> str:
    """Two connections of the same four-tuple: the second one's number lies before the first one's by time only."""
    port = peer.port
    numbers = []
    for _ in range(3):
        peer.tell(port, 1000, 0, SYN, options=MSS_OPTION)
        numbers.append(peer.must_answer(port, SYN | ACK).seq)
        peer.tell(port, 1001, 0, RST)
        time.sleep(0.5)
    steps = [(after - before) & MASK for before, after in itertools.pairwise(numbers)]
    # RFC 6528 has a tick of 4 microseconds, Linux one of 64 nanoseconds
    return "it moves on by the clock" if all(100_000 < step < 50_000_000 for step in steps) else str(steps)


@probe("T17", "they share no clock")
def timestamps_to_several_peers(peer: Peer) -> str:
    """Timestamps to different peers have random distances, so that none of them tells since when the machine runs."""
    values = []
    for number in range(4):
        answer = peer.beyond(number).syn(MSS_OPTION + STAMPS)
        if answer.stamps is None:
            raise Wrong("no timestamps")
        values.append(answer.stamps[0])
    values.sort()
    closest = min(after - before for before, after in itertools.pairwise(values))
    return "they share no clock" if closest > 10_000 else str(values)


@probe("T17", "SYN-ACK +0; text +5; beyond a gap +5; the gap filled +6")
def the_timestamp_that_is_echoed(peer: Peer) -> str:
    """TSecr is the TSval of the last segment that moved the edge of what is acknowledged (RFC 7323 section 4.3)."""
    conn = peer.greeted(MSS_OPTION, stamps=True)
    first = peer.syn(MSS_OPTION + option(frames.STAMPS, b"\0\0\0\x05\0\0\0\0"))
    told = [f"SYN-ACK {(first.stamps or (0, 0))[1] - 5:+}"]
    record = b"\1\0" + bytes(20)
    steps = (("text", 0, 5), ("beyond a gap", 20, 9), ("the gap filled", 10, 6))
    for name, at, stamp in steps:
        conn.send(ACK, record[at : at + 10], seq=at, stamp=stamp)
        answers = conn.all()
        echoed = {one.stamps[1] - conn.clock if one.stamps else None for one in answers}
        told.append(f"{name} {', '.join(f'{one:+}' if one is not None else 'none' for one in echoed) or 'nothing'}")
    return "; ".join(told)


@probe("T17", "ACK, then 28 bytes")
def text_with_an_old_timestamp(peer: Peer) -> str:
    """PAWS: text whose timestamp is older than the last one is acknowledged and not delivered."""
    conn = peer.open(MSS_OPTION, stamps=True)
    conn.send(ACK, conn.reset_record[:8], stamp=10)
    conn.snd += 8
    if conn.told(conn.all()) != "ACK":
        raise Wrong("the first half was not acknowledged")
    conn.clock += 10
    conn.send(ACK, b"not this", stamp=-10_000)
    first = conn.told(conn.all())
    conn.say(conn.reset_record[8:])
    return f"{first}, then {len(conn.greeting())} bytes"


@probe(
    "T17",
    "nothing, then 28 bytes",
    linux=Linux("28 bytes", "it takes such segments for the sake of boxes in between; RFC 7323 3.2 says SHOULD drop"),
)
def text_without_the_agreed_timestamp(peer: Peer) -> str:
    """If timestamps were agreed on, text without them is dropped."""
    conn = peer.open(MSS_OPTION, stamps=True)
    conn.send(ACK | PSH, conn.reset_record, stamp=None)
    conn.snd += len(conn.reset_record)
    for one in conn.all():
        if one.data:
            return f"{len(one.data)} bytes"
    conn.snd -= len(conn.reset_record)
    return f"nothing, then {len(conn.greet())} bytes"


@probe(
    "T10",
    "6 in all, doubling, the last after 8 s",
    linux=Linux(
        "5 in all, doubling, the last after 15 s", "its first interval is RFC 6298's second, ours a quarter (tcp.md)"
    ),
    long=True,
)
def syn_acks_are_sent_again(peer: Peer) -> str:
    """A SYN-ACK that is not acknowledged is sent a few times again, at doubled intervals."""
    peer.sees_repeats = True
    port = peer.port
    peer.tell(port, 1000, 0, SYN, options=MSS_OPTION)
    times = []
    until = time.monotonic() + 33
    while (left := until - time.monotonic()) > 0:
        one = peer.answer(port, left)
        if one is not None:
            times.append(one.at)
    if len(times) < 2:
        return f"{len(times)} in all"
    # Of doubled intervals the last is half of all; a busy machine is late with single ones, the short ones most.
    whole, last = times[-1] - times[0], times[-1] - times[-2]
    told = "doubling" if 0.4 < last / whole < 0.6 else f"the last interval {last:.2f} s"
    return f"{len(times)} in all, {told}, the last after {round(whole)} s"


@probe("T10", "no SYN|ACK again; ACK: RST seq+0")
def a_rst_in_syn_received(peer: Peer) -> str:
    """A RST at the next number ends the handshake: no SYN-ACK comes again, the third segment is answered with a RST."""
    conn = Conn(peer, peer.port, MSS_OPTION, 65535, stamps=False)
    peer.tell(conn.port, 1000, 0, SYN, options=MSS_OPTION)
    answer = peer.must_answer(conn.port, SYN | ACK)
    peer.tell(conn.port, 1001, 0, RST)
    peer.all(conn.port, grace=0)  # the target's first interval may have ended before the RST came
    peer.sees_repeats = True
    again = peer.answer(conn.port, 2.5)
    peer.tell(conn.port, 1001, answer.seq + 1, ACK)
    reset = peer.must_answer(conn.port, RST)
    return f"{again.names if again else 'no SYN|ACK'} again; ACK: RST seq{reset.seq - answer.seq - 1:+}"
