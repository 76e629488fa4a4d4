"""Unit tests of tests/affected.py: which tests a change asks for."""

from __future__ import annotations

import subprocess

import pytest
from tests.affected import ALL, REPO, RULES, fnmatch, stages, unit_folders


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["src/hognose/nat/nat.py"], ["cli", "device", "gateway", "host", "nat", "router", "vpn"]),
        (["src/hognose/vpn/handshake_scheduler.py"], ["cli", "device", "gateway", "host", "vpn"]),
        (["src/hognose/cli/init.py"], ["cli"]),
        (["src/hognose/host/loop.py", "docs/dev/nat.md"], ["cli", "host"]),
        (["tests/unit/tcp/test_send.py", "src/hognose/cli/main.py"], ["cli", "tcp"]),
        (["docs/dev/nat.md", "image/build.py"], []),
    ],
)
def test_folders_of_what_changed_and_of_the_floors_above(paths: list[str], folders: list[str]) -> None:
    assert unit_folders(paths) == [f"tests/unit/{name}" for name in folders]


@pytest.mark.parametrize(
    "path",
    ["src/hognose/limits.py", "src/hognose/new.py", "tests/unit/test_values.py", "tests/conftest.py", "Makefile"],
)
def test_the_ground_floor_and_what_is_not_known_ask_for_all(path: str) -> None:
    assert unit_folders(["docs/dev/nat.md", path]) == ["tests/unit"]


def test_wire_is_below_all_engines() -> None:
    folders = unit_folders(["src/hognose/wire/tcp.py"])
    assert {f"tests/unit/{name}" for name in ("wire", "ip", "tcp", "openvpn", "nat", "config", "gateway")} <= {*folders}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], []),
        (["docs/dev/nat.md"], ["check"]),
        (["docs/examples/full-tunnel/server.conf"], ["check", "interop", "machines"]),
        (["solo5/boot.S", "README.md"], ["check", "image", "packing", "machines"]),
        (["src/hognose/tcp/sack.py"], [*ALL]),
        (["tests/explore/shares.py"], ["check", "unit", "explore"]),
        (["a-file-that-no-rule-has"], [*ALL]),
    ],
)
def test_stages(paths: list[str], expected: list[str]) -> None:
    assert stages(paths) == expected


def test_every_rule_has_a_file() -> None:
    """A rule for a folder that has moved would let its files ask for everything, or for too little."""
    listed = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=True)
    files = listed.stdout.splitlines()
    assert [pattern for pattern, _ in RULES if not any(fnmatch(path, pattern) for path in files)] == []
