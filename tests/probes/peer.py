"""A TCP peer played by hand: segments are sent on purpose, answers told in words, relative to what is right."""

from __future__ import annotations

import itertools
import os
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.world import frames
from tests.world.frames import ACK, PSH, RST, SYN, Icmp, Segment
from tests.world.strangers import client_hello
from tests.world.wire import Host, Received, Wire

PATIENCE = 10.0  # seconds for an answer that must come
GRACE = 0.3  # seconds that an answer may be late which no later segment brings about
SLOW = 0.6  # seconds of a round trip that makes time-outs long
MSS_OPTION = frames.option(frames.MSS, (1460).to_bytes(2, "big"))
HELLO = client_hello()
# The records of OpenVPN that a probe says, and how many bytes come back for the first.
RESET_LEN, GREETING_LEN = 16, 28


class Wrong(Exception):  # noqa: N818 - as pytest's Failed
    """The probe did not come to its point: something that it rests on did not happen."""


@dataclass(frozen=True)
class Target:
    """Target of the probes: a TCP port of a server that answers a hard reset."""

    name: str
    address: str
    mac: bytes
    port: int


class Peer:
    """One phantom host toward one target; every connection has a port of its own."""

    def __init__(self, wire: Wire, host: Host, target: Target, router: Host) -> None:
        self.wire = wire
        self.host = host
        self.target = target
        self.router = router
        self.random = int.from_bytes(os.urandom(8), "big")
        self._ports = itertools.count(30_000 + self.random % 20_000)
        self.sees_repeats = False  # of SYN-ACKs, which come again until they are acknowledged
        self._syn_acks: set[tuple[int, int, int]] = set()

    def beyond(self, number: int) -> Peer:
        """Another peer, whose address is not on the link: what is for it comes to the router."""
        rest = self.host.address.split(".", 2)[2]
        host = self.wire.join(f"198.{18 + number}.{rest}", self.router.mac)
        return Peer(self.wire, host, self.target, self.router)

    @property
    def port(self) -> int:
        """A port not used before."""
        return next(self._ports)

    # -- out ---------------------------------------------------------------------------------------------------------

    def frame(self, packet: bytes, *, to: bytes | None = None, kind: int = frames.TYPE_IPV4, padding: int = 0) -> None:
        """An IPv4 packet (or another payload) in an Ethernet frame."""
        mac = self.target.mac if to is None else to
        self.wire.send(frames.ethernet(mac, self.host.mac, kind, packet, bytes(padding)))

    def packet(self, protocol: int, payload: bytes, *, source: str = "", to: str = "", **fields: Any) -> bytes:
        """An IPv4 packet from us to the target, unless other addresses are named."""
        addresses = (source or self.host.address, to or self.target.address)
        return frames.ipv4(*addresses, protocol, payload, **fields)

    def segment(self, port: int, seq: int, ack: int, flags: int, **fields: Any) -> bytes:
        """The text of a TCP segment from us to the target's port."""
        source, to = (self.host.address, port), (self.target.address, self.target.port)
        return frames.tcp(source, to, seq, ack, flags, **fields)

    def tell(self, port: int, seq: int, ack: int, flags: int, **fields: Any) -> None:
        """Send a TCP segment."""
        self.frame(self.packet(6, self.segment(port, seq, ack, flags, **fields)))

    # -- in ----------------------------------------------------------------------------------------------------------

    def answer(self, port: int, seconds: float = PATIENCE) -> Segment | None:
        """The next segment for this port."""
        until = time.monotonic() + seconds
        while True:
            found = self.host.take(lambda one: isinstance(one, Segment) and one.dport == port, until)
            if not isinstance(found, Segment) or not self._is_repeat(found):
                return found if isinstance(found, Segment) else None

    def _is_repeat(self, one: Segment) -> bool:
        """A SYN-ACK that was looked at before."""
        if one.flags & 0x17 != SYN | ACK:
            return False
        what = (one.dport, one.seq, one.ack)
        known = what in self._syn_acks
        self._syn_acks.add(what)
        return known and not self.sees_repeats

    def must_answer(self, port: int, flags: int) -> Segment:
        """The next segment for this port, which has these flags."""
        found = self.answer(port)
        if found is None:
            raise Wrong(f"no {frames.flag_names(flags)} came")
        if found.flags & 0x17 != flags:
            raise Wrong(f"{found.names} came, not {frames.flag_names(flags)}")
        return found

    def knock(self, port: int, seq: int, **fields: Any) -> Segment:
        """The answer to a SYN, which is sent again as clients send it again."""
        for seconds in (3, 3, PATIENCE):
            self.tell(port, seq, 0, SYN, **fields)
            found = self.answer(port, seconds)
            if found is not None:
                if found.flags & 0x17 != SYN | ACK:
                    raise Wrong(f"{found.names} came, not SYN|ACK")
                return found
        raise Wrong("no SYN|ACK came")

    def settle(self, grace: float = GRACE) -> None:
        """Wait until the target has worked on all that was sent: a SYN sent after it is answered."""
        port, seq = self.port, self.random & frames.MASK
        self.knock(port, seq, options=MSS_OPTION)
        self.tell(port, seq + 1, 0, RST)
        time.sleep(grace)

    def all(self, port: int, grace: float = GRACE) -> list[Segment]:
        """All segments for this port, once the target has settled."""
        self.settle(grace)
        return [one for one in self.host.take_all(lambda one: isinstance(one, Segment) and one.dport == port)
                if isinstance(one, Segment) and not self._is_repeat(one)]  # fmt: skip

    def icmp(self, grace: float = GRACE) -> list[Icmp]:
        """All ICMP messages, once the target has settled."""
        self.settle(grace)
        return [one for one in self.host.take_all(lambda one: isinstance(one, Icmp)) if isinstance(one, Icmp)]

    def others(self, wanted: type[Received]) -> list[Received]:
        """Whatever of a kind is there."""
        return self.host.take_all(lambda one: isinstance(one, wanted))

    # -- connections -------------------------------------------------------------------------------------------------

    def open(self, options: bytes = MSS_OPTION, window: int = 65535, *, stamps: bool = False, port: int = 0) -> Conn:
        """A connection, its handshake complete."""
        conn = Conn(self, port or self.port, options, window, stamps=stamps)
        conn.connect()
        return conn

    def greeted(self, options: bytes = MSS_OPTION, window: int = 65535, *, stamps: bool = False) -> Conn:
        """A connection that has exchanged hard resets, everything that came of them taken."""
        conn = self.open(options, window, stamps=stamps)
        conn.greet()
        conn.all()
        return conn

    def slow(self, options: bytes, window: int = 65535) -> Conn:
        """A greeted connection whose round trip is long, so that its time-out is more than a second; its window then.

        A flight without acknowledgements needs it: on a busy machine the target's time-out would come into it.
        """
        conn = Conn(self, self.port, options, 65535, stamps=False)
        conn.connect(delay=SLOW)
        conn.say(conn.reset_record)
        conn.greeting(acknowledge=False)
        time.sleep(SLOW)
        conn.in_window(window)
        return conn

    def syn(self, options: bytes, **fields: Any) -> Segment:
        """The answer to one SYN with these options; the connection is not gone on with."""
        port = self.port
        self.tell(port, 1000, 0, SYN, options=options, **fields)
        answer = self.must_answer(port, SYN | ACK)
        self.tell(port, 1001, 0, RST)
        return answer


