"""Fuzz targets of the OpenVPN side: the stream, wraps, control bodies, key messages, control strings, sessions, data.

Only PeerError is caught, and only where the interface says so. Where a tag stands in front of what is to be tested,
the target makes it with the peer's keys, with code that is not ours.
"""

from __future__ import annotations

import hmac
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tests.fuzz import models
from tests.fuzz.reader import Reader
from tests.unit.openvpn import data_packets as by_hand
from tests.unit.openvpn.link import ADMISSION, KEY, SERVER_V2_KEY, START, profile, wrapped_client_key
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control.agreement import agree, options_string
from hognose.openvpn.control.key_exchange import parse_client_message
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.control.session_wrap import SessionWrap
from hognose.openvpn.control.tls_crypt_v2 import ClientKey, split_wrapped_key, unwrap_client_key
from hognose.openvpn.control.wrap import make_wrap
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.framing import RecordSplitter
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Authenticated
from hognose.settings import WrapSettings
from hognose.vocabulary import FRAMINGS
from hognose.wire.openvpn import ACK_V1, MAX_ACKS, build_control_body, parse_control_body

MAX_RECORD = OpenvpnLimits().record_len
EXPORTED = bytes(n * 11 % 256 for n in range(256))
WRAPS = (
    WrapSettings(),
    WrapSettings("tls-auth", KEY, 0, "SHA1"),
    WrapSettings("tls-auth", KEY, 1, "SHA512"),
    WrapSettings("tls-auth", KEY, None, "MD5"),
    WrapSettings("tls-crypt", KEY),
    WrapSettings(v2_key=SERVER_V2_KEY, v2_max_age_days=30),
    WrapSettings("tls-crypt", KEY, v2_key=SERVER_V2_KEY),
    WrapSettings("tls-auth", KEY, 0, "SHA256", v2_key=SERVER_V2_KEY),
)


# -- the stream ----------------------------------------------------------------------------------------------------


def _split(chunks: list[bytes], most: int) -> tuple[list[bytes], bool]:
    splitter = RecordSplitter(most)
    found: list[bytes] = []
    for chunk in chunks:
        try:
            found += splitter.feed([chunk])
            if splitter.broken:
                splitter.feed([])
                raise AssertionError("nothing is wrong behind the last record")
        except PeerError as error:
            assert error.reason is DropReason.BAD_FRAME_LENGTH
            return found, False
        assert splitter.pending <= most + 1
    return found, True


def _drops(data: bytes) -> list[bytes]:
    """Byte by byte; a long input in small parts, or it would take all the time."""
    size = 1 if len(data) <= 300 else 61
    return [data[at : at + size] for at in range(0, len(data), size)]


def framing(data: bytes) -> None:
    """The stream whole, byte by byte and in two parts: the same records, the same verdict."""
    most = MAX_RECORD if len(data) > 300 else 40  # short inputs reach a lower bound
    records, good = _split([data], most)
    single, single_good = _split(_drops(data), most)
    cut = data[0] if data else 0
    halves, halves_good = _split([data[:cut], data[cut:]], most)
    assert good == single_good == halves_good
    assert records == single == halves
    joined = b"".join(len(record).to_bytes(2, "big") + record for record in records)
    assert data.startswith(joined)
    if len(data) >= len(joined) + 2:  # why it stops there
        length = int.from_bytes(data[len(joined) : len(joined) + 2], "big")
        assert good == (0 < length <= most)
        assert not good or len(data) < len(joined) + 2 + length
    else:
        assert good
    assert all(0 < len(record) <= most for record in single)


# -- wraps ---------------------------------------------------------------------------------------------------------


def tls_auth(settings: WrapSettings, head: bytes, ids: bytes, body: bytes) -> bytes:
    size = len(hmac.digest(b"", b"", settings.digest.lower()))
    at = 192 if settings.direction == 0 else 64
    return head + hmac.digest(KEY[at : at + size], ids + head + body, settings.digest.lower()) + ids + body


def tls_crypt(key: bytes, head: bytes, ids: bytes, body: bytes) -> bytes:
    tag = hmac.digest(key[192:224], head + ids + body, "sha256")
    stream = Cipher(algorithms.AES(key[128:160]), modes.CTR(tag[:16])).encryptor()
    return head + ids + tag + stream.update(body)


