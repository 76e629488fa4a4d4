"""All peers by what names them: transport, endpoint and session id, peer id, inner address."""

from __future__ import annotations

from hognose.address import Address, Endpoint
from hognose.errors import LocalError
from hognose.units import Random
from hognose.vpn.peer import NO_PEER_ID, Peer
from hognose.wire import ipv4, tcp

TCP_HEADERS_LEN = ipv4.HEADER_LEN + tcp.FIXED_LEN


class PeerTable:
    """Bounds: the tables of HandshakeScheduler, and max-clients for peers with a peer id or an inner address.

    by_transport: every peer, by the id of its transport. clients: those with an inner address, by that; read-only
    outside this class. mss: of inner TCP of clients with data keys, by inner address. Peer ids (24 bits, openvpn.h
    MAX_PEER_ID) are drawn: a stranger cannot guess one and send data packets under it, and a late packet of a client
    that has left hardly ever finds another under it.
    """

    def __init__(self, random: Random) -> None:
        self.by_transport: dict[int, Peer] = {}
        self.clients: dict[Address, Peer] = {}
        self.mss: dict[Address, int] = {}
        self._random = random
        self._by_session: dict[tuple[Endpoint, bytes], Peer] = {}
        self._by_peer_id: dict[int, Peer] = {}

    def __len__(self) -> int:
        """Number of peers."""
        return len(self.by_transport)

    def add(self, peer: Peer) -> None:
        """Add a peer that is not there yet."""
        self.by_transport[peer.transport.id] = peer

    def remove(self, peer: Peer) -> None:
        """Remove a peer from all tables. Idempotent."""
        self.leave(peer)
        if self.by_transport.get(peer.transport.id) is peer:
            del self.by_transport[peer.transport.id]

    # -- sessions ----------------------------------------------------------------------------------------------------

    def greet(self, peer: Peer, session_id: bytes) -> None:
        """File a peer under its endpoint and the session id of its hard reset; a newer one takes an older one's place.

        session_id: the client's, 8 bytes.
        """
        peer.session_id = session_id
        self._by_session[peer.transport.endpoint, session_id] = peer

    def with_session(self, endpoint: Endpoint, session_id: bytes) -> Peer | None:
        """The peer at an endpoint whose hard reset had this session id."""
        return self._by_session.get((endpoint, session_id))

    def moved(self, peer: Peer, before: Endpoint) -> None:
        """File a peer under its new endpoint."""
        if self._by_session.get((before, peer.session_id)) is peer:
            del self._by_session[before, peer.session_id]
        self._by_session[peer.transport.endpoint, peer.session_id] = peer

    # -- clients -----------------------------------------------------------------------------------------------------

    def admit(self, peer: Peer, address: Address) -> None:
        """Give a peer an inner address and a peer id; LocalError when it has one or another has it."""
        if peer.address or address in self.clients:
            raise LocalError("an inner address is given twice")
        peer.address = address
        self.clients[address] = peer
        number = int.from_bytes(self._random(3), "big")
        while number in self._by_peer_id or number == NO_PEER_ID:
            number = (number + 1) % (NO_PEER_ID + 1)
        self._by_peer_id[number] = peer
        peer.peer_id = number

    def adopt(self, peer: Peer) -> None:
        """Add a client that has its session id, inner address and peer id; LocalError when another has one of them."""
        if peer.address in self.clients or peer.peer_id in self._by_peer_id or peer.transport.id in self.by_transport:
            raise LocalError("a name of a peer is given twice")
        self.add(peer)
        self.greet(peer, peer.session_id)
        self.clients[peer.address] = self._by_peer_id[peer.peer_id] = peer

    def refit(self, peer: Peer) -> None:
        """File the MSS of inner TCP of a client with data keys: mssfix, and what fits the path to it."""
        if peer.session is None or not peer.established_at or self.clients.get(peer.address) is not peer:
            return
        mss, most = peer.session.control.inner_mss, peer.packet_limit
        self.mss[peer.address] = min(mss, most - TCP_HEADERS_LEN) if most else mss

    def with_peer_id(self, peer_id: int) -> Peer | None:
        """The client that has a peer id."""
        return self._by_peer_id.get(peer_id)

    def vacate(self, peer: Peer) -> None:
        """Let others have a peer's inner address; peer.address stays, for the log. Idempotent."""
        if self.clients.get(peer.address) is peer:
            del self.clients[peer.address]
            self.mss.pop(peer.address, None)

    def leave(self, peer: Peer) -> None:
        """Forget that a peer is a client, and its session. Idempotent."""
        self.vacate(peer)
        peer.address = b""
        if self._by_peer_id.get(peer.peer_id) is peer:
            del self._by_peer_id[peer.peer_id]
        key = peer.transport.endpoint, peer.session_id
        if self._by_session.get(key) is peer:
            del self._by_session[key]
