"""When the line may be used: times of day. No clock, no input or output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_DAY = 24 * 60


def windows_fault(texts: Sequence[str]) -> str | None:
    """What is wrong with the list, as settings say it."""
    for text in texts:
        if not _WINDOW.fullmatch(text):
            return f'has "{text}", which is not HH:MM-HH:MM (such as 22:00-05:30)'
        if text[:5] == text[6:]:
            return f'has "{text}", which is no time at all; leave the list empty for always'
    return None


class Windows:
    """Times of day, of this host's clock, each from a minute up to another, over midnight if that is the smaller one.
    None at all: always."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._spans = [(_minute(text[:5]), _minute(text[6:])) for text in texts]

    def open(self, now: datetime) -> bool:
        """Whether one of them is now."""
        minute = now.hour * 60 + now.minute
        return not self._spans or any(
            begin <= minute < end if begin < end else minute >= begin or minute < end for begin, end in self._spans
        )

    def wait_s(self, now: datetime) -> float | None:
        """Seconds until the next of them begins or ends by the clock on the wall; None if there are none."""
        if not self._spans:
            return None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        edges = [midnight + timedelta(minutes=edge + day) for pair in self._spans for edge in pair for day in (0, _DAY)]
        return min((edge - now).total_seconds() for edge in edges if edge > now)


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
