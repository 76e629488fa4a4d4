"""TlsContext and its endpoint: whom they let in, what they say about those they do not, settings that cannot work."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from OpenSSL import SSL
from tests.unit.openvpn.handshake import DAY, World, client, handshake, output, verdict
from tests.world.pki import SERVER, Authority, Identity, damaged
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.errors import ConfigError, PeerError
from hognose.openvpn.tls import openssl_binding
from hognose.openvpn.tls.algorithms import DEFAULT_CIPHERS, cipher_string
from hognose.openvpn.tls.certificates import NO_NAME
from hognose.openvpn.tls.crl import RevocationLists
from hognose.openvpn.tls.openssl_endpoint import OpenSslEndpoint
from hognose.settings import CertificateRules

_DER = Encoding.DER


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def alice(world: World) -> Identity:
    return world.authority.issue("alice")


# -- chains ------------------------------------------------------------------------------------------------------------


def test_a_good_client(world: World, alice: Identity) -> None:
    endpoint = handshake(world.context(), client(alice))
    assert endpoint.common_name == "alice"
    assert endpoint.certificate_sha256 == alice.sha256
    assert endpoint.peer_chain == (alice.certificate.public_bytes(_DER),)
    assert endpoint.version == "TLSv1.3"
    assert world.context().crl_next_update is None


def test_what_is_said_of_bad_clients(world: World) -> None:
    ca = world.authority
    context = world.context()
    for identity, words in (
        (None, "the client sent no certificate"),
        (ca.issue("late", start_days=-30, days=10), "certificate has expired; issue a new one"),
        (ca.issue("early", start_days=3), "check its dates and this machine"),
        (Authority("Other CA").issue("mallory"), "not in `ca`"),
        (Authority("Test CA").issue("mallory"), "not by the key of the CA in `ca`"),
        (damaged(ca.issue("alice")), "not by the key of the CA in `ca`"),
        (ca.issue("self", own_signature=True), "signed by itself"),
        (ca.issue("server", SERVER), "purpose; it is not for TLS clients"),
        (Authority("Sub", parent=ca).issue("deep"), "not in `ca`"),
        (ca.issue("short", key="RSA1024"), "too short for tls-cert-profile"),
    ):
        assert words in verdict(context, identity)


def test_purposes_are_checked_behind_openssl_too(world: World) -> None:
    server = world.authority.issue("server", SERVER).certificate.public_bytes(_DER)
    with pytest.raises(PeerError, match="not clientAuth"):
        world.context().judge((server,), UNIX)


def test_time_goes_on_for_one_context(world: World, alice: Identity) -> None:
    """OpenSSL keeps the first time that a store is given; a server runs for years."""
    context = world.context()
    assert verdict(context, alice, UNIX) == ""
    assert "has expired" in verdict(context, alice, UNIX + 365 * DAY)
    assert "not yet valid" in verdict(context, alice, UNIX - 2 * DAY)
    assert verdict(context, alice, UNIX) == ""


def test_an_intermediate_that_is_sent(world: World) -> None:
    middle = Authority("Middle", parent=world.authority)
    identity = middle.issue("deep").with_chain(middle.pem)
    endpoint = handshake(world.context(), client(identity))
    assert len(endpoint.peer_chain) == 2
    assert world.context().recheck(endpoint.peer_chain, UNIX) == ""
    assert "not in `ca`" in world.context().recheck(endpoint.peer_chain[:1], UNIX)


def test_nothing_is_accepted_after_a_failure(world: World, alice: Identity) -> None:
    endpoint = world.context(CertificateRules(name_kind="name", name="bob")).accept(UNIX)
    ours = client(alice)
    _step(ours, endpoint)
    ours.bio_write(endpoint.take_output())
    with pytest.raises(PeerError) as caught:
        _step(ours, endpoint)
    assert caught.value.reason is DropReason.CERTIFICATE_REJECTED
    assert "must be `bob`" in caught.value.detail
    assert not endpoint.handshake_done
    assert endpoint.common_name == ""
    with pytest.raises(PeerError, match="has failed before"):
        endpoint.receive(b"more")


# -- revocation --------------------------------------------------------------------------------------------------------


def test_revoked_and_not(world: World, alice: Identity) -> None:
    bob = world.authority.issue("bob")
    context = world.context(crl=world.authority.revocation_list(bob))
    assert verdict(context, alice) == ""
    assert "client certificate bob: crl-verify: the client's certificate (serial " in verdict(context, bob)
    assert "is revoked" in verdict(context, bob)


def test_a_crl_that_has_expired_closes_the_door(world: World, alice: Identity) -> None:
    context = world.context(crl=world.authority.revocation_list(days=30))
    assert verdict(context, alice, UNIX + 28 * DAY) == ""
    said = verdict(context, alice, UNIX + 30 * DAY)
    assert "the CRL of CN=Test CA has expired on 20" in said
    assert "publish a new one" in said
    assert verdict(context, alice, UNIX) == ""
    assert context.crl_next_update is not None
    assert abs(context.crl_next_update - (UNIX + 29 * DAY)) < 3600


def test_a_crl_of_the_future_and_of_others(world: World, alice: Identity) -> None:
    ca = world.authority
    assert "is not valid before" in verdict(world.context(crl=ca.revocation_list(start_days=2)), alice)
    other = Authority("Other CA")
    assert "there is no CRL of its issuer CN=Test CA" in verdict(world.context(crl=other.revocation_list()), alice)
    assert "bad signature" in verdict(world.context(crl=ca.revocation_list(damaged=True)), alice)
    imposter = Authority("Test CA")
    assert "bad signature" in verdict(world.context(crl=imposter.revocation_list()), alice)


def test_several_crls(world: World, alice: Identity) -> None:
    ca, middle = world.authority, Authority("Middle", parent=world.authority)
    deep = middle.issue("deep").with_chain(middle.pem)
    own, above = middle.revocation_list(days=10), ca.revocation_list(middle, days=20)
    assert verdict(world.context(crl=own), deep) == ""  # the root has no CRL: passed over, as OpenVPN does
    assert "no CRL of its issuer CN=Middle" in verdict(world.context(crl=ca.revocation_list()), deep)
    both = world.context(crl=f"Some text.\n{own}\nMore text.\n{above}")
    assert "an authority of its chain" in verdict(both, deep)
    assert verdict(both, alice) == ""
    assert both.crl_next_update is not None
    assert abs(both.crl_next_update - (UNIX + 9 * DAY)) < 3600
    # A newer list of the same issuer stands for the older one.
    renewed = RevocationLists(own + middle.revocation_list(days=40), [ca.certificate])
    assert renewed.next_update is not None
    assert abs(renewed.next_update - (UNIX + 39 * DAY)) < 3600


@pytest.mark.parametrize("text", ["nonsense", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "cut"])
def test_damaged_crls_are_config_errors(world: World, text: str) -> None:
    if text == "cut":
        text = world.authority.revocation_list().rpartition("-----END")[0]
    with pytest.raises(ConfigError, match="crl-verify: ") as caught:
        world.context(crl=text)
    assert "AAAA" not in str(caught.value)
    with pytest.raises(ConfigError, match="more than 64"):
        world.context(crl=world.authority.revocation_list() * 65)


# -- fingerprints ------------------------------------------------------------------------------------------------------


def pinned(*identities: Identity) -> CertificateRules:
    return CertificateRules(fingerprints=tuple(one.sha256 for one in identities))


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_pinned_certificates_without_a_ca(world: World, alice: Identity, version: int) -> None:
    own = world.authority.issue("self", own_signature=True)
    late = world.authority.issue("late", start_days=-30, days=10)
    strange = Authority("Other CA").issue("strange")
    context = world.context(pinned(own, late, strange), ca="")
    for identity in (own, late, strange):  # as OpenVPN 2.6: the fingerprint is all
        assert verdict(context, identity, minimum=version, maximum=version) == ""
    said = verdict(context, alice, minimum=version, maximum=version)
    assert "peer-fingerprint: it is not in the list; add " in said
    assert alice.sha256.hex(":").upper() in said
    assert verdict(context, None, minimum=version, maximum=version) == "the client sent no certificate"


def test_a_pinned_certificate_needs_its_key(world: World, alice: Identity) -> None:
    """The public certificate alone does not let a client in: the proof of the key is still OpenSSL's to check.

    TLS 1.3 sends the proof in a message of its own; a client that leaves it out, or cannot make it, never finishes.
    """
    context = world.context(pinned(alice), ca="")
    ours = client(alice, minimum=SSL.TLS1_3_VERSION)
    endpoint = context.accept(UNIX)
    _step(ours, endpoint)
    with pytest.raises(SSL.WantReadError):
        ours.do_handshake()
    ours.bio_write(endpoint.take_output())
    ours.do_handshake()
    records = _records(output(ours))
    assert len(records) >= 4  # change cipher spec, certificate, certificate verify, finished
    with pytest.raises(PeerError) as caught:
        endpoint.receive(b"".join(records[:2] + records[3:]))
    assert caught.value.reason is DropReason.TLS_ERROR
    assert not endpoint.handshake_done


def test_a_crl_means_nothing_without_a_ca(world: World, alice: Identity) -> None:
    context = world.context(pinned(alice), ca="", crl=world.authority.revocation_list(alice))
    assert verdict(context, alice) == ""
    [warning] = context.warnings
    assert warning.startswith("crl-verify: nothing is looked up without a ca")
    assert world.context(pinned(alice), ca="").warnings == ()
    assert world.context(crl=world.authority.revocation_list()).warnings == ()


def test_pinned_certificates_with_a_ca(world: World, alice: Identity) -> None:
    strange = Authority("Other CA").issue("strange")
    context = world.context(pinned(alice, strange))
    assert verdict(context, alice) == ""
    assert "not in `ca`" in verdict(context, strange)
    assert "not in the list" in verdict(context, world.authority.issue("bob"))


def test_contexts_that_name_nobody(world: World) -> None:
    with pytest.raises(ConfigError, match="ca: is missing"):
        world.context(ca="")
    with pytest.raises(ConfigError, match="peer-fingerprint: "):
        world.context(CertificateRules(fingerprints=(bytes(20),)))


def test_a_build_without_the_symbol_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl_binding, "ask_without_judging", lambda context, required: False)
    with pytest.raises(ConfigError, match="peer-fingerprint: needs a ca with this build"):
        world.context(CertificateRules(fingerprints=(bytes(32),)), ca="")


# -- clients without a certificate -------------------------------------------------------------------------------------


def test_verify_client_cert(world: World, alice: Identity) -> None:
    none, optional = world.context(verify_client_cert="none"), world.context(verify_client_cert="optional")
    assert handshake(none, client(alice)).common_name == NO_NAME
    assert handshake(none, client(None)).peer_chain == ()
    assert handshake(optional, client(None)).certificate_sha256 == b""
    assert handshake(optional, client(alice)).common_name == "alice"
    assert "not in `ca`" in verdict(optional, Authority("Other CA").issue("mallory"))
    assert handshake(world.context(ca="", verify_client_cert="none"), client(None)).common_name == NO_NAME
    half_pinned = world.context(pinned(alice), ca="", verify_client_cert="optional")
    assert handshake(half_pinned, client(None)).common_name == NO_NAME
    assert "not in the list" in verdict(half_pinned, world.authority.issue("bob"))
    assert optional.recheck((), UNIX) == ""
    assert world.context().recheck((), UNIX) == "the client sent no certificate"


# -- judging once more -------------------------------------------------------------------------------------------------


def test_live_clients_are_judged_by_a_new_config(world: World, alice: Identity) -> None:
    chain = handshake(world.context(), client(alice)).peer_chain
    ca = world.authority
    assert world.context().recheck(chain, UNIX) == ""
    assert world.context(crl=ca.revocation_list()).recheck(chain, UNIX) == ""
    assert "is revoked" in world.context(crl=ca.revocation_list(alice)).recheck(chain, UNIX)
    assert "certificate has expired" in world.context().recheck(chain, UNIX + 400 * DAY)
    assert "not in `ca`" in world.context(ca=Authority("Other CA").pem).recheck(chain, UNIX)
    assert "not in the list" in world.context(pinned(ca.issue("bob")), ca="").recheck(chain, UNIX)
    assert world.context(pinned(alice), ca="").recheck(chain, UNIX + 400 * DAY) == ""
    assert "must be `bob`" in world.context(CertificateRules(name_kind="name", name="bob")).recheck(chain, UNIX)
    server = (ca.issue("server", SERVER).certificate.public_bytes(_DER),)
    assert "not for TLS clients" in world.context().recheck(server, UNIX)
    assert world.context(verify_client_cert="none").recheck(server, UNIX) == ""
    assert "malformed" in world.context().recheck((b"\x30\x03abc",), UNIX)
    assert "more than 16" in world.context().recheck(chain * 17, UNIX)


@pytest.mark.stress
def test_certificates_with_any_byte_changed(world: World) -> None:
    """A verdict for whatever OpenSSL may have let through: never an exception of a parser."""
    mail = x509.SubjectAlternativeName([x509.DNSName("x.example"), x509.RFC822Name("a@x.example")])
    [good] = handshake(world.context(), client(world.authority.issue("alice", extensions=[mail]))).peer_chain
    strict = world.context(
        CertificateRules(name_kind="subject", name="CN=alice", username_field="CN ext:subjectAltName serialNumber"),
        crl=world.authority.revocation_list(),
    )
    assert strict.recheck((good,), UNIX) == ""
    for at in range(len(good)):
        for value in (0, 0x16, 0x1E, 0x30, 0xFF):
            odd = good[:at] + bytes((value,)) + good[at + 1 :]
            if odd == good:
                continue
            with contextlib.suppress(PeerError):
                strict.judge((odd,), UNIX)
            assert strict.recheck((odd, good), UNIX) != ""


# -- algorithms --------------------------------------------------------------------------------------------------------


def test_versions_and_ciphers(world: World, alice: Identity) -> None:
    one_two, one_three = SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION
    assert "TLS version is too old" in verdict(world.context(min_version="1.3"), alice, maximum=one_two)
    assert verdict(world.context(min_version="1.3"), alice) == ""
    old = handshake(world.context(max_version="1.2"), client(alice))
    assert old.version == "TLSv1.2"
    only = world.context(ciphers="ECDHE-ECDSA-AES256-GCM-SHA384")
    assert verdict(only, alice, maximum=one_two) == ""
    assert "no TLS 1.2 cipher" in verdict(only, alice, maximum=one_two, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    suites = world.context(ciphersuites="TLS_AES_128_GCM_SHA256")
    endpoint = handshake(suites, client(alice, minimum=one_three))
    assert endpoint._connection.get_cipher_name() == "TLS_AES_128_GCM_SHA256"


def test_cert_profiles(world: World) -> None:
    short = world.authority.issue("short", key="RSA1024")
    for profile, good in (("insecure", True), ("legacy", True), ("preferred", False), ("suiteb", False)):
        assert (verdict(world.context(cert_profile=profile), short) == "") is good
    sha1 = Authority("RSA CA", key="RSA2048")
    old = sha1.issue("old", key="RSA2048", digest="sha1")
    for profile, good in (("insecure", True), ("legacy", False), ("preferred", False)):
        assert (verdict(world.context(ca=sha1.pem, cert_profile=profile), old) == "") is good


def test_groups(world: World, alice: Identity) -> None:
    context = world.context(groups="secp384r1")
    assert verdict(context, alice) == ""
    ours = client(alice, minimum=SSL.TLS1_3_VERSION)
    assert openssl_binding.set_groups(ours.get_context(), "secp521r1") == ""
    mismatched = SSL.Connection(ours.get_context(), None)
    mismatched.set_connect_state()
    with pytest.raises(PeerError, match="share no TLS group"):
        handshake(context, mismatched)
    assert verdict(context, alice, maximum=SSL.TLS1_2_VERSION).startswith(
        "wrong curve; in TLS 1.2 the EC key of the cli"
    )
    other = world.authority.issue("bob", key="P-384")
    assert verdict(context, other, maximum=SSL.TLS1_2_VERSION) == ""
    with pytest.raises(ConfigError, match="tls-groups: "):
        world.context(groups="nonsense")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ciphers": "nonsense"}, "tls-cipher: OpenSSL has no cipher of this list"),
        ({"ciphers": "TLS-RSA-WITH-NULL-MD17"}, "tls-cipher: OpenSSL has no cipher"),
        ({"ciphers": "AES256-SHA,x"}, "tls-cipher: write cipher names with colons"),
        ({"ciphers": "DEFAULT:@SECLEVEL=0"}, "tls-cipher: write tls-cert-profile instead"),
        ({"ciphersuites": "TLS_NONSENSE"}, "tls-ciphersuites: OpenSSL does not know"),
        ({"cert_profile": "strict"}, "tls-cert-profile: `strict` is none of"),
        ({"min_version": "1.1"}, "tls-version-min: `1.1`: write 1.2 or 1.3"),
        ({"max_version": "1.4"}, "tls-version-max: `1.4`"),
        ({"ca": "nonsense"}, "ca: there is no readable certificate"),
        ({"cert": "nonsense"}, "cert: there is no readable certificate"),
        ({"extra_certs": "nonsense"}, "extra-certs: there is no readable certificate"),
        ({"key": "nonsense"}, "key: there is no readable private key"),
        ({"key": "other"}, "key: OpenSSL refuses it with this cert"),
        ({"key": "encrypted"}, "key: it is encrypted"),
        ({"key": "x25519"}, "key: it must be RSA"),
        ({"cert": "weak"}, "cert: OpenSSL refuses it"),
    ],
)
def test_settings_that_cannot_work(world: World, settings: dict[str, Any], words: str) -> None:
    if settings.get("key") in ("other", "encrypted", "x25519"):
        settings = {"key": _odd_keys(world)[settings["key"]]}
    if settings.get("cert") == "weak":
        weak = world.authority.issue("server", SERVER, key="RSA1024")
        settings = {"cert": weak.cert, "key": weak.key}
    with pytest.raises(ConfigError) as caught:
        world.context(**settings)
    assert words in str(caught.value)
    assert "BEGIN" not in str(caught.value)


def test_cipher_lists() -> None:
    text, warnings = cipher_string("ECDHE-RSA-AES256-GCM-SHA384:NONSENSE-SHA:!aNULL", "preferred")
    assert text == "ECDHE-RSA-AES256-GCM-SHA384:!aNULL:!aNULL:!eNULL:@SECLEVEL=2"
    assert warnings == ["tls-cipher: `NONSENSE-SHA` is left out, OpenSSL does not have it"]
    assert cipher_string("", "preferred")[0] == f"{DEFAULT_CIPHERS}:@SECLEVEL=2"
    assert cipher_string("", "suiteb")[0] == "SUITEB128:@SECLEVEL=3"


def test_warnings_reach_the_context(world: World) -> None:
    context = world.context(ciphers="ECDHE-ECDSA-AES256-GCM-SHA384:NONSENSE-SHA")
    assert len(context.warnings) == 1


def test_further_certificates_are_sent_along(world: World, alice: Identity) -> None:
    middle = Authority("Middle", parent=world.authority)
    own = middle.issue("server", SERVER)
    choices: list[dict[str, Any]] = [{"cert": own.cert + middle.pem}, {"cert": own.cert, "extra_certs": middle.pem}]
    for settings in choices:
        ours = client(alice)
        handshake(world.context(key=own.key, **settings), ours)
        chain = ours.get_peer_cert_chain(as_cryptography=True)
        assert chain is not None
        assert [one.subject.rfc4514_string() for one in chain] == ["CN=server", "CN=Middle"]


def test_no_tls_at_all(world: World) -> None:
    endpoint = world.context().accept(UNIX)
    with pytest.raises(PeerError) as caught:
        endpoint.receive(b"GET / HTTP/1.0\r\n\r\n")
    assert caught.value.reason is DropReason.TLS_ERROR


def test_a_list_of_nothing_but_suites_without_encryption(world: World) -> None:
    """OpenSSL knows them, and none is left where they are never used."""
    with pytest.raises(ConfigError, match="tls-cipher: OpenSSL refuses it: "):
        world.context(ciphers="NULL-SHA256")


def test_the_servers_order_of_suites_counts(world: World, alice: Identity) -> None:
    strong, weak = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
    context = world.context(ciphers=f"{weak}:{strong}", max_version="1.2")
    ours = client(alice, ciphers=f"{strong}:{weak}")
    handshake(context, ours)
    assert ours.get_cipher_name() == weak


# -- what is not offered -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_no_session_can_be_resumed(world: World, alice: Identity, version: int) -> None:
    """Neither by a ticket nor by a session id (RFC 5246 7.4.1.3, RFC 8446 2.2): each client shows its certificate."""
    context = world.context()
    ours = client(alice, minimum=version, maximum=version)
    endpoint = handshake(context, ours)
    ours.bio_write(endpoint.take_output())
    with pytest.raises(SSL.WantReadError):
        ours.recv(100)  # tickets of TLS 1.3 come after the handshake
    session = ours.get_session()
    assert session is not None
    flights = []
    for resumed in (False, True):
        again = SSL.Connection(ours.get_context(), None)
        again.set_connect_state()
        if resumed:
            again.set_session(session)
        endpoint = context.accept(UNIX)
        _step(again, endpoint)
        flight = endpoint.take_output()
        flights.append(len(flight))
        if version == SSL.TLS1_2_VERSION:
            assert flight[5] == 2, "a ServerHello"
            assert flight[5 + 4 + 2 + 32] == 0, "without a session id"
        again.bio_write(flight)
        with contextlib.suppress(SSL.WantReadError):
            again.do_handshake()
        endpoint.receive(output(again))
        assert endpoint.handshake_done
        assert endpoint.common_name == "alice"
    assert abs(flights[0] - flights[1]) < 20, "the server's certificate is in it again"


def test_the_client_hears_which_authorities_are_asked_for(world: World, alice: Identity) -> None:
    ours = client(alice)
    handshake(world.context(ca=world.authority.pem + Authority("Other CA").pem), ours)
    assert [name.CN for name in ours.get_client_ca_list()] == ["Test CA", "Other CA"]


# -- chains of many ----------------------------------------------------------------------------------------------------


def test_a_chain_has_sixteen_certificates_at_most(world: World, alice: Identity) -> None:
    """OpenVPN's MAX_CERT_DEPTH."""
    own = alice.certificate.public_bytes(_DER)
    assert world.context().judge((own,) * 16, UNIX) == "alice"
    with pytest.raises(PeerError, match="more than 16"):
        world.context().judge((own,) * 17, UNIX)


def test_a_certificate_that_cannot_be_read_is_refused(world: World) -> None:
    for context in (world.context(), world.context(crl=world.authority.revocation_list())):
        with pytest.raises(PeerError) as caught:
            context.judge((b"\x30\x03abc",), UNIX)
        assert caught.value.reason is DropReason.CERTIFICATE_REJECTED
        assert "malformed" in caught.value.detail


def _step(ours: SSL.Connection, endpoint: OpenSslEndpoint) -> None:
    """One flight of the client, answered into its buffer."""
    try:
        ours.do_handshake()
    except SSL.WantReadError:
        pass
    endpoint.receive(output(ours))


def _records(data: bytes) -> list[bytes]:
    """TLS records (RFC 8446 5.1)."""
    found = []
    while data:
        size = 5 + int.from_bytes(data[3:5], "big")
        found.append(data[:size])
        data = data[size:]
    return found


def _odd_keys(world: World) -> dict[str, str]:
    own = load_pem_private_key(world.server.key.encode(), None)
    return {
        "other": world.authority.issue("x").key,
        "encrypted": own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")).decode(),
        "x25519": X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }
