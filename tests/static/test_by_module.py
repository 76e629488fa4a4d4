"""Every module of floors 0 to 3 has tests that `make unit M=` finds, and the table of tests/by_module.py is true."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import by_module
from tests.by_module import SOURCES, TABLE, UNIT, core, full_name, main, modules, named, owner, unit_tests


def test_every_module_of_the_core_has_tests() -> None:
    """Else: name a test file for it, or give it a line in TABLE."""
    names = core()
    assert len(names) > 100
    assert [name for name in names if not unit_tests(name)] == []


def test_the_table_names_modules_and_files_that_exist() -> None:
    """A module or a test file of the table that got another name has to get it there too."""
    words = [name.rpartition(".")[2] for name in modules()]
    assert [word for word in TABLE if words.count(word) != 1] == []
    wrong = []
    for stems in TABLE.values():
        for stem in stems:
            try:
                named(stem)
            except ValueError as error:
                wrong.append(str(error))
    assert wrong == []


def test_the_table_says_only_what_names_do_not() -> None:
    for word, stems in TABLE.items():
        name = full_name(word, modules())
        assert [stem for stem in stems if owner(named(stem), modules()) == name] == []
        assert len(set(stems)) == len(stems)


NAMES = ("link", "nat.nat", "nat.ports", "openvpn.tls", "openvpn.control.wrap", "openvpn.control.wrap_key")


@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("test_link.py", "link"),
        ("nat/test_nat.py", "nat.nat"),
        ("nat/test_nat_hairpin.py", "nat.nat"),
        ("nat/test_ports.py", "nat.ports"),
        ("nat/test_nat_ports.py", "nat.ports"),
        ("nat/test_nat_ports_of_icmp.py", "nat.ports"),
        ("nat/test_natural.py", ""),
        ("nat/test_link.py", ""),
        ("nat/test_tls.py", ""),
        ("test_nat.py", ""),
        ("openvpn/test_wrap.py", "openvpn.control.wrap"),
        ("openvpn/control/test_wrap_vectors.py", "openvpn.control.wrap"),
        ("openvpn/control/test_wrap_key.py", "openvpn.control.wrap_key"),
        ("openvpn/control/test_tls.py", ""),
        ("openvpn/control/test_control_wrap.py", "openvpn.control.wrap"),
    ],
)
def test_a_file_belongs_to_the_module_with_the_longest_fitting_name(file: str, module: str) -> None:
    assert owner(UNIT / file, NAMES) == module


def test_a_module_is_found_by_its_last_words() -> None:
    assert full_name("ports", NAMES) == "nat.ports"
    assert full_name("control.wrap", NAMES) == full_name("hognose.openvpn.control.wrap", NAMES) == NAMES[4]
    for word in ("rap", "control", ""):
        with pytest.raises(ValueError, match="no such module"):
            full_name(word, NAMES)
    with pytest.raises(ValueError, match=r"a\.x, b\.x"):
        full_name("x", ("a.x", "b.x"))


def test_a_module_without_its_own_tests_has_those_that_import_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its own folder alone, when there are any."""
    files = {
        "nat/test_far.py": "from hognose.nat import mapping\n",
        "nat/test_other.py": "import hognose.nat.mapping_kind\n",
        "router/test_one.py": "def test():\n    import hognose.nat.mapping\n    from hognose.wire.tag import Tag\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(by_module, "UNIT", tmp_path)
    monkeypatch.setattr(by_module, "_test_files", lambda: sorted(tmp_path.rglob("test_*.py")))
    monkeypatch.setattr(by_module, "_owners", dict)
    assert unit_tests("nat.mapping") == [tmp_path / "nat/test_far.py"]
    assert unit_tests("wire.tag") == [tmp_path / "router/test_one.py"]
    assert unit_tests("wire.other") == []


def test_the_command_prints_files_or_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wire.checksum"]) == 0
    assert capsys.readouterr().out == "tests/unit/wire/test_checksum.py\n"
    assert main(["no_such_module"]) == 1
    assert main([]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "no_such_module" in said.err
    assert not (SOURCES / "no_such_module.py").exists()
