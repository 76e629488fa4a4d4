"""What the config says of single clients: client-config-dir, ccd-exclusive, reservations, how many there may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hognose.config.model import ClientSettings, ServerConfig
from hognose.units import Ipv4Int

DEFAULT_NAME = "DEFAULT"  # of the file that stands for all clients without their own (OpenVPN multi.c)
_NOTHING = ClientSettings()
# OpenVPN string.c CC_ for names of files: what a common name may hold and a file's name may not becomes _.
_FILE_NAME = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """Frozen: a reload makes a new one."""

    clients: Mapping[str, ClientSettings] = field(default_factory=dict)
    exclusive: bool = False
    reservations: Mapping[str, Ipv4Int] = field(default_factory=dict)
    max_clients: int = 1024
    duplicate_cn: bool = False

    @staticmethod
    def of(config: ServerConfig) -> ClientPolicy:
        """The part of a config that concerns single clients."""
        return ClientPolicy(
            config.clients, config.ccd_exclusive, config.reservations, config.max_clients, config.duplicate_cn
        )

    def settings(self, common_name: str) -> ClientSettings:
        """A client's own, those of DEFAULT, or nothing special."""
        own = self.clients.get(file_name(common_name))
        return own if own is not None else self.clients.get(DEFAULT_NAME, _NOTHING)

    def unwelcome(self, common_name: str) -> str:
        """Why a client of this name may not be here; "" when it may. ccd-exclusive does not count DEFAULT."""
        if self.settings(common_name).disable:
            return "disabled by the server's client-config-dir"
        if self.exclusive and file_name(common_name) not in self.clients:
            return "not in the server's client-config-dir"
        return ""

    def fixed_addresses(self) -> list[Ipv4Int]:
        """Of ifconfig-push."""
        return [settings.address for settings in self.clients.values() if settings.address]


def file_name(common_name: str) -> str:
    """The name of a client's file in client-config-dir."""
    return common_name.translate(_FILE_NAME)
