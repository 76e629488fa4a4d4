"""The offloads of the nano-kernel's /dev/tap: its C on this host under sanitizers, its frames beside scapy's.

HOGNOSE_FRAMES: random frames of each kind; more by hand than in CI (docs/dev/test-records.md).
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from struct import Struct, pack, pack_into
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, in4_pseudoheader
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import checksum
from tests.world.tender import CFLAGS, REPO

pytestmark = pytest.mark.vm  # for gcc

HERE = Path(__file__).parent
FRAMES = int(os.environ.get("HOGNOSE_FRAMES", "25"))
MTU = 1500
EINVAL = 22
NEEDS_CSUM, DATA_VALID = 1, 2
TCPV4, UDP_L4, ECN = 1, 5, 0x80
TCP_SEGMENTS_MAX, UDP_SEGMENTS_MAX, MERGE_MAX = 1024, 128, 64
CSUM, TSO4 = 1, 2  # of TUNSETOFFLOAD
VNET = Struct("<BBHHHHH")  # flags gso_type hdr_len gso_size csum_start csum_offset num_buffers
LINK = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
MODULES = ("tap", "segment", "merge", "packet", "sum", "text")
Given = tuple[int, bytes]  # MTU, virtio-net header and frame
Sent = list[bytes] | int  # frames, or the error number


@pytest.fixture(scope="module")
def offloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("offloads") / "offloads"
    sources = [
        str(HERE / "offloads.c"),
        *(str(REPO / f"solo5/{name}.c") for name in MODULES),
    ]
    flags = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DHOST_TEST"]
    command = ["gcc", *CFLAGS, *flags, "-iquote", str(REPO / "solo5"), *sources, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def run(program: Path, mode: str, given: bytes) -> bytes:
    """Answers of the program; no sanitizer has a word to say."""
    result = subprocess.run([str(program), mode], input=given, capture_output=True, timeout=300, check=False)
    assert (result.returncode, result.stderr.decode()) == (0, "")
    return result.stdout


def sent(program: Path, given: list[Given]) -> list[Sent]:
    """Frames that each write brings to the wire."""
    out = run(program, "send", b"".join(pack("=II", mtu, len(frame)) + frame for mtu, frame in given))
    answers: list[Sent] = []
    at = 0

    def number(signed: bool = False) -> int:
        nonlocal at
        at += 4
        return int.from_bytes(out[at - 4 : at], "little", signed=signed)

    while at < len(out):
        if error := number(signed=True):
            answers.append(-error)
            continue
        frames: list[bytes] = []
        while length := number():
            frames.append(out[at : at + length])
            at += length
        answers.append(frames)
    assert len(answers) == len(given)
    return answers


# -- frames of scapy's -------------------------------------------------------------------------------------------------


def address(rng: random.Random) -> str:
    return ".".join(map(str, rng.randbytes(4)))


def any_headers(rng: random.Random, protocol: type[Packet]) -> Packet:
    """Ethernet, IPv4 and L4 headers with everything in them that a segment of ours or of any other stack may have."""
    ip = IP(
        src=address(rng),
        dst=address(rng),
        tos=rng.randrange(256),
        id=rng.choice((0, 0xFFFE, rng.getrandbits(16))),
        flags=rng.choice(("", "DF")),
        ttl=rng.randrange(1, 256),
        options=[IPOption_NOP()] * rng.choice((0, 0, 0, 4, 40)),
    )
    sport, dport = rng.getrandbits(16), rng.getrandbits(16)
    ethernet = Ether(src=rng.randbytes(6).hex(":"), dst=rng.randbytes(6).hex(":"))
    if protocol is UDP:
        return ethernet / ip / UDP(sport=sport, dport=dport)
    stamps = [("NOP", None), ("NOP", None), ("Timestamp", (rng.getrandbits(32), 7))]
    tcp = TCP(
        sport=sport,
        dport=dport,
        seq=rng.choice((0xFFFFFC00, rng.getrandbits(32))),
        ack=rng.getrandbits(32),
        flags=rng.getrandbits(8) | 16,
        window=rng.getrandbits(16),
        urgptr=rng.choice((0, 5)),
        options=rng.choice(([], stamps, [("NOP", None)] * 40)),
    )
    return ethernet / ip / tcp


def header_len(headers: Packet) -> int:
    return len(bytes(headers))


def unfinished(headers: Packet, payload: bytes) -> bytes:
    """The frame whole, with the pseudo-header sum where its TCP or UDP checksum belongs (virtio 1.2 5.1.6.2)."""
    frame = bytearray(bytes(headers / Raw(payload)))
    ip = Ether(bytes(frame))[IP]
    l4 = 14 + ip.ihl * 4
    protocol = 6 if TCP in headers else 17
    field = ~checksum(in4_pseudoheader(protocol, ip, len(frame) - l4)) & 0xFFFF
    pack_into(">H", frame, l4 + (16 if protocol == 6 else 6), field)
    return bytes(frame)


def super_frame(headers: Packet, payload: bytes, gso_size: int, **fields: int) -> bytes:
    """A write of many segments; fields replace those of the virtio-net header."""
    frame = unfinished(headers, payload)
    tcp = TCP in headers
    right = {
        "flags": NEEDS_CSUM, "gso_type": TCPV4 if tcp else UDP_L4, "hdr_len": header_len(headers), "gso_size": gso_size,
        "csum_start": 14 + (frame[14] & 15) * 4, "csum_offset": 16 if tcp else 6, "num_buffers": 0,
    }  # fmt: skip
    assert right.keys() >= fields.keys()
    return VNET.pack(*(right | fields).values()) + frame


def segments(headers: Packet, payload: bytes, gso_size: int) -> list[bytes]:
    """Frames that a device makes of it: each built by scapy, which fills in lengths and checksums."""
    frames = []
    starts = range(0, len(payload), gso_size)
    for number, at in enumerate(starts):
        one = headers.copy()
        one[IP].id = (headers[IP].id + number) & 0xFFFF
        if TCP in one:
            flags = str(headers[TCP].flags)
            gone = ("" if number == 0 else "C") + ("" if at == starts[-1] else "FP")
            one[TCP].flags = "".join(flag for flag in flags if flag not in gone)
            one[TCP].seq = (headers[TCP].seq + at) & 0xFFFFFFFF
        frames.append(bytes(one / Raw(payload[at : at + gso_size])))
    return frames


def any_super_frame(rng: random.Random, protocol: type[Packet]) -> tuple[Packet, bytes, int, int]:
    """Headers, payload, gso_size and MTU, within what the device takes."""
    headers = any_headers(rng, protocol)
    mtu = rng.choice((576, 1280, MTU, MTU, 9000))
    most = mtu + 14 - header_len(headers)
    gso_size = rng.choice((most, most - 12, rng.randint(1, most), rng.randint(1, 99)))
    count = rng.choice((1, 2, 3, 10, rng.randint(1, 45)))
    longest = 65_535 + 14 - header_len(headers)
    size = min(longest, max(1, gso_size * count - rng.choice((0, 0, 1, gso_size - 1, rng.randrange(gso_size)))))
    return headers, rng.randbytes(size), gso_size, mtu


# -- sending -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_super_frames_become_the_frames_of_scapy(offloads: Path, protocol: type[Packet]) -> None:
    rng = random.Random(f"super-frames {protocol.__name__}")
    cases = [any_super_frame(rng, protocol) for _ in range(FRAMES)]
    ecn = [rng.choice((0, ECN)) if protocol is TCP else 0 for _ in cases]
    given = [
        (mtu, super_frame(headers, payload, gso_size, gso_type=(TCPV4 if protocol is TCP else UDP_L4) | bit))
        for (headers, payload, gso_size, mtu), bit in zip(cases, ecn, strict=True)
    ]
    for (headers, payload, gso_size, mtu), frames in zip(cases, sent(offloads, given), strict=True):
        assert frames == segments(headers, payload, gso_size), headers.show(dump=True)
        assert max(map(len, frames)) <= 14 + mtu


@pytest.mark.parametrize("size", [65_535 - 40, 1, 1460, 1461])
def test_the_largest_and_the_smallest_super_segment(offloads: Path, size: int) -> None:
    headers = LINK / IP(src="10.0.0.2", dst="192.0.2.1") / TCP(flags="APFC", seq=0xFFFFFFFF)
    payload = random.Random(size).randbytes(size)
    assert sent(offloads, [(MTU, super_frame(headers, payload, 1460))]) == [segments(headers, payload, 1460)]


@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_partial_checksums_are_completed(offloads: Path, protocol: type[Packet]) -> None:
    rng = random.Random(f"single {protocol.__name__}")
    given: list[Given] = []
    expected: list[Sent] = []
    for _ in range(FRAMES):
        headers = any_headers(rng, protocol)
        payload = rng.randbytes(rng.randrange(0, MTU + 14 - header_len(headers) + 1))
        frame = unfinished(headers, payload)
        start, offset = 14 + (frame[14] & 15) * 4, 16 if protocol is TCP else 6
        given.append((MTU, VNET.pack(NEEDS_CSUM, 0, 0, 0, start, offset, 0) + frame))
        expected.append([bytes(headers / Raw(payload))])
    assert sent(offloads, given) == expected


def test_a_sum_of_zero_is_not_no_checksum(offloads: Path) -> None:
    """RFC 768: a UDP checksum that is computed as zero is sent as 0xffff; TCP has no such rule."""
    for protocol, offset, field in ((UDP, 6, "ffff"), (TCP, 16, "0000")):
        headers = Ether(dst="02:00:00:00:00:01") / IP(src="10.0.0.2", dst="192.0.2.1") / protocol(sport=7, dport=9)
        payload = pack(">H", Ether(bytes(headers / Raw(b"\0\0")))[protocol].chksum)  # takes the whole sum to zero
        wire = sent(offloads, [(MTU, VNET.pack(1, 0, 0, 0, 34, offset, 0) + unfinished(headers, payload))])[0]
        assert wire == [bytes(headers / Raw(payload))]
        assert wire[0][34 + offset : 36 + offset].hex() == field


def test_complete_frames_leave_as_they_are(offloads: Path) -> None:
    frames = [bytes(14), bytes(60), os.urandom(14 + MTU)]
    for flags in (0, DATA_VALID):
        head = bytes([flags]) + bytes(11)
        assert sent(offloads, [(MTU, head + frame) for frame in frames]) == [[frame] for frame in frames]


def plain(protocol: type[Packet] = TCP) -> Packet:
    return LINK / IP(src="10.0.0.2", dst="192.0.2.1", flags="DF") / protocol()


def altered(at: int, value: bytes, protocol: type[Packet] = TCP, size: int = 4000) -> bytes:
    """A good super-frame with some bytes of its frame replaced."""
    whole = bytearray(super_frame(plain(protocol), bytes(size), 1400))
    whole[12 + at : 12 + at + len(value)] = value
    return bytes(whole)


def good(protocol: type[Packet] = TCP, size: int = 4000, gso_size: int = 1400, **fields: int) -> bytes:
    return super_frame(plain(protocol), bytes(size), gso_size, **fields)


REFUSED: dict[str, Callable[[], bytes]] = {
    "no Ethernet header": lambda: bytes(12 + 13),
    "only a virtio-net header": lambda: bytes(12),
    "longer than the MTU": lambda: bytes(12 + 14 + MTU + 1),
    "longer than IPv4": lambda: good()[:12] + bytes(14 + 65_536),
    "hdr_len beyond the frame": lambda: VNET.pack(0, 0, 61, 0, 0, 0, 0) + bytes(60),
    "csum_start before the packet": lambda: VNET.pack(1, 0, 0, 0, 13, 6, 0) + bytes(60),
    "csum_start beyond the frame": lambda: VNET.pack(1, 0, 0, 0, 60, 6, 0) + bytes(60),
    "csum_offset beyond the frame": lambda: VNET.pack(1, 0, 0, 0, 34, 25, 0) + bytes(60),
    "both at their largest": lambda: VNET.pack(1, 0, 0, 0, 0xFFFF, 0xFFFF, 0) + bytes(60),
    "an unknown flag": lambda: VNET.pack(4, 0, 0, 0, 0, 0, 0) + bytes(60),
    "no checksum wanted": lambda: good(flags=0),
    "gso_size 0": lambda: good(gso_size=0),
    "gso_size over the MTU": lambda: good(gso_size=1461),
    "gso_size at its largest": lambda: good(gso_size=0xFFFF),
    "too many segments": lambda: good(size=TCP_SEGMENTS_MAX + 1, gso_size=1),
    "hdr_len too small": lambda: good(hdr_len=53),
    "hdr_len too large": lambda: good(hdr_len=55),
    "hdr_len beyond a super-frame": lambda: good(hdr_len=0xFFFF),
    "csum_start of another header": lambda: good(csum_start=14),
    "csum_offset of UDP": lambda: good(csum_offset=6),
    "no payload": lambda: good(size=0),
    "TCPv6": lambda: good(gso_type=4),
    "fragments of UDP": lambda: good(gso_type=3),
    "an unknown type": lambda: good(gso_type=0x7F),
    "UDP with ECN": lambda: good(UDP, gso_type=UDP_L4 | ECN),
    "UDP that says TCP": lambda: good(UDP, gso_type=TCPV4),
    "TCP that says UDP": lambda: good(gso_type=UDP_L4),
    "too many datagrams": lambda: good(UDP, size=UDP_SEGMENTS_MAX + 1, gso_size=1),
    "a VLAN tag": lambda: altered(12, b"\x81\0"),
    "IPv6": lambda: altered(14, b"\x65"),
    "an IPv4 header of 16 bytes": lambda: altered(14, b"\x44"),
    "an IPv4 header of 60 bytes": lambda: altered(14, b"\x4f"),
    "a total length beyond the frame": lambda: altered(16, b"\xff\xff"),
    "a total length within the frame": lambda: altered(16, b"\x01\0"),
    "a total length within the header": lambda: altered(16, b"\0\x13"),
    "a fragment": lambda: altered(20, b"\x20\0"),
    "a later fragment": lambda: altered(20, b"\0\1"),
    "a TCP header of 16 bytes": lambda: altered(34 + 12, b"\x40"),
    "a TCP header of 60 bytes": lambda: altered(34 + 12, b"\xf0"),
    "a TCP header beyond the packet": lambda: altered(34 + 12, b"\xf0", size=1),
    "a UDP length that lies": lambda: altered(34 + 4, b"\0\x20", UDP),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_writes_that_are_refused(offloads: Path, name: str) -> None:
    given = REFUSED[name]()
    assert sent(offloads, [(MTU, given), (MTU, bytes(12 + 60))]) == [EINVAL, [bytes(60)]]


def damaged(rng: random.Random, whole: bytes) -> bytes:
    """Some bytes of the headers changed, or the end cut off, or both."""
    out = bytearray(whole)
    for _ in range(rng.choice((0, 1, 1, 2, 8))):
        out[rng.randrange(min(len(out), 12 + 54))] = rng.choice((0, 0xFF, rng.randrange(256)))
    return bytes(out[: rng.choice((len(out), len(out), rng.randint(12, len(out)), rng.randint(12, min(len(out), 80))))])


def test_damaged_frames(offloads: Path) -> None:
    """Any frame is refused or becomes frames within the bounds, with the payload as it was."""
    rng = random.Random("damaged")
    whole = [super_frame(*any_super_frame(rng, rng.choice((TCP, UDP)))[:3]) for _ in range(20)]
    given = [(rng.choice((576, MTU, 9000)), damaged(rng, rng.choice(whole))) for _ in range(20 * FRAMES)]
    taken = 0
    for (mtu, frame), answer in zip(given, sent(offloads, given), strict=True):
        if isinstance(answer, int):
            assert answer == EINVAL
            continue
        taken += 1
        assert all(14 <= len(one) <= 14 + mtu for one in answer)
        assert len(answer) <= TCP_SEGMENTS_MAX
        if frame[1]:
            header = int.from_bytes(frame[2:4], "little")
            assert b"".join(one[header:] for one in answer) == frame[12 + header :]
    assert 0 < taken < len(given)


# -- receiving ---------------------------------------------------------------------------------------------------------


def received(program: Path, frames: list[bytes], offloads: int = CSUM | TSO4) -> tuple[list[bytes], int]:
    """Reads of the program, and the number of calls of the tender for them."""
    given = pack("=II", offloads, len(frames)) + b"".join(pack("=I", len(frame)) + frame for frame in frames)
    out = run(program, "receive", given)
    read = []
    at = 0
    while length := int.from_bytes(out[at : at + 4], "little"):
        read.append(out[at + 4 : at + 4 + length])
        at += 4 + length
    assert len(out) == at + 8
    return read, int.from_bytes(out[at + 4 :], "little")


def without_ids(frame: bytes) -> bytes:
    """The frame without its ID and the checksum over it: a super-frame has those of its first segment only."""
    return frame[:18] + frame[20:24] + frame[26:]


def apart(read: bytes) -> list[bytes]:
    """Frames as they were before: a super-frame is cut by scapy."""
    flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, _ = VNET.unpack_from(read)
    frame = read[12:]
    if gso_type == 0:
        assert (hdr_len, gso_size, csum_start, csum_offset) == (0, 0, 0, 0)
        assert flags == (DATA_VALID if is_right(frame) else 0)
        return [frame]
    packet = Ether(frame)
    payload = bytes(packet[TCP].payload)
    packet[TCP].remove_payload()
    assert (flags, gso_type, csum_start, csum_offset) == (NEEDS_CSUM, TCPV4, 34, 16)
    assert hdr_len == len(frame) - len(payload)
    assert len(payload) > gso_size
    assert len(frame) == 14 + packet[IP].len <= 14 + 65_535
    assert packet[TCP].chksum == ~checksum(in4_pseudoheader(6, packet[IP], len(frame) - 34)) & 0xFFFF
    assert checksum(frame[14:34]) == 0
    for field in ("len", "chksum"):
        packet[IP].delfieldval(field)
    packet[TCP].delfieldval("chksum")
    return segments(packet, payload, gso_size)


def is_right(frame: bytes) -> bool:
    """A whole TCP or UDP packet has a checksum, and scapy's sum over it is right."""
    packet = Ether(frame)
    layer = TCP if TCP in packet else UDP if UDP in packet else None
    if layer is None or packet[IP].frag or "MF" in packet[IP].flags or (layer is UDP and packet[UDP].chksum == 0):
        return False
    ip = packet[IP]
    l4 = frame[14 + ip.ihl * 4 : 14 + ip.len]  # its bytes: scapy would build damaged options in another way
    return bool(checksum(in4_pseudoheader(ip.proto, ip, len(l4)) + l4) == 0)


