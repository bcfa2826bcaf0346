"""What a log source is to us: the rows of a table, and the words that its records have and our columns have not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: (column, text) that rows must have; of several texts of one column, any. A `*` at the end: begins with.
Where = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Word:
    """A value that a field of the log source may have, and the rows that have it; none given: every row."""

    text: str
    where: Where = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A log source (`None`: the rule must not say this part) and the table it means.

    where: what the log source implies.
    words: fields of the log source that are no columns: each row has these values of them. A field may have several
    values at once, as a list has.
    keywords: columns in which a keyword is looked for; none given: see `logsource.keyword_columns`.
    shared: the table has one kind of the records, other routes of the same log source have the others. What is not a
    field here may be one there. Without, several routes of a log source are a choice: the first that knows every
    field of the rule is taken.
    """

    category: str | None
    product: str | None
    service: str | None
    table: str
    where: Where = ()
    words: Mapping[str, tuple[Word, ...]] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    shared: bool = False


def always(*texts: str) -> tuple[Word, ...]:
    """Words that every row has."""
    return tuple(map(Word, texts))


def by(column: str, **texts: str) -> tuple[Word, ...]:
    """Words by the value of a column: `CREATE="created moved"`."""
    return tuple(Word(word, tuple((column, value) for value in values.split())) for word, values in texts.items())
