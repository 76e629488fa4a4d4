"""Packet ids and lengths of control packets under tls-auth and tls-crypt."""

from __future__ import annotations

import pytest
from tests.unit.openvpn.link import KEY
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.control.wrap import TlsAuthWrap, TlsCryptWrap


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_control_packet_ids_begin_anew_under_a_later_time(kind: str) -> None:
    """After 0xFFFFFFFF: no pair of id and time comes twice (OpenVPN packet_id.c packet_id_send_update)."""
    wrap = TlsAuthWrap(KEY, 0, "SHA1") if kind == "tls-auth" else TlsCryptWrap(KEY)
    at = 9 + 20 if kind == "tls-auth" else 9
    pairs = []
    for skip in (0, 0xFFFFFFFE, 0xFFFFFFFF, 1):
        if skip > 1:
            wrap._ids._next = skip - 1
        record = wrap.seal(0x20, bytes(range(8)), b"\0", UNIX)
        pairs.append((int.from_bytes(record[at : at + 4]), int.from_bytes(record[at + 4 : at + 8])))
    assert pairs == [(1, UNIX), (0xFFFFFFFE, UNIX), (0xFFFFFFFF, UNIX), (1, UNIX + 1)]


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_a_control_packet_has_a_byte_at_least(kind: str) -> None:
    wrap = TlsAuthWrap(KEY, None, "SHA1") if kind == "tls-auth" else TlsCryptWrap(KEY)
    peer = TlsAuthWrap(KEY, None, "SHA1") if kind == "tls-auth" else TlsCryptWrap(KEY[128:] + KEY[:128])
    assert wrap.open(peer.seal(0x20, bytes(range(8)), b"", UNIX)) is DropReason.BAD_CONTROL_PACKET
    assert wrap.open(peer.seal(0x20, bytes(range(8)), b"\0", UNIX)) == (bytes(range(8)), b"\0")
