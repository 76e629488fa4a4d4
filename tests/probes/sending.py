"""The target as a sender: windows, losses, time-outs, zero windows, ICMP (T9 to T15, T24, T25, T27, T28)."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.probes.peer import MSS_OPTION, PATIENCE, SLOW, Conn, Peer, Wrong
from tests.probes.probe import Linux, probe
from tests.probes.timing import doubling, patience
from tests.world import frames
from tests.world.frames import ACK, Segment

SACK_OK = frames.option(frames.SACK_OK)
MSS_200 = frames.option(frames.MSS, (200).to_bytes(2, "big"))
MSS_536 = frames.option(frames.MSS, (536).to_bytes(2, "big"))
TIME_OUT = 2 * SLOW  # the shortest of a slow connection


def again(conn: Conn, flight: list[Segment], seconds: float) -> list[int]:
    """Segments that come again within a time, as places in the flight, in the order they come."""
    places = {one.seq: place for place, one in enumerate(flight)}
    came = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        one = conn.next(left)
        if one is not None and one.data and one.seq in places:
            came.append(places[one.seq])
    return came


def again_until(conn: Conn, flight: list[Segment], wanted: set[int]) -> tuple[list[int], float]:
    """Repeated segments until these places of the flight have come, in order; the time of the last one."""
    places = {one.seq: place for place, one in enumerate(flight)}
    came: list[int] = []
    while not wanted <= set(came):
        one = conn.next()
        if one is None:
            raise Wrong(f"{came} came again, not {sorted(wanted)}")
        if one.data and one.seq in places:
            came.append(places[one.seq])
            at = one.at
    return came, at


def of_flight(flight: list[Segment], segments: list[Segment]) -> list[int]:
    """Places of the flight that are among segments; new text is none of it."""
    places = {one.seq: place for place, one in enumerate(flight)}
    return [places[one.seq] for one in segments if one.data and one.seq in places]


def data_of(conn: Conn) -> list[Segment]:
    """The text that comes, once there is some and the target has settled."""
    one = conn.next()
    while one is not None and not one.data:
        one = conn.next()
    if one is None:
        raise Wrong("no text came")
    return [each for each in (one, *conn.all()) if each.data]


def blocks(conn: Conn, flight: list[Segment], places: Iterable[int]) -> bytes:
    """A SACK option for these segments of the flight, the last one first."""
    words = b"".join(flight[place].seq.to_bytes(4, "big") + flight[place].end.to_bytes(4, "big") for place in places)
    return b"\1\1" + frames.option(frames.SACK, words)


@probe("T11", "10 segments")
def the_initial_window(peer: Peer) -> str:
    """Ten segments leave before anything is acknowledged (RFC 6928), no more and no fewer."""
    conn = peer.slow(MSS_200)
    return f"{len(conn.flight())} segments"


@probe("T12", "nothing after two; after three: the first")
def three_duplicates(peer: Peer) -> str:
    """Without SACK the third duplicate acknowledgement brings the first segment again, long before a time-out."""
    conn = peer.slow(MSS_200)
    flight = conn.flight()
    conn.rcv = flight[1].seq
    conn.send()
    for _ in range(2):
        conn.send()
    early = of_flight(flight, conn.all())
    began = time.time()
    conn.send()
    late, at = again_until(conn, flight, {1})
    told = "the first" if late == [1] and at - began < TIME_OUT else f"{late} after {at - began:.2f} s"
    return f"{early or 'nothing'} after two; after three: {told}"


@probe("T12", "the second hole")
def a_partial_acknowledgement(peer: Peer) -> str:
    """NewReno: an acknowledgement up to the next hole brings that one again at once."""
    conn = peer.slow(MSS_200)
    flight = conn.flight()
    conn.rcv = flight[1].seq
    for _ in range(4):
        conn.send()
    again_until(conn, flight, {1})
    conn.rcv = flight[4].seq
    began = time.time()
    conn.send()
    came, at = again_until(conn, flight, {4})
    return "the second hole" if came == [4] and at - began < TIME_OUT else f"{came} after {at - began:.2f} s"


@probe("T13", "the first, the fourth")
def what_was_sacked_is_not_sent_again(peer: Peer) -> str:
    """With two holes among SACKed segments exactly the holes are sent again."""
    conn = peer.slow(MSS_200 + SACK_OK)
    flight = conn.flight()
    words = flight[1].seq.to_bytes(4, "big") + flight[2].end.to_bytes(4, "big")
    rest = flight[4].seq.to_bytes(4, "big") + flight[-1].end.to_bytes(4, "big")
    for option in (words, rest + words, rest + words):
        conn.send(options=b"\1\1" + frames.option(frames.SACK, option))
    came, _ = again_until(conn, flight, {0, 3})
    came += of_flight(flight, conn.all())
    return "the first, the fourth" if set(came) == {0, 3} else f"{came}"


@probe("T15", "its end")
def a_tail_loss_probe(peer: Peer) -> str:
    """If nothing of a flight is acknowledged, its end is the first to come again (RFC 8985 section 7)."""
    conn = peer.open(MSS_536 + SACK_OK)
    conn.greet()
    conn.ask_for_much()
    edge = 0
    while (one := conn.next(3)) is not None:
        start, end = ((number - conn.rcv) & frames.MASK for number in (one.seq, one.end))
        if one.data and start < edge:
            return "its end" if end == edge else f"{start} to {end} of {edge}"
        edge = end
    return f"nothing of {edge}"


@probe("T9", "28 bytes again, doubling")
def time_outs(peer: Peer) -> str:
    """Text that is never acknowledged is sent again at doubled intervals (RFC 6298 5.5)."""
    conn = peer.open()
    conn.say(conn.reset_record)
    times: list[float] = []
    sizes: set[int] = set()
    while len(times) < 4:
        one = conn.next(patience(times, PATIENCE))
        if one is None:
            return f"{len(times)} times"
        if one.data:
            times.append(one.at)
            sizes.add(len(one.data))
    return f"{', '.join(map(str, sizes))} bytes again, {doubling(times)}"


@probe("T9", "not before 1.2 s")
def the_time_out_follows_the_round_trip(peer: Peer) -> str:
    """On a connection with a round trip of 0.6 s nothing is sent again before twice as long."""
    conn = peer.slow(MSS_536)
    began = time.monotonic()
    flight = conn.flight()
    came = again(conn, flight, 1.2 - (time.monotonic() - began))
    if came:
        return f"{came} within 1.2 s"
    return "not before 1.2 s" if again(conn, flight, 6) else "never"


@probe("T24", "no text, at least 3 probes, doubling; open: at least 4000 bytes", long=True)
def a_closed_window(peer: Peer) -> str:
    """A closed window is probed at doubled intervals, not written into; when it opens, everything comes at once."""
    conn = peer.open()
    conn.say(conn.reset_record)
    conn.greeting(acknowledge=False)
    conn.in_window(0)
    conn.ask_for_much()
    conn.all(grace=0)
    times: list[float] = []
    text = 0
    until = time.monotonic() + 30
    while len(times) < 4 and (left := until - time.monotonic()) > 0:
        one = conn.next(left)
        if one is not None and (one.data or one.seq != conn.rcv):
            conn.send()
            times.append(one.at)
            text += max(0, len(one.data) - 1)  # a probe may have a byte
    told = f"at least 3 probes, {doubling(times)}" if len(times) >= 3 else f"{len(times)} probes"
    conn.in_window(65535)
    size = len(conn.collect(4000))
    return f"{f'{text} bytes of' if text else 'no'} text, {told}; open: at least {min(size, 4000)} bytes"


@probe("T24", "1000 bytes, 1000 bytes")
def never_more_than_the_window(peer: Peer) -> str:
    """Not a byte is sent beyond the window, at first and after it has moved."""
    conn = peer.slow(MSS_200, 1000)
    found = []
    conn.ask_for_much()
    for _ in range(2):
        edge = max((one.end - conn.rcv) & frames.MASK for one in data_of(conn))
        found.append(f"{edge} bytes")
        conn.rcv = (conn.rcv + edge) & frames.MASK
        conn.send()
    return ", ".join(found)


@probe("T25", "nothing at once, 100 bytes after a time")
def a_silly_window(peer: Peer) -> str:
    """A window much smaller than a segment is not used at once, but after a time (RFC 9293 3.8.6.2.1)."""
    conn = peer.open()
    conn.say(conn.reset_record)
    conn.greeting(acknowledge=False)
    conn.in_window(100)
    began = time.time()
    conn.ask_for_much()
    one = conn.next()
    while one is not None and not one.data:
        one = conn.next()
    if one is None:
        return "nothing"
    at_once = "nothing at once" if one.at - began > 0.15 else f"after {one.at - began:.3f} s"
    return f"{at_once}, {len(one.data)} bytes after a time"


@probe("T25", "less than a segment comes last")
def no_delay_of_small_segments(peer: Peer) -> str:
    """Nagle's algorithm is off: the small end of an answer leaves although nothing before it is acknowledged."""
    conn = peer.slow(MSS_536)
    flight = conn.flight()
    sizes = [len(one.data) for one in flight]
    told = "less than a segment comes last" if sizes[-1] < 536 == min(sizes[:-1]) else f"{sizes}"
    return told


