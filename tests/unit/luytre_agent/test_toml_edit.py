"""Settings into a file that a person has written."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.toml_edit import with_settings

WANTED = {("tls", "key"): "/new", ("uplink", "collector"): "soc:1"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '\n[tls]\nkey = "/new"\n\n[uplink]\ncollector = "soc:1"\n'),
        (
            '# mine\n[tls]  # yes\n  key="/old" # old\na = 1\n[spool]\nkey = "stays"\n',
            '# mine\n[tls]  # yes\nkey = "/new"\na = 1\n[spool]\nkey = "stays"\n\n[uplink]\ncollector = "soc:1"\n',
        ),
        (
            "[uplink]\n# collector = \n[tls]\n[[sources.packets.interface]]\nkey = 1\n",
            '[uplink]\ncollector = "soc:1"\n# collector = \n[tls]\nkey = "/new"\n[[sources.packets.interface]]\n'
            "key = 1\n",
        ),
    ],
)
def test_put(before: str, after: str) -> None:
    assert with_settings(before, WANTED) == after


@pytest.mark.parametrize(
    "text",
    [
        "tls = {}\n",
        "tls = 1\n",
        'a = """\n[tls]\n"""\n',
        "[tls]\nkey = [\n1]\n",
        'tls.key = "x"\n',
    ],
)
def test_what_cannot_be_done_safely_is_not_done(text: str) -> None:
    assert with_settings(text, WANTED) is None


def test_what_is_not_toml() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        with_settings("nonsense", WANTED)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=40))
def test_any_value(value: str) -> None:
    made = with_settings("[tls]\nkey = 1\n", {("tls", "key"): value})
    assert made is None or tomllib.loads(made)["tls"]["key"] == value
