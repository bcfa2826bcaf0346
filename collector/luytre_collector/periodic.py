"""Something that is done again and again in a thread of its own, and whose faults are counted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from luytre_common.errors import LuytreError
from luytre_common.telemetry import Counters

from luytre_collector.detect.alert import Alert

_log = logging.getLogger("luytre.periodic")


class Periodic:
    """Calls `action` every `interval_s`, not overlapping; a fault ends this call, not the thread."""

    def __init__(self, name: str, interval_s: float, action: Callable[[], object], counters: Counters) -> None:
        self._name = name
        self._interval_s = interval_s
        self._action = action
        self._counters = counters
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; the first call is after one interval."""
        self._thread.start()

    def close(self) -> None:
        """Let the call under way finish, then end the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def once(self) -> None:
        """One call, its faults counted and logged."""
        try:
            self._action()
            self._counters.add("runs", label=self._name)
        except LuytreError as error:
            self._counters.add("failures", label=self._name)
            _log.warning("%s: %s", self._name, error)
        except Exception:  # noqa: BLE001 - it must run again next time
            self._counters.add("failures", label=self._name)
            _log.exception("%s: failed", self._name)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.once()


class ScheduledRules:
    """One round of the rules that look at what is stored. Driven by one thread.

    A rule says of a story once that it is due; so alerts that could not be raised, because the store was away, are kept
    for the next round. After a crash the rules look back by themselves.
    """

    def __init__(
        self, runs: Sequence[Callable[[], list[Alert]]], raise_alerts: Callable[[Sequence[Alert]], None]
    ) -> None:
        self._runs = runs
        self._raise_alerts = raise_alerts
        self._due: list[Alert] = []

    def __call__(self) -> None:
        """Run what is due and raise it."""
        for run in self._runs:
            self._due.extend(run())
        if self._due:
            self._raise_alerts(self._due)
            self._due.clear()
