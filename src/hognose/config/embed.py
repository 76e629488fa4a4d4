"""A config with its files to one text without: what the block device carries (server.conf.full).

Only what must change does: a directive that names a file becomes an inline block, comments and the other lines stay.
The first and the last line are marks (blockfile.py) by which a text that was cut short or altered is refused; before
the last one stand lines of # that leave room for a longer config. The output is OpenVPN's own language, but
client-config-dir and ifconfig-pool-persist, which openvpn itself reads from files only; embedding it again gives the
same bytes.
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
from hognose.units import KIB, UnixSeconds

SECTOR = 512  # the size of a block device is a multiple of it
BLOCK_SIZE = 64 * KIB
_PADDING_LINE = 78  # with its LF; any line of # alone at the end of a config is taken for padding


def embed(
    text: str,
    file: str,
    read_file: ReadFile,
    *,
    block_size: int = BLOCK_SIZE,
    device_size: int = 0,
    unix: UnixSeconds | None = None,
    read_folder: ReadFolder | None = None,
    allow_no_authentication: bool = False,
) -> tuple[str, list[Warned]]:
    """(embedded text, warnings); ConfigError when the server would not take the config.

    The text is block_size bytes long, doubled while it is more than three quarters full; at most blockfile.MAX_BYTES.
    With a device_size, a multiple of SECTOR, below that bound it is exactly so long. allow_no_authentication: the
    server will be started with `--really-no-authentication`.
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
    body = _body(lines)
    padded = _padded(body, _size(len(body.encode()), block_size, device_size, file))
    if parse(padded, file, allow_no_authentication=allow_no_authentication)[0] != parsed:
        raise ConfigError("the embedded text would not mean the same: a bug of this tool", file=file)
    return padded, warned


def _embedded(directive: Directive, files: Collected) -> list[str] | None:
    """The lines that stand for a directive with a file or a block; None: its own lines may stay."""
    name, words, block = directive.name, directive.words, directive.block
    if name == "dh":
        return ["dh none"]  # OpenVPN wants this directive; its file is of no use here
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


def _body(lines: list[str]) -> str:
    """The text without its old marks and padding."""
    return "".join(line + "\n" for line in blockfile.without_padding(blockfile.unmarked(lines)))


def _size(body: int, block_size: int, device_size: int, file: str) -> int:
    """Bytes of the whole text with a body of that many; ConfigError when it is too large."""
    if 0 < device_size < blockfile.MAX_BYTES:
        needed = body + blockfile.marks_bytes(device_size)
        if needed > device_size:
            how = "stop the machine and write the config to a larger device, or take lines out"
            raise ConfigError(f"the device has {device_size} bytes, the config {needed}; {how}", file=file)
        return device_size
    size = block_size
    while 4 * (body + blockfile.marks_bytes(size)) > 3 * size and size < blockfile.MAX_BYTES:
        size = min(2 * size, blockfile.MAX_BYTES)
    needed = body + blockfile.marks_bytes(size)
    if needed > blockfile.MAX_BYTES:
        raise ConfigError(f"{needed} bytes when embedded, larger than {blockfile.MAX_BYTES} bytes", file=file)
    return size


def _padded(body: str, size: int) -> str:
    """The body between its marks, with lines of # before the last one until the size is reached."""
    missing = size - blockfile.marks_bytes(size) - len(body.encode())
    full, rest = divmod(missing, _PADDING_LINE)
    padding = [_PADDING_LINE] * full + ([rest] if rest else [])
    return blockfile.marked(body + "".join("#" * (each - 1) + "\n" for each in padding), size)
