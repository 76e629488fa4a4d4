"""Facts of the vocabulary, against the libraries that do the work."""

from __future__ import annotations

import hashlib
import re
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
