"""Things that a host consists of, and how two states of it differ. No input or output here."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

#: What is known of one thing. Keys are our own words, values are as hostile as whoever wrote them.
Facts = Mapping[str, str]

#: Longest text of one thing in a row, and longest single value; the rest is cut and says so.
MAX_TEXT = 4096
MAX_VALUE = 1024

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Change(Generic[Key]):
    """What became of one thing. `before` is empty if it was added, `after` if it was removed."""

    action: str
    key: Key
    before: Facts
    after: Facts


def differences(before: Mapping[Key, Facts], after: Mapping[Key, Facts]) -> Iterator[Change[Key]]:
    """Every thing that was removed, added or changed, in the order of the states."""
    for key, facts in before.items():
        if key not in after:
            yield Change("removed", key, facts, {})
    for key, facts in after.items():
        old = before.get(key)
        if old is None:
            yield Change("added", key, {}, facts)
        elif old != facts:
            yield Change("changed", key, old, facts)


def pairs(facts: Facts) -> str:
    """`key=value key="two words"`, sorted by key; empty values are left out. Control characters are escaped, so that a
    value can never look like a pair of its own."""
    text = " ".join(f"{key}={_quoted(value)}" for key, value in sorted(facts.items()) if value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _quoted(value: str) -> str:
    value = value if len(value) <= MAX_VALUE else value[: MAX_VALUE - 1] + "…"
    if value.isprintable() and not any(mark in value for mark in ' "\\'):
        return value
    escaped = "".join(_escaped(letter) for letter in value)
    return f'"{escaped}"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else f"\\u{ord(letter):04x}"


def text(data: bytes) -> str:
    """Bytes of the host as text; what is not UTF-8 is replaced."""
    return data.decode("utf-8", "replace")
