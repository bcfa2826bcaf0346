"""`deploy/policy` shows what the table says. `LUYTRE_WRITE_GOLDEN=1` writes it; read it by eye."""

from __future__ import annotations

import json
import os
from pathlib import Path

from luytre_common.policy import ALLOWED, read, schema

SHOWN = Path(__file__).parents[4] / "deploy/policy"


def hold(name: str, text: str) -> None:
    if os.environ.get("LUYTRE_WRITE_GOLDEN"):
        (SHOWN / name).write_text(text)
    assert (SHOWN / name).read_text() == text


def test_the_page_is_the_table() -> None:
    hold("ALLOWED.md", schema.markdown())


def test_the_schema_is_the_table() -> None:
    hold("policy.schema.json", json.dumps(schema.json_schema(), ensure_ascii=False, indent=1) + "\n")


def test_every_key_is_in_the_schema() -> None:
    def keys(table: dict[str, object], prefix: str = "") -> set[str]:
        inner = table.get("properties")
        if not isinstance(inner, dict):
            return {prefix[:-1]}
        return {key for name, one in inner.items() for key in keys(one, f"{prefix}{name}.")}

    assert keys(schema.json_schema()["properties"]["settings"]) == set(ALLOWED)


def test_the_example_is_good() -> None:
    document = read((SHOWN / "example.toml").read_bytes())
    assert document.names("portal-03")
    assert document.settings
