"""client-config-dir: the settings of single clients, from a directory or the block that the embed tool makes of it.

The block's body has sections: a line `[common name]`, then the lines of that file. `DEFAULT` is the file for all
clients without their own (OpenVPN multi.c, multi_client_connect_source_ccd).
Bounds: MAX_FILES files, MAX_NAME characters in a name; the lines' are the lexer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from hognose.address import Address, Prefix, address_text, parse_ipv4
from hognose.config.channels import check_push
from hognose.config.collected import Collected
from hognose.config.directives import DIRECTIVES
from hognose.config.lexer import Directive, lex, split_lines
from hognose.config.network import is_for_clients
from hognose.config.pushed import PushedOption
from hognose.errors import ConfigError
from hognose.settings import ClientSettings
from hognose.vocabulary import ALL_OTHERS, Compression

MAX_FILES = 16_384
MAX_NAME = 255
_NO_NAME = "this name cannot be a client's"
_WORDS = {"ifconfig-push": (1, 3), "push": (1, 1), "push-reset": (0, 0), "push-remove": (1, 1), "disable": (0, 0)}
_ELSEWHERE = "is for all clients alike; write it in the server's config"


@dataclass(frozen=True, slots=True)
class _Section:
    """One file: its client, and where its first line is for messages."""

    name: str
    file: str
    first: int
    text: str


def client_settings(lines: Collected, tunnel: Prefix, framed: Compression) -> dict[str, ClientSettings]:
    """By common name. ConfigError names the file in the directory, or the line of the config in its block."""
    directive = lines.get("client-config-dir")
    if directive is None:
        if exclusive := lines.get("ccd-exclusive"):
            raise lines.error(exclusive, "there is no client-config-dir; write `client-config-dir ccd`")
        return {}
    clients: dict[str, ClientSettings] = {}
    owners: dict[Address, str] = {}
    for section in _sections(lines, directive):
        clients[section.name] = _Reader(lines, directive, section, tunnel, framed, owners).settings()
    return clients


def folder_block(lines: Collected, directive: Directive) -> list[str]:
    """The lines of the block that stands for a directory, without its tags. ConfigError as of `client_settings`."""
    body: list[str] = []
    for section in _sections(lines, directive):
        body += [f"[{section.name}]", *split_lines(section.text)]
    return body


def _sections(lines: Collected, directive: Directive) -> Iterator[_Section]:
    if directive.block is not None:
        yield from _block_sections(lines, directive)
        return
    files = lines.folder(directive)
    if len(files) > MAX_FILES:
        raise lines.error(directive, f"more than {MAX_FILES} files")
    for name, text in sorted(files.items()):
        file = f"{directive.words[0].rstrip('/')}/{name}"
        if not _is_name(name):
            raise ConfigError(_NO_NAME, file=file, directive=directive.name)
        for number, line in enumerate(split_lines(text), 1):
            if "\0" in line or line.lstrip().startswith(f"</{directive.name}>") or _heading(line) is not None:
                text = "cannot be embedded; remove the line"
                raise ConfigError(text, file=file, line=number, directive=directive.name)
        yield _Section(name, file, 1, text)


def _block_sections(lines: Collected, directive: Directive) -> Iterator[_Section]:
    assert directive.block is not None
    body = split_lines(directive.block)
    first = directive.line + 1
    starts = [index for index, line in enumerate(body) if _heading(line) is not None]
    if len(starts) > MAX_FILES:
        raise lines.error(directive, f"more than {MAX_FILES} clients")
    before = body[: starts[0]] if starts else body
    for index, line in enumerate(before):
        if line.strip() and line.lstrip()[0] not in "#;":
            text = "a line `[common name]` is needed before the first setting"
            raise ConfigError(text, file=lines.file, line=first + index, directive=directive.name)
    seen: set[str] = set()
    for start, end in pairwise([*starts, len(body)]):
        name = _heading(body[start]) or ""
        if not _is_name(name) or name in seen:
            text = "given twice" if name in seen else f"{_NO_NAME}{_no_file(name)}"
            raise ConfigError(text, file=lines.file, line=first + start, directive=directive.name)
        seen.add(name)
        yield _Section(name, lines.file, first + start + 1, "".join(line + "\n" for line in body[start + 1 : end]))


def _heading(line: str) -> str | None:
    """The name in a line `[name]`."""
    line = line.strip(" \t\r")
    return line[1:-1] if len(line) > 1 and line[0] == "[" and line[-1] == "]" else None


def _is_name(name: str) -> bool:
    """A name that a file can have and a certificate too; OpenVPN never looks for others (platform_gen_path)."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and name.strip() == name and not _no_file(name)


