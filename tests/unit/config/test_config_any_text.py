"""Whatever the text is: a config, or a ConfigError; nothing else ever comes out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.config.config_samples import block, config_text, identity, read_vector, static_key
from tests.world.today import UNIX

from hognose.config import blockfile
from hognose.config.directives import DIRECTIVES
from hognose.config.embed import embed
from hognose.config.lexer import lex
from hognose.config.parser import parse
from hognose.errors import ConfigError

WORDS = [
    *DIRECTIVES, "opt", "[inline]", "10.8.0.9", "255.255.255.0", "0", "1", "65535", "99999999999", "none", "stub",
    "migrate", "AES-256-CBC", "?X:DEFAULT", "tun", "tcp", "client", '"', "'", "\\", "#", "²", "\x85", "a:b", "FF:FF",
    "<ca>", "</ca>", "<client-config-dir>", "</client-config-dir>", "[alice]", "<peer-fingerprint>",
]  # fmt: skip
LINES = st.lists(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), max_size=6).map("\n".join)
BLOCKS = st.sampled_from(sorted(name for name, row in DIRECTIVES.items() if row.block))
BODIES = st.one_of(st.text(max_size=200), st.sampled_from([*identity().values(), static_key(), read_vector("v2s.key")]))


def reads_anything(path: str) -> str:
    if path.startswith("1"):
        raise FileNotFoundError(2, "No such file or directory")
    return static_key()


def outcome(stage: Callable[[], object]) -> object:
    """The result, or the error's text."""
    try:
        return stage()
    except ConfigError as error:
        return str(error)


def tolerate(text: str) -> None:
    """Each stage takes it or says why not; and what the parser takes is what it takes the second time."""
    with_folder = {"alice": text, "bob": "disable\n"}
    for stage in (
        lambda: lex(text, "f"),
        lambda: parse(text, "f", reads_anything, UNIX, read_folder=lambda _: with_folder),
        lambda: embed(text, "f", reads_anything, unix=UNIX, read_folder=lambda _: with_folder),
    ):
        assert outcome(stage) == outcome(stage)


@given(st.text(max_size=400))
@example("\ufeff")
@example("<ca>")
@example("a" * 5000)
def test_any_text(text: str) -> None:
    tolerate(text)


@pytest.mark.stress
@given(LINES)
def test_any_directives(lines: str) -> None:
    tolerate(config_text(lines + "\n"))


@pytest.mark.stress
@given(BLOCKS, BODIES)
def test_any_block(name: str, body: str) -> None:
    tolerate(config_text(block(name, body)))
    tolerate(config_text(f"{name} [inline] 1\n" + block(name, body)))


@given(st.text(max_size=200))
def test_any_file_of_a_client(text: str) -> None:
    tolerate(config_text(block("client-config-dir", f"[alice]\n{text}\n")))
    files = {"alice": text, text: "disable"}
    told = outcome(lambda: parse(config_text("client-config-dir ccd\n"), "f", read_folder=lambda _: files))
    assert not isinstance(told, str) or told.startswith(("f:", "ccd/")), told


@given(st.binary(max_size=300))
def test_any_block_device(data: bytes) -> None:
    blockfile.first_mark(data)
    told = outcome(lambda: blockfile.decode(data, "f"))
    assert isinstance(told, str)


@pytest.mark.parametrize("size", [0, 100, 600])
def test_a_device_that_is_still_being_written(size: int) -> None:
    full = embed(config_text(), "f", str)[0].encode()
    head = full[: blockfile.HEAD_BYTES]
    mark = blockfile.first_mark(head)
    assert mark is not None
    assert mark.length == len(full)
    assert blockfile.complete(full)
    assert blockfile.complete(full + bytes(512))
    assert not blockfile.complete(full[: 97 + size])
    assert not blockfile.complete(full[:-1] + b"x")
    changed = embed(config_text("port 443\n"), "f", str)[0].encode()
    assert blockfile.first_mark(changed) != mark
    assert blockfile.first_mark(b"port 1194\n") is None
    assert not blockfile.complete(b"port 1194\n")