# -- ICMP ----------------------------------------------------------------------------------------------------------


def complain(peer: Peer, about: Segment, kind: int, code: int, rest: int = 0, *, seq: int = 0, wrong: int = 0) -> None:
    """An ICMP error of the router's about a segment of the target's; seq moves the number that is quoted."""
    start = ((about.seq + seq) & frames.MASK).to_bytes(4, "big")
    quoted = about.header + about.sport.to_bytes(2, "big") + about.dport.to_bytes(2, "big") + start
    message = frames.icmp(kind, code, rest, quoted, wrong)
    packet = frames.ipv4(peer.router.address, peer.target.address, 1, message, flags=0)
    peer.wire.send(frames.ethernet(peer.target.mac, peer.router.mac, frames.TYPE_IPV4, packet))


def size_after(peer: Peer, kind: int, code: int, rest: int, *, seq: int = 0, wrong: int = 0) -> str:
    """The largest segment that comes again after an ICMP error about the first one of a flight."""
    conn = peer.slow(MSS_OPTION)
    flight = conn.flight()
    if len(flight[0].data) != 1460:
        raise Wrong(f"segments of {len(flight[0].data)} bytes")
    complain(peer, flight[0], kind, code, rest, seq=seq, wrong=wrong)
    sizes: list[int] = []
    until = time.monotonic() + 8
    while not sizes and (left := until - time.monotonic()) > 0:
        one = conn.next(left)
        if one is not None and one.data:
            sizes.append(len(one.data))
    return str(max(sizes, default=0))


