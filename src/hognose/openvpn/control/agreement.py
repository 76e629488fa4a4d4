"""The agreement of both sides: data cipher, framing, protocol flags, the options string (ssl_ncp.c, options.c)."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import DropReason
from hognose.openvpn.control.key_exchange import ClientKeyMessage
from hognose.openvpn.profile import ServerProfile
from hognose.vocabulary import DATA_CIPHERS, Framing, Proto

# IV_PROTO bits (OpenVPN ssl.h)
PROTO_DATA_V2 = 1 << 1
PROTO_REQUEST_PUSH = 1 << 2
PROTO_TLS_KEY_EXPORT = 1 << 3
PROTO_CC_EXIT = 1 << 7
PROTO_AUTH_FAIL_TEMP = 1 << 8
PROTO_DYNAMIC_TLS_CRYPT = 1 << 9
PROTO_DATA_EPOCH = 1 << 10

# OpenVPN's link-mtu less tun-mtu (its BF-CBC placeholder, SHA1, on TCP a length), and its name of the transport (proto
# in options.c calc_options_string_link_mtu); only ever compared by clients.
_LINK: dict[Proto, tuple[int, str]] = {"udp": (41, "UDPv4"), "tcp": (43, "TCPv4_SERVER")}


@dataclass(frozen=True, slots=True)
class Agreement:
    """The data channel of one session; push: options that tell the client its parameters."""

    cipher: str
    framing: Framing
    use_export: bool
    epoch: bool
    dynamic_tls_crypt: bool
    v2: bool
    push: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The reason for no data channel: the words for AUTH_FAILED, and one line for the administrator."""

    reason: DropReason
    to_client: str
    detail: str


def agree(profile: ServerProfile, client: ClientKeyMessage) -> Agreement | Disagreement:
    """Choose the options that both sides support, from both sides' first key messages."""
    peer_info, options = client.peer_info, client.options
    if option_value(options, "dev-type") == "tap":
        text = "the client uses `dev tap`; write `dev tun` in its config"
        return Disagreement(DropReason.BAD_KEY_METHOD, "this server is for dev tun", text)
    if option_value(options, "mtu-dynamic") is not None:
        text = "the client uses fragment, which this server does not; remove it from its config"
        return Disagreement(DropReason.FRAMING_MISMATCH, "remove `fragment` from the client's config", text)
    proto = proto_bits(peer_info)
    export = bool(proto & PROTO_TLS_KEY_EXPORT)
    if profile.data.force_tls_key_material_export and not export:
        text = "the client cannot derive keys by TLS exporters, which force-tls-key-material-export asks for; update it"
        words = "this server asks for keying material exporters (RFC 5705): OpenVPN 2.6.0 or later"
        return Disagreement(DropReason.BAD_KEY_METHOD, words, text)
    cipher = choose_cipher(profile.data.ciphers, peer_info, options, profile.data.fallback_cipher)
    if cipher is None:
        offered = ":".join(client_ciphers(peer_info)) or option_value(options, "cipher") or "none"
        ours = ":".join(profile.data.ciphers)
        text = f"no shared data cipher; write `data-ciphers {ours}` in the client's config, it offers {offered}"
        words = "Data channel cipher negotiation failed (no shared cipher)"
        return Disagreement(DropReason.NO_SHARED_CIPHER, words, text)
    framing = _framing(profile, peer_info, options)
    if framing is None:
        text = (
            "the client uses comp-lzo or compress, this server does not; "
            "write `compress migrate` here or remove it from the client's config"
        )
        return Disagreement(DropReason.FRAMING_MISMATCH, "compression is not enabled on the server", text)
    v2 = bool(proto & PROTO_DATA_V2)
    dynamic = bool(proto & PROTO_DYNAMIC_TLS_CRYPT)
    epoch = bool(proto & PROTO_DATA_EPOCH) and export and v2 and DATA_CIPHERS[cipher].aead
    push: list[str] = []
    if profile.data.framing == "migrate" and framing != "none":
        push.append("compress stub-v2" if framing == "stub-v2" else "comp-lzo no")
    if wants_cipher_pushed(peer_info):
        push.append(f"cipher {cipher}")
    # OpenVPN push.c prepare_push_reply: only flags that the client announced.
    flags = ["cc-exit"] if proto & PROTO_CC_EXIT else []
    if export and proto & PROTO_CC_EXIT:
        flags.append("tls-ekm")
    elif export:
        push.append("key-derivation tls-ekm")
    flags += ["dyn-tls-crypt"] if dynamic else []
    flags += ["aead-epoch"] if epoch else []
    if flags:
        push.append("protocol-flags " + " ".join(flags))
    return Agreement(cipher, framing, export, epoch, dynamic, v2, tuple(push))


