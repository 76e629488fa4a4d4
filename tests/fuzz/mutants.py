"""Checks that are taken out of the code one by one: who notices? `python -m tests.fuzz.mutants [MODULE …]`.

A mutant is a guard (an `if` whose body leaves) that never holds, or a part of a condition that is left out. Each runs
in a process of its own: first the committed corpora, then, if they notice nothing, the unit tests of its folder. A line
for each: the place, what was left out, and who noticed. By hand; docs/dev/test-records.md has the record.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import cryptography.x509  # noqa: F401  what all of them need is imported once; hognose is not
import OpenSSL.SSL  # noqa: F401  likewise
import pytest
import scapy.layers.l2  # noqa: F401  likewise

SOURCE = Path(__file__).resolve().parents[2] / "src" / "hognose"
CORPORA = str(Path(__file__).with_name("test_corpus.py"))
UNIT = Path(__file__).resolve().parents[1] / "unit"
MODULES = (
    *(f"wire.{name}" for name in ("arp", "ethernet", "icmpv4", "ipv4", "openvpn", "tcp", "udp", "virtio_net")),
    *(f"ip.{name}" for name in ("fragments", "icmp_errors", "mss", "neighbor")),
    *(
        f"nat.{name}"
        for name in (
            "filtering", "flow_keys", "flow_timeouts", "hairpin", "icmp_translation", "inbound", "nat", "outbound",
            "ports", "rewrite", "table", "tracking",
        )
    ),
    *(
        f"openvpn.{name}"
        for name in (
            "control.messages", "control.wrap", "framing", "control.key_exchange", "control.reliability", "data.replay",
            "control.session_wrap", "control.tls_crypt_v2",
        )
    ),
)  # fmt: skip
BESIDES = {"wire": ("ip",)}  # whose tests see the same code
TARGETS = {  # of the folders' code, to save time
    "wire": "not config and not block", "ip": "not config and not block and not wrap", "nat": "nat or icmp or gateway",
    "openvpn": "framing or control or wrap or key or session or data or gateway",
}  # fmt: skip
NOTICED = 3


def mutants(name: str) -> Iterator[tuple[str, ast.Module]]:
    """(what was left out, the module without it)."""
    tree = ast.parse((SOURCE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))
    conditions = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    for number, node in enumerate(conditions):
        if isinstance(node.body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break)):
            yield f"{node.lineno}: never `{ast.unparse(node.test)}`", _changed(tree, number, ast.Constant(False))
        if isinstance(node.test, ast.BoolOp):
            for at, part in enumerate(node.test.values):
                rest = [value for value in node.test.values if value is not part]
                test = rest[0] if len(rest) == 1 else ast.BoolOp(node.test.op, rest)
                yield f"{node.lineno}: without `{ast.unparse(part)}` ({at + 1})", _changed(tree, number, test)


def _changed(tree: ast.Module, number: int, test: ast.expr) -> ast.Module:
    changed = copy.deepcopy(tree)
    conditions = [node for node in ast.walk(changed) if isinstance(node, ast.If)]
    conditions[number].test = copy.deepcopy(test)
    return ast.fix_missing_locations(changed)


class Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives out one module as another tree."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name = f"hognose.{name}"
        self._path = str(SOURCE / f"{name.replace('.', '/')}.py")
        self._tree = tree

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, self._path, "exec"), module.__dict__)


def _in_a_process(finder: Mutated, paths: list[str], seconds: int) -> bool:
    """True if the tests fail, or take too long."""
    child = os.fork()
    if not child:
        sys.meta_path.insert(0, finder)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *paths])
        os._exit(NOTICED if status else 0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.05)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--corpus-only", action="store_true")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    for name in arguments.modules:
        folder = name.split(".")[0]
        units = [str(UNIT / each) for each in (folder, *BESIDES.get(folder, ()))]
        for text, tree in mutants(name):
            finder = Mutated(name, tree)
            if _in_a_process(finder, [CORPORA, "-k", TARGETS[folder]], 45):
                who = "corpus"
            elif arguments.corpus_only or not _in_a_process(finder, units, 400):
                who = "NOBODY"
            else:
                who = "unit tests"
            total[who] += 1
            print(f"{name}:{text}: {who}", flush=True)
    print(dict(total))


if __name__ == "__main__":
    main()
