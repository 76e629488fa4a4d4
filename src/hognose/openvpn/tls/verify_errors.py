"""OpenSSL's reasons in an administrator's words: the failure and its remedy."""

from __future__ import annotations

from OpenSSL import SSL

from hognose.openvpn.tls import openssl_binding

# X509_V_ERR codes (openssl verify(1)); the same numbers in OpenSSL 1.1.1 to 4.0.
_ADVICE = {
    2: "the CA that issued it is not in `ca`, and the client does not send it",
    7: "its signature is not by the key of the CA in `ca`: it was changed, or another CA has the same name",
    9: "check its dates and this machine's clock",
    10: "issue a new one, or check this machine's clock",
    18: "it is signed by itself, not by the CA in `ca`; issue one with that CA, or pin it with peer-fingerprint",
    19: "its chain ends in a root that is not in `ca`; use a certificate of the CA in `ca`",
    20: "its CA is not in `ca`; issue one with that CA, or add intermediate CAs to the client's cert or to `ca`",
    21: "the CA that issued it is not in `ca`; add its intermediate CAs to the client's cert, or to `ca`",
    22: "shorten its chain",
    25: "one of its CAs may not have another CA below it; issue it with another one",
    26: "it is not for TLS clients: issue one with the extended key usage clientAuth and key usage digitalSignature",
    66: "its key is too short for tls-cert-profile; issue one with a larger key",
    67: "a CA of its chain has a key that is too short for tls-cert-profile",
    68: "a signature in its chain uses a digest (MD5, SHA-1) that is too weak for tls-cert-profile",
    79: "one of its issuers is not a CA certificate (basic constraints); issue it with a real CA",
    92: "one of its issuers may not sign certificates (key usage); issue it with a real CA",
}
_TLS_ADVICE = {
    "no shared cipher": "client and server share no TLS 1.2 cipher: look at tls-cipher on both sides, and whether the "
    "server's key (RSA or EC) fits it",
    "no suitable key share": "client and server share no TLS group: look at tls-groups on both sides",
    "wrong curve": "in TLS 1.2 the EC key of the client's certificate must be of the curve in our tls-groups: let it "
    "use TLS 1.3, or issue a certificate with a key of that curve",
    "unsupported protocol": "the client's TLS version is too old: raise its tls-version-max, or lower our "
    "tls-version-min",
    "wrong version number": "what came is no TLS, or its version is not allowed here",
    "no shared signature algorithms": "client and server share no signature algorithm: look at the kind of the "
    "server's key and at tls-cert-profile",
    "no suitable signature algorithm": "client and server share no signature algorithm: look at the kind of the "
    "server's key",
    "unexpected eof while reading": "the client gave up in the middle of the handshake; its log says why",
}


def explain(code: int) -> str:
    """One sentence for an X509_V_ERR code; begins with `client certificate: ` and OpenSSL's own words."""
    text = f"client certificate: {openssl_binding.verify_text(code)}"
    return f"{text}; {_ADVICE[code]}" if code in _ADVICE else text


def explain_tls(reason: str) -> str:
    """One sentence for a reason of OpenSSL's error queue; alerts are the client's own verdict on us."""
    advice = _TLS_ADVICE.get(reason, "")
    if "alert" in reason:
        advice = "the client refuses: its log says why (its ca, verify-x509-name, remote-cert-tls or TLS settings)"
    return f"{reason}; {advice}" if advice else reason


def error_reasons(error: SSL.Error) -> list[str]:
    """OpenSSL's error queue, oldest first, never empty."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return [str(entry[-1]) for entry in queue if entry and entry[-1]] or [type(error).__name__]
