"""Query documents to rules: a scheduled SELECT for what Sigma cannot say.

Whoever writes one is trusted with reading the tables and with nothing else, so the statement is checked twice: here by
its words, and when it runs by being a subquery, where only a SELECT parses.
"""

from __future__ import annotations

import re
from typing import Any

from luytre_collector.detect.head import duration_us, examples, head
from luytre_collector.detect.model import Fault, Place, QueryRule
from luytre_collector.detect.yamlfile import Document

#: Functions by which a SELECT could read files, talk to other machines, or burn time.
_FORBIDDEN = frozenset(
    """azureblobstorage azureblobstoragecluster azurequeue catboostevaluate cluster clusterallreplicas deltalake
    dictget dictionary executable file filecluster fuzzjson fuzzquery gcs generaterandom hdfs hdfscluster hudi iceberg
    input jdbc loop mergetreeindex mongodb mysql odbc postgresql python redis remote remotesecure s3 s3cluster sleep
    sleepeachrow sqlite url urlcluster""".split()  # noqa: SIM905
)
_TOKENS = re.compile(
    r"'(?:[^'\\]|\\.|'')*'"  # text
    r"|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`"  # quoted name
    r"|--[^\n]*|#[ !][^\n]*|/\*.*?\*/"  # comment
    r"|[A-Za-z_][A-Za-z0-9_]*|\s+|.",
    re.DOTALL,
)
_PARAMETER = re.compile(r"\{\s*(\w+)\s*:")
_KEYS = {
    "title", "title_vi", "id", "name", "status", "description", "description_vi", "author", "date", "modified",
    "references", "license", "level", "tags", "falsepositives", "query", "group",
    "schedule", "lookback", "quiet", "examples",
}  # fmt: skip


def why_not_select(sql: str) -> str:
    """What keeps `sql` from being a harmless SELECT; empty if nothing does."""
    words: list[str] = []
    for token in _TOKENS.findall(sql):
        if token[:1] in '"`':
            words.append(token[1:-1].lower())
        elif token[:2] in ("--", "/*", "# ", "#!") or token.isspace() or token[0] == "'":
            continue
        else:
            words.append(token.lower())
    if not words or words[0] not in ("select", "with"):
        return "not a SELECT; begin with SELECT or WITH"
    if ";" in words:
        return "more than one statement; remove the semicolon"
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in _FORBIDDEN and following == "(":
            return f"{word}() reads what is not in the tables; use the tables"
        if word in ("into", "settings", "format") and following != "(":
            return f"{word.upper()} is not for rules; remove it"
        if word == "system" and following == ".":
            return "reads the tables of the engine; use the tables of Lũy Tre"
    return ""


def query_rule(document: Document, faults: list[Fault]) -> QueryRule | None:
    """The rule, or None after appending its faults."""
    before = len(faults)
    data = document.data

    def complain(message: str, place: Place) -> None:
        faults.append(Fault(document.path, place, message))

    def duration(key: str, default: str = "") -> int:
        value = data.get(key, default)
        found = duration_us(value)
        if found is None:
            complain(f"{key}: {value!r} is not a time like 30s, 5m, 1h or 1d", document.place_of(key))
        return found or 1

    for key in set(map(str, data)) - _KEYS:
        complain(f"{key}: unknown key; known here: {', '.join(sorted(_KEYS))}", document.place_of(key))
    about = head(document, complain)
    sql: Any = data["query"]
    if not isinstance(sql, str) or (why := why_not_select(sql)):
        complain(f"query: {why if isinstance(sql, str) else 'not text'}", document.place_of("query"))
    else:
        names = set(_PARAMETER.findall(sql))
        if names != {"from", "to"}:
            complain(
                "query: use both {from:DateTime64(6)} and {to:DateTime64(6)}, and no other parameter",
                document.place_of("query"),
            )
    group = data.get("group")
    if not isinstance(group, list) or not group or not all(isinstance(name, str) for name in group):
        complain("group: give the list of columns that say what the alert is about", document.place_of("group"))
        group = []
    every_us, lookback_us = duration("schedule"), duration("lookback")
    quiet_us = max(duration("quiet", "1h"), lookback_us)
    held = examples(document, complain, rows_each=True)
    if len(faults) > before or about is None:
        return None
    return QueryRule(about, sql, tuple(group), every_us, lookback_us, quiet_us, held)
