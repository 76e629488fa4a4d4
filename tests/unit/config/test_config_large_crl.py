"""Lists of revoked certificates: ten thousand are embedded and judge; beyond the bound both sizes are told."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from tests.unit.config.config_samples import block, config_text
from tests.unit.openvpn.link import authority, client_identity
from tests.world.today import UNIX

from hognose.base.pem import load_certificates
from hognose.config import blockfile
from hognose.config.embed import embed
from hognose.config.parser import parse
from hognose.errors import ConfigError
from hognose.limits import CRL_ENTRIES
from hognose.openvpn.tls.certificates import to_der
from hognose.openvpn.tls.crl import RevocationLists

SERIAL = 1 << 127  # as long as easy-rsa's are


@cache
def crl(entries: int, serial: int = SERIAL) -> str:
    """Alice is the last one on it."""
    serials = range(serial, serial + entries - 1)
    return authority().revocation_list(client_identity("alice"), start_days=-1, serials=serials)


@cache
def embedded(entries: int) -> str:
    """A config with a list from a file."""
    return embed(config_text("crl-verify crl.pem\n"), "f", lambda _: crl(entries))[0]


def test_ten_thousand() -> None:
    text = embedded(10_000)
    assert len(text) == blockfile.MAX_BYTES
    config, _ = parse(blockfile.decode(text.encode(), "f", block_device=True), "f")
    lists = RevocationLists(config.tls.crl, load_certificates(authority().pem))
    chains = [(to_der(client_identity(name).certificate),) for name in ("alice", "bob")]
    told = [lists.check(chain, UNIX) for chain in chains]
    assert told[0].endswith("is revoked")
    assert told[1] == ""


def test_one_hundred_fit_without_more_room() -> None:
    assert len(embedded(100)) == 65_536


@pytest.mark.parametrize(
    "taken",
    [
        lambda pem: parse(config_text(block("crl-verify", pem)), "f"),
        lambda pem: RevocationLists(pem, load_certificates(authority().pem)),
    ],
)
def test_the_bound_counts_all_lists(taken: Callable[[str], object]) -> None:
    halves = crl(CRL_ENTRIES // 2, 1 << 8), crl(CRL_ENTRIES // 2 + 1, 1 << 8)
    taken(halves[0] * 2)
    with pytest.raises(ConfigError, match=r"crl-verify: 16385 revoked certificates, more than 16384"):
        taken(halves[0] + halves[1])


def test_what_the_device_cannot_hold_is_told_with_its_size() -> None:
    with pytest.raises(ConfigError, match=r"^f: 11\d{5} bytes when embedded, larger than 1048576 bytes$"):
        embedded(CRL_ENTRIES)
