"""What a policy may set is held against what the agent can be told: both ends mean the same by a key."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import config
from luytre_common import settings
from luytre_common.policy import ALLOWED, Allowed

CONFIG = settings.build(
    config.Config,
    {
        "tls": {"authority": "/a", "certificate": "/b", "key": "/c"},
        "uplink": {"collector": "collector.example:7071"},
    },
)

#: What must never be set from afar: by name or by what it is.
NEVER = ("tls.", "uplink.", "spool.", "agent.", "policy.", "sources.replay.")


def values(one: Allowed) -> list[Any]:
    """Values of a key, those at the edges among them."""
    match one.kind:
        case "switch":
            return [True, False]
        case "on":
            return [True]
        case "whole":
            return [int(one.least), int(one.most)]
        case "number":
            return [one.least, one.most, int(one.most)]
        case "choice":
            return list(one.choices)
        case "interfaces":
            return [[], ["auto"], ["eth0", "bond0.12"]]
        case "paths":
            return [[], ["/var/www", "/srv/cổng thông tin"]]
        case _:
            return [[], ["token-([a-z]+)"]]


@pytest.mark.parametrize("one", ALLOWED.values(), ids=lambda one: one.key)
def test_the_agent_takes_every_value_that_is_allowed(one: Allowed) -> None:
    for value in values(one):
        assert one.fault(value) is None
        tables: dict[str, Any] = {}
        *parts, name = one.key.split(".")
        inner = tables
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[name] = value
        changed: Any = settings.overlay(CONFIG, tables)
        for part in (*parts, name):
            changed = getattr(changed, part)
        assert changed == value


def test_none_of_what_must_never_be_set_is_allowed() -> None:
    assert not [key for key in ALLOWED if key.startswith(NEVER)]


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    if not dataclasses.is_dataclass(value):
        return {prefix[:-1]: value}
    found: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        found |= leaves(getattr(value, field.name), f"{prefix}{field.name}.")
    return found


def test_no_path_of_the_agents_own_is_allowed() -> None:
    """Only `files` takes paths, as text, to be watched: a setting of type Path is read, run or written to."""
    paths = {
        key
        for key, value in leaves(CONFIG).items()
        if isinstance(value, Path) or (isinstance(value, list) and any(isinstance(one, Path) for one in value))
    }
    assert "sources.state_directory" in paths
    assert "sources.logins.auth_logs" in paths
    assert not paths & set(ALLOWED)
    assert {key for key, one in ALLOWED.items() if one.kind == "paths"} == {
        "sources.files.web_roots",
        "sources.files.paths",
        "sources.files.exclude",
    }
