"""The keys that all kinds of rule share, checked and read: who a rule is, how bad a match is, what ATT&CK calls it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from luytre_collector.detect.model import LEVELS, Examples, Head, Place
from luytre_collector.detect.yamlfile import Document

#: Says what is wrong, and where.
Complain = Callable[[str, Place], None]

_STATUS = ("stable", "test", "experimental", "deprecated", "unsupported")
_TECHNIQUE = re.compile(r"t\d{4}(\.\d{3})?")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}


def head(document: Document, complain: Complain) -> Head | None:
    """Read the head; None after at least one complaint."""
    data = document.data
    faults = 0

    def wrong(key: str, message: str) -> None:
        nonlocal faults
        faults += 1
        complain(message, document.place_of(key))

    def word(key: str, default: str = "") -> str:
        value = data.get(key, default)
        if isinstance(value, str):
            return value.strip()
        wrong(key, f"{key}: {_show(value)} is not text; quote it")
        return default

    title = word("title")
    if not title and "title" not in data:
        wrong("title", "title: missing; say in a few words what the rule sees")
    rule_id = str(data.get("id", ""))
    try:
        rule_id = str(UUID(rule_id))
    except ValueError:
        wrong(
            "id",
            f'id: "{rule_id}" is not a UUID; make one with uuidgen'
            if rule_id
            else "id: missing; make one with uuidgen",
        )
    level = word("level", "medium")
    if level not in LEVELS:
        wrong("level", f'level: "{level}" is not one of {", ".join(LEVELS)}')
    status = word("status", "test")
    if status not in _STATUS:
        wrong("status", f'status: "{status}" is not one of {", ".join(_STATUS)}')
    techniques, tactics = _attack(data.get("tags") or [], wrong)
    made = Head(
        id=rule_id,
        name=word("name"),
        title=title,
        title_vi=word("title_vi") or title,
        description=word("description"),
        description_vi=word("description_vi"),
        level=level,
        status=status,
        techniques=techniques,
        tactics=tactics,
        path=document.path,
        line=document.line,
    )
    return None if faults else made


def _attack(tags: Any, wrong: Callable[[str, str], None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        wrong("tags", "tags: not a list of words; write [attack.execution, attack.t1059.004]")
        return (), ()
    names = [tag.lower().removeprefix("attack.") for tag in tags if tag.lower().startswith("attack.")]
    techniques = [name.upper() for name in names if _TECHNIQUE.fullmatch(name)]
    tactics = [name.replace("_", "-") for name in names if re.fullmatch(r"[a-z_-]+", name)]
    return tuple(techniques), tuple(tactics)


def examples(document: Document, complain: Complain, rows_each: bool) -> Examples:
    """Read `examples`: rows to match and to ignore; with `rows_each` every example is a list of rows."""
    value = document.data.get("examples")
    if value is None:
        return Examples()
    if not isinstance(value, dict) or set(value) - {"match", "ignore"}:
        complain("examples: give match and ignore, each a list", document.place_of("examples"))
        return Examples()
    read: dict[str, tuple[Any, ...]] = {}
    for side in ("match", "ignore"):
        given = value.get(side) or []
        good = isinstance(given, list) and all(_is_example(one, rows_each) for one in given)
        if not good:
            shape = "lists of rows" if rows_each else "rows"
            complain(
                f"examples: {side}: not a list of {shape}; a row is a mapping of fields",
                document.place_of("examples", side),
            )
            given = []
        read[side] = tuple(given)
    return Examples(read["match"], read["ignore"])


def _is_example(value: Any, rows_each: bool) -> bool:
    if rows_each:
        return isinstance(value, list) and all(isinstance(row, dict) for row in value)
    return isinstance(value, dict)


def duration_us(value: Any) -> int | None:
    """Microseconds of `30s`, `5m`, `2h` or `1d`; None if it is none of these."""
    parsed = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return int(parsed[1]) * _UNITS_US[parsed[2]] if parsed else None


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
