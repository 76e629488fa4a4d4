"""Fuzz targets of the packet side: IPv4, TCP and ICMP parsers, fragments, reassembly, NAT, the TCP server.

Nothing is caught: these interfaces raise nothing, they say why they drop.
"""

from __future__ import annotations

import random as seeded
import struct

from tests.fuzz import models
from tests.fuzz.reader import Reader
from tests.sim.segments import ones_complement

from hognose.address import parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.ip import icmp_errors, mss, offload
from hognose.ip.fragments import Reassembler, fragment
from hognose.limits import IpLimits, NatLimits, TcpLimits
from hognose.link import LinkCaps, Outgoing
from hognose.nat.nat import Nat
from hognose.tcp.connection import TcpConnection
from hognose.tcp.reassembly import Reassembly
from hognose.tcp.server import TcpServer
from hognose.units import SECOND
from hognose.wire import icmpv4, ipv4, tcp, udp

OUTSIDE, CLIENT, OTHER, SERVER = (parse_ipv4(a) for a in ("10.0.0.2", "10.8.0.2", "10.8.0.3", "1.2.3.4"))
NOTHING = LinkCaps(b"\2\0\0\0\0\1", tx_csum=False, tx_tso4=False)
LIMITS = IpLimits(reassembly_bytes=80_000)


def _pseudo(packet: bytes, l4: int) -> bytes:
    return packet[12:20] + bytes((0, packet[9])) + (len(packet) - l4).to_bytes(2, "big")


def _l4_good(packet: bytes) -> bool:
    """True if the L4 checksum of a whole packet is right; True for protocols and lengths without one."""
    l4 = (packet[0] & 15) * 4
    body = packet[l4:]
    if packet[9] == 1:
        return ones_complement(body) == 0
    at = {6: 16, 17: 6}.get(packet[9])
    if at is None or len(body) < at + 2:
        return True
    if packet[9] == 17:
        if body[6:8] == b"\0\0":
            return True
        if int.from_bytes(body[4:6], "big") != len(body):
            return True
    return ones_complement(_pseudo(packet, l4) + body) == 0


def ip_packet(reader: Reader, source: bytes, destination: bytes) -> bytes:
    """A packet whose header is right, unless the fuzzer says otherwise, around its bytes; L4 checksums likewise."""
    choice = reader.byte()
    protocol = (6, 17, 1, reader.byte())[choice & 3]
    options = reader.take(choice >> 2 & 3) if choice & 16 else b""
    options += bytes(-len(options) % 4)
    word = reader.number(2) if choice & 32 else 0x4000
    ttl = reader.byte() if choice & 64 else 64
    body = reader.piece()
    head_len = 20 + len(options)
    body = body[: 65535 - head_len]
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x40 | head_len // 4, 0, head_len + len(body), 7, word, ttl, protocol, 0, source, destination
    )
    head += options
    head = head[:10] + struct.pack(">H", ones_complement(head)) + head[12:]
    at = {6: 16, 17: 6, 1: 2}.get(protocol)
    if not choice & 128 and at is not None and len(body) >= at + 2:
        if protocol == 17:
            body = body[:4] + struct.pack(">H", len(body)) + b"\0\0" + body[8:]
        body = body[:at] + b"\0\0" + body[at + 2 :]
        covered = body if protocol == 1 else _pseudo(head + body, head_len) + body
        body = body[:at] + struct.pack(">H", ones_complement(covered)) + body[at + 2 :]
    return head + body


# -- parsers -------------------------------------------------------------------------------------------------------


