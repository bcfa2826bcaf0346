"""The header of a syslog line as rsyslog and syslog-ng write it to files: time, host, program[pid], message.

Times as RFC 3164 has them (`Nov 23 22:11:00`: local time, no year) and as ISO 8601 (`2026-11-23T22:11:00.12+07:00`).
"""

from __future__ import annotations

import re
from calendar import month_abbr
from dataclasses import dataclass
from datetime import datetime, tzinfo

from luytre_agent.sources.logs.split import LINE_BYTES

#: As in the C locale, which is what a program has that sets none.
_MONTHS = {name: at for at, name in enumerate(month_abbr) if name}
_HEADER = re.compile(
    r"(?:<\d{1,3}>)?"
    r"(?:(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)"
    r"|(?P<iso>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?))"
    r" \S+ (?P<program>[^\s:\[\(]{1,128})(?:\([^()\s]{0,64}\))?(?:\[(?P<pid>\d{1,10})\])?: ?(?P<message>.*)",
    re.DOTALL,
)

#: A clock that is a little ahead is no reason to think of last year.
_AHEAD_S = 86_400.0

_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)]}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. time: microseconds since 1970 UTC. program: who wrote it, by its tag and nothing else."""

    time: int
    program: str
    pid: int
    message: str


def clean(line: bytes) -> str:
    """The line as text of at most `LINE_BYTES`: invalid UTF-8 replaced, control characters escaped, so that nothing in
    it can act."""
    text = line.decode("utf-8", "replace").translate(_CONTROL)
    if len(text) * 4 <= LINE_BYTES:
        return text
    return text.encode()[:LINE_BYTES].decode("utf-8", "ignore")


def header(line: str, now: float, zone: tzinfo | None = None) -> Entry | None:
    """The parts of a line that was read at `now` (seconds since 1970); None if it has no such header.

    zone: of times that do not say theirs; None is the system's.
    """
    found = _HEADER.fullmatch(line)
    if found is None:
        return None
    try:
        if found["iso"]:
            when = datetime.fromisoformat(found["iso"])
            time = (when if when.tzinfo else when.replace(tzinfo=zone)).timestamp()
        else:
            time = _recent(_MONTHS[found["month"]], int(found["day"]), found["clock"], now, zone)
    except (KeyError, ValueError, OverflowError):
        return None
    pid = int(found["pid"] or 0)
    program = found["program"].rpartition("/")[2] or found["program"]
    return Entry(round(time * 1e6), program, pid if pid < 1 << 32 else 0, found["message"])


def _recent(month: int, day: int, clock: str, now: float, zone: tzinfo | None) -> float:
    """The latest such time that is not in the future. ValueError if there is none."""
    hour, minute, second = map(int, clock.split(":"))
    this_year = datetime.fromtimestamp(now + _AHEAD_S, zone).year
    for year in range(this_year, this_year - 9, -1):  # 29 February may be eight years ago: 1904, 1896
        try:
            time = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone).timestamp()
        except ValueError:
            if (month, day) != (2, 29):
                raise
            continue
        if time <= now + _AHEAD_S:
            return time
    raise ValueError
