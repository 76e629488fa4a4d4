"""Settings of single clients in the config: client-config-dir, ccd-exclusive, reservations, the bound of clients.

A client's file is the one that has its common name, character for character. OpenVPN builds a path from the name and
writes `_` for what a path cannot hold (platform.c, platform_gen_path): `/`, on Windows also the characters of
_WINDOWS. Such a file is named for another client, so it gives no access under ccd-exclusive and no address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hognose.address import Address
from hognose.config.model import ServerConfig
from hognose.openvpn.tls.certificates import NO_NAME
from hognose.settings import ClientSettings
from hognose.vocabulary import ALL_OTHERS

_NOTHING = ClientSettings()
_UNIX = str.maketrans("/", "_")
_WINDOWS = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """Frozen: a reload makes a new one. Common names are those of certificates, NO_NAME for a client without one."""

    clients: Mapping[str, ClientSettings] = field(default_factory=dict)
    exclusive: bool = False
    reservations: Mapping[str, Address] = field(default_factory=dict)
    max_clients: int = 1024
    duplicate_cn: bool = False

    @staticmethod
    def of(config: ServerConfig) -> ClientPolicy:
        """The part of a config that concerns single clients."""
        rules = config.admission
        return ClientPolicy(
            rules.clients, rules.ccd_exclusive, rules.reservations, rules.max_clients, rules.duplicate_cn
        )

    def settings(self, common_name: str) -> ClientSettings:
        """A client's own settings, else its mapped file's without the address, else those of DEFAULT, else none."""
        if self._has_own_file(common_name):
            return self.clients[common_name]
        mapped = self.mapped_file(common_name)
        if mapped:
            return replace(self.clients[mapped], address=b"")
        return self.clients.get(ALL_OTHERS, _NOTHING)

    def mapped_file(self, common_name: str) -> str:
        """The file that OpenVPN would find for a client without its own by changing its name; "" for none."""
        if common_name == NO_NAME or self._has_own_file(common_name):
            return ""
        for table in (_UNIX, _WINDOWS):
            mapped = common_name.translate(table)
            if mapped != common_name and mapped in self.clients:
                return mapped
        return ""

    def unwelcome(self, common_name: str) -> str:
        """The reason to refuse a client of this name; "" when it is admitted.

        ccd-exclusive asks for a file of the client's own: neither DEFAULT nor a mapped file is one, and a client
        without a certificate has none.
        """
        if self.settings(common_name).disable:
            return "disabled by the server's client-config-dir"
        if self.exclusive and not self._has_own_file(common_name):
            return "not in the server's client-config-dir" + _why_not(common_name)
        return ""

    def fixed_addresses(self) -> list[Address]:
        """All addresses of ifconfig-push."""
        return [settings.address for settings in self.clients.values() if settings.address]

    def _has_own_file(self, common_name: str) -> bool:
        return common_name in self.clients and common_name not in (NO_NAME, ALL_OTHERS)


def _why_not(common_name: str) -> str:
    """The reason why no file can ever be this client's own."""
    if common_name == ALL_OTHERS:
        return f": the file {ALL_OTHERS} is that of all clients without their own"
    if "/" in common_name or common_name in (".", ".."):
        return ": no file can have its name"
    return ""
