"""The values of the NAT: a mapping (inside endpoint to outside port) and a flow (mapping plus one outside peer).

Mapping is endpoint-independent (RFC 4787 REQ-1, RFC 5382 REQ-1): all flows of one inside endpoint share its outside
port. Filtering is address-and-port-dependent (REQ-8): only a packet of an existing flow comes in, unless the operator
chose endpoint-independent filtering. Flows whose peer is our own outside address (hairpinning, REQ-9) stand in tables
of their own: no packet of the link can match one, and the hot path does not look there.

A flow holds all that the hot path adds to a packet, worked out once. Checksum constants are sums modulo 0xffff; because
a checksum field is minus a sum, replacing words changes it by old minus new (RFC 1624 equation 3).
"""

from __future__ import annotations

from collections import OrderedDict
from struct import Struct

from hognose.address import Address
from hognose.units import Nanos, Port
from hognose.wire import ipv4

WIRE = Struct(">4s4sHH")  # bytes 12 … 23 of an option-free TCP or UDP packet: source, destination, ports
ECHO_WIRE = Struct(">4s4sH")  # the key of an ICMP echo flow: source, destination, identifier

_ADDRESSES = Struct(">II")  # as numbers, for checksums

TTL_STEP = 0x100  # one TTL in the words flags/offset/TTL/protocol and in TTL/protocol

# State of a flow, in bits; of other protocols than TCP the first only. SYN, FIN, RST and the first answer change it.
ANSWERED = 1  # the outside peer has sent something that is not a reset
FIN_OUT = 2
FIN_IN = 4
RESET = 8  # a reset was seen in either direction
CLOSING = FIN_OUT | FIN_IN

NO_SEQ = -1  # never equals a sequence number
NO_WINDOW = -1  # the client has acknowledged nothing yet


class ClientFlows:
    """All that the NAT holds for one client; `client` is its address, by which the caller knows it."""

    __slots__ = (
        "by_protocol",
        "client",
        "count",
        "finished",
        "hairpin",
        "icmp",
        "mappings",
        "tcp",
        "udp",
        "unanswered",
    )

    def __init__(self, client: Address) -> None:
        self.client = client
        self.tcp: dict[bytes, Flow] = {}  # keys as they stand in packets from inside
        self.udp: dict[bytes, Flow] = {}
        self.icmp: dict[bytes, Flow] = {}
        self.by_protocol = {ipv4.TCP: self.tcp, ipv4.UDP: self.udp, ipv4.ICMP: self.icmp}
        self.hairpin: dict[int, dict[bytes, Flow]] = {ipv4.TCP: {}, ipv4.UDP: {}}
        # protocol -> inside address and port, as in a flow key -> its mapping
        self.mappings: dict[int, dict[bytes, Mapping]] = {ipv4.TCP: {}, ipv4.UDP: {}, ipv4.ICMP: {}}
        self.count = 0  # flows
        # Those that may make room for others (nat.eviction), oldest first.
        self.finished: OrderedDict[Flow, None] = OrderedDict()
        self.unanswered: OrderedDict[Flow, None] = OrderedDict()


class Mapping:
    """One inside endpoint and its outside port; lives as long as it has flows."""

    __slots__ = ("flows", "inside", "inside_port", "outside_port", "owner", "protocol", "rests")

    def __init__(self, owner: ClientFlows, protocol: int, inside: Address, inside_port: Port, outside_port: Port):
        self.owner = owner
        self.protocol = protocol
        self.inside = inside
        self.inside_port = inside_port  # for ICMP the identifier
        self.outside_port = outside_port
        self.flows = 0
        self.rests = False  # the port rests after its last flow


class Run:
    """A row of data segments of one flow within one outbound batch (nat.outbound), to leave as a super-segment."""

    __slots__ = (
        "ack",
        "frag_ttl",
        "header_len",
        "ip_sum",
        "last_seq",
        "offset_window",
        "packets",
        "payload",
        "seq",
        "size",
        "tail",
        "vlen",
    )

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.seq = NO_SEQ  # of the packet that continues it
        self.last_seq = 0  # of the last packet that there is room for
        self.payload = 0  # bytes of each packet but the last
        # Of the first packet; later ones are equal in all this. ip_sum: ID plus header checksum; tail: urgent pointer
        # (zero) and options.
        self.ack = self.frag_ttl = self.offset_window = self.vlen = 0
        self.header_len = self.size = self.ip_sum = 0
        self.tail = b""


CLOSED = Run()  # the run of every flow that has none open: shared, never changed


class Flow:
    """A mapping's traffic with one outside peer. Times are of outbound packets only (RFC 4787 REQ-6)."""

    __slots__ = (
        "acked",
        "among",
        "bucket",
        "changed",
        "in_key",
        "in_wire",
        "last_out",
        "mapping",
        "out_ip_delta",
        "out_key",
        "out_l4_delta",
        "out_sum",
        "out_wire",
        "owner",
        "remote",
        "remote_port",
        "run",
        "shift",
        "state",
        "window",
    )

    out_ip_delta: int
    out_l4_delta: int
    out_sum: int

    def __init__(self, mapping: Mapping, outside: Address, remote: Address, remote_port: Port, now: Nanos) -> None:
        inside, inside_port, outside_port = mapping.inside, mapping.inside_port, mapping.outside_port
        self.mapping = mapping
        self.owner = mapping.owner
        self.remote = remote
        self.remote_port = remote_port
        self.last_out = now
        self.changed = now
        self.state = 0
        self.bucket = 0
        self.among: OrderedDict[Flow, None] | None = None  # where its owner lists it, of finished and unanswered
        # TCP, of the last packet from inside: what it acknowledged, or what is to acknowledge its SYN; its window, in
        # the lower 16 bits, or NO_WINDOW; and the window scale of the connection (RFC 7323).
        self.acked = 0
        self.window = NO_WINDOW
        self.shift = 0
        if mapping.protocol == ipv4.ICMP:
            self.out_key = ECHO_WIRE.pack(inside, remote, inside_port)
            self.in_key = ECHO_WIRE.pack(remote, outside, outside_port)
            self.out_wire = ECHO_WIRE.pack(outside, remote, outside_port)
            self.in_wire = ECHO_WIRE.pack(remote, inside, inside_port)
        else:
            self.out_key = WIRE.pack(inside, remote, inside_port, remote_port)
            self.in_key = WIRE.pack(remote, outside, remote_port, outside_port)
            self.out_wire = WIRE.pack(outside, remote, outside_port, remote_port)
            self.in_wire = WIRE.pack(remote, inside, remote_port, inside_port)
        outside_sum, remote_sum = _ADDRESSES.unpack_from(self.out_wire)
        inside_sum, _ = _ADDRESSES.unpack_from(self.out_key)
        ip_delta = inside_sum - outside_sum
        l4_delta = inside_port - outside_port
        if mapping.protocol != ipv4.ICMP:  # the others have a pseudo-header
            l4_delta += ip_delta
        # Of outbound packets; inward the L4 delta is the negative, the IP delta 2 * TTL_STEP less this one.
        self.out_ip_delta = (ip_delta + TTL_STEP) % 0xFFFF
        self.out_l4_delta = l4_delta % 0xFFFF
        self.out_sum = (inside_sum + remote_sum) % 0xFFFF  # addresses of a packet from inside
        self.run = CLOSED

    @property
    def translated_sum(self) -> int:
        """Addresses of a translated packet, not reduced."""
        return self.out_sum - self.out_ip_delta + TTL_STEP
