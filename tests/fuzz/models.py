"""Meaning of bytes, by plain code that shares nothing with ours: the fuzz targets compare.

Written from the RFCs, slowly and openly: a check that is missing on one of both sides shows as a difference.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.sim.segments import ones_complement

MOST_FRAGMENTS = 1365
FRAGMENT_SECONDS = 30


def tcp_options(data: bytes) -> list[tuple[int, bytes]]:
    """(kind, value) up to the end, to the kind 0, or to what has no possible length (RFC 9293 section 3.1)."""
    found = []
    while data and data[0] != 0:
        size = 1 if data[0] == 1 else data[1] if len(data) > 1 else 0
        if size > len(data) or (data[0] != 1 and size < 2):
            break
        if data[0] != 1:
            found.append((data[0], data[2:size]))
        data = data[size:]
    return found


def tcp_meaning(data: bytes) -> dict[str, object]:
    """Options as a stack reads them: of several of a kind the last that has the right length."""
    meaning: dict[str, object] = {
        "mss": None, "window_scale": None, "sack_permitted": False, "sack": (), "timestamps": None,
    }  # fmt: skip
    for kind, value in tcp_options(data):
        if (kind, len(value)) == (2, 2):
            meaning["mss"] = struct.unpack(">H", value)[0]
        elif (kind, len(value)) == (3, 1):
            meaning["window_scale"] = value[0] if value[0] < 14 else 14  # RFC 7323 section 2.3
        elif (kind, len(value)) == (4, 0):
            meaning["sack_permitted"] = True
        elif kind == 5 and value and len(value) % 8 == 0:
            meaning["sack"] = tuple(struct.iter_unpack(">II", value))
        elif (kind, len(value)) == (8, 8):
            meaning["timestamps"] = struct.unpack(">II", value)
    return meaning


def clamped(packet: bytes, most: int) -> bytes:
    """The packet with the first MSS option of a SYN lowered, its checksum as wrong as it was."""
    l4 = (packet[0] & 15) * 4
    fragment = struct.unpack_from(">H", packet, 6)[0] & 0x3FFF
    if packet[9] != 6 or fragment or len(packet) < l4 + 20 or not packet[l4 + 13] & 2:
        return packet
    at, end = l4 + 20, min(l4 + (packet[l4 + 12] >> 4) * 4, len(packet))
    options = packet[at:end]
    values = [value for kind, value in tcp_options(options) if kind == 2]
    if not values or len(values[0]) != 2 or struct.unpack(">H", values[0])[0] <= most:
        return packet
    at += _offset_of_mss(options)
    lower = packet[:at] + struct.pack(">H", most) + packet[at + 2 :]
    # ones_complement is the complement of the sum: the field takes what the sum has lost, one's complement
    lost = (ones_complement(lower[l4:]) - ones_complement(packet[l4:])) % 0xFFFF
    checksum = (struct.unpack_from(">H", packet, l4 + 16)[0] + lost) % 0xFFFF
    return lower[: l4 + 16] + struct.pack(">H", checksum) + lower[l4 + 18 :]


def _offset_of_mss(options: bytes) -> int:
    at = 0
    while options[at] != 2:
        at += 1 if options[at] == 1 else options[at + 1]
    return at + 2


def ipv4(data: bytes) -> str | tuple[int, int]:
    """(header length, total length) of a packet in data, or why not: header, checksum, source route."""
    if len(data) < 20:
        return "header"
    version, size = data[0] >> 4, (data[0] & 15) * 4
    total = struct.unpack_from(">H", data, 2)[0]
    if version != 4 or size < 20 or total < size or total > len(data):
        return "header"
    if ones_complement(data[:size]):
        return "checksum"
    verdict = ip_options(data[20:size])
    return verdict or (size, total)


def ip_options(data: bytes) -> str:
    """The first that is wrong with them, or ""."""
    while data and data[0]:
        size = 1 if data[0] == 1 else data[1] if len(data) > 1 else 0
        if size > len(data) or (data[0] != 1 and size < 2):
            return "header"
        if data[0] in (131, 137):
            return "source route"
        data = data[size:]
    return ""


def udp_fits(data: bytes) -> bool:
    """True for a UDP datagram at the beginning of an IPv4 payload."""
    return len(data) >= 8 and 8 <= struct.unpack_from(">H", data, 4)[0] <= len(data)


@dataclass
class Fragments:
    """Unfinished datagrams without bounds; the whole, or why a fragment ended its datagram."""

    waiting: dict[tuple[int, ...], tuple[int, dict[int, tuple[bytes, bool, bytes]]]] = field(default_factory=dict)

    def take(self, packet: bytes, now: int) -> str | bytes:
        """ "" for a fragment that waits or is there already."""
        size = (packet[0] & 15) * 4
        ident, word = struct.unpack_from(">HH", packet, 4)
        protocol, source, destination = struct.unpack_from(">9xB2xII", packet)
        key = (source, destination, protocol, ident)
        at, more, payload = (word & 0x1FFF) * 8, bool(word & 0x2000), packet[size:]
        least = {6: 20, 17: 8, 1: 8}.get(protocol, 1)
        bad = (
            not payload
            or (more and len(payload) % 8 != 0)
            or size + at + len(payload) > 65_535
            or (at == 0 and len(payload) < least)
            or (protocol == 6 and 0 < at < 20)
        )
        if bad:
            self.waiting.pop(key, None)
            return "bad"
        _, pieces = self.waiting.setdefault(key, (now + FRAGMENT_SECONDS * 1_000_000_000, {}))
        if at in pieces and pieces[at][0] == payload:
            return ""
        mine = set(range(at, at + len(payload)))
        ends = {start + len(piece) for start, (piece, goes_on, _) in pieces.items() if not goes_on}
        behind = any(start >= at + len(payload) for start in pieces)
        if (
            any(mine & set(range(start, start + len(piece))) for start, (piece, _, _) in pieces.items())
            or any(at + len(payload) > end for end in ends)
            or (not more and (ends or behind))
        ):
            del self.waiting[key]
            return "overlap"
        if len(pieces) >= MOST_FRAGMENTS:
            del self.waiting[key]
            return "bad"
        pieces[at] = (payload, more, packet[:size])
        body = b"".join(pieces[start][0] for start in sorted(pieces))
        last = max(pieces)
        if pieces[last][1] or 0 not in pieces or len(body) != last + len(pieces[last][0]):
            return ""
        del self.waiting[key]
        head = pieces[0][2]
        head = (
            head[:2] + struct.pack(">H", len(head) + len(body)) + head[4:6] + b"\0\0" + head[8:10] + b"\0\0" + head[12:]
        )
        return head[:10] + struct.pack(">H", ones_complement(head)) + head[12:] + body

    def pass_time(self, now: int) -> int:
        """Give up what is overdue; how many."""
        over = [key for key, (deadline, _) in self.waiting.items() if deadline <= now]
        for key in over:
            del self.waiting[key]
        return len(over)


def control_body(opcode: int, data: bytes) -> tuple[tuple[int, ...], bytes, int, bytes] | None:
    """Acknowledgements, session id, message id (-1: none) and payload (OpenVPN ssl_pkt.h)."""
    if not data or data[0] > 8:
        return None
    form = f">{data[0]}I{'8s' if data[0] else '0s'}{'' if opcode == 5 else 'I'}"
    size = struct.calcsize(form)
    if len(data) < 1 + size:
        return None
    *acks, session = struct.unpack_from(form, data, 1)[: data[0] + 1]
    if opcode == 5:
        return tuple(acks), session, -1, b""
    return tuple(acks), session, struct.unpack_from(">I", data, 1 + size - 4)[0], data[1 + size :]


def control_strings(data: bytes, most: int) -> tuple[list[str], int]:
    """Strings that are heard, and how many are not: too long or not printable."""
    heard, refused = [], 0
    *whole, rest = data.split(b"\0")
    for part in whole:
        text = part.rstrip(b"\r\n").decode("utf-8", "replace")
        if len(part) > most or not text.isprintable():
            refused += 1
        elif text:
            heard.append(text)
    return heard, refused + (len(rest) > most)


def key_message(data: bytes) -> str | tuple[int, list[bytes]]:
    """(length, strings) of a client's key method 2 message, "bad", or "more"."""
    if len(data) >= 5 and (data[:4] != bytes(4) or data[4] % 16 != 2):
        return "bad"
    strings: list[bytes] = []
    rest = data[117:]
    if len(data) < 117:
        return "more"
    while len(strings) < 4:
        if not rest and strings:  # an old client stops between two strings
            strings += [b""] * (4 - len(strings))
            break
        if len(rest) < 2:
            return "more"
        size = rest[0] * 256 + rest[1]
        if size > (4096 if strings else 512):
            return "bad"
        if len(rest) < 2 + size:
            return "more"
        strings.append(rest[2 : 2 + size].rstrip(b"\0"))
        rest = rest[2 + size :]
    return len(data) - len(rest), strings
