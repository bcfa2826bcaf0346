"""An answer as text, for stores that answer in columns: the three forms that `luytre-collector query` offers. Pure."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from ipaddress import IPv6Address
from typing import Any

import pyarrow as pa

from luytre_collector.store.base import QueryRefusedError


def render(table: pa.Table, form: str) -> bytes:
    """The table in ClickHouse's form of that name. QueryRefusedError for a form that is not among `FORMS`."""
    if form not in FORMS:
        raise QueryRefusedError(f"{form} is not available on a server; use {', '.join(FORMS)}")
    columns = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return FORMS[form](table.column_names, zip(*columns, strict=True)).encode("utf-8", "surrogateescape")


def _plain(value: Any) -> Any:
    """As ClickHouse writes it: an address of 16 bytes, a time, a list of these."""
    if isinstance(value, bytes):
        if len(value) != 16:
            return value.decode("utf-8", "replace")
        address = IPv6Address(value)
        return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped else str(address)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f" if value.microsecond else "%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _json(names: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    return "".join(
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str) + "\n" for row in rows
    )


def _csv(names: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) if isinstance(value, list) else value for value in row] for row in rows)
    return out.getvalue()


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
    if value is None:
        return "ᴺᵁᴸᴸ"
    if isinstance(value, list):
        return "[" + ",".join(repr(one) if isinstance(one, str) else _cell(one) for one in value) + "]"
    return str(value)


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