def ipv4_header(data: bytes) -> None:
    """The parser at any offset in any bytes, and on headers whose checksum is right; then what is made of them."""
    offset = data[0] & 31 if data else 0
    if len(data) >= offset:
        _same_verdict(ipv4.parse(data, offset, len(data)), models.ipv4(data[offset:]), offset)
    if len(data) >= 20:
        bare = data[:10] + b"\0\0" + data[12:20]
        short = bare[:10] + struct.pack(">H", ones_complement(bare)) + bare[12:] + data[20:]
        _same_verdict(ipv4.parse(b"---" + short, 3, 3 + len(short)), models.ipv4(short), 3)
    assert bool(ipv4.check_options(data)) == bool(models.ip_options(data))
    if len(data) >= 40:
        header_len = max(20, (data[0] & 15) * 4)
        header = data[:10] + b"\0\0" + data[12:header_len]
        packet = header[:10] + struct.pack(">H", ones_complement(header)) + header[12:] + data[header_len:]
        result = ipv4.parse(packet, 0, len(packet))
        _same_verdict(result, models.ipv4(packet), 0)
        if not isinstance(result, DropReason):
            l4, end, protocol, word, source, destination = result
            assert 20 <= l4 <= end <= len(packet)
            assert (protocol, source, destination) == struct.unpack_from(">9xB2x4s4s", packet)
            whole = packet[:end]
            icmp_errors.build_error(whole, source=OUTSIDE, icmp_type=3, code=1)
            for piece in fragment(whole, 68 + (data[1] & 127)) if end > 68 else ():
                assert not isinstance(ipv4.parse(piece, 0, len(piece)), DropReason)
            clamped = mss.clamp(whole, 1000)
            _same_but_for_zero(clamped, models.clamped(whole, 1000), l4 + 16)
            if _l4_good(whole) and not word & ipv4.FRAGMENTED:
                assert _l4_good(clamped)
            datagram = udp.parse(packet, l4, end)
            assert isinstance(datagram, tuple) == models.udp_fits(packet[l4:end])
            assert not isinstance(datagram, tuple) or datagram == struct.unpack_from(">HHHH", packet, l4)


def _same_verdict(result: ipv4.Parsed | DropReason, expected: str | tuple[int, int], offset: int) -> None:
    reasons = {
        "header": DropReason.BAD_IP_HEADER, "checksum": DropReason.BAD_IP_CHECKSUM,
        "source route": DropReason.IP_OPTIONS_SOURCE_ROUTE,
    }  # fmt: skip
    if isinstance(expected, str):
        assert result is reasons[expected]
    else:
        assert isinstance(result, tuple)
        assert (result[0] - offset, result[1] - offset) == expected


def _same_but_for_zero(packet: bytes, expected: bytes, at: int) -> None:
    """The checksum field at `at` may be either of the two zeros of one's complement."""
    assert packet[:at] == expected[:at]
    assert packet[at + 2 :] == expected[at + 2 :]
    if len(packet) >= at + 2:
        assert (
            int.from_bytes(packet[at : at + 2], "big") % 0xFFFF == int.from_bytes(expected[at : at + 2], "big") % 0xFFFF
        )


def tcp_options(data: bytes) -> None:
    """Options of any bytes, from bytes and from a view."""
    options = tcp.parse_options(data)
    assert options == tcp.parse_options(memoryview(data))
    assert options._asdict() == models.tcp_meaning(data)
    if len(data) <= 40:
        padded = data + bytes(-len(data) % 4)
        header = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, (20 + len(padded)) << 2, 2, 5, 0, 0)
        packet = struct.pack(">BBHHHBBHII", 0x45, 0, 40 + len(padded), 1, 0x4000, 9, 6, 0, 1, 2) + header + padded
        lowered = mss.clamp(packet, 1000)
        _same_but_for_zero(lowered, models.clamped(packet, 1000), 36)
        before, after = tcp.parse_options(padded), tcp.parse_options(lowered[40:])
        clamped = before._replace(mss=min(before.mss or 0, 1000) if before.mss is not None else None)
        # After a malformed option nothing is clamped; of several, the first is clamped and the last is what we read.
        assert after == clamped or padded[:2] != b"\2\4" or padded.count(2) > 1
        assert after._replace(mss=None) == before._replace(mss=None)


def icmp_message(data: bytes) -> None:
    """Messages of any bytes with and without a right checksum; answers and errors about them are valid packets."""
    plain = icmpv4.parse(data, 0, len(data))
    assert (plain is DropReason.BAD_ICMP) == (len(data) < 8)
    if len(data) < 8:
        return
    assert (plain is DropReason.BAD_ICMP_CHECKSUM) == (ones_complement(data) != 0)
    body = data[:2] + b"\0\0" + data[4:]
    body = body[:2] + struct.pack(">H", ones_complement(body)) + body[4:]
    parsed = icmpv4.parse(body, 0, len(body))
    assert not isinstance(parsed, DropReason)
    request = ipv4.build(SERVER, OUTSIDE, 1, len(body)) + body
    for answer in (
        icmp_errors.echo_reply(request, 0, 20, len(request)),
        icmp_errors.build_error(request, source=OUTSIDE, icmp_type=11, code=0),
    ):
        if answer is not None:
            assert not isinstance(ipv4.parse(answer, 0, len(answer)), DropReason)
            assert ones_complement(answer[20:]) == 0
    assert icmp_errors.build_error(request, source=OUTSIDE, icmp_type=3, code=0) is None or not icmpv4.is_error(body[0])


