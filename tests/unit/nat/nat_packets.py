"""A NAT on the bench and packets for it, built by scapy."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from hognose.address import Address, Prefix, parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.ip.offload import lower
from hognose.limits import NatLimits
from hognose.link import LinkCaps, Outgoing
from hognose.nat.nat import Nat
from hognose.units import SECOND

OUTSIDE = "10.0.0.2"
CLIENT = "10.8.0.2"
OTHER = "10.8.0.3"
SERVER = "1.2.3.4"
STRANGER = "6.6.6.6"
VPN_PORT = 1194
TIMESTAMP = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]
NOTHING = LinkCaps(b"\2\0\0\0\0\1", tx_csum=False, tx_tso4=False)
FRAME_L3 = 26
Make = Callable[..., IP]  # udp, tcp or echo; a field of scapy's packets takes values of several types


def named(client: int) -> Address:
    """A name for client number 1, 2 …; in the program it is the client's address."""
    return client.to_bytes(4, "big")


def numbered(client: Address) -> int:
    return int.from_bytes(client, "big")


class Bench:
    """A Nat with its clock and what it sent; clients are 1 (CLIENT) and 2 (OTHER) unless said otherwise."""

    def __init__(self, start: int = 1000 * SECOND, limits: NatLimits | None = None) -> None:
        self.now = start
        self.counters = Counters()
        self.seed = random.Random(5)
        self.nat = Nat(
            address=parse_ipv4(OUTSIDE),
            reserved_ports=frozenset({(6, VPN_PORT)}),
            limits=limits or NatLimits(),
            random=self.seed.randbytes,
            counters=self.counters,
            tunnel=Prefix(parse_ipv4("10.8.0.0"), 24),
        )

    def forget(self, client: int) -> None:
        self.nat.forget(named(client))

    def hairpin(self, client: int, packet: Packet | bytes) -> tuple[int, bytes] | DropReason:
        result = self.nat.hairpin(named(client), bytes(packet), self.now)
        return result if isinstance(result, DropReason) else (numbered(result[0]), result[1])

    def send(self, *packets: Packet | bytes, client: int = 1) -> list[IP]:
        """Packets that leave, lowered to single ones, after the hot path and the slow one like in the gateway."""
        out: list[Outgoing] = []
        for packet in self.nat.outbound(named(client), [bytes(packet) for packet in packets], self.now, out):
            reason = self.nat.open_outbound(named(client), packet, self.now, out)
            assert reason is None, reason
        assert [next_hop for next_hop, _, _ in out] == [pieces[0][16:20] for _, _, pieces in out]
        return [IP(b"".join(pieces)) for _, _, pieces in lower(out, NOTHING)]

    def hot(self, *packets: Packet | bytes, client: int = 1) -> tuple[list[Outgoing], list[bytes]]:
        out: list[Outgoing] = []
        rest = self.nat.outbound(named(client), [bytes(packet) for packet in packets], self.now, out)
        return out, rest

    def refuse(self, packet: Packet | bytes, client: int = 1) -> DropReason | None:
        out: list[Outgoing] = []
        reason = self.nat.open_outbound(named(client), bytes(packet), self.now, out)
        assert (reason is None) == bool(out)
        return reason

    def receive(
        self, packet: Packet | bytes, gso_size: int = 0, partial: bool = False
    ) -> tuple[int, list[IP]] | DropReason:
        data = bytes(packet)
        frame = bytes(FRAME_L3) + data + b"padding"
        result = self.nat.inbound(frame, FRAME_L3, FRAME_L3 + len(data), gso_size, partial, self.now)
        if isinstance(result, DropReason):
            return result
        return numbered(result[0]), [IP(inner) for inner in result[1]]

    def accept(self, packet: Packet | bytes, gso_size: int = 0, partial: bool = False) -> tuple[int, list[IP]]:
        """`receive` of what comes in."""
        result = self.receive(packet, gso_size, partial)
        assert isinstance(result, tuple), result
        return result

    def accept_error(self, packet: Packet | bytes) -> tuple[int, IP]:
        """`receive_error` of what comes in."""
        result = self.receive_error(packet)
        assert isinstance(result, tuple), result
        return result

    def receive_error(self, packet: Packet | bytes) -> tuple[int, IP] | DropReason:
        data = bytes(packet)
        frame = bytes(FRAME_L3) + data + b"padding"
        result = self.nat.inbound_error(frame, FRAME_L3, FRAME_L3 + len(data), self.now)
        return result if isinstance(result, DropReason) else (numbered(result[0]), IP(result[1]))

    def advance(self, nanos: int) -> None:
        """Let virtual time pass, serving every deadline on the way."""
        until = self.now + nanos
        while True:
            due = self.nat.next_deadline()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self.nat.handle_deadline(self.now)
        self.now = until


def udp(
    sport: int = 5000, dport: int = 3478, payload: bytes = b"data", src: str = CLIENT, dst: str = SERVER, **ip: Any
) -> IP:
    return IP(**{"src": src, "dst": dst, "id": 7, **ip}) / UDP(sport=sport, dport=dport) / Raw(payload)


def tcp(
    sport: int = 5000, dport: int = 80, flags: str = "A", payload: bytes = b"", seq: int = 1, ack: int = 9,
    src: str = CLIENT, dst: str = SERVER, options: object = (), ident: int = 7, ipflags: object = "DF", **ip: Any,
) -> IP:  # fmt: skip
    header = TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, options=options, window=500)
    return IP(**{"src": src, "dst": dst, "id": ident, "flags": ipflags, **ip}) / header / Raw(payload)


def echo(
    ident: int = 0x2133, kind: int = 8, src: str = CLIENT, dst: str = SERVER, payload: bytes = b"ping", **ip: Any
) -> IP:
    return IP(**{"src": src, "dst": dst, **ip}) / ICMP(type=kind, id=ident, seq=3) / Raw(payload)


def rebuilt(packet: IP | bytes) -> bytes:
    """The packet with every checksum made new by scapy: equal to the packet when its checksums are right."""
    fresh = IP(bytes(packet))
    for layer in (IP, TCP, UDP, ICMP):
        if layer in fresh:
            del fresh[layer].chksum
    return bytes(fresh)
