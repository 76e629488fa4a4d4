"""One client's OpenVPN session: records in, records out, over any transport.

The data path goes straight to data/keyring.py; everything else is here: the wrap, resets, negotiations by key id,
authentication, push, keepalive, renegotiation, the end (OpenVPN ssl.c, push.c, multi.c).
"""

from __future__ import annotations

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.agreement import (
    PROTO_AUTH_FAIL_TEMP,
    PROTO_REQUEST_PUSH,
    Agreement,
    Disagreement,
    agree,
    proto_bits,
)
from hognose.openvpn.control.key_state import KeyState, Stage
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.control.misconfiguration import explain_first_packet
from hognose.openvpn.control.push import Admission, push_options, push_replies
from hognose.openvpn.control.session_wrap import DYNAMIC_LABEL, DYNAMIC_LEN, SessionWrap
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.liveness import Liveness
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.renegotiation import RenegotiationClock
from hognose.openvpn.session_events import (
    Authenticated,
    Disagreed,
    EndReason,
    Established,
    Renegotiated,
    RenegotiationFailed,
    SessionEvent,
)
from hognose.units import SECOND, Nanos, Random, UnixSeconds
from hognose.wire import openvpn as wire

PUSH_RESEND_GUARD: Nanos = 30 * SECOND  # OpenVPN push.c: no second reply to requests that crossed the first
EXIT_DELAY: Nanos = 5 * SECOND  # after AUTH_FAILED, so that the client can fetch it
TEMPORARY_BACKOFF_S = 10  # seconds that a client is asked to wait after a temporary refusal


