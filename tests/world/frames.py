"""Ethernet, ARP, IPv4, TCP and ICMP made and read with struct alone: shares no code with the program under test.

Every field of a header can be made wrong: a number given replaces what would be right. Addresses are dotted text.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
NAMES = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK"))
TYPE_IPV4, TYPE_ARP, TYPE_VLAN = 0x0800, 0x0806, 0x8100
BROADCAST = b"\xff" * 6
MASK = 0xFFFFFFFF
# Option kinds
MSS, SCALE, SACK_OK, SACK, STAMPS = 2, 3, 4, 5, 8


def checksum(data: bytes) -> int:
    """RFC 1071; 0 over data that holds its right checksum."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(source: str, destination: str, protocol: int, size: int) -> bytes:
    """Pseudo-header of RFC 9293 3.1 for the checksum."""
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack(">HH", protocol, size)


def ethernet(to: bytes, source: bytes, kind: int, payload: bytes, padding: bytes = b"") -> bytes:
    """A frame without its FCS."""
    return to + source + struct.pack(">H", kind) + payload + padding


def arp(operation: int, sender_mac: bytes, sender: str, target_mac: bytes, target: str) -> bytes:
    """RFC 826."""
    fixed = struct.pack(">HHBBH", 1, TYPE_IPV4, 6, 4, operation)
    return fixed + sender_mac + socket.inet_aton(sender) + target_mac + socket.inet_aton(target)


def ipv4(
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    options: bytes = b"",
    ident: int = 0,
    flags: int = 2,
    offset: int = 0,
    ttl: int = 64,
    tos: int = 0,
    version: int = 4,
    words: int | None = None,
    length: int | None = None,
    wrong: int = 0,
) -> bytes:
    """RFC 791.

    flags: 2 is DF, 1 more fragments; offset in bytes; words: the header's length; wrong: added to its checksum.
    """
    head = bytearray(
        struct.pack(
            ">BBHHHBBH4s4s",
            version << 4 | (5 + len(options) // 4 if words is None else words),
            tos,
            20 + len(options) + len(payload) if length is None else length,
            ident,
            flags << 13 | offset // 8,
            ttl,
            protocol,
            0,
            socket.inet_aton(source),
            socket.inet_aton(destination),
        )
        + options
    )
    head[10:12] = ((checksum(bytes(head)) + wrong) & 0xFFFF).to_bytes(2, "big")
    return bytes(head) + payload


def tcp(
    source: tuple[str, int],
    destination: tuple[str, int],
    seq: int,
    ack: int,
    flags: int,
    *,
    window: int = 65535,
    options: bytes = b"",
    data: bytes = b"",
    urgent: int = 0,
    words: int | None = None,
    wrong: int = 0,
) -> bytes:
    """RFC 9293. words: the header's length; wrong: added to the checksum."""
    options += bytes(-len(options) % 4)
    fields = (
        source[1],
        destination[1],
        seq & MASK,
        ack & MASK,
        (5 + len(options) // 4 if words is None else words) << 4,
    )
    text = bytearray(struct.pack(">HHIIBBHHH", *fields, flags, window, 0, urgent) + options + data)
    right = checksum(pseudo(source[0], destination[0], 6, len(text)) + text)
    text[16:18] = ((right + wrong) & 0xFFFF).to_bytes(2, "big")
    return bytes(text)


def icmp(kind: int, code: int, rest: int, payload: bytes, wrong: int = 0) -> bytes:
    """RFC 792; rest is the second word."""
    text = bytearray(struct.pack(">BBHI", kind, code, 0, rest) + payload)
    text[2:4] = ((checksum(bytes(text)) + wrong) & 0xFFFF).to_bytes(2, "big")
    return bytes(text)


def flag_names(flags: int) -> str:
    """SYN|ACK and the like."""
    return "|".join(name for bit, name in NAMES if flags & bit) or "none"


def option(kind: int, value: bytes = b"") -> bytes:
    """One TCP option."""
    return bytes((kind, 2 + len(value))) + value


@dataclass(frozen=True)
class Arp:
    """An ARP packet that came."""

    at: float
    to: bytes
    operation: int
    sender_mac: bytes
    sender: str
    target: str


@dataclass(frozen=True)
class Segment:
    """A TCP segment that came; wrong names what a receiver would drop it for."""

    at: float
    source: str
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    options: dict[int, bytes]
    data: bytes
    header: bytes  # of IPv4
    wrong: str

    @property
    def end(self) -> int:
        """The number after its last byte, SYN and FIN included."""
        return (self.seq + len(self.data) + bool(self.flags & SYN) + bool(self.flags & FIN)) & MASK

    @property
    def names(self) -> str:
        """SYN|ACK and the like; PSH is left out."""
        return flag_names(self.flags)

    @property
    def sack(self) -> list[tuple[int, int]]:
        """Its blocks."""
        words = struct.unpack(f">{len(self.options.get(SACK, b'')) // 4}I", self.options.get(SACK, b""))
        return list(zip(words[::2], words[1::2], strict=True))

    @property
    def stamps(self) -> tuple[int, int] | None:
        """TSval and TSecr."""
        found = struct.unpack(">II", self.options[STAMPS]) if STAMPS in self.options else None
        return (found[0], found[1]) if found else None


@dataclass(frozen=True)
class Icmp:
    """An ICMP message that came."""

    at: float
    source: str
    kind: int
    code: int
    rest: int
    payload: bytes
    wrong: str


def read_arp(frame: bytes, at: float) -> Arp:
    """The ARP packet of a frame."""
    operation, mac, sender, target = struct.unpack_from(">6xH6s4s6x4s", frame, 14)
    return Arp(at, frame[:6], operation, mac, socket.inet_ntoa(sender), socket.inet_ntoa(target))


def read_ipv4(frame: bytes, at: float) -> Segment | Icmp | None:
    """TCP or ICMP in a frame."""
    packet = frame[14:]
    size, word, protocol = struct.unpack_from(">2xH2xHxB", packet)
    head_len = (packet[0] & 15) * 4
    header, text = packet[:head_len], packet[head_len:size]
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    wrong = ""
    if checksum(header) or size > len(packet):
        wrong = "IPv4 checksum" if checksum(header) else "IPv4 length"
    if protocol == 1:
        wrong = wrong or ("ICMP checksum" if checksum(text) else "")
        kind, code, _, rest = struct.unpack_from(">BBHI", text)
        return Icmp(at, source, kind, code, rest, text[8:], wrong)
    if protocol != 6 or word & 0x1FFF:
        return None
    wrong = wrong or ("TCP checksum" if checksum(pseudo(source, destination, 6, len(text)) + text) else "")
    sport, dport, seq, ack, words, flags, window, _, _ = struct.unpack_from(">HHIIBBHHH", text)
    start = words >> 4 << 2
    options = read_options(text[20:start])
    return Segment(
        at, source, sport, dport, seq, ack, flags, window, options or {}, text[start:], header,
        wrong or ("" if options is not None else "TCP options"),
    )  # fmt: skip


def read_options(data: bytes) -> dict[int, bytes] | None:
    """By kind; None when they cannot be followed to the end."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at]:
        if data[at] == 1:
            at += 1
            continue
        if at + 1 >= len(data) or data[at + 1] < 2 or at + data[at + 1] > len(data) or data[at] in found:
            return None
        found[data[at]] = data[at + 2 : at + data[at + 1]]
        at += data[at + 1]
    return found
