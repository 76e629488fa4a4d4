# hot
"""The transports of one UDP port by the address and port of their peers: the one that is there, and a newcomer."""

from __future__ import annotations

from hognose.vpn.datagram_transport import DatagramTransport


class TransportTable:
    """At most two transports at an address: a second session there takes over when it is authenticated.

    by_key: the one that is there, by the peer's address and port as on the wire; read-only outside this class.
    """

    def __init__(self) -> None:
        self.by_key: dict[bytes, DatagramTransport] = {}
        self._newcomers: dict[bytes, DatagramTransport] = {}  # at an address that has a transport

    def __len__(self) -> int:
        """Number of transports."""
        return len(self.by_key) + len(self._newcomers)

    def newcomer(self, key: bytes) -> DatagramTransport | None:
        """The second transport at an address."""
        return self._newcomers.get(key)

    def with_session(self, key: bytes, session_id: bytes) -> DatagramTransport | None:
        """The transport at an address whose peer has this session id."""
        transport = self.by_key.get(key)
        if transport is None or session_id == transport.remote_id:
            return transport
        newcomer = self._newcomers.get(key)
        return newcomer if newcomer is not None and session_id == newcomer.remote_id else None

    def add(self, transport: DatagramTransport) -> None:
        """Add one, as the newcomer where its address has a transport and no newcomer."""
        table = self._newcomers if transport.key in self.by_key else self.by_key
        table[transport.key] = transport

    def trust(self, transport: DatagramTransport) -> DatagramTransport | None:
        """Let an authenticated one have its address; returns the one that was there before it and has none now.

        It is to be sent back or removed.
        """
        older = self.by_key.get(transport.key)
        if older is None or older is transport:
            return None
        del self._newcomers[transport.key]
        self.by_key[transport.key] = transport
        return older

    def send_back(self, transport: DatagramTransport) -> bool:
        """Let one whose address went to another have the one that it came from; False when that is not free."""
        before = transport.came_from
        if not before or before in self.by_key:
            return False
        transport.move(before)
        transport.came_from = b""
        self.by_key[before] = transport
        return True

    def occupied(self, transport: DatagramTransport, key: bytes) -> bool:
        """True when a client cannot move to an address: another client is there, or it has lost its own address."""
        there = self.by_key.get(key)
        return self.by_key.get(transport.key) is not transport or (there is not None and there.trusted)

    def move(self, transport: DatagramTransport, key: bytes) -> DatagramTransport | None:
        """Move one to an address that is not occupied, and have a handshake there go on beside it, the newest.

        Returns an older handshake there, which is to be removed.
        """
        self._leave(transport)
        older = None
        there = self.by_key.get(key)
        if there is not None:
            older = there if key in self._newcomers else None
            self._newcomers.setdefault(key, there)
        transport.move(key)
        self.by_key[key] = transport
        return older

    def remove(self, transport: DatagramTransport) -> None:
        """Remove one; a newcomer at its address has it from now on. Idempotent."""
        if self._newcomers.get(transport.key) is transport:
            del self._newcomers[transport.key]
        if self.by_key.get(transport.key) is transport:
            self._leave(transport)

    def _leave(self, transport: DatagramTransport) -> None:
        del self.by_key[transport.key]
        newcomer = self._newcomers.pop(transport.key, None)
        if newcomer is not None:
            self.by_key[transport.key] = newcomer
