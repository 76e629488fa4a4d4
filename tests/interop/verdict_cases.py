"""Certificates, CRLs and TLS settings with the verdict of both servers: the table of docs/verdicts.md.

A setting is what stands in both servers' configs; a case is one client that comes to it. `openvpn` and `ours` are what
was measured; where they differ, `why` says why ours is stricter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.world.pki import SERVER, Authority, Identity, current_authority, damaged, key_usage, name_of

ACCEPT, REJECT = True, False
CN, MAIL, ORG = NameOID.COMMON_NAME, NameOID.EMAIL_ADDRESS, NameOID.ORGANIZATION_NAME
ONLY_12 = ("tls-version-max 1.2",)
ONLY_13 = ("tls-version-min 1.3",)
LOGIN = ("<auth-user-pass>", "user", "password", "</auth-user-pass>")


class Pki:
    """Everything that the cases need, made when it is asked for."""

    def __init__(self) -> None:
        self.ca = current_authority()
        self.server = self.ca.issue("server", SERVER)
        self.alice = self.ca.issue("alice")
        self.bob = self.ca.issue("bob")

    @cached_property
    def rsa(self) -> Authority:
        """Old digests need an RSA key."""
        return current_authority("RSA CA", key="RSA2048")

    @cached_property
    def middle(self) -> Authority:
        """Below ca."""
        return Authority("Middle CA", parent=self.ca)

    @cached_property
    def deep(self) -> Identity:
        """Of the middle, which it sends along."""
        return self.middle.issue("deep").with_chain(self.middle.pem)

    @cached_property
    def stranger(self) -> Identity:
        """Of another CA."""
        return current_authority("Other CA").issue("stranger")

    @cached_property
    def pinned_late(self) -> Identity:
        """Signed by itself, expired."""
        return self.ca.issue("late", start_days=-30, days=10, own_signature=True)

    @cached_property
    def pinned_self(self) -> Identity:
        """Signed by itself."""
        return self.ca.issue("self", own_signature=True)

    @cached_property
    def pinned_server(self) -> Identity:
        """Signed by itself, made for servers."""
        return self.ca.issue("backwards", SERVER, own_signature=True)

    def below(self, **kind: Any) -> Identity:
        """A client of a subordinate CA of some kind, which it sends along."""
        authority = Authority("Odd CA", parent=self.ca, **kind)
        return authority.issue("below").with_chain(authority.pem)

    def too_deep(self) -> Identity:
        """The path length of its first CA is exceeded."""
        first = Authority("First", parent=self.ca, path_length=0)
        second = Authority("Second", parent=first)
        return second.issue("toodeep").with_chain(second.pem, first.pem)

    def fingerprints(self, *identities: Identity) -> str:
        """The body of an inline peer-fingerprint."""
        return "\n".join(one.sha256.hex(":").upper() for one in identities)


@dataclass(frozen=True)
class Side:
    """Additions of a server to the base: lines and inline blocks, the same ones for both.

    files: of client-config-dir, a directory for OpenVPN and a block for us.
    """

    lines: tuple[str, ...] = ()
    blocks: Callable[[Pki], dict[str, str]] = lambda pki: {}
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One client at one server; says are words of our refusal."""

    setting: str
    what: str
    client: Callable[[Pki], Identity | None]
    openvpn: bool
    ours: bool
    says: str = ""
    why: str = ""
    lines: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.setting}: {self.what}"


def subject(*parts: tuple[x509.ObjectIdentifier, str]) -> Callable[[Pki], Identity]:
    """A client with this subject."""
    return lambda pki: pki.ca.issue("", subject=name_of(*parts))


def crl(*names: str, **kind: Any) -> Callable[[Pki], dict[str, str]]:
    """crl-verify with a list of the CA that revokes these."""
    return lambda pki: {"crl-verify": pki.ca.revocation_list(*[getattr(pki, n) for n in names], **kind)}


def no_ca(*names: str) -> Callable[[Pki], dict[str, str]]:
    """peer-fingerprint without ca."""
    return lambda pki: {"ca": "", "peer-fingerprint": pki.fingerprints(*[getattr(pki, n) for n in names])}


