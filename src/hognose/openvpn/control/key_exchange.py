"""Key method 2: the two messages, and the 256 bytes of data-channel keys derived from them (OpenVPN ssl.c).

Client: 0(4) method(1) pre-master(48) random1(32) random2(32) options username password peer-info, the last four as a
16-bit length (counting a trailing NUL) and bytes. Server: the same without pre-master.
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.prf import tls1_prf
from hognose.units import Random

KEY_METHOD = 2
PRE_MASTER_LEN = 48
RANDOM_LEN = 32
OPTIONS_MAX = 512
STRING_MAX = 4096
KEYS_LEN = 256
PEER_INFO_LINES = 64  # of the client's; further lines are not read
EKM_LABEL = "EXPORTER-OpenVPN-datakeys"
_FIXED_LEN = 5 + PRE_MASTER_LEN + 2 * RANDOM_LEN


@dataclass(frozen=True, slots=True)
class ClientKeyMessage:
    """The client's message, parsed; peer_info maps IV_… names to values."""

    pre_master: bytes
    random1: bytes
    random2: bytes
    options: str
    username: str
    password: str
    peer_info: dict[str, str]
    length: int  # bytes of the message


def parse_client_message(data: bytes) -> ClientKeyMessage | None:
    """The parsed message; None while more bytes are needed; PeerError(BAD_KEY_METHOD) for an invalid one."""
    if len(data) >= 5 and (data[:4] != bytes(4) or data[4] & 0x0F != KEY_METHOD):
        raise PeerError(DropReason.BAD_KEY_METHOD, "not a key method 2 message")
    if len(data) < _FIXED_LEN:
        return None
    offset = _FIXED_LEN
    strings: list[str] = []
    for number in range(4):
        if len(data) == offset and number >= 1:
            strings.append("")  # very old clients leave out strings that they do not have
            continue
        if len(data) < offset + 2:
            return None
        length = data[offset] << 8 | data[offset + 1]
        if length > (OPTIONS_MAX if number == 0 else STRING_MAX):
            raise PeerError(DropReason.BAD_KEY_METHOD, "a string is too long")
        if len(data) < offset + 2 + length:
            return None
        strings.append(data[offset + 2 : offset + 2 + length].rstrip(b"\0").decode("utf-8", "replace"))
        offset += 2 + length
    return ClientKeyMessage(
        data[5:53], data[53:85], data[85:117], strings[0], strings[1], strings[2], _parse_peer_info(strings[3]), offset
    )


def _parse_peer_info(text: str) -> dict[str, str]:
    """NAME=value lines; names and values are printable, at most PEER_INFO_LINES of them."""
    found: dict[str, str] = {}
    for line in text.split("\n")[:PEER_INFO_LINES]:
        name, separator, value = line.partition("=")
        if separator and name.isprintable() and value.isprintable():
            found[name] = value
    return found


@dataclass(frozen=True, slots=True)
class ServerKeyMessage:
    """The random bytes of one negotiation that are ours."""

    random1: bytes
    random2: bytes

    @staticmethod
    def fresh(random: Random) -> ServerKeyMessage:
        """A message with new random bytes."""
        return ServerKeyMessage(random(RANDOM_LEN), random(RANDOM_LEN))

    def build(self, options: str) -> bytes:
        """The message with our options string and empty username, password and peer-info."""
        text = options.encode() + b"\0"
        return (
            bytes(4)
            + bytes((KEY_METHOD,))
            + self.random1
            + self.random2
            + len(text).to_bytes(2, "big")
            + text
            + bytes(6)
        )


def prf_keys(client: ClientKeyMessage, server: ServerKeyMessage, client_sid: bytes, server_sid: bytes) -> bytes:
    """256 bytes of keys for clients without keying-material export (OpenVPN generate_key_expansion_openvpn_prf)."""
    master = tls1_prf(client.pre_master, b"OpenVPN master secret", client.random1 + server.random1, 48)
    seed = client.random2 + server.random2 + client_sid + server_sid
    return tls1_prf(master, b"OpenVPN key expansion", seed, KEYS_LEN)