def wkc(plain: bytes) -> bytes:
    """A WKc of whatever stands in it."""
    length = (32 + len(plain) + 2 & 0xFFFF).to_bytes(2, "big")
    tag = hmac.digest(SERVER_V2_KEY[64:96], length + plain, "sha256")
    stream = Cipher(algorithms.AES(SERVER_V2_KEY[:32]), modes.CTR(tag[:16])).encryptor()
    return tag + stream.update(plain) + length


def control_wrap(data: bytes) -> None:
    """Every static wrap: records as they come, and authentic ones around any body; what was sealed opens."""
    reader = Reader(data)
    settings = WRAPS[reader.byte() % 5]
    wrap = make_wrap(settings)
    taken = set()
    for number, raw in enumerate(reader.pieces(8)):
        record = raw
        if raw[:1] and raw[0] & 0x80 and settings.kind != "none":
            head, ids, body = raw[1:10].ljust(9, b"\0"), raw[10:18].ljust(8, b"\0"), raw[18:]
            record = (
                tls_crypt(KEY, head, ids, body) if settings.kind == "tls-crypt" else tls_auth(settings, head, ids, body)
            )
        opened = wrap.open(record)
        if isinstance(opened, DropReason):
            assert opened in (DropReason.BAD_CONTROL_PACKET, DropReason.BAD_HMAC, DropReason.CONTROL_REPLAY)
        else:
            assert len(opened[0]) == 8
            assert opened[1]
            assert record is not raw or settings.kind == "none", "a forged record was taken"
            assert record not in taken or settings.kind == "none", "a record was taken twice"
            taken.add(record)
        sealed = wrap.seal(0x20, bytes(8), raw, UNIX)
        assert len(sealed) == 9 + wrap.overhead + len(raw)
        if settings.kind != "none" and settings.direction is not None:  # our own packets are not the peer's
            assert wrap.open(sealed) in (DropReason.BAD_HMAC, DropReason.BAD_CONTROL_PACKET)
        assert number < 8


def session_wrap(data: bytes) -> None:
    """The first record and later ones under every server setting: tls-crypt-v2 keys, WKc again, dynamic tls-crypt."""
    reader = Reader(data)
    settings = WRAPS[reader.byte() % len(WRAPS)]
    choices = reader.byte()
    wrap = SessionWrap(settings)
    client_key, wrapped = wrapped_client_key()
    first = reader.piece()
    if choices & 1:  # an authentic WKc with metadata of the fuzzer's
        wrapped = wkc(client_key + reader.piece()) if choices & 2 else wrapped
        first = tls_crypt(client_key, b"\x50" + bytes(8), b"\x0f\0\0\1" + bytes(4), first) + wrapped
    elif choices & 4:
        first = first + wkc(reader.piece())
    elif choices & 8:
        body = first
        head, ids = b"\x38" + bytes(8), b"\0\0\0\1\1\0\0\0"
        first = head + body
        if settings.kind == "tls-crypt":
            first = tls_crypt(KEY, head, ids, body)
        elif settings.kind == "tls-auth":
            first = tls_auth(settings, head, ids, body)
    if not first:
        return
    try:
        sid, body = wrap.open_first(first, UNIX)
    except PeerError as error:
        assert str(error)
        return
    assert len(sid) == 8
    assert len(wrap.metadata) <= 1024 * 6
    if choices & 16:
        wrap.use_dynamic(EXPORTED)
    for record in reader.pieces(6):
        if not record:
            continue
        opened = wrap.open(record)
        assert isinstance(opened, DropReason) or len(opened[0]) == 8
        wrap.seal(record[0], bytes(8), record[1:], UNIX)


