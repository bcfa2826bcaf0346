"""What `rules fields` prints: the log sources and fields that a rule may name, and what they are here."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from luytre_common.errors import EXIT_OK

from luytre_collector.detect.logsource import ROUTES, field_names
from luytre_collector.detect.route import Route


def list_fields(*, json: bool = False, out: TextIO | None = None) -> int:
    """Print every log source with its table, and what a rule may call the columns of each table. 0."""
    out = out or sys.stdout
    tables = {table: field_names(table) for table in sorted({route.table for route in ROUTES})}
    if json:
        sources = [
            {"logsource": _source(route), "table": route.table, "where": _where(route), "words": _words(route)}
            for route in ROUTES
        ]
        out.write(json_module.dumps({"logsources": sources, "tables": tables}, ensure_ascii=False, indent=2) + "\n")
        return EXIT_OK
    for route in ROUTES:
        source = ", ".join(f"{name}: {text}" for name, text in _source(route).items())
        out.write(f"{source}\n    table {route.table}{_list(_where(route), '; ')}\n")
        if route.words:
            out.write(f"    {_list(_words(route)).strip()}\n")
    for table, names in tables.items():
        out.write(f"\ntable {table}\n")
        out.writelines(f"    {column}  {', '.join(others)}".rstrip() + "\n" for column, others in names.items())
    return EXIT_OK


def _source(route: Route) -> dict[str, str]:
    parts = {"category": route.category, "product": route.product, "service": route.service}
    return {name: text for name, text in parts.items() if text}


def _where(route: Route) -> dict[str, list[str]]:
    return {name: [text for other, text in route.where if other == name] for name, _ in route.where}


def _words(route: Route) -> dict[str, list[str]]:
    return {name: [word.text for word in known] for name, known in route.words.items()}


def _list(parts: Mapping[str, Sequence[str]], before: str = "") -> str:
    return before + "; ".join(f"{name}: {' | '.join(texts)}" for name, texts in parts.items()) if parts else ""
