"""Assembly of a gateway from a config, a link and an address: the one place where the engines are put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from hognose.address import Address, Prefix, address_text
from hognose.base.containment import Failures
from hognose.base.journal import Journal
from hognose.config.model import ServerConfig
from hognose.destinations import Destinations, Reach
from hognose.drops import Counters
from hognose.errors import ConfigError
from hognose.gateway.gateway import Gateway, GatewayState
from hognose.gateway.live import LiveConfig
from hognose.gateway.vpn_ports import open_ports
from hognose.ip.fragments import Reassembler
from hognose.ip.icmp_errors import IcmpRates
from hognose.ip.neighbor import NeighborTable
from hognose.limits import Limits
from hognose.link import LinkCaps
from hognose.nat.nat import Nat
from hognose.openvpn.session import Session
from hognose.router.classify import Classifier
from hognose.router.egress import Egress
from hognose.router.first_fragment import FirstFragmentJudge
from hognose.router.forwarding import Forwarder
from hognose.router.icmp import LinkIcmp, TunnelIcmp
from hognose.router.ingress import Ingress
from hognose.router.local_endpoints import NO_ENDPOINTS, LocalEndpoints
from hognose.router.syn_sieve import SynSieve
from hognose.units import Nanos, Random, UnixSeconds
from hognose.vpn.addresses import AddressPool
from hognose.vpn.admission import Admissions
from hognose.vpn.authentication import Authenticator, CertificateOnly
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.look_time import LookTime
from hognose.vpn.peer_service import PeerService
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.service_state import restore_service


@dataclass(frozen=True, slots=True)
class Uplink:
    """The NIC's address, its subnet, and the router beyond it (None: only the subnet can be reached).

    clients_may_reach: of --clients-may-reach. gateway_mac: of the router, which is then not asked for it.
    """

    address: Address
    prefix_len: int
    gateway: Address | None
    clients_may_reach: Reach = Reach.ANYWHERE
    gateway_mac: bytes | None = None

    @property
    def prefix(self) -> Prefix:
        """The subnet."""
        return Prefix.of(self.address, self.prefix_len)


def check_uplink(config: ServerConfig, uplink: Uplink) -> None:
    """ConfigError when the tunnel network overlaps the uplink's or holds its router (RFC 4787 REQ-7)."""
    tunnel = config.network.tunnel
    if tunnel.overlaps(uplink.prefix):
        raise ConfigError(
            f"the tunnel network {tunnel} overlaps the uplink's "
            f"{address_text(uplink.address)}/{uplink.prefix_len}; choose another one",
            directive="server",
        )
    if uplink.gateway is not None and uplink.gateway in tunnel:
        raise ConfigError(
            f"--ipv4-gateway={address_text(uplink.gateway)} is in the tunnel network {tunnel}; choose another one",
            directive="server",
        )


