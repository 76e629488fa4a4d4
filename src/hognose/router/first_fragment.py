# hot
"""Judgement of first fragments from outside: of a flow, of a known peer of a server of ours, of a stranger, unwanted.

Most fragments of a flood go to ports where nothing waits for them; they are told here, before anything is kept.
"""

from __future__ import annotations

from hognose.address import Address
from hognose.drops import DropReason
from hognose.nat.nat import Nat
from hognose.router.local_endpoints import LocalEndpoints
from hognose.units import ICMP, TCP, UDP, Buffer
from hognose.wire import icmpv4


class FirstFragmentJudge:
    """The judge of the link's Reassembler."""

    __slots__ = ("_nat", "_tcp", "_udp")

    def __init__(self, endpoints: LocalEndpoints, nat: Nat) -> None:
        self._tcp = endpoints.tcp
        self._udp = endpoints.udp
        self._nat = nat

    def judge(self, data: Buffer, l3: int, l4: int) -> Address | DropReason | None:
        """Judge a fragment with a whole L4 header: the owner of its datagram, None for a stranger, or the NAT's reason.

        The owner is the client that has the flow, or the peer's address where a server of ours knows address and port.
        Strangers' are what other servers' ports and ICMP for ourselves get.
        """
        protocol = data[l3 + 9]
        if protocol == UDP:
            endpoint = self._udp.get(data[l4 + 2] << 8 | data[l4 + 3])
            if endpoint is not None:
                source = bytes(data[l3 + 12 : l3 + 16])
                return source if endpoint.knows(source + bytes(data[l4 : l4 + 2])) else None
        elif protocol == TCP:
            server = self._tcp.get(data[l4 + 2] << 8 | data[l4 + 3])
            if server is not None:
                source = bytes(data[l3 + 12 : l3 + 16])
                return source if server.find(source + bytes(data[l4 : l4 + 2])) is not None else None
        elif protocol == ICMP and data[l4] != icmpv4.ECHO_REPLY:
            return None
        return self._nat.awaits(data, l3, l4)