def segment(seq: int, size: int = 1000, flags: str = "A", ip: Any = None, **fields: Any) -> bytes:
    """A segment of one connection."""
    tcp: dict[str, Any] = {
        "sport": 443,
        "dport": 40000,
        "seq": seq & 0xFFFFFFFF,
        "ack": 7,
        "flags": flags,
        "window": 500,
    }
    headers: dict[str, Any] = {"src": "192.0.2.1", "dst": "10.0.0.2", "flags": "DF", "ttl": 60, "tos": 2}
    payload = random.Random(seq).randbytes(size)
    return bytes(LINK / IP(**headers | (ip or {})) / TCP(**tcp | fields) / Raw(payload))


def reads(program: Path, frames: list[bytes], offloads: int = CSUM | TSO4) -> list[int]:
    """Number of segments in each read; the whole is what came, in its order."""
    read, _ = received(program, frames, offloads)
    parts = [apart(one) for one in read]
    assert [without_ids(frame) for part in parts for frame in part] == [without_ids(frame) for frame in frames]
    return [*map(len, parts)]


def row(count: int, size: int = 1000, seq: int = 0xFFFFF000) -> list[bytes]:
    return [segment(seq + n * size, size) for n in range(count)]


def test_segments_that_continue_each_other_become_one(offloads: Path) -> None:
    assert reads(offloads, row(10)) == [10]
    assert reads(offloads, [*row(3), segment(0xFFFFF000 + 3000, 10), *row(2, seq=0xFFFFF000 + 3010)]) == [4, 2]
    assert reads(offloads, [*row(3), segment(0xFFFFF000 + 3000, 1000, "PA"), *row(2, seq=0xFFFFF000 + 4000)]) == [4, 2]
    stamped = [segment(n * 900, 900, options=[("NOP", None), ("NOP", None), ("Timestamp", (5, 6))]) for n in range(4)]
    assert reads(offloads, stamped) == [4]


