"""Revocation lists: which of them is asked about which certificate, and when the first of them expires."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.unit.openvpn.handshake import DAY
from tests.world.pki import Authority, Identity
from tests.world.today import UNIX

from hognose.errors import ConfigError
from hognose.openvpn.tls import crl
from hognose.openvpn.tls.crl import RevocationLists

ROOT = Authority()
UPPER = Authority("Upper", parent=ROOT)
LOWER = Authority("Lower", parent=UPPER)
ALICE = LOWER.issue("alice")


def der(one: Authority | Identity) -> bytes:
    return one.certificate.public_bytes(Encoding.DER)


CHAIN = (der(ALICE), der(LOWER), der(UPPER))


def lists(*pems: str) -> RevocationLists:
    return RevocationLists("".join(pems), [ROOT.certificate])


def without_end(authority: Authority) -> str:
    """A CRL that names no next update (RFC 5280 5.1.2.5 has it optional in the syntax): it never expires."""
    pem = authority.revocation_list()
    body = x509.load_pem_x509_crl(pem.encode()).tbs_certlist_bytes
    time = body.index(b"\x17\x0d", body.index(b"\x17\x0d") + 1)  # the second UTCTime
    head = 2 if body[1] < 128 else 2 + (body[1] & 127)
    inner = body[head:time] + body[time + 15 :]
    key = authority.key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signed = sequence(inner)
    signature = key.sign(signed, ec.ECDSA(SHA256()))
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    bits = b"\0" + signature
    whole = sequence(signed + ecdsa_with_sha256 + bytes((3, len(bits))) + bits)
    return x509.load_der_x509_crl(whole).public_bytes(Encoding.PEM).decode()


def sequence(body: bytes) -> bytes:
    size = len(body)
    length = bytes((size,)) if size < 128 else b"\x81" + bytes((size,)) if size < 256 else b"\x82" + size.to_bytes(2)
    return b"\x30" + length + body


# -- along a chain -----------------------------------------------------------------------------------------------------


def test_every_certificate_of_a_chain_is_asked_for() -> None:
    good = [LOWER.revocation_list(), UPPER.revocation_list(), ROOT.revocation_list()]
    assert lists(*good).check(CHAIN, UNIX) == ""
    revocations: list[tuple[Authority, Authority | Identity]] = [(LOWER, ALICE), (UPPER, LOWER), (ROOT, UPPER)]
    for number, (authority, revoked) in enumerate(revocations):
        pems = [*good[:number], authority.revocation_list(revoked), *good[number + 1 :]]
        said = lists(*pems).check(CHAIN, UNIX)
        whose = "an authority of its chain" if number else "the client's certificate"
        serial = revoked.certificate.serial_number
        assert said == f"crl-verify: {whose} (serial {serial:x}) is revoked"


def test_an_authority_without_a_list_is_passed_over_not_those_above_it() -> None:
    """As OpenVPN; the client's own issuer has to have one."""
    assert lists(LOWER.revocation_list()).check(CHAIN, UNIX) == ""
    said = lists(LOWER.revocation_list(), ROOT.revocation_list(UPPER)).check(CHAIN, UNIX)
    assert "an authority of its chain" in said
    said = lists(UPPER.revocation_list(), ROOT.revocation_list()).check(CHAIN, UNIX)
    assert said == "crl-verify: there is no CRL of its issuer CN=Lower; add that authority's CRL"


def test_a_list_of_an_authority_counts_while_it_is_valid() -> None:
    above = UPPER.revocation_list(start_days=-1, days=11)
    made = lists(LOWER.revocation_list(days=100), above)
    assert made.check(CHAIN, UNIX + 9 * DAY) == ""
    assert "the CRL of CN=Upper has expired on " in made.check(CHAIN, UNIX + 11 * DAY)
    assert "the CRL of CN=Lower is not valid before " in made.check(CHAIN, UNIX - 2 * DAY)


def test_the_latest_end_and_the_earliest_start_are_told() -> None:
    day = timedelta(days=1)
    both = lists(LOWER.revocation_list(days=5), LOWER.revocation_list(days=8))
    assert f"has expired on {LOWER.today + 7 * day:%Y-%m-%d}" in both.check(CHAIN, UNIX + 20 * DAY)
    both = lists(LOWER.revocation_list(start_days=5), LOWER.revocation_list(start_days=3))
    assert f"is not valid before {LOWER.today + 3 * day:%Y-%m-%d}" in both.check(CHAIN, UNIX)


def test_a_list_whose_issuer_is_written_otherwise() -> None:
    """OpenSSL compares names without regard to case (RFC 5280 7.1); what it says of such a list is told as it is."""
    start = LOWER.today
    builder = x509.CertificateRevocationListBuilder()
    builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "LOWER")]))
    builder = builder.last_update(start).next_update(start + timedelta(days=10))
    made = lists(builder.sign(LOWER.key, SHA256()).public_bytes(Encoding.PEM).decode())
    assert made.check(CHAIN, UNIX + DAY) == ""
    assert made.check(CHAIN, UNIX + 11 * DAY) == "crl-verify: CRL has expired"
    assert made.check(CHAIN, UNIX - DAY) == "crl-verify: CRL is not yet valid"


@pytest.mark.parametrize(("sizes", "good"), [((3,), True), ((1, 2), True), ((4,), False), ((2, 2), False)])
def test_revoked_certificates_of_all_lists_are_bounded(
    sizes: tuple[int, ...], good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crl, "CRL_ENTRIES", 3)
    pems = [LOWER.revocation_list(serials=range(1, size + 1)) for size in sizes]
    if good:
        assert lists(*pems).check(CHAIN, UNIX) == ""
        return
    with pytest.raises(ConfigError, match="crl-verify: 4 revoked certificates, more than 3"):
        lists(*pems)


# -- the first end -----------------------------------------------------------------------------------------------------


def day_of(*pems: str) -> float | None:
    """Days after today at which the first list expires."""
    found = lists(*pems).next_update
    return None if found is None else round((found - UNIX) / DAY, 1)


def test_the_first_list_to_expire() -> None:
    """Of each issuer the newest list counts, of all issuers the earliest end."""
    lower, upper = LOWER.revocation_list(days=11), UPPER.revocation_list(days=21)
    newer = LOWER.revocation_list(days=31)
    assert day_of(lower) == day_of(lower, upper) == day_of(upper, lower) == 10
    assert day_of(lower, newer, upper) == day_of(newer, lower, upper) == 20
    assert day_of(lower, newer) == 30


def test_a_list_that_never_expires() -> None:
    endless = without_end(LOWER)
    lower, upper = LOWER.revocation_list(days=11), UPPER.revocation_list(days=21)
    assert lists(endless).check(CHAIN, UNIX + 300 * DAY) == ""
    assert day_of(endless) is None
    assert day_of(endless, lower) is None
    assert day_of(lower, endless) is None
    assert day_of(endless, upper) == 20
    assert day_of(endless, lower, upper) == 20
    assert day_of(lower, without_end(UPPER)) == 10


def test_names_that_cannot_be_printed() -> None:
    odd = Authority("a\x1b[31m", parent=ROOT)
    identity = odd.issue("bob")
    made = lists(ROOT.revocation_list())
    said = made.check((der(identity), der(odd)), UNIX)
    assert said.startswith("crl-verify: there is no CRL of its issuer CN=a")
    assert said.isprintable()