# -- reassembly ----------------------------------------------------------------------------------------------------


def ip_fragments(data: bytes) -> None:
    """Fragments of any kind within bounds; those of a real packet, in an order of the fuzzer's, are it again."""
    reader = Reader(data)
    counters = Counters()
    reassembler = Reassembler(LIMITS, counters)
    roomy, model = Reassembler(IpLimits(), Counters()), models.Fragments()
    body, step, order = reader.piece(), reader.byte(), reader.byte()
    whole = ipv4.build(SERVER, OUTSIDE, 17, len(body), ident=9, dont_fragment=False) + body
    pieces = fragment(whole, 68 + step * 4) if len(body) >= 8 else []
    seeded.Random(order).shuffle(pieces)
    got: list[bytes] = []
    if len(pieces) > 1 and len(pieces) <= 64:
        for piece in pieces:
            result = reassembler.receive(piece, 0, len(piece), 0)
            assert not isinstance(result, DropReason)
            got += [result] if result is not None else []
        assert got == [whole]
        assert (len(reassembler), reassembler.held) == (0, 0)
    now = 0
    for _ in range(80):
        if not reader:
            break
        choice = reader.byte()
        now += (choice >> 4 & 7) * 2 * SECOND
        payload = reader.take(reader.byte() * (8 if choice & 1 else 1))
        word = reader.number(2)
        protocol = (6, 17)[choice & 1] if choice & 128 else (17, 1, 6, 47)[word >> 14]
        packet = struct.pack(
            ">BBHHHBBHII",
            0x45,
            0,
            20 + len(payload),
            choice >> 1 & 3,
            word & 0x3FFF,
            64,
            protocol,
            0,
            choice >> 3 & 1,
            2,
        )
        packet = ipv4.with_checksum(packet) + payload
        result = reassembler.receive(packet, 0, len(packet), now)
        if isinstance(result, bytes):
            assert not isinstance(ipv4.parse(result, 0, len(result)), DropReason)
        assert len(roomy.handle_deadline(now)) <= model.pass_time(now)
        expected = model.take(packet, now)
        told = roomy.receive(packet, 0, len(packet), now)
        names: dict[object, object] = {
            "": None, "bad": DropReason.FRAGMENT_BAD, "overlap": DropReason.FRAGMENT_OVERLAP
        }  # fmt: skip
        assert told == names.get(expected, expected)
        assert len(roomy) == len(model.waiting)
        due = reassembler.next_deadline()
        if due is not None and due <= now:
            reassembler.handle_deadline(now)
        assert reassembler.held <= LIMITS.reassembly_bytes
    reassembler.handle_deadline(now + 100 * SECOND)
    assert reassembler.next_deadline() is None
    assert (len(reassembler), reassembler.held) == (0, 0)


def tcp_reassembly(data: bytes) -> None:
    """Ranges of a stream in any order against a plain dictionary of bytes."""
    reader = Reader(data)
    queue = Reassembly(8)
    model: dict[int, int] = {}
    position = 1
    while reader:
        choice = reader.byte()
        if choice < 48:
            position += choice >> 2 if choice & 1 else 0
            for at in [at for at in model if at < position]:
                del model[at]
            taken = b"".join(queue.take(position))
            for byte in taken:
                assert model.pop(position) == byte
                position += 1
            assert position not in model
            continue
        start, size = position + (reader.byte() << (choice & 1) * 3), choice & 63
        text = bytes((start + n) * 7 % 251 for n in range(size))
        if queue.insert(start, text):
            for n, byte in enumerate(text):
                model.setdefault(start + n, byte)
        else:  # a bound: what came of it before is there all the same
            for left, right in queue.blocks(99):
                for at in range(max(left, start), min(right, start + size)):
                    model.setdefault(at, text[at - start])
        assert queue.size == len(model)
        assert bool(queue) == bool(model)
        for left, right in queue.blocks(4):
            assert all(at in model for at in range(left, right))


