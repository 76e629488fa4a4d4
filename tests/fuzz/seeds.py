"""Seeds of the corpora, from the vectors and the builders of the unit tests: `python -m tests.fuzz.seeds FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.fuzz.reader import piece
from tests.unit.config.config_samples import config_text
from tests.unit.openvpn.client import OPTIONS, PEER_INFO

VECTORS = Path(__file__).resolve().parents[1] / "vectors"


# Lengths of 0, 1, one too few and one too many, beyond the end, after the end, twice.
TCP_OPTIONS = (
    "0002020405b4", "000204", "0204", "02", "020005b4", "020105b4", "020305b401", "020505b40001", "020405b4020404b0",
    "0100020405b4", "01010101", "03", "0302", "030307", "03030f", "030407aa", "0303", "0402", "040300", "0502",
    "0506000000010101", "050b0000000100000009ff", "05120000000100000009000000100000001901", "080a0000000100000002",
    "080b000000010000000200", "080900000001000000", "0909", "fe0401020303070101", "fd0002", "0201",
    "01020405b401030306", "0000030307", "050a00000001000000090502",
)  # fmt: skip
IP_OPTIONS = (
    "83040000",
    "89030001",
    "01018300",
    "00830000",
    "07030001",
    "07000000",
    "07050000",
    "94040000",
    "01010107",
)
# choice, size, payload, word: see packet_targets.ip_fragments
NO_PACKET = piece(b"") + bytes(2)
FRAGMENTS = (
    "0101" + "aa" * 8 + "2000" + "0101" + "bb" * 8 + "0001",  # two pieces
    "0101" + "aa" * 8 + "0001" + "0101" + "bb" * 8 + "2000",  # the last one first
    "0101" + "aa" * 8 + "2000" + "0101" + "aa" * 8 + "2000" + "0101" + "bb" * 8 + "0001",  # one twice
    "0101" + "aa" * 8 + "2000" + "0101" + "bb" * 8 + "2000" + "0101" + "bb" * 8 + "0001",  # another at its place
    "0102" + "aa" * 16 + "2000" + "0102" + "bb" * 16 + "0001",  # overlap
    "0101" + "aa" * 8 + "0003" + "0101" + "bb" * 8 + "2004",  # after the end
    "0101" + "aa" * 8 + "2004" + "0101" + "bb" * 8 + "0003",  # an end before what is there
    "0101" + "aa" * 8 + "0003" + "0101" + "bb" * 8 + "0005",  # two ends
    "0007" + "aa" * 7 + "2000", "0000" + "2000", "0000" + "c000", "0000" + "2002", "0000" + "0002",
    "0009" + "aa" * 9 + "2000", "0009" + "aa" * 9 + "2002", "0101" + "aa" * 8 + "1fff", "01ff" + "aa" * 2040 + "1f90",
    "0004" + "aa" * 4 + "0000", "0004" + "aa" * 4 + "4000", "0013" + "aa" * 19 + "8000", "0101" + "aa" * 8 + "a001",
    "0101" + "aa" * 8 + "a002", "0103" + "aa" * 24 + "a000" + "0101" + "bb" * 8 + "8003", "0001" + "aa" + "c000",
    "0101" + "aa" * 8 + "2000" + "7101" + "bb" * 8 + "2002" + "7101" + "cc" * 8 + "2004" + "7101" + "cc" * 8 + "0001",
)  # fmt: skip


def _fragment(at: int, more: bool, size: int) -> bytes:
    return b"\1" + bytes((size // 8,)) + bytes((at,)) * size + (at | more << 13).to_bytes(2, "big")


def _hex_strings(value: object) -> list[bytes]:
    """Every value of a JSON tree that is a long hex string."""
    if isinstance(value, dict):
        return [found for part in value.values() for found in _hex_strings(part)]
    if isinstance(value, list):
        return [found for part in value for found in _hex_strings(part)]
    if isinstance(value, str) and len(value) >= 20 and len(value) % 2 == 0:
        try:
            return [bytes.fromhex(value)]
        except ValueError:
            return []
    return []


def records() -> list[bytes]:
    """Packets of real peers."""
    found = []
    for path in sorted((VECTORS / "openvpn").glob("*.json")):
        found += _hex_strings(json.loads(path.read_text(encoding="utf-8")))
    return [record for record in found if 14 <= len(record) <= 600][:40]


def key_message(options: str = OPTIONS, peer_info: str = PEER_INFO) -> bytes:
    strings = (options, "user", "secret", peer_info)
    return bytes(4) + b"\2" + bytes(112) + b"".join(piece(text.encode() + b"\0") for text in strings)


# Sources, kinds, flags: see datagram_targets.stateless_look.
def _look_seeds() -> list[bytes]:
    """Every server setting: a reset and its proof, and what is none."""
    found = []
    for setting in range(11):
        own = setting >= 8 or setting in (5, 6, 7)  # tls-crypt-v2
        reset = bytes(((10 if own else 7) << 3,)) + b"client!\0" + bytes(5)
        early = 0x10 if own else 0
        first = bytes((4 | early,)) + piece(reset)
        proof = bytes((8 | early, 0x26 if own else 0x24)) + piece(b"\x16\3\1\0\5")
        found += [
            bytes((setting,)) + first + proof,
            bytes((setting,)) + first + b"\xfc" + proof,  # 105 s later
            bytes((setting,)) + first + bytes((9 | early, 0x24)) + piece(b"") + proof,  # from elsewhere
        ]
    plain = b"\x38client!\0" + bytes(5)
    return [
        *found,
        b"\0\x04" + piece(plain) + b"\x08\x20" + piece(bytes(60)) + b"\x08\x05" + piece(b""),  # as OpenVPN 2.5
        b"\0\0" + piece(plain) + b"\0" + piece(plain[:13]) + b"\0" + piece(b"") + b"\0" + piece(b"\x48" + bytes(3000)),
        b"\0\x04" + piece(plain) + b"\x08\x20" + piece(b""),  # too short for an answer
        b"\x08\x04" + piece(b"\x50client!\0" + bytes(5)),  # force-cookie
        b"\5\x24" + piece(b"\x50client!\0" + bytes(5)) + piece(b"\1" + bytes(8)),  # a key of 1970
        b"\5\x34" + piece(b"\x50client!\0" + bytes(5)) + piece(b"\0" + bytes(700)),
        b"\5\x04" + piece(b"\x50client!\0" + bytes(5)) + b"\x04" + piece(b"\x28client!\0\1" + bytes(12)),
    ]


def _session_seeds(packets: list[bytes]) -> list[bytes]:
    """For every wrap a walk through the kinds of datagram_targets.datagram_sessions."""
    copies = b"".join(bytes((0x0C | place,)) + bytes((0, number)) for place in range(4) for number in (0, 1, 3, 9))
    return [
        *(bytes((wrap,)) + copies for wrap in range(4)),
        *(
            bytes((wrap,)) + b"\x06" + piece(b"\x45" + bytes(40)) + b"\x87\0\0\0\x63" + piece(b"\x45" + bytes(40))
            + b"\x5c\x05" + piece(b"\x45" + bytes(9)) + b"\x12" + piece(bytes(30)) + b"\x18"
            for wrap in (0, 2)
        ),
        *(
            bytes((wrap,)) + b"\x36\xff" + b"\x16\3" * 5 + b"\x0a" + piece(b"\x20\0\0\0\0\1\x16\3") + b"\xfc"
            for wrap in (0, 3)
        ),
        b"\0" + b"\x18\x0e\0\0\x0e\0\1\x05" + piece(b"\x45") + b"\x0f\0\0\x18",
        b"\0\0" + piece(b"\x48\0\0") + b"\1" + piece(b"\x48") + b"\2" + piece(packets[0]) + b"\3" + piece(packets[1]),
        b"\1\x08" + piece(b"\x1b\0\0\0\0\0") + b"\x08" + piece(b"\x28\1" + bytes(12)) + b"\x1c\xfc\x18",
    ]  # fmt: skip


def seeds() -> dict[str, list[bytes]]:
    """By target."""
    packets = records()
    reset = b"\x38" + bytes(range(1, 9)) + b"\0" + bytes(4)
    stream = b"".join(piece(packet) for packet in packets[:4])
    udp = bytes.fromhex("1388003500100000") + b"question"
    tcp = bytes.fromhex("1388005000000001000000025018ffff00000000") + b"GET /"
    echo = bytes.fromhex("0800000000070001") + b"ping"
    nat = [bytes((0, kind)) + piece(body) for kind, body in ((1, udp), (0, tcp), (2, echo))]
    answers = b"".join(bytes((6, kind)) + piece(body) for kind, body in ((1, udp), (0, tcp * 9), (2, echo)))
    return {
        "framing": [stream, b"\0\1x", b"\0\0", b"\x08\1" + bytes(2049)],
        "control-wrap": [bytes((n,)) + piece(reset) + piece(b"\x80" + reset + bytes(20)) for n in range(5)]
        + [bytes((n,)) + piece(b"\x80" + reset + bytes(20)) * 2 for n in range(5)],
        "session-wrap": [
            bytes((n, m)) + piece(reset[9:]) + piece(reset) * 2 for n in range(8) for m in (0, 1, 3, 8, 24)
        ],
        "wrapped-key": [
            bytes(256) + b"\2" + bytes(8), bytes(256) + b"\1" + bytes(7), bytes(256), bytes(256) + b"\1" + bytes(8),
            bytes(256) + b"\0metadata", bytes(360) + b"\1\x22",
        ],
        "control-body": [
            b"\x20" + bytes(5), b"\x28\1" + bytes(12), b"\x20\2" + bytes(20) + b"payload", b"\x38" + bytes(5),
        ],
        "key-message": [
            key_message()[:117], key_message("V4", "IV\1X=1\nIV_Y=\2\nIV_Z=3\nnothing"),
            key_message(), key_message("V4,dev-type tap"), key_message()[:-100], key_message("", "")],
        "control-strings": [
            b"PUSH_REQUEST\0", b"EXIT\0\r\nx\0" + b"a" * 100, b"CR_RESPONSE,eA==\0", b"\xff\0\x07\0",
            b"a" * 4200 + b"\0EXIT\0",
        ],
        "session-records": [
            bytes((n, 2)) + piece(b"\x38\0" + bytes(4)) + b"\2" + piece(b"\x20\0\0\0\0\1\x16\3\1")
            for n in range(4)
        ],
        "data-records": [bytes((n, 17)) + piece(b"\x45" + bytes(30)) + b"\0" + piece(packets[0]) for n in range(24)],
        "config-lines": [config_text().encode()[:2000], b'push "route 10.0.0.0 255.0.0.0" # x\n<ca>\ny\n</ca>\n'],
        "config-text": [bytes((n, m)) + piece(b"1 2") for n in range(4) for m in range(0, 120, 17)],
        "block-device": [config_text().encode(), b"# hognose sha256 " + b"0" * 64 + b"\nport 1\n" + bytes(20)],
        "config-damage": [
            bytes((kind, start, *(n for step in steps for n in step)))
            for kind in range(4) for start in (0, 1)
            for steps in (
                [(0, 9, 0)], [(0, 0, 90), (5,)], [(1, 0, 3, 2)], [(1, 0, 70, 7), (5,)], [(2, 1, 0, 0, 8, 0), (5,)],
                [(2, 1, 2, 0, 30, 0), (5,), (2, 1, 0, 0, 2, 0)], [(3, 0, 0, 2, 0)], [(3, 4, 0, 20, 0), (0, 3, 0)],
                [(4, 1), (5,)], [(2, 1, 0, 0, 0, 16), (1, 0, 1, 1), (6,)],
                [(4, 1), (2, 0, 0, 0, 4, 0), (5,), (0, 2, 0)],
            )
        ],
        "ipv4-header": [
            *(b"\x46\0\0\x40" + bytes(16) + bytes.fromhex(text) + bytes(40) for text in IP_OPTIONS),
            *(bytes.fromhex(text) + bytes(60) for text in ("45000013", "65000028", "44000028", "46000016", "55000028")),
            b"\x45\0\0\x28" + bytes(5) + b"\6" + bytes(10) + tcp,
            b"\x46\0\0\x2c" + bytes(16) + b"\x83\4\0\0" + tcp],
        "tcp-options": [
            bytes.fromhex("020405b40402080a000000010000000001030307"), bytes.fromhex("0101050a0000000100000009"),
            *map(bytes.fromhex, TCP_OPTIONS),
        ],
        "icmp-message": [
            echo, bytes(8), bytes(84), b"\xff\xff" + bytes(8),
            b"\3\4\0\0\0\0\5\xdc" + bytes(28), b"\x0b\0" + bytes(34)],
        "ip-fragments": [
            piece(bytes(range(200))) + b"\2\5" + b"\x21\3\x20\0" + bytes(24), piece(b"") + bytes(9),
            *(NO_PACKET + bytes.fromhex(text) for text in FRAGMENTS),
            NO_PACKET + b"".join(_fragment(at, True, 8) for at in range(1, 67)),
        ],
        "tcp-reassembly": [bytes(range(40, 200)), bytes.fromhex("500a600a4020ff08ff00102030")],
        "nat-rewrite": [*nat, b"".join(nat) + answers, nat[0] + b"\xc3" + nat[0]],
        "tcp-segments": [bytes.fromhex("000200000000ffff001000010000ffff041800010000ffff02") + bytes(16) + b"\x0b\x10"],
        "stateless-look": _look_seeds(),
        "datagram-sessions": _session_seeds(packets),
        "gateway-frames": [
            b"\4\x0c\5" + piece(reset) + b"\x2b\6" + piece(stream[:300]),
            b"\1" + bytes(12) + b"\0\1" + piece(udp) + b"\0" + piece(bytes(60)) + b"\2" + bytes(28),
            b"\4\x0c\5" + piece(reset) + b"\5" + piece(b"\x20" + bytes(13) + b"\x16\3\1\0\5") + b"\x0f" + bytes(4),
        ],
        "gateway-stream": [
            b"\1\0\5" + piece(reset) + piece(b"\x20" + bytes(13) + b"\x16\3\1\0\5"),
            b"\0\0\x30" + piece(reset) + stream[:300],
            b"\2\0\x10" + piece(reset) + b"\0\0", b"\2\0\1GET / HTTP/1.1\r\n",
            b"\3\0\x20" + piece(reset) + piece(b"\x28\1" + bytes(12)) + piece(b"\x30" + bytes(30)),
        ],
    }  # fmt: skip


def write(folder: Path) -> None:
    """One folder for each target."""
    for name, inputs in seeds().items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / name / f"seed-{number:02}").write_bytes(data)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
