"""A gateway with clients over UDP beside those over TCP, and super-frames of datagrams as Linux gives them."""

from __future__ import annotations

import struct

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from tests.unit.gateway.gateway_world import ADDRESS, MAC, ROUTER_MAC, GatewayWorld, Remote

from hognose.address import address_text
from hognose.link import LinkCaps

UDP_PORT = 1195
JOINED = struct.Struct("<BBHHHHH")


def joined(packet: Packet, gso: int) -> bytes:
    """A super-frame as Linux gives it: the checksum field holds the pseudo-header sum of the whole."""
    raw = bytearray(bytes(packet))
    pseudo = raw[12:20] + b"\0\x11" + raw[24:26]
    total = sum(int.from_bytes(pseudo[at : at + 2], "big") for at in range(0, 12, 2))
    raw[26:28] = (total % 0xFFFF).to_bytes(2, "big")
    head = JOINED.pack(1, 5, 42, gso, 34, 6, 0)
    return head + bytes(Ether(src=ROUTER_MAC, dst=MAC.hex(":"), type=0x0800)) + bytes(raw)


class UdpRemote(Remote):
    """An OpenVPN client over UDP; records that it sends at once come in super-frames where they can."""

    def connect(self) -> None:
        self.connected = True

    def poll(self) -> list[bytes]:
        records = self.vpn.poll(self.world.now) if self.vpn is not None else []
        frames = []
        while records:
            size = len(records[0])
            count = 1
            while count < min(len(records), 40) and len(records[count]) == size:
                count += 1
            if count < len(records) and len(records[count]) < size:
                count += 1
            run, records = records[:count], records[count:]
            head = IP(src=address_text(self.source.to_bytes(4, "big")), dst=ADDRESS)
            packet = head / UDP(sport=self.port, dport=UDP_PORT) / Raw(b"".join(run))
            frames.append(joined(packet, size))
        return frames

    def datagrams(self, payload: bytes, gso: int) -> None:
        """Take what the gateway has sent."""
        assert self.vpn is not None
        for at in range(0, len(payload), gso or len(payload)):
            self.vpn.receive(payload[at : at + (gso or len(payload))], self.world.now)


class UdpWorld(GatewayWorld):
    """Port 1194 of TCP, port 1195 of UDP, clients may speak to each other."""

    def __init__(self, *lines: str, uso: bool = False) -> None:
        ports = "local * 1194 tcp", f"local * {UDP_PORT} udp"
        super().__init__(*ports, "client-to-client", *lines, caps=LinkCaps(mac=MAC, tx_uso4=uso))

    def sent(self, frame: bytes) -> list[bytes]:
        packet = frame[26:]
        if frame[24:26] == b"\x08\0" and packet[9] == 17 and packet[20:22] == UDP_PORT.to_bytes(2, "big"):
            to = self.remotes[address_text(packet[16:20]), int.from_bytes(packet[22:24], "big")]
            assert isinstance(to, UdpRemote)
            to.datagrams(packet[28:], int.from_bytes(frame[4:6], "little") if frame[1] == 5 else 0)
            return []
        return super().sent(frame)

    def udp_client(self, name: str, address: str) -> UdpRemote:
        self.remote_type = UdpRemote
        made = self.client(name, address)
        self.remote_type = Remote
        assert isinstance(made, UdpRemote)
        return made

    def any_client(self, transport: str, name: str = "alice", address: str = "192.0.2.11") -> Remote:
        return self.udp_client(name, address) if transport == "udp" else self.client(name, address)
