"""Bytes across the tunnel, checked by sha256: a server for the internet host, a client for the others.

traffic.py serve ADDRESS PORT
traffic.py get ADDRESS PORT BYTES SEED      prints sha256 received, sha256 expected, seconds
traffic.py put ADDRESS PORT BYTES SEED      prints sha256 sent, sha256 the server received, seconds
"""

from __future__ import annotations

import hashlib
import random
import socket
import sys
import threading
import time
from collections.abc import Iterator

BLOCK = 1 << 20


def blocks(size: int, seed: int) -> Iterator[bytes]:
    """`size` bytes that the seed decides."""
    source = random.Random(seed)
    block = source.randbytes(BLOCK)
    number = 0
    while size > 0:
        head = number.to_bytes(8, "big")
        yield (head + block[8:])[: min(size, BLOCK)]
        size -= BLOCK
        number += 1


def serve(address: str, port: int) -> None:
    """Answer requests until killed."""
    with socket.create_server((address, port)) as listener:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=answer, args=(conn,), daemon=True).start()


def answer(conn: socket.socket) -> None:
    """One request: `get BYTES SEED` or `put BYTES`, then the bytes."""
    with conn, conn.makefile("rb") as stream:
        words = stream.readline().split()
        try:
            if words[0] == b"get":
                for block in blocks(int(words[1]), int(words[2])):
                    conn.sendall(block)
            else:
                total, missing = hashlib.sha256(), int(words[1])
                while missing and (data := stream.read(min(missing, BLOCK))):
                    total.update(data)
                    missing -= len(data)
                conn.sendall(total.hexdigest().encode())
        except OSError:
            return


def main(words: list[str]) -> None:
    """Entry point."""
    if words[0] == "serve":
        serve(words[1], int(words[2]))
        return
    size, seed = int(words[3]), int(words[4])
    expected = hashlib.sha256()
    for block in blocks(size, seed):
        expected.update(block)
    began = time.monotonic()
    with socket.create_connection((words[1], int(words[2])), 30) as conn:
        conn.settimeout(60)
        if words[0] == "get":
            conn.sendall(f"get {size} {seed}\n".encode())
            total = hashlib.sha256()
            while data := conn.recv(BLOCK):
                total.update(data)
            result = total.hexdigest()
        else:
            conn.sendall(f"put {size}\n".encode())
            for block in blocks(size, seed):
                conn.sendall(block)
            result = conn.recv(100).decode()
    sys.stdout.write(f"{result} {expected.hexdigest()} {time.monotonic() - began:.2f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
