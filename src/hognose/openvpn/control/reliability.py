"""The reliability layer of one key's control channel (OpenVPN reliable.c); the same over TCP and datagrams.

Message ids start at 0 without gaps, per key id. Bounds, all in OpenvpnLimits: `control_window` messages wait to be
taken, `control_acks` acknowledgements wait to be sent, `control_send_window` messages are in flight; KeyState bounds
the messages that wait to be sent. No call costs more than these few entries.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hognose.limits import OpenvpnLimits
from hognose.units import MS, SECOND, Nanos
from hognose.wire.openvpn import MAX_ACKS

ACKS_WITH_CONTROL = 4  # OpenVPN CONTROL_SEND_ACK_MAX
EARLY_RETRANSMIT = 3  # acknowledgements of later messages that make one lost (OpenVPN 2.6 N_ACK_RETRANSMIT)
PROBE_LEAST: Nanos = 200 * MS  # from a message to its probe
MESSAGE_COST = 256  # bytes that a waiting message takes besides its payload, rounded up


@dataclass(slots=True)
class _Message:
    opcode: int
    message_id: int
    payload: bytes
    interval: Nanos
    first_sent: Nanos = 0
    due: Nanos = 0
    sent: bool = False
    overtaken: int = 0
    early: int = 0  # repetitions because later messages were acknowledged
    probe_at: Nanos = 0  # time at which the newest one is sent again early, 0 when it was or will not be
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class ReliabilityState:
    """Numbers of a Reliability; waiting: (opcode, message id, payload) of messages that are not acknowledged."""

    next_send: int
    next_receive: int
    acks: tuple[int, ...]
    recent: tuple[int, ...]
    waiting: tuple[tuple[int, int, bytes], ...]


class Reliability:
    """Both directions of one key's control messages. timeout: the first interval of repetition (tls-timeout)."""

    def __init__(self, limits: OpenvpnLimits, timeout: Nanos, *, probes: bool = False) -> None:
        """probes: the newest message is sent again once before its time: on a path that loses packets."""
        self._limits = limits
        self._timeout = timeout
        self._probes = probes
        self._round_trip: Nanos = 0  # smoothed, of messages that were sent once; 0 before the first
        self._queue: deque[_Message] = deque()
        self._flying: list[_Message] = []  # by id
        self._next_send = 0
        self._next_receive = 0
        self._early: dict[int, tuple[int, bytes]] = {}
        self._acks: list[int] = []  # to acknowledge
        self._recent: list[int] = []  # acknowledged before, most recent first; repeated while there is room
        self.waiting_bytes = 0  # of messages that are not acknowledged, MESSAGE_COST each included

    @property
    def idle(self) -> bool:
        """True when every queued message has been acknowledged."""
        return not self._queue and not self._flying

    @property
    def ready(self) -> bool:
        """True when `take` has a message."""
        return self._next_receive in self._early

    @property
    def unacknowledged_since(self) -> Nanos | None:
        """First transmission of the oldest message in flight; None when there is none."""
        return self._flying[0].first_sent if self._flying else None

    def queue(self, opcode: int, payload: bytes) -> None:
        """Queue one message of ours."""
        self._queue.append(_Message(opcode, self._next_send, payload, self._timeout))
        self._next_send += 1
        self.waiting_bytes += len(payload) + MESSAGE_COST

    def begin_after_resets(self) -> None:
        """Begin with message id 1 in both directions: the hard resets, ids 0, were exchanged and acknowledged."""
        self._next_send = self._next_receive = 1

    def receive(self, message_id: int, opcode: int, payload: bytes) -> bool:
        """File one message; False when it is beyond the window. Old ones are acknowledged again.

        While `control_acks` acknowledgements wait a message is filed without one: the peer repeats the message and has
        it then (reliable.c reliable_ack_acknowledge_packet_id, ssl.c tls_pre_decrypt).
        """
        if message_id >= self._next_receive + self._limits.control_window:
            return False
        if message_id >= self._next_receive and message_id not in self._early:
            self._early[message_id] = (opcode, payload)
        if len(self._acks) < self._limits.control_acks and message_id not in self._acks:
            self._acks.append(message_id)
        return True

    def take(self) -> tuple[int, bytes] | None:
        """(opcode, payload) of the next message in order; None when it has not come."""
        found = self._early.pop(self._next_receive, None)
        if found is not None:
            self._next_receive += 1
        return found

    def acknowledged(self, ids: tuple[int, ...], now: Nanos = 0) -> int:
        """Take acknowledgements; returns the number of ids that were never sent, which mean nothing.

        now: measures the round trip for probes.

        Ids acknowledged before are repeats, as OpenVPN 2.6 sends them. Neither kind overtakes a message, so that it
        makes no repetition (CVE-2026-84732).
        """
        if not ids:
            return 0
        unsent = self._next_send - len(self._queue)
        kept: list[_Message] = []
        news: list[int] = []
        for message in self._flying:
            if message.message_id in ids:
                news.append(message.message_id)
                if self._probes and not message.repeated:
                    sample = now - message.first_sent
                    self._round_trip = (7 * self._round_trip + sample) // 8 if self._round_trip else sample
                self.waiting_bytes -= len(message.payload) + MESSAGE_COST
            else:
                kept.append(message)
        if news:
            for message in kept:
                message.overtaken += sum(message.message_id < new for new in news)
            self._flying = kept
        return sum(message_id >= unsent for message_id in ids)

    def poll(self, now: Nanos) -> list[tuple[int, int, bytes, tuple[int, ...]]]:
        """(opcode, message id, payload, acks) to send now; opcode 0 with id -1 for a bare acknowledgement.

        An unacknowledged message is repeated at doubling intervals up to `control_repeat_s`; an overtaken one at once,
        `control_early_repeats` times at most and without a longer interval. With probes the newest message, which none
        can overtake, is repeated once after two round trips (RFC 8985 section 7 does so in TCP).
        """
        limits = self._limits
        while self._queue and len(self._flying) < limits.control_send_window:
            if self._flying and self._queue[0].message_id >= self._flying[0].message_id + limits.control_window:
                break  # the peer has no room for it before it has the oldest one
            self._flying.append(self._queue.popleft())
        packets = []
        for message in self._flying:
            if not message.sent:
                message.sent, message.first_sent = True, now
                if self._probes:
                    message.probe_at = now + max(2 * self._round_trip, PROBE_LEAST)
            elif message.due <= now:
                message.probe_at = 0
                longest = max(limits.control_repeat_s * SECOND, self._timeout)
                message.interval = min(2 * message.interval, longest)
            elif message.overtaken >= EARLY_RETRANSMIT and message.early < limits.control_early_repeats:
                message.early += 1
            elif 0 < message.probe_at <= now and message is self._flying[-1]:
                message.probe_at = 0
                message.repeated = True
                packets.append(self._packet(message))
                continue
            else:
                continue
            message.repeated = message.due > 0
            message.overtaken = 0
            message.due = now + message.interval
            packets.append(self._packet(message))
        while self._acks:
            packets.append((0, -1, b"", self._take_acks(MAX_ACKS)))
        return packets

    def _packet(self, message: _Message) -> tuple[int, int, bytes, tuple[int, ...]]:
        return message.opcode, message.message_id, message.payload, self._take_acks(ACKS_WITH_CONTROL)

    def next_deadline(self) -> Nanos | None:
        """Time at which the next message is due again; None when none is in flight."""
        earliest = min((message.due for message in self._flying), default=None)
        if earliest is not None and 0 < self._flying[-1].probe_at < earliest:
            return self._flying[-1].probe_at
        return earliest

    def export(self) -> ReliabilityState:
        """State as plain data, for `restore`; messages that came too early are left out."""
        waiting = tuple((one.opcode, one.message_id, one.payload) for one in (*self._flying, *self._queue))
        return ReliabilityState(self._next_send, self._next_receive, tuple(self._acks), tuple(self._recent), waiting)

    def restore(self, state: ReliabilityState) -> None:
        """Go on after another one: what was not acknowledged is sent again."""
        self._next_send, self._next_receive = state.next_send, state.next_receive
        self._acks, self._recent = list(state.acks), list(state.recent)
        for opcode, message_id, payload in state.waiting:
            self._queue.append(_Message(opcode, message_id, payload, self._timeout))
            self.waiting_bytes += len(payload) + MESSAGE_COST

    def _take_acks(self, limit: int) -> tuple[int, ...]:
        taken = self._acks[:limit]
        del self._acks[:limit]
        repeats = [ack for ack in self._recent if ack not in taken][: limit - len(taken)]
        for ack in taken:
            if ack in self._recent:
                self._recent.remove(ack)
            self._recent.insert(0, ack)
        del self._recent[MAX_ACKS:]
        return tuple(taken + repeats)