_NAMES = ("DEFAULT", "UNDEF", "a_b", "a:b", "d_e", "alice")

SETTINGS: dict[str, Side] = {
    "ca": Side(),
    "ca with RSA": Side(blocks=lambda pki: {"ca": pki.ca.pem + pki.rsa.pem}),
    "tls-cert-profile preferred": Side(("tls-cert-profile preferred",)),
    "tls-cert-profile insecure": Side(
        ("tls-cert-profile insecure",), blocks=lambda pki: {"ca": pki.ca.pem + pki.rsa.pem}
    ),
    "crl-verify": Side(blocks=crl("bob")),
    "crl-verify, empty list": Side(blocks=crl()),
    "crl-verify, expired": Side(blocks=crl(start_days=-30, days=20)),
    "crl-verify, of the future": Side(blocks=crl(start_days=3)),
    "crl-verify, bad signature": Side(blocks=crl("bob", damaged=True)),
    "crl-verify, of another CA": Side(
        blocks=lambda pki: {"crl-verify": current_authority("Other CA").revocation_list()}
    ),
    "crl-verify, of a namesake": Side(
        blocks=lambda pki: {"crl-verify": current_authority("Test CA").revocation_list()}
    ),
    "crl-verify, delta only": Side(blocks=crl("bob", extensions=(x509.DeltaCRLIndicator(1),))),
    "crl-verify, root and middle": Side(
        blocks=lambda pki: {"crl-verify": pki.ca.revocation_list() + pki.middle.revocation_list(pki.deep)}
    ),
    "crl-verify, middle revoked": Side(
        blocks=lambda pki: {"crl-verify": pki.ca.revocation_list(pki.middle) + pki.middle.revocation_list()}
    ),
    "crl-verify, root's only": Side(blocks=crl()),
    "crl-verify, middle's only": Side(blocks=lambda pki: {"crl-verify": pki.middle.revocation_list()}),
    "crl-verify, middle's expired": Side(
        blocks=lambda pki: {
            "crl-verify": pki.ca.revocation_list() + pki.middle.revocation_list(start_days=-30, days=20)
        }
    ),
    "peer-fingerprint and ca": Side(blocks=lambda pki: {"peer-fingerprint": pki.fingerprints(pki.alice, pki.stranger)}),
    "peer-fingerprint alone": Side(blocks=no_ca("pinned_self", "pinned_late", "stranger", "pinned_server", "alice")),
    "peer-fingerprint and remote-cert-tls": Side(
        ("remote-cert-tls client",), blocks=no_ca("pinned_self", "pinned_server")
    ),
    "verify-x509-name subject": Side(('verify-x509-name "O=Acme, CN=gate-1"',)),
    "verify-x509-name name": Side(("verify-x509-name gate-1 name",)),
    "verify-x509-name name-prefix": Side(("verify-x509-name gate- name-prefix",)),
    "remote-cert-tls client": Side(("remote-cert-tls client",)),
    "remote-cert-ku a0 88": Side(("remote-cert-ku a0 88",)),
    "remote-cert-eku": Side(('remote-cert-eku "TLS Web Client Authentication"',)),
    "remote-cert-eku by OID": Side(("remote-cert-eku 1.3.6.1.5.5.7.3.4",)),
    "tls-version-min 1.3": Side(("tls-version-min 1.3",)),
    "tls-version-max 1.2": Side(("tls-version-max 1.2",)),
    "tls-cipher": Side(("tls-cipher TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384:TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256",)),
    "tls-ciphersuites": Side(("tls-ciphersuites TLS_AES_128_GCM_SHA256",)),
    "tls-groups secp384r1": Side(("tls-groups secp384r1",)),
    "ccd-exclusive": Side(("ccd-exclusive",), files=dict.fromkeys(_NAMES, "")),
    "client-config-dir with disable": Side(files=dict.fromkeys(_NAMES, "disable")),
    "RSA server": Side(
        blocks=lambda pki: _identity(pki.ca.issue("server", SERVER, key="RSA2048")),
    ),
}