# -- NAT -----------------------------------------------------------------------------------------------------------


def nat_rewrite(data: bytes) -> None:
    """Packets of two clients and of the outside in any order: right checksums stay right, no client gets another's."""
    reader = Reader(data)
    counters = Counters()
    nat = Nat(
        address=OUTSIDE,
        reserved_ports=frozenset({(6, 1194)}),
        limits=NatLimits(flows=12, flows_per_client=8),
        random=seeded.Random(5).randbytes,
        counters=counters,
    )
    now = 1000 * SECOND
    sent: list[bytes] = []
    asked: dict[bytes, int] = {}  # protocol, peer, its port, our port of what has left -> whose it was
    for _ in range(24):
        if not reader:
            break
        choice = reader.byte()
        if choice & 3 == 3:
            now += choice * SECOND
            for _ in range(50):
                due = nat.next_deadline()
                if due is None or due > now:
                    break
                nat.handle_deadline(now)
        elif choice & 3 == 2 and sent:
            _inbound(nat, reader, choice, sent[(choice >> 4) % len(sent)], now, asked)
        else:
            client = 1 + (choice & 1)
            packet = ip_packet(reader, CLIENT if client == 1 else OTHER, SERVER[:3] + bytes((4 + (choice >> 4 & 1),)))
            out: list[Outgoing] = []
            good = _l4_good(packet)
            for rest in nat.outbound(bytes((0, 0, 0, client)), [packet, packet] if choice & 8 else [packet], now, out):
                if not isinstance(ipv4.parse(rest, 0, len(rest)), DropReason):
                    nat.open_outbound(bytes((0, 0, 0, client)), rest, now, out)
            for _, _, pieces in offload.lower(out, NOTHING):
                translated = b"".join(pieces)
                sent.append(translated)
                assert translated[12:16] == OUTSIDE
                assert not isinstance(ipv4.parse(translated, 0, len(translated)), DropReason)
                assert _l4_good(translated) or not good
                asked[_answer_key(translated)] = client
        assert nat.flows <= 12
        assert max((owner.count for owner in nat._clients.values()), default=0) <= 8
    for client in (1, 2):
        nat.forget(bytes((0, 0, 0, client)))
    assert nat.flows == 0


def _answer_key(packet: bytes) -> bytes:
    """Of a packet that leaves, and of the packet that answers it with both exchanged; echoes have an identifier."""
    l4 = (packet[0] & 15) * 4
    ports = packet[l4 + 4 : l4 + 6] if packet[9] == 1 else packet[l4 + 2 : l4 + 4] + packet[l4 : l4 + 2]
    return packet[9:10] + packet[16:20] + ports


def _inbound(nat: Nat, reader: Reader, choice: int, ours: bytes, now: int, asked: dict[bytes, int]) -> None:
    """Something that may belong to a flow: an answer with its ports, an error that quotes it, or anything."""
    packet = ip_packet(reader, ours[16:20], OUTSIDE)
    l4, ours_l4 = (packet[0] & 15) * 4, (ours[0] & 15) * 4
    if choice & 4 and packet[9] == 1:
        message = icmpv4.build((3, 11, 12, 5)[choice >> 6], choice >> 3 & 7, 0, ours[: 20 + (choice & 0xF8)])
        packet = ipv4.build(SERVER, OUTSIDE, 1, len(message)) + message
    elif choice & 4 and len(packet) >= l4 + 4 and packet[9] in (6, 17):
        ports = ours[ours_l4 + 2 : ours_l4 + 4] + ours[ours_l4 : ours_l4 + 2]
        body = bytearray(packet[l4:])
        body[:4] = ports.ljust(4, b"\0")
        at = 16 if packet[9] == 6 else 6
        if len(body) >= at + 2:
            body[at : at + 2] = b"\0\0"
            body[at : at + 2] = struct.pack(">H", ones_complement(_pseudo(packet, l4) + bytes(body)) or 0xFFFF)
        packet = packet[:l4] + bytes(body)
    if isinstance(ipv4.parse(packet, 0, len(packet)), DropReason):
        return
    frame = bytes(26) + packet + b"padding"
    l4 = (packet[0] & 15) * 4
    if packet[9] == 1 and packet[l4 : l4 + 1] != b"\0":
        error = nat.inbound_error(frame, 26, 26 + len(packet), now)
        if not isinstance(error, DropReason):
            quoted = packet[l4 + 8 :]
            assert packet[l4] in (3, 11, 12)
            assert ones_complement(packet[l4:]) == 0
            assert len(quoted) >= 28
            assert not int.from_bytes(quoted[6:8], "big") & 0x1FFF
            assert asked.get(_answer_key(quoted)) == error[0][3], "an error about nobody's packet"
            assert error[1][8] == packet[8] - 1 >= 1
            assert ones_complement(error[1][: (error[1][0] & 15) * 4]) == 0
        return
    gso_size = 1 + (choice >> 4) * 90 if choice & 8 and packet[9] == 6 else 0
    result = nat.inbound(frame, 26, 26 + len(packet), gso_size, False, now)
    if isinstance(result, DropReason):
        return
    (_, _, _, client), inner = result
    answered = packet[9:10] + packet[12:16] + (packet[l4 + 4 : l4 + 6] if packet[9] == 1 else packet[l4 : l4 + 4])
    assert asked.get(answered) == client, "a packet that nobody has asked for"
    assert packet[8] > 1
    good = _l4_good(packet) or gso_size
    for one in inner:
        assert one[16:20] == (CLIENT if client == 1 else OTHER), "another client's packet"
        assert not isinstance(ipv4.parse(one, 0, len(one)), DropReason)
        assert _l4_good(one) or not good


