"""Advice never takes authentication away: every text that tells an administrator what to write is read here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.config.config_samples import config_text

from hognose.config.directives import DIRECTIVES
from hognose.config.lexer import lex
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.config.rows import CERTIFICATES_DECIDE
from hognose.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    path for floor in ("config", "openvpn", "gateway", "cli") for path in (ROOT / "src/hognose" / floor).glob("*.py")
]
# Directives whose lines take part in deciding who gets in. Each is refused or ignored here.
AUTHENTICATING = (
    "auth-gen-token", "auth-gen-token-secret", "auth-user-pass-verify", "client-cert-not-required", "client-crresponse",
    "management-client-auth", "override-username", "plugin",
)  # fmt: skip
# Scripts and hashes that could refuse clients: what is advised must be able to refuse some, too.
REFUSING = {
    "client-connect": "ccd-exclusive",
    "learn-address": "disable",
    "tls-crypt-v2-verify": "crl-verify",
    "tls-remote": "verify-x509-name",
    "tls-verify": "peer-fingerprint",
    "verify-hash": "peer-fingerprint",
}
WEAK = re.compile(
    r"verify-client-cert\s+(none|optional|\{)|client-cert-not-required|auth-user-pass-optional|auth-retry|"
    r"tls-cert-profile\s+insecure|tls-version-min\s+1\.[01]|--really-no-authentication|username-as-common-name|"
    r"(auth|cipher|data-ciphers|data-ciphers-fallback)\s+none|.*NULL|no-replay|no-iv|secret\b|duplicate-cn|ncp-disable|"
    r"nat-filtering=endpoint"
)


def texts() -> Iterator[tuple[str, str]]:
    """(place, text) of every string in the floors that talk to an administrator; `{}` for what is filled in."""
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
                yield f"{path.name}:{node.lineno}", "".join(str(part) for part in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                yield f"{path.name}:{node.lineno}", node.value


def advised(text: str) -> list[str]:
    """Lines in backticks that a text tells to write: those after the word `write`, to the end of its clause."""
    return [
        line for clause in re.split(r"[;:]", text) if "write" in clause for line in re.findall(r"`([^`]+)`", clause)
    ]


def strength(config: ServerConfig) -> tuple[object, ...]:
    """Parts of authentication."""
    tls, clients = config.tls, config.admission
    rules = tls.rules, tls.crl, tls.verify_client_cert, tls.cert_profile, tls.min_version
    return *rules, clients.clients, clients.ccd_exclusive


BASE = strength(parse(config_text(""), "server.conf")[0])


def complaints() -> Iterator[tuple[str, str]]:
    """(line, answer) of every directive with no, one, two and three words that mean nothing."""
    for name in DIRECTIVES:
        for words in ("", " nonsense", " nonsense 7", " 7 nonsense x", " none", " optional"):
            line = name + words
            try:
                _, warned = parse(
                    config_text(f"{line}\n"), "server.conf", lambda path: "nonsense", read_folder=lambda path: {}
                )
            except ConfigError as error:
                yield line, str(error)
            else:
                yield from ((line, warning.text) for warning in warned)


def test_no_text_of_the_program_advises_to_weaken_authentication() -> None:
    found = [(place, line) for place, text in texts() for line in advised(text)]
    assert len(found) > 80
    assert [(place, line) for place, line in found if WEAK.match(line)] == []


@pytest.mark.stress
def test_no_answer_to_a_line_advises_to_weaken_authentication() -> None:
    """Texts put together at run time count, and the meaning of the advised line alone in a config."""
    answers = list(complaints())
    assert len(answers) > 700
    for line, answer in answers:
        for better in advised(answer):
            assert not WEAK.match(better), (line, answer)
            try:
                config, _ = parse(config_text(f"{better}\n"), "server.conf", allow_no_authentication=True)
            except ConfigError:
                continue  # it names a file, or is a part of a line
            tls = config.tls
            assert tls.verify_client_cert == "require", (line, answer)
            assert (tls.cert_profile in ("legacy", "preferred"), tls.min_version >= "1.2") == (True, True), (
                line,
                answer,
            )


@pytest.mark.parametrize("name", AUTHENTICATING)
def test_removal_of_a_line_that_authenticates_leaves_the_need_of_a_certificate(name: str) -> None:
    row = DIRECTIVES[name]
    assert row.verdict == "reject"
    assert CERTIFICATES_DECIDE in row.text
    assert "write" not in row.text


@pytest.mark.parametrize("name", REFUSING)
def test_a_line_that_refused_clients_is_replaced_by_one_that_can(name: str) -> None:
    row = DIRECTIVES[name]
    assert row.verdict == "reject"
    assert REFUSING[name] in row.text
    assert "remove" not in row.text


def test_removal_is_advised_for_no_other_line_that_lets_clients_in_or_not() -> None:
    """A new row that says `remove` and speaks of passwords, certificates or names must be one of those above."""
    words = re.compile(r"password|certificate|fingerprint|revok|authenti")
    removing = {name for name, row in DIRECTIVES.items() if row.verdict == "reject" and "remove" in row.text}
    assert {name for name in removing if words.search(DIRECTIVES[name].text)} == set(AUTHENTICATING)


def test_ignored_lines_change_nothing_about_who_gets_in() -> None:
    for name, row in DIRECTIVES.items():
        if row.verdict == "ignore":
            assert strength(parse(config_text(f"{name}\n"), "server.conf")[0]) == BASE, name


@pytest.mark.parametrize(
    "path", ["README.md", *[str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md"))]]
)
def test_pages_show_no_config_that_weakens_authentication(path: str) -> None:
    """Blocks of the pages; tables and text may name such lines to say what they do."""
    for block in re.findall(r"^```\w*\n(.*?)^```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        assert [line for line in block.splitlines() if WEAK.match(line.strip())] == []


def test_examples_keep_authentication() -> None:
    for path in sorted((ROOT / "docs" / "examples").glob("*/server.conf")):
        for directive in lex(path.read_text(encoding="utf-8"), path.name):
            line = " ".join((directive.name, *directive.words))
            assert line == "duplicate-cn" or not WEAK.match(line), path
