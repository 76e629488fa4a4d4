"""Cost of the outer TCP per super-frame, loss-free, in both directions; nanoseconds, the best of several rounds.

python -m tests.bench.bench_tcp [ROUNDS]
"""

from __future__ import annotations

import sys
import time

from tests.unit.tcp.tcp_script import CLIENT, CLIENT_PORT, MS, PORT, SERVER, Script

from hognose.wire import tcp as wire_tcp

FRAMES = 2000
SUPER = 43 * 1448
PIECES = [bytes(1448)] * 43


def acknowledgement(seq: int, ack: int, stamp: int, echo: int, payload: bytes = b"") -> bytes:
    """One segment of the peer with timestamps, no checksums."""
    ip = bytes(12) + CLIENT.to_bytes(4, "big") + SERVER.to_bytes(4, "big")
    fields = (CLIENT_PORT, PORT, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x80, wire_tcp.ACK, 65535, 0, 0)
    return ip + wire_tcp.WITH_TIMESTAMPS.pack(*fields, wire_tcp.TIMESTAMP_OPTION, stamp, echo) + payload


def download() -> float:
    """write, poll, one ACK per super-segment."""
    script = Script()
    conn = script.open()
    server = script.server
    for _ in range(8):  # out of the initial window
        script.write(bytes(conn.send_space // 4))
        while conn.send_queued:
            script.poll()
            script.now += 20 * MS
            script.send("A")
    base = script.iss + script.seen
    stamps = script.stamp(), script.ts_echo
    acks = [acknowledgement(script.irs + 1, base + (n + 1) * SUPER, *stamps) for n in range(FRAMES)]
    now = script.now
    start = time.perf_counter_ns()
    for n in range(FRAMES):
        now += MS // 2
        conn.write(PIECES)
        server.poll(now)
        packet = acks[n]
        server.receive(packet, 0, 20, len(packet), 0, True, now)
        deadline = server.next_deadline()
        if deadline is not None and 0 < deadline <= now:
            server.handle_deadline(now)
    took = time.perf_counter_ns() - start
    assert conn.send_queued == 0
    return took / FRAMES


def upload() -> float:
    """One super-segment received, taken, polled."""
    script = Script()
    script.open()
    server = script.server
    data = bytes(SUPER)
    packets = [acknowledgement(script.irs + 1 + n * SUPER, script.iss + 1, script.stamp(), 0, data) for n in range(40)]
    now = script.now
    start = time.perf_counter_ns()
    for packet in packets:
        now += MS // 2
        server.receive(packet, 0, 20, len(packet), 1448, True, now)
        for conn in server.readable():
            conn.take()
        server.poll(now)
        deadline = server.next_deadline()
        if deadline is not None and 0 < deadline <= now:
            server.handle_deadline(now)
    return (time.perf_counter_ns() - start) / len(packets)


def main(argv: list[str]) -> int:
    rounds = int(argv[0]) if argv else 15
    print(f"download {min(download() for _ in range(rounds)):.0f} ns per super-segment and its acknowledgement")
    print(f"upload   {min(upload() for _ in range(rounds * 20)):.0f} ns per super-segment and its acknowledgement")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