# -- TCP server ----------------------------------------------------------------------------------------------------


def tcp_segments(data: bytes) -> None:
    """A server that is given any segments of three peers, its connections used meanwhile: within bounds."""
    reader = Reader(data)
    counters = Counters()
    limits = TcpLimits(half_open=4, connections=2, receive_buffer=8192, send_buffer=8192, reassembly_ranges=4)
    now = 5000 * SECOND
    server = TcpServer(
        address=OUTSIDE, port=1194, mtu=1500, limits=limits, secret=bytes(32), now=now, random=bytes,
        counters=counters,
    )  # fmt: skip
    conns: list[TcpConnection] = []
    isn = {0: 0, 1: 0, 2: 0}
    for _ in range(40):
        if not reader:
            break
        choice = reader.byte()
        peer = choice & 3
        if peer == 3:
            now += (reader.byte() << (choice >> 4)) * 1_000_000
            due = server.next_deadline()
            if due is not None and due <= now:
                server.handle_deadline(now)
            if conns:
                conn = conns[(choice >> 2) % len(conns)]
                if choice & 4:
                    conn.take()
                if choice & 8 and conn.close_reason is None and conn.send_space:
                    conn.write([bytes(min(conn.send_space, 100 << (choice >> 5)))])
                if choice & 16:
                    conn.close(now) if choice & 32 else conn.abort(now)
        else:
            flags, seq, ack, window = reader.byte(), reader.number(2), reader.number(2), reader.number(2)
            options = reader.take(choice >> 4) if choice & 8 else b""
            options += bytes(-len(options) % 4)
            payload = reader.take(reader.byte() * 8) if choice & 4 else b""
            ack_number = (isn[peer] + ack - 0x4000 * (ack >> 15)) & 0xFFFFFFFF
            segment = struct.pack(
                ">HHIIBBHHH", 40_000 + peer, 1194, 0xFFFFF000 + seq & 0xFFFFFFFF, ack_number,
                (20 + len(options)) << 2, flags & 63, window, 0, 0,
            ) + options + payload  # fmt: skip
            head = ipv4.build(SERVER, OUTSIDE, 6, len(segment))
            checksum = ones_complement(_pseudo(head + segment, 20) + segment)
            segment = segment[:16] + struct.pack(">H", checksum) + segment[18:]
            packet = head + segment
            server.receive(packet, 0, 20, len(packet), 0, flags & 64 != 0, now)
        for _, _, pieces in server.poll(now):
            answer = b"".join(pieces)
            assert ones_complement(answer[:20]) == 0
            if answer[33] & 0x12 == 0x12:
                isn[(answer[22] << 8 | answer[23]) - 40_000] = int.from_bytes(answer[24:28], "big") + 1
        conns += server.accepted()
        server.readable()
        server.closed()
        assert len(server) <= limits.connections
    for conn in conns:
        if conn.close_reason is None:
            conn.abort(now)
    server.poll(now)
