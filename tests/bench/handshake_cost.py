"""Memory of one handshake: `python -m tests.bench.handshake_cost`; docs/security.md has the figures.

OpenSSL's part is what malloc has given out more, the other one is Python's. The worst client sends a certificate of
98,000 bytes, of which a part is missing; OpenSSL takes no more than 100 KiB.
"""

from __future__ import annotations

import ctypes
import gc
import tracemalloc

from cryptography import x509
from tests.unit.openvpn.link import Link, authority, kit, profile

from hognose.limits import HANDSHAKE_COST
from hognose.openvpn.session import Session

COUNT = 30
_OID = x509.ObjectIdentifier("1.3.6.1.4.1.32473.1")  # for examples (RFC 5612)
_FIELDS = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class _Mallinfo(ctypes.Structure):
    """struct mallinfo2 of glibc."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS.split())


def allocated() -> int:
    """Bytes that malloc has given out."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    gc.collect()
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


def half_done(certificate_bytes: int, received: int) -> Session:
    """A session that has received a number of bytes of a client with a large certificate."""
    alice = authority().issue("alice", extensions=[x509.UnrecognizedExtension(_OID, bytes(certificate_bytes))])
    link = Link(profile(), kit(cert=alice.cert, key=alice.key))
    came = 0
    receive = link.session.receive

    def counted(records: list[bytes], now: int, unix: int) -> list[bytes]:
        nonlocal came
        came += sum(map(len, records))
        return receive(records, now, unix)

    link.session.receive = counted  # type: ignore[method-assign]  # counts
    link.client.start(link.now)
    link.run(lambda: came >= received, 60)
    link.session.receive = receive  # type: ignore[method-assign]  # as before
    assert link.session.ended is None
    return link.session


def cost(certificate_bytes: int, received: int) -> tuple[int, int]:
    """Bytes of malloc and of Python for each of some handshakes."""
    held = [half_done(certificate_bytes, received) for _ in range(3)]
    before = allocated()
    tracemalloc.start()
    held += [half_done(certificate_bytes, received) for _ in range(COUNT)]
    gc.collect()
    python = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (allocated() - before) // COUNT, python // COUNT


def main() -> None:
    for name, size, received in (("after the ClientHello", 1, 200), ("in the middle of 98,000 bytes", 98_000, 60_000)):
        openssl, python = cost(size, received)
        print(f"{name}: {openssl} bytes of malloc, {python} of Python: {(openssl + python) / 1024:.0f} KiB")
    print(f"limits.py counts {HANDSHAKE_COST // 1024} KiB")


if __name__ == "__main__":
    main()
