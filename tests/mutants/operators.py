"""Mutants of one module: its source with one small change, each at a place that its tests could notice.

A change is a piece of text in place of another one, so that a diff shows it alone. Left out are docstrings, type
annotations, decorators, texts (f-strings, what an exception says), assertions, `__repr__`, protocols, and the values
of plain enums, which mean nothing but their name.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"),
    ast.Eq: ("!=",), ast.NotEq: ("==",), ast.Is: ("is not",), ast.IsNot: ("is",), ast.In: ("not in",),
    ast.NotIn: ("in",),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "//"), ast.FloorDiv: ("//", "*"), ast.Div: ("/", "*"),
    ast.Mod: ("%", "//"), ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"), ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"), ast.BitXor: ("^", "&"),
}  # fmt: skip
_COMPARISON = re.compile(rb"not\s+in|is\s+not|is|in|[<>=!]=|<|>")
WHOLE_NUMBERS = {"int", "Nanos", "Port", "UnixSeconds"}  # return types that count as a number
SILENT = {"__repr__"}
TYPED = {"cast", "isinstance", "issubclass", "TypeVar", "NewType", "assert_never"}  # calls with types among arguments
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Mutant:
    """One change: `text` in place of the bytes from `start` to `end` of the module's source."""

    module: str  # dotted name below the package
    function: str  # qualified name in the module; "-" outside of functions and classes
    operator: str
    mark: str  # hash of the line, the lines around it, the change, and which of several alike it is
    line: int
    start: int
    end: int
    text: str

    @property
    def name(self) -> str:
        """Name by which it can be repeated; it stays when other functions change or the module moves."""
        return f"{self.module.rpartition('.')[2]}:{self.function}:{self.operator}:{self.mark}"

    def applied(self, source: bytes) -> bytes:
        """The source with the change."""
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants(module: str, source: bytes) -> list[Mutant]:
    """All mutants in the order of the source."""
    finder = _Finder(source)
    finder.statements(ast.parse(source).body)
    lines = [line.strip() for line in source.decode().splitlines()]
    alike: Counter[str] = Counter()
    found = []
    for function, operator, start, end, text in sorted(finder.changes, key=lambda change: change[2:]):
        line = source.count(b"\n", 0, start)
        before = next((one for one in reversed(lines[:line]) if one), "")
        last = source.count(b"\n", 0, end)
        after = next((one for one in lines[last + 1 :] if one), "")
        changed = source[start:end].decode()
        said = "\0".join((before, *lines[line : last + 1], after, function, operator, changed, text))
        alike[said] += 1
        mark = sha256(f"{said}\0{alike[said]}".encode()).hexdigest()[:10]
        found.append(Mutant(module, function, operator, mark, line + 1, start, end, text))
    return found


