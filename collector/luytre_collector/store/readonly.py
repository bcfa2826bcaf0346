"""What a person's query may do: read, within limits. Pure.

The engine itself enforces `readonly = 1`: no writing, no DDL, no change of settings, no table function that reaches
outside (file, url, s3, remote, mysql...). Three doors that it leaves open are closed here: statements that are not
reading (KILL, USE, SET), INTO OUTFILE, which the client side writes with our rights, and the scalar function `file`,
also where it is only named (`* APPLY file`, `arrayMap(file, ...)`) or named in other quotes than ASCII has.
The check reads the statement after ClickHouse's own lexer has taken out literals and comments
(`normalizeQueryKeepNames`), so a string that merely mentions these words is no hit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from luytre_common.settings import at_least, setting

from luytre_collector.store.base import QueryRefusedError


def _zone(value: str) -> str | None:
    good = re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", value)
    return None if good else "is not a time zone such as Asia/Ho_Chi_Minh"


@dataclass(frozen=True)
class Config:
    """Queries of people: `luytre-collector query`, and the local-time views of the tables."""

    time_zone: str = setting("Asia/Ho_Chi_Minh", "zone in which people see and write times; stored is UTC", _zone)
    max_seconds: int = setting(60, "longest time of one query, seconds", at_least(1))
    max_rows: int = setting(1_000_000, "most rows of one answer", at_least(1))
    max_bytes: int = setting(256 << 20, "largest answer, bytes", at_least(1 << 16))
    max_memory_bytes: int = setting(1 << 30, "most memory of one query, bytes", at_least(16 << 20))


#: The query whose answer `check` reads.
NORMALISE = "SELECT normalizeQueryKeepNames({statement:String})"

#: First words of statements that only read.
READING = ("SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS")

_FIRST_WORD = re.compile(r"[\s(]*([A-Za-z]+)")
_OUTFILE = re.compile(r"\bINTO\s+OUTFILE\b", re.IGNORECASE)
_FILE = re.compile(r"\bfile\b", re.IGNORECASE)
#: What the engine's lexer takes for a quoted name as well, and `normalizeQueryKeepNames` leaves as it is.
_QUOTES = re.compile("[\u2018\u2019\u201c\u201d\\\\]")
_FORM = re.compile(r"[A-Za-z]{1,64}")


def check(normalised: str) -> None:
    """QueryRefusedError if the statement, literals and comments taken out, may not be run for a person."""
    first = _FIRST_WORD.match(normalised)
    if not first:
        raise QueryRefusedError("no statement; give one, such as: SELECT count() FROM flows")
    if first.group(1).upper() not in READING:
        raise QueryRefusedError(f"{first.group(1).upper()} is not reading; queries start with {', '.join(READING)}")
    if ";" in normalised.rstrip().removesuffix(";"):
        raise QueryRefusedError("more than one statement; give one at a time")
    if _OUTFILE.search(normalised):
        raise QueryRefusedError("INTO OUTFILE is not allowed; redirect the output of the command instead")
    if _FILE.search(normalised):
        raise QueryRefusedError("file() is not allowed, nor anything else of that name; queries read tables only")
    if _QUOTES.search(normalised):
        raise QueryRefusedError("curly quotes and escapes in names are not allowed; write plain names")


def check_form(form: str) -> None:
    """QueryRefusedError if this cannot be the name of an output format."""
    if not _FORM.fullmatch(form):
        raise QueryRefusedError(f"{form!r} is not an output format, such as JSONEachRow or CSVWithNames")


def settings(config: Config, zone: str) -> dict[str, int | str]:
    """ClickHouse settings of a session that runs a person's queries; `readonly` must be set after all others."""
    return {
        "session_timezone": zone,
        "final": 1,  # an alert made twice is shown once
        "max_execution_time": config.max_seconds,
        "max_result_rows": config.max_rows,
        "max_result_bytes": config.max_bytes,
        "result_overflow_mode": "throw",
        "max_memory_usage": config.max_memory_bytes,
        "output_format_pretty_color": 0,
        "output_format_pretty_row_numbers": 0,
        "output_format_pretty_max_rows": config.max_rows,
        "output_format_json_quote_64bit_integers": 0,
        "output_format_json_escape_forward_slashes": 0,
    }
