# hot
"""One UDP port of the VPN: datagrams to the peers that they belong to, and what peers send as packets.

A data packet names its client by peer id, a control packet by the address that it comes from and its session id
(OpenVPN mudp.c multi_get_create_instance_udp). All others are for the stateless handshake, within limits: no state
before a client has proved its address.
"""

from __future__ import annotations

from hognose.address import Address, Endpoint
from hognose.address_scope import is_host
from hognose.base.fair_table import FairTable
from hognose.base.journal import Journal
from hognose.base.numbering import Numbering
from hognose.drops import Counters, DropReason, Stat
from hognose.errors import LocalError, PeerError
from hognose.events import EventKind
from hognose.limits import DatagramLimits
from hognose.link import Outgoing
from hognose.openvpn.proof import AddressProof
from hognose.units import UDP, Nanos, Port, Random, UnixSeconds
from hognose.vocabulary import Proto
from hognose.vpn.datagram_sieve import DatagramSieve
from hognose.vpn.datagram_transport import ABORTED, PARTIAL, DatagramTransport
from hognose.vpn.initial_limits import InitialLimits
from hognose.vpn.peer import NO_PEER_ID
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stateless_handshake import LEAST, OPCODES, Answer, FirstPacket, StatelessHandshake
from hognose.vpn.transport import Pending
from hognose.vpn.transport_table import TransportTable
from hognose.vpn.used_proofs import UsedProofs
from hognose.wire import icmpv4, udp
from hognose.wire.checksum import ones_sum, pseudo_sum
from hognose.wire.openvpn import DATA_V1, DATA_V2

_DATA_V2_FIRST = range(DATA_V2 << 3, (DATA_V2 << 3) + 8)
_UNDEFINED = NO_PEER_ID.to_bytes(3, "big")
_FRAGMENTATION_NEEDED = icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED


