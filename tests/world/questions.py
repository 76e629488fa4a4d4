"""One question to a port, and a host that answers everywhere: what a client reaches, and what came there.

questions.py answer                        answers UDP and TCP on ports 53 and 80 of every address; prints
                                           `heard PROTOCOL ADDRESS PORT`
questions.py ask PROTOCOL ADDRESS PORT     prints `answer`, the name of an errno, or `silence` after two seconds
"""

from __future__ import annotations

import errno
import selectors
import socket
import sys

PORTS = (53, 80)
PATIENCE = 2.0
IP_PKTINFO = getattr(socket, "IP_PKTINFO", 8)
KINDS = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}


def ask(protocol: str, address: str, port: int) -> str:
    """Result of a question."""
    with socket.socket(socket.AF_INET, KINDS[protocol]) as sock:
        sock.settimeout(PATIENCE)
        try:
            if address.endswith(".255"):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.connect((address, port))
            sock.send(b"question")
            return "answer" if sock.recv(100) == b"answer" else "nonsense"
        except TimeoutError:
            return "silence"
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, str(error))


def say(protocol: str, address: str, port: int) -> None:
    sys.stdout.write(f"heard {protocol} {address} {port}\n")
    sys.stdout.flush()


def answer_datagram(sock: socket.socket) -> None:
    """From the address that was asked."""
    _, ancillary, _, source = sock.recvmsg(100, 100)
    asked = next(data[8:12] for level, kind, data in ancillary if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO))
    say("udp", socket.inet_ntoa(asked), sock.getsockname()[1])
    sock.sendmsg([b"answer"], [(socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + asked + bytes(4))], 0, source)


def answer_connection(sock: socket.socket) -> None:
    connection, _ = sock.accept()
    with connection:
        say("tcp", *connection.getsockname())
        connection.settimeout(PATIENCE)
        connection.recv(100)
        connection.sendall(b"answer")


def answer() -> None:
    """Until it is killed."""
    selector = selectors.DefaultSelector()
    for port in PORTS:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        datagrams.bind(("0.0.0.0", port))
        listener = socket.create_server(("0.0.0.0", port))
        selector.register(datagrams, selectors.EVENT_READ, answer_datagram)
        selector.register(listener, selectors.EVENT_READ, answer_connection)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select():
            key.data(key.fileobj)


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        sys.stdout.write(ask(sys.argv[2], sys.argv[3], int(sys.argv[4])) + "\n")
    else:
        answer()
