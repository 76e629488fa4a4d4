"""Every named bound of the program in one value, scaled with the memory of the machine.

Each part takes its own sub-value. A bound's policy stands at the table or buffer that it bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.units import KIB, MIB

HANDSHAKE_COST = 208 * KIB  # memory of the worst handshake, measured (tests/bench/handshake_cost.py)
CRL_ENTRIES = 16_384  # revoked certificates in all lists of crl-verify together, about 5 MiB of memory


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Bounds of the outer TCP; bytes unless said otherwise."""

    half_open: int = 1024  # SYNs awaiting their ACK, entries
    syns_per_second: int = 2000  # answered while that is full: first ones, and as many repeated ones
    connections: int = 4096  # established connections, entries
    receive_buffer: int = 1 * MIB  # window offered per connection
    first_window: int = 16 * KIB  # likewise, until the connection is trusted; more than a handshake has in flight
    send_buffer: int = 1 * MIB  # unacknowledged plus unsent, per connection
    reassembly_ranges: int = 256  # out-of-order ranges per connection
    first_ranges: int = 8  # likewise, until the connection is trusted
    sack_ranges: int = 256  # ranges on the sender's scoreboard, per connection

    @property
    def syn_window(self) -> int:
        """The window of a SYN-ACK, never scaled (RFC 7323 section 2.2)."""
        return min(self.first_window, self.receive_buffer, 0xFFFF)


@dataclass(frozen=True, slots=True)
class NatLimits:
    """Bounds of the NAT; flows, entries. Filtering: endpoint_independent_filtering (RFC 4787 REQ-8)."""

    flows: int = 32_768
    flows_per_client: int = 4_096  # and never more than are still free
    flows_of_own: int = 64  # of a client in any case; fewer in a table below 8,192
    endpoint_independent_filtering: bool = False  # any host may send to a mapped port, for applications between peers


@dataclass(frozen=True, slots=True)
class IpLimits:
    """Bounds of ARP, reassembly and ICMP generation."""

    neighbors: int = 1024  # ARP entries
    pending_per_neighbor: int = 16  # packets waiting for one ARP answer
    pending_bytes_per_neighbor: int = 64 * KIB  # likewise, bytes; a super-segment fits
    pending_bytes: int = 1 * MIB  # of packets waiting for all ARP answers
    reassembly_bytes: int = 1 * MIB  # of datagrams that a flow or a client expects
    reassembly_strangers: int = 64  # other datagrams, entries
    reassembly_stranger_bytes: int = 256 * KIB  # of them, bytes; half for one source
    reassembly_strangers_per_second: int = 1000  # new ones
    icmp_errors_per_second: int = 50  # of each kind: echo replies to hosts outside, errors, "fragmentation needed"
    icmp_errors_per_client_per_second: int = 10  # likewise; all hosts outside are one client
    icmp_errors_received_per_second: int = 1000  # that are worked on; as many "fragmentation needed" besides


@dataclass(frozen=True, slots=True)
class UdpLimits:
    """Bounds of one UDP port of ours; datagrams. A later one is dropped."""

    received: int = 64  # until they are taken
    unsent: int = 64


@dataclass(frozen=True, slots=True)
class DatagramLimits:
    """Bounds of one UDP port of the VPN; datagrams unless said otherwise. Later ones are dropped."""

    longest: int = 2048  # bytes of one datagram, as of a record on TCP
    waiting: int = 2048  # until they are taken, of all peers together; half of it for those not authenticated
    waiting_of_client: int = 512  # likewise, of one client
    waiting_at_first: int = 16  # likewise, of a peer that is not authenticated; a client has these in any case
    roaming: int = 16  # likewise, of one client from addresses that are not its own
    turn: int = 128  # that one step works on of one client, where a stream may have 256: each has cost a frame besides
    initial: int = 128  # packets of no session, or from an address that is not their client's, in one step
    initial_per_second: int = 1000  # of each kind; then only repeated ones are worth work (vpn/initial_rate.py)
    strangers_per_second: int = 2000  # packets of no session; beyond, they are filtered before a step
    roaming_per_second: int = 1000  # likewise, then: data packets that name a client and come from another address
    unproven: int = 64  # sessions without a proof of their address: OpenVPN 2.5 with tls-crypt-v2
    unproven_of_address: int = 16  # likewise, of one address
    unproven_of_prefix: int = 32  # likewise, of 256 neighbouring addresses
    used_proofs: int = 1024  # packets that began a session while their cookie is good (vpn/used_proofs.py)
    step_bytes: int = 512 * KIB  # bytes that one client is sent in one step
    path_mtu: int = 576  # bytes; a router that asks for less changes nothing for inner packets
    path_mtu_s: int = 600  # seconds, after which a path's MTU is forgotten (RFC 1191 section 6.3)


