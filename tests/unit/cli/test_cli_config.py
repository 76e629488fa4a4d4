"""`hognose config …` and `openvpn-config-parser` as a user meets them: status, both streams, never a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hognose.cli import config_parser, config_tool, main, reference
from hognose.config import blockfile
from hognose.config.parser import parse
from hognose.errors import ConfigError

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "config"
SERVER_CONF = str(VECTORS / "server.conf")

_WITH_FILE = b"proto tcp\ndev tun\nserver 10.8.0.0 255.255.255.0\nca %s\ncert x\nkey x\n"


def run_tool(module: str, *words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The tool as a process of its own."""
    return subprocess.run([sys.executable, "-m", module, *words], capture_output=True, check=False, **options)


def test_embed_by_both_names(capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    assert main.run(["config", "embed", SERVER_CONF]) == 0
    output, errors = capsysbinary.readouterr()
    assert len(output) % 512 == 0
    assert errors.decode().count("warning: ") == 6
    assert config_parser.run(["--server", SERVER_CONF]) == 0
    assert capsysbinary.readouterr().out == output
    assert config_parser.run([SERVER_CONF, "--server", "--block-size=4096"]) == 0
    assert len(capsysbinary.readouterr().out) == 4096
    again = tmp_path / "server.conf.full"
    again.write_bytes(output + bytes(512))  # as read back from a larger block device
    assert config_tool.run(["embed", str(again)]) == 0
    assert capsysbinary.readouterr().out == output


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert config_tool.run(["check", SERVER_CONF]) == 0
    output, errors = capsys.readouterr()
    lines = output.splitlines()
    assert errors == ""
    assert lines[0].startswith(f"warning: {SERVER_CONF}:7: dh: ignored: ")
    assert lines[-1] == f"{SERVER_CONF}: OK, serves tcp port 1194"


@pytest.mark.parametrize("kind", ["none", "optional"])
def test_no_authentication_must_be_asked_for(kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As the boot: status 3 and the line, unless the server will be told the same."""
    make_folder(tmp_path)
    path = str(tmp_path / "open.conf")
    lines = (VECTORS / "server.conf").read_text()
    Path(path).write_text(f"{lines}verify-client-cert {kind}\n")
    line = len(lines.splitlines()) + 1
    with_flag = "--really-no-authentication"
    for words in (["config", "check", path], ["config", "embed", path]):
        assert main.run(words) == 3
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith(f"{path}:{line}: verify-client-cert: with `{kind}` anybody could connect; write ")
        assert main.run([*words[:2], with_flag, path]) == 0
        output, errors = capsys.readouterr()
        assert f"warning: {path}:{line}: verify-client-cert: anybody can connect;" in output + errors
    assert config_parser.run(["--server", path]) == 3
    assert config_parser.run(["--server", with_flag, path]) == 0


@pytest.mark.parametrize(
    "extra",
    [
        "verify-client-cert none",
        "tls-groups X25519:prime256v1:secp384r1",
        "tls-cipher TLS-DHE-RSA-WITH-AES-256-GCM-SHA384",
        "tls-cipher TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384",
        "tls-ciphersuites TLS_AES_128_CCM_8_SHA256",
    ],
)
def test_check_and_embed_refuse_what_the_boot_refuses(
    extra: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The same status, line and words; the boot reads an embedded text with the same line, made without a check."""
    make_folder(tmp_path)
    lines = (VECTORS / "server.conf").read_text().splitlines()
    path = tmp_path / "server.conf"
    path.write_text("\n".join([extra, *lines]) + "\n")
    errors = []
    for words in (["check"], ["embed"]):
        assert config_tool.run([*words, str(path)]) == 3
        output, error = capsys.readouterr()
        assert output == ""
        errors.append(error)
    good = tmp_path / "good.conf"
    good.write_text("\n".join(["# nothing", *lines]) + "\n")
    assert config_tool.run(["embed", str(good)]) == 0
    embedded = capsys.readouterr().out
    with pytest.raises(ConfigError) as caught:
        parse(extra + "\n" + embedded.partition("# nothing\n")[2], str(path))
    assert errors == [f"{caught.value}\n"] * 2
    assert errors[0].startswith(f"{path}:1: {extra.split(maxsplit=1)[0]}: ")


def make_folder(tmp_path: Path) -> Path:
    """The handbook's config with its files, a directory of clients and a list of addresses."""
    for name in ("ca.crt", "server.crt", "server.key", "ta.key", "server.conf"):
        shutil.copy(VECTORS / name, tmp_path / name)
    ccd = tmp_path / "ccd"
    ccd.mkdir()
    (ccd / "alice").write_text("ifconfig-push 10.8.0.9\n")
    (ccd / ".alice.swp").write_bytes(b"\xff")
    (ccd / "old").mkdir()
    (tmp_path / "ipp.txt").write_text("bob,10.8.0.2\n")
    with (tmp_path / "server.conf").open("a") as file:
        file.write("client-config-dir ccd\n")
    return ccd


def test_a_directory_and_a_list_of_addresses_are_embedded(
    capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    make_folder(tmp_path)
    assert config_tool.run(["embed", str(tmp_path / "server.conf")]) == 0
    output = capsysbinary.readouterr().out
    assert b"\n<client-config-dir>\n[alice]\nifconfig-push 10.8.0.9\n</client-config-dir>\n" in output
    assert b"\n<ifconfig-pool-persist>\nbob,10.8.0.2\n</ifconfig-pool-persist>\n" in output
    assert blockfile.complete(output)
    (tmp_path / "again").write_bytes(output)
    assert config_tool.run(["embed", str(tmp_path / "again")]) == 0
    assert capsysbinary.readouterr().out == output
    again = tmp_path / "again"
    again.write_bytes(output.replace(b"keepalive 10 30", b"keepalive 10 40"))
    assert config_tool.run(["check", str(again)]) == 3
    error = f"{again}: does not match its marks: half written, or changed by hand: embed it again\n"
    assert capsysbinary.readouterr() == (b"", error.encode())
    assert config_tool.run(["embed", str(again)]) == 0
    output, errors = capsysbinary.readouterr()
    assert f"warning: {again}: was changed by hand".encode() in errors
    assert b"\nkeepalive 10 40\n" in output
    assert blockfile.complete(output)
    again.write_bytes(output[:65_024])
    for command in ("check", "embed"):
        assert config_tool.run([command, str(again)]) == 3
        error = f"{again}: the device has 65024 bytes, the config 65536\n"
        assert capsysbinary.readouterr() == (b"", error.encode())
    again.write_bytes(output.partition(b"\n")[2])
    assert config_tool.run(["embed", str(again)]) == 3
    assert b"embed the server.conf that it was made of, or take its marks away" in capsysbinary.readouterr().err


def test_directories_that_cannot_be_embedded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    ccd = make_folder(tmp_path)
    config = tmp_path / "server.conf"
    place = f"{config}:17: client-config-dir: cannot read ccd: "
    (ccd / "bob").write_bytes(b"\xff\n")
    assert config_tool.run(["check", str(config)]) == 3
    assert capsys.readouterr().err == place + "bob is not a text file\n"
    for name in ("bob", "carol"):
        (ccd / name).write_bytes(b"#\n" * 300_000)
    assert config_tool.run(["check", str(config)]) == 3
    assert capsys.readouterr().err == place + "its files are larger than 1048576 bytes together\n"
    shutil.rmtree(ccd)
    assert config_tool.run(["check", str(config)]) == 3
    assert capsys.readouterr().err == place + "No such file or directory\n"


@pytest.mark.parametrize("command", ["embed", "check"])
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("missing", None, ": cannot read: No such file or directory\n"),
        ("folder", "", ": cannot read: Is a directory\n"),
        ("empty", b"", ": empty"),
        ("binary", b"\x7fELF\0\0\1" + bytes(range(256)), ":1: a NUL byte inside"),
        ("latin", b"# \xe9t\xe9\n", ":1: not UTF-8"),
        ("huge", b"#" * (1 << 20) + b"\n", ": larger than 1048576"),
        ("wrong", b"proto tcp\nprot udp\n", ":2: prot: no directive of OpenVPN; did you mean proto?\n"),
        ("udp6", b"proto udp6\n", ":1: proto: `udp6` is not supported (yet): clients come over IPv4; write "),
        ("no-file", _WITH_FILE % b"x", ":4: ca: cannot read x: No such"),
        ("folder-file", _WITH_FILE % b".", ":4: ca: cannot read .: Is a"),
        ("big-file", _WITH_FILE % b"/dev/zero", ":4: ca: cannot read /dev/zero: larger"),
    ],
)  # fmt: skip
def test_errors_are_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
    content: bytes | str | None,
    expected: str,
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.mkdir()
    assert config_tool.run([command, str(path)]) == 3
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(f"{path}{expected}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frob"],
        ["embed"],
        ["check"],
        ["check", "a", "b"],
        ["check", "--all"],
        ["embed", "a", "b"],
        ["embed", "--frob", "a"],
        ["embed", "--block-size", "0", "a"],
        ["embed", "--block-size=x", "a"],
        ["embed", "--block-size=65537", "a"],
        ["embed", "--block-size=2M", "a"],
        ["embed", "--block-size=1000", "a"],
        ["embed", "a", "--block-size"],
        ["embed", "a", "-o"],
        ["embed", "a", "--update="],
        ["embed", "a", "--update", "b", "-o", "c"],
        ["embed", "a", "--update", "b", "--block-size", "64K"],
    ],
)
def test_wrong_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert config_tool.run(words) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert "usage: " in errors or "--block-size" in errors or "--update" in errors


