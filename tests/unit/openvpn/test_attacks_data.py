"""The weaknesses that OpenVPN servers have had, tried on our session: packet ids, epochs, data packets.

docs/dev/cve-tests.md lists which test is for which; tests/unit/gateway/test_hostile_peers.py has those of whole
gateways.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.openvpn.client import OCC_EXIT, PEER_INFO
from tests.unit.openvpn.link import KEY, SECOND, Link, kit, profile
from tests.unit.openvpn.stages import CBC, EPOCH, OLD, PACKET, alive, drops, give
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.data.aead import AeadRecords
from hognose.openvpn.data.cbc import CbcRecords
from hognose.openvpn.data.epoch import FUTURE_KEYS, LAST_COUNTER, LAST_EPOCH, EpochRecords
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.usage_limits import LAST_PACKET_ID, RENEGOTIATE_AT
from hognose.openvpn.session_events import Established, Renegotiated
from hognose.wire import openvpn as wire

# -- packet ids that run out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("info", [PEER_INFO, CBC, OLD], ids=["AEAD", "CBC", "PRF"])
def test_cve_2017_7479_packet_ids_never_wrap(info: str) -> None:
    """CVE-2017-7479: no renegotiation ever completes and packet ids run out: we ask, then stop, and never wrap."""
    link = Link(profile(ciphers=("AES-256-GCM", "AES-256-CBC"), reneg_s=0, ping_timeout_s=0), kit(peer_info=info))
    link.client.start(link.now)
    link.run(lambda: link.has(Established), 20)
    link.rest(1)
    key = link.session.data.current
    assert key is not None
    counter = key.records
    assert isinstance(counter, AeadRecords | CbcRecords)
    counter.next_id = RENEGOTIATE_AT
    link.down = False  # no answers any more
    asked = 0
    for step in range(40):
        deadline = link.session.next_deadline()
        assert deadline is not None
        link.now = max(link.now + 1, deadline)
        link.session.handle_deadline(link.now, UNIX)
        asked += sum(record[0] >> 3 == wire.SOFT_RESET_V1 for record in link.session.poll(link.now, UNIX))
        assert link.session.ended is None, step
    assert asked
    counter.next_id = LAST_PACKET_ID - 3
    sealed = [record for _ in range(3) for record in link.session.seal([PACKET, PACKET], link.now)]
    assert len(sealed) == 2
    assert counter.next_id <= LAST_PACKET_ID
    assert link.session.seal([PACKET] * 5, link.now) == []
    assert link.counters.drops[DropReason.NO_DATA_KEY] >= 9
    link.session.poll(link.now + 20 * SECOND, UNIX)  # nor a ping
    assert counter.next_id <= LAST_PACKET_ID


def test_cve_2017_7479_the_clients_ids_end_too() -> None:
    """CVE-2017-7479, the other direction: the highest id is taken once, and new keys are asked for."""
    link = Link(profile(reneg_s=0), kit())
    link.connect()
    link.rest(1)
    for packet_id in (0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFF, 0, 1):
        link.client.send(PACKET, packet_id=packet_id)
    link.run(lambda: link.has(Renegotiated), 10)
    assert len(link.inner) == 2
    assert link.counters.drops[DropReason.DATA_REPLAY] == 3
    alive(link)


def test_wrap_packet_ids_begin_a_new_window_at_their_end() -> None:
    """The control wrap's 32-bit ids go on under a later time, which a receiver takes as a new window."""
    link = Link(profile("tls-crypt"), kit("tls-crypt"))
    link.connect()
    link.negotiations.wrap._base._ids._next = 0xFFFFFFFE  # type: ignore[attr-defined]  # of this kind only
    seen = []
    for _ in range(3):
        link.negotiations.primary.send_message("INFO,x")  # type: ignore[union-attr]  # it is there
        [record] = link.session.poll(link.now, UNIX)
        seen.append((int.from_bytes(record[13:17], "big"), int.from_bytes(record[9:13], "big")))
        link.client.receive(record, link.now)
        give(link, *link.client.poll(link.now))
    assert seen[0][1] == 0xFFFFFFFF
    assert [number for _, number in seen[1:]] == [1, 2]
    assert seen[1][0] > seen[0][0]
    assert link.client.messages[1:] == ["INFO,x"] * 3


# -- epochs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", range(1, FUTURE_KEYS + 1))
def test_cve_2025_15497_epoch_jumps_that_may_be(jump: int) -> None:
    """CVE-2025-15497: a jump of exactly the number of future keys was an assert."""
    link = Link(profile(), kit(peer_info=EPOCH))
    link.connect()
    alive(link)
    link.client.send_epoch += jump
    alive(link)
    link.client.send_epoch -= jump  # the retiring one still opens
    alive(link)
    assert sum(link.counters.drops) == 0


