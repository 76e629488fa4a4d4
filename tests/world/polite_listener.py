"""The control for strangers.py `hello`: answers as a server would, at no cost of its own worth naming."""

from __future__ import annotations

import resource
import selectors
import socket

PORT = 1194
RESET = (26).to_bytes(2, "big") + b"\x40" + bytes(25)  # a hard reset of the server's, as long as ours without a wrap
FLIGHT = bytes(1200)  # about the server's first flight


def main() -> None:
    """Serve until killed."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
    listening = socket.create_server(("0.0.0.0", PORT), backlog=1000)
    listening.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listening, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            try:
                if sock is listening:
                    selector.register(sock.accept()[0], selectors.EVENT_READ, [RESET, FLIGHT])
                elif not sock.recv(4096):
                    raise ConnectionError
                elif key.data:
                    sock.sendall(key.data.pop(0))
            except ConnectionError:
                selector.unregister(sock)
                sock.close()


if __name__ == "__main__":
    main()
