"""The ends of connections: half-close, FINs sent again, who lingers in TIME-WAIT and what it answers (T8, T4)."""

from __future__ import annotations

from tests.probes.peer import MSS_OPTION, PATIENCE, Conn, Peer, Wrong
from tests.probes.probe import probe
from tests.probes.timing import doubling, patience
from tests.world import frames
from tests.world.frames import ACK, FIN, PSH, RST, SYN


def told_of_fin(conn: Conn) -> str:
    """The FIN that comes, whatever acknowledgements stand in front of it; it moves rcv."""
    passed = []
    while (one := conn.next()) is not None:
        passed.append(one)
        if one.flags & (FIN | RST):
            told = conn.told([one])
            conn.rcv = one.end
            return told
    return conn.told(passed)


def closed_by_the_target(peer: Peer, *, acknowledge: bool = True) -> Conn:
    """A connection on which the target's FIN came first: a record of length 0 is the end of a session."""
    conn = peer.open()
    conn.greet()
    conn.say(b"\0\0")
    if (told := told_of_fin(conn)) != "FIN|ACK":
        raise Wrong(f"instead of a FIN: {told}")
    if acknowledge:
        conn.send()
        conn.all()  # the FIN may have been sent again before
    return conn


def finish(conn: Conn) -> None:
    """Our FIN, in order."""
    conn.send(FIN | ACK)
    conn.snd = (conn.snd + 1) & frames.MASK


def lingering(peer: Peer) -> Conn:
    """A connection in TIME-WAIT at the target."""
    conn = closed_by_the_target(peer)
    finish(conn)
    if (told := conn.told(conn.all())) != "ACK":
        raise Wrong(f"the last FIN was answered by: {told}")
    return conn


def opened_anew(old: Conn) -> Conn:
    """Another connection of the same four-tuple, with a newer number."""
    conn = Conn(old.peer, old.port, MSS_OPTION, 65535, stamps=False)
    conn.iss = conn.snd = (old.snd + 100_000) & frames.MASK
    conn.connect()
    return conn


@probe("T8", "FIN|ACK; ACK: RST")
def closed_by_the_peer(peer: Peer) -> str:
    """The peer's FIN is acknowledged and answered by a FIN; once that is acknowledged nothing is left."""
    conn = peer.open()
    conn.greet()
    finish(conn)
    told = told_of_fin(conn)
    conn.send()
    conn.all()
    conn.send()
    return f"{told}; ACK: {conn.told(conn.all())}"


@probe("T8", "FIN|ACK")
def closed_by_the_peer_without_a_word(peer: Peer) -> str:
    """The first thing on a connection is the FIN."""
    conn = peer.open()
    finish(conn)
    return told_of_fin(conn)


@probe("T8", "28 bytes; FIN|ACK")
def a_fin_beside_text(peer: Peer) -> str:
    """The FIN comes with the last text: what is answered to the text comes before the target's FIN."""
    conn = peer.open()
    conn.say(conn.reset_record[:8])
    conn.send(FIN | PSH | ACK, conn.reset_record[8:])
    conn.snd += 9
    data = b""
    fin = ""
    for one in conn.all():
        if one.data and one.seq == conn.rcv:
            data += one.data
            conn.rcv += len(one.data)
        if one.flags & FIN and not fin:
            fin = f"{one.names}{'' if one.end == conn.rcv + 1 else ' elsewhere'}"
    return f"{len(data)} bytes; {fin}"


@probe("T8", "ACK, then FIN|ACK")
def a_fin_beyond_a_gap(peer: Peer) -> str:
    """A FIN beyond a gap counts when the gap is filled, not before."""
    conn = peer.greeted()
    conn.send(FIN | ACK, b"\0\0", seq=4)
    first = conn.told(conn.all())
    conn.send(ACK, b"\0\4\x48\0")
    conn.snd += 7
    return f"{first}, then {told_of_fin(conn)}"


