"""The MSS of inner TCP that mssfix asks for, by transport and format (OpenVPN mss.c frame_calculate_mssfix)."""

from __future__ import annotations

from hognose.openvpn.data.formats import DataFormat
from hognose.settings import DataSettings
from hognose.vocabulary import Proto

SMALLEST_MSS = 536
NO_CLAMP = 65_495  # bytes of TCP in the largest packet: nothing is lowered
_INNER_HEADERS = 40  # IPv4 and TCP without options
_OUTER_HEADERS: dict[Proto, int] = {"udp": 20 + 8, "tcp": 20 + 20}
_LENGTH_LEN: dict[Proto, int] = {"udp": 0, "tcp": 2}


def inner_mss(settings: DataSettings, proto: Proto, form: DataFormat) -> int:
    """Bytes of TCP payload in a packet that mssfix lets pass, SMALLEST_MSS at least; NO_CLAMP for `mssfix 0`."""
    size = settings.mssfix
    if not size:
        return NO_CLAMP
    if settings.mssfix_mode == "mtu":
        size -= _OUTER_HEADERS[proto]
    if settings.mssfix_mode != "fixed":
        size = form.packet_len(size - _LENGTH_LEN[proto])
    return max(SMALLEST_MSS, size - _INNER_HEADERS)
