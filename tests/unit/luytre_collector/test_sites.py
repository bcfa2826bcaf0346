"""The file of sites: what it declares, and every fault of it at once."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_collector import sites
from luytre_collector.sites import Organisation, Sites, System
from luytre_common.errors import ConfigError, UserError

GOOD = """
[[organisations]]
id = "hue"
name = "Hue City"
name_vi = "Thành phố Huế"
[[organisations]]
id = "hue-kim-long"
name_vi = "Phường Kim Long"
parent = "hue"
[[systems]]
id = "hue-portal"
organisation = "hue"
level = 3
agents = ["hue-portal-*", "hue-db-?"]
[[systems]]
id = "kim-long"
organisation = "hue-kim-long"
level = 2
agents = ["hue-*"]
"""


def read(folder: Path, text: str) -> Sites:
    path = folder / "sites.toml"
    path.write_text(text, encoding="utf-8")
    return sites.read(sites.Config(path))


def test_an_agent_belongs_to_the_first_system_that_names_it(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    systems = {name: found.system_of(name) for name in ("hue-portal-1", "hue-db-7", "hue-db-77", "hue-1", "da-nang-1")}
    assert {name: one.id if one else None for name, one in systems.items()} == {
        "hue-portal-1": "hue-portal", "hue-db-7": "hue-portal", "hue-db-77": "kim-long", "hue-1": "kim-long",
        "da-nang-1": None,
    }  # fmt: skip
    assert found.path("hue-kim-long") == ("hue", "hue-kim-long")
    assert found.path("hue") == ("hue",)
    assert found.path("") == ()


def test_names_are_written_in_one_way(tmp_path: Path) -> None:
    found = read(tmp_path, unicodedata.normalize("NFD", GOOD))
    assert found.organisations[0].name_vi == unicodedata.normalize("NFC", "Thành phố Huế")


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert sites.read(sites.Config()) == sites.NONE
    with pytest.raises(UserError, match=r"No such file or directory; see sites\.file"):
        sites.read(sites.Config(tmp_path / "gone.toml"))


def test_every_fault_is_named(tmp_path: Path) -> None:
    text = """
[[organisations]]
id = "a"
parent = "b"
[[organisations]]
id = "b"
parent = "a"
[[organisations]]
id = "c"
parent = "nowhere"
[[organisations]]
id = "c"
[[systems]]
id = "s"
organisation = "d"
level = 2
agents = ["web-*", "web-*"]
[[systems]]
id = "s"
organisation = "c"
level = 2
agents = ["x"]
[[systems]]
id = "t"
organisation = "c"
level = 2
agents = ["x", "web-*"]
"""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert [fault.partition(";")[0] for fault in caught.value.faults] == [
        'organisations: the id "c" is there 2 times',
        'systems: the id "s" is there 2 times',
        'organisations[0].parent: "a" is above itself',
        'organisations[1].parent: "b" is above itself',
        'organisations[2].parent: "nowhere" is not declared',
        'systems[0].organisation: "d" is not declared',
        'systems[2].agents: "x" belongs to system "s" already',
        'systems[2].agents: "web-*" belongs to system "s" already',
    ]
    assert all(line.startswith(f"{tmp_path}/sites.toml: ") for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('[[organisations]]\nid = "a b"', 'organisations[0].id: "a b" is not an id'),
        ('[[organisations]]\nid = ""', 'organisations[0].id: "" is not an id'),
        ('[[organisation]]\nid = "a"', "organisation: unknown key; did you mean organisations?"),
        ('[[systems]]\nid = "a"', "systems[0].level: missing"),
        ('[[systems]]\nid = "a"\norganisation = "o"\nlevel = 6\nagents = []', "systems[0].level: 6 is too large"),
        ('[[systems]]\nid = "a"\norganisation = "o"\nlevel = 0\nagents = []', "systems[0].level: 0 is too small"),
        ('[[systems]]\nid = "a"\norganisation = "o"\nlevel = 1\nagents = []', "[0].agents: [] must not be empty"),
    ],
)  # fmt: skip
def test_a_fault_of_an_entry(tmp_path: Path, entry: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, entry)
    assert complaint in str(caught.value)


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdefg"), max_size=6))
def test_a_path_ends_whatever_is_above_what(above: dict[str, str]) -> None:
    declared = Sites([Organisation(one, parent=parent) for one, parent in above.items()])
    for one in above:
        path = declared.path(one)
        assert path[-1] == one
        assert len(set(path)) == len(path)


@given(
    st.lists(st.lists(st.text("ab-*?[].", min_size=1, max_size=4), min_size=1, max_size=3), max_size=6),
    st.text("ab-.[]", max_size=4),
)
def test_the_first_pattern_that_fits_counts(patterns: list[list[str]], agent: str) -> None:
    declared = Sites([Organisation("o")], [System(f"s{at}", "o", 1, some) for at, some in enumerate(patterns)])
    first = next((one for one in declared.systems if sites.matches(agent, one.agents)), None)
    assert declared.system_of(agent) == first


def test_many_systems(tmp_path: Path) -> None:
    """As many as communes."""
    wards = [f"ward-{number:04d}" for number in range(3300)]
    declared = Sites([Organisation("o")], [System(one, "o", 2, [f"{one}-*", f"{one}.*"]) for one in wards])
    found = [declared.system_of(f"{one}-1") for one in wards]
    assert [one.id for one in found if one] == wards


def test_systems_and_organisations_that_are_not_there() -> None:
    declared = Sites([Organisation("o")], [System("s", "o", 1, ["x"])])
    assert declared.unknown("systems", ["s", "t"]) == ["t"]
    assert declared.unknown("organisations", ["o", "s"]) == ["s"]


def test_the_shipped_file_is_good() -> None:
    path = Path(__file__).parents[3] / "deploy/config/sites.toml"
    found = sites.read(sites.Config(path))
    assert [system.level for system in found.systems] == [3, 2]
    assert found.path("hue-kim-long") == ("hue", "hue-kim-long")
