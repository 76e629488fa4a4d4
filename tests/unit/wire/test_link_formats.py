"""Ethernet and ARP against scapy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Ether

from hognose.address import address_text
from hognose.wire import arp, ethernet

MACS = st.binary(min_size=6, max_size=6)
ADDRESSES = st.binary(min_size=4, max_size=4)


def colons(mac: bytes) -> str:
    return ":".join(f"{b:02x}" for b in mac)


@given(MACS, MACS)
def test_ethernet_header(destination: bytes, source: bytes) -> None:
    built = ethernet.build(destination, source, ethernet.TYPE_ARP)
    assert built == bytes(Ether(dst=colons(destination), src=colons(source), type=0x0806))


@given(st.sampled_from((arp.REQUEST, arp.REPLY)), MACS, ADDRESSES, MACS, ADDRESSES)
def test_arp_both_ways(op: int, sha: bytes, spa: bytes, tha: bytes, tpa: bytes) -> None:
    theirs = bytes(ARP(op=op, hwsrc=colons(sha), psrc=address_text(spa), hwdst=colons(tha), pdst=address_text(tpa)))
    assert arp.build(op, sha, spa, tha, tpa) == theirs
    assert arp.parse(b"xx" + theirs + b"padding", 2) == arp.Arp(op, sha, spa, tha, tpa)


@given(st.binary(max_size=40))
def test_arp_garbage(data: bytes) -> None:
    parsed = arp.parse(data)
    assert parsed is None or len(data) >= 28
