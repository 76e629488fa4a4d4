"""docs/compatibility.md from the recorded results."""

from __future__ import annotations

from tests.compat.cells import CIPHERS, RELEASES, TRANSPORTS, WRAPS, Cell, all_cells
from tests.compat.results import FAILED, PASSED, Result

HEAD = """# Compatible clients

Written by `python -m tests.compat.matrix`, by hand and as root; every cell is a run of a real client against the hosted
server (on the host recipe of the README), kept with its time. In each run the client connects, pings the server and a
host beyond the NAT, moves 8 MiB each way (compared by SHA-256), keeps a ping and transfers going without a loss while
keys are renegotiated twice (from the client in a quarter of the cells), is killed, and connects again. Transport, wrap,
cipher, TLS version, key source and data format must be the expected ones in the logs of both sides.

The clients are Debian's packages; its mirrors no longer have OpenVPN 2.4, which is not tried. CI runs a subset
(`make compat`): every two of release, transport, wrap and cipher meet in it. Three cells are also run in the VM and as
a guest of solo5-hvt, and there a client over UDP moves 8 MiB each way, goes on from another port and address,
renegotiates and says goodbye (`tests/vm/test_machines.py`).

Clients of all three releases also leave with and without a goodbye over UDP, come back after a restart of the server,
go to their next remote when it drains them, and move bytes through a link that loses, repeats and reorders; how long
that takes is in [dev/test-records.md](dev/test-records.md).
"""
TITLES = {"udp": "UDP", "tcp": "TCP"}


def render(results: dict[str, Result]) -> str:
    """The whole document."""
    parts = [HEAD]
    for release in RELEASES:
        parts.append(_release(release, results))
    return "\n".join(parts)


def _release(release: str, results: dict[str, Result]) -> str:
    mine = {cell.name: results[cell.name] for cell in all_cells() if cell.release == release and cell.name in results}
    program = next((result.client for result in mine.values() if result.client), "")
    lines = [f"## OpenVPN {release}", ""]
    if not program:
        reasons = sorted({result.reason for result in mine.values()}) or ["not run"]
        return "\n".join([*lines, f"Not available: {'; '.join(reasons)}", ""])
    lines += [f"Client {program}.", ""]
    for transport in TRANSPORTS:
        lines += [f"### {release} over {TITLES[transport]}", "", _runs(release, transport, mine), ""]
        lines += [f"| wrap | {' | '.join(CIPHERS)} |", f"|---|{'---|' * len(CIPHERS)}"]
        for wrap in WRAPS:
            words = [_words(Cell(release, transport, wrap, cipher), mine) for cipher in CIPHERS]
            lines.append(f"| {wrap} | {' | '.join(words)} |")
        lines.append("")
    failures = [f"- {name}: {result.reason}" for name, result in mine.items() if result.outcome == FAILED]
    return "\n".join([*lines, *failures, *([""] if failures else [])])


def _runs(release: str, transport: str, results: dict[str, Result]) -> str:
    """Cells, and the time of their runs, by the commit of the server, the newest first."""
    times: dict[str, list[str]] = {}
    for cell in all_cells():
        if (cell.release, cell.transport) == (release, transport) and cell.name in results:
            times.setdefault(results[cell.name].server, []).append(results[cell.name].when)
    newest = sorted(times, key=lambda server: max(times[server]), reverse=True)
    runs = [f"{len(times[s])} cells from {min(times[s])} to {max(times[s])} UTC at commit {s}" for s in newest]
    return f"{'; '.join(runs) or 'None was run'}."


def _words(cell: Cell, results: dict[str, Result]) -> str:
    result = results.get(cell.name)
    if result is None:
        return "not run"
    if result.outcome != PASSED:
        return f"**{result.outcome}**"
    how = [cell.tls.removeprefix("TLSv"), cell.key_source]
    if cell.epoch:
        how.append("epoch")
    if cell.cipher.endswith("-CBC"):
        how.append(f"HMAC-{cell.digest}")
    return f"passed: TLS {', '.join(how)}"