@pytest.mark.parametrize("epoch", [0, 2 + FUTURE_KEYS, 3 + FUTURE_KEYS, 300])
def test_cve_2025_15497_epoch_jumps_that_may_not_be(epoch: int) -> None:
    """CVE-2025-15497: too far, or zero; authentic all the same, as only a client with the keys can make them."""
    link = Link(profile(), kit(peer_info=EPOCH))
    link.connect()
    if epoch:
        link.client.send_epoch = epoch
        give(link, link.client.seal(PACKET))
    else:
        record = bytearray(link.client.seal(PACKET))
        for number in (0, 0xFFFF, 0xFFFF - FUTURE_KEYS - 1, 0xF000):
            record[4:6] = number.to_bytes(2, "big")
            give(link, bytes(record))
    assert link.inner == []
    assert link.counters.drops[DropReason.BAD_DATA_EPOCH] == (1 if epoch else 4)
    link.client.send_epoch = 1
    alive(link)
    link.client.send_epoch = 2
    alive(link)
    link.client.send_epoch = 3
    alive(link)
    link.client.send_epoch = 1  # two epochs older: gone
    give(link, link.client.seal(PACKET))
    assert link.counters.drops[DropReason.BAD_DATA_EPOCH] == (2 if epoch else 5)


def test_cve_2017_7479_epoch_counters_never_wrap() -> None:
    """CVE-2017-7479 for the epoch format: a full counter moves the epoch on, the last epoch stops; we ask before."""
    link = Link(profile(reneg_s=0, ping_timeout_s=0), kit(peer_info=EPOCH))
    link.connect()
    alive(link)
    key = link.session.data.current
    assert key is not None
    records = key.records
    assert isinstance(records, EpochRecords)
    records._send.next_counter = LAST_COUNTER - 1
    sealed = [link.session.seal([PACKET, PACKET], link.now) for _ in range(2)]
    assert [[int.from_bytes(r[4:6], "big") for r in batch] for batch in sealed] == [[1, 1], [2, 2]]
    assert [int.from_bytes(r[6:12], "big") for r in sealed[1]] == [1, 2]
    for record in sealed[1]:
        link.client.receive(record, link.now)
    records._send.epoch, records._send.next_counter = LAST_EPOCH, LAST_COUNTER
    assert len(link.session.seal([PACKET], link.now)) == 1
    assert link.session.seal([PACKET], link.now) == []
    assert link.session.seal([PACKET] * 3, link.now) == []
    assert link.counters.drops[DropReason.NO_DATA_KEY] == 4
    link.run(lambda: link.has(Renegotiated), 120)


# -- data packets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BF-CBC", "DES-EDE3-CBC", "CAST5-CBC", "RC2-CBC", "DES-CBC", "none"])
def test_cve_2016_6329_no_cipher_of_64_bit_blocks(name: str) -> None:
    """CVE-2016-6329: such ciphers are not known, in whichever way they are offered."""
    with pytest.raises(ValueError, match="unknown data cipher"):
        DataFormat(name)
    for info in (f"IV_PROTO=6\nIV_CIPHERS={name}\n", "IV_PROTO=6\n"):
        link = Link(profile(), kit(peer_info=info, options=f"V4,dev-type tun,cipher {name}"))
        link.client.start(link.now)
        link.run(lambda link=link: link.session.ended is not None, 20)
        assert link.session.ended is not None
        assert link.session.ended.reason is DropReason.NO_SHARED_CIPHER


@pytest.mark.stress
@pytest.mark.parametrize("info", [PEER_INFO, CBC, EPOCH, "IV_PROTO=4\nIV_NCP=2\n"], ids=["AEAD", "CBC", "epoch", "V1"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_data_packet_is_opened_or_counted(info: str, data: st.DataObject) -> None:
    """Whole, cut, changed, and with any authentic payload."""
    link = Link(profile(ciphers=("AES-256-GCM", "AES-256-CBC")), kit(peer_info=info))
    link.client.cipher = "AES-256-GCM"
    link.connect()
    for _ in range(20):
        record = link.client.seal_payload(data.draw(st.one_of(st.binary(max_size=80), st.just(OCC_EXIT[:-1] + b"\0"))))
        cut = data.draw(st.integers(0, len(record)))
        flip = data.draw(st.integers(0, len(record) - 1))
        changed = bytes((byte ^ (at == flip) for at, byte in enumerate(record)))
        give(link, *data.draw(st.lists(st.sampled_from([record, record[:cut], changed, record[cut:]]), max_size=4)))
    assert link.session.ended is None or link.session.ended.reason is DropReason.PEER_EXIT


def test_cbc_padding_is_looked_at_only_behind_the_hmac() -> None:
    """No padding oracle: whatever follows a wrong HMAC is counted alike."""
    assert CbcRecords.open.__doc__ is not None
    link = Link(profile(ciphers=("AES-256-CBC",)), kit(peer_info=CBC))
    link.connect()
    record = link.client.seal(PACKET)
    for at in range(4, len(record)):
        give(link, record[:at] + bytes((record[at] ^ 1,)) + record[at + 1 :])
    assert drops(link) == {"DATA_AUTHENTICATION": len(record) - 4}
    assert KEY  # the static key is not what data is under
