"""The ports of the VPN: a TCP server or a datagram port for each listener of the config."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hognose.address import Address
from hognose.base.fair_table import FairTable
from hognose.base.journal import Journal
from hognose.base.numbering import Numbering
from hognose.drops import Counters
from hognose.limits import Limits
from hognose.link import LinkCaps
from hognose.openvpn.profile import ServerProfile
from hognose.settings import ListenerSettings
from hognose.tcp.export import TcpServerState
from hognose.tcp.server import TcpServer
from hognose.units import SECOND, Nanos, Port, Random
from hognose.vpn.datagrams import DatagramPort
from hognose.vpn.initial_limits import InitialLimits
from hognose.vpn.initial_rate import InitialRate
from hognose.vpn.look_time import LookTime
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stateless_handshake import StatelessHandshake
from hognose.vpn.streams import StreamListener
from hognose.vpn.transport import Listener, Pending


@dataclass(frozen=True, slots=True)
class VpnPorts:
    """The engines by port, and all of them as the service for peers sees them."""

    tcp: dict[Port, TcpServer]
    udp: dict[Port, DatagramPort]
    streams: tuple[StreamListener, ...]  # in the order of tcp

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """All, those of TCP first."""
        return (*self.streams, *self.udp.values())

    def restore(self, states: Sequence[TcpServerState]) -> None:
        """Have the TCP servers go on after others, in order."""
        for server, state in zip(self.tcp.values(), states, strict=True):
            server.restore(state)

    def restored(self) -> Iterable[tuple[Listener, Pending]]:
        """Connections that the TCP servers have, each with its listener."""
        for listener, server in zip(self.streams, self.tcp.values(), strict=True):
            for connection in server.connections:
                yield listener, connection


def open_ports(
    listeners: Sequence[ListenerSettings],
    *,
    profile: ServerProfile,
    connect_freq_initial: tuple[int, int],
    table: PeerTable,
    address: Address,
    caps: LinkCaps,
    limits: Limits,
    broadcasts: frozenset[Address],
    journal: Journal,
    random: Random,
    now: Nanos,
    look_time: LookTime,
    counters: Counters,
    secrets: Sequence[bytes],
) -> VpnPorts:
    """The engines of these listeners; the TCP servers have equal parts of the bound of silent connections.

    secrets: of the TCP servers in order, where they go on after others; fresh ones when there are none. ValueError when
    their number is another one.
    """
    numbering = Numbering()
    shares = limits.handshake
    streams = [one.port for one in listeners if one.proto == "tcp"]
    if secrets and len(secrets) != len(streams):
        raise ValueError("the state is of other listeners")
    most = shares.silent // max(1, len(streams))  # a client may use one port of its own for two of ours
    tcp = {
        port: TcpServer(
            address=address,
            port=port,
            mtu=caps.mtu,
            limits=limits.tcp,
            secret=secrets[number] if secrets else random(32),
            now=now,
            random=random,
            counters=counters,
            silent=FairTable(most, shares.per_address, shares.per_prefix),
            broadcasts=broadcasts,
            numbering=numbering,
        )
        for number, port in enumerate(streams)
    }
    answers, seconds = connect_freq_initial if connect_freq_initial[0] else (limits.datagrams.initial_per_second, 1)
    udp = {
        one.port: DatagramPort(
            address=address,
            port=one.port,
            mtu=caps.mtu,
            uso=caps.tx_uso4,
            table=table,
            handshake=StatelessHandshake(profile.over("udp"), random(32)),
            strangers=InitialLimits(
                resets=InitialRate(answers, seconds * SECOND, random(8), now),
                proofs=InitialRate(limits.datagrams.initial_per_second, SECOND, random(8), now),
                time=look_time,
            ),
            now=now,
            limits=limits.datagrams,
            numbering=numbering,
            journal=journal,
            random=random,
            counters=counters,
            broadcasts=broadcasts,
            passtos=profile.data.passtos,
        )
        for one in listeners
        if one.proto == "udp"
    }
    return VpnPorts(
        tcp,
        udp,
        tuple(StreamListener(one, limits.openvpn.record_len, limits.step.client_bytes) for one in tcp.values()),
    )
