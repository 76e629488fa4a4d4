"""Our lexer against OpenVPN's own: the same words from the same lines, and both refuse the same lines."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from hognose.config.lexer import split_words
from hognose.errors import ConfigError

pytestmark = pytest.mark.interop

ALPHABET = ["a", "b", "x", " ", "\t", "\\", '"', "'", "#", ";", "\\\\", '\\"', "\\ ", ' "', " '", '" ', "' ", "=", "-"]
REFUSED = "refused"


def openvpn_reads(line: str, folder: Path) -> str:
    """What OpenVPN takes for the value of `mode`: the word, REFUSED, or "" when there is none or more than one."""
    config = folder / "one.conf"
    config.write_text(f"mode {line}\n")
    told = subprocess.run(
        ["openvpn", "--config", str(config)], capture_output=True, check=False, timeout=20
    ).stdout.decode()
    first = told.splitlines()[0]
    if match := re.fullmatch(r"Options error: Bad --mode parameter: (.*)", first):
        return f"<{match[1]}>"
    if "No closing" in first or "Bad backslash" in first or "Residual parse state" in first:
        return REFUSED
    return ""


def we_read(line: str) -> str:
    """The same of our lexer."""
    try:
        words = split_words(f"mode {line}")
    except ConfigError:
        return REFUSED
    return f"<{words[1]}>" if len(words) == 2 else ""


# Where we differ on purpose: OpenVPN drops a backslash before white space or a comment sign at a word's beginning.
DIFFERENT = re.compile(r"(^|[ \t\"'])\\[ \t#;]|(^|[ \t])[^ \t]*\\$")


def test_the_same_words_from_random_lines(tmp_path: Path) -> None:
    source = random.Random(20261124)
    compared = 0
    differ = []
    for _ in range(400):
        line = "".join(source.choice(ALPHABET) for _ in range(source.randint(1, 7)))
        if DIFFERENT.search(line):
            continue
        compared += 1
        theirs, ours = openvpn_reads(line, tmp_path), we_read(line)
        if theirs != ours:
            differ.append((line, theirs, ours))
    assert differ == [], "\n".join(map(str, differ))
    assert compared > 250