@pytest.mark.parametrize("words", [["--client", "f"], ["f"], [], ["--server"], ["--server", "-x", "f"]])
def test_wrong_words_of_the_other_name(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert config_parser.run(words) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert "usage: openvpn-config-parser --server" in errors
    assert ("--client is not supported (yet)" in errors) == ("--client" in words)


def test_help_version_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    for words, beginning in (
        (["--help"], "usage: hognose serve"),
        (["-h"], "usage: hognose serve"),
        (["--version"], "hognose 0."),
        (["events"], "| event |"),
        (["config", "--help"], "usage: hognose config"),
        (["config", "directives"], "| directive |"),
        (["serve", "--help"], "usage: hognose serve"),
    ):
        assert main.run(words) == 0
        output, errors = capsys.readouterr()
        assert output.startswith(beginning)
        assert errors == ""
    assert config_parser.run(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: openvpn-config-parser")
    for words in ([], ["frob"], ["--version", "x"]):
        assert main.run(words) == 2
        assert capsys.readouterr().err.startswith("usage: hognose serve")


def test_the_tables_are_markdown() -> None:
    for table in (reference.directive_table(), reference.event_table()):
        rows = table.splitlines()
        assert rows[1].startswith("|---|")
        assert {row.count("|") for row in rows} == {rows[0].count("|")}


def test_the_entry_points(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["hognose", "--version"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 0
    monkeypatch.setattr(sys, "argv", ["openvpn-config-parser", "--server"])
    with pytest.raises(SystemExit) as ended:
        config_parser.main()
    assert ended.value.code == 2
    assert capsys.readouterr().out.startswith("hognose ")


def test_an_interrupt_and_a_full_disk_end_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    assert main.guarded(interrupted, []) == 130
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m hognose config embed "{SERVER_CONF}" > /dev/full'],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "hognose: No space left on device"
    assert b"Traceback" not in done.stderr


def test_a_reader_that_goes_away() -> None:
    script = f'"{sys.executable}" -m hognose config directives | true; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr


def test_the_output_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    for name in ("ca.crt", "server.crt", "server.key", "ta.key"):
        shutil.copy(VECTORS / name, tmp_path / name)
    text = (VECTORS / "server.conf").read_text() + "# Übergröße\n"
    (tmp_path / "server.conf").write_bytes(text.encode())
    environment = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run_tool("hognose", "config", "embed", str(tmp_path / "server.conf"), env=environment)
    assert done.returncode == 0
    assert "# Übergröße\n".encode() in done.stdout


@pytest.mark.skipif(shutil.which("openvpn") is None, reason="openvpn is not installed")
def test_openvpn_itself_accepts_the_output(tmp_path: Path) -> None:
    """It takes every option and loads every file, and stops where it would open the tun."""
    v2 = tmp_path / "v2"  # not where openvpn runs, which writes ipp.txt there
    v2.mkdir()
    for name in ("ca.crt", "server.crt", "server.key", "v2s.key"):
        shutil.copy(VECTORS / name, v2 / name)
    text = Path(SERVER_CONF).read_text().replace("tls-auth ta.key 0", "tls-crypt-v2 v2s.key force-cookie")
    (v2 / "server.conf").write_text(text)
    for source in (
        SERVER_CONF,
        str(VECTORS / "reference-tool.server.conf.full"),
        str(VECTORS / "reference-tool.tls-crypt-v2.server.conf.full"),
        str(v2 / "server.conf"),
    ):
        done = run_tool("hognose", "config", "embed", source)
        assert done.returncode == 0
        full = tmp_path / "server.conf.full"
        full.write_bytes(done.stdout)
        # A tun node that is not there: everything is read and checked, certificates too, and no interface is made.
        words = ["openvpn", "--config", str(full), "--dev-node", str(tmp_path / "none"), "--cd", str(tmp_path)]
        words += ["--user", "root", "--group", "root", "--dh", "none"]  # the reference tool leaves dh out
        told = subprocess.run(words, capture_output=True, check=False, timeout=60).stdout.decode()
        assert "Options error" not in told
        assert "Cannot open TUN/TAP dev" in told, told
