"""Counters that reach ClickHouse, and log lines that people read.

Every drop, refusal, retry and degradation has a counter. A component owns one `Counters`; the composition root hands
all of them to whoever writes the health rows. Counters only grow while the process lives; gauges are set.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from luytre_common.commandline import printable

#: The largest value; more stays at it. Some amounts are as large as the other end likes, and one that no column of a
#: table can hold would keep the rows of all other counters out.
MOST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One counter at one moment: `component`.`name`, split by `label` (an interface, a cause), and its value."""

    component: str
    name: str
    label: str
    value: int


class Counters:
    """The counters of one component. Safe to use from several threads."""

    def __init__(self, component: str) -> None:
        self.component = component
        self._values: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def add(self, name: str, amount: int = 1, label: str = "") -> None:
        """Count `amount` more of `name`."""
        with self._lock:
            key = (name, label)
            self._values[key] = min(MOST, self._values.get(key, 0) + amount)

    def set(self, name: str, value: int, label: str = "") -> None:
        """Set the gauge `name`, or take over a total that somebody else counts (the kernel, the core)."""
        with self._lock:
            self._values[name, label] = max(0, min(MOST, value))

    def get(self, name: str, label: str = "") -> int:
        """The value now; 0 for what was never counted."""
        with self._lock:
            return self._values.get((name, label), 0)

    def samples(self) -> list[Sample]:
        """All values now, in a stable order."""
        with self._lock:
            items = sorted(self._values.items())
        return [Sample(self.component, name, label, value) for (name, label), value in items]


class RateLimited:
    """Says yes at most once per `interval_s` and key, so that an event stream cannot flood the log.

    Keys may be as many as strangers like: of those beyond `_MOST_KEYS`, the ones that spoke longest ago are forgotten.
    A clock that was set back keeps nobody quiet.
    """

    _MOST_KEYS = 4096

    def __init__(self, clock: Callable[[], float], interval_s: float = 10.0) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._last: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def ready(self, key: str) -> bool:
        """Whether a line about `key` may be written now."""
        now = self._clock()
        if 0 <= now - self._last.get(key, float("-inf")) < self._interval_s:
            self._left_out[key] = self._left_out.get(key, 0) + 1
            return False
        self._last.pop(key, None)
        self._last[key] = now
        while len(self._last) > self._MOST_KEYS:
            oldest = next(iter(self._last))
            self._last.pop(oldest, None)
            self._left_out.pop(oldest, None)
        return True

    def left_out(self, key: str) -> int:
        """How many lines about `key` were not written since this was asked last; for the line that may be written."""
        return self._left_out.pop(key, 0)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = f"{when} {record.levelname.lower():7} {record.name}: {printable(record.getMessage())}"
        trace = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join([line, *map(printable, trace)])


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def configure_logging(level: str = "info", form: Literal["text", "json"] = "text") -> None:
    """Send log lines to standard error, as text for people or JSON for machines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def gather(counters: Iterable[Counters]) -> list[Sample]:
    """The samples of several components, in the order given."""
    return [sample for one in counters for sample in one.samples()]
