"""Questions to OpenSSL itself: names that it knows, groups and suites, and the errors after a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from OpenSSL import SSL
from tests.unit.openvpn.handshake import World, client, handshake

from hognose.openvpn.tls import openssl_binding


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("CN", True),
        ("commonName", True),
        ("2.5.4.3", True),
        ("clientAuth", True),
        ("TLS Web Client Authentication", True),
        ("1.2.3.4.5.6.7", True),
        ("0.9", True),
        ("3.4", False),
        ("1", False),
        ("1.2.x", False),
        ("nonsense", False),
        ("", False),
    ],
)
def test_objects(name: str, known: bool) -> None:
    """Short names, long names, and OIDs with dots whether OpenSSL has a name for them or not (OBJ_txt2obj)."""
    assert openssl_binding.is_object(name) is known


@pytest.mark.parametrize(
    ("oid", "name", "same"),
    [
        ("2.5.4.3", "CN", True),
        ("2.5.4.3", "commonName", True),
        ("2.5.4.3", "2.5.4.3", True),
        ("2.5.4.3", "O", False),
        ("2.5.4.3", "2.5.4.10", False),
        ("2.5.4.3", "nonsense", False),
        ("1.2.3.4", "1.2.3.4", True),
        ("1.2.3.4", "1.2.3.5", False),
        ("1.2.3.4", "nonsense", False),
        ("1.2.3.4", "CN", False),
    ],
)
def test_names_of_objects(oid: str, name: str, same: bool) -> None:
    assert openssl_binding.is_named(oid, name) is same


def test_short_names() -> None:
    oids = ("2.5.4.3", "1.2.840.113549.1.9.1", "1.2.3.4.5.6.7")
    assert [openssl_binding.short_name(oid) for oid in oids] == ["CN", "emailAddress", "1.2.3.4.5.6.7"]


def test_suites_of_tls_1_2() -> None:
    name = "ECDHE-ECDSA-AES256-GCM-SHA384"
    assert openssl_binding.known_ciphers(name) == [name]
    assert openssl_binding.known_ciphers(f"{name}:nonsense") == [name]
    assert openssl_binding.known_ciphers("nonsense") == []
    assert openssl_binding.known_ciphers("TLS_AES_256_GCM_SHA384") == []
    assert len(openssl_binding.known_ciphers("ECDHE+AESGCM")) == 4


def refusals() -> list[Callable[[], object]]:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)

    def parse() -> None:
        with pytest.raises(ValueError, match="no CRL"):
            openssl_binding.parse_crl(b"\x30\x03abc")

    return [
        parse,
        lambda: openssl_binding.set_ciphersuites(context, "TLS_NONSENSE"),
        lambda: openssl_binding.set_groups(context, "nonsense"),
        lambda: openssl_binding.is_object("1.2.x"),
        lambda: openssl_binding.is_named("2.5.4.3", "1.2.x"),
        lambda: openssl_binding.is_named("1.2.x", "CN"),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_refusal_is_not_taken_for_an_error_of_a_connection(number: int) -> None:
    """OpenSSL's queue is one for all (SSL_get_error(3): it must be empty before each call)."""
    world = World()
    ours = client(world.authority.issue("alice"))
    endpoint = handshake(world.context(), ours)
    refusals()[number]()
    assert openssl_binding._lib.ERR_peek_error() == 0
    assert endpoint.read() == b""
    endpoint.write(b"hello")
    ours.bio_write(endpoint.take_output())
    assert ours.recv(100) == b"hello"


def test_suites_of_tls_1_3() -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    assert openssl_binding.set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") is True
    assert openssl_binding.set_ciphersuites(context, "TLS_NONSENSE") is False


class Library:
    """OpenSSL's functions, one replaced; `refused` ones give 0."""

    def __init__(self, **replaced: Callable[..., object] | None) -> None:
        self._replaced = replaced
        self._real = openssl_binding._lib
        self.cleared = 0

    def __getattr__(self, name: str) -> Any:
        if name == "ERR_clear_error":
            self.cleared += 1
        if name in self._replaced:
            if self._replaced[name] is None:
                raise AttributeError(name)
            return self._replaced[name]
        return getattr(self._real, name)


@pytest.mark.parametrize("name", ["secp256r1", "P-256", "prime256v1", "secp384r1", "P-384", "secp521r1", "P-521"])
def test_one_group_by_any_of_its_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the functions that every build has; a client that knows that curve alone gets a connection in TLS 1.3."""
    monkeypatch.setattr(openssl_binding, "_lib", Library(SSL_CTX_set1_curves_list=None))
    world = World()
    ours = client(world.authority.issue("alice"), minimum=SSL.TLS1_3_VERSION)
    assert openssl_binding.set_groups(ours.get_context(), name) == ""
    same = SSL.Connection(ours.get_context(), None)
    same.set_connect_state()
    usual = {"P-256": "secp256r1", "prime256v1": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"}
    handshake(world.context(groups=usual.get(name, name)), same)


@pytest.mark.parametrize("names", ["X25519", "secp256r1:secp384r1", "nonsense", "secp256k1x", ""])
def test_groups_that_such_a_build_cannot_set(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(SSL_CTX_set1_curves_list=None)
    monkeypatch.setattr(openssl_binding, "_lib", library)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    assert "one of secp256r1, secp384r1 and secp521r1, no list" in openssl_binding.set_groups(context, names)
    assert library.cleared == 1


def test_a_curve_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(SSL_CTX_set1_curves_list=None, SSL_CTX_set_tmp_ecdh=lambda context, curve: 0)
    monkeypatch.setattr(openssl_binding, "_lib", library)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    assert openssl_binding.set_groups(context, "P-384") == "OpenSSL refuses `P-384`"


def test_groups_where_a_list_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CTX_set1_curves_list(3): 1 for success."""
    asked: list[bytes] = []

    def set_list(context: object, names: bytes) -> int:
        asked.append(names)
        return int(names == b"X25519:P-256")

    library = Library(SSL_CTX_set1_curves_list=set_list)
    monkeypatch.setattr(openssl_binding, "_lib", library)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    assert openssl_binding.set_groups(context, "X25519:P-256") == ""
    assert library.cleared == 0
    assert openssl_binding.set_groups(context, "nonsense") == "OpenSSL does not know `nonsense`"
    assert library.cleared == 1
    assert asked == [b"X25519:P-256", b"nonsense"]


def test_a_build_whose_callback_would_not_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function that stands for the verify callback is tried once: anything but 1 refuses certificates."""

    class Functions:
        NULL = openssl_binding._ffi.NULL

        def addressof(self, library: object, name: str) -> str:
            return name

        def cast(self, kind: str, symbol: str) -> Callable[[int, object], int]:
            return lambda good, store: 0

    monkeypatch.setattr(openssl_binding, "_ffi", Functions())
    assert openssl_binding.ask_without_judging(SSL.Context(SSL.TLS_SERVER_METHOD), True) is False
