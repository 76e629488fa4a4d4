"""Bytes of the block device to text: what was cut short, altered or mixed is never used."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from tests.unit.config.config_samples import config_text
from tests.world.server import with_generation

from hognose.config.blockfile import complete, decode
from hognose.config.directives import DIRECTIVES
from hognose.config.lexer import lex
from hognose.config.parser import parse
from hognose.errors import ConfigError

MAX_BYTES = 1_048_576


@pytest.mark.parametrize("data", [b"port 1194\n", b"port 1194\n" + bytes(502), b"port 1194\n\0"])
def test_text_ends_at_the_first_nul(data: bytes) -> None:
    assert decode(data, "storage") == "port 1194\n"


def test_the_largest_device() -> None:
    assert decode(b"#" + bytes(MAX_BYTES - 1), "storage") == "#"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "storage: empty"),
        (bytes(512), "storage: empty"),
        (b" \n\n" + bytes(509), "storage: empty"),
        (b"#" * (MAX_BYTES + 1), "storage: larger than 1048576"),
        (b"port 1194\n\0\0dev tun\n", "storage:2: a NUL byte inside"),
        (b"port 1194\n\xff\xfe", "storage:2: not UTF-8"),
        (b"\x7fELF\x02\x01\x01" + b"\xf0" * 100, "storage:1: not UTF-8"),
    ],
)
def test_what_is_no_config(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode(data, "storage")
    assert str(caught.value).startswith(message)
    assert "hognose config embed" in str(caught.value)


MISMATCH = "storage: does not match its marks: half written, or changed by hand: embed it again"


def embedded(text: str) -> bytes:
    """Between its marks, in sectors."""
    return with_generation(text)


def embedded_before(text: str) -> bytes:
    """As Hognose 0.1 did it: one line, without a length."""
    return b"# hognose sha256 " + sha256(text.encode()).hexdigest().encode() + b"\n" + text.encode()


def refused(data: bytes, *, block_device: bool = True) -> str:
    """The error of a config that is not served."""
    with pytest.raises(ConfigError) as caught:
        parse(decode(data, "storage", block_device=block_device), "storage")
    return str(caught.value)


@pytest.mark.parametrize("make", [embedded, embedded_before])
def test_whole_texts_between_their_marks(make: Callable[[str], bytes]) -> None:
    data = make(config_text())
    for device in (data, data + bytes(700)):
        assert decode(device, "storage", block_device=True) == data.decode()
        assert complete(device)
    assert parse(decode(data, "storage"), "storage")[0] == parse(config_text(), "storage")[0]


def test_what_follows_a_text_with_its_length_is_not_of_interest() -> None:
    data = embedded(config_text())
    for rest in (embedded(config_text("max-clients 5\n"))[600:], b"\xff\0x"):
        assert decode(data + rest, "storage", block_device=True) == data.decode()


@pytest.mark.parametrize("size", [*range(150, 1400, 125), -512, -2, -1])
def test_a_text_that_was_cut_has_both_sizes(size: int) -> None:
    data = embedded(config_text())
    cut = data[:size]
    assert refused(cut) == f"storage: the device has {len(cut)} bytes, the config {len(data)}"
    assert refused(cut + bytes(-len(cut) % len(data))) == MISMATCH
    assert refused(data[len(data) - len(cut) :]) == MISMATCH  # its beginning is lost
    before = embedded_before(config_text("client-to-client\n"))
    assert refused(before[:size], block_device=False) == MISMATCH


def test_the_first_sector_is_lost() -> None:
    data = embedded(config_text())
    assert refused(data[512:]) == MISMATCH
    assert refused(bytes(512) + data[512:]).startswith("storage:1: a NUL byte inside")
    assert refused(b"#" * 511 + b"\n" + data[512:]) == MISMATCH
    assert refused(config_text("verb 3\n").encode()[:512] + data[512:]) == MISMATCH


@pytest.mark.parametrize("make", [embedded, embedded_before])
@pytest.mark.parametrize("block_device", [False, True])
def test_damage_to_one_byte_anywhere(make: Callable[[str], bytes], block_device: bool) -> None:
    """Each bit of each byte of the marks, and bytes that end lines and texts; elsewhere the digest finds it."""
    data = make("proto tcp\n" * 3)
    assert decode(data, "storage") == data.decode()
    for at in range(len(data)):
        for byte in {*(data[at] ^ 1 << bit for bit in range(8)), *b"\n\r\0 #;\"'", 0xFF} - {data[at]}:
            damaged = data[:at] + bytes([byte]) + data[at + 1 :]
            try:
                text = decode(damaged, "storage", block_device=block_device)
            except ConfigError:
                continue
            with pytest.raises(ConfigError):  # a mark that became two lines: the second one is no directive
                lex_known(text)


def lex_known(text: str) -> None:
    """ConfigError when a directive is none of OpenVPN's."""
    for directive in lex(text, "storage"):
        if directive.name not in DIRECTIVES:
            raise ConfigError("no directive", line=directive.line)


@pytest.mark.parametrize("at", range(0, 4096, 256))
def test_two_texts_that_are_mixed(at: int) -> None:
    old = embedded(config_text("verb 3\n" * 40))
    new = embedded(config_text("verb 4\n" * 41))
    for one, other in ((old, new), (new, old)):
        mixed = one[:at] + other[at:]
        if mixed not in (one, other):
            assert refused(mixed) in (
                MISMATCH,
                *(f"storage: the device has {len(mixed)} bytes, the config {len(one)}",),
            )


def test_a_plain_text_over_a_longer_embedded_one() -> None:
    plain = config_text("verb 3\n").encode()
    old = embedded(config_text("# a comment of sixty-four bytes, again and again until it is longer\n" * 30))
    assert refused(plain + old[len(plain) :]) == MISMATCH
    middle = plain + b"# hognose sha256 " + b"0" * 64 + b" length 65536 end\n" + b"verb 3\n"
    assert refused(middle, block_device=False) == MISMATCH
    assert decode(plain + b"# for hognose, by its sha256\n", "storage")
    assert decode(plain + b"# deadbeefdeadbeefdeadbeefdeadbeef\n", "storage")


@pytest.mark.parametrize("length", [0, 1, 511, 1 << 20 | 1, 99_999_999])
def test_lengths_that_are_not_true(length: int) -> None:
    data = embedded(config_text())
    told = f" length {len(data)}".encode()
    assert data.count(told) == 2
    assert "storage: " in refused(data.replace(told, f" length {length}".encode()))
    assert "storage: " in refused(data.replace(told, f" length {length}".encode(), 1))
