"""The pool of tunnel addresses and their holders. A common name gets the same address again, also after a reboot.

A name's place in the pool follows from its hash, so that nothing has to be kept on a disk; where two names fall on one
address the later one takes the next free, and keeps it while the server runs. Addresses that the config gives to a
name (ifconfig-push, ifconfig-pool-persist) go to that name only.
Bounds: the pool's own size, and as many remembered names as the pool has addresses (the oldest is forgotten).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hognose.address import Address
from hognose.openvpn.tls.certificates import NO_NAME


@dataclass(frozen=True, slots=True)
class PoolState:
    """AddressPool as plain data: addresses in use with their names, and names with their addresses, oldest first."""

    taken: tuple[tuple[Address, str], ...]
    remembered: tuple[tuple[str, Address], ...]


class AddressPool:
    """Addresses first … last (inclusive) of a tunnel network."""

    def __init__(self, first: Address, last: Address) -> None:
        self.first = first
        self.last = last
        self._size = int.from_bytes(last, "big") - int.from_bytes(first, "big") + 1
        self._taken: dict[Address, str] = {}
        self._remembered: dict[str, Address] = {}
        self._holder: dict[Address, str] = {}  # the mirror of _remembered
        self._reservations: Mapping[str, Address] = {}
        self._kept: frozenset[Address] = frozenset()

    def __len__(self) -> int:
        """Addresses in use."""
        return len(self._taken)

    def reserve(self, reservations: Mapping[str, Address], fixed: Iterable[Address]) -> None:
        """Addresses by name, and further ones that only `take` with that very address gives out."""
        self._reservations = reservations
        self._kept = frozenset((*reservations.values(), *fixed))

    def take(self, name: str, fixed: Address = b"") -> tuple[Address, bool] | None:
        """An address for the client `name`, the fixed one if it is not b""; None when there is none.

        Two clients without a name (NO_NAME) are never taken for one. The bool says that the last holder of the
        address had the same name, so what belonged to the address (NAT flows) may stay.
        """
        address = fixed or self._choose(name)
        if address is None or address in self._taken:
            return None
        same_holder = name != NO_NAME and self._holder.get(address) == name
        self._remember(name, address)
        self._taken[address] = name
        return address, same_holder

    def release(self, address: Address) -> None:
        """Give an address back; unknown ones are ignored."""
        self._taken.pop(address, None)

    def export(self) -> PoolState:
        """The holders as plain data, for `restore`; reservations belong to the config."""
        return PoolState(tuple(self._taken.items()), tuple(self._remembered.items()))

    def restore(self, state: PoolState) -> None:
        """Take the holders of another pool of the same network; this one is new."""
        self._taken = dict(state.taken)
        self._remembered = dict(state.remembered)
        self._holder = {address: name for name, address in state.remembered}

    def _choose(self, name: str) -> Address | None:
        for address in (self._reservations.get(name), self._remembered.get(name)):
            if address is not None and address not in self._taken and (
                address not in self._kept or self._reservations.get(name) == address
            ):  # fmt: skip
                return address
        first, size = int.from_bytes(self.first, "big"), self._size
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % size
        fallback: Address | None = None
        for offset in range(size):
            address = (first + (start + offset) % size).to_bytes(len(self.first), "big")
            if address in self._taken or address in self._kept:
                continue
            if address not in self._holder:
                return address
            if fallback is None:
                fallback = address
        return fallback

    def _remember(self, name: str, address: Address) -> None:
        other = self._holder.pop(address, None)
        if other is not None:
            self._remembered.pop(other, None)
        if name == NO_NAME:
            return
        before = self._remembered.pop(name, None)
        if before is not None:
            self._holder.pop(before, None)
        self._remembered[name] = address
        self._holder[address] = name
        if len(self._remembered) > self._size:
            oldest = next(iter(self._remembered))
            self._holder.pop(self._remembered.pop(oldest), None)
