"""The language rules (a) to (d) of CONTRIBUTING.md, with a table of exceptions that only shrinks.

Checked are docstrings and comments of src, image, initramfs, solo5 and tests, and the pages. language_exceptions.txt
has the files that break a rule and how often; it must be exact, so a file with fewer is red too. After a rewrite,
`python -m tests.static.test_language --write` writes the smaller counts; it refuses to write larger ones.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_layout import FILES, ROOT

TABLE = Path(__file__).with_name("language_exceptions.txt")
HEADER = (
    "# Files that break a language rule of CONTRIBUTING.md, and how often: path, then rule=count. Counts only shrink.\n"
)
FOLDERS = ("src/", "image/", "initramfs/", "solo5/", "tests/")
PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "solo5/README.md")
USER_PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
# Rule (a) is about first lines, the others about all text. "How to do it" is a noun phrase.
QUESTION = re.compile(r"(?:What|Whether|When|Who|Whom|Whose|Where|Why|Which|How(?! to\b))\b", re.IGNORECASE)
RULES = {
    "actor": re.compile(r"\b(?:nobody|somebody|whoever|whomever)\b", re.IGNORECASE),
    "number": re.compile(r"\bso (?:many|much)\b", re.IGNORECASE),
    # Hosts are behind a NAT or a router in the RFCs too.
    "behind": re.compile(
        r"\bbehind\b(?! (?:(?:a|an|one|the|its|their) )?(?:NATs?|routers?|firewalls?|address(?:es)?|prox(?:y|ies))\b)",
        re.IGNORECASE,
    ),
}
INVENTED = re.compile(r"\b(?:doors?|sieved?|strangers?|look(?:s|ed)?|reference (?:system|server))\b", re.IGNORECASE)
# The page that explains the rules has to show what it forbids.
SHOWN = {"CONTRIBUTING.md": re.compile(r"^\| \([a-h]\).*$", re.MULTILINE)}
Counts = dict[str, int]


def python_texts(source: str) -> Iterator[tuple[str, bool]]:
    """Docstrings (True: with a first line) and comments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text, True
    lines: list[str] = []
    last = -2
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] > last + 1 and lines:
                yield "\n".join(lines), False
                lines = []
            lines.append(token.string.lstrip("#! "))
            last = token.start[0]
    yield "\n".join(lines), False


def c_texts(source: str) -> Iterator[tuple[str, bool]]:
    """Comments; the first of a file is its docstring."""
    for number, text in enumerate(re.findall(r"/\*(.*?)\*/|//(.*)", source, re.DOTALL)):
        yield re.sub(r"^\s*\* ?", "", "".join(text), flags=re.MULTILINE).strip(), number == 0


def script_texts(source: str) -> Iterator[tuple[str, bool]]:
    """Comments of shell and make."""
    yield "\n".join(re.findall(r"(?:^|\s)#(?!!)(.*)", source)), False


def plain(page: str) -> str:
    """A page without code and without the targets of its links."""
    page = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "", page))


def page_texts(source: str) -> Iterator[tuple[str, bool]]:
    """The title, which has a first line, and the rest."""
    title, _, rest = plain(source).partition("\n")
    yield title.lstrip("# "), True
    yield rest, False


def texts(name: str, source: str) -> Iterator[tuple[str, bool]]:
    """Everything in a file that is written for readers, by the file's kind."""
    if name in SHOWN:
        source = SHOWN[name].sub("", source)
    if name in PAGES or (name.startswith("docs/") and name.endswith(".md")):
        yield from page_texts(source)
    elif name.startswith(FOLDERS) and not name.startswith(("tests/fuzz/corpus/", "tests/vectors/")):
        suffix = Path(name).suffix
        if suffix == ".py" or name == "image/hognose-qemu":
            yield from python_texts(source)
        elif suffix in (".c", ".h", ".S"):
            yield from c_texts(source)
        elif suffix in (".sh", ".mk"):
            yield from script_texts(source)


def broken(name: str, source: str) -> Counts:
    """Number of times that a file breaks each rule; only rules that it breaks."""
    found = dict.fromkeys(("question", *RULES), 0)
    for text, has_first_line in texts(name, source):
        found["question"] += has_first_line and QUESTION.match(text) is not None
        joined = " ".join(text.split())
        for rule, pattern in RULES.items():
            found[rule] += len(pattern.findall(joined))
    return {rule: count for rule, count in found.items() if count}


def line_of(name: str, counts: Counts) -> str:
    """A line of the table."""
    return " ".join([name, *(f"{rule}={count}" for rule, count in counts.items())])


