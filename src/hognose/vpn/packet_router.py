"""The router, as the service sees it: decrypted packets of a client in, their ways out of the tunnel out."""

from __future__ import annotations

from typing import Protocol

from hognose.address import Address
from hognose.link import Outgoing
from hognose.units import Nanos


class Routed(Protocol):
    """The router's answer for a client's packets: inner packets by address, and packets for the link."""

    @property
    def to_clients(self) -> dict[Address, list[bytes]]: ...
    @property
    def to_link(self) -> list[Outgoing]: ...


class Router(Protocol):
    """The way of inner packets out of the tunnel."""

    def from_client(self, client: Address, packets: list[bytes], now: Nanos) -> Routed:
        """Route decrypted packets of one client, which is named by its inner address."""
        ...

    def fit(self, client: Address, packets: list[bytes], most: int, now: Nanos) -> Routed:
        """Make packets to a client fit a path that takes `most` bytes: cut, or refused with an ICMP error by DF."""
        ...

    def frames(self, packets: list[Outgoing]) -> int:
        """Number of frames that packets for the link become: the work that they cause."""
        ...
