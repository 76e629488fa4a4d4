"""Rows of the directive table: clients, what they are sent, timers, passwords."""

from __future__ import annotations

from hognose.config.rows import BYTES_MAX, CERTIFICATES_DECIDE, INT_MAX, Row, flag, honour, ignore, number, reject

_NO_SCRIPT = "no script is ever run; remove the line"
_IN_CCD = "this is for one client; write it in a file of `client-config-dir`"
_NO_PASSWORDS = f"not yet: passwords are not asked for; {CERTIFICATES_DECIDE}"

CLIENTS: dict[str, Row] = {
    "push": honour("an option for every client; a route must lead to what clients may reach", 1, 1, repeatable=True),
    "client-to-client": flag("clients may reach each other"),
    "duplicate-cn": flag("several sessions with one certificate"),
    "max-clients": number("authenticated clients at most", (1, 65_536)),
    "client-config-dir": honour(
        "directory with a file for each common name, or `DEFAULT`: ifconfig-push, push, push-reset, push-remove, "
        "disable; embedded as one block",
        1,
        1,
        block=True,
    ),
    "ccd-exclusive": flag("only clients with a file of their own in client-config-dir are let in"),
    "ifconfig-push": reject(_IN_CCD),
    "push-reset": reject(_IN_CCD),
    "push-remove": reject(_IN_CCD),
    "disable": reject(_IN_CCD),
    "iroute": reject("clients are hosts behind NAT, there are no networks behind them; remove the line"),
    "iroute-ipv6": reject("the tunnel carries IPv4 only; remove the line"),
    "client-connect": reject(
        "no script is ever run; write `client-config-dir ccd` for settings of single clients, and `ccd-exclusive` "
        "too when it let in some only"
    ),
    "client-disconnect": reject(_NO_SCRIPT),
    "client-crresponse": reject(f"no script is ever run, passwords are not asked for; {CERTIFICATES_DECIDE}"),
    "learn-address": reject(
        "no script is ever run; write `client-config-dir ccd` with `disable` in the files of clients that it refused"
    ),
    # timers
    "keepalive": honour("ping after the first, client restart after the second number of seconds", 2, 2),
    "ping": honour("seconds of silence after which a ping is sent; pushed", 1, 1),
    "ping-restart": honour("seconds without a packet after which a client is dropped; half of it is pushed", 1, 1),
    "ping-exit": honour("as `ping-restart`, nothing is pushed", 1, 1),
    "ping-timer-rem": honour("always so", 0, 0),
    "inactive": number(
        "seconds after which a client is dropped that moved less than the second number of bytes",
        (0, INT_MAX),
        (0, BYTES_MAX),
    ),
    "session-timeout": number("seconds after which every client is dropped", (0, INT_MAX)),
    "remap-usr1": ignore("there are no signals"),
    # passwords
    "auth-user-pass-verify": reject(_NO_PASSWORDS),
    "auth-user-pass-optional": ignore("passwords are never asked for"),
    "auth-user-pass": reject("this is a client's directive; remove the line"),
    "auth-gen-token": reject(_NO_PASSWORDS),
    "auth-gen-token-secret": reject(_NO_PASSWORDS),
    "auth-token": reject("the server would choose it; remove the line"),
    "auth-token-user": reject("the server would choose it; remove the line"),
    "override-username": reject(_NO_PASSWORDS),
    "username-as-common-name": ignore("passwords are not asked for; the certificate's common name is used"),
    "auth-nocache": ignore("nothing is cached"),
}
