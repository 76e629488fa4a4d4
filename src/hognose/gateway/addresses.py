"""The pool of tunnel addresses: who has which, and the same client gets the same one again when it is free.

Bounds: the pool's own size, and as many remembered names as the pool has addresses (the oldest is forgotten).
"""

from __future__ import annotations

from hognose.units import Ipv4Int


class AddressPool:
    """Addresses first … last (inclusive) of a tunnel network, handed out lowest first."""

    def __init__(self, first: Ipv4Int, last: Ipv4Int) -> None:
        self.first = first
        self.last = last
        self._taken: dict[Ipv4Int, str] = {}
        self._remembered: dict[str, Ipv4Int] = {}
        self._next = first

    def __len__(self) -> int:
        """Addresses in use."""
        return len(self._taken)

    def take(self, name: str) -> tuple[Ipv4Int, bool] | None:
        """An address for the client `name`; None when the pool is exhausted.

        The bool says that the last holder of the address had the same name, so what belonged to the address
        (NAT flows) may stay.
        """
        before = self._remembered.get(name)
        if before is not None and before not in self._taken:
            self._taken[before] = name
            return before, True
        address = self._free_address()
        if address is None:
            return None
        self._taken[address] = name
        self._remember(name, address)
        return address, False

    def release(self, address: Ipv4Int) -> None:
        """Give an address back; unknown ones are ignored."""
        self._taken.pop(address, None)

    def _free_address(self) -> Ipv4Int | None:
        reserved = set(self._remembered.values())
        fallback: Ipv4Int | None = None
        size = self.last - self.first + 1
        # Start where the last search ended: handing out is O(1) as long as addresses remain that nobody had.
        for offset in range(size):
            address = self.first + (self._next - self.first + offset) % size
            if address in self._taken:
                continue
            if address not in reserved:
                self._next = address + 1 if address < self.last else self.first
                return address
            if fallback is None:
                fallback = address
        return fallback

    def _remember(self, name: str, address: Ipv4Int) -> None:
        for other, held in list(self._remembered.items()):
            if held == address:
                del self._remembered[other]
        self._remembered[name] = address
        if len(self._remembered) > self.last - self.first + 1:
            del self._remembered[next(iter(self._remembered))]
