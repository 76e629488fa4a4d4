"""The reason why the first packet of a peer cannot be opened, with the line of the config to change.

Most failing handshakes come of two configs that do not fit. The packet tells which: it is tried under the wraps that
the client may have used instead. Nothing here is secret to a peer that has the key; a peer without it learns nothing.
"""

from __future__ import annotations

import hmac

from hognose.drops import DropReason
from hognose.openvpn.control.wrap import TlsCryptWrap
from hognose.settings import WrapSettings
from hognose.vocabulary import DIGESTS
from hognose.wire.openvpn import (
    HARD_RESET_CLIENT_V1,
    HARD_RESET_CLIENT_V2,
    HARD_RESET_CLIENT_V3,
    parse_control_body,
)

_PLAIN_RESET_LEN = 14
_TLS_CRYPT_RESET_LEN = 54


def explain_first_packet(settings: WrapSettings, record: bytes) -> str:
    """One line about a record that does not begin a session under these settings."""
    opcode = record[0] >> 3
    if opcode == HARD_RESET_CLIENT_V1:
        return "the client uses key method 1, which nobody supports any more; update it"
    if opcode == HARD_RESET_CLIENT_V3:
        return "the client uses tls-crypt-v2, this server does not; write `tls-crypt-v2 server.key` here"
    if opcode != HARD_RESET_CLIENT_V2:
        return "the first packet is no hard reset of an OpenVPN client"
    if settings.v2_only:
        return "the client has no tls-crypt-v2 key, which this server asks for; embed one in the client's config"
    if settings.kind == "none":
        return _without_wrap(record)
    if _is_plain_reset(record):
        return f"the client has no {settings.kind}, this server has; write `{_client_line(settings)}` in its config"
    if settings.kind == "tls-auth":
        return _under_tls_auth(settings, record)
    return _under_tls_crypt(settings, record)


def _is_plain_reset(record: bytes) -> bool:
    body = parse_control_body(HARD_RESET_CLIENT_V2, record[9:])
    return len(record) == _PLAIN_RESET_LEN and body is not None and body.message_id == 0


def _without_wrap(record: bytes) -> str:
    body = parse_control_body(HARD_RESET_CLIENT_V2, record[9:])
    if len(record) == _PLAIN_RESET_LEN and body is not None:
        # Seen of RouterOS; OpenVPN's message ids begin at 0 (reliable.c).
        return f"the client's hard reset has message id {body.message_id}, 0 expected; update the client"
    sizes = {_PLAIN_RESET_LEN + 8 + size: digest for digest, size in DIGESTS.items()}
    if len(record) == _TLS_CRYPT_RESET_LEN:
        return "the client uses tls-crypt (or tls-auth with SHA256), this server neither; write it here too"
    if len(record) in sizes:
        return f"the client uses tls-auth with {sizes[len(record)]}, this server not; write it here too"
    return "the first packet is malformed: the client uses tls-auth or tls-crypt, or is no OpenVPN client"


def _under_tls_auth(settings: WrapSettings, record: bytes) -> str:
    for digest in (settings.digest, *DIGESTS):
        for half in (0, 1):
            if not _is_tls_auth(settings.key, digest, half, record):
                continue
            if digest != settings.digest:
                return (
                    f"tls-auth: the client's auth digest is {digest}, ours {settings.digest}; "
                    f"write `auth {digest}` here or `auth {settings.digest}` in its config"
                )
            return (
                f"tls-auth: the client's key-direction does not fit; write {_client_direction(settings)} in its config"
            )
    if not isinstance(TlsCryptWrap(settings.key).open(record), DropReason):
        return "the client uses tls-crypt with our key; write `tls-auth ta.key 1` in its config, or tls-crypt here"
    return "tls-auth: the client has another static key; give it the key of this server"


def _client_line(settings: WrapSettings) -> str:
    """The wrap in a client's config; the file's name is the one of OpenVPN's examples."""
    if settings.kind == "tls-auth" and settings.direction is not None:
        return f"tls-auth ta.key {1 - settings.direction}"
    return f"{settings.kind} ta.key"


def _client_direction(settings: WrapSettings) -> str:
    if settings.direction is None:
        return "no key-direction"
    return f"`key-direction {1 - settings.direction}`"


def _under_tls_crypt(settings: WrapSettings, record: bytes) -> str:
    for digest in DIGESTS:
        if any(_is_tls_auth(settings.key, digest, half, record) for half in (0, 1)):
            return "the client uses tls-auth with our key; write `tls-crypt ta.key` in its config, or tls-auth here"
    return "tls-crypt: the client has another static key, or uses tls-auth; give it `tls-crypt` with this server's key"


def _is_tls_auth(key: bytes, digest: str, half: int, record: bytes) -> bool:
    """True when the record carries an HMAC of this half of the key."""
    size = DIGESTS[digest]
    head, tag, rest = record[:9], record[9 : 9 + size], record[9 + size :]
    if len(rest) < 9:
        return False
    secret = key[64 + 128 * half : 64 + 128 * half + size]
    return hmac.compare_digest(tag, hmac.digest(secret, rest[:8] + head + rest[8:], digest.lower()))
