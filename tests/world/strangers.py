"""Peers without a key, in numbers; run inside a namespace that owns the addresses 198.18.0.0/16.

    strangers.py silent TARGET COUNT PREFIXES           connections that say nothing, until standard input ends
    strangers.py hello TARGET RATE SOURCES SECONDS      a hard reset and a ClientHello each, RATE a second
    strangers.py syn INTERFACE MAC TARGET SECONDS       SYNs from spoofed addresses, as fast as it goes

Prints what it did as one line of JSON at the end; `silent` prints `open N` when all are there.
"""

from __future__ import annotations

import itertools
import json
import resource
import selectors
import socket
import ssl
import struct
import sys
import time

PORT = 1194
RESET = b"\x38" + b"%8d" + bytes(5)  # op, session id, no acknowledgements, message id 0
FREEBIND = 15  # IP_FREEBIND


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
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
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


def client_hello() -> bytes:
    """What OpenSSL says first."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    shake = context.wrap_bio(ssl.MemoryBIO(), out)
    try:
        shake.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


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
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
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


def syn(interface: str, mac: str, target: str, seconds: int) -> dict[str, object]:
    """Whole frames, prepared; TCP checksums complete."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((interface, 0))
    own = sock.getsockname()[4]
    frames = [bytes.fromhex(mac.replace(":", "")) + own + b"\x08\0" + segment(n, target) for n in range(20_000)]
    sent = dropped = 0
    began = time.monotonic()
    for frame in itertools.cycle(frames):
        try:
            sock.send(frame)
            sent += 1
        except OSError:
            dropped += 1
        if sent & 255 == 0 and time.monotonic() - began > seconds:
            break
    return {"sent": sent, "full": dropped, "per_second": int(sent / (time.monotonic() - began))}


def segment(number: int, target: str) -> bytes:
    """An IPv4 packet with a SYN, from 198.19.0.0/16."""
    addresses = socket.inet_aton(f"198.19.{number >> 8 & 255}.{number & 255}") + socket.inet_aton(target)
    tcp = struct.pack(">HHIIBBHHH", 1024 + number % 60_000, PORT, number * 7919 & 0xFFFFFFFF, 0, 0x60, 2, 64240, 0, 0)
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
    elif what == "hello":
        print(json.dumps(hello(rest[0], *map(int, rest[1:]))), flush=True)
    else:
        print(json.dumps(syn(rest[0], rest[1], rest[2], int(rest[3]))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
