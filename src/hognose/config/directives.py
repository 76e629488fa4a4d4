"""The directive table: every directive of OpenVPN 2.4 to 2.7 and what becomes of it."""

from __future__ import annotations

from hognose.config.rows import Row
from hognose.config.rows_clients import CLIENTS
from hognose.config.rows_network import NETWORK
from hognose.config.rows_process import PROCESS
from hognose.config.rows_tls import TLS

DIRECTIVES: dict[str, Row] = {**NETWORK, **TLS, **CLIENTS, **PROCESS}

# Lines that mean what happens anyway: not worth a warning.
SILENT = frozenset({("dh", "none"), ("explicit-exit-notify", "0")})
