"""Facts of the vocabulary, against the libraries that do the work."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from hognose import vocabulary
from hognose.vocabulary import DATA_CIPHERS, DEFAULT_DATA_CIPHERS, DIGESTS, data_cipher_named, digest_named


@pytest.mark.parametrize("name", DATA_CIPHERS)
def test_key_lengths_are_the_ciphers(name: str) -> None:
    cipher = DATA_CIPHERS[name]
    key = bytes(range(cipher.key_len))
    if cipher.aead:
        engine = AESGCM if name.endswith("-GCM") else ChaCha20Poly1305
        assert len(engine(key).encrypt(bytes(12), b"", None)) == vocabulary.TAG_LEN
    else:
        assert AES.block_size == 8 * vocabulary.BLOCK_LEN
        AES(key)
    bits = re.findall(r"\d+", name.replace("CHACHA20-POLY1305", "256"))[0]
    assert bits == str(8 * cipher.key_len)


@pytest.mark.parametrize("name", DIGESTS)
def test_digest_lengths_are_hashlibs(name: str) -> None:
    assert hashlib.new(name.lower()).digest_size == DIGESTS[name]


@pytest.mark.parametrize(
    ("word", "name"),
    [("SHA256", "SHA256"), ("sha-256", "SHA256"), ("RSA-SHA512", "SHA512"), ("md5", "MD5"), ("none", None), ("", None)],
)
def test_spellings_of_digests(word: str, name: str | None) -> None:
    assert digest_named(word) == name


@pytest.mark.parametrize(
    ("word", "name"), [("aes-256-gcm", "AES-256-GCM"), ("AES-128-CBC", "AES-128-CBC"), ("BF-CBC", None), ("", None)]
)
def test_spellings_of_ciphers(word: str, name: str | None) -> None:
    assert data_cipher_named(word) == name


def test_defaults_are_in_the_tables_and_tuples_have_all_literals() -> None:
    assert all(DATA_CIPHERS[name].aead for name in DEFAULT_DATA_CIPHERS)
    assert vocabulary.DEFAULT_DIGEST in DIGESTS
    assert get_args(vocabulary.Framing) == vocabulary.FRAMINGS
    assert get_args(vocabulary.Compression) == (*vocabulary.FRAMINGS, "migrate")


def test_no_other_module_lists_ciphers_or_digests() -> None:
    """Three names of one kind in a literal are a table of its own, which would drift."""
    sources = Path(vocabulary.__file__).parent
    found = set()
    for path in sources.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
            words = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
            if max(len(words & DATA_CIPHERS.keys()), len(words & DIGESTS.keys())) >= 3:
                found.add(path.relative_to(sources).as_posix())
    assert found == {"vocabulary.py"}
