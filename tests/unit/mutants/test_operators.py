"""The changes that the mutator makes, by the changed line; and the code that it leaves alone."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest
from tests.mutants.operators import Mutant, mutants

PATH = "toy.part"


def changes(source: str) -> set[tuple[str, str]]:
    """(operator, the source after it) of each mutant; blanks at the ends are cut."""
    data = dedent(source).encode()
    return {(one.operator, one.applied(data).decode().strip()) for one in mutants(PATH, data)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {("comparison", "a <= b"), ("comparison", "a >= b")}),
        ("a >= b", {("comparison", "a > b"), ("comparison", "a < b")}),
        ("a == b", {("comparison", "a != b")}),
        ("a  is   not b", {("comparison", "a  is b")}),
        ("a not in b", {("comparison", "a in b")}),
        ("a < b <= c", {("comparison", "a <= b <= c"), ("comparison", "a >= b <= c"), ("comparison", "a < b < c"),
                        ("comparison", "a < b > c")}),
        ("(a) < (b)", {("comparison", "(a) <= (b)"), ("comparison", "(a) >= (b)")}),
        ("x = 3", {("constant", "x = 4"), ("constant", "x = 2")}),
        ("x = 0", {("constant", "x = 1")}),
        ("x = 0xFF", {("constant", "x = 0x100"), ("constant", "x = 0xfe")}),
        ("x = True", {("constant", "x = False")}),
        ("x = -2", {("constant", "x = -3"), ("constant", "x = -1")}),
        ("x = a + b", {("arithmetic", "x = a - b")}),
        ("x = (a) // b", {("arithmetic", "x = (a) * b")}),
        ("x = a << b & c", {("arithmetic", "x = a >> b & c"), ("arithmetic", "x = a << b | c")}),
        ("x = ~a", {("arithmetic", "x = (a)")}),
        ("x -= y", {("arithmetic", "x += y"), ("statement", "pass")}),
        ("x = a and (b or c)", {("boolean", "x = a or (b or c)"), ("boolean", "x = a and (b and c)"),
                                ("part", "x = True and (b or c)"), ("part", "x = a and (True)"),
                                ("part", "x = a and (False or c)"), ("part", "x = a and (b or False)")}),
        ("x = (a) and (b)", {("boolean", "x = (a) or (b)"), ("part", "x = (True) and (b)"),
                             ("part", "x = (a) and (True)")}),
        ("x = not a", {("not", "x = (a)")}),
        ("x = b if a else c", {("negation", "x = b if (not (a)) else c")}),
        ("x = [a for a in b if a]", {("negation", "x = [a for a in b if (not (a))]")}),
        ("x.y = z", {("statement", "pass")}),
        ("x[y] = z", {("statement", "pass")}),
        ("f(x)", {("statement", "pass")}),
        ("del x", {("statement", "pass")}),
        ("raise X(1)", {("statement", "pass")}),
        ("while a:\n    break", {("negation", "while (not (a)):\n    break"), ("jump", "while a:\n    continue")}),
        ("if a:\n    x = y", {("negation", "if (not (a)):\n    x = y")}),
        ("FLAGS = FIN | SYN", {("arithmetic", "FLAGS = FIN & SYN")}),
    ],
)  # fmt: skip
def test_each_change(source: str, expected: set[tuple[str, str]]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    ("returns", "value", "becomes"),
    [
        ("bool", "a", "(not (a))"), ("int", "a", "((a) + 1)"), ("Nanos", "a", "((a) + 1)"), ("bytes", "a", 'b""'),
        ("int | None", "a", "None"), ("list[int]", "a", "[]"), ("dict[int, int]", "a", "{}"),
        ("list[int]", "[]", None), ("str", "a", None), ("tuple[int, int]", "a", None), ("None", "a", None),
    ],
)  # fmt: skip
def test_values_that_are_returned_keep_their_type(returns: str, value: str, becomes: str | None) -> None:
    found = changes(f"def f(a) -> {returns}:\n    return {value}\n")
    assert found == ({("return", f"def f(a) -> {returns}:\n    return {becomes}")} if becomes else set())


def test_a_condition_that_leaves_can_be_one_that_never_holds() -> None:
    found = changes("def f(a):\n    if a < b:\n        return\n")
    assert {text for operator, text in found if operator == "guard"} == {
        "def f(a):\n    if False:\n        return"
    }  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        '"""Text of 1."""', 'def f() -> int:\n    """Two."""', "x: Literal[1] | None", "def f(a: A | B) -> C | D: ...",
        "@dataclass(frozen=True)\nclass A:\n    x: int", "x = f'{a + 1} of {b}'", "assert a < 1",
        "import a\nfrom b import c", "class A:\n    def __repr__(self):\n        return a + b",
        "class A(Protocol):\n    size = 1", "class A(Enum):\n    B = 1", "if TYPE_CHECKING:\n    x = 1",
        "Buffer = bytes | bytearray", "Kind = x509.A | None", "isinstance(a, A | B)", "x = cast(A | B, c)",
        "x = zip(a, b, strict=True)", "x = b'a' + c", "x = [a] + c", "x = a.to_bytes() + b", "x = a[1:][:b] + c"[:0],
        "class A:\n    def __init__(self, a):\n        self.a = a", "x = a",
    ],
)  # fmt: skip
def test_what_is_left_alone(source: str) -> None:
    assert changes(source) == set()


def test_values_of_numbered_enums_count() -> None:
    assert changes("class A(IntEnum):\n    B = 0") == {("constant", "class A(IntEnum):\n    B = 1")}


SOURCE = b'''"""Toy."""

LIMIT = 4  # "\xc3\xa4": columns are bytes


class Table:
    def add(self, one: int) -> bool:
        if (
            len(self.all) >= LIMIT  # < is no operator here
            and one
        ):
            return False
        self.all.append(one)
        return True


def size(table):
    return len(table.all) > 1


def size_again(table):
    return len(table.all) > 1
'''


def test_every_mutant_compiles_differs_and_has_a_name_of_its_own() -> None:
    found = mutants(PATH, SOURCE)
    trees = {ast.dump(ast.parse(one.applied(SOURCE))) for one in found}
    assert len(found) == len(trees) == len({one.name for one in found}) == 20
    assert ast.dump(ast.parse(SOURCE)) not in trees
    assert {one.function for one in found} == {"-", "Table.add", "size", "size_again"}
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert found == mutants(PATH, SOURCE)


def names(source: bytes, module: str = PATH) -> set[str]:
    return {one.name for one in mutants(module, source)}


def test_names_stay_when_other_functions_change_or_the_module_moves() -> None:
    assert names(SOURCE, "else.where.part") == names(SOURCE)
    assert names(b"".join(SOURCE.partition(b"LIMIT")[:1]) + b"OTHER = 2\n" + SOURCE) >= {
        name for name in names(SOURCE) if ":-:" not in name
    }  # fmt: skip


def test_names_change_with_the_line_and_the_lines_beside_it() -> None:
    def of_size(source: bytes) -> set[str]:
        return {one.name for one in mutants(PATH, source) if one.function == "size"}

    assert of_size(SOURCE) & of_size(SOURCE.replace(b"all) > 1", b"all) > 2", 1)) == set()
    assert of_size(SOURCE) & of_size(SOURCE.replace(b"def size(table)", b"def size(table: list)")) == set()
    assert of_size(SOURCE) == of_size(SOURCE.replace(b"    return len", b"\n    return len"))


def test_two_alike_in_one_line_have_two_names() -> None:
    found = [one for one in mutants(PATH, b"x = f(1, 1)\n") if one.text == "2"]
    assert len({one.name for one in found}) == 2
    assert isinstance(found[0], Mutant)
