"""A small OpenVPN client for tests, written from the protocol alone: it shares no code with hognose.

Records in, records out, like the session it talks to. Reliable enough for a lossy datagram link: it repeats what was
not acknowledged every two seconds of virtual time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from tests.unit.openvpn import data_packets
from tests.world.today import UNIX

RESEND = 2_000_000_000
PEER_INFO = (
    "IV_VER=2.6.14\nIV_PLAT=linux\nIV_PROTO=990\nIV_MTU=1600\nIV_NCP=2\n"
    "IV_CIPHERS=AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305\n"
)
OPTIONS = "V4,dev-type tun,link-mtu 1543,tun-mtu 1500,proto TCPv4_CLIENT,auth SHA1,keysize 128,key-method 2,tls-client"
PING = bytes.fromhex("2a187bf3641eb4cb07ed2d0a981fc748")
OCC_EXIT = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c") + b"\6"


@dataclass
class ClientKit:
    """Credentials of a client."""

    ca: str
    cert: str
    key: str
    wrap: str = "none"
    static_key: bytes = b""
    direction: int | None = None  # the client's key-direction
    digest: str = "sha1"
    peer_info: str = PEER_INFO
    options: str = OPTIONS
    max_tls: int | None = None
    wrapped_key: bytes = b""  # WKc, for wrap tls-crypt-v2; static_key is the client key in it
    data_digest: str = "SHA1"  # of a CBC data channel
    framing: str = ""  # compression framing before anything is pushed: "", "comp-lzo", "stub"
    hello_padding: int = 0  # bytes that make the ClientHello longer, as a post-quantum key share does
    log_keys: bool = False  # a callback for each TLS context, in memory that comes back late
    soft_resets: bool = True  # False: as OpenVPN 3, which answers a soft reset with its ClientHello at once
    username: str = ""
    password: str = ""
    cut: Callable[[bytes], list[bytes]] = lambda message: [message]  # the key message into TLS records
    switch_after: int = 0  # nanoseconds for which the old key goes on sealing after a renegotiation began


@dataclass
class _Negotiation:
    key_id: int
    tls: SSL.Connection
    next_out: int = 0
    next_in: int = 0
    early: dict[int, bytes] = field(default_factory=dict)
    unacked: dict[int, list[Any]] = field(default_factory=dict)  # id -> [opcode, payload, due]
    waiting: list[tuple[int, list[object]]] = field(default_factory=list)  # likewise, until there is room in flight
    acks: list[int] = field(default_factory=list)
    sent_key: bytes = b""
    plain: bytes = b""
    done: bool = False
    began: int = 0


class ModelClient:
    """One client; `messages` are control strings received, `packets` inner packets received."""

    def __init__(self, kit: ClientKit) -> None:
        self.kit = kit
        self.sid = os.urandom(8)
        self.server_sid = b""
        self.messages: list[str] = []
        self.packets: list[bytes] = []
        self.pings = 0
        self.resends_wrapped_key = False
        self.early_negotiation = True  # of tls-crypt-v2, as OpenVPN from 2.6 on
        self.data_keys: dict[int, bytes] = {}
        self.cipher = ""
        self.peer_id: int | None = None
        self.use_ekm = False
        self.negotiations: dict[int, _Negotiation] = {}
        self.alerts: list[str] = []
        self.key_log: list[str] = []  # NSS key log lines
        self.window = 6  # control messages in flight (OpenVPN ssl_pkt.h TLS_RELIABLE_N_SEND_BUFFERS)
        self._out: list[bytes] = []
        self._wrap_pids: dict[bool, int] = {False: 0, True: 0}
        self.dynamic_key = b""  # of dynamic tls-crypt, once it is pushed
        self.exit_with_dynamic = False  # OpenVPN 3: key id 0 under the dynamic key
        self.epoch = False  # the data format of OpenVPN 2.7
        self.send_epoch = 1
        self.framing = kit.framing
        self.data_pid: dict[int, int] = {}
        self.newest = 0
        self._sealing: list[tuple[int, int]] = []  # (from when, key id) of keys to seal with
        self._now = 0
        self._randoms: dict[int, bytes] = {}

    # -- what a test does ------------------------------------------------------------------------------------------

    def start(self, now: int) -> None:
        """The hard reset."""
        self._begin(0, 10 if self.kit.wrap == "tls-crypt-v2" else 7, now)

    def renegotiate(self, now: int) -> int:
        """A soft reset with the next key id."""
        self.newest = self.newest % 7 + 1
        self._begin(self.newest, 3, now)
        return self.newest

    @property
    def established(self) -> bool:
        """Keys and options are there."""
        return bool(self.data_keys) and any(m.startswith("PUSH_REPLY") for m in self.messages)

    def say(self, text: str, now: int, key_id: int | None = None) -> None:
        """A control string, on the newest key or that one."""
        self.say_bytes(text.encode() + b"\0", now, key_id)

    def say_bytes(self, plaintext: bytes, now: int, key_id: int | None = None) -> None:
        """Whatever bytes, in one TLS record."""
        negotiation = self.negotiations[self._key_id if key_id is None else key_id]
        negotiation.tls.send(plaintext)
        self._flush(negotiation, now)

    @property
    def _key_id(self) -> int:
        """Of the key that seals now."""
        return next((key_id for since, key_id in reversed(self._sealing) if since <= self._now), 0)

    def send(self, packet: bytes, key_id: int | None = None, packet_id: int | None = None) -> None:
        """One inner packet."""
        self._out.append(self.seal(packet, key_id, packet_id))

    def poll(self, now: int) -> list[bytes]:
        """Records to send: new ones, repeats, acknowledgements."""
        self._now = now
        for negotiation in self.negotiations.values():
            self._fly(negotiation)
            for message_id, entry in negotiation.unacked.items():
                if entry[2] <= now:
                    entry[2] = now + RESEND
                    self._out.append(self.control(negotiation, entry[0], message_id, entry[1]))
            while negotiation.acks:
                self._out.append(self.control(negotiation, 5, None, b""))
        out, self._out = self._out, []
        return out

    def receive(self, record: bytes, now: int) -> None:
        """One record of the server."""
        self._now = now
        opcode, key_id = record[0] >> 3, record[0] & 7
        if opcode in (6, 9):
            self._data(record)
            return
        body = self._unwrap(record)
        if body is None:
            return
        count = body[0]
        acked = struct.unpack_from(f">{count}I", body, 1)
        offset = 1 + 4 * count
        if count:
            assert body[offset : offset + 8] == self.sid
            offset += 8
        self.server_sid = record[1:9]
        if opcode == 3 and key_id == self.newest % 7 + 1:
            self.newest = key_id
            self._begin(key_id, 3 if self.kit.soft_resets else 0, now)
        negotiation = self.negotiations.get(key_id)
        if negotiation is None:
            return
        for message_id in acked:
            negotiation.unacked.pop(message_id, None)
        if opcode == 5:
            return
        message_id = struct.unpack_from(">I", body, offset)[0]
        if opcode == 8 and body[offset + 4 :]:  # flags of early negotiation, the type, length and value of one
            assert body[offset + 4 :] == bytes.fromhex("000100020001")
            self.resends_wrapped_key = True
            body = body[: offset + 4]
        if message_id not in negotiation.acks:
            negotiation.acks.append(message_id)
        if message_id >= negotiation.next_in:
            negotiation.early[message_id] = body[offset + 4 :]
        while negotiation.next_in in negotiation.early:
            self._in_order(negotiation, negotiation.early.pop(negotiation.next_in), now)
            negotiation.next_in += 1

    # -- control ---------------------------------------------------------------------------------------------------

    def _begin(self, key_id: int, opcode: int, now: int) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if self.kit.hello_padding:
            context.set_alpn_protos([b"x" * 200] * (self.kit.hello_padding // 200))
        context.use_certificate(x509.load_pem_x509_certificate(self.kit.cert.encode()))
        key: Any = load_pem_private_key(self.kit.key.encode(), None)  # of a type that a certificate can have
        context.use_privatekey(key)
        if self.kit.max_tls is not None:
            context.set_max_proto_version(self.kit.max_tls)
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.load_certificate(crypto.FILETYPE_PEM, self.kit.ca.encode()))
        if self.kit.log_keys:
            context.set_keylog_callback(lambda _, line: self.key_log.append(line.decode()))
        tls = SSL.Connection(context, None)
        tls.set_connect_state()
        negotiation = self.negotiations[key_id] = _Negotiation(key_id, tls)
        negotiation.began = now
        self._randoms.pop(key_id, None)
        if opcode:
            self.queue(negotiation, opcode, b"", now)

    def queue(self, negotiation: _Negotiation, opcode: int, payload: bytes, now: int) -> None:
        negotiation.waiting.append((negotiation.next_out, [opcode, payload, now]))
        negotiation.next_out += 1
        self._fly(negotiation)

    def _fly(self, negotiation: _Negotiation) -> None:
        while negotiation.waiting and len(negotiation.unacked) < self.window:
            message_id, entry = negotiation.waiting.pop(0)
            negotiation.unacked[message_id] = entry

    def _in_order(self, negotiation: _Negotiation, payload: bytes, now: int) -> None:
        tls = negotiation.tls
        if payload:
            tls.bio_write(payload)
        try:
            if not negotiation.done:
                tls.do_handshake()
                negotiation.done = True
                self._send_key(negotiation)
            while True:
                negotiation.plain += tls.recv(65536)
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.alerts.append(str(error))
        self._flush(negotiation, now)
        self._plaintext(negotiation)

    def _flush(self, negotiation: _Negotiation, now: int) -> None:
        data = b""
        try:
            while True:
                data += negotiation.tls.bio_read(65536)
        except SSL.WantReadError:
            pass
        for at in range(0, len(data), 1000):
            again = self.resends_wrapped_key and not negotiation.key_id and negotiation.next_out == 1
            self.queue(negotiation, 11 if again else 4, data[at : at + 1000], now)

    def _send_key(self, negotiation: _Negotiation) -> None:
        for piece in self.kit.cut(self.key_message(negotiation)):
            negotiation.tls.send(piece)

    def key_message(self, negotiation: _Negotiation) -> bytes:
        secret = os.urandom(48 + 64)
        negotiation.sent_key = secret

        def text(value: str) -> bytes:
            raw = value.encode() + b"\0" if value else b""
            return struct.pack(">H", len(raw)) + raw

        strings = (self.kit.options, self.kit.username, self.kit.password, self.kit.peer_info)
        return bytes(4) + b"\2" + secret + b"".join(text(value) for value in strings)

    def _plaintext(self, negotiation: _Negotiation) -> None:
        if negotiation.key_id not in self._randoms:
            plain = negotiation.plain
            if len(plain) < 71:
                return
            size = struct.unpack_from(">H", plain, 69)[0]
            if len(plain) < 71 + size + 6:
                return
            assert plain[:5] == bytes(4) + b"\2"
            self._randoms[negotiation.key_id] = plain[5:69]
            negotiation.plain = plain[71 + size + 6 :]
            if negotiation.key_id:
                self.make_keys(negotiation)
        parts = negotiation.plain.split(b"\0")
        negotiation.plain = parts.pop()
        for part in parts:
            self.messages.append(part.decode())
            if part.startswith(b"PUSH_REPLY"):
                self._pushed(part.decode().split(","))
                self.make_keys(negotiation)

    def _pushed(self, options: list[str]) -> None:
        for option in options:
            words = option.split(" ")
            if words[0] == "peer-id":
                self.peer_id = int(words[1])
            elif words[0] == "cipher":
                self.cipher = words[1]
            elif words[0] == "protocol-flags":
                self.use_ekm |= "tls-ekm" in words
                if "dyn-tls-crypt" in words:
                    label = b"EXPORTER-OpenVPN-dynamic-tls-crypt"
                    exported = self.negotiations[0].tls.export_keying_material(label, 256, None)
                    base = self.kit.static_key if self.kit.wrap != "none" else bytes(256)
                    self.dynamic_key = bytes(a ^ b for a, b in zip(exported, base, strict=True))
                self.epoch = "aead-epoch" in words
            elif option == "key-derivation tls-ekm":
                self.use_ekm = True
            elif words[0] in ("compress", "comp-lzo"):
                self.framing = {"compress stub-v2": "stub-v2", "comp-lzo no": "comp-lzo"}.get(option, "stub")

    # -- keys and data ---------------------------------------------------------------------------------------------

    def make_keys(self, negotiation: _Negotiation) -> None:
        if self.use_ekm:
            keys = negotiation.tls.export_keying_material(b"EXPORTER-OpenVPN-datakeys", 256, None)
        else:
            ours, theirs = negotiation.sent_key, self._randoms[negotiation.key_id]
            master = prf(ours[:48], b"OpenVPN master secret" + ours[48:80] + theirs[:32], 48)
            seed = b"OpenVPN key expansion" + ours[80:112] + theirs[32:64] + self.sid + self.server_sid
            keys = prf(master, seed, 256)
        self.data_keys[negotiation.key_id] = keys
        self.data_pid[negotiation.key_id] = 0
        since = negotiation.began + self.kit.switch_after if self._sealing else 0
        self._sealing = [*self._sealing[-1:], (since, negotiation.key_id)]

    def seal(self, packet: bytes, key_id: int | None = None, packet_id: int | None = None) -> bytes:
        """A data record, of the current key or that one, with the next packet id or that one."""
        return self.seal_payload(self._frame(packet), key_id, packet_id)

    def seal_payload(self, payload: bytes, key_id: int | None = None, packet_id: int | None = None) -> bytes:
        """A data record of a payload with its compression framing."""
        key_id = self._key_id if key_id is None else key_id
        if packet_id is None:
            packet_id = self.data_pid[key_id] = self.data_pid.get(key_id, 0) + 1
        half = self.data_keys[key_id][:128]
        version, peer_id = (1, 0) if self.peer_id is None else (2, self.peer_id)
        if self.epoch:
            record = data_packets.epoch_packet(
                half, self.cipher, self.send_epoch, packet_id, payload, key_id=key_id, peer_id=peer_id
            )
        elif "CBC" in self.cipher:
            iv = os.urandom(16)
            record = data_packets.cbc_packet(
                half, self.cipher, self.kit.data_digest, packet_id, payload, iv, version, key_id, peer_id
            )
        else:
            record = data_packets.aead_packet(half, self.cipher, packet_id, payload, version, key_id, peer_id)
        return record

    def _data(self, record: bytes) -> None:
        half = self.data_keys[record[0] & 7][128:]
        if self.epoch:
            _, _, payload = data_packets.open_epoch(half, self.cipher, record)
        elif "CBC" in self.cipher:
            _, _, payload = data_packets.open_cbc(half, self.cipher, self.kit.data_digest, record)
        else:
            payload = data_packets.open_aead(half, self.cipher, record)
        packet = self._unframe(payload)
        if packet == PING:
            self.pings += 1
        else:
            self.packets.append(packet)

    def _frame(self, packet: bytes) -> bytes:
        if self.framing == "comp-lzo":
            return b"\xfa" + packet
        if self.framing == "stub":
            return b"\xfb" + packet[1:] + packet[:1]
        return b"\x50\0" + packet if self.framing == "stub-v2" and packet[:1] == b"\x50" else packet

    def _unframe(self, payload: bytes) -> bytes:
        if self.framing == "comp-lzo":
            assert payload[0] == 0xFA
            return payload[1:]
        if self.framing == "stub":
            assert payload[0] == 0xFB
            return payload[-1:] + payload[1:-1]
        return payload[2:] if self.framing == "stub-v2" and payload[:2] == b"\x50\0" else payload

    # -- wraps -----------------------------------------------------------------------------------------------------

    def control(self, negotiation: _Negotiation, opcode: int, message_id: int | None, payload: bytes) -> bytes:
        acks, negotiation.acks = negotiation.acks[:4], negotiation.acks[4:]
        body = bytes((len(acks),)) + struct.pack(f">{len(acks)}I", *acks) + (self.server_sid if acks else b"")
        if message_id is not None:
            body += struct.pack(">I", message_id) + payload
        return self.wrapped(opcode, negotiation, body)

    def wrapped(self, opcode: int, negotiation: _Negotiation, body: bytes) -> bytes:
        """A control packet with this body, under the wrap that its key id asks for."""
        head = bytes((opcode << 3 | negotiation.key_id,)) + self.sid
        dynamic = bool(self.dynamic_key) and (negotiation.key_id > 0 or self.exit_with_dynamic)
        self._wrap_pids[dynamic] += 1
        early = 0x0F000000 if self.kit.wrap == "tls-crypt-v2" and self.early_negotiation and not dynamic else 0
        ids = struct.pack(">II", early + self._wrap_pids[dynamic], UNIX)
        if dynamic or self.kit.wrap in ("tls-crypt", "tls-crypt-v2"):
            key = self.dynamic_key if dynamic else self.kit.static_key
            tag = hmac.new(key[192:224], head + ids + body, hashlib.sha256).digest()
            stream = Cipher(algorithms.AES(key[128:160]), modes.CTR(tag[:16])).encryptor()
            wrapped_key = self.kit.wrapped_key if opcode in (10, 11) else b""
            return head + ids + tag + stream.update(body) + wrapped_key
        if self.kit.wrap == "tls-auth":
            secret = self._hmac_key(send=True)
            return head + hmac.new(secret, ids + head + body, self.kit.digest).digest() + ids + body
        return head + body

    def _unwrap(self, record: bytes) -> bytes | None:
        dynamic = bool(self.dynamic_key) and record[0] & 7 > 0
        if dynamic or self.kit.wrap in ("tls-crypt", "tls-crypt-v2"):
            key = self.dynamic_key if dynamic else self.kit.static_key
            tag = record[17:49]
            stream = Cipher(algorithms.AES(key[0:32]), modes.CTR(tag[:16])).decryptor()
            body = stream.update(record[49:])
            return body if hmac.new(key[64:96], record[:17] + body, hashlib.sha256).digest() == tag else None
        if self.kit.wrap == "tls-auth":
            size = hashlib.new(self.kit.digest).digest_size
            tag, rest = record[9 : 9 + size], record[9 + size :]
            want = hmac.new(self._hmac_key(send=False), rest[:8] + record[:9] + rest[8:], self.kit.digest).digest()
            return rest[8:] if tag == want else None
        return record[9:]

    def _hmac_key(self, *, send: bool) -> bytes:
        size = hashlib.new(self.kit.digest).digest_size
        direction = self.kit.direction
        second = False if direction is None else (direction == 1) == send
        at = 192 if second else 64
        return self.kit.static_key[at : at + size]


def prf(secret: bytes, seed: bytes, size: int) -> bytes:
    """The TLS 1.0 PRF, label included in the seed."""
    half = (len(secret) + 1) // 2

    def expand(key: bytes, name: str) -> bytes:
        out, a = b"", seed
        while len(out) < size:
            a = hmac.new(key, a, name).digest()
            out += hmac.new(key, a + seed, name).digest()
        return out[:size]

    pairs = zip(expand(secret[:half], "md5"), expand(secret[-half:], "sha1"), strict=True)
    return bytes(a ^ b for a, b in pairs)
