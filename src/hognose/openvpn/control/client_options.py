"""The options of one client: what it says of itself, what both sides agree on, what is pushed to it."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.control.agreement import (
    PROTO_AUTH_FAIL_TEMP,
    PROTO_REQUEST_PUSH,
    Agreement,
    Disagreement,
    agree,
    proto_bits,
)
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.control.push import Admission, Push
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.session_events import Authenticated, Established
from hognose.units import Nanos, Random, UnixSeconds

TEMPORARY_BACKOFF_S = 10  # seconds that a client is asked to wait after a temporary refusal


@dataclass(frozen=True, slots=True)
class ClientOptionsState:
    """ClientOptions of an admitted client as plain data."""

    agreement: Agreement
    admission: Admission
    peer_info: tuple[tuple[str, str], ...]
    pushed_at: Nanos


class ClientOptions:
    """Bound: PEER_INFO_LINES. agreement: None before the client's first key message; push: its PUSH_REPLY."""

    __slots__ = ("agreement", "peer_info", "push")

    def __init__(self) -> None:
        self.agreement: Agreement | None = None
        self.peer_info: dict[str, str] = {}
        self.push = Push()

    @property
    def cipher(self) -> str:
        """The cipher of the data channel; "" before it was agreed."""
        return "" if self.agreement is None else self.agreement.cipher

    @property
    def waits_for_push(self) -> bool:
        """True when a PUSH_REPLY is to be sent: the client asked for it, or waits without asking (REQUEST_PUSH)."""
        return self.push.requested or bool(proto_bits(self.peer_info) & PROTO_REQUEST_PUSH)

    def answer(self, key: KeyState, profile: ServerProfile, random: Random) -> Authenticated | Disagreement:
        """Answer the first key message; the event of a client that is to be admitted, or why none can be."""
        assert key.client is not None
        self.peer_info = info = key.client.peer_info
        agreed = agree(profile, key.client)
        if isinstance(agreed, Disagreement):
            key.answer(random, None)
            return agreed
        self.agreement = agreed
        key.answer(random, agreed.cipher)
        version = " ".join(info.get(name, "") for name in ("IV_VER", "IV_PLAT")).strip()
        return Authenticated(key.common_name, version or "unknown", info)

    def data_format(self, profile: ServerProfile) -> DataFormat:
        """The format of this client's data packets."""
        assert self.agreement is not None
        return DataFormat(
            cipher=self.agreement.cipher,
            digest=profile.wrap.digest,
            framing=self.agreement.framing,
            epoch=self.agreement.epoch,
            v2=self.agreement.v2,
            replay_window=profile.data.replay_window,
            replay_time=profile.data.replay_time_s,
        )

    def established(self, wrap: str, tls: str) -> Established:
        """The event of the first data keys."""
        agreed = self.agreement
        assert agreed is not None
        header = ("V2" if agreed.v2 else "V1") + ("+epoch" if agreed.epoch else "")
        return Established(agreed.cipher, "tls-ekm" if agreed.use_export else "prf", wrap, tls, header)

    def send(self, key: KeyState, profile: ServerProfile, now: Nanos) -> None:
        """Queue the PUSH_REPLY (Push.send)."""
        if self.agreement is not None:
            self.push.send(key, profile, self.agreement, self.peer_info, now)

    def send_refusal(self, key: KeyState, text: str, *, temporary: bool) -> None:
        """Queue AUTH_FAILED; a temporary one only to a client that knows how to try again (IV_PROTO bit 8)."""
        if not temporary:
            key.send_message(f"AUTH_FAILED,{text}")
        elif proto_bits(self.peer_info) & PROTO_AUTH_FAIL_TEMP:
            key.send_message(f"AUTH_FAILED,TEMP[backoff {TEMPORARY_BACKOFF_S},advance no]:{text}")

    def export(self) -> ClientOptionsState | None:
        """The options as plain data, for `restore`; None before the client was admitted."""
        if self.agreement is None or self.push.admission is None:
            return None
        return ClientOptionsState(self.agreement, self.push.admission, tuple(self.peer_info.items()), self.push.sent_at)

    def restore(self, state: ClientOptionsState) -> None:
        """Take the options of another session."""
        self.agreement, self.peer_info = state.agreement, dict(state.peer_info)
        self.push.admission, self.push.sent_at = state.admission, state.pushed_at


def check_certificate(key: KeyState, before: KeyState | None, profile: ServerProfile, unix: UnixSeconds) -> None:
    """Judge the certificate of a client whose key message has come; PeerError(CERTIFICATE_REJECTED).

    before: the negotiation that a renegotiation follows, its certificate must be the same one.
    """
    if not key.judged_by(profile.tls):  # a reload came between
        text = profile.tls.recheck(key.identity.chain, unix)
        if text:
            raise PeerError(DropReason.CERTIFICATE_REJECTED, text)
    # OpenVPN ssl_verify.c tls_lock_common_name, cert_hash_compare.
    if before is not None and key.identity.certificate != before.identity.certificate:
        raise PeerError(DropReason.CERTIFICATE_REJECTED, "another certificate at renegotiation")
