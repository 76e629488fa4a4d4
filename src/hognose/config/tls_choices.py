"""tls-cipher, tls-ciphersuites, tls-groups and tls-cert-profile, held against what the image can do.

The table tls_capabilities.py decides, not the library of the machine that runs `hognose config check`: what is refused
here is refused with the same words at every boot. A list is good when one of its suites works with the server's key at
the security level of tls-cert-profile; DHE never does, for parameters (`dh`) are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hognose.config import tls_capabilities as image
from hognose.config.collected import Collected
from hognose.config.keys import ServerKey
from hognose.config.lexer import Directive
from hognose.config.tls_names import openssl_cipher
from hognose.errors import ConfigError
from hognose.vocabulary import CERT_PROFILES, DEFAULT_CERT_PROFILE

_GROUP = re.compile(r"[A-Za-z0-9_-]+")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._=-]*"
# What OpenSSL understands after a sign, and its one command; anything else would stop the boot.
_RULE = re.compile(rf"[!+-]{_NAME}(\+{_NAME})*|@STRENGTH")
_WORD_MAX = 80
_EXAMPLES = {
    "RSA": "TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384:TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256",
    "EC": "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384:TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
}
_CURVES = {
    "secp256r1": ("secp256r1", "prime256v1", "P-256"),
    "secp384r1": ("secp384r1", "P-384"),
    "secp521r1": ("secp521r1", "P-521"),
}
_NO_DHE = "; key exchange by DHE is not done here"
_DHE = re.compile(r"k?(DHE|EDH)\b")


@dataclass(frozen=True, slots=True)
class TlsChoices:
    """Values for OpenSSL, "" for its own choice: suites of TLS 1.2 and of TLS 1.3, groups; and the profile's name."""

    cipher: str
    ciphersuites: str
    groups: str
    cert_profile: str


def tls_choices(lines: Collected, key: ServerKey, least: str, greatest: str) -> TlsChoices:
    """The four directives; ConfigError for one with which no client could connect.

    least, greatest: of tls-version-min and tls-version-max ("" for the newest).
    """
    profile = _cert_profile(lines)
    level = CERT_PROFILES.index(profile)
    _check_key(lines, key, profile, level)
    return TlsChoices(
        _cipher(lines, key, profile, level, least),
        _ciphersuites(lines, profile, level, greatest),
        _groups(lines, key, least),
        profile,
    )


def _cert_profile(lines: Collected) -> str:
    """The strength that certificates must have; `insecure` is understood, and never what is advised."""
    directive = lines.get("tls-cert-profile")
    profile = directive.words[0] if directive is not None else DEFAULT_CERT_PROFILE
    if directive is not None and profile not in CERT_PROFILES:
        text = f"`{profile}` is not supported; write `tls-cert-profile preferred` or `tls-cert-profile legacy`"
        raise lines.error(directive, text)
    return profile


def _check_key(lines: Collected, key: ServerKey, profile: str, level: int) -> None:
    """The server's own key, as OpenSSL looks at it when it is given its certificate."""
    cert, better = lines.need("cert", "cert server.crt"), "issue one with an EC key of the curve secp256r1"
    if not key.family:
        raise lines.error(lines.need("key", "key server.key"), f"it must be RSA, EC, Ed25519 or Ed448; {better}")
    greatest = _key_level(key)
    if greatest < 0:
        raise lines.error(cert, f"the image's TLS cannot serve with {_article(key.kind)} key; {better}")
    if greatest < level:
        text = f"its {key.kind} key is too short for `tls-cert-profile {profile}`; {better}"
        raise lines.error(cert, text)
    directive = lines.get("tls-cert-profile")
    suite_b = profile == "suiteb" and "tls-cipher" not in lines
    if directive is not None and suite_b and key.kind not in image.SUITE_B_KEYS:
        curves = " or ".join(kind.removeprefix("EC ") for kind in image.SUITE_B_KEYS)
        text = f"`suiteb` wants an EC key of {curves} in `cert`; write `tls-cert-profile preferred`"
        raise lines.error(directive, text)


def _key_level(key: ServerKey) -> int:
    """The greatest level for a key; between two measured RSA sizes the smaller one counts, below all the level is 0."""
    if key.family != "RSA":
        return image.KEYS.get(key.kind, -1)
    sizes = [int(kind.removeprefix("RSA ")) for kind in image.KEYS if kind.startswith("RSA ")]
    fitting = [size for size in sizes if size <= key.bits]
    return image.KEYS[f"RSA {max(fitting)}"] if fitting else 0


