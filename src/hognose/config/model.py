"""The meaning of a config: a frozen value of all groups of settings, checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.address import Address
from hognose.config.pushed import dns_servers
from hognose.settings import (
    AdmissionSettings,
    ControlSettings,
    DataSettings,
    LivenessSettings,
    NetworkSettings,
    RenegotiationSettings,
    StatusSettings,
    TlsSettings,
    WrapSettings,
)


@dataclass(frozen=True, slots=True)
class Warned:
    """A line that is ignored or questionable, and why; line 0 when the whole config is meant."""

    line: int
    directive: str
    text: str

    def in_file(self, file: str) -> str:
        """One line for people: `file:line: directive: text`."""
        where = f"{file}:{self.line}" if self.line else file
        return f"{where}: {self.directive}: {self.text}"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of the server, by the engine that reads them."""

    network: NetworkSettings
    tls: TlsSettings
    wrap: WrapSettings = field(default_factory=WrapSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    data: DataSettings = field(default_factory=DataSettings)
    liveness: LivenessSettings = field(default_factory=LivenessSettings)
    renegotiation: RenegotiationSettings = field(default_factory=RenegotiationSettings)
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    status: StatusSettings = field(default_factory=StatusSettings)

    @property
    def dns_servers(self) -> frozenset[Address]:
        """Name servers pushed to any client; computed from all pushes at each call."""
        return dns_servers(self.admission.pushed)