def assemble(
    config: ServerConfig,
    *,
    caps: LinkCaps,
    uplink: Uplink,
    limits: Limits,
    random: Random,
    now: Nanos,
    unix: UnixSeconds,
    counters: Counters,
    clock: Callable[[], Nanos] = lambda: 0,
    authenticator: Authenticator | None = None,
    link_endpoints: LocalEndpoints = NO_ENDPOINTS,
    tunnel_endpoints: LocalEndpoints = NO_ENDPOINTS,
    state: GatewayState | None = None,
) -> Gateway:
    """A gateway that is ready for its first step. ConfigError when config and uplink do not fit.

    clock: time as it passes inside a step, by which work is charged; the default charges nothing.
    authenticator: decides about logins whose certificate is good; None: the certificate suffices.
    link_endpoints, tunnel_endpoints: servers besides the VPN's, on the NIC's and on the tunnel's gateway address. Those
    in the tunnel send TCP segments for a link of the tunnel's MTU. ValueError when one has a port of the VPN.
    state: of a gateway with the same config and uplink, which this one goes on after; servers besides the VPN's are
    new. ValueError or LocalError when it does not fit.
    """
    check_uplink(config, uplink)
    network, data = config.network, config.data
    live = LiveConfig(config, limits)
    broadcasts = uplink.prefix.broadcasts
    neighbors = NeighborTable(
        mac=caps.mac,
        address=uplink.address,
        uplink=uplink.prefix,
        router=uplink.gateway,
        router_mac=uplink.gateway_mac,
        limits=limits.ip,
        counters=counters,
    )
    neighbors.announce()
    egress = Egress(
        caps=caps,
        uplink=uplink.prefix,
        gateway=uplink.gateway,
        neighbors=neighbors,
        counters=counters,
    )
    journal = Journal(limits.events_per_second, counters)
    table = PeerTable(random)
    ports = open_ports(
        network.listeners,
        profile=live.profile,
        connect_freq_initial=config.admission.connect_freq_initial,
        table=table,
        address=uplink.address,
        caps=caps,
        limits=limits,
        broadcasts=broadcasts,
        journal=journal,
        random=random,
        now=now,
        look_time=LookTime(limits.handshake.percent_of_time_for_looks, clock, now),
        counters=counters,
        secrets=[one.secret for one in state.tcp] if state is not None else [],
    )
    taken = (link_endpoints.tcp.keys() & ports.tcp.keys()) | (link_endpoints.udp.keys() & ports.udp.keys())
    if taken:
        raise ValueError(f"ports of the VPN: {sorted(taken)}")
    at_link = LocalEndpoints(tcp={**link_endpoints.tcp, **ports.tcp}, udp={**link_endpoints.udp, **ports.udp})
    tunnel = network.tunnel
    nat = Nat(
        address=uplink.address,
        reserved_ports=at_link.ports | tunnel_endpoints.ports,
        limits=limits.nat,
        random=random,
        counters=counters,
        tunnel=tunnel,
        broadcasts=broadcasts,
    )
    first, last = network.pool
    failures = Failures(journal, counters, now)
    admissions = Admissions(
        table=table,
        authenticator=authenticator or CertificateOnly(),
        pool=AddressPool(first, last),
        netmask=tunnel.mask,
        policy=live.policy,
        nat=nat,
        journal=journal,
        counters=counters,
    )
    icmp_rates = IcmpRates(limits.ip)
    forwarder = Forwarder(
        server=network.server_address,
        tunnel=tunnel,
        clients=MappingProxyType(table.clients),
        client_to_client=network.client_to_client,
        caps=caps,
        tun_mtu=data.tun_mtu,
        mss=MappingProxyType(table.mss),
        nat=nat,
        endpoints=tunnel_endpoints,
        icmp=TunnelIcmp(
            address=network.server_address,
            tun_mtu=data.tun_mtu,
            endpoints=tunnel_endpoints,
            rates=icmp_rates,
            counters=counters,
        ),
        reassembler=Reassembler(limits.ip, counters),
        counters=counters,
        destinations=Destinations(
            tunnel=tunnel,
            uplink=uplink.prefix,
            router=uplink.gateway,
            reach=uplink.clients_may_reach,
            dns_servers=config.dns_servers,
        ),
    )
    syn_sieve = SynSieve(ports.tcp, limits.tcp.syns_per_second, random(32))
    classifier = Classifier(
        mac=caps.mac,
        address=uplink.address,
        ports=frozenset(ports.tcp),
        mss=MappingProxyType(table.mss),
        tun_mtu=data.tun_mtu,
        endpoints=at_link,
        syn_sieve=syn_sieve,
        icmp=LinkIcmp(
            address=uplink.address,
            broadcasts=broadcasts,
            endpoints=at_link,
            nat=nat,
            rates=icmp_rates,
            counters=counters,
        ),
        nat=nat,
        neighbors=neighbors,
        reassembler=Reassembler(limits.ip, counters, FirstFragmentJudge(at_link, nat).judge),
        counters=counters,
    )
    ingress = Ingress(
        caps=caps,
        address=uplink.address,
        vpn=tuple(ports.tcp.values()),
        endpoints=at_link,
        classifier=classifier,
        syn_sieve=syn_sieve,
        limits=limits.step,
        counters=counters,
        datagram_sieves=tuple(port.sieve for port in ports.udp.values()),
    )
    service = PeerService(
        profile=live.profile,
        connect_freq=config.admission.connect_freq,
        limits=limits,
        now=now,
        listeners=ports.listeners,
        router=forwarder,
        table=table,
        admissions=admissions,
        scheduler=HandshakeScheduler(limits.handshake, counters, clock, now),
        journal=journal,
        failures=failures,
        random=random,
        counters=counters,
    )
    if state is not None:
        nat.restore(state.nat)
        ports.restore(state.tcp)
        restore_service(
            service,
            state.service,
            ports.restored(),
            restored=lambda session: Session.restored(session, live.profile, random=random, now=now, counters=counters),
            now=now,
        )
    return Gateway(
        live=live,
        now=now,
        tcp=tuple(ports.tcp.values()),
        datagrams=tuple(ports.udp.values()),
        nat=nat,
        neighbors=neighbors,
        ingress=ingress,
        egress=egress,
        forwarder=forwarder,
        link_endpoints=link_endpoints,
        service=service,
        journal=journal,
        failures=failures,
    )