class Session:
    """Bounds: two negotiations at a time and a third that only listens; see KeyState, Keyring, Reliability.

    One call does the work of one TLS flight at most: `receive` files the control messages after it, `has_work` says
    that they wait, each `work` takes the next flight. Data records, acknowledgements and timers do not wait for it.
    """

    def __init__(
        self,
        profile: ServerProfile,
        *,
        random: Random,
        now: Nanos,
        unix: UnixSeconds,
        counters: Counters,
    ) -> None:
        self.ended: EndReason | None = None
        self.attention = True  # poll, events or ended may have something new
        self._turn_taken = False  # TLS has had its flight in this call
        self.has_work = False  # control messages or records wait for `work`, to be called before `receive`
        self._held: list[bytes] = []  # records after the control_turn control messages of one call
        self._profile = profile
        self._random = random
        self._counters = counters
        self._wrap = SessionWrap(profile.wrap)
        self._session_id = self._fresh_session_id()
        self._remote_id = b""
        self._messages = MessageReader(counters, profile.limits)
        self._primary: KeyState | None = None  # the newest negotiation that is ACTIVE, or the first one
        self._pending: KeyState | None = None  # a renegotiation under way
        self._last_key_id = 0  # of the newest attempt, failed or not: OpenVPN ssl.c key_state_init
        self._retired: KeyState | None = None  # the one before primary: may still say something (OpenVPN 3)
        self._retired_until: Nanos = 0
        self._data = Keyring(counters)
        self._events: list[SessionEvent] = []
        self._admission: Admission | None = None
        self._agreement: Agreement | None = None
        self._push_requested = False
        self._pushed_at: Nanos = -PUSH_RESEND_GUARD
        self._started_at = now
        self._liveness = Liveness(now)
        self._renegotiation = RenegotiationClock(profile.renegotiation, random, now)
        self._end_at: tuple[Nanos, EndReason] | None = None
        self._peer_info: dict[str, str] = {}
        self._certificate = b""  # SHA-256 of the client's; a renegotiation must show the same

    # -- in and out ------------------------------------------------------------------------------------------------

    @property
    def bytes_in(self) -> int:
        """Inner bytes received."""
        return self._data.payloads.bytes_in

    @property
    def bytes_out(self) -> int:
        """Inner bytes sent."""
        return self._data.bytes_out

    @property
    def cipher(self) -> str:
        """The cipher of the data channel; "" before it was agreed."""
        return self._agreement.cipher if self._agreement is not None else ""

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """DER certificates of the client, its own first; () before TLS is done."""
        tls = self._primary.tls if self._primary is not None else None
        return tls.peer_chain if tls is not None and tls.handshake_done else ()

    @property
    def greeted(self) -> bool:
        """True when a valid hard reset came: the peer holds the key of the wrap, if there is one."""
        return self._primary is not None

    @property
    def remote_id(self) -> bytes:
        """The client's session id; b"" before its hard reset."""
        return self._remote_id

    @property
    def in_tls(self) -> bool:
        """True during the first TLS handshake: a client that goes away now rejects our certificate or settings."""
        return self._primary is not None and self._primary.stage is Stage.TLS

    def work(self, now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Take one turn at waiting input: one TLS flight, or else the records that receive left; as receive does."""
        packets: list[bytes] = []
        self.attention = True
        self._turn_taken = False
        try:
            waiting = [key for key in (self._primary, self._pending, self._retired) if key is not None]
            if any(key.reliability.ready for key in waiting):
                for key in waiting:
                    if self.ended is None:
                        self._advance(key, now, unix)
            elif self.ended is None:
                held, self._held = self._held, []
                self._receive_mixed(held, 0, packets, now, unix)
        except PeerError as error:
            self._finish(error.reason, error.detail)
        self.has_work = self._is_anything_left()
        return packets

    def receive(self, records: list[bytes], now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Take whole records in order; returns inner packets. A broken rule sets `ended`, nothing is raised.

        The caller bounds the records of one call; `control_turn` control messages of them are worked on, the records
        after those wait for `work`. While `has_work` the caller calls that, and hands in no more.
        """
        packets: list[bytes] = []
        if self.ended is not None:
            return packets
        if self._held:
            self._held += records
            return self.work(now, unix)
        if self._data.current is not None:
            index = self._open(records, 0, packets, now)
            if index == len(records):  # the data path ends here
                if self._data.payloads.exit_seen:
                    self._finish(DropReason.PEER_EXIT, "the client said goodbye")
                elif self._renegotiation.used_up(self._profile.renegotiation, self._data):
                    self._start_renegotiation(now)
                return packets
        else:
            index = 0
        self.attention = True
        self._turn_taken = False
        try:
            self._receive_mixed(records, index, packets, now, unix)
        except PeerError as error:
            self._finish(error.reason, error.detail)
        self.has_work = self._is_anything_left()
        return packets

    def _is_anything_left(self) -> bool:
        if self._held:
            return self.ended is None
        keys = (self._primary, self._pending, self._retired)
        return self.ended is None and any(key is not None and key.reliability.ready for key in keys)

    def seal(self, packets: list[bytes], now: Nanos) -> list[bytes]:
        """Data records for inner packets; [] before there are keys (counted)."""
        self._liveness.last_sent = now
        return self._data.seal(packets, now)

    def poll(self, now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Control records, acknowledgements and pings that are due."""
        self.attention = False
        since = self._primary.reliability.unacknowledged_since if self._primary is not None else None
        if (
            since is not None
            and self._data.current is not None
            and now - since > self._profile.limits.control_age_s * SECOND
        ):
            self._finish(DropReason.RETRANSMIT_LIMIT, "the client takes no control messages")
        records: list[bytes] = []
        for key in (self._primary, self._pending, self._retired):
            if key is not None:
                self._poll_key(key, records, now, unix)
        if (
            not records
            and self._data.current is not None
            and self.ended is None
            and self._liveness.ping_due(self._profile.liveness, now)
        ):
            records += self._data.ping(now)
        if records:
            self._liveness.last_sent = now
        return records

    def take_events(self) -> list[SessionEvent]:
        """Drained events."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    # -- the gateway's answers -------------------------------------------------------------------------------------

    def admit(self, admission: Admission, now: Nanos) -> None:
        """Let the client in: keys and PUSH_REPLY follow as soon as our key message is acknowledged."""
        self._admission = admission
        self._data.peer_id = admission.peer_id
        self._establish(now)

    def refuse(
        self, text: str, now: Nanos, reason: DropReason = DropReason.CERTIFICATE_REJECTED, *, temporary: bool = False
    ) -> None:
        """Refuse the client, at first or later: AUTH_FAILED with the text, the end EXIT_DELAY later.

        temporary: the client is asked to try again; one that does not know how (IV_PROTO bit 8) would give up for
        good when it saw AUTH_FAILED, so it is told nothing and finds its connection closed.
        """
        key = self._primary
        self._counters.drop(reason)
        self._end_at = (now + EXIT_DELAY, EndReason(reason, f"refused: {text}", told=True))
        if key is None or key.tls is None or not key.tls.handshake_done:
            return
        if not temporary:
            key.send_message(f"AUTH_FAILED,{text}")
        elif proto_bits(self._peer_info) & PROTO_AUTH_FAIL_TEMP:
            key.send_message(f"AUTH_FAILED,TEMP[backoff {TEMPORARY_BACKOFF_S},advance no]:{text}")

    def shutdown(self, now: Nanos) -> None:
        """End in order: the client is asked to reconnect, passwords kept (OpenVPN push.c send_restart)."""
        if self._data.current is not None and self._primary is not None:
            self._primary.send_message("RESTART,[P]")

    def replace_profile(self, profile: ServerProfile) -> None:
        """Take settings that were read anew: timers and certificate checks go by them from now on."""
        self._profile = profile

    # -- time ------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> Nanos | None:
        """Earliest of all timers."""
        if self.ended is not None:
            return None
        times: list[Nanos] = []
        hand_window = self._profile.control.hand_window_s * SECOND
        for key in (self._primary, self._pending, self._retired):
            if key is not None:
                due = key.reliability.next_deadline()
                if due is not None:
                    times.append(due)
                if key.stage is not Stage.ACTIVE:
                    times.append(key.started_at + hand_window)
        if self._data.current is None:
            times.append(self._started_at + hand_window)
        if self._retired is not None:
            times.append(self._retired_until)
        if self._data.current is not None:
            times += self._liveness.deadlines(self._profile.liveness)
            times.append(self._renegotiation.look_at(self._profile.renegotiation, self._pending is not None))
            key_time = self._data.next_deadline()
            if key_time is not None:
                times.append(key_time)
        if self._end_at is not None:
            times.append(self._end_at[0])
        return min(times, default=None)

    def handle_deadline(self, now: Nanos, unix: UnixSeconds) -> None:
        """Run every timer that is due; its records leave with the next poll."""
        if self.ended is not None:
            return
        profile = self._profile
        if self._end_at is not None and now >= self._end_at[0]:
            self.ended = self._end_at[1]
            return
        hand_window = profile.control.hand_window_s * SECOND
        if self._data.current is None:
            if now - self._started_at >= hand_window:
                self._finish(DropReason.HANDSHAKE_TIMEOUT, "the handshake was not completed within hand-window")
            return
        over = self._liveness.over(profile.liveness, self._data.payloads.bytes_in + self._data.bytes_out, now)
        if over is not None:
            self._finish(*over)
            return
        self._data.handle_deadline(now)
        if self._retired is not None and now >= self._retired_until:
            self._retired = None
        if self._pending is not None and now - self._pending.started_at >= hand_window:
            self._give_up_renegotiation("the client did not complete it within hand-window", now)
        if self._renegotiation.due(profile.renegotiation, self._data, now):
            self._start_renegotiation(now)

    # -- records ---------------------------------------------------------------------------------------------------

    def _receive_mixed(
        self, records: list[bytes], index: int, packets: list[bytes], now: Nanos, unix: UnixSeconds
    ) -> None:
        """Take control and data records in the order they came, until control_turn control messages are worked on.

        Records after a goodbye are not looked at: they would begin negotiations of a session that is over.
        """
        left = self._profile.limits.control_turn
        while index < len(records) and self.ended is None and not self._data.payloads.exit_seen:
            record = records[index]
            if not record:  # a datagram may be empty
                self._counters.drop(DropReason.BAD_CONTROL_PACKET)
            elif record[0] >> 3 in (wire.DATA_V2, wire.DATA_V1):
                if self._data.current is not None:
                    index = self._open(records, index, packets, now)
                    continue
                if self._primary is None:
                    raise PeerError(DropReason.NO_HARD_RESET, explain_first_packet(self._profile.wrap, record))
                self._counters.drop(DropReason.NO_DATA_KEY)
            elif left:
                left -= 1
                self._control(record, now, unix)
            else:
                self._held = records[index:]
                break
            index += 1
        if self._data.payloads.exit_seen:
            self._finish(DropReason.PEER_EXIT, "the client said goodbye")

    def _open(self, records: list[bytes], index: int, packets: list[bytes], now: Nanos) -> int:
        """Open data records from `index` on; only an authentic one shows that the client is alive."""
        before = len(packets), self._data.payloads.control_payloads
        index = self._data.open(records, index, packets, now)
        if before != (len(packets), self._data.payloads.control_payloads):
            self._liveness.last_received = now
        return index

    def _control(self, record: bytes, now: Nanos, unix: UnixSeconds) -> None:
        opcode, key_id = record[0] >> 3, record[0] & 7
        first = self._primary is None
        opened = self._wrap.open_first(record, unix) if first else self._wrap.open(record)
        if isinstance(opened, DropReason):
            self._counters.drop(opened)
            return
        session_id, body_bytes = opened
        body = wire.parse_control_body(opcode, body_bytes)
        if body is None or session_id == wire.NO_SESSION_ID:
            if first:
                raise PeerError(DropReason.BAD_CONTROL_PACKET, explain_first_packet(self._profile.wrap, record))
            self._counters.drop(DropReason.BAD_CONTROL_PACKET)
            return
        if first:
            # The client's hard reset: the only packet that begins anything.
            if key_id != 0 or body.message_id != 0:
                raise PeerError(DropReason.BAD_CONTROL_PACKET, explain_first_packet(self._profile.wrap, record))
            self._remote_id = session_id
            self._primary = self._fresh_key(0, now)
            self._primary.reliability.queue(wire.HARD_RESET_SERVER_V2, b"")
        self._liveness.last_received = now
        if session_id != self._remote_id or (body.acks and body.remote_session_id != self._session_id):
            self._counters.drop(DropReason.WRONG_SESSION_ID)
            return
        key = self._key_for(opcode, key_id, body, now)
        if key is None:
            self._counters.drop(DropReason.BAD_OPCODE)
            return
        unsent = key.reliability.acknowledged(body.acks)
        if unsent:
            self._counters.drop(DropReason.BAD_CONTROL_ACK, unsent)
        if body.message_id >= 0 and not key.reliability.receive(body.message_id, opcode, body.payload):
            self._counters.drop(DropReason.RECEIVE_WINDOW_FULL)
        self._advance(key, now, unix)

    def _key_for(self, opcode: int, key_id: int, body: wire.ControlBody, now: Nanos) -> KeyState | None:
        """The negotiation that a control packet belongs to; a soft reset may open one."""
        primary = self._primary
        for key in (self._pending, primary, self._retired):
            if key is not None and key_id == key.key_id:
                return key
        if (
            opcode == wire.SOFT_RESET_V1
            and body.message_id == 0
            and self._pending is None
            and primary is not None
            and self._data.current is not None
            and key_id != 0  # any id: the client may have counted attempts that never arrived
        ):
            self._data.use_newest()
            if self._renegotiation.client_may(now):
                return self._begin_pending(key_id, now)
        return None

    # -- negotiation -----------------------------------------------------------------------------------------------

    def _fresh_key(self, key_id: int, now: Nanos) -> KeyState:
        return KeyState(self._profile, key_id, now, self._messages, self._wrap.overhead)

    def _begin_pending(self, key_id: int, now: Nanos) -> KeyState:
        self._data.use_newest()
        self._pending = self._fresh_key(key_id, now)
        self._last_key_id = key_id
        self._pending.reliability.queue(wire.SOFT_RESET_V1, b"")
        self._renegotiation.restart(self._profile.renegotiation, now)
        return self._pending

    def _start_renegotiation(self, now: Nanos) -> None:
        """Send our own soft reset: by time, by use, or because a key is worn out."""
        primary = self._primary
        if self._pending is None and self._end_at is None and primary is not None and primary.stage is Stage.ACTIVE:
            key_id = _next_key_id(self._last_key_id)
            if key_id == primary.key_id:  # seven attempts in a row have failed; the key in use keeps its id
                key_id = _next_key_id(key_id)
            self._begin_pending(key_id, now)
            self.attention = True

    def _give_up_renegotiation(self, detail: str, now: Nanos) -> None:
        """Give up a renegotiation: the old key is still in use; another try follows after another reneg-sec."""
        self._counters.drop(DropReason.RENEGOTIATION_FAILED)
        self._events.append(RenegotiationFailed(detail))
        self._pending = None
        self._renegotiation.restart(self._profile.renegotiation, now)
        self.attention = True

    def _advance(self, key: KeyState, now: Nanos, unix: UnixSeconds) -> None:
        """Work on messages in order, up to the first flight unless TLS had its turn; keys may become active."""
        try:
            if key.progress():
                self._active(key, now)
            while not self._turn_taken and key.reliability.ready:
                had_key = key.client is not None
                messages, self._turn_taken = key.take(unix)
                if key.client is not None and not had_key:
                    self._key_received(key, now, unix)
                for message in messages:
                    self._message(message, now)
        except PeerError as error:
            self._turn_taken = True
            if key is self._retired:
                self._retired = None
                return
            # A renegotiation that fails costs itself only, unless the certificate is no longer good.
            if key is not self._pending or error.reason is DropReason.CERTIFICATE_REJECTED:
                raise
            self._give_up_renegotiation(error.detail, now)

    def _key_received(self, key: KeyState, now: Nanos, unix: UnixSeconds) -> None:
        """Check the client's key message and answer it."""
        client, tls = key.client, key.tls
        assert client is not None
        assert tls is not None
        if not key.judged_by(self._profile.tls):  # a reload came between
            text = self._profile.tls.recheck(tls.peer_chain, unix)
            if text:
                raise PeerError(DropReason.CERTIFICATE_REJECTED, text)
        if key is self._pending and self._primary is not None:
            # OpenVPN ssl_verify.c tls_lock_common_name, cert_hash_compare.
            if key.common_name != self._primary.common_name or tls.certificate_sha256 != self._certificate:
                raise PeerError(DropReason.CERTIFICATE_REJECTED, "another certificate at renegotiation")
            key.answer(self._random, self.cipher)
            return
        self._certificate = tls.certificate_sha256
        self._peer_info = client.peer_info
        agreed = agree(self._profile, client)
        if isinstance(agreed, Disagreement):
            key.answer(self._random, None)
            self.refuse(agreed.to_client, now, agreed.reason)
            self._events.append(Disagreed(key.common_name, agreed.reason, agreed.detail))
            return
        self._agreement = agreed
        key.answer(self._random, agreed.cipher)
        version = " ".join(self._peer_info.get(name, "") for name in ("IV_VER", "IV_PLAT")).strip()
        self._events.append(Authenticated(key.common_name, version or "unknown", self._peer_info, self._wrap.metadata))

    def _active(self, key: KeyState, now: Nanos) -> None:
        """Take the acknowledgement of our key message: the first keys wait for admission, later ones are installed."""
        if key is self._primary:
            self._establish(now)
            return
        self._install(key, now)
        self._retired, self._retired_until = self._primary, now + self._profile.control.hand_window_s * SECOND
        self._primary = key
        self._pending = None
        assert key.tls is not None
        wrap = "dynamic" if self._wrap.dynamic else self._wrap.kind
        self._events.append(Renegotiated(key.key_id, key.tls.version, wrap))

    def _establish(self, now: Nanos) -> None:
        """Install data keys and send PUSH_REPLY, once both the admission and the acknowledgement are there."""
        key, agreement = self._primary, self._agreement
        if self._admission is None or key is None or key.stage is not Stage.ACTIVE or self._data.current is not None:
            return
        assert agreement is not None
        assert key.tls is not None
        self._install(key, now)
        if agreement.dynamic_tls_crypt:
            self._wrap.use_dynamic(key.tls.export(DYNAMIC_LABEL, DYNAMIC_LEN))
        self._liveness.established(now)
        header = ("V2" if agreement.v2 else "V1") + ("+epoch" if agreement.epoch else "")
        source = "tls-ekm" if agreement.use_export else "prf"
        self._events.append(Established(agreement.cipher, source, self._wrap.kind, key.tls.version, header))
        # IV_PROTO REQUEST_PUSH: the client waits for the reply without asking.
        if proto_bits(self._peer_info) & PROTO_REQUEST_PUSH or self._push_requested:
            self._push(now)

    def _install(self, key: KeyState, now: Nanos) -> None:
        agreement, profile = self._agreement, self._profile
        assert agreement is not None
        keys = key.data_keys(self._remote_id, self._session_id, agreement.use_export)
        # OpenVPN ssl.c key_state_soft_reset: the old key goes on sealing for a while, both open.
        reneg = profile.renegotiation.reneg_s or profile.control.hand_window_s * 2
        switch_at = key.started_at + min(profile.control.hand_window_s, reneg // 2) * SECOND
        expires_at = key.started_at + profile.control.tran_window_s * SECOND
        data_format = DataFormat(
            cipher=agreement.cipher,
            digest=profile.wrap.digest,
            framing=agreement.framing,
            epoch=agreement.epoch,
            v2=agreement.v2,
            replay_window=profile.data.replay_window,
            replay_time=profile.data.replay_time_s,
        )
        data_key = DataKey.negotiated(key.key_id, data_format, keys, self._random)
        self._data.install(data_key, now, switch_at, max(expires_at, switch_at + 1))

    # -- control strings -------------------------------------------------------------------------------------------

    def _message(self, text: str, now: Nanos) -> None:
        if text == "PUSH_REQUEST":
            self._push_requested = True
            if self._data.current is not None:
                self._push(now)
        elif text == "EXIT":
            self._finish(DropReason.PEER_EXIT, "the client said goodbye")
        else:
            self._counters.drop(DropReason.BAD_CONTROL_MESSAGE)

    def _push(self, now: Nanos) -> None:
        key, admission, agreement = self._primary, self._admission, self._agreement
        if now - self._pushed_at < PUSH_RESEND_GUARD or key is None or admission is None or agreement is None:
            return
        if self._end_at is not None:  # it was refused: nothing is given to it any more (CVE-2024-28882)
            return
        if not key.reliability.idle:  # the one before is still on its way: a peer that takes none could fill the queue
            return
        self._pushed_at = now
        for reply in push_replies(push_options(self._profile, admission, agreement, self._peer_info)):
            key.send_message(reply)

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
    return key_id % (wire.KEY_IDS - 1) + 1
