"""Nanoseconds per packet of the NAT's hot paths: python tests/bench/bench_nat.py

Best of many repetitions, without and with the sums over payloads (wire.checksum), because those are what a native
primitive would replace. Compare lines of one run only; the machine is not the unit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from hognose.address import parse_ipv4
from hognose.drops import Counters
from hognose.ip.offload import segment
from hognose.limits import NatLimits
from hognose.link import Outgoing
from hognose.nat import outbound
from hognose.nat.nat import Nat
from hognose.wire import ipv4, segmentation, udp
from hognose.wire.checksum import ones_sum, pseudo_sum

CLIENT, SERVER, OUTSIDE = parse_ipv4("10.8.0.2"), parse_ipv4("1.2.3.4"), parse_ipv4("10.0.0.2")
ALICE, BOB = bytes((10, 8, 0, 2)), bytes((10, 8, 0, 3))
MSS, RUN = 1348, 43
TIMESTAMPS = bytes.fromhex("0101080a0000000100000002")
SEED = random.Random(1)


def tcp(
    source: bytes, destination: bytes, sport: int, dport: int, seq: int, flags: int, payload: bytes, ack: int = 0
) -> bytes:
    """A TCP packet with the timestamp option."""
    header = (
        sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + seq.to_bytes(4, "big") + ack.to_bytes(4, "big")
        + bytes([0x80, flags]) + b"\x01\xf5" + bytes(4) + TIMESTAMPS
    )  # fmt: skip
    length = len(header) + len(payload)
    total = pseudo_sum(source, destination, 6, length) + ones_sum(header) + ones_sum(payload)
    header = header[:16] + (-total % 0xFFFF).to_bytes(2, "big") + header[18:]
    return ipv4.build(source, destination, 6, length) + header + payload


def datagram(source: bytes, destination: bytes, sport: int, dport: int, payload: bytes) -> bytes:
    """A UDP packet."""
    return ipv4.build(source, destination, 17, 8 + len(payload)) + udp.build(source, destination, sport, dport, payload)


def measure(name: str, work: Callable[[], object], packets: int, rounds: int = 300) -> None:
    best = 1 << 60
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        work()
        best = min(best, time.perf_counter_ns() - begin)
    print(f"{best / packets:8.0f} ns/packet  {name}")


def main() -> None:
    nat = Nat(
        address=OUTSIDE,
        reserved_ports=frozenset({(6, 5000)}),
        limits=NatLimits(),
        random=SEED.randbytes,
        counters=Counters(),
    )
    out: list[Outgoing] = []
    flows = [5000 + index for index in range(8)]
    for sport in flows:
        nat.open_outbound(ALICE, tcp(CLIENT, SERVER, sport, 80, 0, 2, b""), 0, out)
    nat.open_outbound(ALICE, datagram(CLIENT, SERVER, 5000, 53, b"x"), 0, out)
    port = int.from_bytes(out[0][2][0][20:22], "big")

    def run_of(sport: int, count: int = RUN) -> list[bytes]:
        return [tcp(CLIENT, SERVER, sport, 80, at * MSS, 16, SEED.randbytes(MSS)) for at in range(count)]

    run = run_of(5000)
    mixed = [packet for row in zip(*(run_of(sport, 8) for sport in flows), strict=True) for packet in row]
    acks = [tcp(CLIENT, SERVER, 5000, 80, 1, 16, b"")] * 50
    small = [datagram(CLIENT, SERVER, 5000, 53, bytes(36))] * 50
    large = [datagram(CLIENT, SERVER, 5000, 53, bytes(1372))] * 50

    def outward(packets: list[bytes]) -> Callable[[], object]:
        return lambda: nat.outbound(ALICE, packets, 1, [])

    def one_by_one(packets: list[bytes]) -> Callable[[], object]:
        return lambda: [nat.outbound(ALICE, [packet], 1, []) for packet in packets]

    measure(f"out: run of {RUN}, verified", outward(run), RUN)
    measure("     verification alone", lambda: outbound.all_valid(run, ones_sum(CLIENT + SERVER)), RUN)
    measure("     ones_sum of 1400 bytes", lambda: [ones_sum(packet) for packet in run], RUN)
    verify = outbound.all_valid
    outbound.all_valid = lambda run, address_sum: True
    measure(f"out: run of {RUN}, not verified", outward(run), RUN)
    measure("out: 8 flows interleaved, not verified", outward(mixed), len(mixed))
    outbound.all_valid = verify
    measure("out: single 1400 B data packets, one per batch", one_by_one(run), RUN)
    measure("out: pure ACKs, 50 per batch", outward(acks), 50)
    measure("out: pure ACKs, one per batch", one_by_one(acks), 50)
    measure("out: UDP 64 B, 50 per batch", outward(small), 50)
    measure("out: UDP 1400 B, 50 per batch", outward(large), 50)

    whole = bytes(26) + tcp(SERVER, OUTSIDE, 80, port, 0, 16, SEED.randbytes(MSS * RUN))
    single = bytes(26) + tcp(SERVER, OUTSIDE, 80, port, 0, 16, SEED.randbytes(MSS))
    ack = bytes(26) + tcp(SERVER, OUTSIDE, 80, port, 0, 16, b"")
    measure(f"in:  super-segment of {RUN}", lambda: nat.inbound(whole, 26, len(whole), MSS, True, 1), RUN)
    real_sum = segmentation.ones_sum
    segmentation.ones_sum = lambda data, start=0: 0
    measure("     the same without sums", lambda: nat.inbound(whole, 26, len(whole), MSS, True, 1), RUN)
    segmentation.ones_sum = real_sum
    measure("in:  single 1400 B, complete", lambda: [nat.inbound(single, 26, 1426, 0, False, 1) for _ in range(50)], 50)
    measure("in:  single 1400 B, partial", lambda: [nat.inbound(single, 26, 1426, 0, True, 1) for _ in range(50)], 50)
    measure("in:  ACK, complete", lambda: [nat.inbound(ack, 26, len(ack), 0, False, 1) for _ in range(50)], 50)
    measure("in:  ACK, partial", lambda: [nat.inbound(ack, 26, len(ack), 0, True, 1) for _ in range(50)], 50)
    pieces = [whole[26:78], whole[78:]]
    measure(f"software segmentation of {RUN}", lambda: segment(pieces, MSS), RUN)

    def churn() -> None:
        for sport in range(10000, 10200):
            nat.open_outbound(BOB, datagram(CLIENT, SERVER, sport, 53, b"x"), 1, [])
        nat.forget(BOB)

    measure("open and forget a UDP flow (with building the packet)", churn, 200, 20)


if __name__ == "__main__":
    main()