def table() -> dict[str, Counts]:
    """The table as it stands."""
    lines = [line.split() for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {name: {rule: int(count) for rule, count in (one.split("=") for one in rest)} for name, *rest in lines}


def today() -> dict[str, Counts]:
    """The rules that the files break now."""
    found: dict[str, Counts] = {}
    for path in FILES:
        name = str(path.relative_to(ROOT))
        if name in PAGES or name.startswith((*FOLDERS, "docs/")):
            try:
                source = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            if counts := broken(name, source):
                found[name] = counts
    return found


def differences(wanted: dict[str, Counts], found: dict[str, Counts]) -> list[str]:
    """One line for each file whose counts are not those of the table, with what to do."""
    said = []
    for name in sorted({*wanted, *found}):
        old, new = wanted.get(name, {}), found.get(name, {})
        more = [rule for rule, count in new.items() if count > old.get(rule, 0)]
        if more:
            said.append(f"{name}: more than the table allows of {', '.join(more)}: {line_of('', new).strip()}")
        elif old != new:
            said.append(f"{name}: fewer; " + (f"write `{line_of(name, new)}`" if new else "take its line out"))
    return said


def test_the_table_of_exceptions_is_exact() -> None:
    """CONTRIBUTING.md has the rules. Fewer: `python -m tests.static.test_language --write`."""
    assert differences(table(), today()) == []


@pytest.mark.parametrize("path", USER_PAGES, ids=lambda path: path.name)
def test_pages_for_administrators_use_words_that_administrators_know(path: Path) -> None:
    lines = enumerate(plain(path.read_text(encoding="utf-8")).splitlines(), 1)
    assert [line for _, line in lines if INVENTED.search(line)] == []


@pytest.mark.parametrize(
    ("name", "source", "counts"),
    [
        ("src/a.py", '"""What is read."""\n', {"question": 1}),
        ("src/a.py", '"""Reader.\n\nWhat is read."""\n', {}),
        ("src/a.py", 'def f():\n    """When it is due."""\n', {"question": 1}),
        ("src/a.py", 'class A:\n    """How to read."""\n', {}),
        ("src/a.py", "# What is read\n", {}),
        ("src/a.py", "x = 1  # nobody's\n", {"actor": 1}),
        ("src/a.py", "# after so\n# many\n", {"number": 1}),
        ("src/a.py", "# so\n\n# many\n", {}),
        ("src/a.py", 'x = "nobody"\n', {}),
        ("src/a.py", "# Whoever: so much behind the header, behind it, behind a router, behind NATs\n",
         {"actor": 1, "number": 1, "behind": 2}),
        ("solo5/a.c", "/* Where pages\n * are. Somebody's */\nint a; // behind\n/* What */",
         {"question": 1, "actor": 1, "behind": 1}),
        ("solo5/a.c", 'char *a = "nobody";', {}),
        ("image/a.sh", "#!/bin/sh\necho behind  # nobody\n", {"actor": 1}),
        ("docs/a.md", "# What is built\n\n`nobody` and [so many](behind.md)\n", {"question": 1, "number": 1}),
        ("docs/a.md", "# Title\n\n## What is built\n```\nnobody\n```\n", {}),
        ("CONTRIBUTING.md", "# Title\n| (b) x | nobody | no peer |\n", {}),
        ("tests/vectors/a.py", "# nobody\n", {}),
    ],
)  # fmt: skip
def test_what_is_counted(name: str, source: str, counts: Counts) -> None:
    assert broken(name, source) == counts


def test_what_a_difference_says() -> None:
    said = differences(
        {"a": {"actor": 2}, "b": {"behind": 1}, "c": {"actor": 1}}, {"a": {"actor": 1}, "c": {"number": 1}}
    )
    assert said == [
        "a: fewer; write `a actor=1`",
        "b: fewer; take its line out",
        "c: more than the table allows of number: number=1",
    ]


def test_the_table_is_sorted_and_made_of_positive_counts() -> None:
    lines = TABLE.read_text(encoding="utf-8").removeprefix(HEADER).splitlines()
    assert lines == [line_of(name, counts) for name, counts in sorted(table().items())]
    assert all(count > 0 and rule in ("question", *RULES) for one in table().values() for rule, count in one.items())


def write() -> int:
    """Write smaller counts into the table; larger ones are refused."""
    found = today()
    if TABLE.exists() and (more := [line for line in differences(table(), found) if ": more than" in line]):
        print("\n".join(more), file=sys.stderr)
        return 1
    TABLE.write_text(HEADER + "".join(f"{line_of(name, found[name])}\n" for name in sorted(found)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(write() if sys.argv[1:] == ["--write"] else "python -m tests.static.test_language --write")
