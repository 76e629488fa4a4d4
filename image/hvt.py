"""The .hvt file: the linked nano-kernel with the initramfs content appended as its last segment (solo5/layout.ld).

The archive in it is what the Linux image's initramfs holds, not compressed, with the content of every file on a page
boundary so that read-only pages of the program can be mapped where they lie.
"""

from __future__ import annotations

import struct

PAGE = 4096
PT_LOAD = 1
PAYLOAD_ADDRESS = 0x400000
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_NEWC_HEADER_LEN = 110


def join(kernel: bytes, archive: bytes) -> bytes:
    """The file for the tender. ValueError when `kernel` has no segment for the payload."""
    fields = list(_HEADER.unpack_from(kernel))
    phoff, phnum = fields[5], fields[10]
    fields[6], fields[11], fields[12], fields[13] = 0, 0, 0, 0  # no section headers
    offset = -(-len(kernel) // PAGE) * PAGE
    out = bytearray(kernel + bytes(offset - len(kernel)) + archive)
    _HEADER.pack_into(out, 0, *fields)
    for number in range(phnum):
        at = phoff + number * _SEGMENT.size
        kind, flags, _, vaddr, paddr, _, _, align = _SEGMENT.unpack_from(kernel, at)
        if kind == PT_LOAD and vaddr == PAYLOAD_ADDRESS:
            size = len(archive)
            _SEGMENT.pack_into(out, at, kind, flags, offset, vaddr, paddr, size, size, align)
            return bytes(out)
    raise ValueError("the nano-kernel has no segment for the payload")


def archive(entries: list[tuple[str, int, bytes]]) -> bytes:
    """A newc archive: owner 0, date 0, in the order given; names are padded so that contents begin on pages."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        encoded = name.encode() + b"\0"
        if data:
            encoded += bytes(-(len(out) + _NEWC_HEADER_LEN + len(encoded)) % PAGE)
        links = 2 if mode & 0o040000 else 1
        fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        out += bytes(-len(out) % 4)
        out += data + bytes(-len(data) % 4)
    return bytes(out)
