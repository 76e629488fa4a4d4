"""The proof that a client receives at its address, of which its session is made."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.openvpn.control.session_wrap import SessionWrap


@dataclass(frozen=True, slots=True)
class AddressProof:
    """A finished exchange of hard resets of which nothing was kept (OpenVPN ssl.c session_skip_to_pre_start).

    session_id: ours, the cookie that the client has returned; remote_id: the client's; both 8 bytes. wrap: of the
    session to come, which is to own it.
    """

    session_id: bytes
    remote_id: bytes
    wrap: SessionWrap
