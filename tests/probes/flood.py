"""A flood of SYNs from addresses that do not answer, and who gets through meanwhile (T23, T34)."""

from __future__ import annotations

import time

from tests.probes.peer import MSS_OPTION, Conn, Peer
from tests.probes.probe import Linux, probe
from tests.world import frames
from tests.world.frames import ACK, PSH, RST, SYN

MORE = 300  # more than the control's backlog
FLOOD = 2500  # more than any table of half-open connections here


def flood(peer: Peer) -> None:
    """SYNs from as many addresses beyond the router, and at the last moment enough of them to fill the tables again."""
    send_syns(peer, range(FLOOD))
    time.sleep(1.1)  # while they come, a first SYN may be left without an answer; the tables stay full after them
    send_syns(peer, range(FLOOD, FLOOD + MORE))  # Linux forgets half of them after its first retransmission


def send_syns(peer: Peer, numbers: range) -> None:
    """One from each of these addresses."""
    for number in numbers:
        source = f"198.51.{number >> 8}.{number & 255}"
        text = frames.tcp((source, 2000), (peer.target.address, peer.target.port), number, 0, SYN, options=MSS_OPTION)
        peer.frame(frames.ipv4(source, peer.target.address, 6, text))
        if number % 100 == 99:
            time.sleep(0.003)  # else the link loses them


@probe("T23", "28 bytes, 28 bytes", alone=True)
def a_connection_during_a_flood(peer: Peer) -> str:
    """While the half-open table is full a client gets in, with the options that a cookie can hold and without any."""
    flood(peer)
    found = []
    for options in (MSS_OPTION + frames.option(frames.SACK_OK) + frames.option(frames.SCALE, b"\7"), b""):
        conn = peer.open(options)
        found.append(f"{len(conn.greet())} bytes")
    return ", ".join(found)


@probe("T23", "3 × RST", alone=True)
def forged_cookies_during_a_flood(peer: Peer) -> str:
    """Acknowledgements of numbers that were never given out are answered with a RST."""
    flood(peer)
    found = []
    for number in (0, 0x12345678, 0xFFFFFFFF):
        port = peer.port
        peer.tell(port, 1001, number, ACK)
        found += peer.all(port)
    return " ".join([f"{len(found)} ×", *{one.names for one in found}])


@probe(
    "T23",
    "RST",
    linux=Linux("ACK", "its cookie stays good for two minutes: what follows the RST opens the connection again"),
    alone=True,
)
def text_after_a_rst_during_a_flood(peer: Peer) -> str:
    """A connection that was opened by a cookie and reset does not come back with the next segment."""
    flood(peer)
    conn = Conn(peer, peer.port, MSS_OPTION, 65535, stamps=False)
    conn.connect()
    conn.all()
    conn.send(RST)
    conn.all()
    conn.send(ACK | PSH, b"\0\x0e")
    names = {one.names for one in conn.all()}
    return ", ".join(sorted(names)) or "nothing"
