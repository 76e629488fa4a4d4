"""The control channel of one session: from the hard reset to data keys, and to new ones (OpenVPN ssl.c, push.c).

Records go to control/negotiations.py; what its TLS connections say is acted on here. Data keys that come of it go into
the keyring; the gateway is told by events, and answers with admit or refuse.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.agreement import Disagreement
from hognose.openvpn.control.client_options import ClientOptions, ClientOptionsState, check_certificate
from hognose.openvpn.control.key_state import KeyState, Stage
from hognose.openvpn.control.negotiations import Negotiations, NegotiationsState
from hognose.openvpn.control.push import Admission
from hognose.openvpn.control.session_wrap import DYNAMIC_LABEL, DYNAMIC_LEN
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.data.sizes import inner_mss
from hognose.openvpn.liveness import Liveness
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.proof import AddressProof
from hognose.openvpn.renegotiation import RenegotiationClock
from hognose.openvpn.session_events import Disagreed, EndReason, Renegotiated, RenegotiationFailed, SessionEvent
from hognose.openvpn.session_stages import SessionStage, SessionStep, after
from hognose.units import SECOND, Nanos, Random, UnixSeconds

EXIT_DELAY: Nanos = 5 * SECOND  # after AUTH_FAILED, so that the client can fetch it; after EXIT, which may come again
RESTART_DELAY: Nanos = 2 * SECOND  # over datagrams, for the acknowledgement of RESTART (OpenVPN multi.c)
# The flags say that the client keeps its password (P) and, with N, goes to its next remote (push.c).
_RESTARTS = ("RESTART,[P]:the server restarts", "RESTART,[P]:the server restarts", "RESTART,[N]:the server goes away")


@dataclass(frozen=True, slots=True)
class ControlState:
    """The control channel of an established session as plain data."""

    options: ClientOptionsState
    negotiations: NegotiationsState


class ControlChannel:
    """Bounds: see Negotiations, ClientOptions; `events` are drained by the session.

    stage: of the session's life. end_at: time and reason of the end of a client that was refused, or is leaving over
    datagrams. exit_seen: the client said goodbye over a stream. data, liveness: the session's, told of new keys and of
    packets.
    """

    def __init__(
        self,
        profile: ServerProfile,
        data: Keyring,
        liveness: Liveness,
        *,
        random: Random,
        counters: Counters,
        now: Nanos,
        proof: AddressProof | None = None,
    ) -> None:
        self.stage = SessionStage.NEW if proof is None else SessionStage.HANDSHAKE
        self.events: list[SessionEvent] = []
        self.end_at: tuple[Nanos, EndReason] | None = None
        self.exit_seen = False
        self.negotiations = Negotiations(profile, random=random, now=now, counters=counters, proof=proof)
        self.options = ClientOptions()
        self.clock = RenegotiationClock(profile.renegotiation, random, now)
        self._profile = profile
        self._data = data
        self._liveness = liveness
        self._random = random
        self._counters = counters

    @property
    def inner_mss(self) -> int:
        """The MSS that inner TCP must fit, once both sides have agreed on a data channel."""
        return inner_mss(self._profile.data, self._profile.proto, self.options.data_format(self._profile))

    def packet_len(self, record_len: int) -> int:
        """Bytes of the largest inner packet in a record of `record_len` bytes, likewise."""
        return self.options.data_format(self._profile).packet_len(record_len)

    def replace_profile(self, profile: ServerProfile) -> None:
        """Take settings that were read anew."""
        self._profile = profile
        self.negotiations.replace_profile(profile)

    # -- what comes in ---------------------------------------------------------------------------------------------

    def take(self, record: bytes, now: Nanos, unix: UnixSeconds) -> None:
        """Take one record, count what is wrong with it; PeerError when that ends the session."""
        negotiations = self.negotiations
        packet = negotiations.open(record, now, unix)
        if packet is None:
            return
        self.stage = after(self.stage, SessionStep.HARD_RESET)
        self._liveness.last_received = now
        if not negotiations.is_of_session(packet):
            return
        key = negotiations.find(packet.key_id)
        if key is None and self._data.current is not None and negotiations.may_begin(packet):
            self._data.use_newest()
            if self.clock.client_may(now):
                key = negotiations.begin(packet.key_id, now)
                self.clock.restart(self._profile.renegotiation, now)
        if key is None:
            too_soon = packet.is_soft_reset  # while another is under way, or sooner than clients may
            self._counters.drop(DropReason.RENEGOTIATION_TOO_SOON if too_soon else DropReason.BAD_OPCODE)
            return
        negotiations.file(key, packet, now)
        if self.stage is SessionStage.LEAVING and key.reliability.idle and self.end_at is not None:
            end_at, reason = self.end_at
            if reason.reason is DropReason.SERVER_STOPPING:
                self.end_at = (min(now, end_at), reason)
        self._advance(key, now, unix)

    def work(self, now: Nanos, unix: UnixSeconds) -> None:
        """Work on messages that wait; PeerError as take."""
        for key in self.negotiations.live:
            if not self.exit_seen:
                self._advance(key, now, unix)

    def _advance(self, key: KeyState, now: Nanos, unix: UnixSeconds) -> None:
        """Work on messages in order, up to the first flight unless TLS had its turn; keys may become active."""
        negotiations = self.negotiations
        try:
            if key.progress():
                self._activate(key, now)
            while not negotiations.turn_taken and key.reliability.ready:
                had_key = key.client is not None
                messages, negotiations.turn_taken = key.take(unix)
                if key.client is not None and not had_key:
                    self._key_received(key, now, unix)
                for text in messages:
                    self._message(text, now)
        except PeerError as error:
            negotiations.turn_taken = True
            if key is negotiations.retired:
                negotiations.retired = None
                return
            # A renegotiation that fails costs itself only, unless the certificate is no longer good.
            if key is not negotiations.pending or error.reason is DropReason.CERTIFICATE_REJECTED:
                raise
            self._give_up(error.detail, now)

    def _key_received(self, key: KeyState, now: Nanos, unix: UnixSeconds) -> None:
        """Check the client's key message and answer it."""
        before = self.negotiations.primary if key is self.negotiations.pending else None
        check_certificate(key, before, self._profile, unix)
        if before is not None:
            key.answer(self._random, self.options.cipher)
            return
        found = self.options.answer(key, self._profile, self._random)
        if isinstance(found, Disagreement):
            self.refuse(found.to_client, now, found.reason)
            self.events.append(Disagreed(key.common_name, found.reason, found.detail))
            return
        self.stage = after(self.stage, SessionStep.KEY_MESSAGE)
        self.events.append(replace(found, client_key=self.negotiations.wrap.metadata))

    def _message(self, text: str, now: Nanos) -> None:
        primary = self.negotiations.primary
        if text == "PUSH_REQUEST":
            self.options.push.requested = True
            # One that was refused gets nothing any more (CVE-2024-28882).
            if self.stage is SessionStage.ESTABLISHED and primary is not None:
                self.options.send(primary, self._profile, now)
        elif text == "EXIT" and self._profile.proto == "udp":
            self._leave(now + EXIT_DELAY, EndReason(DropReason.PEER_EXIT, "the client said goodbye"))
        elif text == "EXIT":
            self.exit_seen = True
        else:
            self._counters.drop(DropReason.BAD_CONTROL_MESSAGE)

    def _activate(self, key: KeyState, now: Nanos) -> None:
        """Install the keys of a negotiation whose messages are all acknowledged; the first ones wait for admission."""
        options, profile, negotiations = self.options, self._profile, self.negotiations
        first = key is negotiations.primary
        if first and self.stage is not SessionStage.ADMITTED:
            return
        assert options.agreement is not None
        assert key.tls is not None
        keys = negotiations.data_keys(key, options.agreement.use_export)
        data_key = DataKey.negotiated(key.key_id, options.data_format(profile), keys, self._random)
        # OpenVPN ssl.c key_state_soft_reset: the old key goes on sealing for a while, both open.
        reneg = profile.renegotiation.reneg_s or profile.control.hand_window_s * 2
        switch_at = key.started_at + min(profile.control.hand_window_s, reneg // 2) * SECOND
        expires_at = key.started_at + profile.control.tran_window_s * SECOND
        self._data.install(data_key, now, switch_at, max(expires_at, switch_at + 1))
        wrap = negotiations.wrap
        if not first:
            negotiations.promote(key, now + profile.control.hand_window_s * SECOND)
            self.events.append(Renegotiated(key.key_id, key.tls.version, "dynamic" if wrap.dynamic else wrap.kind))
            return
        self.stage = after(self.stage, SessionStep.KEYS)
        if options.agreement.dynamic_tls_crypt:
            wrap.use_dynamic(key.tls.export(DYNAMIC_LABEL, DYNAMIC_LEN))
        self._liveness.established(now)
        self.events.append(options.established(wrap.kind, key.tls.version))
        if options.waits_for_push:
            options.send(key, profile, now)

    # -- the gateway's answers -------------------------------------------------------------------------------------

    def admit(self, admission: Admission, now: Nanos) -> None:
        """Let the client in: keys and PUSH_REPLY follow as soon as our key message is acknowledged.

        Too late for one that was refused or is gone.
        """
        self.stage = after(self.stage, SessionStep.ADMIT)
        primary = self.negotiations.primary
        if self.stage is not SessionStage.ADMITTED or primary is None:
            return
        self.options.push.admission = admission
        self._data.peer_id = admission.peer_id
        if primary.stage is Stage.ACTIVE:
            self._activate(primary, now)

    def refuse(self, text: str, now: Nanos, reason: DropReason, *, temporary: bool = False) -> None:
        """Refuse the client, at first or later: AUTH_FAILED with the text, the end EXIT_DELAY later."""
        self._counters.drop(reason)
        self.stage = after(self.stage, SessionStep.REFUSE)
        self.end_at = (now + EXIT_DELAY, EndReason(reason, f"refused: {text}", told=True))
        key = self.negotiations.primary
        if key is not None and key.tls is not None and key.tls.handshake_done:
            self.options.send_refusal(key, text, temporary=temporary)

    def shutdown(self, now: Nanos) -> None:
        """Ask the client to reconnect (OpenVPN push.c send_restart); over datagrams, wait for its acknowledgement.

        One that is leaving by itself, or was refused, is not asked and not waited for.
        """
        primary = self.negotiations.primary
        if self.end_at is not None and self.end_at[1].reason is not DropReason.SERVER_STOPPING:
            self.end_at = (now, self.end_at[1])
        elif self._data.current is not None and primary is not None and primary.tls is not None:
            primary.send_message(_RESTARTS[self._profile.control.exit_notify])
            if self._profile.proto == "udp":
                self._leave(now + RESTART_DELAY, EndReason(DropReason.SERVER_STOPPING, "", told=True))

    @property
    def leaving(self) -> bool:
        """True while a goodbye over datagrams may have to be repeated."""
        return self.stage is SessionStage.LEAVING

    def _leave(self, end_at: Nanos, reason: EndReason) -> None:
        self.stage = after(self.stage, SessionStep.LEAVE)
        if self.end_at is None:
            self.end_at = (end_at, reason)

    # -- renegotiation and time ------------------------------------------------------------------------------------

    def renegotiate(self, now: Nanos) -> bool:
        """Send our own soft reset: by time, by use, or because a key is worn out; False when it is no time for that."""
        if self.stage is not SessionStage.ESTABLISHED or not self.negotiations.begin_ours(now):
            return False
        self._data.use_newest()
        self.clock.restart(self._profile.renegotiation, now)
        return True

    def _give_up(self, detail: str, now: Nanos) -> None:
        """Give up a renegotiation: the old key is still in use; another try follows after another reneg-sec."""
        self._counters.drop(DropReason.RENEGOTIATION_FAILED)
        self.events.append(RenegotiationFailed(detail))
        self.negotiations.pending = None
        self.clock.restart(self._profile.renegotiation, now)

    def deadlines(self) -> list[Nanos]:
        """Times of all timers of the control channel."""
        times = self.negotiations.deadlines(self._profile.control.hand_window_s * SECOND)
        if self._data.current is not None:
            times.append(self.clock.look_at(self._profile.renegotiation, self.negotiations.pending is not None))
        if self.end_at is not None:
            times.append(self.end_at[0])
        return times

    def handle_deadline(self, now: Nanos) -> bool:
        """Run the timers of an established session; True when one of them had something to do."""
        self.negotiations.expire(now)
        pending = self.negotiations.pending
        late = pending is not None and now - pending.started_at >= self._profile.control.hand_window_s * SECOND
        if late:
            self._give_up("the client did not complete it within hand-window", now)
        return (self.clock.due(self._profile.renegotiation, self._data, now) and self.renegotiate(now)) or late

    # -- plain data ------------------------------------------------------------------------------------------------

    def export(self) -> ControlState | None:
        """The control channel of an established session, for `restore`; None for any other."""
        options, negotiations = self.options.export(), self.negotiations.export()
        if self.stage is not SessionStage.ESTABLISHED or options is None or negotiations is None:
            return None
        return ControlState(options, negotiations)

    def restore(self, state: ControlState) -> None:
        """Go on after another control channel, without its TLS connections."""
        self.stage = SessionStage.ESTABLISHED
        self.options.restore(state.options)
        self.negotiations.restore(state.negotiations)
