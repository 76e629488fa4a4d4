"""Rate limits are made of hognose.base.rate: no other module refills a bucket or begins a window by hand."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hognose.base import rate

SOURCE = Path(rate.__file__).parents[1]
RATE = "base/rate.py"
# What looks like a limit on a rate and is not made of base/rate.py, with the reason. The list only shrinks.
OTHERWISE = {
    "vpn/handshake_scheduler.py self._credit": "a share of the processor's time, paid after it was used",
    "router/syn_sieve.py self._firsts": "the rate falls while a flood lasts; spent in the loop over frames",
    "router/syn_sieve.py self._repeats": "likewise spent in the loop over frames",
    "openvpn/liveness.py self._look_at": "a timer",
    "openvpn/control/push.py self.sent_at": "one reply to repeated requests, not a rate (OpenVPN push.c)",
    "tcp/congestion.py self.cwnd": "a window of bytes, no time",
    "tcp/rack.py self._dsack_at": "once per round trip (RFC 8985 section 6.2)",
}


def refills(tree: ast.Module) -> set[str]:
    """Targets of `x = min(most, x + more)`."""
    found = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if ast.unparse(node.value.func) == "min":
            target = ast.unparse(node.targets[0])
            sums = [one for one in node.value.args if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Add)]
            found |= {target for one in sums if target in (ast.unparse(one.left), ast.unparse(one.right))}
    return found


def windows(tree: ast.Module) -> set[str]:
    """Times that `now - time` is compared with a length, and that are set to `now` there or right after."""
    found = set()
    for block in (body for node in ast.walk(tree) for body in (getattr(node, "body", []), getattr(node, "orelse", []))):
        for place, node in enumerate(block if isinstance(block, list) else []):
            if not isinstance(node, ast.If):
                continue
            ages = [one for one in ast.walk(node.test) if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Sub)]
            times = {ast.unparse(one.right) for one in ages if ast.unparse(one.left) == "now"}
            following = [one for one in (*node.body, *block[place + 1 : place + 2]) if isinstance(one, ast.Assign)]
            found |= times & {ast.unparse(target) for one in following for target in one.targets}
    return found


def made_by_hand() -> set[str]:
    """Module and variable of every bucket and window."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {f"{path.relative_to(SOURCE)} {name}" for name in refills(tree) | windows(tree)}
    return found


def test_buckets_and_windows_are_defined_once() -> None:
    found = made_by_hand()
    own = {one for one in found if one.startswith(RATE)}
    assert own == {f"{RATE} self._tokens", f"{RATE} self._began_at"}, "the patterns find what they are written for"
    assert found - own - set(OTHERWISE) == set(), "use hognose.base.rate"
    assert set(OTHERWISE) - found == set(), "rows of what is gone"


def test_the_table_lists_every_user() -> None:
    rows = dict(
        re.findall(
            r"^\| ([\w/]+) \|.*\| (\w+Bucket|\w+Window(?:, \w+Window)*)\b[^|]*\|$", rate.__doc__ or "", re.MULTILINE
        )
    )
    users = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "hognose.base.rate":
                users[str(path.relative_to(SOURCE).with_suffix(""))] = ", ".join(one.name for one in node.names)
    assert rows == users
