"""PEM texts to certificates and revocation lists: what both readers of them, config and TLS, take and refuse."""

from __future__ import annotations

import pytest
from tests.unit.config.config_samples import block, config_text, crl_pem
from tests.unit.openvpn.link import authority, server_identity

from hognose.base.pem import LISTS_MAX, TooManyListsError, load_certificates, load_der, load_revocation_lists
from hognose.config.parser import parse
from hognose.errors import ConfigError
from hognose.openvpn.tls.crl import RevocationLists

CUT = crl_pem().replace("-----END X509 CRL-----", "")
BROKEN = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


def test_every_list_of_a_text_whatever_stands_between() -> None:
    text = f"of the office\n{crl_pem()}and of the\n\n{crl_pem()}"
    assert len(load_revocation_lists(text)) == 2
    assert load_revocation_lists("no list\n") == []
    assert len(load_revocation_lists(crl_pem() * LISTS_MAX)) == LISTS_MAX


def test_too_many_lists() -> None:
    with pytest.raises(TooManyListsError, match="more than 64 CRLs"):
        load_revocation_lists(crl_pem() * (LISTS_MAX + 1))


@pytest.mark.parametrize("text", [BROKEN, crl_pem() + BROKEN, crl_pem() + CUT, CUT + crl_pem()])
def test_a_damaged_list_among_good_ones(text: str) -> None:
    with pytest.raises(ValueError, match="is damaged"):
        load_revocation_lists(text)


@pytest.mark.parametrize("text", ["nothing", crl_pem() * (LISTS_MAX + 1), crl_pem() + BROKEN, crl_pem() + CUT])
def test_a_config_is_refused_for_what_the_boot_refuses(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f:6: crl-verify: "):
        parse(config_text(block("crl-verify", text)), "f")
    with pytest.raises(ConfigError, match="crl-verify: "):
        RevocationLists(text, load_certificates(authority().pem))


def test_certificates_in_their_order() -> None:
    first, second = load_certificates(server_identity().cert + authority().pem)
    assert second.subject == first.issuer
    for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match=r"^no readable certificate$"):
            load_certificates(text)
    with pytest.raises(ValueError, match=r"^no readable certificate$"):
        load_der(b"\x30\x03\x02\x01\x01")
