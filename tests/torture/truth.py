"""What the agents gave to their spools, and whether the tables hold exactly that. Pure but for reading the file.

A line is `WORD TABLE FIRST LAST`: rows FIRST to LAST (inclusive; event times in microseconds) were tried, kept or lost.
A last line that is torn says nothing, as if it had not been written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TRIED, KEPT, LOST = "tried", "kept", "lost"
#: One of each priority: they have numberings of their own.
TABLES = ("logins", "dns", "flows")
#: The column of each that is the number of a row.
NUMBER = {"logins": "event_time", "dns": "event_time", "flows": "flow_end"}

Range = tuple[int, int]


def line(word: str, table: str, first: int, last: int) -> bytes:
    """One line of the file."""
    return f"{word} {table} {first} {last}\n".encode()


@dataclass
class Truth:
    """Ranges of rows by table. `kept`: must be stored once. `open`: tried, and the agent died before it knew."""

    kept: dict[str, list[Range]] = field(default_factory=dict)
    lost: dict[str, list[Range]] = field(default_factory=dict)
    open: dict[str, list[Range]] = field(default_factory=dict)
    last: int | None = None

    @classmethod
    def read(cls, path: Path) -> Truth:
        """The file; nothing if there is none."""
        made = cls()
        tried: dict[tuple[str, Range], None] = {}
        for text in path.read_text().splitlines(keepends=True) if path.exists() else ():
            words = text.split()
            if not text.endswith("\n") or len(words) != 4:
                continue
            word, table, rows = words[0], words[1], (int(words[2]), int(words[3]))
            made.last = max(made.last or 0, rows[1])
            if word == TRIED:
                tried[table, rows] = None
                continue
            tried.pop((table, rows), None)
            (made.kept if word == KEPT else made.lost).setdefault(table, []).append(rows)
        for table, rows in tried:
            made.open.setdefault(table, []).append(rows)
        return made

    def kept_rows(self) -> int:
        """How many rows must be there."""
        return sum(last - first + 1 for ranges in self.kept.values() for first, last in ranges)


@dataclass
class Verdict:
    """What the tables hold of one agent, beside the truth. Rows, each with its table and number.

    told: kept rows that are not stored, and that the agent itself says are lost (gaps of `ledger`).
    """

    kept: int = 0
    stored: int = 0
    told: int = 0
    missing: list[tuple[str, int]] = field(default_factory=list)
    doubled: list[tuple[str, int]] = field(default_factory=list)
    foreign: list[tuple[str, int]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether the tables are what they should be."""
        return not (self.missing or self.doubled or self.foreign)

    def __str__(self) -> str:
        faults = {"missing": self.missing, "doubled": self.doubled, "never given": self.foreign}
        said = [f"{len(rows)} {name} (first {rows[0]})" for name, rows in faults.items() if rows]
        told = f", {self.told:,} told of as lost" if self.told else ""
        return f"{self.stored:,} of {self.kept:,} rows{told}" + (f": {', '.join(said)}" if said else "")


def judge(truth: Truth, stored: Mapping[str, Iterable[int]], gaps: Mapping[str, int] | None = None) -> Verdict:
    """Compare: every kept row once, every other row that was tried at most once, nothing else.

    gaps: by table, how many rows the agent says are lost (a full disk: lower classes give way). So many kept rows may
    be missing, no more and no fewer, but for those of which the agent died before it knew that they were kept.
    """
    verdict = Verdict(kept=truth.kept_rows())
    for table in TABLES:
        counts = Counter(stored.get(table, ()))
        verdict.stored += counts.total()
        verdict.doubled += [(table, number) for number, count in counts.items() if count > 1]
        missing = _take(counts, truth.kept.get(table, ()))
        unknown = _take(counts, truth.open.get(table, ()))
        _take(counts, truth.lost.get(table, ()))
        told = (gaps or {}).get(table, 0)
        if missing and len(missing) <= told <= len(missing) + len(unknown):
            verdict.told += len(missing)
        else:
            verdict.missing += [(table, number) for number in missing]
        verdict.foreign += [(table, number) for number in counts]
    return verdict


def _take(counts: Counter[int], ranges: Iterable[Range]) -> list[int]:
    """Take the rows of the ranges out of what is stored; those that are not there."""
    return [number for first, last in ranges for number in range(first, last + 1) if not counts.pop(number, 0)]