class _Finder:
    """Walks a tree and notes changes as (function, operator, start, end, text)."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._names: list[str] = []
        self._returns = [""]  # the return annotation of each function around
        self.changes: list[tuple[str, str, int, int, str]] = []

    # Places

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        return self._lines[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)

    def _text(self, node: ast.expr | ast.stmt) -> str:
        return self._source[self._start(node) : self._end(node)].decode()

    def _between(self, left: ast.expr, right: ast.expr) -> tuple[int, bytes]:
        """Offset and text between two operands; comments are blanked."""
        start = self._end(left)
        gap = self._source[start : self._start(right)]
        return start, re.sub(rb"#[^\n]*", lambda match: b" " * len(match[0]), gap)

    def _add(self, operator: str, start: int, end: int, text: str) -> None:
        if self._source[start:end] != text.encode():
            self.changes.append((".".join(self._names) or "-", operator, start, end, text))

    def _replace(self, operator: str, node: ast.expr | ast.stmt, text: str) -> None:
        self._add(operator, self._start(node), self._end(node), text)

    # Statements

    def statements(self, body: Sequence[ast.stmt]) -> None:
        """Each statement of a block."""
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef():
                self._function(node)
            case ast.ClassDef():
                self._class(node)
            case ast.Assert() | ast.Import() | ast.ImportFrom():
                pass
            case ast.If(test=test) if ast.unparse(test).endswith("TYPE_CHECKING"):
                self.statements(node.orelse)
            case _:
                self._dropped(node)
                self._specific(node)
                self._parts(node)

    def _function(self, node: ast.FunctionDef) -> None:
        if node.name in SILENT:
            return
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self._expression(default)
        self._names.append(node.name)
        self._returns.append(ast.unparse(node.returns) if node.returns else "")
        self.statements(node.body)
        self._returns.pop()
        self._names.pop()

    def _class(self, node: ast.ClassDef) -> None:
        bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        if "Protocol" in bases:
            return
        self._names.append(node.name)
        self.statements([one for one in node.body if "Enum" not in bases or isinstance(one, ast.FunctionDef)])
        self._names.pop()

    def _dropped(self, node: ast.stmt) -> None:
        """A statement that does something besides naming a value becomes `pass`."""
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value:
            targets = [node.target]
        in_place = bool(targets) and all(isinstance(one, ast.Attribute | ast.Subscript) for one in targets)
        if self._names and self._names[-1] == "__init__":
            in_place = False  # what lacks an attribute fails in every test
        call = node.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
        does = call is not None and ast.unparse(call.func) not in TYPED
        if in_place or does or isinstance(node, ast.AugAssign | ast.Delete | ast.Raise):
            self._replace("statement", node, "pass")

    def _specific(self, node: ast.stmt) -> None:
        match node:
            case ast.If():
                if isinstance(node.body[-1], _LEAVING) and not node.orelse:
                    self._replace("guard", node.test, "False")
                self._negated(node.test)
            case ast.While():
                self._negated(node.test)
            case ast.Break():
                self._replace("jump", node, "continue")
            case ast.Continue():
                self._replace("jump", node, "break")
            case ast.Return(value=value) if value is not None:
                self._returned(value)
            case ast.AugAssign(op=operation) if type(operation) in ARITHMETIC:
                old, new = ARITHMETIC[type(operation)]
                start, gap = self._between(node.target, node.value)
                at = start + gap.index(f"{old}=".encode())
                self._add("arithmetic", at, at + len(old), new)

    def _returned(self, value: ast.expr) -> None:
        """Another value of the same type, by the function's annotation."""
        kind = self._returns[-1]
        if isinstance(value, ast.Constant):
            return
        if kind == "bool":
            self._replace("return", value, f"(not ({self._text(value)}))")
        elif kind in WHOLE_NUMBERS:
            self._replace("return", value, f"(({self._text(value)}) + 1)")
        elif "None" in kind.split(" | ")[1:]:
            self._replace("return", value, "None")
        elif kind == "bytes":
            self._replace("return", value, 'b""')
        elif kind.startswith(("list[", "dict[")):
            self._replace("return", value, "[]" if kind.startswith("list[") else "{}")

    def _parts(self, node: ast.AST) -> None:
        """Statements and expressions inside of a node, without its annotations."""
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "exc", "type_comment") or (name == "type" and isinstance(value, ast.expr)):
                continue
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.expr):
                    self._expression(one)
                elif isinstance(one, ast.stmt):
                    self._statement(one)
                elif isinstance(one, ast.AST):
                    self._parts(one)

    # Expressions

    def _expression(self, node: ast.expr) -> None:
        match node:
            case ast.JoinedStr():
                return
            case ast.Constant(value=value):
                self._constant(node, value)
            case ast.Compare():
                self._compared(node)
            case ast.BoolOp():
                self._joined(node)
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
                if not isinstance(operand, ast.Constant):
                    name = "not" if isinstance(node.op, ast.Not) else "arithmetic"
                    self._replace(name, node, f"({self._text(operand)})")
            case ast.BinOp(op=operation) if type(operation) in ARITHMETIC:
                if not (_is_joining(node) or (not self._names and _is_type(node))):
                    old, new = ARITHMETIC[type(operation)]
                    start, gap = self._between(node.left, node.right)
                    at = start + gap.index(old.encode())
                    self._add("arithmetic", at, at + len(old), new)
            case ast.IfExp(test=test):
                self._negated(test)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for part in node.generators:
                    for test in part.ifs:
                        self._negated(test)
            case ast.Call() if ast.unparse(node.func) in TYPED:
                for argument in node.args[:1] if ast.unparse(node.func).startswith("is") else []:
                    self._expression(argument)
                return
            case ast.Call():
                node = ast.Call(node.func, node.args, [one for one in node.keywords if one.arg != "strict"])
        self._parts(node)

    def _negated(self, test: ast.expr) -> None:
        """The opposite of a condition; comparisons and `not` have mutants of their own."""
        single = isinstance(test, ast.Compare) and len(test.ops) == 1
        if not single and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            self._replace("negation", test, f"(not ({self._text(test)}))")

    def _constant(self, node: ast.Constant, value: object) -> None:
        if isinstance(value, bool):
            self._replace("constant", node, str(not value))
        elif isinstance(value, int | float):
            in_hex = self._text(node).lower().startswith("0x")
            for other in (value + 1, value - 1) if value >= 1 else (value + 1,):
                written = hex(other) if in_hex and isinstance(other, int) else repr(other)
                self._replace("constant", node, written)

    def _compared(self, node: ast.Compare) -> None:
        left = node.left
        for operation, right in zip(node.ops, node.comparators, strict=True):
            start, gap = self._between(left, right)
            if found := _COMPARISON.search(gap):
                for other in COMPARISONS[type(operation)]:
                    self._add("comparison", start + found.start(), start + found.end(), other)
            left = right

    def _joined(self, node: ast.BoolOp) -> None:
        """`and` for `or` and the reverse, and each part left out."""
        is_and = isinstance(node.op, ast.And)
        old, new = (b"and", b"or") if is_and else (b"or", b"and")
        text = self._source[self._start(node) : self._end(node.values[0])]
        for left, right in zip(node.values, node.values[1:], strict=False):
            text += self._between(left, right)[1].replace(old, new) + self._text(right).encode()
        text += self._source[self._end(node.values[-1]) : self._end(node)]
        self._replace("boolean", node, text.decode())
        for part in node.values:
            self._replace("part", part, str(is_and))


def _leaves(node: ast.expr) -> Iterator[ast.expr]:
    """Operands of a tree of binary operators."""
    if isinstance(node, ast.BinOp):
        yield from _leaves(node.left)
        yield from _leaves(node.right)
    else:
        yield node


def _is_joining(node: ast.BinOp) -> bool:
    """A sum of texts, lists or tuples as far as literals show it: minus would only be a TypeError."""
    return isinstance(node.op, ast.Add) and any(
        isinstance(leaf, ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp)
        or (isinstance(leaf, ast.Constant) and isinstance(leaf.value, str | bytes))
        or (isinstance(leaf, ast.Call) and ast.unparse(leaf.func).endswith(("bytes", "to_bytes", ".pack", ".digest")))
        or (isinstance(leaf, ast.Subscript) and isinstance(leaf.slice, ast.Slice))
        for leaf in _leaves(node)
    )


def _is_type(node: ast.BinOp) -> bool:
    """A union of types: flags have names in capitals, types do not."""
    names = [ast.unparse(leaf).partition("[")[0].rpartition(".")[2] for leaf in _leaves(node)]
    return isinstance(node.op, ast.BitOr) and any(not re.search(r"\d", name) and not name.isupper() for name in names)