def _identity(one: Identity) -> dict[str, str]:
    return {"cert": one.cert, "key": one.key}


_AEAD = "TLS 1.2 with forward secrecy and AEAD only, unless tls-cipher says otherwise"
_COVERED = "a wrong file must not let revoked clients in: the client's own issuer needs a CRL"
_CONTROL = "a name must mean the same in logs, addresses and comparisons (CVE-2017-7522); OpenVPN cuts or replaces"
_NAMED = "clients are known by their names; OpenVPN lets this one in without any"
_NO_FILE = "not in the server's client-config-dir"
_DISABLED = "disabled by the server's client-config-dir"
_MAPPED = "the file a_b is that of another name"
_PURPOSE = "client certificate: unsuitable certificate purpose"

CASES: list[Case] = [
    # keys
    Case("ca", "P-256", lambda pki: pki.alice, ACCEPT, ACCEPT),
    *[
        Case("ca", kind, lambda pki, kind=kind: pki.ca.issue("alice", key=kind), ACCEPT, ACCEPT)  # type: ignore[misc]  # bound to this round
        for kind in ("P-384", "P-521", "Ed25519", "RSA2048", "RSA4096")
    ],
    Case("ca", "RSA 1024", lambda pki: pki.ca.issue("alice", key="RSA1024"), ACCEPT, ACCEPT),
    Case("tls-cert-profile preferred", "P-256", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("tls-cert-profile preferred", "RSA 1024", lambda pki: pki.ca.issue("alice", key="RSA1024"), REJECT, REJECT,
         "too short for tls-cert-profile"),
    Case("ca with RSA", "signed with SHA-1", lambda pki: pki.rsa.issue("alice", digest="sha1"), REJECT, REJECT),
    Case("ca with RSA", "signed with MD5", lambda pki: pki.rsa.issue("alice", digest="md5"), REJECT, REJECT),
    Case("ca with RSA", "of the second CA", lambda pki: pki.rsa.issue("alice"), ACCEPT, ACCEPT),
    Case("tls-cert-profile insecure", "signed with SHA-1", lambda pki: pki.rsa.issue("alice", digest="sha1"), ACCEPT,
         ACCEPT),
    Case("tls-cert-profile insecure", "RSA 1024", lambda pki: pki.ca.issue("alice", key="RSA1024"), ACCEPT, ACCEPT),
    # chains
    Case("ca", "expired", lambda pki: pki.ca.issue("a", start_days=-30, days=10), REJECT, REJECT, "has expired"),
    Case("ca", "not yet valid", lambda pki: pki.ca.issue("a", start_days=3), REJECT, REJECT, "not yet valid"),
    Case("ca", "of another CA", lambda pki: pki.stranger, REJECT, REJECT, "not in `ca`"),
    Case("ca", "of a namesake CA", lambda _: current_authority().issue("a"), REJECT, REJECT, "signature failure"),
    Case("ca", "signed by itself", lambda pki: pki.pinned_self, REJECT, REJECT, "signed by itself"),
    Case("ca", "bad signature", lambda pki: damaged(pki.alice), REJECT, REJECT, "signature"),
    Case("ca", "no certificate", lambda pki: None, REJECT, REJECT, "sent no certificate", lines=LOGIN),
    Case("ca", "intermediate sent", lambda pki: pki.deep, ACCEPT, ACCEPT),
    Case("ca", "intermediate not sent", lambda pki: pki.middle.issue("deep"), REJECT, REJECT, "not in `ca`"),
    Case("ca", "expired intermediate", lambda pki: pki.below(start_days=-30, days=10), REJECT, REJECT, "has expired"),
    Case("ca", "intermediate that is no CA", lambda pki: pki.below(is_ca=False), REJECT, REJECT, "CA certificate"),
    Case("ca", "path length exceeded", lambda pki: pki.too_deep(), REJECT, REJECT, "path length"),
    # usages
    Case("ca", "EKU serverAuth", lambda pki: pki.ca.issue("a", SERVER), REJECT, REJECT, _PURPOSE),
    Case("ca", "no EKU", lambda pki: pki.ca.issue("a", None), ACCEPT, ACCEPT),
    Case("ca", "EKU any", lambda pki: pki.ca.issue("a", ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE), REJECT, REJECT,
         _PURPOSE),
    Case("ca", "KU without signature", lambda pki: pki.ca.issue("a", key_usage=key_usage("key_encipherment")), REJECT,
         REJECT, _PURPOSE),
    Case("ca", "no KU", lambda pki: pki.ca.issue("a", key_usage=None), ACCEPT, ACCEPT),
    Case("remote-cert-tls client", "good", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("remote-cert-tls client", "no EKU", lambda pki: pki.ca.issue("a", None), REJECT, REJECT, "remote-cert-tls"),
    Case("remote-cert-tls client", "no KU", lambda pki: pki.ca.issue("a", key_usage=None), REJECT, REJECT,
         "remote-cert-tls"),
    Case("remote-cert-ku a0 88", "KU a0", lambda pki: pki.ca.issue("a", key_usage=key_usage(
        "digital_signature", "key_encipherment")), ACCEPT, ACCEPT),
    Case("remote-cert-ku a0 88", "KU 80", lambda pki: pki.alice, REJECT, REJECT, "its key usage is 80"),
    Case("remote-cert-ku a0 88", "no KU", lambda pki: pki.ca.issue("a", key_usage=None), REJECT, REJECT,
         "no key usage"),
    Case("remote-cert-eku", "EKU clientAuth", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("remote-cert-eku", "no EKU", lambda pki: pki.ca.issue("a", None), REJECT, REJECT, "remote-cert-eku"),
    Case("remote-cert-eku by OID", "EKU clientAuth", lambda pki: pki.alice, REJECT, REJECT, "remote-cert-eku"),
    # revocation
    Case("crl-verify", "not in the list", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("crl-verify", "revoked", lambda pki: pki.bob, REJECT, REJECT, "is revoked"),
    Case("crl-verify, empty list", "any", lambda pki: pki.bob, ACCEPT, ACCEPT),
    Case("crl-verify, expired", "any", lambda pki: pki.alice, REJECT, REJECT, "publish a new one"),
    Case("crl-verify, of the future", "any", lambda pki: pki.alice, REJECT, REJECT, "is not valid before"),
    Case("crl-verify, bad signature", "any", lambda pki: pki.alice, REJECT, REJECT, "bad signature"),
    Case("crl-verify, of another CA", "any", lambda pki: pki.alice, ACCEPT, REJECT, "add that authority's CRL",
         _COVERED),
    Case("crl-verify, of a namesake", "any", lambda pki: pki.alice, REJECT, REJECT, "crl-verify"),
    Case("crl-verify, delta only", "not in it", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("crl-verify, delta only", "revoked by it", lambda pki: pki.bob, REJECT, REJECT, "is revoked"),
    Case("crl-verify, root and middle", "of the root", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("crl-verify, root and middle", "revoked by the middle", lambda pki: pki.deep, REJECT, REJECT, "is revoked"),
    Case("crl-verify, root and middle", "of the middle", lambda pki: pki.middle.issue("x").with_chain(pki.middle.pem),
         ACCEPT, ACCEPT),
    Case("crl-verify, middle revoked", "of the middle", lambda pki: pki.deep, REJECT, REJECT, "authority of its chain"),
    Case("crl-verify, root's only", "of the middle", lambda pki: pki.deep, ACCEPT, REJECT, "no CRL of its issuer",
         _COVERED),
    Case("crl-verify, middle's only", "of the middle", lambda pki: pki.deep, ACCEPT, ACCEPT),
    Case("crl-verify, middle's expired", "of the middle", lambda pki: pki.deep, REJECT, REJECT, "has expired on"),
    Case("crl-verify, middle's expired", "of the root", lambda pki: pki.alice, ACCEPT, ACCEPT),
    # fingerprints
    Case("peer-fingerprint and ca", "in the list", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("peer-fingerprint and ca", "not in the list", lambda pki: pki.bob, REJECT, REJECT, "not in the list"),
    Case("peer-fingerprint and ca", "in the list, of another CA", lambda pki: pki.stranger, REJECT, REJECT,
         "not in `ca`"),
    Case("peer-fingerprint alone", "signed by itself", lambda pki: pki.pinned_self, ACCEPT, ACCEPT),
    Case("peer-fingerprint alone", "signed by itself, TLS 1.2", lambda pki: pki.pinned_self, ACCEPT, ACCEPT,
         lines=ONLY_12),
    Case("peer-fingerprint alone", "of a CA", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("peer-fingerprint alone", "expired", lambda pki: pki.pinned_late, ACCEPT, ACCEPT),
    Case("peer-fingerprint alone", "EKU serverAuth", lambda pki: pki.pinned_server, ACCEPT, ACCEPT),
    Case("peer-fingerprint alone", "not in the list", lambda pki: pki.bob, REJECT, REJECT, "not in the list"),
    Case("peer-fingerprint alone", "no certificate", lambda pki: None, REJECT, REJECT, "no certificate", lines=LOGIN),
    Case("peer-fingerprint and remote-cert-tls", "clientAuth", lambda pki: pki.pinned_self, ACCEPT, ACCEPT),
    Case("peer-fingerprint and remote-cert-tls", "serverAuth", lambda pki: pki.pinned_server, REJECT, REJECT,
         "remote-cert-tls"),
    # names
    Case("verify-x509-name subject", "right", subject((ORG, "Acme"), (CN, "gate-1")), ACCEPT, ACCEPT),
    Case("verify-x509-name subject", "wrong", subject((CN, "gate-1")), REJECT, REJECT, "verify-x509-name"),
    Case("verify-x509-name name", "right", subject((ORG, "Acme"), (CN, "gate-1")), ACCEPT, ACCEPT),
    Case("verify-x509-name name", "wrong", subject((CN, "gate-12")), REJECT, REJECT, "must be `gate-1`"),
    Case("verify-x509-name name-prefix", "right", subject((CN, "gate-12")), ACCEPT, ACCEPT),
    Case("verify-x509-name name-prefix", "wrong", subject((CN, "Gate-12")), REJECT, REJECT, "must begin with `gate-`"),
    Case("ca", "CN with spaces and signs", subject((CN, "a b/c=d,e+f")), ACCEPT, ACCEPT),
    Case("ca", "CN in Unicode", subject((CN, "Jürgen 田中")), ACCEPT, ACCEPT),
    Case("ca", "CN of 64 bytes", subject((CN, "x" * 64)), ACCEPT, ACCEPT),
    Case("ca", "CN of 65 bytes", subject((CN, "x" * 65)), REJECT, REJECT, "longer than 64 bytes"),
    Case("ca", "two CNs: the last counts", subject((CN, "first"), (CN, "last")), ACCEPT, ACCEPT),
    Case("ca", "no CN", subject((ORG, "Acme")), REJECT, REJECT, "no common name"),
    Case("ca", "empty subject", subject(), REJECT, REJECT, "no common name"),
    Case("ca", "empty CN", subject((CN, "")), ACCEPT, REJECT, "no common name", _NAMED),
    Case("ca", "CN with a NUL", subject((CN, "alice\0x")), ACCEPT, REJECT, "control characters", _CONTROL),
    Case("ca", "CN with a control character", subject((CN, "a\x1b[1m")), ACCEPT, REJECT, "control characters",
         _CONTROL),
    Case("ca", "CN with a bidi override", subject((CN, "a\u202eb")), ACCEPT, REJECT, "cannot be printed", _CONTROL),
    # client-config-dir
    *[
        Case("ccd-exclusive", f"CN {name}", subject((CN, name)), openvpn, ours, says, why)
        for name, openvpn, ours, says, why in (
            ("alice", ACCEPT, ACCEPT, "", ""),
            ("UNDEF", ACCEPT, ACCEPT, "", ""),
            ("a:b", ACCEPT, ACCEPT, "", ""),
            ("Alice", REJECT, REJECT, _NO_FILE, ""),
            ("DEFAULT", REJECT, REJECT, "DEFAULT is that of all clients without their own", ""),
            ("a/b", ACCEPT, REJECT, "no file can have its name", _MAPPED),
            ("d:e", REJECT, REJECT, _NO_FILE, ""),
            ("..", REJECT, REJECT, "no file can have its name", ""),
            ("/", REJECT, REJECT, "no file can have its name", ""),
        )
    ],
    *[
        Case("client-config-dir with disable", f"CN {name}", subject((CN, name)), openvpn, REJECT, _DISABLED, why)
        for name, openvpn, why in (
            ("alice", REJECT, ""), ("UNDEF", REJECT, ""), ("a:b", REJECT, ""), ("a/b", REJECT, ""), ("bob", REJECT, ""),
            ("DEFAULT", REJECT, ""), ("..", REJECT, ""),
        )
    ],
    # TLS
    Case("ca", "TLS 1.1 only", lambda pki: pki.alice, REJECT, REJECT, "TLS version is too old",
         lines=("tls-version-max 1.1", "tls-version-min 1.0")),
    Case("ca", "TLS 1.2 only", lambda pki: pki.alice, ACCEPT, ACCEPT, lines=ONLY_12),
    Case("ca", "TLS 1.3 only", lambda pki: pki.alice, ACCEPT, ACCEPT, lines=ONLY_13),
    Case("ca", "TLS 1.2 with CBC", lambda pki: pki.alice, ACCEPT, REJECT, "no TLS 1.2 cipher", _AEAD,
         (*ONLY_12, "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256")),
    Case("tls-version-min 1.3", "TLS 1.2 only", lambda pki: pki.alice, REJECT, REJECT, "TLS version", lines=ONLY_12),
    Case("tls-version-min 1.3", "TLS 1.3 only", lambda pki: pki.alice, ACCEPT, ACCEPT, lines=ONLY_13),
    Case("tls-version-max 1.2", "TLS 1.3 only", lambda pki: pki.alice, REJECT, REJECT, lines=ONLY_13),
    Case("tls-version-max 1.2", "any version", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("tls-cipher", "one of them", lambda pki: pki.alice, ACCEPT, ACCEPT,
         lines=(*ONLY_12, "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256")),
    Case("tls-cipher", "none of them", lambda pki: pki.alice, REJECT, REJECT, "no TLS 1.2 cipher",
         lines=(*ONLY_12, "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256")),
    Case("RSA server", "RSA cipher", lambda pki: pki.alice, ACCEPT, ACCEPT,
         lines=(*ONLY_12, "tls-cipher TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384")),
    Case("RSA server", "ECDSA cipher only", lambda pki: pki.alice, REJECT, REJECT, "no TLS 1.2 cipher",
         lines=(*ONLY_12, "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384")),
    Case("tls-ciphersuites", "the same", lambda pki: pki.alice, ACCEPT, ACCEPT, lines=ONLY_13),
    Case("tls-ciphersuites", "another", lambda pki: pki.alice, REJECT, REJECT, "",
         lines=(*ONLY_13, "tls-ciphersuites TLS_AES_256_GCM_SHA384")),
    Case("tls-groups secp384r1", "the same", lambda pki: pki.alice, ACCEPT, ACCEPT),
    Case("tls-groups secp384r1", "another", lambda pki: pki.alice, REJECT, REJECT, "no TLS group",
         lines=(*ONLY_13, "tls-groups X25519")),
]  # fmt: skip


def table() -> str:
    """The table of docs/verdicts.md."""
    rows = ["| server | client | OpenVPN 2.6 | Hognose | stricter because |", "| --- | --- | --- | --- | --- |"]
    words = {ACCEPT: "accepts", REJECT: "refuses"}
    rows += [f"| {c.setting} | {c.what} | {words[c.openvpn]} | {words[c.ours]} | {c.why} |" for c in CASES]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    page = Path(__file__).resolve().parents[2] / "docs" / "verdicts.md"
    before, mark, rest = page.read_text(encoding="utf-8").partition("<!-- verdicts -->\n")
    page.write_text(before + mark + table() + rest[rest.index("<!-- /verdicts -->") :], encoding="utf-8")
