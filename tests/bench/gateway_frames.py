"""Frames made beforehand through `Gateway.step`: what a step costs, in this process, for the source on the path.

python -m tests.bench.gateway_frames STEPS [ROW …] prints a line of JSON: microseconds per packet of each row. The
client is the tests' own, from the tree that this file is in; `gateway` is all that is asked of the tree under
measurement, so that an old version can be measured as well. tests/bench/harness.py compares two trees.
"""

from __future__ import annotations

import gc
import json
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.sim.segments import build, ones_complement, read
from tests.sim.world_peer import Tunnel, echo_request, ip_packet, open_tunnel, udp_packet
from tests.unit.openvpn.client import ClientKit
from tests.world.pki import SERVER, Authority
from tests.world.today import UNIX

SECOND, MS = 1_000_000_000, 1_000_000
MAC, ROUTER_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
ADDRESS, ROUTER, OUTSIDE, HOST = 0x0A000002, 0x0A000001, 0xC6336407, 0xC0000201
ETHERNET = MAC + ROUTER_MAC + b"\x08\0"
PLAIN = b"\x02" + bytes(11)  # virtio-net header: the checksum is known to be right
MSS, INNER_MSS = 1448, 1348
UP, DOWN, SMALL = 44, 45, 40  # packets in a step
REST = 100  # further steps after which a gateway must have come to rest


def gateway(authority: Authority) -> Any:
    """A gateway of the tree on the path, as its command line would assemble it."""
    from hognose.config.parser import parse
    from hognose.drops import Counters
    from hognose.gateway.assemble import Uplink, assemble
    from hognose.limits import Limits
    from hognose.link import LinkCaps

    server = authority.issue("server", SERVER)
    text = (
        "proto tcp\nport 1194\ndev tun\ntopology subnet\nserver 10.8.0.0 255.255.255.0\nkeepalive 10 60\n"
        f"data-ciphers AES-256-GCM\n<ca>\n{authority.pem}</ca>\n"
        f"<cert>\n{server.cert}</cert>\n<key>\n{server.key}</key>\n"
    )
    # Trees before settings.py have addresses as numbers.
    numbers = "Ipv4Int" in str(Uplink.__annotations__["address"])
    own: Any
    router: Any
    own, router = ((each if numbers else each.to_bytes(4, "big")) for each in (ADDRESS, ROUTER))
    uplink = Uplink(own, 24, router)
    return assemble(
        parse(text, "server.conf")[0], caps=LinkCaps(mac=MAC), uplink=uplink, limits=Limits(),
        random=os.urandom, now=1000 * SECOND, unix=UNIX, counters=Counters(),
    )  # fmt: skip


def tcp_packet(
    source: int, sport: int, destination: int, dport: int, seq: int, ack: int, flags: int, payload: bytes,
    stamps: tuple[int, int] = (1, 1), partial: bool = False,
) -> bytes:  # fmt: skip
    """A TCP packet with timestamps; partial leaves the checksum to the device."""
    head = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x80, flags, 65535, 0, 0)
    body = head + b"\1\1\x08\x0a" + struct.pack(">II", *stamps) + payload
    pseudo = struct.pack(">IIHH", source, destination, 6, len(body) & 0xFFFF)
    checksum = ones_complement(pseudo) ^ 0xFFFF if partial else ones_complement(pseudo + body)
    return ip_packet(6, source, destination, body[:16] + struct.pack(">H", checksum) + body[18:])


def with_offload(packet: bytes, mss: int) -> bytes:
    """The frame of a packet as a NIC with GRO gives it: a super-frame when there is more than one segment in it."""
    header = (packet[32] >> 4) * 4
    more = len(packet) - 20 - header > mss
    vnet = struct.pack("<BBHHHHH", 1, more, 34 + header if more else 0, mss if more else 0, 34, 16, 0)
    return vnet + ETHERNET + packet