def _no_file(name: str) -> str:
    """The end of a sentence about a name with which a section would never be found; "" for others."""
    return ": no file can have it" if "/" in name or name in (".", "..") else ""


class _Reader:
    """One section to settings."""

    def __init__(
        self,
        lines: Collected,
        place: Directive,
        section: _Section,
        tunnel: Prefix,
        framed: Compression,
        owners: dict[Address, str],
    ) -> None:
        self._lines = lines
        self._place = place
        self._section = section
        self._tunnel = tunnel
        self._framed = framed
        self._owners = owners
        self._push: list[str] = []
        self._remove: list[str] = []
        self._reset = self._disable = False
        self._address: Address = b""

    def settings(self) -> ClientSettings:
        """The lines in order; push-reset and push-remove also act on this client's own pushes before them.

        ConfigError for a line that cannot stand in such a file.
        """
        section = self._section
        for directive in lex(section.text, section.file, section.first):
            self._take(directive)
        return ClientSettings(self._address, tuple(self._push), self._reset, tuple(self._remove), self._disable)

    def _take(self, directive: Directive) -> None:
        name, words = directive.name, directive.words
        bounds = _WORDS.get(name)
        if bounds is None or directive.block is not None:
            self._other(directive)
            return
        if not bounds[0] <= len(words) <= bounds[1]:
            raise self._error(directive, f"takes {bounds[0]} to {bounds[1]} word(s), {len(words)} given")
        if name == "disable":
            self._disable = True
        elif name == "push-reset":
            self._reset = True
            self._push.clear()
        elif name == "push-remove":
            self._remove.append(words[0])
            self._push = [option for option in self._push if not option.startswith(words[0])]
        elif name == "push":
            try:
                check_push(words[0], self._framed)
            except ValueError as error:
                raise self._error(directive, str(error)) from None
            self._push.append(words[0])
            self._lines.pushed.append(PushedOption(words[0], self._section.file, directive.line))
        else:
            self._fix_address(directive)

    def _fix_address(self, directive: Directive) -> None:
        """ifconfig-push ADDRESS [NETMASK [ALIAS]]; the alias of OpenVPN, another NAT in front, is refused."""
        tunnel, name = self._tunnel, self._section.name
        mask = address_text(tunnel.mask)
        example = f"ifconfig-push {address_text(tunnel.at(2))} {mask}"
        try:
            address = parse_ipv4(directive.words[0])
        except ValueError:
            raise self._error(directive, f"`{directive.words[0]}` is no IPv4 address; write `{example}`") from None
        text = address_text(address)
        if not is_for_clients(tunnel, address):
            where = "is no client's address in the network of `server`"
            raise self._error(directive, f"{text} {where}; write for example `{example}`")
        if directive.words[1:] not in ((), (mask,)):
            better = f"ifconfig-push {text} {mask}"
            raise self._error(directive, f"only the netmask of `server` can follow; write `{better}`")
        if name == ALL_OTHERS:
            raise self._error(directive, "one address cannot serve many clients; write it in the client's own file")
        if self._address:
            raise self._error(directive, "given twice; keep one")
        owner = self._owners.setdefault(address, name)
        if owner != name:
            raise self._error(directive, f"{text} is already the address of {owner}; write another one")
        self._address = address

    def _other(self, directive: Directive) -> None:
        """Warn of a directive of OpenVPN that is ignored in such a file; ConfigError for any other one."""
        name = directive.name
        row = DIRECTIVES.get(name)
        if directive.block is not None:
            raise self._error(directive, "no blocks here; remove it")
        if row is None:
            raise self._error(directive, "no directive of OpenVPN")
        if row.verdict == "ignore" or name == "setenv":
            text = row.text if row.verdict == "ignore" else "no script is ever run"
            where = f"{self._section.file}:{directive.line}: {name}: ignored: {text}"
            self._lines.warn(self._place, where)
            return
        raise self._error(directive, row.text if row.verdict == "reject" else _ELSEWHERE)

    def _error(self, directive: Directive, message: str) -> ConfigError:
        return ConfigError(message, file=self._section.file, line=directive.line, directive=directive.name)
