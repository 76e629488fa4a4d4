"""Peers without a key, in numbers; run inside a namespace that owns the addresses 198.18.0.0/16.

    strangers.py silent TARGET COUNT PREFIXES           connections that say nothing, until standard input ends
    strangers.py open TARGET RATE SOURCES SECONDS       connections that say nothing, RATE a second
    strangers.py hello TARGET RATE SOURCES SECONDS      a hard reset and a ClientHello each, RATE a second
    strangers.py syn INTERFACE MAC TARGET SECONDS RATE  SYNs from spoofed addresses; RATE 0: as fast as it goes

Prints what it did as one line of JSON at the end; `silent` prints `open N` when all are there.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import resource
import selectors
import socket
import struct
import sys
import time

from OpenSSL import SSL

PORT = 1194
RESET = b"\x38" + b"%8d" + bytes(5)  # op, session id, no acknowledgements, message id 0
FREEBIND = 15  # IP_FREEBIND
SYN_COUNT, SYN_BATCH = 20_480, 64
SYN_LAPS = 20_000  # a lap takes one port number down and one half of a sequence number up, and neither may turn round
HALVES = struct.Struct(">H")


def source(number: int, prefixes: int) -> str:
    """The address of a stranger: 198.18.prefix.host."""
    return f"198.18.{number % prefixes}.{1 + number // prefixes % 250}"


def begin(target: str, address: str) -> socket.socket:
    """A connection under way."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_IP, FREEBIND, 1)
    sock.bind((address, 0))
    sock.connect_ex((target, PORT))
    return sock


def silent(target: str, count: int, prefixes: int) -> dict[str, object]:
    """Open them, at most 256 at a time under way; hold them."""
    began = time.monotonic()
    selector = selectors.DefaultSelector()
    held: list[socket.socket] = []
    number = failed = 0
    while len(held) + failed < count and time.monotonic() - began < 120:
        while number < count and number - len(held) - failed < 256:
            selector.register(begin(target, source(number, prefixes)), selectors.EVENT_WRITE)
            number += 1
        for key, _ in selector.select(1):
            assert isinstance(key.fileobj, socket.socket)
            sock = key.fileobj
            selector.unregister(sock)
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                failed += 1
                sock.close()
            else:
                held.append(sock)
    seconds = time.monotonic() - began
    print(f"open {len(held)}", flush=True)
    sys.stdin.read()
    ended = spoke = 0
    for sock in held:
        try:
            spoke += bool(sock.recv(100))
            ended += 1
        except BlockingIOError:
            pass
        except ConnectionError:
            ended += 1
    return {"open": len(held), "failed": failed, "seconds": round(seconds, 2), "ended": ended, "spoke": spoke}


def opened(target: str, rate: int, sources: int, seconds: int) -> dict[str, object]:
    """Each is left after 12 s: the server's patience is over by then."""
    began = time.monotonic()
    open_ones: list[tuple[float, socket.socket]] = []
    started = 0
    while (now := time.monotonic()) - began < seconds:
        while started < (now - began) * rate:
            open_ones.append((now, begin(target, source(started, sources))))
            started += 1
        while open_ones and now - open_ones[0][0] > 12:
            open_ones.pop(0)[1].close()
        time.sleep(0.005)
    return {"started": started}


def client_hello() -> bytes:
    """First output of OpenSSL."""
    shake = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    shake.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        shake.do_handshake()
    return shake.bio_read(1 << 16)


def hello(target: str, rate: int, sources: int, seconds: int) -> dict[str, object]:
    """Each stranger gets as far as the server's flight and is then left."""
    tls = client_hello()
    began = time.monotonic()
    open_ones: list[tuple[float, socket.socket]] = []
    selector = selectors.DefaultSelector()
    started = greeted = answered = 0
    while (now := time.monotonic()) - began < seconds:
        while started < (now - began) * rate:
            sock = begin(target, source(started, sources))
            open_ones.append((now, sock))
            selector.register(sock, selectors.EVENT_WRITE, "connect")
            started += 1
        while open_ones and now - open_ones[0][0] > 5:
            _, sock = open_ones.pop(0)
            if sock.fileno() in selector.get_map():
                selector.unregister(sock)
            sock.close()
        for key, _ in selector.select(0.005):
            assert isinstance(key.fileobj, socket.socket)
            sock = key.fileobj
            try:
                if key.data == "connect":
                    record = RESET % (started % 10**8)
                    sock.send(len(record).to_bytes(2, "big") + record)
                    selector.modify(sock, selectors.EVENT_READ, "reset")
                    continue
                data = sock.recv(4096)
                if not data:
                    raise ConnectionError
                if key.data == "reset":
                    greeted += 1
                    # length, op, the server's session id, one acknowledgement with our session id, message id 0
                    record = b"\x20" + data[16:24] + b"\1" + bytes(4) + data[3:11] + b"\0\0\0\1" + tls
                    sock.send(len(record).to_bytes(2, "big") + record)
                    selector.modify(sock, selectors.EVENT_READ, "hello")
                else:
                    answered += 1
                    selector.unregister(sock)
            except ConnectionError:
                selector.unregister(sock)
    return {"started": started, "greeted": greeted, "answered": answered}


class Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct mmsghdr of Linux on 64 bits."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("pieces", ctypes.POINTER(Piece)),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_long),  # an int and its padding
        ("sent", ctypes.c_ulong),
    )


def syn(interface: str, mac: str, target: str, seconds: int, rate: int) -> dict[str, object]:
    """Whole frames, many in a system call; TCP checksums complete. No SYN comes twice: port and number move on."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((interface, 0))
    sock.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
    head = bytes.fromhex(mac.replace(":", "")) + sock.getsockname()[4] + b"\x08\0"
    size = len(head) + len(segment(0, target))
    data = bytearray(b"".join(head + segment(number, target) for number in range(SYN_COUNT)))
    base = ctypes.addressof(ctypes.c_char.from_buffer(data))
    pieces = (Piece * SYN_COUNT)(*(Piece(base + number * size, size) for number in range(SYN_COUNT)))
    messages = (Message * SYN_COUNT)()
    for number, message in enumerate(messages):
        message.pieces, message.piece_count = ctypes.pointer(pieces[number]), 1
    port_at, number_at = len(head) + 20, len(head) + 24  # the sum of both stays, so does the checksum
    sent = offered = 0
    began = now = time.monotonic()
    for lap in itertools.count(1):
        for batch in range(0, SYN_COUNT, SYN_BATCH):
            sent += max(0, sendmmsg(sock.fileno(), ctypes.byref(messages[batch]), SYN_BATCH, 0))
            offered += SYN_BATCH
            for at in range(batch * size, (batch + SYN_BATCH) * size, size):
                port, high = HALVES.unpack_from(data, at + port_at)[0], HALVES.unpack_from(data, at + number_at)[0]
                HALVES.pack_into(data, at + port_at, port - 1)
                HALVES.pack_into(data, at + number_at, high + 1)
            now = time.monotonic()
            if now - began > seconds or lap == SYN_LAPS:
                taken = round(offered / (now - began))
                return {"sent": sent, "full": offered - sent, "per_second": taken, "cpu": round(time.process_time(), 1)}
            if rate and (ahead := offered / rate - (now - began)) > 0:
                time.sleep(ahead)
    raise AssertionError


def segment(number: int, target: str) -> bytes:
    """An IPv4 packet with a SYN, from 198.19.0.0/16."""
    addresses = socket.inet_aton(f"198.19.{number >> 8 & 255}.{number & 255}") + socket.inet_aton(target)
    tcp = struct.pack(">HHIIBBHHH", 24_000 + number % 40_000, PORT, number * 7919 & 0x3FFFFFFF, 0, 0x60, 2, 64240, 0, 0)
    tcp += b"\2\4\5\xb4"
    tcp = tcp[:16] + checksum(addresses + struct.pack(">HH", 6, len(tcp)) + tcp) + tcp[18:]
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), number & 0xFFFF, 0x4000, 64, 6, 0) + addresses
    return head[:10] + checksum(head) + head[12:] + tcp


def checksum(data: bytes) -> bytes:
    """RFC 1071."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~total & 0xFFFF)


def main(words: list[str]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
    what, rest = words[0], words[1:]
    if what == "silent":
        print(json.dumps(silent(rest[0], int(rest[1]), int(rest[2]))), flush=True)
    elif what == "open":
        print(json.dumps(opened(rest[0], *map(int, rest[1:]))), flush=True)
    elif what == "hello":
        print(json.dumps(hello(rest[0], *map(int, rest[1:]))), flush=True)
    else:
        print(json.dumps(syn(rest[0], rest[1], rest[2], int(rest[3]), int(rest[4]))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
