"""One client's OpenVPN session: records in, records out, over any transport.

Data records go straight to data/keyring.py, control records to control_channel.py. Here is what joins them: the order
of records, turns, keepalive, timers, the end (OpenVPN forward.c, multi.c).
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.key_state import KeyState, Stage
from hognose.openvpn.control.misconfiguration import explain_first_packet
from hognose.openvpn.control.push import Admission
from hognose.openvpn.control_channel import ControlChannel, ControlState
from hognose.openvpn.data.keyring import Keyring, KeyringState
from hognose.openvpn.liveness import Liveness, LivenessState
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.proof import AddressProof
from hognose.openvpn.session_events import EndReason, SessionEvent
from hognose.openvpn.session_stages import SessionStep, after
from hognose.units import SECOND, Nanos, Random, UnixSeconds
from hognose.wire import openvpn as wire


@dataclass(frozen=True, slots=True)
class SessionState:
    """An established session as plain data; times in the clock of its caller."""

    started_at: Nanos
    control: ControlState
    data: KeyringState
    liveness: LivenessState


class Session:
    """Bounds: see ControlChannel, Keyring.

    ended: the reason, once it is over. attention: poll, events or ended may have something new. data: keys, and counts
    of inner traffic. control: the stage of the session's life, negotiations.

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
        proof: AddressProof | None = None,
    ) -> None:
        """proof: of a client whose hard reset was answered already; None: its hard reset is the first record."""
        self.ended: EndReason | None = None
        self.attention = True
        self.has_work = False  # control messages or records wait for `work`, to be called before `receive`
        self.data = Keyring(counters)
        self._liveness = Liveness(now)
        self.control = ControlChannel(
            profile, self.data, self._liveness, random=random, counters=counters, now=now, proof=proof
        )
        self._held: list[bytes] = []  # records after the control_turn control messages of one call
        self._profile = profile
        self._counters = counters
        self._started_at = now

    # -- in and out ------------------------------------------------------------------------------------------------

    @property
    def bytes_in(self) -> int:
        """Inner bytes received."""
        return self.data.payloads.bytes_in

    @property
    def bytes_out(self) -> int:
        """Inner bytes sent."""
        return self.data.bytes_out

    @property
    def cipher(self) -> str:
        """The cipher of the data channel; "" before it was agreed."""
        return self.control.options.cipher

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """DER certificates of the client, its own first; () before TLS is done."""
        primary = self.control.negotiations.primary
        return primary.identity.chain if primary is not None else ()

    @property
    def greeted(self) -> bool:
        """True when a valid hard reset came: the peer holds the key of the wrap, if there is one."""
        return self.control.negotiations.primary is not None

    @property
    def remote_id(self) -> bytes:
        """The client's session id; b"" before its hard reset."""
        return self.control.negotiations.remote_id

    @property
    def in_tls(self) -> bool:
        """True during the first TLS handshake: a client that goes away now rejects our certificate or settings."""
        primary = self.control.negotiations.primary
        return primary is not None and primary.stage is Stage.TLS

    def work(self, now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Take one turn at waiting input: one TLS flight, or else the records that receive left; as receive does."""
        packets: list[bytes] = []
        held: list[bytes] = []
        if self.ended is None and not self.control.negotiations.ready:
            held, self._held = self._held, []
        self._take(held, 0, packets, now, unix)
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
        index = 0
        data = self.data
        if data.current is not None:
            payloads = data.payloads
            before = payloads.packets_in + payloads.control_payloads
            index = data.open(records, 0, packets, now)
            if payloads.packets_in + payloads.control_payloads != before:
                self._liveness.last_received = now  # only an authentic one shows that the client is alive
            if index == len(records):  # the data path ends here
                if payloads.exit_seen:
                    self._finish(DropReason.PEER_EXIT, "the client said goodbye")
                elif self.control.clock.used_up(self._profile.renegotiation, data) and self.control.renegotiate(now):
                    self.attention = True
                return packets
        self._take(records, index, packets, now, unix)
        return packets

    def receive_from_elsewhere(self, record: bytes, now: Nanos, unix: UnixSeconds) -> tuple[list[bytes], bool]:
        """Take a data record that came from another address; as receive, and whether it is the newest so far.

        True only for one that is authentic, was not there before, and has the highest packet id so far: a copy that was
        held back, or one of an older key, is no sign that the client has moved (OpenVPN multi.c multi_process_float).
        """
        if self.ended is not None or self.has_work or self.data.current is None or not wire.is_data(record):
            self._counters.drop(DropReason.NO_DATA_KEY)
            return [], False
        before = self.data.newest
        packets = self.receive([record], now, unix)
        return packets, self.data.newest > before

    def seal(self, packets: list[bytes], now: Nanos) -> list[bytes]:
        """Data records for inner packets; [] before there are keys (counted)."""
        self._liveness.last_sent = now
        return self.data.seal(packets, now)

    def poll(self, now: Nanos, unix: UnixSeconds) -> list[bytes]:
        """Control records, acknowledgements and pings that are due."""
        self.attention = False
        negotiations = self.control.negotiations
        primary, established = negotiations.primary, self.data.current is not None
        since = primary.reliability.unacknowledged_since if primary is not None and established else None
        if since is not None and now - since > self._profile.limits.control_age_s * SECOND:
            self._finish(DropReason.RETRANSMIT_LIMIT, "the client takes no control messages")
        records = negotiations.poll(now, unix)
        if not records and established and self.ended is None and self._liveness.ping_due(self._profile.liveness, now):
            records = self.data.ping(now)
        if records:
            self._liveness.last_sent = now
        return records

    def take_events(self) -> list[SessionEvent]:
        """Drained events."""
        control = self.control
        if not control.events:
            return []
        events, control.events = control.events, []
        return events

    def _take(self, records: list[bytes], index: int, packets: list[bytes], now: Nanos, unix: UnixSeconds) -> None:
        """Take records from `index` on in the order they came, until control_turn control messages are worked on.

        Without records: work on the messages that wait. Records after a goodbye are not looked at: they would begin
        negotiations of a session that is over.
        """
        control, payloads = self.control, self.data.payloads
        before = payloads.packets_in + payloads.control_payloads
        left = self._profile.limits.control_turn
        failure: tuple[DropReason, str] | None = None
        self.attention = True
        control.negotiations.turn_taken = False
        try:
            if not records and self.ended is None:
                control.work(now, unix)
            while index < len(records) and not payloads.exit_seen and not control.exit_seen:
                record = records[index]
                if not record:  # a datagram may be empty
                    self._counters.drop(DropReason.BAD_CONTROL_PACKET)
                elif record[0] >> 3 in (wire.DATA_V2, wire.DATA_V1):
                    if self.data.current is not None:
                        index = self.data.open(records, index, packets, now)
                        continue
                    if control.negotiations.primary is None:
                        raise PeerError(DropReason.NO_HARD_RESET, explain_first_packet(self._profile.wrap, record))
                    self._counters.drop(DropReason.NO_DATA_KEY)
                elif left:
                    left -= 1
                    control.take(record, now, unix)
                else:
                    self._held = records[index:]
                    break
                index += 1
        except PeerError as error:
            failure = error.reason, error.detail  # not the error: its traceback leads back to this frame
        if payloads.exit_seen or control.exit_seen:
            self._finish(DropReason.PEER_EXIT, "the client said goodbye")
        elif failure is not None:
            self._finish(*failure)
        if payloads.packets_in + payloads.control_payloads != before:
            self._liveness.last_received = now
        self.has_work = self.ended is None and (bool(self._held) or control.negotiations.ready)

    # -- the gateway's answers -------------------------------------------------------------------------------------

    def admit(self, admission: Admission, now: Nanos) -> None:
        """Let the client in: keys and PUSH_REPLY follow as soon as our key message is acknowledged.

        Too late for one that was refused or is gone.
        """
        self.control.admit(admission, now)

    def refuse(
        self, text: str, now: Nanos, reason: DropReason = DropReason.CERTIFICATE_REJECTED, *, temporary: bool = False
    ) -> None:
        """Refuse the client, at first or later: AUTH_FAILED with the text, the end EXIT_DELAY later.

        temporary: the client is asked to try again; one that does not know how (IV_PROTO bit 8) would give up for
        good when it saw AUTH_FAILED, so it is told nothing and finds its connection closed.
        """
        self.control.refuse(text, now, reason, temporary=temporary)

    def shutdown(self, now: Nanos) -> None:
        """End in order: the client is asked to reconnect; `control.leaving` says whether it is waited for."""
        self.control.shutdown(now)

    def replace_profile(self, profile: ServerProfile) -> None:
        """Take settings that were read anew: timers and certificate checks go by them from now on."""
        self._profile = profile
        self.control.replace_profile(profile)

    # -- time ------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> Nanos | None:
        """Earliest of all timers."""
        if self.ended is not None:
            return None
        times = self.control.deadlines()
        if self.data.current is None:
            times.append(self._started_at + self._profile.control.hand_window_s * SECOND)
        else:
            times += self._liveness.deadlines(self._profile.liveness)
            key_time = self.data.next_deadline()
            if key_time is not None:
                times.append(key_time)
        return min(times, default=None)

    def handle_deadline(self, now: Nanos, unix: UnixSeconds) -> None:
        """Run every timer that is due; its records leave with the next poll."""
        if self.ended is not None:
            return
        data, control = self.data, self.control
        if control.end_at is not None and now >= control.end_at[0]:
            self._end(control.end_at[1])
            return
        if data.current is None:
            if now - self._started_at >= self._profile.control.hand_window_s * SECOND:
                self._finish(DropReason.HANDSHAKE_TIMEOUT, "the handshake was not completed within hand-window")
            return
        over = self._liveness.over(self._profile.liveness, self.bytes_in + self.bytes_out, now)
        if over is not None:
            self._finish(*over)
            return
        if _is_deaf(self.control.negotiations.pending, self._liveness, self._profile, now):
            self._finish(DropReason.PEER_TIMEOUT, "nothing has come since a renegotiation began")
            return
        data.handle_deadline(now)
        self.attention |= control.handle_deadline(now)

    def _finish(self, reason: DropReason, detail: str) -> None:
        self.attention = True
        self._end(EndReason(reason, detail))

    def _end(self, reason: EndReason) -> None:
        if self.ended is None:
            self.ended = reason
            self.control.stage = after(self.control.stage, SessionStep.END)

    # -- plain data ------------------------------------------------------------------------------------------------

    def export(self) -> SessionState | None:
        """An established session as plain data, for `restored`; None for any other: its client connects again.

        A renegotiation under way is left out.
        """
        control = self.control.export()
        if control is None:
            return None
        return SessionState(self._started_at, control, self.data.export(), self._liveness.export())

    @staticmethod
    def restored(
        state: SessionState, profile: ServerProfile, *, random: Random, now: Nanos, counters: Counters
    ) -> Session:
        """A session that goes on after the exported one, and renegotiates at once: its TLS connection is gone."""
        session = Session(profile, random=random, now=now, unix=0, counters=counters)
        session._started_at = state.started_at
        session.control.restore(state.control)
        session.data.restore(state.data, random)
        session._liveness.restore(state.liveness)
        session.control.renegotiate(now)
        return session


def _is_deaf(pending: KeyState | None, liveness: Liveness, profile: ServerProfile, now: Nanos) -> bool:
    """True when a client over datagrams has left a whole renegotiation without an answer: no FIN ends it."""
    if pending is None or profile.proto != "udp" or liveness.last_received >= pending.started_at:
        return False
    return now - pending.started_at >= profile.control.hand_window_s * SECOND