@dataclass(frozen=True, slots=True)
class OpenvpnLimits:
    """Bounds of one OpenVPN session; those of control messages count for each of its three keys.

    OpenSSL keeps one TLS record of 16 KiB more per key, and the handshake message that handshake_bytes has room for.
    """

    record_len: int = 2048  # bytes of one record on TCP
    control_window: int = 12  # control messages that were received and not worked on (OpenVPN has 12 buffers)
    control_turn: int = 8  # control messages that are processed before other sessions have their turn
    control_acks: int = 8  # acknowledgements that wait to be sent (reliable.h RELIABLE_ACK_SIZE)
    control_send_window: int = 4  # control messages in flight
    control_repeat_s: int = 8  # seconds; the longest interval of repetition, or tls-timeout if that is longer
    control_early_repeats: int = 3  # of one message, because later ones were acknowledged
    control_queue_bytes: int = (
        64 * KIB
    )  # of TLS output that a peer causes after its handshake; above it the session ends
    control_age_s: int = 120  # seconds; a session ends whose client takes no control message in this time
    control_string: int = 4096  # bytes of one string; a longer one is dropped
    control_strings: int = 64  # in one control message; further ones are dropped
    handshake_bytes: int = 256 * KIB  # TLS bytes before the session is established, of each side
    handshake_messages: int = 1024  # likewise control messages, empty ones too


@dataclass(frozen=True, slots=True)
class StepLimits:
    """Bounds of the work of one step; the excess waits for the next one (vpn/turns.py, router/ingress.py)."""

    records: int = 256  # of all clients together
    units: int = 384  # likewise, where several clients have input: records and what they lead to (vpn/turns.py)
    records_least: int = 16  # of a client whose turn it is, however many clients have input
    client_bytes: int = 256 * KIB  # taken out of one client's receive buffer
    frames: int = 64  # besides datagrams that wait for peers
    datagrams: int = 512  # that wait for peers, of all together, until which more frames than that are taken
    split_packets: int = 512  # that super-frames from outside are cut into; the last one may exceed it


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """Bounds of a batch of frames that is read before a step; the excess waits in the device (device/tap.py)."""

    frames: int = 512
    bytes: int = 1 * MIB  # of the frames read so far, above which no further stretch is read
    stretch: int = 64  # frames that are read before their bytes are counted


@dataclass(frozen=True, slots=True)
class HandshakeLimits:
    """Bounds of peers before authentication; connections, entries. Stages: vpn/handshake_scheduler.py."""

    silent: int = 8192  # have sent nothing
    strangers: int = 1024  # have sent something, but no valid hard reset
    handshakes: int = 512  # are between hard reset and admission
    authenticating: int = 512  # have finished TLS and wait for the authenticator's verdict
    authenticating_s: int = 45  # seconds; a login without a verdict is refused then; hand-window ends it too
    per_address: int = 256  # of any one stage, from one address: an office of 200 fits
    per_prefix: int = 1024  # likewise, from 256 neighbouring addresses
    percent_of_time: int = 10  # of the processor's, for their handshakes while there is other work
    percent_of_time_for_looks: int = 5  # likewise always, for packets of no session over UDP (vpn/look_time.py)


@dataclass(frozen=True, slots=True)
class LogLimits:
    """Bounds of the log on its way to a reader; bytes. Policy: host/log_queue.py."""

    queue: int = 32 * KIB  # lines that wait for the reader; then the newest are dropped
    report: int = 4 * MIB  # likewise, of one list of clients (directive status): about 12,000 of them
    bytes_per_second: int = 64 * KIB  # on a console whose write waits for its reader (solo5-hvt)
    burst: int = 64 * KIB  # likewise, at once: as much as an empty pipe takes


@dataclass(frozen=True, slots=True)
class Limits:
    """All bounds; `for_memory` scales the tables, never the protocol constants."""

    tcp: TcpLimits = field(default_factory=TcpLimits)
    nat: NatLimits = field(default_factory=NatLimits)
    ip: IpLimits = field(default_factory=IpLimits)
    datagrams: DatagramLimits = field(default_factory=DatagramLimits)
    openvpn: OpenvpnLimits = field(default_factory=OpenvpnLimits)
    handshake: HandshakeLimits = field(default_factory=HandshakeLimits)
    step: StepLimits = field(default_factory=StepLimits)
    client_queue: int = 512 * KIB  # bytes waiting in one client's TCP send queue before packets are dropped
    events_per_second: int = 20  # log lines about peers; further ones are counted
    rejudged_per_step: int = 20  # connected clients that a new config is held against in one step

    @staticmethod
    def for_memory(memory_bytes: int) -> Limits:
        """Bounds for a machine with memory_bytes; the full tables from 512 MiB on, a quarter at 128 MiB."""
        share = min(1.0, max(0.125, memory_bytes / (512 * MIB)))
        buffer = max(128 * KIB, int(1 * MIB * share))
        return Limits(
            tcp=TcpLimits(
                half_open=max(128, int(1024 * share)),
                connections=max(512, int(4096 * share)),
                receive_buffer=buffer,
                send_buffer=buffer,
            ),
            nat=NatLimits(flows=max(2048, int(32_768 * share)), flows_per_client=max(1024, int(4_096 * share))),
            ip=IpLimits(
                reassembly_bytes=max(256 * KIB, int(MIB * share)), pending_bytes=max(128 * KIB, int(MIB * share))
            ),
            handshake=HandshakeLimits(
                silent=max(1024, int(8192 * share)),
                strangers=max(256, int(1024 * share)),
                handshakes=min(512, memory_bytes // 8 // HANDSHAKE_COST),
                authenticating=max(256, int(512 * share)),
            ),
            client_queue=buffer // 2,
        )
