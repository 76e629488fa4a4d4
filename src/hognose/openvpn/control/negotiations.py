"""The negotiations of one session by key id: the newest, one under way, the one before (OpenVPN ssl.c tls_session).

Control records come in and go out here: wrap, session ids, the negotiation that a record belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.key_state import ClientIdentity, KeyState, Stage
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.control.misconfiguration import explain_first_packet
from hognose.openvpn.control.reliability import ReliabilityState
from hognose.openvpn.control.session_wrap import SessionWrap, SessionWrapState
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.proof import AddressProof
from hognose.units import Nanos, Random, UnixSeconds
from hognose.wire import openvpn as wire

_HEADERS = 28  # bytes of IPv4 and UDP around a record
_ANSWERED_PERCENT = 130  # of the bytes of a peer that has not shown that it receives at its address


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """A control record without its wrap."""

    opcode: int
    key_id: int
    session_id: bytes
    body: wire.ControlBody

    @property
    def is_soft_reset(self) -> bool:
        """True for one that asks for new keys under a key id of its own; id 0 is for the first keys of a session."""
        return self.opcode == wire.SOFT_RESET_V1 and self.body.message_id == 0 and self.key_id != 0


@dataclass(frozen=True, slots=True)
class NegotiationsState:
    """Negotiations as plain data. Of them only the primary's numbers: a TLS connection cannot be exported."""

    session_id: bytes
    remote_id: bytes
    last_key_id: int
    key_id: int
    started_at: Nanos
    identity: ClientIdentity
    reliability: ReliabilityState
    wrap: SessionWrapState


