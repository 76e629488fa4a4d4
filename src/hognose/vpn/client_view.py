"""One connected client as others see it: what lists of clients, metrics and a management interface are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hognose.address import Address, Endpoint
from hognose.openvpn.session import Session
from hognose.units import UnixSeconds
from hognose.vocabulary import Proto
from hognose.vpn.peer import Peer


@dataclass(frozen=True, slots=True)
class ClientView:
    """The state of one client at one moment; it stays as it is when the client goes on.

    common_name: NO_NAME (certificates.py) without a certificate. version: of its program, as it says. number: of its
    connection, never used again. bytes_in, bytes_out: inner bytes. proto: of its transport.
    """

    common_name: str
    endpoint: Endpoint
    address: Address
    bytes_in: int
    bytes_out: int
    authenticated_unix: UnixSeconds
    number: int
    peer_id: int
    cipher: str
    version: str
    proto: Proto


def client_views(peers: Iterable[Peer]) -> list[ClientView]:
    """Views of those peers that are established clients."""
    return [_view(peer, peer.session) for peer in peers if peer.established_at and peer.session is not None]


def _view(peer: Peer, session: Session) -> ClientView:
    return ClientView(
        common_name=peer.common_name,
        endpoint=peer.transport.endpoint,
        address=peer.address,
        bytes_in=session.bytes_in,
        bytes_out=session.bytes_out,
        authenticated_unix=peer.authenticated_unix,
        number=peer.transport.id,
        peer_id=peer.peer_id,
        cipher=session.cipher,
        version=peer.version,
        proto=peer.transport.proto,
    )