def _framing(profile: ServerProfile, peer_info: dict[str, str], options: str) -> Framing | None:
    """Framing of packets; None when the client's framing cannot be met. Its options string says comp-lzo for any.

    `compress migrate` (OpenVPN 2.5): a client that has compression is told to use the stub that it can.
    """
    has_compression = option_value(options, "comp-lzo") is not None
    if profile.data.framing == "migrate":
        if not has_compression:
            return "none"
        return "stub-v2" if peer_info.get("IV_COMP_STUBv2") == "1" else "comp-lzo"
    if has_compression and profile.data.framing == "none" and not _pushes_compression(profile):
        return None
    return profile.data.framing


def _pushes_compression(profile: ServerProfile) -> bool:
    return any(option.split(" ", 1)[0] in ("compress", "comp-lzo") for option in profile.push)


def proto_bits(peer_info: dict[str, str]) -> int:
    """IV_PROTO as an int; 0 when absent or no number."""
    value = peer_info.get("IV_PROTO", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else 0


def client_ciphers(peer_info: dict[str, str]) -> tuple[str, ...]:
    """Ciphers that the client announces (IV_CIPHERS, or both GCMs for IV_NCP=2)."""
    listed = peer_info.get("IV_CIPHERS")
    if listed is not None:
        return tuple(name.strip().upper() for name in listed.split(":") if name.strip())
    ncp = peer_info.get("IV_NCP", "")
    return ("AES-256-GCM", "AES-128-GCM") if ncp.isascii() and ncp.isdigit() and int(ncp) >= 2 else ()


def option_value(options: str, name: str) -> str | None:
    """The words after `name` in an options string `V4,dev-type tun,…`; "" for a bare word, None when absent."""
    for option in options.split(","):
        words = option.split(" ", 1)
        if words[0] == name:
            return words[1] if len(words) > 1 else ""
    return None


def choose_cipher(ours: tuple[str, ...], peer_info: dict[str, str], options: str, fallback: str = "") -> str | None:
    """First of our data ciphers that the client supports; its options string counts only without IV_CIPHERS.

    data-ciphers-fallback is for clients that announce no cipher at all (ssl_ncp.c ncp_get_best_cipher).
    """
    theirs = client_ciphers(peer_info)
    named = option_value(options, "cipher")
    if not theirs and not named:
        return fallback or None
    if "IV_CIPHERS" not in peer_info and named:
        theirs += (named.upper(),)
    return next((cipher for cipher in ours if cipher in theirs), None)


def wants_cipher_pushed(peer_info: dict[str, str]) -> bool:
    """True when `cipher` goes into the PUSH_REPLY: only clients that negotiate take it from there."""
    return "IV_CIPHERS" in peer_info or bool(client_ciphers(peer_info))


def options_string(profile: ServerProfile, cipher: str | None) -> str:
    """Our side of the options consistency check; mismatches only make clients log a warning."""
    wrap, tun_mtu = profile.wrap, profile.data.tun_mtu
    extra, protocol = _LINK[profile.proto]
    parts = ["V4", "dev-type tun", f"link-mtu {tun_mtu + extra}", f"tun-mtu {tun_mtu}", f"proto {protocol}"]
    if profile.data.framing in ("comp-lzo", "stub"):
        parts.append("comp-lzo")
    if wrap.kind == "tls-auth" and wrap.direction is not None:
        parts.append(f"keydir {wrap.direction}")
    if cipher is not None:
        parts.append(f"cipher {cipher}")
    parts += [f"auth {profile.wrap.digest}", "keysize 128"]
    if wrap.kind == "tls-auth":
        parts.append("tls-auth")
    return ",".join([*parts, "key-method 2", "tls-server"])
