"""TCP segments for tests: built and read by code that shares nothing with hognose.wire, checksums verified."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
LETTERS = "FSRPAU"


@dataclass
class Segment:
    """One segment on the wire; flags as letters in the order FSRPAU, "." for none of them."""

    seq: int = 0
    ack: int = 0
    flags: str = "A"
    window: int = 65535
    payload: bytes = b""
    mss: int | None = None
    scale: int | None = None
    sack_ok: bool = False
    sack: list[tuple[int, int]] = field(default_factory=list)
    ts: tuple[int, int] | None = None
    raw_options: bytes | None = None
    super_size: int = 0  # payload bytes of the super-segment that this one came out of; 0 = it came alone

    def has(self, letter: str) -> bool:
        return letter in self.flags

    @property
    def end(self) -> int:
        """Sequence number after this segment."""
        return (self.seq + len(self.payload) + self.has("S") + self.has("F")) & 0xFFFFFFFF


def ipv4_int(text: str) -> int:
    """An address as the number of its bytes."""
    return int(IPv4Address(text))


def ones_complement(data: bytes) -> int:
    """The Internet checksum of RFC 1071, word by word."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(packet: bytes) -> bytes:
    return packet[12:20] + b"\0\6" + struct.pack(">H", len(packet) - 20)


def options_of(segment: Segment) -> bytes:
    if segment.raw_options is not None:
        return segment.raw_options
    out = b""
    if segment.mss is not None:
        out += struct.pack(">BBH", 2, 4, segment.mss)
    if segment.sack_ok:
        out += b"\1\1\4\2"
    if segment.ts is not None:
        out += b"\1\1\x08\x0a" + struct.pack(">II", *segment.ts)
    if segment.scale is not None:
        out += struct.pack(">BBBB", 1, 3, 3, segment.scale)
    if segment.sack:
        out += b"\1\1" + bytes((5, 2 + 8 * len(segment.sack)))
        out += b"".join(struct.pack(">II", *block) for block in segment.sack)
    return out


def build(segment: Segment, source: int, sport: int, destination: int, dport: int, *, checksum: bool = True) -> bytes:
    """The IPv4 packet of a segment."""
    options = options_of(segment)
    options += bytes(-len(options) % 4)
    flags = sum(1 << LETTERS.index(letter) for letter in segment.flags if letter != ".")
    offset = (20 + len(options)) << 2
    seq, ack = segment.seq & 0xFFFFFFFF, segment.ack & 0xFFFFFFFF
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, offset, flags, segment.window, 0, 0) + options
    tcp += segment.payload
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, destination)
    ip = ip[:10] + struct.pack(">H", ones_complement(ip)) + ip[12:]
    if checksum:
        tcp = tcp[:16] + struct.pack(">H", ones_complement(pseudo(ip + tcp) + tcp)) + tcp[18:]
    return ip + tcp


def read(outgoing: tuple[bytes, bytes, list[bytes]]) -> list[Segment]:
    """The segments that a device with TSO makes of an Outgoing; its headers and partial checksum are checked."""
    destination, vnet, pieces = outgoing
    packet = b"".join(pieces)
    flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, _ = struct.unpack("<BBHHHHH", vnet)
    header_len = (packet[32] >> 4) * 4
    payload = packet[20 + header_len :]
    assert packet[0] == 0x45
    assert struct.unpack_from(">H", packet, 2)[0] == len(packet) <= 65535
    assert ones_complement(packet[:20]) == 0, "IPv4 header checksum"
    assert packet[16:20] == destination
    assert (flags, csum_start, csum_offset) == (1, 34, 16)
    partial = ones_complement(pseudo(packet)) ^ 0xFFFF
    assert struct.unpack_from(">H", packet, 36)[0] % 0xFFFF == partial % 0xFFFF, "partial checksum"
    whole = parse(packet)
    if not gso_type:
        return [whole]
    assert (gso_type, hdr_len) == (1, 34 + header_len)
    assert len(payload) > gso_size > 0
    cuts = range(0, len(payload), gso_size)
    out = []
    for at in cuts:
        last = at == cuts[-1]
        letters = whole.flags if last else whole.flags.replace("P", "").replace("F", "")
        part = Segment(whole.seq + at & 0xFFFFFFFF, whole.ack, letters, whole.window, payload[at : at + gso_size])
        part.ts, part.super_size = whole.ts, len(payload)
        out.append(part)
    return out


def parse(packet: bytes) -> Segment:
    """One segment of a whole IPv4 packet."""
    _, _, seq, ack, offset, flags, window = struct.unpack_from(">HHIIBBH", packet, 20)
    start = 20 + (offset >> 4) * 4
    letters = "".join(letter for bit, letter in enumerate(LETTERS) if flags >> bit & 1) or "."
    segment = Segment(seq, ack, letters, window, packet[start:])
    at, options = 0, packet[40:start]
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        kind, size = options[at], options[at + 1]
        value = options[at + 2 : at + size]
        if kind == 2:
            segment.mss = int.from_bytes(value, "big")
        elif kind == 3:
            segment.scale = value[0]
        elif kind == 4:
            segment.sack_ok = True
        elif kind == 5:
            words = struct.unpack(f">{len(value) // 4}I", value)
            segment.sack = list(zip(words[::2], words[1::2], strict=True))
        elif kind == 8:
            segment.ts = struct.unpack(">II", value)
        at += size
    return segment
