"""An answer as text, for stores that answer in columns: the three forms that `luytre-collector query` offers. Pure."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from ipaddress import IPv6Address
from typing import Any

import pyarrow as pa

from luytre_collector.store import ddl
from luytre_collector.store.base import QueryRefusedError


def render(table: pa.Table, form: str) -> bytes:
    """The table in ClickHouse's form of that name. QueryRefusedError for a form that is not among `FORMS`."""
    if form not in FORMS:
        raise QueryRefusedError(f"{form} is not available on a server; use {', '.join(FORMS)}")
    columns = [[_plain(value, column.type) for value in column.to_pylist()] for column in table.columns]
    return FORMS[form](table.column_names, zip(*columns, strict=True)).encode("utf-8", "surrogateescape")


def _plain(value: Any, kind: Any) -> Any:
    """As ClickHouse writes it: an address of 16 bytes, a time with the digits of its type, a list or map of these."""
    if isinstance(value, bytes):
        if len(value) != 16:
            return value.decode("utf-8", "replace")
        address = IPv6Address(value)
        return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped else str(address)
    if isinstance(value, datetime):
        digits = _DIGITS[kind.unit]
        return value.strftime("%Y-%m-%d %H:%M:%S") + (f".{value.microsecond:06}"[: digits + 1] if digits else "")
    if isinstance(value, date):
        return value.isoformat()
    if pa.types.is_map(kind) and value is not None:
        return {str(_plain(key, kind.key_type)): _plain(one, kind.item_type) for key, one in value}
    if isinstance(value, list):
        return [_plain(one, kind.value_type) for one in value]
    if isinstance(value, dict):  # a tuple
        return tuple(_plain(one, kind.field(index).type) for index, one in enumerate(value.values()))
    return value


_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 6}


def _json(names: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    return "".join(
        json.dumps(_finite(dict(zip(names, row, strict=True))), ensure_ascii=False, separators=(",", ":"), default=str)
        + "\n"
        for row in rows
    )


def _finite(value: Any) -> Any:
    """JSON knows no infinity: like ClickHouse, null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _csv(names: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [",".join(map(_quoted, names))]
    lines += [",".join(map(_csv_field, row)) for row in rows]
    return "".join(line + "\n" for line in lines)


def _csv_field(value: Any) -> str:
    if value is None:
        return "\\N"
    number = isinstance(value, int | float)  # a bool is an int
    return _cell(value) if number else _quoted(_cell(value))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _pretty(names: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    cells = [[_cell(value) for value in row] for row in rows]
    right = [bool(cells) and all(_is_number(row[index]) for row in cells) for index in range(len(names))]
    widths = [max(_width(text) for text in (name, *(row[index] for row in cells))) for index, name in enumerate(names)]
    heads = [
        "─" * (width - _width(name)) + name if flush else name + "─" * (width - _width(name))
        for name, width, flush in zip(names, widths, right, strict=True)
    ]
    lines = ["┌─" + "─┬─".join(heads) + "─┐"]
    for row in cells:
        padded = [
            " " * (width - _width(text)) + text if flush else text + " " * (width - _width(text))
            for text, width, flush in zip(row, widths, right, strict=True)
        ]
        lines.append("│ " + " │ ".join(padded) + " │")
    lines.append("└─" + "─┴─".join("─" * width for width in widths) + "─┘")
    return "\n".join(lines) + "\n" if names else ""


def _cell(value: Any) -> str:
    """A value as text; strings inside of lists are literals."""
    if value is None:
        return "ᴺᵁᴸᴸ"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(map(_inner, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(_inner, value)) + ")"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_inner(name)}:{_inner(one)}" for name, one in value.items()) + "}"
    return str(value)


def _inner(value: Any) -> str:
    return ddl.text(value) if isinstance(value, str) else "NULL" if value is None else _cell(value)


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


#: The forms, by ClickHouse's names.
FORMS: Mapping[str, Callable[[list[str], Iterable[tuple[Any, ...]]], str]] = {
    "JSONEachRow": _json,
    "CSVWithNames": _csv,
    "PrettyCompactMonoBlock": _pretty,
}
