"""Datagrams of no session from spoofed addresses, as whole frames on an interface; run inside a namespace.

    python -m tests.world.datagram_flood INTERFACE MAC ADDRESS KIND RATE SECONDS

KIND: reset (a hard reset without a wrap), tls-auth and tls-crypt-v2 (hard resets that no key made), data (data packets
with guessed peer ids), runt (1 to 13 bytes). Nearly every source is of another prefix of 24 bits, no packet comes
twice. Prints one line of JSON at the end, also when it is ended by SIGTERM.
"""

from __future__ import annotations

import ctypes
import json
import random
import signal
import socket
import struct
import sys
import time
from types import FrameType

from tests.world.strangers import Message, Piece, checksum

PORT = 1194
COUNT, BATCH = 20_480, 16
LAPS = 20_000  # a lap takes the port one down and a half of a session id one up, and neither may turn round
KINDS = ("reset", "tls-auth", "tls-crypt-v2", "data", "runt")
GUESSES = 64  # peer ids that are tried
WRAPPED_LEN = 298  # of a client key of tls-crypt-v2 with the time of its making
HALF = struct.Struct(">H")
_SOURCES = 0x50000000  # from 20.0.0.0 on


def payload(kind: str, number: int) -> bytes:
    """The datagram of one stranger; the half at byte 2, for data that at byte 4, is below 0x4000."""
    noise = random.Random(number)
    session_id = noise.randbytes(1) + (number & 0x3FFF).to_bytes(2, "big") + noise.randbytes(5)
    reset = bytes(5)  # no acknowledgements, message id 0
    if kind == "reset":
        return b"\x38" + session_id + reset
    if kind == "tls-auth":  # HMAC-SHA1, packet id, time
        return b"\x38" + session_id + noise.randbytes(20) + struct.pack(">II", 1, 1_800_000_000) + reset
    if kind == "tls-crypt-v2":  # packet id of early negotiation, time, tag, sealed body; then the wrapped key
        head = b"\x50" + session_id + struct.pack(">II", 0x0F000001, 1_800_000_000) + noise.randbytes(32 + 5)
        return head + noise.randbytes(WRAPPED_LEN - 2) + WRAPPED_LEN.to_bytes(2, "big")
    if kind == "data":
        packet_id = struct.pack(">HH", number & 0x3FFF, 1)
        return b"\x48" + (number % GUESSES).to_bytes(3, "big") + packet_id + noise.randbytes(16 + 64)
    if kind == "runt":
        return noise.randbytes(1 + number % 13)
    raise ValueError(kind)


def packet(kind: str, number: int, target: str) -> bytes:
    """An IPv4 packet of one stranger; runts have no UDP checksum."""
    source = (0x14000000 + number * 2_654_435_761 % _SOURCES).to_bytes(4, "big")
    addresses = source + socket.inet_aton(target)
    data = payload(kind, number)
    body = struct.pack(">HHHH", 24_000 + number % 40_000, PORT, 8 + len(data), 0) + data
    if kind != "runt":
        pseudo = addresses + struct.pack(">HH", 17, len(body))
        body = body[:6] + checksum(pseudo + body + bytes(len(body) % 2)) + data
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), number & 0xFFFF, 0x4000, 64, 17, 0) + addresses
    return head[:10] + checksum(head) + head[12:] + body


class Flood:
    """Frames in one buffer, many of which leave with one system call."""

    def __init__(self, interface: str, mac: str, target: str, kind: str) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._sock.bind((interface, 0))
        self._sock.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
        head = bytes.fromhex(mac.replace(":", "")) + self._sock.getsockname()[4] + b"\x08\0"
        frames = [head + packet(kind, number, target) for number in range(COUNT)]
        self._size = size = max(map(len, frames))
        self._data = bytearray(b"".join(frame.ljust(size, b"\0") for frame in frames))
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._data))
        self._pieces = (Piece * COUNT)(*(Piece(base + n * size, len(frame)) for n, frame in enumerate(frames)))
        self._messages = (Message * COUNT)()
        for message, number in zip(self._messages, range(COUNT), strict=True):
            message.pieces, message.piece_count = ctypes.pointer(self._pieces[number]), 1
        self._half_at = None if kind == "runt" else len(head) + 28 + (4 if kind == "data" else 2)
        self._port_at = len(head) + 20
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg
        self._began, self._used = time.monotonic(), time.process_time()
        self.sent = self.offered = 0

    def run(self, rate: int, seconds: int) -> None:
        """Send until the time is over."""
        self._began, self._used = time.monotonic(), time.process_time()
        for _ in range(LAPS):
            for number in range(0, COUNT, BATCH):
                message = ctypes.byref(self._messages[number])
                self.sent += max(0, self._sendmmsg(self._sock.fileno(), message, BATCH, 0))
                self.offered += BATCH
                self._change(number)
                ahead = self.offered / rate - (time.monotonic() - self._began)
                if ahead > 0:
                    time.sleep(ahead)
            if time.monotonic() - self._began > seconds:
                return

    def _change(self, number: int) -> None:
        """Make other packets of a batch that has left; the sum of the two numbers stays, and so does the checksum."""
        for at in range(number * self._size, (number + BATCH) * self._size, self._size):
            port_at = at + self._port_at
            HALF.pack_into(self._data, port_at, HALF.unpack_from(self._data, port_at)[0] - 1)
            if self._half_at is not None:
                half_at = at + self._half_at
                HALF.pack_into(self._data, half_at, HALF.unpack_from(self._data, half_at)[0] + 1)

    def report(self) -> dict[str, float]:
        """Numbers of packets, and the processor time that they took."""
        seconds = time.monotonic() - self._began
        return {
            "sent": self.sent,
            "lost": self.offered - self.sent,
            "per_second": round(self.offered / seconds),
            "cpu": round((time.process_time() - self._used) / seconds, 2),
        }


def main(words: list[str]) -> None:
    interface, mac, target, kind = words[:4]
    flood = Flood(interface, mac, target, kind)

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    try:
        flood.run(int(words[4]), int(words[5]))
    finally:
        print(json.dumps(flood.report()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