def test_the_bounds_of_a_super_frame(offloads: Path) -> None:
    assert reads(offloads, row(100, 100)) == [MERGE_MAX, 36]
    assert reads(offloads, row(60, 1448)) == [45, 15]  # 45 * 1448 + 40 <= 65535
    assert reads(offloads, [*row(7, 9000), segment(0xFFFFF000 + 63_000, 65_535 - 40 - 63_000)]) == [8]
    assert reads(offloads, [*row(7, 9000), segment(0xFFFFF000 + 63_000, 65_535 - 40 - 63_000 + 1)]) == [7, 1]


def test_nothing_is_merged_that_was_not_asked_for(offloads: Path) -> None:
    for asked in (0, CSUM):
        assert reads(offloads, row(10), asked) == [1] * 10


def test_no_call_is_made_to_learn_the_same_twice(offloads: Path) -> None:
    """The frames, that there is no more, and what the next poll asks."""
    assert received(offloads, row(10))[1] == 10 + 1 + 1
    assert received(offloads, [segment(0, 0)])[1] == 1 + 1 + 1


NEXT = 2000
OTHERS: dict[str, Callable[[], bytes]] = {
    "another window": lambda: segment(NEXT, window=501),
    "another acknowledgement": lambda: segment(NEXT, ack=8),
    "another port": lambda: segment(NEXT, sport=444),
    "another port of ours": lambda: segment(NEXT, dport=444),
    "another address": lambda: segment(NEXT, ip={"src": "192.0.2.2"}),
    "another of our addresses": lambda: segment(NEXT, ip={"dst": "10.0.0.3"}),
    "another TTL": lambda: segment(NEXT, ip={"ttl": 61}),
    "another TOS": lambda: segment(NEXT, ip={"tos": 0}),
    "congestion experienced": lambda: segment(NEXT, ip={"tos": 3}),
    "no DF": lambda: segment(NEXT, ip={"flags": ""}),
    "an IPv4 option": lambda: segment(NEXT, ip={"options": [IPOption_NOP()] * 4}),
    "a TCP option": lambda: segment(NEXT, options=[("NOP", None)] * 4),
    "a gap": lambda: segment(NEXT + 1),
    "the same again": lambda: segment(NEXT - 1000),
    "a larger one": lambda: segment(NEXT, 1001),
    "no text": lambda: segment(NEXT, 0),
    "an urgent pointer": lambda: segment(NEXT, urgptr=1),
    **{f"the flags {flags}": partial(segment, NEXT, flags=flags) for flags in ("", "SA", "FA", "RA", "UA", "EA", "CA")},
    "a first fragment": lambda: segment(NEXT, ip={"flags": "MF"}),
    "another MAC": lambda: b"\2\0\0\0\0\7" + segment(NEXT)[6:],
    "a VLAN tag": lambda: segment(NEXT)[:12] + b"\x81\0\0\1" + segment(NEXT)[12:],
    "a wrong checksum": lambda: segment(NEXT)[:-1] + bytes([segment(NEXT)[-1] ^ 1]),
    "a wrong IPv4 checksum": lambda: segment(NEXT)[:24] + bytes([segment(NEXT)[24] ^ 1]) + segment(NEXT)[25:],
    "a datagram": lambda: bytes(Ether(dst="02:00:00:00:00:01") / IP() / UDP() / Raw(bytes(1000))),
    "no frame": lambda: b"\0" * 13,
}  # fmt: skip


