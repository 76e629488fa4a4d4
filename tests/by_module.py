"""The unit tests of a module: `make unit M=tcp.sender`, which calls `python -m tests.by_module tcp.sender`.

They are found in this order: by name (`test_MODULE.py`, `test_MODULE_*.py`, both also as `test_PACKAGE_MODULE...`, in
the folder of the module's package below tests/unit or above it), in TABLE, or else by imports. A file with two fitting
names belongs to the module with the longer one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.affected import REPO, floors

SOURCES = REPO / "src" / "hognose"
UNIT = REPO / "tests" / "unit"
ABOVE = {"cli", "host", "device"}  # floors 4 and 5 talk to the machine; all below them is held to the rule
# Modules whose tests have other names: last word of the module, then test files without `test_` and `.py`. Both are
# unique, so that a file can move without a change here.
TABLE: dict[str, tuple[str, ...]] = {
    "arrivals": ("gateway", "fault_containment"),
    "datagram_transport": ("datagrams", "datagrams_hostile", "datagrams_path_mtu"),
    "datagrams": ("used_proofs",),
    "initial_limits": ("look_time", "datagrams"),
    "proof": ("stateless_handshake",),
    "vpn_ports": ("gateway",),
    "admission": ("authentication", "client_policy", "fault_containment", "hostile_peers", "peer_bounds"),
    "aead": ("data_formats", "data_lengths", "data_vectors", "data_replay", "usage_limits", "keyring_state"),
    "arrival": ("segment_arrival", "unacceptable_segments", "tcp_time_limits", "any_segments"),
    "assemble": ("gateway",),
    "channels": ("config_parser",),
    "client_options": ("session_options", "control_vectors"),
    "closing": ("gateway", "fault_containment"),
    "collected": ("config_parser", "config_clients"),
    "connection": ("segment_arrival", "tcp_server"),
    "control_channel": ("session", "session_options", "session_state"),
    "cbc": ("data_formats", "data_lengths", "data_replay", "usage_limits", "keyring_state"),
    "context": ("tls", "tls_choices", "openssl_endpoint"),
    "crl": ("tls", "certificates"),
    "downlink": ("gateway", "exact_sizes", "fault_containment"),
    "drops": ("values",),
    "epoch": ("usage_limits", "data_lengths", "data_replay", "keyring_state"),
    "errors": ("values",),
    "events": ("values", "journal"),
    "flow_keys": ("nat", "nat_icmp_translation"),
    "info": ("sending", "receiving"),
    "inbound": ("nat", "nat_filtering", "nat_hairpin"),
    "keys": ("config_pki", "config_channels", "config_parser"),
    "keyring": ("data_formats", "data_epoch", "data_cbc"),
    "limits": ("values", "bounds_in_force"),
    "listener": ("handshake", "syn_cookies", "export", "tcp_time_limits"),
    "live": ("periodic_tasks",),
    "liveness": ("session_clocks",),
    "narrow_paths": ("path_mtu",),
    "network": ("config_parser",),
    "no_connection": ("handshake", "syn_cookies", "silent", "tcp_time_limits"),
    "openssl_binding": ("tls", "attacks_tls"),
    "openssl_endpoint": ("tls",),
    "outbound": ("nat_runs", "nat"),
    "packet_router": ("gateway",),
    "path": ("black_hole", "sending"),
    "payloads": ("data_formats", "attacks_data"),
    "peer_service": ("stages", "gateway", "peer_bounds"),
    "receiver": ("receiving",),
    "pki": ("config_parser",),
    "records": ("data_formats", "keyring_state"),
    "recovery": ("loss_recovery", "rack_tlp", "spurious_time_outs"),
    "renegotiation": ("session_clocks", "session_options"),
    "rewrite": ("nat",),
    "rows": ("directives", "config_numbers", "config_advice"),
    "rows_clients": ("directives", "config_numbers", "config_parser"),
    "rows_network": ("directives", "config_numbers", "config_parser"),
    "rows_process": ("directives", "config_parser"),
    "rows_tls": ("directives", "config_numbers", "config_parser"),
    "sack": ("loss_recovery",),
    "send_timers": ("sending", "rack_tlp", "spurious_time_outs"),
    "sender": ("sending", "loss_recovery", "rack_tlp"),
    "session_wrap": ("control_vectors", "client_keys"),
    "table": ("nat_fairness", "nat_flow_timeouts"),
    "time_out": ("spurious_time_outs",),
    "time_wait": ("segment_arrival", "tcp_server"),
    "timers": ("config_numbers", "config_channels", "config_parser"),
    "tls_names": ("config_pki", "tls_choices"),
    "tracking": ("nat_flow_timeouts", "nat_time_limits"),
    "transport": ("streams",),
    "transport_table": ("datagrams", "datagrams_hostile"),
    "units": ("values",),
    "verify_errors": ("tls",),
}


def modules(sources: Path = SOURCES) -> dict[str, Path]:
    """Modules by their dotted name below the package; not `__init__` and `__main__`."""
    paths = [path for path in sorted(sources.rglob("*.py")) if not path.name.startswith("__")]
    return {".".join(path.relative_to(sources).with_suffix("").parts): path for path in paths}


def core() -> list[str]:
    """Modules of floors 0 to 3."""
    wanted = set.union(*(layer for layer in floors() if not layer & ABOVE))
    return [name for name in modules() if name.split(".")[0] in wanted]


def full_name(word: str, names: Iterable[str]) -> str:
    """The module for a dotted name or its last words; ValueError when there is none or more than one."""
    word = word.removeprefix("hognose.")
    found = [name for name in names if name == word] or [name for name in names if name.endswith(f".{word}")]
    if len(found) != 1:
        raise ValueError(f"{word}: {', '.join(found) or 'no such module in src/hognose'}")
    return found[0]


def owner(test: Path, names: Iterable[str], unit: Path = UNIT) -> str:
    """The module that a test file is named for, or nothing."""
    folder = ".".join(test.relative_to(unit).parent.parts)
    said = test.stem.removeprefix("test_")
    best, length = "", 0
    for name in names:
        package, _, stem = name.rpartition(".")
        if f"{package}.".startswith(f"{folder}." if folder else "") and (folder or not package):
            for word in (stem, *(f"{part}_{stem}" for part in package.split(".") if part)):
                if f"{said}_".startswith(f"{word}_") and len(word) > length:
                    best, length = name, len(word)
    return best


@cache
def imported(path: Path) -> set[str]:
    """Every name that a file imports, with those inside functions; `from a import b` is both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


