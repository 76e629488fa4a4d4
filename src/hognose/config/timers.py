"""Pings, time-outs of clients, and the times of key negotiations."""

from __future__ import annotations

from hognose.config.collected import Collected
from hognose.config.model import Warned
from hognose.config.rows import INT_MAX
from hognose.settings import LivenessSettings, RenegotiationSettings, StatusSettings


def keepalive(lines: Collected) -> tuple[int, int, int]:
    """(ping, the server's own time-out, ping-restart to push) as OpenVPN's helper_keepalive has them.

    ConfigError for a number out of range, and for a restart less than twice the ping.
    """
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


def liveness(lines: Collected) -> LivenessSettings:
    """Pings, and the time-outs of clients. ConfigError for a number out of range."""
    ping, ping_timeout, restart = keepalive(lines)
    return lines.filled(LivenessSettings(ping, ping_timeout, restart))


def renegotiation(lines: Collected) -> RenegotiationSettings:
    """The times and amounts of reneg-sec, reneg-bytes and reneg-pkts. ConfigError when the least is above the most."""
    found = lines.filled(RenegotiationSettings())
    directive, most, least = lines.get("reneg-sec"), found.reneg_s, found.reneg_min_s
    if directive is not None and least > most:
        raise lines.error(directive, f"the second number is the least; write `reneg-sec {least} {most}`")
    return found


def status(lines: Collected) -> StatusSettings:
    """The list of clients on the console. `status FILE` alone means every 60 seconds.

    ConfigError for a number out of range.
    """
    interval = lines.number("status", 60, 0, INT_MAX, at=1) if "status" in lines else 0
    return lines.filled(StatusSettings(interval))


def frequency(lines: Collected, name: str) -> tuple[int, int]:
    """(number, seconds) of connect-freq and its like; (0, 0) without it. ConfigError for a number out of range."""
    if name not in lines:
        return 0, 0
    return lines.number(name, 1, 1, INT_MAX), lines.number(name, 1, 1, INT_MAX, at=1)


def exit_notify(lines: Collected) -> int:
    """Of explicit-exit-notify: 1 also for one without a number (OpenVPN options.c), 0 without it."""
    return lines.number("explicit-exit-notify", 1, 0, 2) if "explicit-exit-notify" in lines else 0
