"""The transport of one peer, as the service sees it: whole records in, whole records out.

A stream (streams.py) has an end, a queue toward the peer, and a receive buffer that its window bounds; a transport of
datagrams has a queue alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hognose.address import Endpoint
from hognose.drops import DropReason
from hognose.openvpn.proof import AddressProof
from hognose.units import Nanos, UnixSeconds
from hognose.vocabulary import Proto


class Transport(Protocol):
    """One peer's way to send and receive records.

    proto: of its port. proof: of the address of a peer whose session begins after the hard resets; None on a stream.
    roaming: (source, record) that came from other addresses and may show that the peer has moved; () on a stream.
    full_reason: of packets that `room` leaves out. passtos: `send_marked` is to be used for data.
    record_limit: bytes of the largest record that the path takes in one piece, until narrow_until, from which on it is
    to be forgotten (`widen`); 0 where nothing is known, and on a stream, whose segments are not its records.
    id: a number that no other transport of the server has or had. key: the peer's address and port as on the wire, for
    tables that are fair to sources. opened_at: when the peer was known to be there. broken: no record can follow those
    that `take` has returned; the next `take` raises.
    """

    proto: Proto
    full_reason: DropReason
    passtos: bool
    record_limit: int
    narrow_until: Nanos

    @property
    def id(self) -> int: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def key(self) -> bytes: ...
    @property
    def opened_at(self) -> Nanos: ...
    @property
    def proof(self) -> AddressProof | None: ...
    @property
    def roaming(self) -> Sequence[tuple[bytes, bytes]]: ...
    @property
    def broken(self) -> bool: ...

    def widen(self) -> None:
        """Forget `record_limit`."""
        ...

    @property
    def unfinished(self) -> bytes:
        """Bytes that were received and belong to no record that `take` has returned; b"" where records come whole."""
        ...

    def take(self, most: int) -> list[bytes]:
        """Up to `most` records in order; PeerError when what came can be no record."""
        ...

    def discard(self) -> None:
        """Throw away what was received and not taken."""
        ...

    def set_aside(self) -> None:
        """Store what was received in little memory: it is not taken for a while."""
        ...

    @property
    def has_input(self) -> bool:
        """True while `take` may return records or raise."""
        ...

    @property
    def ended(self) -> bool:
        """True when nothing comes any more and all was taken."""
        ...

    @property
    def finished(self) -> bool:
        """True when nothing comes any more, even while records wait for `take`."""
        ...

    def room(self, queue: int) -> int:
        """Bytes of records and framing that `send` takes now, while at most `queue` bytes wait for the peer."""
        ...

    def fits(self, records: list[bytes]) -> bool:
        """True when `send` takes all of these."""
        ...

    def send(self, records: list[bytes]) -> None:
        """Queue records; LocalError when they do not fit."""
        ...

    def send_marked(self, records: list[bytes], packets: list[bytes]) -> None:
        """As `send`, where outer packets have the traffic class of the inner packets in these records."""
        ...

    def trust(self, peer_id: int) -> None:
        """Give an authenticated peer the buffers of a client; peer_id: of its data packets."""
        ...

    def take_roaming(self) -> Sequence[tuple[bytes, bytes]]:
        """Drained `roaming`."""
        ...

    def roam(self, key: bytes) -> bool:
        """Send to another address from now on; False when that is impossible."""
        ...

    def close(self, now: Nanos) -> None:
        """End it after what is queued. Idempotent."""
        ...

    def abort(self, now: Nanos) -> None:
        """End it at once."""
        ...

    @property
    def close_reason(self) -> str:
        """The reason of its end in lower case, "" before that."""
        ...


class Pending(Protocol):
    """A connection as its engine names it: accepted and no peer yet, or with something to read, or closed."""

    @property
    def id(self) -> int: ...
    def abort(self, now: Nanos) -> None:
        """End it at once."""
        ...


class Listener(Protocol):
    """One port that peers come to: the engine that has their connections, and the maker of transports of them."""

    proto: Proto

    def accepted(self, now: Nanos, unix: UnixSeconds) -> Sequence[Pending]:
        """Drained: new ones that have sent something."""
        ...

    def readable(self) -> Sequence[Pending]:
        """Drained: those with new input, or with an end that was not noticed yet."""
        ...

    def closed(self) -> Sequence[Pending]:
        """Drained: those that are over."""
        ...

    def stop(self) -> None:
        """Answer no one who is not there yet: what is accepted from now on is aborted."""
        ...

    def open(self, pending: Pending, unfinished: bytes = b"") -> Transport:
        """The transport of an accepted connection, or of a restored one, which goes on after its `unfinished` bytes.

        LocalError for a connection that is not this port's.
        """
        ...
