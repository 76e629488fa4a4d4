"""The PUSH_REPLY (OpenVPN push.c): options for a client, in one control message or several, and their time."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.address import Address, address_text
from hognose.openvpn.control.agreement import Agreement
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.profile import ServerProfile
from hognose.units import SECOND, Nanos

PUSH_RESEND_GUARD: Nanos = 30 * SECOND  # OpenVPN push.c: no second reply to requests that crossed the first
_REPLY = "PUSH_REPLY"
CHUNK = 940  # bytes; OpenVPN closes a chunk before an option makes it this long (PUSH_BUNDLE_SIZE minus its safety)


@dataclass(frozen=True, slots=True)
class Admission:
    """The gateway's answer to an authenticated client; push are options for this client only.

    push_reset leaves the administrator's pushes for all out, push_remove those options that begin with one of its
    words (client-config-dir; OpenVPN push.c push_reset, push_remove_option).
    """

    address: Address
    netmask: Address
    peer_id: int
    push: tuple[str, ...] = ()
    push_reset: bool = False
    push_remove: tuple[str, ...] = ()


def push_options(
    profile: ServerProfile, admission: Admission, agreement: Agreement, peer_info: dict[str, str]
) -> list[str]:
    """Options in OpenVPN's order: configured ones, helper ones, then those of this client.

    Unlike OpenVPN, push-reset keeps the helper options: a client without topology and route-gateway would not work.
    """
    common = [*(() if admission.push_reset else profile.push), *profile.helpers]
    options = [option for option in common if not option.startswith(admission.push_remove)]
    options += admission.push
    options.append(f"ifconfig {address_text(admission.address)} {address_text(admission.netmask)}")
    if agreement.v2:
        options.append(f"peer-id {admission.peer_id}")
    options += agreement.push
    if "IV_MTU" in peer_info:
        options.append(f"tun-mtu {profile.data.tun_mtu}")
    return options


def push_replies(options: list[str]) -> list[str]:
    """PUSH_REPLY messages; more than one carry push-continuation (2 = more follows, 1 = the last)."""
    chunks: list[list[str]] = [[]]
    size = len(_REPLY)
    for option in options:
        length = len(option.encode())
        if chunks[-1] and size + length >= CHUNK:
            chunks.append([])
            size = len(_REPLY)
        chunks[-1].append(option)
        size += 1 + length
    if len(chunks) == 1:
        return [",".join([_REPLY, *chunks[0]])]
    last = len(chunks) - 1
    return [
        ",".join([_REPLY, *chunk, f"push-continuation {1 if index == last else 2}"])
        for index, chunk in enumerate(chunks)
    ]


class Push:
    """The options of one client. requested: it has asked for them; admission: None before it is let in."""

    __slots__ = ("admission", "requested", "sent_at")

    def __init__(self) -> None:
        self.admission: Admission | None = None
        self.requested = False
        self.sent_at: Nanos = -PUSH_RESEND_GUARD

    def send(
        self, key: KeyState, profile: ServerProfile, agreement: Agreement, peer_info: dict[str, str], now: Nanos
    ) -> None:
        """Queue the PUSH_REPLY, at most once in PUSH_RESEND_GUARD.

        Nothing while a message before it is still on its way: a peer that takes none could fill the queue. Nothing
        either on a restored negotiation, which has no TLS: the next one answers.
        """
        if key.tls is None or self.admission is None:
            return
        if now - self.sent_at < PUSH_RESEND_GUARD or not key.reliability.idle:
            return
        self.sent_at = now
        for reply in push_replies(push_options(profile, self.admission, agreement, peer_info)):
            key.send_message(reply)