class Negotiations:
    """Bounds: two negotiations at a time and a third that only listens; see KeyState.

    primary: the newest one that is ACTIVE, or the first; None before the hard reset. pending: a renegotiation under
    way. retired: the one before primary, until expire; it may still say something (OpenVPN 3). remote_id: the client's
    session id, b"" before its hard reset. turn_taken: TLS has had its flight in this call of Session.
    """

    def __init__(
        self,
        profile: ServerProfile,
        *,
        random: Random,
        now: Nanos,
        counters: Counters,
        proof: AddressProof | None = None,
    ) -> None:
        """proof: of a session that begins after the exchange of hard resets; None: it begins with the client's."""
        self._profile = profile
        self._counters = counters
        self._messages = MessageReader(counters, profile.limits)
        self._session_id = proof.session_id if proof is not None else _fresh_session_id(random)
        self.remote_id = proof.remote_id if proof is not None else b""
        self._last_key_id = 0  # of the newest attempt, failed or not: OpenVPN ssl.c key_state_init
        self._retired_until: Nanos = 0
        self.wrap = proof.wrap if proof is not None else SessionWrap(profile.wrap)
        self.primary: KeyState | None = None
        self.pending: KeyState | None = None
        self.retired: KeyState | None = None
        self.turn_taken = False
        # Bytes that a peer over datagrams may be sent until it has named our session id, which it has from an answer.
        self._allowance: int | None = 0 if proof is None and profile.proto == "udp" else None
        if proof is not None:
            self.primary = self._fresh_key(0, now)
            self.primary.reliability.begin_after_resets()

    @property
    def live(self) -> list[KeyState]:
        """The newest first."""
        return [key for key in (self.primary, self.pending, self.retired) if key is not None]

    @property
    def ready(self) -> bool:
        """True when a message of one of them waits to be taken."""
        return any(key.reliability.ready for key in self.live)

    def replace_profile(self, profile: ServerProfile) -> None:
        """Begin negotiations by these settings from now on."""
        self._profile = profile

    # -- records ---------------------------------------------------------------------------------------------------

    def open(self, record: bytes, now: Nanos, unix: UnixSeconds) -> ControlPacket | None:
        """Take off the wrap; None for a record that is none of the peer's (counted).

        The first one must be a hard reset, which begins the first negotiation; PeerError for any other.
        """
        opcode, key_id = record[0] >> 3, record[0] & 7
        first = self.primary is None
        opened = self.wrap.open_first(record, unix) if first else self.wrap.open(record)
        if isinstance(opened, DropReason):
            self._counters.drop(opened)
            return None
        if self._allowance is not None:
            self._allowance += (len(record) + _HEADERS) * _ANSWERED_PERCENT // 100
        session_id, body_bytes = opened
        body = wire.parse_control_body(opcode, body_bytes)
        if body is None or session_id == wire.NO_SESSION_ID:
            if first:
                raise PeerError(DropReason.BAD_CONTROL_PACKET, explain_first_packet(self._profile.wrap, record))
            self._counters.drop(DropReason.BAD_CONTROL_PACKET)
            return None
        if first:
            # The client's hard reset: the only packet that begins anything.
            if key_id != 0 or body.message_id != 0:
                raise PeerError(DropReason.BAD_CONTROL_PACKET, explain_first_packet(self._profile.wrap, record))
            self.remote_id = session_id
            self.primary = self._fresh_key(0, now)
            self.primary.reliability.queue(wire.HARD_RESET_SERVER_V2, b"")
        return ControlPacket(opcode, key_id, session_id, body)

    def is_of_session(self, packet: ControlPacket) -> bool:
        """True when both session ids are those of this session; else counted as WRONG_SESSION_ID."""
        body = packet.body
        if packet.session_id == self.remote_id and (not body.acks or body.remote_session_id == self._session_id):
            if body.acks:
                self._allowance = None
            return True
        self._counters.drop(DropReason.WRONG_SESSION_ID)
        return False

    def find(self, key_id: int) -> KeyState | None:
        """The negotiation with this key id."""
        for key in (self.pending, self.primary, self.retired):
            if key is not None and key_id == key.key_id:
                return key
        return None

    def may_begin(self, packet: ControlPacket) -> bool:
        """True for a soft reset of the client at a time at which a renegotiation may begin.

        Any key id but 0: the client may have counted attempts that never arrived.
        """
        return packet.is_soft_reset and self.pending is None and self.primary is not None

    def file(self, key: KeyState, packet: ControlPacket, now: Nanos) -> None:
        """Take a packet's acknowledgements and its message; counts BAD_CONTROL_ACK, RECEIVE_WINDOW_FULL."""
        body = packet.body
        unsent = key.reliability.acknowledged(body.acks, now)
        if unsent:
            self._counters.drop(DropReason.BAD_CONTROL_ACK, unsent)
        if body.message_id >= 0 and not key.reliability.receive(body.message_id, packet.opcode, body.payload):
            self._counters.drop(DropReason.RECEIVE_WINDOW_FULL)

    def poll(self, now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Records that are due, of all negotiations; few for one that may be at another address than it says."""
        records = []
        for key in self.live:
            for opcode, message_id, payload, acks in key.reliability.poll(now):
                body = wire.build_control_body(acks, self.remote_id, message_id, payload)
                first = wire.first_byte(opcode or wire.ACK_V1, key.key_id)
                record = self.wrap.seal(first, self._session_id, body, unix)
                if self._allowance is not None:
                    if self._allowance < len(record) + _HEADERS:
                        continue  # as if it were lost: it is repeated
                    self._allowance -= len(record) + _HEADERS
                records.append(record)
        return records

    # -- from one negotiation to the next --------------------------------------------------------------------------

    def begin(self, key_id: int, now: Nanos) -> KeyState:
        """Begin a renegotiation: it is pending from now on, and our soft reset is queued."""
        self.pending = self._fresh_key(key_id, now)
        self._last_key_id = key_id
        self.pending.reliability.queue(wire.SOFT_RESET_V1, b"")
        return self.pending

    def begin_ours(self, now: Nanos) -> bool:
        """Begin a renegotiation with the next key id; False when it is no time for one."""
        primary = self.primary
        if self.pending is not None or primary is None or primary.stage is not Stage.ACTIVE:
            return False
        key_id = _next_key_id(self._last_key_id)
        if key_id == primary.key_id:  # seven attempts in a row have failed; the key in use keeps its id
            key_id = _next_key_id(key_id)
        self.begin(key_id, now)
        return True

    def promote(self, key: KeyState, retired_until: Nanos) -> None:
        """Make a renegotiation that has succeeded the primary one; the one before it listens until then."""
        self.retired, self._retired_until = self.primary, retired_until
        self.primary = key
        self.pending = None

    def expire(self, now: Nanos) -> None:
        """Forget the retired negotiation when its time is over."""
        if self.retired is not None and now >= self._retired_until:
            self.retired = None

    def deadlines(self, hand_window: Nanos) -> list[Nanos]:
        """Times at which a message is due, a handshake has lasted too long, or `expire` has something to do."""
        times: list[Nanos] = []
        for key in self.live:
            due = key.reliability.next_deadline()
            if due is not None:
                times.append(due)
            if key.stage is not Stage.ACTIVE:
                times.append(key.started_at + hand_window)
        if self.retired is not None:
            times.append(self._retired_until)
        return times

    def data_keys(self, key: KeyState, use_export: bool) -> bytes:
        """256 bytes of data-channel keys that a finished negotiation gives."""
        return key.data_keys(self.remote_id, self._session_id, use_export)

    # -- plain data ------------------------------------------------------------------------------------------------

    def export(self) -> NegotiationsState | None:
        """State of a session whose primary negotiation is ACTIVE, for `restore`; None for any other."""
        primary = self.primary
        if primary is None or primary.stage is not Stage.ACTIVE:
            return None
        return NegotiationsState(
            session_id=self._session_id,
            remote_id=self.remote_id,
            last_key_id=self._last_key_id,
            key_id=primary.key_id,
            started_at=primary.started_at,
            identity=primary.identity,
            reliability=primary.reliability.export(),
            wrap=self.wrap.export(),
        )

    def restore(self, state: NegotiationsState) -> None:
        """Take the primary negotiation of another session, without its TLS connection."""
        self._session_id, self.remote_id = state.session_id, state.remote_id
        self._allowance = None
        self._last_key_id = state.last_key_id
        self.wrap.restore(state.wrap)
        self.primary = self._fresh_key(state.key_id, state.started_at)
        self.primary.restore(state.identity, state.reliability)

    def _fresh_key(self, key_id: int, now: Nanos) -> KeyState:
        return KeyState(self._profile, key_id, now, self._messages, self.wrap.overhead)


def _fresh_session_id(random: Random) -> bytes:
    while (session_id := random(wire.SESSION_ID_LEN)) == wire.NO_SESSION_ID:
        pass
    return session_id


def _next_key_id(key_id: int) -> int:
    """0, 1, … 7, 1, …: 0 is for the first keys of a session only (OpenVPN ssl.c)."""
    return key_id % (wire.KEY_IDS - 1) + 1
