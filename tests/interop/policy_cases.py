"""Access rules and versions of TLS: the same checks hosted, under qemu and as a guest of solo5-hvt."""

from __future__ import annotations

import pytest
from tests.interop.cases import GATEWAY, Setting, block
from tests.world.server import Server

from hognose.config import tls_capabilities as image
from hognose.config.parser import parse
from hognose.errors import ConfigError

TLS = ("tls-groups prime256v1", "tls-version-max 1.2", "tls-cipher TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256")


def check_names_and_tls(setting: Setting, carrier: str) -> None:
    """With ccd-exclusive only clients named like a file; TLS as the table says that it can be set, and its library."""
    ccd = block("client-config-dir", "[DEFAULT]\n[UNDEF]\n[a_b]\n")
    with setting.server(carrier, extra=(*TLS, "ccd-exclusive", ccd)) as server:
        ready = server.event("ready", 90)
        if carrier != "hosted":
            assert (ready["openssl"], ready["cryptography"]) == (image.OPENSSL, image.CRYPTOGRAPHY)
        for count, name in enumerate(("DEFAULT", "a/b"), 1):
            with setting.client("c1", common_name=name, label=f"-{count}") as client:
                refused = server.event("client_refused", 60, count)
                client.process.wait_for("AUTH_FAILED", 20)
            assert refused["common_name"] == name
            assert refused["reason"].startswith("not in the server's client-config-dir: ")
        with setting.client("c2", common_name="UNDEF") as client:
            client.connected()
            assert client.ping(GATEWAY, 1)
            assert server.event("client_established")["tls"] == "TLSv1.2"
            assert "ECDHE-ECDSA-AES128-SHA256" in client.log


def check_a_boot_refuses_what_check_refuses(setting: Setting, carrier: str) -> None:
    """Status 3, and the words with which `hognose config check` refuses the same text."""
    text = setting.config(extra=("tls-groups X25519:prime256v1:secp384r1",))
    with pytest.raises(ConfigError) as caught:
        parse(text, "server.conf")
    words = str(caught.value).removeprefix("server.conf")  # the file has another name in each world
    assert ": tls-groups: the image's TLS can be told one of " in words
    with Server(carrier, setting.topology.namespaces, text.encode(), setting.folder) as server:
        server.process.wait_for(r"config_error .*tls-groups", 90)
        assert server.process.wait(60) in ((0, 3) if carrier == "nested" else (3,))
        assert words in server.log
