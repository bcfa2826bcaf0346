"""The table of what is allowed, for people (Markdown) and for editors (JSON Schema)."""

from __future__ import annotations

from typing import Any

from luytre_common.policy.allowed import ALLOWED, MAX_LIST, MAX_PATTERNS, MAX_TEXT, Allowed
from luytre_common.policy.document import MAX_AGENTS, MAX_VERSION


def markdown() -> str:
    """One line per key."""
    lines = [
        "# What a policy may set",
        "",
        "Generated from `luytre_common.policy.allowed`; `luytre-collector policy keys` prints the same. A policy with"
        " any other key is refused whole.",
        "",
        "| key, below `[settings]` | values | what |",
        "|---|---|---|",
        *(f"| `{one.key}` | {one.values()} | {_meaning(one)} |" for one in ALLOWED.values()),
    ]
    return "\n".join(lines) + "\n"


def _meaning(one: Allowed) -> str:
    return f"{one.meaning}; added to the host's own" if one.added else one.meaning


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a document. Bounds only: what a path or a pattern is, `policy check` knows."""
    settings: dict[str, Any] = _table()
    for one in ALLOWED.values():
        *tables, name = one.key.split(".")
        table = settings
        for part in tables:
            table = table["properties"].setdefault(part, _table())
        table["properties"][name] = {"description": _meaning(one), **_values(one)}
    time = {"type": "string", "format": "date-time"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Policy of Lũy Tre agents",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "agents"],
        "properties": {
            "version": {"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
            "group": {"type": "string", "maxLength": 64},
            "agents": {"type": "array", "minItems": 1, "maxItems": MAX_AGENTS, "items": {"type": "string"}},
            "not_before": time,
            "expires": time,
            "reason": {"type": "string", "maxLength": 500},
            "settings": settings,
        },
    }


def _table() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


def _values(one: Allowed) -> dict[str, Any]:
    match one.kind:
        case "switch":
            return {"type": "boolean"}
        case "on":
            return {"const": True}
        case "whole":
            return {"type": "integer", "minimum": int(one.least), "maximum": int(one.most)}
        case "number":
            return {"type": "number", "minimum": one.least, "maximum": one.most}
        case "choice":
            return {"enum": list(one.choices)}
        case kind:
            most = MAX_PATTERNS if kind == "patterns" else MAX_LIST
            item = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
            return {"type": "array", "maxItems": most, "items": item}