@probe("T4", "nothing")
def text_behind_the_fin(peer: Peer) -> str:
    """Data after a peer's own FIN is ignored (RFC 9293 3.10.7.4, seventh)."""
    conn = peer.open()
    conn.greet()
    finish(conn)
    told_of_fin(conn)
    conn.send(ACK, b"more")
    answers = [one for one in conn.all() if not one.flags & FIN]
    return conn.told(answers[:1])


@probe("T8", "FIN|ACK again, doubling")
def a_fin_is_sent_again(peer: Peer) -> str:
    """A FIN that is not acknowledged is sent again at doubled intervals."""
    conn = closed_by_the_target(peer, acknowledge=False)
    conn.rcv -= 1
    times: list[float] = []
    names: set[str] = set()
    while len(times) < 3:
        one = conn.next(patience(times, PATIENCE))
        if one is None:
            return f"{len(times)} FINs"
        if one.flags & FIN:
            times.append(one.at)
            names.add(one.names)
    return f"{', '.join(names)} again, {doubling(times)}"


@probe("T8", "ACK; text: ACK; FIN: ACK")
def the_other_half_stays_open(peer: Peer) -> str:
    """In FIN-WAIT-2 the peer's text is still acknowledged, and its FIN."""
    conn = closed_by_the_target(peer)
    conn.say(b"more")
    text = conn.told(conn.all())
    finish(conn)
    return f"ACK; text: {text}; FIN: {conn.told(conn.all())}"


@probe("T8", "ACK, then nothing")
def both_close_at_once(peer: Peer) -> str:
    """The FINs cross: ours is acknowledged, in CLOSING; the acknowledgement of the target's is not answered."""
    conn = closed_by_the_target(peer, acknowledge=False)
    conn.send(FIN | ACK, ack=-1)
    conn.snd += 1
    first = [one for one in conn.all() if not one.flags & FIN]
    conn.send()
    conn.all()  # FINs that were under way
    return f"{conn.told(first[:1])}, then {conn.told(conn.all(grace=1.2))}"


@probe("T8", "ACK")
def a_fin_again_in_time_wait(peer: Peer) -> str:
    """In TIME-WAIT the peer's FIN, which comes again, is acknowledged again."""
    conn = lingering(peer)
    conn.send(FIN | ACK, seq=-1)
    return conn.told(conn.all())


@probe("T8", "RST: nothing; FIN again: ACK")
def a_rst_in_time_wait(peer: Peer) -> str:
    """RFC 1337: a RST does not end TIME-WAIT."""
    conn = lingering(peer)
    conn.send(RST)
    first = conn.told(conn.all())
    conn.send(FIN | ACK, seq=-1)
    return f"RST: {first}; FIN again: {conn.told(conn.all(grace=0.7))}"


@probe("T8", "ACK")
def an_old_syn_in_time_wait(peer: Peer) -> str:
    """A SYN with an older number is answered as other old segments are."""
    conn = lingering(peer)
    conn.send(SYN, seq=-1000, options=MSS_OPTION)
    return conn.told(conn.all())


@probe("T8", "28 bytes")
def a_newer_syn_in_time_wait(peer: Peer) -> str:
    """A SYN with a newer number opens a new connection of the same four-tuple (RFC 9293 3.10.7.4, RFC 6191)."""
    conn = opened_anew(lingering(peer))
    return f"{len(conn.greet())} bytes"


@probe("T8", "the new number is older than the old one")
def the_number_after_time_wait(peer: Peer) -> str:
    """The initial number that follows TIME-WAIT is greater than every number of the old connection."""
    old = lingering(peer)
    conn = opened_anew(old)
    ahead = (conn.irs - old.rcv) & frames.MASK
    return "the new number is older than the old one" if 0 < ahead < 1 << 31 else str(ahead)


@probe("T8", "28 bytes")
def a_new_connection_after_a_rst(peer: Peer) -> str:
    """After a RST the same four-tuple is free at once."""
    old = peer.open()
    old.greet()
    old.send(RST)
    conn = peer.open(port=old.port)
    return f"{len(conn.greet())} bytes"