@probe("T27", "560")
def fragmentation_needed(peer: Peer) -> str:
    """ICMP 3/4 with an MTU of 600 about a segment in flight: it comes again with 560 bytes of text."""
    return size_after(peer, 3, 4, 600)


@probe("T27", "1460")
def fragmentation_needed_of_another_number(peer: Peer) -> str:
    """The same about a number that is not in flight changes nothing (RFC 5927)."""
    return size_after(peer, 3, 4, 600, seq=1_000_000)


@probe("T27", "1460")
def fragmentation_needed_with_a_bad_checksum(peer: Peer) -> str:
    """The same with a wrong ICMP checksum changes nothing."""
    return size_after(peer, 3, 4, 600, wrong=1)


@probe(
    "T27", "1460", linux=Linux("512", "it goes down to its `min_pmtu` of 552 for any smaller one; we do not believe it")
)
def fragmentation_needed_down_to_300(peer: Peer) -> str:
    """An MTU of 300, smaller than any path has, does not make segments of 260 bytes."""
    return size_after(peer, 3, 4, 300)


@probe("T27", "1460")
def fragmentation_needed_of_more(peer: Peer) -> str:
    """An MTU larger than the link's changes nothing."""
    return size_after(peer, 3, 4, 9000)


@probe("T27", "smaller in the end", long=True)
def a_black_hole(peer: Peer) -> str:
    """If full segments never arrive and no ICMP says so, smaller ones are tried after some time-outs (RFC 8899)."""
    conn = peer.open()
    conn.greet()
    largest = max(len(one.data) for one in conn.flight())
    until = time.monotonic() + 12
    while (left := until - time.monotonic()) > 0:
        one = conn.next(left)
        if one is not None and 200 < len(one.data) < largest and one.seq == conn.rcv:
            return "smaller in the end"
    return f"still {largest}"


@probe("T28", "at least 4000 bytes")
def icmp_errors_are_soft(peer: Peer) -> str:
    """Unreachable net, host, protocol and port, a quench, TTL exceeded: the connection goes on (RFC 5927 section 6)."""
    conn = peer.slow(MSS_OPTION)
    flight = conn.flight()
    for kind, code in ((3, 0), (3, 1), (3, 2), (3, 3), (3, 13), (4, 0), (11, 0), (12, 0)):
        complain(peer, flight[0], kind, code)
    conn.all()
    conn.send(ACK)
    return f"at least {min(len(conn.collect(4000)), 4000)} bytes"
