"""The manifest note as assembler data: make_manifest.py manifest.json > manifest.inc

The structure of hvt.h: version, number of entries, a reserved first entry, then the devices with everything at zero
that the tender fills in. The content is aligned to 8 bytes after the note's 20-byte header, and those 4 bytes count.
"""

import json
import struct
import sys

TYPES = {"BLOCK_BASIC": 1, "NET_BASIC": 2}
RESERVED_FIRST = 1 << 30
NAME_MAX = 67


def entry(name: str, kind: int) -> bytes:
    """104 bytes."""
    return struct.pack("<68sI16sQB7x", name.encode(), kind, b"", 0, 0)


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        manifest = json.load(file)
    if manifest["type"] != "solo5.manifest" or manifest["version"] != 1:
        sys.exit(f"{path}: not a Solo5 manifest of version 1")
    entries = [entry("", RESERVED_FIRST)]
    for device in manifest["devices"]:
        name = device["name"]
        if not (name.isascii() and name.isalnum() and len(name) <= NAME_MAX):
            sys.exit(f"{path}: {name!r} is no device name")
        entries.append(entry(name, TYPES[device["type"]]))
    content = bytes(4) + struct.pack("<II", 1, len(entries)) + b"".join(entries)
    note = struct.pack("<III8s", 6, len(content), 0x3154464D, b"Solo5") + content
    for at in range(0, len(note), 16):
        print("    .byte " + ", ".join(str(byte) for byte in note[at : at + 16]))


main(sys.argv[1])
