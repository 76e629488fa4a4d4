"""ACK filtering: only what a later ACK says better is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw

from hognose.ip.ack_filter import KEEP_ONE_IN, thin_acks


def ack(number: int, *, dport: int = 80, options: object = (), payload: bytes = b"", **fields: object) -> bytes:
    ip = {name[3:]: fields.pop(name) for name in list(fields) if name.startswith("ip_")}
    header = TCP(
        **{"sport": 5000, "dport": dport, "seq": 9, "ack": number % 2**32, "flags": "A", **fields}, options=options
    )
    return bytes(IP(src="10.8.0.2", dst="1.2.3.4", **ip) / header / Raw(payload))


def stamped(number: int, value: int = 1) -> bytes:
    return ack(number, options=[("NOP", None), ("NOP", None), ("Timestamp", (value, 1))])


def test_the_last_of_a_row_stays() -> None:
    assert thin_acks([ack(1), ack(2), ack(3)]) == [ack(3)]
    assert thin_acks([stamped(1, 1), stamped(2, 2)]) == [stamped(2, 2)]


def test_the_window_of_the_last_counts() -> None:
    assert thin_acks([ack(1, window=5), ack(2, window=0)]) == [ack(2, window=0)]


def test_across_the_wrap_and_never_backwards() -> None:
    assert thin_acks([ack(2**32 - 5), ack(5)]) == [ack(5)]
    backwards = [ack(5), ack(2**32 - 5)]
    assert thin_acks(backwards) is backwards


def test_duplicates_count_for_fast_retransmit() -> None:
    packets = [ack(7), ack(7), ack(7), ack(7)]
    assert thin_acks(packets) is packets


def test_flows_are_apart_and_order_is_kept() -> None:
    data = ack(1, payload=b"data")
    packets = [ack(1), ack(1, dport=81), data, ack(2), ack(2, dport=81), ack(9, dport=82)]
    assert thin_acks(packets) == [data, ack(2), ack(2, dport=81), ack(9, dport=82)]


def test_at_least_one_in_so_many_stays() -> None:
    packets = [ack(number) for number in range(1, 2 * KEEP_ONE_IN + 1)]
    assert thin_acks(packets) == [packets[KEEP_ONE_IN - 1], packets[-1]]


SACK = [("NOP", None), ("NOP", None), ("SAck", (1, 2))]
STRANGE = {
    "data": ack(1, payload=b"x"),
    "data of twelve bytes": ack(1, payload=bytes(12)),
    "SACK": ack(1, options=SACK),
    "fin": ack(1, flags="FA"),
    "ECN echo": ack(1, flags="EA"),
    "push": ack(1, flags="PA"),
    "other seq": ack(1, seq=10),
    "other TOS": ack(1, ip_tos=4),
    "fragment": ack(1, ip_flags="MF"),
    "other length": ack(1, ip_len=41),
    "not TCP": bytes(IP(src="10.8.0.2", dst="1.2.3.4") / UDP() / Raw(bytes(12))),
    "not IPv4": b"\x60" + bytes(39),
    "urgent": ack(1, flags="UA"),
    "accurate ECN": ack(1, flags="NA"),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_everything_else_stays(strange: bytes) -> None:
    packets = [strange, ack(2)]
    assert thin_acks(packets) is packets


def test_nothing_to_do() -> None:
    packets: list[bytes] = []
    assert thin_acks(packets) is packets


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.sampled_from((b"", b"", b"x"))), max_size=40))
def test_the_receiver_of_acks_knows_as_much_at_the_end(steps: list[tuple[int, int, bytes]]) -> None:
    packets = [ack(number, dport=80 + flow, payload=payload) for flow, number, payload in steps]
    thinned = thin_acks(packets)
    remaining = iter(packets)
    assert all(packet in remaining for packet in thinned)  # a subsequence
    for flow in range(4):
        mine = [number for where, number, _ in steps if where == flow]
        kept = [IP(packet).ack for packet in thinned if IP(packet).dport == 80 + flow]
        assert (kept[-1:], max(kept, default=None)) == (mine[-1:], max(mine, default=None))


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_garbage_stays(packets: list[bytes]) -> None:
    assert len(thin_acks(packets)) <= len(packets)
