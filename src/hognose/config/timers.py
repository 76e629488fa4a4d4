"""Pings, time-outs of clients, and the times of key negotiations."""

from __future__ import annotations

from hognose.config.collected import INT_MAX, Collected
from hognose.config.model import Warned

_BYTES_MAX = (1 << 63) - 1


def keepalive(lines: Collected) -> tuple[int, int, int]:
    """(ping, the server's own time-out, ping-restart to push) as OpenVPN's helper_keepalive has them."""
    both = lines.get("keepalive")
    if both is None:
        return _ping_alone(lines)
    ping, restart = (lines.word_number(both, word, 1, 43_200) for word in both.words)
    if restart < 2 * ping:
        better = f"keepalive {ping} {ping * 6}"
        raise lines.error(both, f"the second number must be at least twice the first; write `{better}`")
    return ping, 2 * restart, restart


def _ping_alone(lines: Collected) -> tuple[int, int, int]:
    """As keepalive, from ping and ping-restart: they are this side's; the ping is pushed all the same.

    Half of ping-restart is pushed, as the reference server does, whose embed tool writes keepalive so; unless that is
    no longer than a ping, or the config pushes one itself.
    """
    ping = lines.number("ping", 0, 0, 86_400)
    name = "ping-restart" if "ping-restart" in lines else "ping-exit"
    restart = lines.number(name, 0, 0, 86_400)
    directive = lines.get(name)
    if not restart or directive is None:
        text = "absent: clients that vanish are noticed late; write `keepalive 10 60`"
        lines.warned.append(Warned(0, "keepalive", text))
    elif not ping:
        lines.warn(directive, "idle clients will be dropped; write `keepalive 10 60`")
    pushed = any(
        each.words[0].split(maxsplit=1)[:1] in (["ping-restart"], ["ping-exit"]) for each in lines.every("push")
    )
    half = restart // 2
    return ping, restart, half if ping and name == "ping-restart" and half > ping and not pushed else 0


def renegotiation(lines: Collected) -> tuple[int, int, int, int]:
    """(reneg-sec, its least, reneg-bytes, reneg-pkts); a least of 0 means nine tenths of reneg-sec."""
    most = lines.number("reneg-sec", 3600, 0, INT_MAX)
    least = lines.number("reneg-sec", 0, 0, INT_MAX, at=1)
    directive = lines.get("reneg-sec")
    if directive is not None and least > most:
        raise lines.error(directive, f"the second number is the least; write `reneg-sec {least} {most}`")
    return most, least, lines.number("reneg-bytes", 0, 0, _BYTES_MAX), lines.number("reneg-pkts", 0, 0, _BYTES_MAX)


def inactivity(lines: Collected) -> tuple[int, int]:
    """(seconds, bytes) of inactive."""
    return lines.number("inactive", 0, 0, INT_MAX), lines.number("inactive", 0, 0, _BYTES_MAX, at=1)


def status(lines: Collected) -> tuple[int, int]:
    """(seconds between status lines, their version); seconds 0: none. `status FILE` alone means 60."""
    interval = lines.number("status", 60, 0, INT_MAX, at=1) if "status" in lines else 0
    return interval, lines.number("status-version", 1, 1, 3)


def connect_freq(lines: Collected) -> tuple[int, int]:
    """(connections, seconds) of connect-freq; (0, 0) without it."""
    if "connect-freq" not in lines:
        return 0, 0
    return lines.number("connect-freq", 1, 1, INT_MAX), lines.number("connect-freq", 1, 1, INT_MAX, at=1)
