"""Words for OpenSSL's verdicts: its own, and what the administrator can do."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from hognose.openvpn.tls.verify_errors import error_reasons, explain, explain_tls

# openssl verify(1), DIAGNOSTICS: code, the first of OpenSSL's words, and a part of our advice.
ADVICE = {
    2: ("unable to get issuer certificate", "is not in `ca`, and the client does not send it"),
    7: ("certificate signature failure", "another CA has the same name"),
    9: ("certificate is not yet valid", "check its dates"),
    10: ("certificate has expired", "issue a new one"),
    18: ("self-signed certificate", "pin it with peer-fingerprint"),
    19: ("self-signed certificate in certificate chain", "ends in a root that is not in `ca`"),
    20: ("unable to get local issuer certificate", "its CA is not in `ca`"),
    21: ("unable to verify the first certificate", "add its intermediate CAs"),
    22: ("certificate chain too long", "shorten its chain"),
    25: ("path length constraint exceeded", "may not have another CA below it"),
    26: ("unsuitable certificate purpose", "it is not for TLS clients"),
    66: ("EE certificate key too weak", "its key is too short"),
    67: ("CA certificate key too weak", "a CA of its chain has a key that is too short"),
    68: ("CA signature digest algorithm too weak", "uses a digest (MD5, SHA-1)"),
    79: ("invalid CA certificate", "basic constraints"),
    92: ("CA cert does not include key usage extension", "may not sign certificates"),
}


@pytest.mark.parametrize("code", range(1, 110))
def test_advice_stands_with_the_verdict_that_it_is_for(code: int) -> None:
    own, _, advice = explain(code).partition("; ")
    assert own.startswith("client certificate: ")
    if code in ADVICE:
        words, remedy = ADVICE[code]
        assert own.startswith(f"client certificate: {words}")  # newer libraries add to some of them
        assert remedy in advice
    else:
        assert advice == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("no shared cipher", "look at tls-cipher on both sides"),
        ("no suitable key share", "look at tls-groups on both sides"),
        ("wrong version number", "what came is no TLS"),
        ("unexpected eof while reading", "its log says why"),
        ("ssl/tls alert unknown ca", "the client refuses: its log says why"),
        ("tlsv1 alert protocol version", "the client refuses: its log says why"),
        ("decryption failed or bad record mac", ""),
    ],
)
def test_words_for_a_reason(reason: str, words: str) -> None:
    own, semicolon, advice = explain_tls(reason).partition("; ")
    assert (own, bool(semicolon)) == (reason, bool(words))
    assert words in advice


@pytest.mark.parametrize(
    ("error", "reasons"),
    [
        (SSL.Error(), ["Error"]),
        (SSL.Error("a text"), ["Error"]),
        (SSL.Error([]), ["Error"]),
        (SSL.Error([("SSL routines", "", "")]), ["Error"]),
        (SSL.Error([(), ("SSL routines", "", "no shared cipher")]), ["no shared cipher"]),
        (SSL.Error([("a", "b", "first"), ("c", "d", "e", "last")]), ["first", "last"]),
        (SSL.Error([("only",)]), ["only"]),
        (SSL.WantReadError(), ["WantReadError"]),
        (SSL.SysCallError(-1, "Unexpected EOF"), ["SysCallError"]),
    ],
)
def test_reasons_of_an_error_are_never_none(error: SSL.Error, reasons: list[str]) -> None:
    """pyOpenSSL gives a list of (library, function, reason), or something else where the queue was empty."""
    assert error_reasons(error) == reasons