def _cipher(lines: Collected, key: ServerKey, profile: str, level: int, least: str) -> str:
    """OpenSSL's names of the suites of TLS 1.2, "" for the default."""
    directive = lines.get("tls-cipher")
    if directive is None:
        return ""
    example = f"write `tls-cipher {_EXAMPLES.get(key.family, _EXAMPLES['EC'])}`"
    try:
        given = [openssl_cipher(name) for name in directive.words[0].split(":")]
    except ValueError as error:
        raise lines.error(directive, f"`{error}` is no cipher suite; {example}") from None
    words = []
    for word in given:
        if word.startswith("@SECLEVEL"):
            raise lines.error(directive, "`@SECLEVEL` follows from tls-cert-profile; leave it out of the list")
        if len(word) > _WORD_MAX or (word[0] in "!-+@" and not _RULE.fullmatch(word)):
            raise lines.error(directive, f"`{word}` is no cipher suite; {example}")
        if word[0] in "!-+@" or _members(word) is not None:
            words.append(word)
        else:
            lines.warn(directive, f"`{word}` is left out: the image's OpenSSL does not have it")
    if least == "1.3":
        lines.warn(directive, "of no effect: it is about TLS 1.2, and tls-version-min is 1.3")
        return ":".join(words) if _chosen(words) else ""
    if not any(word[0] not in "!-+@" for word in words):
        raise lines.error(directive, f"the image's OpenSSL has no cipher of this list; {example}")
    works = [(suite, *image.SUITES[suite][:2]) for suite in _chosen(words) if suite in image.SUITES]
    fitting = [(suite, greatest) for suite, families, greatest in works if key.family in families.split()]
    if any(greatest >= level for _, greatest in fitting):
        return ":".join(words)
    why = f"no cipher of this list works with the {key.family} key of `cert`"
    if fitting:
        why = f"the ciphers of this list are too weak for `tls-cert-profile {profile}`"
    elif any(_DHE.match(word) for word in words):
        why += _NO_DHE
    raise lines.error(directive, f"{why}; {example}")


def _members(word: str) -> set[str] | None:
    """Suites that work and that `A` or `A+B` stands for; None when OpenSSL does not know it (openssl-ciphers(1))."""
    found: set[str] | None = None
    for part in word.split("+"):
        suites = {suite for suite, row in image.SUITES.items() if part == suite or part in row[2].split()}
        if not suites and part not in image.IDLE:
            return None
        found = suites if found is None else found & suites
    return found


def _chosen(words: list[str]) -> set[str]:
    """The suites that a list leaves: names add, `-` takes away, `!` for good, `+` and `@` only order."""
    chosen: set[str] = set()
    never: set[str] = set()
    for place, word in enumerate(words):
        if word.partition("+")[0] == "DEFAULT" and not place:
            word = "DEFAULT"  # what follows its + only orders
        elif word[0] in "+@" or "DEFAULT" in word.lstrip("!-").split("+"):
            continue  # DEFAULT counts in the first place only
        suites = _members(word.lstrip("!-")) or set()
        if word[0] == "!":
            never |= suites
        if word[0] in "!-":
            chosen -= suites
        else:
            chosen |= suites - never
    return chosen


def _ciphersuites(lines: Collected, profile: str, level: int, greatest: str) -> str:
    """Suites of TLS 1.3, "" for the default; `-` in a name may stand for `_` as in OpenVPN."""
    directive = lines.get("tls-ciphersuites")
    if directive is None:
        return ""
    names = directive.words[0].upper().replace("-", "_").split(":")
    good = [name for name, strongest in image.TLS13_SUITES.items() if strongest == len(CERT_PROFILES) - 1]
    example = f"write `tls-ciphersuites {':'.join(good[:3])}`"
    for name in names:
        if image.TLS13_SUITES.get(name, -1) < 0:
            raise lines.error(directive, f"`{name}` is no suite of TLS 1.3; {example}")
    if greatest == "1.2":
        lines.warn(directive, "of no effect: it is about TLS 1.3, and tls-version-max is 1.2")
    elif all(image.TLS13_SUITES[name] < level for name in names):
        raise lines.error(
            directive, f"the suites of this list are too weak for `tls-cert-profile {profile}`; {example}"
        )
    return ":".join(names)


def _groups(lines: Collected, key: ServerKey, least: str) -> str:
    """A group for the key exchange, "" for OpenSSL's own list.

    A warning when the server's key is of another curve, for clients' are probably like it: TLS 1.2 wants the curve of
    a client's EC key among the groups (RFC 8422 5.4).
    """
    directive = lines.get("tls-groups")
    if directive is None:
        return ""
    names = directive.words[0].split(":")
    for name in names:
        if not _GROUP.fullmatch(name):
            raise lines.error(directive, f"`{name}` is no group; write `tls-groups {image.GROUPS[0]}`")
    if directive.words[0] not in image.GROUPS:
        raise _unsettable(lines, directive, names)
    curve = next((curve for curve, same in _CURVES.items() if directive.words[0] in same), "")
    if least == "1.2" and key.family == "EC" and key.kind != f"EC {curve}":
        text = f"TLS 1.2 clients whose certificate has an EC key of another curve than {curve} are refused"
        lines.warn(directive, text)
    return directive.words[0]


def _unsettable(lines: Collected, directive: Directive, names: list[str]) -> ConfigError:
    better = next((name for name in names if name in image.GROUPS), image.GROUPS[0])
    known = ", ".join(name for name in image.GROUPS if name.startswith("secp"))
    text = f"the image's TLS can be told one of {known}, no list and no other group; write `tls-groups {better}`"
    return lines.error(directive, f"{text}, or remove the line for OpenSSL's own list")


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "ER" else f"a {kind}"
