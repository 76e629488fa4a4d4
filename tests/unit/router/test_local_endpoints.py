"""Servers by port: the one that sent a quoted packet, and the ports that are theirs."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP

from hognose.router.local_endpoints import LocalEndpoints

ONE, OTHER = object(), object()
ENDPOINTS = LocalEndpoints(tcp={80: ONE, 0x1234: OTHER})  # type: ignore[dict-item]
SENT = bytes(IP(src="10.8.0.1", dst="10.8.0.2") / TCP(sport=80, dport=0x1234))


def test_ports() -> None:
    assert ENDPOINTS.ports == {(6, 80), (6, 0x1234)}
    assert LocalEndpoints().ports == frozenset()


@pytest.mark.parametrize(
    ("quoted", "found"),
    [
        (SENT, ONE),
        (SENT[:28], ONE),
        (SENT[:27], None),
        (b"", None),
        (bytes(IP() / TCP(sport=0x1234)), OTHER),
        (bytes(IP() / TCP(sport=81, dport=80)), None),
        (bytes(IP() / UDP(sport=80)), None),
        (b"\x65" + SENT[1:], None),
        (bytes(IP(options=[b"\1\1\1\0"]) / TCP(sport=80)), ONE),
        (b"\x4f" + SENT[1:29], None),  # options up to beyond the end
    ],
)
def test_the_sender_of_a_quoted_packet(quoted: bytes, found: object) -> None:
    assert ENDPOINTS.tcp_sender(quoted) is found