class BusyClient:
    """A client that is logged in, as numbers: it seals records and counts those that come."""

    def __init__(self, tunnel: Tunnel) -> None:
        peer, vpn = tunnel.peer, tunnel.vpn
        self.port, self.address = tunnel.port, tunnel.address
        self.sent, self.came = peer.settings.iss + peer.nxt, peer.irs + peer.rcv_nxt
        self.stamp = peer.ts_recent
        self.records = 0  # that came
        self._stream = b""
        keys = vpn.data_keys[0]
        self._aead, self._iv = AESGCM(keys[:32]), keys[64:72]
        self._packet_id = vpn.data_pid.get(0, 0)
        self._word = 9 << 27 | (vpn.peer_id or 0)

    def seal(self, packet: bytes) -> bytes:
        """A DATA_V2 record of the stream."""
        self._packet_id += 1
        head = struct.pack(">II", self._word, self._packet_id)
        sealed = self._aead.encrypt(head[4:] + self._iv, packet, head)
        return struct.pack(">H", 8 + len(sealed)) + head + sealed[-16:] + sealed[:-16]

    def frame(self, now: int, payload: bytes = b"") -> bytes:
        """A segment, or a super-segment, that acknowledges all that came."""
        stamps = (now // MS & 0xFFFFFFFF, self.stamp)
        packet = tcp_packet(HOST, self.port, ADDRESS, 1194, self.sent, self.came, 0x10, payload, stamps, True)
        self.sent += len(payload)
        return with_offload(packet, MSS)

    def receive(self, packet: bytes) -> None:
        """One segment, or super-segment, of the gateway's; what comes twice is left out."""
        header = 20 + (packet[32] >> 4) * 4
        self.stamp = int.from_bytes(packet[44:48], "big")
        if int.from_bytes(packet[24:28], "big") != self.came & 0xFFFFFFFF:
            return
        self.came += len(packet) - header
        self._stream += packet[header:]
        at = 0
        while at + 2 <= len(self._stream):
            size = int.from_bytes(self._stream[at : at + 2], "big")
            if at + 2 + size > len(self._stream):
                break
            self.records += 1
            at += 2 + size
        self._stream = self._stream[at:]


class Bench:
    """A gateway, one client of it, and virtual time."""

    def __init__(self) -> None:
        self.now = 1000 * SECOND
        authority = Authority()
        self.gateway = gateway(authority)
        self.outside: list[bytes] = []  # packets for hosts outside
        alice = authority.issue("alice")
        self.client = self._login(ClientKit(authority.pem, alice.cert, alice.key))
        self._rest()

    def step(self, frames: list[bytes]) -> tuple[int, list[bytes]]:
        """Nanoseconds of a step and of those that the gateway asks for at once, as in the loop; the frames it sent."""
        gateway, now, sent = self.gateway, self.now, []
        began = time.perf_counter_ns()
        sent += gateway.step(frames, now, UNIX)
        for _ in range(REST):
            deadline = gateway.next_deadline()
            if deadline is None or deadline > now:
                return time.perf_counter_ns() - began, [b"".join(pieces) for pieces in sent]
            sent += gateway.step([], now, UNIX)
        raise AssertionError("the gateway does not come to rest")

    def exchange(self, frames: list[bytes], milliseconds: float = 1) -> int:
        """One step, and what it sends goes where it belongs; its nanoseconds."""
        self.now += int(milliseconds * MS)
        took, sent = self.step(frames)
        for frame in sent:
            packet = frame[26:]
            if frame[24:26] == b"\x08\0" and int.from_bytes(packet[16:20], "big") == HOST:
                self.client.receive(packet)
            elif frame[24:26] == b"\x08\0":
                self.outside.append(packet)
        return took

    def up(self, *packets: bytes) -> list[bytes]:
        """Inner packets of the client in one segment or super-segment."""
        return [self.client.frame(self.now, b"".join(map(self.client.seal, packets)))]

    def first_out(self, *packets: bytes) -> bytes:
        """The packet that leaves for the outside when this one comes from the client."""
        self.outside.clear()
        self.exchange(self.up(*packets))
        [packet] = self.outside
        return packet

    def settle(self, want: Callable[[], bool]) -> None:
        """The client acknowledges until all has come; AssertionError when it does not."""
        for _ in range(REST):
            if want():
                break
            self._rest(1)
        assert want(), "packets are missing"
        self._rest()

    def _rest(self, times: int = 4) -> None:
        for _ in range(times):
            self.exchange([self.client.frame(self.now)], 2)

    def _login(self, kit: ClientKit) -> BusyClient:
        """The TCP and the OpenVPN of the simulation's client, until all is acknowledged and some time has passed."""
        tunnel = open_tunnel(1, 40_000, 1000, kit, self.now)
        frames: list[bytes] = []
        for _ in range(400):
            self.now += MS
            for segment in tunnel.peer.out:
                frames.append(PLAIN + ETHERNET + build(segment, HOST, tunnel.port, ADDRESS, 1194))
            tunnel.peer.out = []
            _, sent = self.step(frames)
            frames = []
            for frame in sent:
                if frame[24:26] == b"\x08\0":
                    for segment in read((frame[42:46], frame[:12], [frame[26:]])):
                        tunnel.peer.receive(segment, self.now)
                elif frame[32:34] == b"\0\1" and frame[50:54] == ROUTER.to_bytes(4, "big"):
                    answer = b"\0\1\x08\0\6\4\0\2" + ROUTER_MAC + frame[50:54] + MAC + ADDRESS.to_bytes(4, "big")
                    frames.append(bytes(12) + MAC + ROUTER_MAC + b"\x08\6" + answer)
            deadline = tunnel.peer.next_deadline()
            if deadline is not None and deadline <= self.now:
                tunnel.peer.handle_deadline(self.now)
            tunnel.exchange(self.now)
        assert tunnel.address, (tunnel.vpn.messages, tunnel.vpn.alerts)
        assert not any(one.unacked for one in tunnel.vpn.negotiations.values())
        return BusyClient(tunnel)


# -- the rows ---------------------------------------------------------------------------------------------------------


def row_up(bench: Bench, steps: int) -> tuple[list[int], int]:
    """TCP data of the client, 1400 bytes a packet."""
    inner = bench.client.address
    sport = open_flow(bench)[0]
    payload, seq, made = os.urandom(INNER_MSS), 1, []
    for _ in range(steps):
        packets = [tcp_packet(inner, 5000, OUTSIDE, 80, seq + n * INNER_MSS, 1, 0x10, payload) for n in range(UP)]
        seq += UP * INNER_MSS
        made.append(bench.up(*packets))
    times = [bench.exchange(frames) for frames in made]
    bench.settle(lambda: sum(payload_size(packet, sport) for packet in bench.outside) == steps * UP * INNER_MSS)
    return times, UP


def row_down(bench: Bench, steps: int) -> tuple[list[int], int]:
    """TCP data from outside, which the client acknowledges inside and outside the tunnel."""
    client, payload, seq, times = bench.client, os.urandom(DOWN * INNER_MSS), 1, []
    sport, sent = open_flow(bench)
    client.records = 0
    for _ in range(steps):
        data = tcp_packet(OUTSIDE, 80, ADDRESS, sport, seq, sent, 0x10, payload, (7, 7), True)
        frames = [with_offload(data, INNER_MSS)]
        acks = [seq - (DOWN - 1 - 2 * n) * INNER_MSS for n in range(DOWN // 2)] if seq > 1 else []
        frames += bench.up(*(tcp_packet(client.address, 5000, OUTSIDE, 80, 1, ack, 0x10, b"", (7, 7)) for ack in acks))
        seq += len(payload)
        times.append(bench.exchange(frames))
    bench.settle(lambda: client.records >= steps * DOWN)
    return times, DOWN


def row_small_up(bench: Bench, steps: int) -> tuple[list[int], int]:
    """UDP packets of the client, 64 bytes of payload each."""
    inner = bench.client.address
    bench.first_out(udp_packet(inner, 6000, OUTSIDE, 53, bytes(64)))
    bench.outside.clear()
    packet = udp_packet(inner, 6000, OUTSIDE, 53, os.urandom(64))
    made = [bench.up(*[packet] * SMALL) for _ in range(steps)]
    times = [bench.exchange(frames) for frames in made]
    bench.settle(lambda: sum(packet[9] == 17 for packet in bench.outside) == steps * SMALL)
    return times, SMALL


def row_ping(bench: Bench, steps: int) -> tuple[list[int], int]:
    """An echo request up and its reply down, each alone in a step; both count for one packet."""
    request = echo_request(bench.client.address, OUTSIDE, bytes(56))
    number = bench.first_out(request)[24:26]
    body = b"\0\0\0\0" + number + b"\0\1" + bytes(56)
    body = body[:2] + struct.pack(">H", ones_complement(body)) + body[4:]
    reply = PLAIN + ETHERNET + ip_packet(1, OUTSIDE, ADDRESS, body)
    bench.outside.clear()
    bench.client.records, times = 0, []
    for _ in range(steps):
        took = bench.exchange(bench.up(request), 5)
        took += bench.exchange([reply], 0.2)
        times.append(took)
        bench.exchange([bench.client.frame(bench.now)], 0.2)
    bench.settle(lambda: len(bench.outside) == steps and bench.client.records >= steps)
    return times, 1


def open_flow(bench: Bench) -> tuple[int, int]:
    """A TCP connection of the client with a host outside; its port there, and the next byte it sends."""
    inner = bench.client.address
    syn = bench.first_out(tcp_packet(inner, 5000, OUTSIDE, 80, 0, 0, 2, b""))
    sport = int.from_bytes(syn[20:22], "big")
    bench.exchange([PLAIN + ETHERNET + tcp_packet(OUTSIDE, 80, ADDRESS, sport, 0, 1, 0x12, b"")])
    bench.exchange(bench.up(tcp_packet(inner, 5000, OUTSIDE, 80, 1, 1, 0x10, b"")))
    bench.settle(lambda: True)
    bench.outside.clear()
    return sport, 1


def payload_size(packet: bytes, sport: int) -> int:
    """Bytes of TCP payload when the packet is of that connection."""
    if packet[9] != 6 or int.from_bytes(packet[20:22], "big") != sport:
        return 0
    return len(packet) - 20 - (packet[32] >> 4) * 4


ROWS = {"up": row_up, "down": row_down, "up 64 B": row_small_up, "ping": row_ping}


def main() -> None:
    """Every row on a gateway of its own: its fastest step; a tenth of the steps, the first ones, warms up."""
    steps, result = int(sys.argv[1]), {}
    for name in sys.argv[2:] or ROWS:
        bench, row = Bench(), ROWS[name]
        gc.collect()
        gc.freeze()
        times, packets = row(bench, steps)
        result[name] = min(times[steps // 10 :]) / packets / 1000
    import hognose

    print(json.dumps({"source": hognose.__file__, "rows": result}))


if __name__ == "__main__":
    main()