class Conn:
    """Our end of one connection: snd is the number of our next byte, rcv that of the target's, as they ought to be."""

    def __init__(self, peer: Peer, port: int, options: bytes, window: int, *, stamps: bool) -> None:
        self.peer = peer
        self.port = port
        self.options = options
        self.window = window
        self.iss = int.from_bytes(os.urandom(4), "big")
        self.snd = self.iss
        self.irs = self.rcv = 0
        self.clock = int.from_bytes(os.urandom(3), "big") if stamps else -1
        self.echo = 0  # the target's last TSval
        self.session = os.urandom(8)
        self.server_session = b""

    def connect(self, delay: float = 0) -> Segment:
        """SYN, SYN-ACK, ACK, the last after `delay` seconds."""
        options = self.options + (self._stamps() if self.clock >= 0 else b"")
        answer = self.peer.knock(self.port, self.iss, window=min(self.window, 0xFFFF), options=options)
        if answer.ack != (self.iss + 1) & frames.MASK:
            raise Wrong("the SYN-ACK acknowledges another number")
        self.snd, self.irs, self.rcv = answer.ack, answer.seq, answer.end
        self._note(answer)
        time.sleep(delay)
        self.send()
        return answer

    def send(
        self, flags: int = ACK, data: bytes = b"", *, seq: int = 0, ack: int = 0, options: bytes = b"",
        window: int | None = None, stamp: int | None = 0, **fields: Any,
    ) -> None:  # fmt: skip
        """A segment; seq and ack are distances from the right numbers, stamp one from our clock, None leaves it out."""
        if self.clock >= 0 and stamp is not None:
            options = self._stamps(stamp) + options
        self.peer.tell(
            self.port, self.snd + seq, self.rcv + ack if flags & ACK else 0, flags,
            window=self.window if window is None else window, options=options, data=data, **fields,
        )  # fmt: skip

    def say(self, data: bytes) -> None:
        """Text in order; moves snd."""
        self.send(ACK | PSH, data)
        self.snd = (self.snd + len(data)) & frames.MASK

    def _stamps(self, distance: int = 0) -> bytes:
        value = (self.clock + distance) & frames.MASK
        return b"\1\1" + frames.option(frames.STAMPS, struct.pack(">II", value, self.echo))

    def _note(self, segment: Segment) -> None:
        if segment.stamps is not None:
            self.echo = segment.stamps[0]

    # -- in ----------------------------------------------------------------------------------------------------------

    def next(self, seconds: float = PATIENCE) -> Segment | None:
        """The next segment of the connection; rcv stays."""
        found = self.peer.answer(self.port, seconds)
        if found is not None:
            self._note(found)
        return found

    def all(self, grace: float = GRACE) -> list[Segment]:
        """Everything that came, once the target has settled."""
        return self.peer.all(self.port, grace)

    def collect(self, size: int, *, acknowledge: bool = True) -> bytes:
        """Bytes in order, acknowledged as they come; bare acknowledgements are passed over."""
        data = b""
        while len(data) < size:
            one = self.next()
            if one is None:
                raise Wrong(f"{len(data)} of {size} bytes came")
            if one.data and one.seq == self.rcv:
                data += one.data
                self.rcv = one.end
                if acknowledge:
                    self.send()
        return data

    # -- what the application says ----------------------------------------------------------------------------

    @property
    def reset_record(self) -> bytes:
        """The client's hard reset: 16 bytes that are answered with 28."""
        return b"\0\x0e\x38" + self.session + bytes(5)

    def greet(self) -> bytes:
        """Our hard reset, the server's, both acknowledged."""
        self.say(self.reset_record)
        return self.greeting()

    def greeting(self, *, acknowledge: bool = True) -> bytes:
        """The server's hard reset, which repeats what it has read of ours."""
        data = self.collect(GREETING_LEN, acknowledge=acknowledge)
        if data[:3] != b"\0\x1a\x40" or data[16:24] != self.session:
            raise Wrong("the answer is none to our hard reset")
        self.server_session = data[3:11]
        return data

    def in_window(self, window: int) -> None:
        """Another window from now on."""
        self.window = window
        self.send()

    def flight(self) -> list[Segment]:
        """Segments of a long answer without acknowledgements, each segment once, in order."""
        self.ask_for_much()
        found: dict[int, Segment] = {}
        one = self.next()
        while one is not None and not one.data:
            one = self.next()
        if one is None:
            raise Wrong("no long answer came")
        for each in (one, *self.all(grace=0.1)):
            if each.data:
                found.setdefault((each.seq - self.rcv) & frames.MASK, each)
        return [found[at] for at in sorted(found)]

    def ask_for_much(self) -> None:
        """After the greeting: the record that a long answer comes for, over 4000 bytes in one go."""
        record = b"\x20" + self.session + b"\1" + bytes(4) + self.server_session + b"\0\0\0\1" + HELLO
        self.say(len(record).to_bytes(2, "big") + record)

    # -- words -------------------------------------------------------------------------------------------------------

    def told(self, segments: Iterable[Segment | None]) -> str:
        """`ACK` when seq is rcv and ack is snd, distances where not; `nothing` for none."""
        return tell_all(self._one(one) for one in segments if one is not None)

    def _one(self, one: Segment) -> str:
        words = [one.names]
        words += distance("seq", one.seq, self.rcv)
        words += distance("ack", one.ack, self.snd) if one.flags & ACK else []
        words += [f"{len(one.data)} bytes"] if one.data else []
        words += [f"({one.wrong})"] if one.wrong else []
        return " ".join(words)


def distance(name: str, number: int, right: int) -> list[str]:
    """`seq+3` unless it is right."""
    off = (number - right + 0x80000000 & frames.MASK) - 0x80000000
    return [f"{name}{off:+}"] if off else []


def tell_all(words: Iterable[str]) -> str:
    """One after the other; equal neighbours once, with their number."""
    told = [f"{len(group)} × {word}" if len(group) > 1 else word
            for word, group in ((word, list(found)) for word, found in itertools.groupby(words))]  # fmt: skip
    return ", ".join(told) or "nothing"
