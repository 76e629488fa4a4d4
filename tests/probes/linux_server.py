"""The control's application: answers as much as Hognose does, on Linux's sockets.

    linux_server.py ADDRESS PORT FLIGHT

After a client's hard reset it speaks a server's hard reset, after the first control message FLIGHT bytes; a record
of an impossible length is the end, and so is the peer's FIN. Prints `ready`.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys

CLIENT_RESET, SERVER_RESET, CONTROL = 0x38, 0x40, 0x20
LONGEST = 2048
BACKLOG = 128


class Served:
    """One connection: what was read of it, and whether it has spoken and is being closed."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unread = b""
        self.greeted = self.flown = self.closing = self.muted = False

    def feed(self, data: bytes, flight: int) -> None:
        """Records in, answers out."""
        if self.closing or self.muted:
            return
        self.unread += data
        while len(self.unread) >= 2:
            length = int.from_bytes(self.unread[:2], "big")
            if not 0 < length <= LONGEST:
                self.muted = not self.greeted
                if self.greeted:
                    self.end()
                return
            if len(self.unread) < 2 + length:
                return
            record, self.unread = self.unread[2 : 2 + length], self.unread[2 + length :]
            if record[0] == CLIENT_RESET and not self.greeted:
                self.greeted = True
                answer = bytes((SERVER_RESET,)) + os.urandom(8) + b"\1" + bytes(4) + record[1:9] + bytes(4)
                self.sock.send(len(answer).to_bytes(2, "big") + answer)
            elif record[0] == CONTROL and self.greeted and not self.flown:
                self.flown = True
                self.sock.send(bytes(flight))

    def end(self) -> None:
        """A FIN after the data."""
        self.closing = True
        self.sock.shutdown(socket.SHUT_WR)


def main(address: str, port: int, flight: int) -> None:
    listener = socket.create_server((address, port), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")  # what is accepted inherits it
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            served: Served | None = key.data
            if served is None:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    continue
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
                selector.register(sock, selectors.EVENT_READ, Served(sock))
                continue
            try:
                data = served.sock.recv(1 << 16)
                if data:
                    served.feed(data, flight)
                elif not served.closing:
                    served.end()
            except OSError:
                data = b""
            if not data:
                selector.unregister(served.sock)
                served.sock.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
