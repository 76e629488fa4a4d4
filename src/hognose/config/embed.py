"""A config with its files to one text without: what the block device carries (server.conf.full).

Only what must change does: a directive that names a file becomes an inline block, comments and the other lines stay.
The first line is the digest of the others (blockfile.py), the last ones are padding to whole blocks. The output is
OpenVPN's own language, but client-config-dir and ifconfig-pool-persist, which openvpn itself reads from files only;
embedding it again gives the same bytes.
"""

from __future__ import annotations

from hognose.config import blockfile
from hognose.config.clients import folder_block
from hognose.config.collected import Collected, ReadFile, ReadFolder, resolve
from hognose.config.directives import DIRECTIVES
from hognose.config.lexer import Directive, lex, split_lines
from hognose.config.model import Warned
from hognose.config.parser import parse
from hognose.errors import ConfigError
from hognose.units import UnixSeconds

BLOCK_SIZE = 512
MAX_BLOCK_SIZE = 65_536
_PADDING_LINE = 78  # with its LF; any line of # alone at the end of a config is taken for padding


def embed(
    text: str,
    file: str,
    read_file: ReadFile,
    *,
    block_size: int = BLOCK_SIZE,
    unix: UnixSeconds | None = None,
    read_folder: ReadFolder | None = None,
    allow_no_authentication: bool = False,
) -> tuple[str, list[Warned]]:
    """(embedded text, warnings); ConfigError when the server would not take the config.

    allow_no_authentication: the server will be started with `--really-no-authentication`.
    """
    parsed, warned = parse(
        text, file, read_file, unix, read_folder=read_folder, allow_no_authentication=allow_no_authentication
    )
    files = Collected(file, read_file, read_folder)
    lines = split_lines(text)
    for directive in reversed(resolve(lex(text, file))):
        if directive.head:
            lines[directive.head - 1] = ""
        replacement = _embedded(directive, files)
        if replacement is not None:
            first = directive.head if directive.head == directive.line - 1 else directive.line
            lines[first - 1 : directive.last_line] = replacement
    padded = _padded(lines, block_size)
    if len(padded.encode()) > blockfile.MAX_BYTES:
        raise ConfigError(f"larger than {blockfile.MAX_BYTES} bytes when embedded", file=file)
    if parse(padded, file, allow_no_authentication=allow_no_authentication)[0] != parsed:
        raise ConfigError("the embedded text would not mean the same: a bug of this tool", file=file)
    return padded, warned


def _embedded(directive: Directive, files: Collected) -> list[str] | None:
    """The lines that stand for a directive with a file or a block; None: its own lines may stay."""
    name, words, block = directive.name, directive.words, directive.block
    if name == "dh":
        return ["dh none"]  # OpenVPN wants this directive; what its file says is of no use here
    row = DIRECTIVES.get(name)
    if name == "client-config-dir":
        if block is None:
            return [f"<{name}>", *folder_block(files, directive), f"</{name}>"]
        return [f"<{name}>", *split_lines(block), f"</{name}>"] if directive.head else None
    if row is None or not row.block:
        return None
    if block is None:
        if not row.file or (name == "ifconfig-pool-persist" and files.is_absent(directive)):
            return None
        words = words[1:]
    elif not directive.head:
        return None
    body = split_lines(files.text(directive))
    head = []
    if words:
        head = [f"key-direction {words[0]}" if name == "tls-auth" else f"{name} [inline] {' '.join(words)}"]
    return [*head, f"<{name}>", *body, f"</{name}>"]


def _padded(lines: list[str], block_size: int) -> str:
    """The text behind its generation line, with lines of # until its size is a multiple of the block size.

    An old generation line and old padding are replaced.
    """
    if lines and lines[0].startswith(blockfile.GENERATION):
        lines = lines[1:]
    end = len(lines)
    while end and not lines[end - 1].strip("#"):
        end -= 1
    text = "".join(line + "\n" for line in lines[:end])
    missing = -(len(blockfile.generation_line("")) + len(text.encode())) % block_size
    full, rest = divmod(missing, _PADDING_LINE)
    padding = [_PADDING_LINE] * full + ([rest] if rest else [])
    text += "".join("#" * (size - 1) + "\n" for size in padding)
    return blockfile.generation_line(text) + text
