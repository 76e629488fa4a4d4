"""Words, quotes, comments, blocks and bounds, as OpenVPN 2.6's parse_line has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.config.lexer import lex, quote_word, split_lines, split_words
from hognose.errors import ConfigError

# OpenVPN's OPTION_LINE_SIZE of 256 less LF and NUL, MAX_PARMS, and our own bound.
MAX_LINE, MAX_WORDS, MAX_LINES = 254, 16, 50_000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("   \t ", []),
        ("port 1194", ["port", "1194"]),
        ("  port\t1194  ", ["port", "1194"]),
        ("# a comment", []),
        ("; another", []),
        ("port 1194 # trailing", ["port", "1194"]),
        ("port 1194 ;trailing", ["port", "1194"]),
        ("port 11#94", ["port", "11#94"]),  # no comment inside a word
        ('push "route 10.0.0.0 255.0.0.0"', ["push", "route 10.0.0.0 255.0.0.0"]),
        ("push 'a \"b\" c'", ["push", 'a "b" c']),
        (r"push 'a\b'", ["push", r"a\b"]),  # no escapes in single quotes
        (r'push "a\"b\\c"', ["push", r"a\b".replace("\\", '"') + "\\c"]),
        (r"cd C:\\vpn", ["cd", r"C:\vpn"]),
        (r"cd a\ b", ["cd", "a b"]),
        ('a"b c"d', ['a"b', 'c"d']),  # quotes inside a bare word are part of it
        ('"a"b', ["a", "b"]),  # a closing quote ends the word
        ('push ""', ["push", ""]),
        ('push "#no comment"', ["push", "#no comment"]),
        ("port\u00a01194", ["port\u00a01194"]),  # only ASCII white space separates
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert split_words(line) == words


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('push "open', "not closed"),
        ("push 'open", "not closed"),
        ("cd C:\\vpn", "backslash"),
        ("cd ends\\", "backslash"),
        (r"push \#", "backslash"),
        (" ".join(["word"] * (MAX_WORDS + 1)), "words"),
        ("#" * (MAX_LINE + 1), "longer"),
        ("é" * (MAX_LINE // 2 + 1), "longer"),  # bytes count, as in OpenVPN
    ],
)
def test_bad_lines(line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        split_words(line, "server.conf", 7)
    assert (caught.value.file, caught.value.line) == ("server.conf", 7)


def test_the_bounds_are_reachable() -> None:
    assert split_words("#" * MAX_LINE) == []
    assert len(split_words(" ".join(["word"] * MAX_WORDS))) == MAX_WORDS
    assert lex("\n" * MAX_LINES, "f") == []
    with pytest.raises(ConfigError, match="lines"):
        lex("\n" * (MAX_LINES + 1), "f")


@given(st.text(st.characters(min_codepoint=1, max_codepoint=0x17F, exclude_characters="\n"), max_size=30))
def test_a_quoted_word_is_read_back(word: str) -> None:
    assert split_words(f"name {quote_word(word)} next") == ["name", word, "next"]


@given(st.text(max_size=200))
def test_any_text_is_lexed_or_refused(text: str) -> None:
    try:
        directives = lex(text, "f")
    except ConfigError:
        return
    assert [d.line for d in directives] == sorted(d.line for d in directives)


def test_lines_end_with_lf_or_crlf_only() -> None:
    assert split_lines("\ufeffa\r\nb\x0bc\u2028d\ne") == ["a", "b\x0bc\u2028d", "e"]
    assert split_lines("a\n\n") == ["a", ""]
    assert split_lines("") == []


def test_positions_with_bom_crlf_and_blocks() -> None:
    text = "\ufeffproto tcp\r\n\r\n  <ca>\r\none\r\n two \r\n  </ca> trailing\r\n--port 1194\r\n"
    proto, ca, port = lex(text, "f")
    assert (proto.name, proto.words, proto.line) == ("proto", ("tcp",), 1)
    assert (ca.name, ca.words, ca.line, ca.last_line, ca.block) == ("ca", (), 3, 6, "one\n two \n")
    assert (port.name, port.words, port.line) == ("port", ("1194",), 7)  # OpenVPN drops the two dashes


def test_a_block_may_hold_what_looks_like_directives() -> None:
    (ca,) = lex("<ca>\n# comment\nport 1\n<cert>\n" + "x" * 1000 + "\n</ca>\n", "f")
    assert ca.block == "# comment\nport 1\n<cert>\n" + "x" * 1000 + "\n"


def test_an_open_block_names_its_first_line() -> None:
    with pytest.raises(ConfigError, match=r"f:2: ca: .*</ca>"):
        lex("port 1\n<ca>\nabc\n", "f")


@pytest.mark.parametrize("line", ["<ca> x", "<>", "<-a>", "a<ca>"])
def test_what_opens_no_block(line: str) -> None:
    (directive,) = lex(line, "f")
    assert directive.block is None


def test_inline_words_and_block_are_one_directive() -> None:
    text = "ca [inline]\ntls-auth [inline] 0\nport 1194\n<tls-auth>\nKEY\n</tls-auth>\n<ca>\nCA\n</ca>\n"
    port, tls_auth, ca = lex(text, "f")
    assert port.name == "port"
    assert (tls_auth.words, tls_auth.block, tls_auth.line, tls_auth.head) == (("0",), "KEY\n", 4, 2)
    assert (ca.words, ca.block, ca.head) == ((), "CA\n", 1)


def test_inline_without_a_block_stays_as_it_is() -> None:
    (ca,) = lex("ca [inline]\n", "f")
    assert (ca.words, ca.block) == (("[inline]",), None)


def test_the_reference_tool_puts_a_tag_on_the_directives_line() -> None:
    (directive,) = lex("tls-crypt-v2 [inline] allow-noncookie<tls-crypt-v2>\nKEY\n</tls-crypt-v2>\n", "f")
    assert (directive.name, directive.words, directive.block) == ("tls-crypt-v2", ("allow-noncookie",), "KEY\n")
    assert (directive.line, directive.head, directive.last_line) == (1, 1, 3)
