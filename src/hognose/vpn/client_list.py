"""The connected clients, in the lines of OpenVPN's status file (OpenVPN multi.c multi_print_status).

Versions 2 (commas) and 3 (tabs) have a title, the time, headers, one CLIENT_LIST and one ROUTING_TABLE line per
client, END. Version 1 is for people. Our CLIENT_LIST has two more columns at its end: the client's program and the
transport. Real addresses are ADDRESS:PORT as in OpenVPN 2.6: readers in the field do not know the form of 2.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import hognose
from hognose.address import address_text
from hognose.openvpn.tls.certificates import NO_NAME
from hognose.units import UnixSeconds
from hognose.vocabulary import Proto
from hognose.vpn.client_view import ClientView

_CLIENT_COLUMNS = (
    "Common Name", "Real Address", "Virtual Address", "Virtual IPv6 Address", "Bytes Received", "Bytes Sent",
    "Connected Since", "Connected Since (time_t)", "Username", "Client ID", "Peer ID", "Data Channel Cipher",
    "Client Version", "Transport",
)  # fmt: skip
_ROUTE_COLUMNS = ("Virtual Address", "Common Name", "Real Address", "Last Ref", "Last Ref (time_t)")
_UNDEFINED = "UNDEF"  # OpenVPN's word for what a client does not have (ssl_verify.c tls_common_name)
_TITLE_END = "OpenVPN-compatible"  # a reader in the field takes the third word of the title and breaks without one
_TRANSPORTS: dict[Proto, str] = {"udp": "udp4", "tcp": "tcp4-server"}  # OpenVPN 2.7 socket_util.c proto2ascii
_SEPARATORS = {2: ",", 3: "\t"}


def status_lines(clients: Sequence[ClientView], version: int, unix: UnixSeconds) -> list[str]:
    """Lines about established clients, at the wall clock's `unix`; version 1, 2 or 3."""
    if version == 1:
        return _for_people(clients, unix)
    rows: list[tuple[str, ...]] = [
        ("TITLE", f"Hognose {hognose.__version__} {_TITLE_END}"),
        ("TIME", _time(unix), str(unix)),
        ("HEADER", "CLIENT_LIST", *_CLIENT_COLUMNS),
        *(("CLIENT_LIST", *_client(client)) for client in clients),
        ("HEADER", "ROUTING_TABLE", *_ROUTE_COLUMNS),
        *(("ROUTING_TABLE", *_route(client, unix)) for client in clients),
        ("GLOBAL_STATS", "Max bcast/mcast queue length", "0"),
        ("END",),
    ]
    separator = _SEPARATORS[version]
    return [separator.join(_plain(word) for word in row) for row in rows]


def _for_people(clients: Sequence[ClientView], unix: UnixSeconds) -> list[str]:
    lines = ["OpenVPN CLIENT LIST", f"Updated,{_time(unix)}"]
    lines.append("Common Name,Real Address,Bytes Received,Bytes Sent,Connected Since")
    for client in clients:
        name, real, _, _, received, sent, since, *_ = _client(client)
        lines.append(",".join(_plain(word) for word in (name, real, received, sent, since)))
    lines += ["ROUTING TABLE", "Virtual Address,Common Name,Real Address,Last Ref"]
    lines += [",".join(_plain(word) for word in _route(client, unix)[:4]) for client in clients]
    return [*lines, "GLOBAL STATS", "Max bcast/mcast queue length,0", "END"]


def _client(client: ClientView) -> tuple[str, ...]:
    since = client.authenticated_unix
    return (
        _name(client), str(client.endpoint), address_text(client.address), "", str(client.bytes_in),
        str(client.bytes_out), _time(since), str(since), _UNDEFINED, str(client.number), str(client.peer_id),
        client.cipher, client.version, _TRANSPORTS[client.proto],
    )  # fmt: skip


def _route(client: ClientView, unix: UnixSeconds) -> tuple[str, ...]:
    return address_text(client.address), _name(client), str(client.endpoint), _time(unix), str(unix)


def _name(client: ClientView) -> str:
    return client.common_name if client.common_name != NO_NAME else _UNDEFINED


def _plain(word: str) -> str:
    """The word without characters that would end a field or a line: names are the peer's words."""
    return "".join(c if c.isprintable() and c not in ",\t" else "_" for c in word)


def _time(unix: UnixSeconds) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%S")
