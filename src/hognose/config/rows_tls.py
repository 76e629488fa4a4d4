"""Rows of the directive table: certificates, TLS, control channel, data channel."""

from __future__ import annotations

from hognose.config.rows import BYTES_MAX, CERTIFICATES_DECIDE, INT_MAX, Row, flag, honour, ignore, number, reject

_NO_SCRIPT = "no script is ever run"
_OPENSSL = "OpenSSL's own choice is used"
_PEM = "write the PEM texts: `cert server.crt` and `key server.key`"
_TOKEN = f"keys in hardware are not reachable from a virtual machine; {_PEM}"
_PKCS12 = (
    "write its parts: `openssl pkcs12 -in FILE -nokeys -clcerts -out server.crt`, "
    "`openssl pkcs12 -in FILE -nocerts -nodes -out server.key`, "
    "`openssl pkcs12 -in FILE -nokeys -cacerts -out ca.crt`, then `cert`, `key` and `ca`"
)

TLS: dict[str, Row] = {
    # certificates
    "ca": honour(
        "certificates that clients' must descend from; may be absent with `peer-fingerprint`", 1, 1, file=True
    ),
    "cert": honour("the server's certificate, intermediates after it", 1, 1, file=True),
    "key": honour("the server's private key, not encrypted", 1, 1, file=True),
    "extra-certs": honour("more certificates that are sent with the server's", 1, 1, file=True),
    "crl-verify": honour(
        "list of revoked certificates, PEM; after its nextUpdate every client is refused", 1, 2, file=True
    ),
    "peer-fingerprint": honour(
        "SHA-256 fingerprints of the certificates that are accepted, one on the line or one a line in a block",
        1,
        1,
        block=True,
        repeatable=True,
    ),
    "verify-client-cert": honour(
        "`require`; `optional` and `none` are refused, also by `check` and `embed`, without the argument "
        "`--really-no-authentication`",
        0,
        1,
    ),
    "verify-x509-name": honour(
        "what the client's subject (`subject`) or common name (`name`, `name-prefix`) must be", 1, 2
    ),
    "remote-cert-tls": honour("`client`: the certificate must be made for clients", 1, 1),
    "remote-cert-ku": honour("key usages in hex, one of them must be the certificate's; any when none is given", 0, 16),
    "remote-cert-eku": honour("extended key usage that the certificate must have, OpenSSL's name or OID", 1, 1),
    "x509-username-field": honour(
        "field of the certificate that is a client's name: `CN`, `emailAddress`, `ext:subjectAltName` …", 1, 4
    ),
    "capath": reject("there are no directories; write all certificates to one file: `ca ca.crt`"),
    "pkcs12": reject(_PKCS12),
    "askpass": reject(
        "a boot asks for no passphrase; write the key without one: `openssl pkey -in KEY -out server.key`"
    ),
    "ns-cert-type": ignore("the extended key usage is checked instead"),
    "tls-remote": reject("no longer in OpenVPN; write `verify-x509-name NAME name`"),
    "verify-hash": reject("write `peer-fingerprint FINGERPRINT`, a line for each client's certificate"),
    "tls-verify": reject(
        f"{_NO_SCRIPT}; write `verify-x509-name NAME name`, `peer-fingerprint FINGERPRINT` or `crl-verify crl.pem`"
    ),
    "tls-export-cert": reject(f"{_NO_SCRIPT}; remove the line"),
    "x509-track": ignore(_NO_SCRIPT),
    "client-cert-not-required": reject(f"no longer in OpenVPN; {CERTIFICATES_DECIDE}"),
    "no-name-remapping": ignore("names are never changed, only escaped in the log"),
    **{
        name: reject(_TOKEN)
        for name in (
            "pkcs11-cert-private",
            "pkcs11-id",
            "pkcs11-id-management",
            "pkcs11-pin-cache",
            "pkcs11-private-mode",
            "pkcs11-protected-authentication",
            "pkcs11-providers",
        )
    },
    # TLS
    "tls-version-min": honour("`1.2` or `1.3`", 1, 2),
    "tls-version-max": honour("`1.2` or `1.3`", 1, 1),
    "tls-cipher": honour(
        "cipher suites of TLS 1.2, IANA's or OpenSSL's names with `:` between; one of them must work with the server's "
        "key (RSA or EC), DHE is not done",
        1,
        1,
    ),
    "tls-ciphersuites": honour("cipher suites of TLS 1.3 with `:` between", 1, 1),
    "tls-groups": honour(
        "the group for the key exchange: `secp256r1` (`prime256v1`, `P-256`), `secp384r1` (`P-384`) or `secp521r1` "
        "(`P-521`); lists and other groups are refused",
        1,
        1,
    ),
    "tls-cert-profile": honour("`insecure`, `legacy`, `preferred` or `suiteb`", 1, 1),
    "dh": ignore("key exchange uses elliptic curves; the file is not read"),
    "ecdh-curve": ignore("write `tls-groups` to choose curves"),
    "prng": ignore(_OPENSSL),
    "engine": ignore(_OPENSSL),
    "providers": ignore(_OPENSSL),
    "use-prediction-resistance": ignore(_OPENSSL),
    "tls-exit": ignore("a server does not end for one client"),
    "single-session": ignore("a client that comes again is a new connection"),
    # control channel
    "tls-auth": honour("static key and direction for HMACs on the control channel", 1, 2, file=True),
    "tls-crypt": honour("static key for the encryption of the control channel", 1, 1, file=True),
    "tls-crypt-v2": honour(
        "server key for clients with keys of their own, alone or beside tls-auth or tls-crypt; `force-cookie` and "
        "`allow-noncookie` only matter for UDP",
        1,
        2,
        file=True,
    ),
    "tls-crypt-v2-max-age": number("days after which a client's key is refused, and keys without a date", (1, 36_500)),
    "tls-crypt-v2-verify": reject(
        f"{_NO_SCRIPT}; write `tls-crypt-v2-max-age DAYS`, or `crl-verify crl.pem` to refuse clients"
    ),
    "key-direction": honour("`0` or `1`, for an inline tls-auth", 1, 1),
    "tls-timeout": number("seconds until a control message is sent again", (1, 60)),
    "hand-window": number("seconds for a key negotiation", (5, 3600)),
    "tran-window": number("seconds for which an old key is still good", (1, 86_400)),
    "reneg-sec": number(
        "seconds between key negotiations, 0 leaves them to the clients; the second number is the least",
        (0, INT_MAX),
        (0, INT_MAX),
    ),
    "reneg-bytes": number("bytes after which keys are negotiated", (0, BYTES_MAX)),
    "reneg-pkts": number("packets after which keys are negotiated", (0, BYTES_MAX)),
    "max-packet-size": number(
        "largest control packet, 154 … 2048; also `mssfix N mtu` when there is no mssfix", (154, 2048)
    ),
    "key-method": honour("`2` only", 1, 1),
    "connect-freq": honour("N SECONDS: N connections with a valid first packet in SECONDS; the rest is ended", 2, 2),
    "connect-freq-initial": honour(
        "`N SECONDS`: hard resets over UDP that are answered at once; beyond that only those of clients that repeat "
        "theirs; 1000 in 1 second when absent, and 20 a second of one /24 in any case",
        2,
        2,
    ),
    # data channel
    "auth": honour("HMAC digest of tls-auth, and of data with the CBC ciphers", 1, 1),
    "data-ciphers": honour(
        "data ciphers in order of preference: AES-256-GCM, AES-192-GCM, AES-128-GCM, CHACHA20-POLY1305, AES-256-CBC, "
        "AES-192-CBC, AES-128-CBC; `?` marks optional ones, `DEFAULT` stands for "
        "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305",
        1,
        1,
    ),
    "ncp-ciphers": honour("as `data-ciphers`", 1, 1),
    "data-ciphers-fallback": honour("the cipher for clients that do not negotiate", 1, 1),
    "cipher": honour("takes no part in the negotiation; a warning when it is not in data-ciphers", 1, 1),
    "replay-window": number("packets and seconds within which packets may overtake each other", (0, 65_536), (0, 600)),
    "compress": honour("`stub`, `stub-v2`, `migrate`, or no word: framing only, nothing is compressed", 0, 1),
    "comp-lzo": honour("`no` only: framing only, nothing is compressed", 0, 1),
    "allow-compression": honour("`no` or `stub-only`", 1, 1),
    "comp-noadapt": ignore("nothing is compressed"),
    "keysize": ignore("the cipher says it"),
    "ncp-disable": ignore("ciphers are always negotiated"),
    "compat-mode": ignore("old clients need no such mode; write `data-ciphers` to add ciphers"),
    "disable-occ": ignore("options are never compared"),
    "opt-verify": ignore("options are never compared"),
    "mute-replay-warnings": ignore("replays are counted, not logged"),
    "replay-persist": ignore("there is no disk to write to"),
    "keying-material-exporter": ignore(_NO_SCRIPT),
    "force-tls-key-material-export": flag(
        "only clients that derive data keys by TLS exporters get in (OpenVPN 2.6 and later); others may too when absent"
    ),
    "no-replay": reject("no longer in OpenVPN, and replays are always refused; remove the line"),
    "no-iv": reject("no longer in OpenVPN; remove the line"),
    "test-crypto": reject("this is a command of openvpn, no line of a config; remove the line"),
}
