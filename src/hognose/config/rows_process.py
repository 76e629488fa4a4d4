"""Rows of the directive table: process, log, scripts, management, commands."""

from __future__ import annotations

from hognose.config.rows import CERTIFICATES_DECIDE, Row, honour, ignore, number, reject

_NO_USERS = "this program is alone in its machine; there are no users to change to"
_NO_DISK = "there is no disk to write to"
_NO_SCRIPT = "no script is ever run"
_NO_RESTART = "there is no restart to persist over"
_LOG_CONSOLE = "the log is the console"
_NO_MANAGEMENT = (
    "there is no management interface; remove the line (`status` writes the list of clients to the console)"
)
_COMMAND = "this is a command of openvpn, no line of a config; remove the line"

PROCESS: dict[str, Row] = {
    "status": honour("list of clients every SECONDS (60); the file is not written, it goes to the console", 1, 2),
    "status-version": number("format of the list, `1`, `2` or `3`", (1, 3)),
    "ignore-unknown-option": honour(
        "directives that OpenVPN does not know are ignored when named here", 1, 15, repeatable=True
    ),
    "setenv": honour(
        "`setenv opt DIRECTIVE …` is DIRECTIVE, ignored if unknown; `setenv FORWARD_COMPATIBLE 1` ignores all unknown "
        "ones; others are ignored, no script is ever run",
        0,
        15,
        repeatable=True,
    ),
    "setenv-safe": ignore(_NO_SCRIPT),
    "script-security": ignore(_NO_SCRIPT),
    "tmp-dir": ignore(_NO_DISK),
    "persist-key": ignore(_NO_RESTART),
    "persist-tun": ignore(_NO_RESTART),
    "persist-local-ip": ignore(_NO_RESTART),
    "user": ignore(_NO_USERS),
    "group": ignore(_NO_USERS),
    "chroot": ignore(_NO_USERS),
    "setcon": ignore(_NO_USERS),
    "cd": ignore("paths are relative to the config file"),
    "daemon": ignore("always in the foreground"),
    "nice": ignore(_NO_USERS),
    "mlock": ignore("nothing is ever swapped"),
    "log": ignore(_LOG_CONSOLE),
    "log-append": ignore(_LOG_CONSOLE),
    "syslog": ignore(_LOG_CONSOLE),
    "writepid": ignore(_NO_DISK),
    "memstats": ignore(_NO_DISK),
    "verb": ignore("the boot argument -l sets the log level"),
    "mute": ignore("log lines about peers are limited per second"),
    "suppress-timestamps": ignore(_LOG_CONSOLE),
    "machine-readable-output": ignore(_LOG_CONSOLE),
    "errors-to-stderr": ignore(_LOG_CONSOLE),
    "echo": ignore(_LOG_CONSOLE),
    "parameter": ignore(_NO_SCRIPT),
    "gremlin": reject("this is for tests of openvpn; remove the line"),
    "config": reject("a config is one text; write the lines of that file here"),
    "up": ignore(_NO_SCRIPT),
    "up-delay": ignore(_NO_SCRIPT),
    "up-restart": ignore(_NO_SCRIPT),
    "down": ignore(_NO_SCRIPT),
    "down-pre": ignore(_NO_SCRIPT),
    "ipchange": ignore(_NO_SCRIPT),
    "route-up": ignore(_NO_SCRIPT),
    "route-pre-down": ignore(_NO_SCRIPT),
    "plugin": reject(
        f"nothing but this program runs in its machine, and passwords are not asked for; {CERTIFICATES_DECIDE}"
    ),
    **{
        name: reject(_NO_MANAGEMENT)
        for name in (
            "management",
            "management-client",
            "management-client-group",
            "management-client-user",
            "management-forget-disconnect",
            "management-hold",
            "management-log-cache",
            "management-query-passwords",
            "management-query-proxy",
            "management-query-remote",
            "management-signal",
            "management-up-down",
        )
    },
    "management-client-auth": reject(
        f"there is no management interface, and passwords are not asked for; {CERTIFICATES_DECIDE}"
    ),
    "management-external-cert": reject("there is no management interface; write `cert server.crt`"),
    "management-external-key": reject("there is no management interface; write `key server.key`"),
    **{
        name: reject(_COMMAND)
        for name in (
            "genkey",
            "help",
            "mktun",
            "rmtun",
            "show-ciphers",
            "show-curves",
            "show-digests",
            "show-engines",
            "show-gateway",
            "show-groups",
            "show-pkcs11-ids",
            "show-tls",
            "version",
        )
    },
}