@pytest.mark.parametrize("name", list(OTHERS))
def test_what_is_not_merged(offloads: Path, name: str) -> None:
    """Neither added to a super-frame nor the begin of one with what would follow it."""
    other = OTHERS[name]()
    first, second, third = (segment(at) for at in (0, 1000, NEXT))
    read, _ = received(offloads, [first, second, other])
    assert [len(one) for one in read] == [12 + 54 + 2000, 12 + len(other)]
    assert read[1][12:] == other
    assert reads(offloads, [first, second, third]) == [3]
    if name.startswith(("the flags", "an IPv4", "a first", "a VLAN", "a wrong", "no text", "a datagram", "no frame")):
        read, _ = received(offloads, [other, segment(NEXT + 1000)])
        assert [one[12:] for one in read] == [other, segment(NEXT + 1000)]


def test_ipv4_options_are_not_merged(offloads: Path) -> None:
    frames = [segment(at, ip={"options": [IPOption_NOP()] * 4}) for at in (0, 1000, 2000)]
    assert reads(offloads, frames) == [1, 1, 1]


def test_a_datagram_without_checksum_is_not_vouched_for(offloads: Path) -> None:
    """Not even one whose bytes make the right sum with 0 in that place."""
    headers = LINK / IP(src="192.0.2.1", dst="10.0.0.2") / UDP()
    whole = Ether(bytes(headers / Raw(b"\0\0")))
    frame = bytearray(bytes(headers / Raw(pack(">H", whole[UDP].chksum))))
    assert frame[40:42] == b"\xff\xff"
    read, _ = received(offloads, [bytes(frame), bytes(frame[:40]) + bytes(2) + bytes(frame[42:])])
    assert [one[0] for one in read] == [DATA_VALID, 0]


