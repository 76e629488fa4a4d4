"""The reliability layer of one key's control channel (OpenVPN reliable.c); the same over TCP and datagrams.

Message ids start at 0 without gaps, per key id. Bounds: `control_send_window` messages in flight, `control_window`
received out of order; what is beyond is dropped without an acknowledgement.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from hognose.limits import OpenvpnLimits
from hognose.units import Nanos
from hognose.wire.openvpn import MAX_ACKS

ACKS_WITH_CONTROL = 4  # OpenVPN CONTROL_SEND_ACK_MAX
EARLY_RETRANSMIT = 3  # acknowledgements of later messages that make one lost (OpenVPN 2.6 N_ACK_RETRANSMIT)


@dataclass(slots=True)
class _Message:
    opcode: int
    message_id: int
    payload: bytes
    interval: Nanos
    due: Nanos = 0
    sent: int = 0
    overtaken: int = 0


class Reliability:
    """Both directions of one key's control messages."""

    def __init__(self, limits: OpenvpnLimits, timeout: Nanos) -> None:
        self._limits = limits
        self._timeout = timeout
        self._queue: deque[_Message] = deque()
        self._flying: list[_Message] = []
        self._next_send = 0
        self._next_receive = 0
        self._early: dict[int, tuple[int, bytes]] = {}
        self._acks: list[int] = []  # to acknowledge
        self._recent: list[int] = []  # acknowledged before, most recent first; repeated while there is room

    @property
    def idle(self) -> bool:
        """Everything that was queued has been acknowledged."""
        return not self._queue and not self._flying

    def queue(self, opcode: int, payload: bytes) -> None:
        """Queue one message of ours."""
        self._queue.append(_Message(opcode, self._next_send, payload, self._timeout))
        self._next_send += 1

    def receive(self, message_id: int, opcode: int, payload: bytes) -> bool:
        """File one message; False when it is beyond the window. Old ones are acknowledged again."""
        if message_id >= self._next_receive + self._limits.control_window:
            return False
        if message_id >= self._next_receive and message_id not in self._early:
            self._early[message_id] = (opcode, payload)
        if message_id not in self._acks:
            self._acks.append(message_id)
        return True

    def in_order(self) -> list[tuple[int, bytes]]:
        """Drained (opcode, payload) of messages whose turn it is."""
        found = []
        while self._next_receive in self._early:
            found.append(self._early.pop(self._next_receive))
            self._next_receive += 1
        return found

    def acknowledged(self, ids: tuple[int, ...]) -> None:
        """The peer holds these messages; unknown ids are old repeats."""
        if not ids:
            return
        highest = max(ids)
        kept = []
        for message in self._flying:
            if message.message_id in ids:
                continue
            if message.message_id < highest:
                message.overtaken += 1
            kept.append(message)
        self._flying = kept

    def poll(self, now: Nanos) -> list[tuple[int, int, bytes, tuple[int, ...]]]:
        """(opcode, message id, payload, acks) to send now; opcode 0 with id -1 for a bare acknowledgement."""
        while self._queue and len(self._flying) < self._limits.control_send_window:
            self._flying.append(self._queue.popleft())
        due = [m for m in self._flying if m.sent == 0 or m.due <= now or m.overtaken >= EARLY_RETRANSMIT]
        packets = []
        for message in due:
            if message.sent:
                message.interval *= 2
            message.sent += 1
            message.overtaken = 0
            message.due = now + message.interval
            packets.append((message.opcode, message.message_id, message.payload, self._take_acks(ACKS_WITH_CONTROL)))
        while self._acks:
            packets.append((0, -1, b"", self._take_acks(MAX_ACKS)))
        return packets

    def next_deadline(self) -> Nanos | None:
        """When the next message is due again."""
        return min((message.due for message in self._flying), default=None)

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