def wrapped_key(data: bytes) -> None:
    """The WKc parser by itself, and authentic ones of any length and content."""
    parts = split_wrapped_key(data)
    length = int.from_bytes(data[-2:], "big")
    assert (parts is not None) == (290 <= length <= 1024 and length + 50 <= len(data))
    if parts is not None:
        assert parts[0] + parts[1] == data
        assert len(parts[0]) >= 50
        assert unwrap_client_key(SERVER_V2_KEY, parts[1]) is None
    plain = data[:2000]
    parts = split_wrapped_key(bytes(50) + wkc(plain))
    if parts is None:
        assert not 256 <= len(plain) <= 990
        return
    key = unwrap_client_key(SERVER_V2_KEY, parts[1])
    assert isinstance(key, ClientKey)
    assert key.key + key.metadata == plain
    kind, text = key.metadata[:1], key.metadata[1:]
    made_at = int.from_bytes(text, "big") if kind == b"\1" and len(text) == 8 else None
    words = {b"": "none", b"\0": "user:" + text.decode("utf-8", "replace")}
    told = words.get(kind, f"type {int.from_bytes(kind, 'big')}") if made_at is None else f"time:{made_at}"
    assert key.describe() == told
    assert key.too_old(30, UNIX) == (made_at is None or made_at + 30 * 86_400 < UNIX)
    assert not key.too_old(0, UNIX)


def control_body(data: bytes) -> None:
    """Bodies of every opcode; what is parsed is built again to the same bytes."""
    opcode = data[0] >> 3 if data else 0
    body = data[1:]
    parsed = parse_control_body(opcode, body)
    assert parsed == models.control_body(opcode, body)
    if parsed is None:
        return
    assert len(parsed.acks) <= MAX_ACKS
    built = build_control_body(parsed.acks, parsed.remote_session_id, parsed.message_id, parsed.payload)
    assert body == built if opcode != ACK_V1 else body.startswith(built)
    assert parse_control_body(opcode, memoryview(body)) == parsed


# -- inside TLS ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _profiles() -> tuple[ServerProfile, ...]:
    base = profile()
    legacy = profile("tls-auth", framing="comp-lzo", ciphers=("AES-256-CBC",), fallback_cipher="AES-128-CBC")
    return base, legacy, profile(framing="migrate"), profile(framing="stub-v2", push=("compress stub-v2",))


def key_message(data: bytes) -> None:
    """Key method 2 of a client, whole and as it grows byte by byte; then what is agreed on with it."""
    expected = models.key_message(data)
    try:
        message = parse_client_message(data)
    except PeerError as error:
        assert error.reason is DropReason.BAD_KEY_METHOD
        assert expected == "bad"
        return
    if message is None:
        assert expected == "more"
        return
    assert isinstance(expected, tuple)
    words = [word.decode("utf-8", "replace") for word in expected[1]]
    assert (message.length, message.options, message.username, message.password) == (expected[0], *words[:3])
    lines = [line.partition("=") for line in words[3].split("\n")[:64]]
    assert message.peer_info == {n: v for n, sep, v in lines if sep and n.isprintable() and v.isprintable()}
    assert parse_client_message(data[: message.length]) == message
    for size in (*range(0, min(message.length, 130), 13), message.length - 1):
        early = parse_client_message(data[:size])  # no prefix of a valid message is refused
        # Only at the end of a string may it be taken for the message of a very old client.
        assert early is None or early.length == size
    for settings in _profiles():
        agreed = agree(settings, message)
        options_string(settings, getattr(agreed, "cipher", None))


def control_strings(data: bytes) -> None:
    """The plaintext whole, byte by byte and in two parts: the same strings, the same drops, bounded memory."""
    longest = OpenvpnLimits().control_string
    most = longest if len(data) > 300 else 40  # short inputs reach a lower bound
    cut = data[0] * 16 if most == longest else data[0] if data else 0
    limits = OpenvpnLimits(
        control_string=most, control_strings=len(data) + 1
    )  # how many come at once makes no difference
    results = []
    for chunks in ([data], _drops(data), [data[:cut], data[cut:]]):
        counters = Counters()
        reader = MessageReader(counters, limits)
        messages = [text for chunk in chunks for text in reader.feed(chunk)]
        assert all(text and text.isprintable() and len(text) <= most for text in messages)
        assert len(reader._rest) <= most
        results.append((messages, counters.drops))
    assert results[0] == results[1] == results[2]
    heard, refused = models.control_strings(data, most)
    assert results[0][0] == heard
    assert results[0][1][DropReason.BAD_CONTROL_MESSAGE] == refused


# -- sessions ------------------------------------------------------------------------------------------------------


