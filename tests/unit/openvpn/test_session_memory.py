"""Memory stays flat: floods of tls-crypt-v2 resets, certificates of odd kinds, sessions that come and go."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from tests.unit.openvpn.link import START, Link, authority, client_identity, kit, profile
from tests.unit.openvpn.stages import at_stage, control, v3_reset
from tests.world.pki import Identity, name_of
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Established
from hognose.wire import openvpn as wire

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


def resident() -> int:
    """Bytes of this process in memory: what leaks in Python or in OpenSSL is in it."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def growth(work: Callable[[int], None], warm_up: int, count: int) -> int:
    """Growth of the process in bytes over `count` rounds, after some to warm up."""
    for number in range(warm_up):
        work(number)
    before = resident()
    for number in range(count):
        work(number)
    return resident() - before


def test_a_refused_client_leaves_no_circle_of_objects() -> None:
    """Its memory is free at once, without the collector: an exception kept in a frame of its traceback is a circle."""
    identity, _ = odd_certificates()["huge name"]
    settings = profile()

    def refused() -> None:
        link = Link(settings, kit(cert=identity.cert, key=identity.key))
        link.client.start(link.now)
        link.run(lambda: link.session.ended is not None, 20)

    refused()
    gc.collect()
    gc.disable()
    try:
        refused()
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.stress
@pytest.mark.parametrize("kind", ["good", "bad tag", "no key of ours", "short"])
def test_cve_2026_12932_cve_2026_13698_floods_of_v3_resets(kind: str) -> None:
    """CVE-2026-12932, CVE-2026-13698: metadata and keys of every reset were lost memory. 10,000 of each kind."""
    record = v3_reset()
    record = {
        "good": record,
        "bad tag": record[:20] + bytes((record[20] ^ 1,)) + record[21:],
        "no key of ours": record[:-40] + bytes((record[-40] ^ 1,)) + record[-39:],
        "short": record[:-100] + record[-2:],
    }[kind]
    counters = Counters()
    ours = profile("tls-crypt-v2")

    def work(number: int) -> None:
        session = Session(ours, random=os.urandom, now=START, unix=UNIX, counters=counters)
        session.receive([record], START, UNIX)
        assert (session.ended is None) == (kind == "good")
        session.poll(START, UNIX)

    assert growth(work, 1000, 10_000) < 2 * MIB


@pytest.mark.stress
def test_cve_2026_12932_resets_repeated_inside_one_session() -> None:
    """CVE-2026-12932: the same within one session, with fresh packet ids each time."""
    link = at_stage("established", "tls-crypt-v2")
    body = bytes(1) + bytes(4)

    def work(number: int) -> None:
        record = control(link.client, wire.HARD_RESET_CLIENT_V3, 0, body)
        link.session.receive([record], link.now, UNIX)
        link.session.poll(link.now, UNIX)

    assert growth(work, 500, 5_000) < 2 * MIB
    assert link.session.ended is None


def odd_names() -> list[x509.DNSName]:
    return [x509.DNSName(f"host{number}.example.org") for number in range(400)]


def odd_certificates() -> dict[str, tuple[Identity, str]]:
    """Certificates that should not exist, and the name under which they get in ("" = refused)."""
    ca = authority()

    def issue(name: str, **more: Any) -> Identity:
        return ca.issue(name, start_days=-400, days=4000, **more)

    return {
        "many alternative names": (issue("san", extensions=[x509.SubjectAlternativeName(odd_names())]), "san"),
        "NUL in the name": (issue("alice\0evil"), ""),
        "NUL behind the name": (issue("alice\0"), ""),
        "no name": (issue("", subject=name_of((NameOID.ORGANIZATION_NAME, "nobody"))), ""),
        "empty name": (issue("", subject=name_of((NameOID.COMMON_NAME, ""))), ""),
        "two names": (
            issue("", subject=name_of((NameOID.COMMON_NAME, "one"), (NameOID.COMMON_NAME, "alice"))),
            "alice",
        ),
        "huge name": (issue("n" * 60_000), ""),
        "many parts": (
            issue("", subject=name_of(*[(NameOID.ORGANIZATIONAL_UNIT_NAME, f"unit {n}") for n in range(200)],
                                      (NameOID.COMMON_NAME, "parts"))),
            "parts",
        ),
        "escape sequence": (issue("\x1b[2Jalice"), ""),
        "line feed": (issue("alice\nclient_established"), ""),
    }  # fmt: skip


@pytest.mark.stress
@pytest.mark.parametrize("kind", sorted(odd_certificates()))
def test_cve_2017_7521_cve_2017_7522_certificates_of_odd_kinds(kind: str) -> None:
    """CVE-2017-7521, CVE-2017-7522: names with NULs are not cut short, and nothing is lost over 60 connects each."""
    identity, name = odd_certificates()[kind]
    seen: set[str] = set()

    def work(number: int) -> None:
        link = Link(profile(), kit(cert=identity.cert, key=identity.key))
        link.client.start(link.now)
        link.run(lambda: link.has(Established) or link.session.ended is not None, 20)
        seen.add("" if link.negotiations.primary is None else link.negotiations.primary.common_name)
        if link.session.ended is not None:
            seen.add("")
            assert not link.has(Established)
            seen.add(link.session.ended.reason.name)

    grown = growth(work, 20, 60)
    if name:
        assert seen == {name}
    else:
        assert "alice" not in seen
        assert seen & {DropReason.CERTIFICATE_REJECTED.name, DropReason.TLS_ERROR.name}
    assert grown < 4 * MIB


@pytest.mark.stress
def test_cve_2017_7521_connects_of_one_client_over_and_over() -> None:
    """CVE-2017-7521: whole connects, each with a renegotiation, in one process. What is lost per connect shows."""
    identity = client_identity()

    def work(number: int) -> None:
        link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2", cert=identity.cert, key=identity.key))
        link.connect()
        link.client.renegotiate(link.now)
        link.run(lambda: len(link.client.data_keys) == 2, 10)
        link.client.say("EXIT", link.now)
        link.run(lambda: link.session.ended is not None, 10)

    assert growth(work, 60, 300) < 4 * MIB
