"""One client's OpenVPN session: records in, records out; it does not know what carries them.

The data path goes straight to data_channel.py; everything else is here: the wrap, resets, negotiations by key id,
authentication, push, keepalive, renegotiation, the end (OpenVPN ssl.c, push.c, multi.c).
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.openvpn import negotiation
from hognose.openvpn.control_messages import MessageReader
from hognose.openvpn.control_wrap import ControlWrap, explain, make_wrap
from hognose.openvpn.data_channel import DataChannel, DataKey
from hognose.openvpn.data_format import DataFormat
from hognose.openvpn.key_state import KeyState, Stage
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.push import Admission, push_options, push_replies
from hognose.units import SECOND, Nanos, Random, UnixSeconds
from hognose.wire import openvpn as wire

PUSH_RESEND_GUARD: Nanos = 30 * SECOND  # OpenVPN push.c: no second reply to requests that crossed the first
EXIT_DELAY: Nanos = 5 * SECOND  # after AUTH_FAILED, so that the client can fetch it
RENEGOTIATION_INTERVAL: Nanos = 10 * SECOND  # a client cannot make us negotiate more often (facts 4.2)
_RESET_OPCODES = (wire.HARD_RESET_CLIENT_V1, wire.HARD_RESET_CLIENT_V2, wire.HARD_RESET_CLIENT_V3)


@dataclass(frozen=True, slots=True)
class Authenticated:
    """TLS, certificate and key exchange are good: the gateway must admit or refuse."""

    common_name: str
    version: str  # IV_VER and platform, as the client says
    peer_info: dict[str, str]


@dataclass(frozen=True, slots=True)
class Established:
    """The first data keys are in place and options were pushed."""

    cipher: str
    key_source: str  # tls-ekm or prf
    wrap: str
    tls: str
    header: str  # V2 or V1 data packets


@dataclass(frozen=True, slots=True)
class Renegotiated:
    """New data keys are in place."""

    key_id: int
    tls: str


@dataclass(frozen=True, slots=True)
class EndReason:
    """Why the session is over; detail is for one log line."""

    reason: DropReason
    detail: str = ""


SessionEvent = Authenticated | Established | Renegotiated


class Session:
    """Bounds: two negotiations at a time, see KeyState, DataChannel and Reliability for theirs."""

    def __init__(
        self,
        profile: ServerProfile,
        *,
        log_id: int,
        random: Random,
        now: Nanos,
        unix: UnixSeconds,
        counters: Counters,
    ) -> None:
        self.log_id = log_id
        self.ended: EndReason | None = None
        self.attention = True  # something may have to be said or done: poll, events, ended
        self._profile = profile
        self._random = random
        self._counters = counters
        self._wrap: ControlWrap = make_wrap(profile.wrap)
        self._session_id = self._fresh_session_id()
        self._remote_id = b""
        self._messages = MessageReader(counters)
        self._primary: KeyState | None = None  # the newest negotiation that is ACTIVE, or the first one
        self._pending: KeyState | None = None  # a renegotiation under way
        self._data = DataChannel(counters)
        self._events: list[SessionEvent] = []
        self._admission: Admission | None = None
        self._cipher = ""
        self._use_export = False
        self._v2 = True  # data packets with a peer id
        self._push_requested = False
        self._pushed_at: Nanos = -PUSH_RESEND_GUARD
        self._started_at = now
        self._renegotiated_at = now
        self._last_received = now
        self._last_sent = now
        self._end_at: tuple[Nanos, EndReason] | None = None
        self._peer_info: dict[str, str] = {}

    # -- in and out ------------------------------------------------------------------------------------------------

    @property
    def bytes_in(self) -> int:
        """Inner bytes received."""
        return self._data.bytes_in

    @property
    def bytes_out(self) -> int:
        """Inner bytes sent."""
        return self._data.bytes_out

    def receive(self, records: list[bytes], now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Take whole records in order; returns inner packets. A broken rule sets `ended`, nothing is raised."""
        packets: list[bytes] = []
        if self.ended is not None:
            return packets
        if self._data.established:
            index = self._open(records, 0, packets, now)
            if index == len(records):  # the data path ends here
                if self._data.exit_seen:
                    self._finish(DropReason.PEER_EXIT, "the client said goodbye")
                return packets
        else:
            index = 0
        self.attention = True
        try:
            self._receive_mixed(records, index, packets, now, unix)
        except PeerError as error:
            self._finish(error.reason, error.detail)
        return packets

    def seal(self, packets: list[bytes], now: Nanos) -> list[bytes]:
        """Data records for inner packets; [] before there are keys (counted)."""
        self._last_sent = now
        return self._data.seal(packets, now)

    def poll(self, now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Control records, acknowledgements and pings that are due."""
        self.attention = False
        records: list[bytes] = []
        if self._primary is not None:
            self._poll_key(self._primary, records, now, unix)
        if self._pending is not None:
            self._poll_key(self._pending, records, now, unix)
        ping = self._profile.ping_s * SECOND
        if ping and self._data.established and self.ended is None and not records and now - self._last_sent >= ping:
            records += self._data.ping(now)
        if records:
            self._last_sent = now
        return records

    def take_events(self) -> list[SessionEvent]:
        """Drained events."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    # -- the gateway's answers -------------------------------------------------------------------------------------

    def admit(self, admission: Admission, now: Nanos) -> None:
        """The client may enter: keys and PUSH_REPLY follow as soon as our key message is acknowledged."""
        self._admission = admission
        self._data.peer_id = admission.peer_id
        self._establish(now)

    def refuse(self, reason: str, now: Nanos) -> None:
        """The client may not enter: AUTH_FAILED with the reason, the end a moment later."""
        if self._primary is not None and self._primary.tls is not None:
            self._primary.send_message(f"AUTH_FAILED,{reason}")
        self._end_at = (now + EXIT_DELAY, EndReason(DropReason.CERTIFICATE_REJECTED, f"refused: {reason}"))

    def shutdown(self, now: Nanos) -> None:
        """An orderly end: the client is asked to reconnect (OpenVPN push.c send_restart)."""
        if self._data.established and self._primary is not None:
            self._primary.send_message("RESTART")

    # -- time ------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> Nanos | None:
        """Earliest of all timers."""
        if self.ended is not None:
            return None
        times: list[Nanos] = []
        for key in (self._primary, self._pending):
            if key is not None:
                due = key.reliability.next_deadline()
                if due is not None:
                    times.append(due)
                if key.stage is not Stage.ACTIVE:
                    times.append(key.started_at + self._profile.hand_window_s * SECOND)
        if self._primary is None:
            times.append(self._started_at + self._profile.hand_window_s * SECOND)
        if self._data.established:
            if self._profile.ping_s:
                times.append(self._last_sent + self._profile.ping_s * SECOND)
            if self._profile.ping_timeout_s:
                times.append(self._last_received + self._profile.ping_timeout_s * SECOND)
            if self._profile.reneg_s and self._pending is None:
                times.append(self._renegotiated_at + self._profile.reneg_s * SECOND)
            key_time = self._data.next_deadline()
            if key_time is not None:
                times.append(key_time)
        if self._end_at is not None:
            times.append(self._end_at[0])
        return min(times, default=None)

    def handle_deadline(self, now: Nanos, unix: UnixSeconds) -> None:
        """Do what is due; what is to be sent comes with the next poll."""
        if self.ended is not None:
            return
        profile = self._profile
        if self._end_at is not None and now >= self._end_at[0]:
            self.ended = self._end_at[1]
            return
        hand_window = profile.hand_window_s * SECOND
        if not self._data.established:
            if now - self._started_at >= hand_window:
                self._finish(DropReason.HANDSHAKE_TIMEOUT, "the handshake was not completed within hand-window")
            return
        if profile.ping_timeout_s and now - self._last_received >= profile.ping_timeout_s * SECOND:
            self._finish(DropReason.PEER_TIMEOUT, "nothing was received within the keepalive time")
            return
        self._data.handle_deadline(now)
        if self._pending is not None and now - self._pending.started_at >= hand_window:
            self._counters.drop(DropReason.RENEGOTIATION_FAILED)
            self._pending = None
            self._renegotiated_at = now  # try again after another reneg-sec; the old key is still in use
        due = profile.reneg_s and now - self._renegotiated_at >= profile.reneg_s * SECOND
        if (due or self._data.worn_out) and self._pending is None:
            self._start_renegotiation(now)

    # -- records ---------------------------------------------------------------------------------------------------

    def _receive_mixed(
        self, records: list[bytes], index: int, packets: list[bytes], now: Nanos, unix: UnixSeconds
    ) -> None:
        """Control and data records in the order they came."""
        while index < len(records):
            opcode = records[index][0] >> 3
            if opcode in (wire.DATA_V2, wire.DATA_V1):
                if self._data.established:
                    index = self._open(records, index, packets, now)
                    continue
                if self._primary is None:
                    raise PeerError(DropReason.NO_HARD_RESET, _explain_first(opcode))
                self._counters.drop(DropReason.NO_DATA_KEY)
            else:
                self._control(records[index], now, unix)
            index += 1
        if self._data.exit_seen:
            self._finish(DropReason.PEER_EXIT, "the client said goodbye")

    def _open(self, records: list[bytes], index: int, packets: list[bytes], now: Nanos) -> int:
        """Data records from `index` on; only what was authentic shows that the client is alive."""
        before = len(packets), self._data.unusual_in
        index = self._data.open_run(records, index, packets, now)
        if before != (len(packets), self._data.unusual_in):
            self._last_received = now
        return index

    def _control(self, record: bytes, now: Nanos, unix: UnixSeconds) -> None:
        opcode, key_id = record[0] >> 3, record[0] & 7
        first = self._primary is None
        if first and opcode != wire.HARD_RESET_CLIENT_V2:
            raise PeerError(DropReason.NO_HARD_RESET, _explain_first(opcode))
        opened = self._wrap.open(record)
        if isinstance(opened, DropReason):
            if first:
                raise PeerError(opened, explain(self._profile.wrap, record, opened))
            self._counters.drop(opened)
            return
        session_id, body_bytes = opened
        body = wire.parse_control_body(opcode, body_bytes)
        if body is None or session_id == wire.NO_SESSION_ID:
            if first:
                raise PeerError(DropReason.BAD_CONTROL_PACKET, "the first packet is malformed")
            self._counters.drop(DropReason.BAD_CONTROL_PACKET)
            return
        if first:
            self._open_session(session_id, key_id, body, now)
        self._last_received = now
        if session_id != self._remote_id or (body.acks and body.remote_session_id != self._session_id):
            self._counters.drop(DropReason.WRONG_SESSION_ID)
            return
        key = self._key_for(opcode, key_id, body, now)
        if key is None:
            self._counters.drop(DropReason.BAD_OPCODE)
            return
        key.reliability.acknowledged(body.acks)
        if body.message_id >= 0 and not key.reliability.receive(body.message_id, opcode, body.payload):
            self._counters.drop(DropReason.RECEIVE_WINDOW_FULL)
        self._advance(key, now, unix)

    def _open_session(self, session_id: bytes, key_id: int, body: wire.ControlBody, now: Nanos) -> None:
        """The client's hard reset: the only packet that begins anything."""
        if key_id != 0 or body.message_id != 0:
            raise PeerError(DropReason.BAD_CONTROL_PACKET, "a hard reset must have key id 0 and message id 0")
        self._remote_id = session_id
        self._primary = KeyState(self._profile, 0, now, self._messages)
        self._primary.reliability.queue(wire.HARD_RESET_SERVER_V2, b"")

    def _key_for(self, opcode: int, key_id: int, body: wire.ControlBody, now: Nanos) -> KeyState | None:
        """The negotiation that a control packet belongs to; a soft reset may open one."""
        primary, pending = self._primary, self._pending
        if pending is not None and key_id == pending.key_id:
            return pending
        if primary is not None and key_id == primary.key_id:
            return primary
        if (
            opcode == wire.SOFT_RESET_V1
            and body.message_id == 0
            and pending is None
            and primary is not None
            and self._data.established
            and key_id == _next_key_id(primary.key_id)
            and now - self._renegotiated_at >= min(RENEGOTIATION_INTERVAL, self._shortest_renegotiation())
        ):
            return self._begin_pending(key_id, now)
        return None

    def _shortest_renegotiation(self) -> Nanos:
        return RENEGOTIATION_INTERVAL if self._renegotiated_at > self._started_at else 0

    def _begin_pending(self, key_id: int, now: Nanos) -> KeyState:
        self._pending = KeyState(self._profile, key_id, now, self._messages)
        self._pending.reliability.queue(wire.SOFT_RESET_V1, b"")
        self._renegotiated_at = now
        return self._pending

    def _start_renegotiation(self, now: Nanos) -> None:
        """Our own soft reset: by time, or because a key is worn out."""
        if self._primary is not None and self._primary.stage is Stage.ACTIVE:
            self._begin_pending(_next_key_id(self._primary.key_id), now)

    # -- negotiation -----------------------------------------------------------------------------------------------

    def _advance(self, key: KeyState, now: Nanos, unix: UnixSeconds) -> None:
        """Work on everything that is in order now."""
        try:
            for opcode, payload in key.reliability.in_order():
                had_key = key.client is not None
                messages = key.receive(opcode, payload, unix)
                if key.client is not None and not had_key:
                    self._key_received(key, now)
                for message in messages:
                    self._message(message, key, now)
            if key.progress():
                self._active(key, now)
        except PeerError as error:
            if key is not self._pending:
                raise
            # A renegotiation that fails costs itself only, unless the certificate is no longer good.
            if error.reason is DropReason.CERTIFICATE_REJECTED:
                raise
            self._counters.drop(DropReason.RENEGOTIATION_FAILED)
            self._pending = None

    def _key_received(self, key: KeyState, now: Nanos) -> None:
        """The client's key message is here: check what it says, answer."""
        client = key.client
        assert client is not None
        if key is self._pending and self._primary is not None:
            if key.common_name != self._primary.common_name:
                raise PeerError(DropReason.CERTIFICATE_REJECTED, "another certificate name at renegotiation")
            key.answer(self._random, self._cipher)
            return
        if negotiation.option_value(client.options, "dev-type") == "tap":
            raise PeerError(DropReason.BAD_KEY_METHOD, "the client uses `dev tap`; write `dev tun` in its config")
        self._peer_info = client.peer_info
        cipher = negotiation.choose_cipher(self._profile.ciphers, client.peer_info, client.options)
        proto = negotiation.proto_bits(client.peer_info)
        self._use_export = bool(proto & negotiation.PROTO_TLS_KEY_EXPORT) and bool(proto & negotiation.PROTO_CC_EXIT)
        self._v2 = bool(proto & negotiation.PROTO_DATA_V2)
        key.answer(self._random, cipher)
        if cipher is None:
            self._counters.drop(DropReason.NO_SHARED_CIPHER)
            self.refuse("Data channel cipher negotiation failed (no shared cipher)", now)
            assert self._end_at is not None
            offered = ":".join(negotiation.client_ciphers(client.peer_info)) or "none"
            self._end_at = (
                self._end_at[0],
                EndReason(DropReason.NO_SHARED_CIPHER, f"no shared data cipher; the client offers {offered}"),
            )
            return
        self._cipher = cipher
        version = " ".join(self._peer_info.get(name, "") for name in ("IV_VER", "IV_PLAT")).strip()
        self._events.append(Authenticated(key.common_name, version or "unknown", self._peer_info))

    def _active(self, key: KeyState, now: Nanos) -> None:
        """Our key message was acknowledged: the first keys wait for admission, later ones are installed."""
        if key is self._primary:
            self._establish(now)
            return
        self._install(key, now)
        self._primary = key
        self._pending = None
        assert key.tls is not None
        self._events.append(Renegotiated(key.key_id, key.tls.version))

    def _establish(self, now: Nanos) -> None:
        """Data keys and PUSH_REPLY, once both the admission and the acknowledgement are there."""
        key = self._primary
        if self._admission is None or key is None or key.stage is not Stage.ACTIVE or self._data.established:
            return
        self._install(key, now)
        assert key.tls is not None
        self._events.append(
            Established(
                self._cipher,
                "tls-ekm" if self._use_export else "prf",
                self._profile.wrap.kind,
                key.tls.version,
                "V2" if self._v2 else "V1",
            )
        )
        # IV_PROTO REQUEST_PUSH: the client waits for the reply without asking.
        if negotiation.proto_bits(self._peer_info) & negotiation.PROTO_REQUEST_PUSH or self._push_requested:
            self._push(now)

    def _install(self, key: KeyState, now: Nanos) -> None:
        keys = key.data_keys(self._remote_id, self._session_id, self._use_export)
        # OpenVPN ssl.c key_state_soft_reset: the old key goes on sealing for a while, both open.
        reneg = self._profile.reneg_s or self._profile.hand_window_s * 2
        switch_at = key.started_at + min(self._profile.hand_window_s, reneg // 2) * SECOND
        expires_at = key.started_at + self._profile.tran_window_s * SECOND
        data_key = DataKey(key.key_id, DataFormat(self._cipher, v2=self._v2), keys, self._random)
        self._data.install(data_key, now, switch_at, max(expires_at, switch_at + 1))

    # -- control strings -------------------------------------------------------------------------------------------

    def _message(self, text: str, key: KeyState, now: Nanos) -> None:
        if text == "PUSH_REQUEST":
            self._push_requested = True
            if self._data.established:
                self._push(now)
        elif text == "EXIT":
            self._finish(DropReason.PEER_EXIT, "the client said goodbye")
        else:
            self._counters.drop(DropReason.BAD_CONTROL_MESSAGE)

    def _push(self, now: Nanos) -> None:
        if now - self._pushed_at < PUSH_RESEND_GUARD or self._primary is None or self._admission is None:
            return
        self._pushed_at = now
        options = push_options(self._profile, self._admission, self._peer_info, self._cipher)
        for reply in push_replies(options):
            self._primary.send_message(reply)

    # -- small things ----------------------------------------------------------------------------------------------

    def _poll_key(self, key: KeyState, records: list[bytes], now: Nanos, unix: UnixSeconds) -> None:
        for opcode, message_id, payload, acks in key.reliability.poll(now):
            body = wire.build_control_body(acks, self._remote_id, message_id, payload)
            first = wire.first_byte(opcode or wire.ACK_V1, key.key_id)
            records.append(self._wrap.seal(first, self._session_id, body, unix))

    def _finish(self, reason: DropReason, detail: str) -> None:
        self.attention = True
        if self.ended is None:
            self.ended = EndReason(reason, detail)

    def _fresh_session_id(self) -> bytes:
        while (session_id := self._random(wire.SESSION_ID_LEN)) == wire.NO_SESSION_ID:
            pass
        return session_id


def _next_key_id(key_id: int) -> int:
    """0, 1, … 7, 1, …: 0 is for the first keys of a session only (OpenVPN ssl.c)."""
    return key_id % 7 + 1


def _explain_first(opcode: int) -> str:
    if opcode == wire.HARD_RESET_CLIENT_V3:
        return "the client uses tls-crypt-v2, which is not supported (yet)"
    if opcode in _RESET_OPCODES:
        return "the client uses key method 1, which nobody supports any more"
    return "the first packet is no hard reset of an OpenVPN client"