def session_records(data: bytes) -> None:
    """A session that is given any records at any times, authentic bodies under its wrap among them."""
    reader = Reader(data)
    wrap = ("none", "tls-auth", "tls-crypt", "tls-crypt-v2")[reader.byte() % 4]
    settings = profile(wrap)
    count = 0

    def random(size: int) -> bytes:
        nonlocal count
        count += 1
        return (b"%08d" % count * (size // 8 + 1))[:size]

    counters = Counters()
    now = START
    session = Session(settings, random=random, now=now, unix=UNIX, counters=counters)
    number = 0
    client_key, wrapped = wrapped_client_key()
    while reader and number < 24:
        choice = reader.byte()
        record = reader.piece()
        number += 1
        if choice & 1:
            now += (choice >> 1) * 500_000_000
        if choice & 2 and record:  # opcode, key id and body are the fuzzer's, what stands around them is right
            head, ids, body = record[:1] + b"\1" * 8, number.to_bytes(4, "big") + UNIX.to_bytes(4, "big"), record[1:]
            if wrap == "none":
                record = head + body
            elif wrap == "tls-auth":
                record = tls_auth(settings.wrap, head, ids, body)
            else:
                key = KEY if wrap == "tls-crypt" else client_key
                record = tls_crypt(key, head, ids, body) + (wrapped if head[0] >> 3 in (10, 11) and wrapped else b"")
        try:
            session.receive([record] if record else [b"\x48"], now, UNIX)
            while session.has_work and choice & 4:
                session.work(now, UNIX)
            deadline = session.next_deadline()
            if deadline is not None and deadline <= now:
                session.handle_deadline(now, UNIX)
            for event in session.take_events():
                if isinstance(event, Authenticated):
                    session.admit(ADMISSION, now)
            session.poll(now, UNIX)
        except PeerError:
            return
        if session.ended is not None:
            return


# -- data channel --------------------------------------------------------------------------------------------------

FORMS = [
    DataFormat(cipher, digest, kind, epoch, v2)
    for cipher, digest, epoch, v2 in (
        ("AES-256-GCM", "SHA1", False, True),
        ("CHACHA20-POLY1305", "SHA1", False, True),
        ("AES-128-GCM", "SHA1", False, False),
        ("AES-256-GCM", "SHA1", True, True),
        ("AES-128-CBC", "SHA512", False, True),
        ("AES-192-CBC", "MD5", False, False),
    )
    for kind in FRAMINGS
]
KEYS = bytes(range(256))


def _authentic(form: DataFormat, packet_id: int, payload: bytes, key_id: int) -> bytes:
    version = 2 if form.v2 else 1
    if form.epoch:
        return by_hand.epoch_packet(KEYS[:128], form.cipher, 1 + packet_id % 5, packet_id, payload, key_id=key_id)
    if form.aead:
        return by_hand.aead_packet(KEYS[:128], form.cipher, packet_id, payload, version, key_id)
    return by_hand.cbc_packet(KEYS[:128], form.cipher, form.digest, packet_id, payload, bytes(16), version, key_id)


def data_records(data: bytes) -> None:
    """Records of every format, forged and authentic, one call or one by one: the same packets, the same counters."""
    reader = Reader(data)
    form = FORMS[reader.byte() % len(FORMS)]
    records: list[bytes] = []
    authentic = 0
    while reader and len(records) < 12:
        choice = reader.byte()
        payload = reader.piece()
        if choice & 1:
            authentic += 1
            records.append(_authentic(form, choice >> 4, payload, choice >> 1 & 1))
        else:
            records.append(payload)
    results = []
    for batches in ([records], [[record] for record in records]):
        counters = Counters()
        channel = Keyring(counters)
        for key_id in (0, 1):
            channel.install(DataKey.negotiated(key_id, form, KEYS, bytes), 0, 0, 1 << 60)
        packets: list[bytes] = []
        for batch in batches:
            index = 0
            while index < len(batch):
                after = channel.open(batch, index, packets, 5)
                if after == index:  # a control packet: the session's
                    assert batch[index][0] >> 3 not in (6, 9)
                    after += 1
                index = after
        assert len(packets) <= authentic
        sealed = channel.seal([packet for packet in packets if packet], 5)
        assert len(sealed) == len([packet for packet in packets if packet])
        taken = channel.payloads
        results.append((packets, counters.drops, taken.bytes_in, taken.packets_in, taken.exit_seen))
    assert results[0] == results[1]
