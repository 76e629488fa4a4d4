"""The values of the NAT: a mapping (inside endpoint to outside port) and a flow (mapping plus one outside peer).

Mapping is endpoint-independent (RFC 4787 REQ-1, RFC 5382 REQ-1): all flows of one inside endpoint share its outside
port. Filtering is address-and-port-dependent (REQ-8): only a packet of an existing flow comes in.

A flow holds all that the hot path adds to a packet, worked out once. Checksum constants are sums modulo 0xffff; because
a checksum field is minus a sum, replacing words changes it by old minus new (RFC 1624 equation 3).
"""

from __future__ import annotations

from struct import Struct

from hognose.units import Ipv4Int, Nanos, Port
from hognose.wire import ipv4

WIRE = Struct(">IIHH")  # bytes 12 … 23 of an option-free TCP or UDP packet: source, destination, ports
ECHO_WIRE = Struct(">IIH")  # the key of an ICMP echo flow: source, destination, identifier

# TCP state of a flow: what was seen, in bits. Only SYN, FIN and RST packets change it.
ANSWERED = 1  # the outside peer has sent something that is not a reset
FIN_OUT = 2
FIN_IN = 4
RESET = 8  # a reset was seen in either direction
CLOSING = FIN_OUT | FIN_IN

NO_PACKETS: list[bytes] = []  # Flow.run while none is open: shared, never changed
NO_RUN = -1  # Flow.run_seq while no run is open; never equals a sequence number


class ClientFlows:
    """All that the NAT holds for one client; `client` is the caller's number and may be rebound."""

    __slots__ = ("by_protocol", "client", "count", "icmp", "mappings", "tcp", "udp")

    def __init__(self, client: int) -> None:
        self.client = client
        self.tcp: dict[bytes, Flow] = {}  # keys as they stand in packets from inside
        self.udp: dict[bytes, Flow] = {}
        self.icmp: dict[bytes, Flow] = {}
        self.by_protocol = {ipv4.TCP: self.tcp, ipv4.UDP: self.udp, ipv4.ICMP: self.icmp}
        self.mappings: dict[int, Mapping] = {}  # by mapping_number
        self.count = 0  # flows


def mapping_number(protocol: int, inside: Ipv4Int, inside_port: Port) -> int:
    """The key of an inside endpoint; an int takes a third of a tuple's memory."""
    return protocol << 48 | inside << 16 | inside_port


class Mapping:
    """One inside endpoint and its outside port; lives as long as it has flows."""

    __slots__ = ("flows", "inside", "inside_port", "outside_port", "owner", "protocol")

    def __init__(self, owner: ClientFlows, protocol: int, inside: Ipv4Int, inside_port: Port, outside_port: Port):
        self.owner = owner
        self.protocol = protocol
        self.inside = inside
        self.inside_port = inside_port  # for ICMP the identifier
        self.outside_port = outside_port
        self.flows = 0


class Flow:
    """One conversation; see the module docstring. Times are of outbound packets only (RFC 4787 REQ-6)."""

    __slots__ = (
        "bucket",
        "changed",
        "in_ip_delta",
        "in_key",
        "in_l4_delta",
        "in_wire",
        "last_out",
        "mapping",
        "out_ip_delta",
        "out_key",
        "out_l4_delta",
        "out_pseudo",
        "out_sum",
        "out_wire",
        "owner",
        "remote",
        "remote_port",
        "run",
        "run_ack",
        "run_frag_ttl",
        "run_header_len",
        "run_ip_sum",
        "run_last_seq",
        "run_offset_window",
        "run_payload",
        "run_seq",
        "run_size",
        "run_tail",
        "run_vlen",
        "state",
    )

    def __init__(self, mapping: Mapping, outside: Ipv4Int, remote: Ipv4Int, remote_port: Port, now: Nanos) -> None:
        inside, inside_port, outside_port = mapping.inside, mapping.inside_port, mapping.outside_port
        self.mapping = mapping
        self.owner = mapping.owner
        self.remote = remote
        self.remote_port = remote_port
        self.last_out = now
        self.changed = now
        self.state = 0
        self.bucket = 0
        if mapping.protocol == ipv4.ICMP:
            self.out_key = ECHO_WIRE.pack(inside, remote, inside_port)
            self.in_key = ECHO_WIRE.pack(remote, outside, outside_port)
            self.out_wire = ECHO_WIRE.pack(outside, remote, outside_port)
            self.in_wire = ECHO_WIRE.pack(remote, inside, inside_port)
            l4_delta = inside_port - outside_port  # no pseudo-header under ICMP
        else:
            self.out_key = WIRE.pack(inside, remote, inside_port, remote_port)
            self.in_key = WIRE.pack(remote, outside, remote_port, outside_port)
            self.out_wire = WIRE.pack(outside, remote, outside_port, remote_port)
            self.in_wire = WIRE.pack(remote, inside, remote_port, inside_port)
            l4_delta = inside + inside_port - outside - outside_port
        # TTL - 1 lowers its word by 0x100
        self.out_ip_delta = (inside - outside + 0x100) % 0xFFFF
        self.in_ip_delta = (outside - inside + 0x100) % 0xFFFF
        self.out_l4_delta = l4_delta % 0xFFFF
        self.in_l4_delta = -l4_delta % 0xFFFF
        self.out_sum = (inside + remote) % 0xFFFF  # addresses of a packet from inside
        self.out_pseudo = (outside + remote + mapping.protocol) % 0xFFFF  # pseudo-header without length, translated
        # The open run of one outbound batch (nat.outbound); always closed when the batch is over.
        self.run: list[bytes] = NO_PACKETS
        self.run_seq = NO_RUN  # of the packet that continues it
        self.run_last_seq = 0  # of the last packet that there is room for
        self.run_payload = 0  # bytes of each packet but the last
        # Of the first packet; those behind it are equal in all this. ip_sum: ID plus header checksum; tail: urgent
        # pointer (zero) and options.
        self.run_ack = self.run_frag_ttl = self.run_offset_window = self.run_vlen = 0
        self.run_header_len = self.run_size = self.run_ip_sum = 0
        self.run_tail = b""
