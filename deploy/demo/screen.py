"""What the demo shows: sections, progress lines and tables, in English or Vietnamese, with colour on a terminal."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TextIO

Language = Literal["en", "vi"]

#: Colours of Sigma's levels, and of the few roles a line can have (ECMA-48 SGR codes).
_STYLES = {
    "title": "1;32",
    "section": "1",
    "dim": "2",
    "good": "32",
    "bad": "1;31",
    "informational": "36",
    "low": "36",
    "medium": "33",
    "high": "31",
    "critical": "1;31",
}


class Screen:
    """Writes to `out` and nowhere else. `colour` is for terminals; see `wants_colour`."""

    def __init__(self, out: TextIO, language: Language, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self.language = language

    def text(self, en: str, vi: str) -> str:
        """The text in the reader's language."""
        return vi if self.language == "vi" else en

    def style(self, style: str, text: str) -> str:
        """The text in a style, if the terminal can."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._colour and style in _STYLES else text

    def line(self, text: str = "") -> None:
        """One line, at once."""
        print(text, file=self._out, flush=True)

    def title(self, name: str, motto: str) -> None:
        """The very first lines."""
        self.line()
        self.line(f"  {self.style('title', name)}  {self.style('dim', motto)}")

    def section(self, en: str, vi: str) -> None:
        """A heading."""
        self.line()
        self.line(f"{self.style('title', '▍')} {self.style('section', self.text(en, vi))}")

    def done(self, what: str, detail: str = "") -> None:
        """Something that went well."""
        self._mark("good", "✓", what, detail)

    def failed(self, what: str, detail: str = "") -> None:
        """Something that did not."""
        self._mark("bad", "✗", what, detail)

    def note(self, text: str) -> None:
        """A remark, kept quiet."""
        self.line(f"    {self.style('dim', text)}")

    @contextmanager
    def step(self, en: str, vi: str) -> Iterator[None]:
        """Something that takes a while: said when it is over, with the seconds it took."""
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self.failed(self.text(en, vi))
            raise
        self.done(self.text(en, vi), f"{time.monotonic() - begin:.1f} s")

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> None:
        """Rows in columns as wide as their widest cell; numbers go to the right. `styles` and `notes` have one for each
        row: a style for its first cell, and a remark below it."""
        widths = [max(map(width, column)) for column in zip(head, *rows, strict=True)]
        right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(head))]
        self.line("  " + self.style("dim", _row(head, widths, right)))
        self.line("  " + self.style("dim", "  ".join("─" * one for one in widths)))
        for index, row in enumerate(rows):
            text = _row(row, widths, right)
            if styles:
                text = self.style(styles[index], text[: len(row[0])]) + text[len(row[0]) :]
            self.line("  " + text)
            if notes:
                self.line("  " + self.style("dim", " " * widths[0] + "  " + notes[index]))

    def _mark(self, style: str, mark: str, what: str, detail: str) -> None:
        tail = f"  {self.style('dim', detail)}" if detail else ""
        self.line(f"  {self.style(style, mark)} {what}{tail}")


def wants_colour(out: TextIO) -> bool:
    """Whether `out` is a terminal whose user did not say no (https://no-color.org)."""
    return out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def width(text: str) -> int:
    """Columns that a terminal needs for the text: none for combining marks, two for wide characters."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def pad(text: str, columns: int) -> str:
    """The text, filled up with blanks."""
    return text + " " * (columns - width(text))


def shorten(text: str, columns: int) -> str:
    """The text, cut with an ellipsis if it is longer."""
    return text if width(text) <= columns else text[: columns - 1] + "…"


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    shown = (
        " " * (wide - width(cell)) + cell if to_right else pad(cell, wide)
        for cell, wide, to_right in zip(cells, widths, right, strict=True)
    )
    return "  ".join(shown).rstrip()


def _is_number(cell: str) -> bool:
    return bool(cell) and cell.replace(",", "").replace(".", "").removesuffix(" s").strip().isdigit()
