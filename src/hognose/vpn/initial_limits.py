"""The limits on packets that belong to no session, at one port."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.units import Nanos
from hognose.vpn.initial_rate import InitialRate
from hognose.vpn.look_time import LookTime
from hognose.vpn.stateless_handshake import RESETS


@dataclass(frozen=True, slots=True)
class InitialLimits:
    """resets, proofs: of hard resets, and of packets that prove an address; time: of all ports together."""

    resets: InitialRate
    proofs: InitialRate
    time: LookTime

    def of(self, opcode: int) -> InitialRate:
        """The rate of packets of an opcode."""
        return self.resets if opcode in RESETS else self.proofs

    def admit(self, opcode: int, key: bytes, session_id: bytes, now: Nanos) -> bool:
        """Count a packet and say whether it is worth work; key: address and port of its source as on the wire."""
        return self.time.admits(self.of(opcode), key, session_id, now)