def test_checksums_of_what_came(offloads: Path) -> None:
    """DATA_VALID means that scapy finds it right; a wrong one comes without it, for the program to count."""
    rng = random.Random("checksums")
    frames: list[bytes] = []
    for _ in range(FRAMES):
        frame = bytearray(bytes(any_headers(rng, rng.choice((TCP, UDP))) / Raw(rng.randbytes(rng.randrange(0, 1300)))))
        if rng.random() < 0.3:
            frame[rng.randrange(14 + (frame[14] & 15) * 4, len(frame))] ^= 1 << rng.randrange(8)
        frames.append(bytes(frame) + bytes(max(0, 60 - len(frame))))
    frames += [
        bytes(Ether() / IP() / UDP(chksum=0) / b"none"),
        bytes(Ether() / IP(frag=5) / UDP() / b"text"),
        bytes(60),
    ]
    read, _ = received(offloads, frames, CSUM)
    for one, other in zip(read, frames, strict=True):
        assert apart(one) == [other]
    assert FRAMES < sum(one[0] for one in read) < 2 * FRAMES


def test_any_queue_of_frames(offloads: Path) -> None:
    """Three connections, in order and out of it, damaged and whole: what is read is what came, in its order."""
    rng = random.Random("queue")
    merged = 0
    for _ in range(max(6, FRAMES // 10)):
        at = [rng.getrandbits(32) for _ in range(3)]
        frames: list[bytes] = []
        who = 0
        while len(frames) < 60:
            if rng.random() < 0.2:
                who = rng.randrange(3)
            size = rng.choice((1000, 1000, 1000, 1000, 1000, 1000, 0, 7, 1001))
            frame = segment(at[who], size, rng.choice(("A",) * 9 + ("PA", "FA")), sport=who + 1)
            if rng.random() < 0.95:
                at[who] = (at[who] + size) & 0xFFFFFFFF
            if rng.random() < 0.05:
                frame = damaged(rng, bytes(12) + frame)[12:] or b"\0"
            frames.append(frame)
        read, _ = received(offloads, frames)
        merged += sum(1 for one in read if one[1])
        whole: list[bytes] = []
        for one in read:
            whole += apart(one) if one[1] else [one[12:]]
        assert [*map(without_ids, whole)] == [*map(without_ids, frames)]
    assert merged > 10