class DatagramPort:
    """The Listener of one UDP port.

    Bounds (DatagramLimits): datagrams that wait for one peer, and for all; packets of no session that one step looks
    at. Beyond them the newest is dropped: DATAGRAM_QUEUE_FULL, INITIAL_CROWDED. Sessions without a proof of the
    address, INITIAL_CROWDED: an older one of the same source or of the fullest prefix ends for the newest.
    """

    proto: Proto = "udp"

    def __init__(
        self,
        *,
        address: Address,
        port: Port,
        mtu: int,
        uso: bool,
        table: PeerTable,
        handshake: StatelessHandshake,
        strangers: InitialLimits,
        now: Nanos,
        limits: DatagramLimits,
        numbering: Numbering,
        journal: Journal,
        random: Random,
        counters: Counters,
        broadcasts: frozenset[Address],
        passtos: bool = False,
    ) -> None:
        """mtu: of the link; uso: it takes super-frames of datagrams.

        strangers: limits on packets of no session. broadcasts: directed broadcasts of the link, which are no sources.
        passtos: of DataSettings.
        """
        self.local = address + port.to_bytes(2, "big")
        self.mtu = mtu
        self.uso = uso
        self.passtos = passtos
        self.limits = limits
        self.counters = counters
        self.out: list[Outgoing] = []  # until poll
        self.sent: dict[int, int] = {}  # bytes of each transport, likewise
        self.waiting = 0  # datagrams that wait for all peers
        self._address = address
        self._pseudo = pseudo_sum(b"", address, UDP, 0)  # without source and length
        self._table = table
        self._handshake = handshake
        self._strangers = strangers
        self._numbering = numbering
        self._journal = journal
        self._broadcasts = broadcasts
        self._transports = TransportTable()
        self._by_key = self._transports.by_key
        self.sieve = DatagramSieve(self.local[-2:], self._by_key, table, strangers, limits, counters, now)
        unproven = limits.unproven, limits.unproven_of_address, limits.unproven_of_prefix
        self._unproven: FairTable[DatagramTransport] = FairTable(*unproven)  # until they are authenticated
        self._used = UsedProofs(limits.used_proofs, handshake.cookie_life)
        self._initial: list[tuple[bytes, bytes]] = []  # (source, packet) of no session
        self._roamed = 0  # packets of this step from addresses that are not their client's
        self._accepted: list[DatagramTransport] = []
        self._readable: list[DatagramTransport] = []
        self._closed: list[DatagramTransport] = []
        self._stopping = False
        self._ident = int.from_bytes(random(2), "big")

    def __len__(self) -> int:
        """Number of transports."""
        return len(self._transports)

    def knows(self, source: bytes) -> bool:
        """True for the address and port, as on the wire, of a peer that has a session."""
        return source in self._by_key

    # -- what comes --------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, l3: int, l4: int, end: int, gso_size: int, checksum_ok: bool, now: Nanos) -> None:
        """Take one UDP packet, or a super-frame of datagrams of gso_size bytes; `data` is not kept.

        The IPv4 header is valid, the destination is ours; checksum_ok False: verify here unless the field is 0, which
        means none (RFC 768). Drops: BAD_UDP_HEADER, BAD_UDP_CHECKSUM, BAD_FRAME_LENGTH (`longest`), those of the class.
        """
        start = l4 + udp.HEADER_LEN
        stop = l4 + (data[l4 + 4] << 8 | data[l4 + 5]) if start <= end else 0
        if not start <= stop <= end:
            self.counters.drop(DropReason.BAD_UDP_HEADER)
            return
        if stop - start > self.limits.longest and not 0 < gso_size <= self.limits.longest:
            self.counters.drop(DropReason.BAD_FRAME_LENGTH)
            return
        key = data[l3 + 12 : l3 + 16] + data[l4 : l4 + 2]
        if (
            not checksum_ok
            and (data[l4 + 6] or data[l4 + 7])
            and ones_sum(data[l4:stop], self._pseudo + int.from_bytes(key[:-2], "big") + stop - l4)
        ):
            self.counters.drop(DropReason.BAD_UDP_CHECKSUM)
            return
        transport = self._by_key.get(key)
        size = gso_size or 0xFFFF
        for at in range(start, stop, size) or (start,):
            datagram = data[at : at + size] if at + size < stop else data[at:stop]
            if transport is not None and datagram[1:4] == transport.peer_word and datagram[0] in _DATA_V2_FIRST:
                if transport.put(datagram):
                    self._readable.append(transport)
            else:
                self._sort(key, datagram, now)

    def icmp_error(self, icmp_type: int, code: int, mtu: int, quoted: bytes, now: Nanos) -> None:
        """Take an ICMP error about a datagram of ours; quoted: its headers at least, mtu: of the next hop.

        "Fragmentation needed" is for the peer that has its destination now. All others are soft: a client that is gone
        is ended by its timers. Drops: NO_SESSION, BAD_ICMP.
        """
        transport = self._by_key.get(quoted[16:20] + quoted[22:24])
        if transport is None:
            self.counters.drop(DropReason.NO_SESSION)
        elif (icmp_type, code) == _FRAGMENTATION_NEEDED and transport.narrow(mtu, quoted, now):
            peer = self._table.by_transport.get(transport.id)
            if peer is not None:
                self._table.refit(peer)

    def _sort(self, key: bytes, datagram: bytes, now: Nanos) -> None:
        """Give a datagram to its peer, to one that may have moved, or to the stateless handshake."""
        opcode = datagram[0] >> 3 if datagram else 0
        transport = self._by_key.get(key)
        if opcode == DATA_V2 and datagram[1:4] != _UNDEFINED:
            self._sort_data(key, datagram, transport, now)
        elif opcode in (DATA_V1, DATA_V2):
            if transport is not None:
                self._put(transport, datagram)
            else:
                self._refuse(DropReason.NO_SESSION, now)
        elif transport is not None and (found := self._transports.with_session(key, datagram[1:9])) is not None:
            self._put(found, datagram)
        elif len(datagram) < LEAST or opcode not in OPCODES:
            self._refuse(DropReason.NO_SESSION, now)
        elif self._stopping:
            self._refuse(DropReason.SERVER_STOPPING, now)
        elif len(self._initial) + self._roamed >= self.limits.initial:
            self._refuse(DropReason.INITIAL_CROWDED, now)
        else:
            self.sieve.note(now)
            self._initial.append((key, datagram))

    def _sort_data(self, key: bytes, datagram: bytes, transport: DatagramTransport | None, now: Nanos) -> None:
        """Give a data packet to the client that it names; transport: the one at the address that it comes from."""
        peer = self._table.with_peer_id(int.from_bytes(datagram[1:4], "big")) if len(datagram) > 4 else None
        owner = peer.transport if peer is not None else None
        if not isinstance(owner, DatagramTransport) or owner.port is not self:
            self._refuse(DropReason.NO_SESSION, now)
        elif owner.key == key:
            self._put(owner, datagram)
        elif transport is not None and transport.trusted:
            self._refuse(DropReason.FLOAT_REFUSED, now)  # another client is there
        elif not self._is_source(key):
            self._refuse(DropReason.MARTIAN, now)  # nothing is to be sent there
        elif len(self._initial) + self._roamed >= self.limits.initial:
            self._refuse(DropReason.INITIAL_CROWDED, now)
        else:
            self.sieve.note(now)
            self._roamed += 1
            if owner.put_from(key, datagram):
                self._readable.append(owner)

    def _refuse(self, reason: DropReason, now: Nanos) -> None:
        self.counters.drop(reason)
        self.sieve.note(now)

    def _put(self, transport: DatagramTransport, datagram: bytes) -> None:
        if transport.put(datagram):
            self._readable.append(transport)

    # -- packets of no session ---------------------------------------------------------------------------------------

    def accepted(self, now: Nanos, unix: UnixSeconds) -> list[DatagramTransport]:
        """Drained: transports of clients that have proved their address, after the packets of no session."""
        self._roamed = 0
        if self._initial:
            initial, self._initial = self._initial, []
            for key, datagram in initial:
                try:
                    self._look(key, datagram, now, unix)
                except Exception as error:
                    self.counters.drop(DropReason.INTERNAL_ERROR)
                    self._journal.failure("initial", error, now)
        accepted, self._accepted = self._accepted, []
        return accepted

    def _is_source(self, key: bytes) -> bool:
        """True for an address and port that another host can have."""
        source = key[:-2]
        return source != self._address and is_host(source, self._broadcasts) and key[-2:] != b"\0\0"

    def _look(self, key: bytes, datagram: bytes, now: Nanos, unix: UnixSeconds) -> None:
        if not self._is_source(key):
            self.counters.drop(DropReason.MARTIAN)
            return
        transport = self._transports.with_session(key, datagram[1:9])
        if transport is not None:
            self._put(transport, datagram)  # a packet before this one has made it
            return
        if not self._strangers.admit(datagram[0] >> 3, key, datagram[1:9], now):
            self.counters.drop(DropReason.INITIAL_CROWDED)
            return
        try:
            found = self._strangers.time.spend_on(self._handshake.look, key, datagram, now, unix)
        except PeerError as error:
            self.counters.drop(error.reason)
            _reject(self._journal, key, error, now)
            return
        if isinstance(found, Answer):
            self.counters.stats[Stat.UDP_COOKIES_SENT] += 1
            self.out.append((key[:-2], PARTIAL, [udp.heads(self.local, key, len(found.record)), found.record]))
            return
        if self._used.has(key + datagram[1:9], now):
            self.counters.drop(DropReason.BAD_COOKIE)
            copied = PeerError(DropReason.BAD_COOKIE, "a copy of a packet that has begun a session")
            _reject(self._journal, key, copied, now)
            return
        if isinstance(found, FirstPacket):
            newcomer = self._transports.newcomer(key)
            if newcomer is not None and newcomer.proof is not None:  # what may be forged ends no proven session
                self.counters.drop(DropReason.INITIAL_CROWDED)
                return
        self._open(key, found if isinstance(found, AddressProof) else None, datagram, now)

    def _open(self, key: bytes, proof: AddressProof | None, datagram: bytes, now: Nanos) -> None:
        """Make the transport of a new session; at an address that has one already it is a newcomer."""
        transport = DatagramTransport(self, self._numbering.take(), key, datagram[1:9], proof, now)
        older = self._transports.newcomer(key)
        if older is not None:
            self.remove(older, "replaced")
        self._transports.add(transport)
        self._used.add(transport.begun_by, now)
        if proof is None and (crowded := self._unproven.add(transport.place, transport)) is not None:
            self.counters.drop(DropReason.INITIAL_CROWDED)
            self.remove(crowded[1], ABORTED)
        self._accepted.append(transport)
        self._put(transport, datagram)

    # -- Listener ----------------------------------------------------------------------------------------------------

    def readable(self) -> list[DatagramTransport]:
        """Drained: transports with new datagrams."""
        if not self._readable:
            return []
        readable, self._readable = self._readable, []
        for transport in readable:
            transport.listed = False
        return readable

    def closed(self) -> list[DatagramTransport]:
        """Drained: transports that are over."""
        closed, self._closed = self._closed, []
        for transport in closed:
            transport.discard()  # what came while a step was interrupted
        return closed

    def stop(self) -> None:
        """Drop packets of no session from now on, unanswered; the client repeats them (OpenVPN mudp.c)."""
        self._stopping = True

    def open(self, pending: Pending, unfinished: bytes = b"") -> DatagramTransport:
        """The accepted transport itself; LocalError for one of another port."""
        if not isinstance(pending, DatagramTransport) or pending.port is not self:
            raise LocalError("no transport of this port")
        return pending

    # -- of its transports -------------------------------------------------------------------------------------------

    def trust(self, transport: DatagramTransport) -> None:
        """Make a newcomer the transport of its address, unless another newcomer has come after it.

        A client that had moved there goes back to the address before that where it can: it goes on, wherever it is.
        """
        if transport.close_reason:
            return
        self._unproven.remove(transport.place)
        older = self._transports.trust(transport)
        if older is None:
            return
        before, peer = older.endpoint, self._table.by_transport.get(older.id)
        if peer is None or not self._transports.send_back(older):
            self.remove(older, "replaced")
            return
        self._table.moved(peer, before)
        self._table.refit(peer)

    def move(self, transport: DatagramTransport, key: bytes) -> bool:
        """Have a client at another address from now on; False when another client is there.

        A peer there that is not authenticated goes on beside it, the newest of them.
        """
        if self._transports.occupied(transport, key):
            self.counters.drop(DropReason.FLOAT_REFUSED)
            return False
        older = self._transports.move(transport, key)
        if older is not None:
            self.remove(older, "replaced")
        return True

    def remove(self, transport: DatagramTransport, reason: str) -> None:
        """End a transport. Idempotent."""
        if transport.close_reason:
            return
        transport.close_reason = reason
        transport.discard()
        self._unproven.remove(transport.place)
        if reason == ABORTED or not transport.spoken:
            self._used.forget(transport.begun_by)
        self._transports.remove(transport)
        self._closed.append(transport)

    def fresh_ident(self) -> int:
        """The id of a packet that may be cut on its way, 1 ... 65535 (RFC 6864)."""
        self._ident = self._ident % 0xFFFF + 1
        return self._ident

    # -- a server of the link ----------------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """True while something waits for `accepted` or `poll`."""
        return bool(self.out or self._initial or self._closed)

    def poll(self, now: Nanos) -> list[Outgoing]:
        """Everything to send now."""
        if not self.out:
            return []
        out, self.out = self.out, []
        self.sent.clear()
        return out


def _reject(journal: Journal, key: bytes, error: PeerError, now: Nanos) -> None:
    """Tell the administrator why; the peer learns nothing."""
    peer = str(Endpoint(key[:-2], int.from_bytes(key[-2:], "big")))
    journal.add(EventKind.PEER_REJECTED, now, conn=0, peer=peer, reason=error.reason.name.lower(), detail=error.detail)
