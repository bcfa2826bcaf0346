"""Settings: every fault at once, and what is dumped can be loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_common import settings
from luytre_common.errors import ConfigError, UserError
from luytre_common.settings import at_least, at_most, host_port, not_empty, required, setting


@dataclass(frozen=True)
class Inner:
    """An inner table."""

    size: int = setting(4, "bytes", at_least(1), at_most(10))
    level: Literal["low", "high"] = setting("low", "how much")


@dataclass(frozen=True)
class Item:
    """One of several."""

    name: str = required("what it is called", not_empty)


@dataclass(frozen=True)
class Config:
    """The whole."""

    address: str = required("where to listen", host_port)
    ratio: float = setting(0.5, "a share")
    on: bool = setting(True, "whether it runs")
    folder: Path = setting(Path("/var/lib/x"), "where things are kept")
    tags: list[str] = setting([], "words")
    inner: Inner = setting(Inner(), "the inner table")
    item: list[Item] = setting([], "several")
    name: str | None = setting(None, "may be absent")


def build(**tables: object) -> Config:
    return settings.build(Config, tables)


def test_defaults_and_nested_tables() -> None:
    config = build(address="[::1]:7071", inner={"size": 9}, item=[{"name": "a"}], ratio=1)
    assert config == Config(address="[::1]:7071", inner=Inner(size=9), item=[Item("a")], ratio=1.0)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings.build(
            Config,
            {"adress": "x:1", "inner": {"size": 11, "level": "middle"}, "tags": ["a", 3], "on": "yes", "item": [{}]},
            Path("agent.toml"),
        )
    assert caught.value.exit_code == 2
    assert str(caught.value).splitlines() == [
        "agent.toml: adress: unknown key; did you mean address?",
        "agent.toml: address: missing; where to listen",
        'agent.toml: on: "yes" is not true or false',
        "agent.toml: tags[1]: 3 is not a string",
        "agent.toml: inner.size: 11 is too large; the most is 10",
        'agent.toml: inner.level: "middle" is not one of low, high',
        "agent.toml: item[0].name: missing; what it is called",
    ]


@pytest.mark.parametrize("value", ["nohost", ":1", "host:", "host:x", "host:65536", "::1:7071"])
def test_host_port_refuses(value: str) -> None:
    assert host_port(value) is not None


@pytest.mark.parametrize("value", ["host:0", "127.0.0.1:7071", "[::1]:65535"])
def test_host_port_accepts(value: str) -> None:
    assert host_port(value) is None


def test_a_bool_is_not_a_number() -> None:
    with pytest.raises(ConfigError, match=r"inner\.size: true is not a whole number"):
        build(address="h:1", inner={"size": True})


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        settings.load(Config, tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 1")
    with pytest.raises(UserError, match=r"broken\.toml: not TOML.*line 1"):
        settings.load(Config, broken)
    broken.write_bytes(b'a = "\xff"')
    with pytest.raises(UserError, match="not TOML"):
        settings.load(Config, broken)


@given(
    tags=st.lists(st.text()),
    folder=st.text(min_size=1).filter(lambda text: "\0" not in text),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    names=st.lists(st.text(min_size=1)),
)
def test_dump_is_what_load_reads(tags: list[str], folder: str, ratio: float, names: list[str]) -> None:
    import tomllib

    config = Config(address="h:1", tags=tags, folder=Path(folder), ratio=ratio, item=[Item(one) for one in names])
    assert settings.build(Config, tomllib.loads(settings.dump(config))) == config


def test_dump_explains_each_key() -> None:
    assert settings.dump(Config(address="h:1")).startswith('# where to listen\naddress = "h:1"\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"address = '\xff'", "not UTF-8 at byte 11"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"a = " + b"9" * 5000, "not TOML: "),
        (b"\xef\xbb\xbfa = 1", "not TOML: "),
    ],
)
def test_what_is_not_toml_is_one_line(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text)
    with pytest.raises(UserError, match=said) as raised:
        settings.load(Config, path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("port", ["7" * 5000, "٧٠٧١", "-1", "65536", "+1", " 1", ""])
def test_odd_ports(port: str) -> None:
    assert host_port(f"host:{port}") is not None


def test_paths_and_numbers_that_the_system_cannot_take() -> None:
    with pytest.raises(ConfigError) as raised:
        build(address="a:1", folder="a\0b", inner={"size": 2**63})
    assert len(raised.value.faults) == 2
    assert "folder" in raised.value.faults[0] + raised.value.faults[1]
    with pytest.raises(ConfigError, match="cannot be a path"):
        build(address="a:1", folder="")


def test_an_overlay_changes_what_it_gives_and_nothing_else() -> None:
    config = build(address="a:1", tags=["a"], inner={"size": 3})
    changed = settings.overlay(config, {"inner": {"level": "high"}, "ratio": 1})
    assert changed == build(address="a:1", tags=["a"], inner={"size": 3, "level": "high"}, ratio=1.0)
    assert settings.overlay(config, {}) == config


def test_an_overlay_is_checked_as_a_file_is() -> None:
    config = build(address="a:1")
    with pytest.raises(ConfigError) as caught:
        settings.overlay(config, {"inner": {"size": 11, "sise": 1}, "on": "yes", "item": [{}], "x": {}, "name": {}})
    assert caught.value.faults == (
        "inner.size: 11 is too large; the most is 10",
        "inner.sise: unknown key; known here: level, size",
        'on: "yes" is not true or false',
        "item[0].name: missing; what it is called",
        "x: unknown key; known here: address, folder, inner, item, name, on, ratio, tags",
        "name: {} is not a string",
    )
    with pytest.raises(ConfigError, match="inner: 3 is not a table"):
        settings.overlay(config, {"inner": 3})
