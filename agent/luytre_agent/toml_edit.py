"""Settings into a TOML file that a person has written: comments and everything else stay."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

_TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?")
_ANY_TABLE = re.compile(r"\s*\[.*")


def with_settings(text: str, wanted: Mapping[tuple[str, str], str]) -> str | None:
    """The text with these strings, by table and key. None if that cannot be done safely: the result is read back, and
    nothing but the wanted settings may have changed."""
    tables = tomllib.loads(text)
    lines = text.splitlines()
    for (table, key), value in wanted.items():
        _put(lines, table, key, f"{key} = {json.dumps(value)}")
    made = "\n".join(lines) + "\n"
    try:
        found = tomllib.loads(made)
    except tomllib.TOMLDecodeError:
        return None
    return made if found == _expected(tables, wanted) else None


def _put(lines: list[str], table: str, key: str, line: str) -> None:
    begin = next((at for at, one in enumerate(lines) if (found := _TABLE.fullmatch(one)) and found[1] == table), None)
    if begin is None:
        lines.extend(["", f"[{table}]", line])
        return
    at = begin + 1
    while at < len(lines) and not _ANY_TABLE.fullmatch(lines[at]):
        if re.match(rf"\s*{re.escape(key)}\s*=", lines[at]):
            lines[at] = line
            return
        at += 1
    lines.insert(begin + 1, line)


def _expected(tables: Mapping[str, Any], wanted: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    made = copy.deepcopy(dict(tables))
    for (table, key), value in wanted.items():
        inside = made.setdefault(table, {})
        if not isinstance(inside, dict):
            return {}
        inside[key] = value
    return made
