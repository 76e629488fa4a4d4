"""Embedding: the same meaning, whole blocks, idempotent, nothing else changed, and plain OpenVPN text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.config.config_samples import block, config_text, crl_pem, identity, read_vector, static_key

from hognose.config.embed import SECTOR, embed
from hognose.config.parser import parse
from hognose.errors import ConfigError

V2_KEY = read_vector("v2s.key")
PERSIST = "alice,10.8.0.9\n"


def no_file(path: str) -> str:
    raise AssertionError(f"{path} was read")


def only_ipp(path: str) -> str:
    """A reader for configs whose only file that is not embedded is an absent ifconfig-pool-persist."""
    assert path == "ipp.txt"
    raise FileNotFoundError(2, "No such file or directory")


def test_the_handbooks_config() -> None:
    text, warned = embed(read_vector("server.conf"), "server.conf", read_vector)
    assert len(text.encode()) % 512 == 0
    assert len(warned) == 6
    assert parse(text, "f")[0] == parse(read_vector("server.conf"), "f", read_vector)[0]
    assert embed(text, "f", only_ipp)[0] == text
    lines = text.splitlines()
    assert lines[1:5] == ["proto tcp", "port 1194", "dev tun", "<ca>"]
    for kept in ("keepalive 10 30", "ifconfig-pool-persist ipp.txt", "user nobody", "key-direction 0", "dh none"):
        assert kept in lines
    assert read_vector("server.key").strip() in text
    assert "ca.crt" not in text
    assert max(len(line) for line in lines) <= 254


def test_the_reference_tools_output_becomes_plain() -> None:
    text, _ = embed(read_vector("reference-tool.server.conf.full"), "f", no_file)
    assert "[inline]" not in text
    assert "key-direction 0\n<tls-auth>\n" in text
    assert embed(text, "f", no_file)[0] == text
    assert parse(text, "f")[0] == parse(read_vector("reference-tool.server.conf.full"), "f")[0]


def test_comments_and_ignored_lines_stay() -> None:
    extra = '# mine\r\n\r\n; too\r\npush "dhcp-option DNS 9.9.9.9" # trailing\nverb 3\n'
    text, _ = embed("\ufeff" + config_text(extra), "f", no_file)
    assert '\n# mine\n\n; too\npush "dhcp-option DNS 9.9.9.9" # trailing\nverb 3\n' in text
    assert text.splitlines()[1] == "proto tcp"


@pytest.mark.parametrize(
    ("line", "head", "name", "text"),
    [
        ("tls-auth ta.key", "", "tls-auth", static_key()),
        ("tls-auth ta.key 1", "key-direction 1\n", "tls-auth", static_key()),
        ("tls-crypt ta.key", "", "tls-crypt", static_key()),
        ("tls-crypt-v2 v2.key", "", "tls-crypt-v2", V2_KEY),
        ("tls-crypt-v2 v2.key force-cookie", "tls-crypt-v2 [inline] force-cookie\n", "tls-crypt-v2", V2_KEY),
        ("crl-verify crl.pem", "", "crl-verify", crl_pem()),
        ("extra-certs more.pem", "", "extra-certs", identity()["ca"]),
        ("ifconfig-pool-persist ipp.txt", "", "ifconfig-pool-persist", PERSIST),
        ("ifconfig-pool-persist ipp.txt 5", "ifconfig-pool-persist [inline] 5\n", "ifconfig-pool-persist", PERSIST),
    ],
)  # fmt: skip
def test_every_file_becomes_a_block(line: str, head: str, name: str, text: str) -> None:
    """The words after its name stay: for tls-auth as key-direction, which openvpn reads beside a block."""
    given = config_text(f"verb 3\n{line}\nmute 9\n")
    full, _ = embed(given, "f", {line.split()[1]: text}.__getitem__)
    assert f"\nverb 3\n{head}{block(name, text)}mute 9\n" in full
    assert embed(full, "f", no_file)[0] == full
    assert parse(full, "f")[0] == parse(given, "f", {line.split()[1]: text}.__getitem__)[0]


@pytest.mark.parametrize(
    "line", ["peer-fingerprint " + ":".join(["AB"] * 32), "cd /etc", "log openvpn.log", "tun-mtu 1400"]
)
def test_lines_that_name_no_file_stay(line: str) -> None:
    assert f"\nverb 3\n{line}\nmute 9\n" in embed(config_text(f"verb 3\n{line}\nmute 9\n"), "f", no_file)[0]


@pytest.mark.parametrize("line", ["dh dh2048.pem", "dh none", "dh [inline]"])
def test_a_dh_file_is_not_embedded(line: str) -> None:
    full, _ = embed(config_text(f"verb 3\n{line}\nmute 9\n"), "f", no_file)
    assert "\nverb 3\ndh none\nmute 9\n" in full


def test_padding_is_lines_of_77_characters() -> None:
    """And their LF: a terminal shows them whole. A device is written in sectors of 512 bytes."""
    lines = embed(config_text(), "f", no_file)[0].splitlines()[:-1]
    padding = [line for line in lines if line and not line.strip("#")]
    assert {len(line) for line in padding[:-1]} == {77}
    assert len(padding[-1]) <= 77
    assert SECTOR == 512


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), UnicodeDecodeError("utf-8", b"", 0, 1, "")]
)
def test_a_persist_file_that_cannot_be_read_is_not_left_out(error: Exception) -> None:
    def unreadable(path: str) -> str:
        raise error

    with pytest.raises(ConfigError, match=r"^f:6: ifconfig-pool-persist: cannot read ipp.txt: "):
        embed(config_text("ifconfig-pool-persist ipp.txt\n"), "f", unreadable)


@pytest.mark.parametrize("between", ["", "verb 3\n"])
def test_words_behind_inline_stay_once(between: str) -> None:
    """However often it is embedded, there is one head before the block and no empty line more."""
    extra = f"ifconfig-pool-persist [inline] 600\n{between}" + block("ifconfig-pool-persist", "alice,10.8.0.9")
    text, _ = embed(config_text(extra), "f", no_file)
    assert text.count("\nifconfig-pool-persist [inline] 600\n<ifconfig-pool-persist>\n") == 1
    assert embed(text, "f", no_file)[0] == text


def test_file_names_may_be_quoted() -> None:
    quoted = config_text('tls-crypt "my \\"ta\\" key.txt"\n')
    text, _ = embed(quoted, "f", {'my "ta" key.txt': static_key().replace("\n", "\r\n")}.__getitem__)
    assert block("tls-crypt", static_key()) in text


@pytest.mark.stress
@given(st.text(st.sampled_from("# \nab"), max_size=300), st.integers(1, 8).map(lambda n: n * 512))
def test_padding(tail: str, block_size: int) -> None:
    comment = "".join(f"# {line}\n" for line in tail.split("\n")).replace("# #", "#")
    text, _ = embed(config_text(comment) + comment, "f", no_file, block_size=block_size)
    size = len(text.encode())
    assert size in {block_size << n for n in range(8)}
    assert text.endswith(f" length {size} end\n")
    assert embed(text, "f", no_file, block_size=block_size)[0] == text
    assert all(line.startswith("#") or not line for line in text.partition("</key>\n")[2].splitlines())


def test_the_size_is_doubled_when_it_is_three_quarters_full() -> None:
    def size(comment: int, device_size: int = 0) -> int:
        text = config_text("") + ("# " + "x" * 61 + "\n") * (comment // 64)
        return len(embed(text, "f", no_file, device_size=device_size)[0].encode())

    body = len(config_text().encode())
    for size_before, doubled in ((65_536, 131_072), (131_072, 262_144), (524_288, 1_048_576), (1_048_576, 1_048_576)):
        full = size_before * 3 // 4 - body - 2 * 100
        assert size(full - 64) == size_before
        assert size(full + 128) == doubled
    assert size(1_048_576 - body - 300) == 1_048_576
    with pytest.raises(ConfigError, match=r"^f: \d{7} bytes when embedded, larger than 1048576 bytes$"):
        size(1_048_576)
    assert size(0, device_size=9_216) == 9_216
    assert size(0, device_size=1 << 30) == 65_536
    with pytest.raises(
        ConfigError, match=r"^f: the device has 512 bytes, the config \d{4}; stop the machine and write"
    ):
        size(0, device_size=512)


@pytest.mark.parametrize("missing", range(4))
def test_the_smallest_paddings(missing: int) -> None:
    marks = 2 * (len("# hognose sha256  length 8192") + 64 + 1) + len(" end")
    left = 8192 - missing - marks - len(config_text().encode())
    comment = ("#x" + "x" * 61 + "\n") * (left // 64 - 1) + "#x" + "x" * (left % 64 + 61) + "\n"
    text, _ = embed(config_text() + comment, "f", no_file, device_size=8192)
    assert len(text) == 8192
    assert text.partition("\n")[2].startswith(config_text() + comment)
    assert embed(text, "f", no_file, device_size=8192)[0] == text


def test_lines_that_were_added_by_hand_after_the_last_mark() -> None:
    text, _ = embed(config_text(), "f", no_file)
    again, _ = embed(text + "max-clients 5\n", "f", no_file)
    assert again == embed(config_text() + "max-clients 5\n", "f", no_file)[0]


def test_an_error_has_its_place() -> None:
    def missing(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(ConfigError, match=r"^server.conf:4: ca: cannot read ca.crt: No such file or directory$"):
        embed(read_vector("server.conf"), "server.conf", missing)


def test_a_file_that_goes_away_or_changes_meanwhile() -> None:
    text = config_text("tls-crypt ta.key\n")
    calls: list[str] = []

    def going(path: str) -> str:
        calls.append(path)
        if len(calls) > 1:
            raise FileNotFoundError(2, "No such file or directory")
        return static_key()

    with pytest.raises(ConfigError, match=r"^f:6: tls-crypt: cannot read ta.key: No such file or directory$"):
        embed(text, "f", going)
    versions = [static_key(), static_key().replace("00", "11")]
    with pytest.raises(ConfigError, match="would not mean the same"):
        embed(text, "f", lambda _: versions.pop(0))


def test_an_output_that_no_block_device_takes() -> None:
    def large(path: str) -> str:
        return static_key() + "# more\n" * 160_000

    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        embed(config_text("tls-crypt ta.key\n"), "f", large)


def test_a_config_that_would_not_be_served_is_not_embedded() -> None:
    with pytest.raises(ConfigError, match=r"^f:6: plugin: "):
        embed(config_text("plugin auth.so\n"), "f", no_file)
