"""Replay protection of wraps: over a restore, and over the largest digit of the peer's time."""

from __future__ import annotations

import pytest
from tests.unit.openvpn.link import KEY
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.control.wrap import TlsAuthWrap, TlsCryptWrap

SESSION_ID = bytes(range(8))


def pair(kind: str) -> tuple[TlsAuthWrap | TlsCryptWrap, TlsAuthWrap | TlsCryptWrap]:
    """The server's wrap and its peer's, both fresh."""
    if kind == "tls-auth":
        return TlsAuthWrap(KEY, None, "SHA1"), TlsAuthWrap(KEY, None, "SHA1")
    return TlsCryptWrap(KEY), TlsCryptWrap(KEY[128:] + KEY[:128])


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_a_restored_wrap_goes_on(kind: str) -> None:
    """It refuses a record that was opened before, and no packet id of its own comes twice."""
    wrap, peer = pair(kind)
    record = peer.seal(0x20, SESSION_ID, b"one", UNIX)
    assert wrap.open(record) == (SESSION_ID, b"one")
    sealed = wrap.seal(0x20, SESSION_ID, b"two", UNIX)
    restored, _ = pair(kind)
    restored.restore(wrap.export())
    assert restored.open(record) is DropReason.CONTROL_REPLAY
    assert restored.seal(0x20, SESSION_ID, b"two", UNIX) != sealed
    assert restored.open(peer.seal(0x20, SESSION_ID, b"three", UNIX)) == (SESSION_ID, b"three")


@pytest.mark.parametrize("kind", ["tls-auth", "tls-crypt"])
def test_a_peer_that_starts_anew_is_later_by_all_four_bytes_of_its_time(kind: str) -> None:
    wrap, peer = pair(kind)
    _, anew = pair(kind)
    later = UNIX | 0xFFFFFF  # all of the lower three bytes go back to 0 in the second after it
    assert wrap.open(peer.seal(0x20, SESSION_ID, b"one", later)) == (SESSION_ID, b"one")
    assert wrap.open(anew.seal(0x20, SESSION_ID, b"two", later + 1)) == (SESSION_ID, b"two")
    assert wrap.open(peer.seal(0x20, SESSION_ID, b"three", later)) is DropReason.CONTROL_REPLAY