@cache
def _test_files() -> list[Path]:
    return sorted(UNIT.rglob("test_*.py"))


@cache
def _owners() -> dict[Path, str]:
    names = list(modules())
    return {path: owner(path, names) for path in _test_files()}


def named(stem: str) -> Path:
    """The one test file `test_STEM.py`; ValueError when there is none or more than one."""
    found = [path for path in _test_files() if path.name == f"test_{stem}.py"]
    if len(found) != 1:
        raise ValueError(f"tests/by_module.py: {len(found)} files are called test_{stem}.py")
    return found[0]


def unit_tests(name: str) -> list[Path]:
    """Test files of a module, those with its name first; nothing when it has none."""
    own = [path for path, module in _owners().items() if module == name]
    listed = [named(stem) for stem in TABLE.get(name.rpartition(".")[2], ())]
    if own or listed:
        return list(dict.fromkeys([*own, *listed]))
    importing = [path for path in _test_files() if f"hognose.{name}" in imported(path)]
    near = [path for path in importing if path.parent.relative_to(UNIT).parts[:1] == tuple(name.split(".")[:-1][:1])]
    return near or importing


def main(words: list[str]) -> int:
    try:
        files = unit_tests(full_name(words[0], modules()))
        if not files:
            raise ValueError(f"{words[0]} has no tests by name or by import: give it some, or a line in the table")
    except (ValueError, IndexError) as error:
        print(f"tests.by_module: {error}", file=sys.stderr)
        return 1
    print(*(path.relative_to(REPO) for path in files))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
