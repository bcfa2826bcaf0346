"""The outbox: an alert is kept, on disk, until every channel has delivered it or said that it never will.

One thread per channel, so that one that hangs delays only itself. Delivery is at least once; taking in is once: an
alert with an id that was taken in before is known and goes nowhere.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from luytre_common.errors import UserError
from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters

from luytre_collector.detect.alert import Alert
from luytre_collector.notify.base import Channel, TryAgainError, WillNeverWorkError
from luytre_collector.notify.journal import Journal

_log = logging.getLogger("luytre.notify")


@dataclass(frozen=True)
class Config:
    """Alerts not yet delivered."""

    directory: Path = setting(Path("/var/lib/luytre-collector/outbox"), "where undelivered alerts are kept")
    max_alerts: int = setting(100_000, "how many at most; the oldest make room", at_least(1))
    retry_min_s: float = setting(1.0, "pause after a first failure, seconds; doubles each time", at_least(0.001))
    retry_max_s: float = setting(60.0, "longest pause, seconds", at_least(0.001))


def pause_s(failures: int, config: Config, chance: float) -> float:
    """How long to wait after so many failures in a row: doubling, capped, and spread by `chance` in [0, 1)."""
    full: float = min(config.retry_max_s, config.retry_min_s * 2.0 ** min(failures - 1, 30))
    return full * (0.5 + 0.5 * chance)


class Outbox:
    """Takes alerts in, drives the channels. Safe for several threads."""

    def __init__(
        self, config: Config, channels: Sequence[Channel], counters: Counters, random: Callable[[], float]
    ) -> None:
        self._config = config
        self._channels = list(channels)
        self._counters = counters
        self._random = random
        self._journal = Journal(config.directory / "alerts.journal", counters)
        self._queues: dict[str, deque[str]] = {channel.name: deque() for channel in channels}
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Read the journal and start the channels with what is left over from last time."""
        try:
            self._journal.open()
        except BlockingIOError:
            self._journal.close()
            folder = self._config.directory
            raise UserError(f"{folder}: another collector uses it; give each its own notify.outbox.directory") from None
        except OSError as error:
            folder = self._config.directory
            raise UserError(f"{folder}: {error.strerror}; give notify.outbox.directory a writable folder") from None
        with self._changed:
            for alert_id in list(self._journal.pending):
                self._enqueue(alert_id)
            self._gauge()
        for channel in self._channels:
            thread = threading.Thread(target=self._drive, args=(channel,), name=channel.name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def known(self, alert_id: str) -> bool:
        """Whether the alert was taken in before."""
        with self._changed:
            return self._journal.seen(alert_id)

    def add(self, alerts: Sequence[Alert]) -> int:
        """Take in the alerts that are new, on disk when this returns; how many were. OSError if the disk refuses."""
        with self._changed:
            fresh = list({one.alert_id: one for one in alerts if not self._journal.seen(one.alert_id)}.values())
            self._counters.add("known", len(alerts) - len(fresh))
            if not fresh:
                return 0
            self._journal.add(fresh)
            self._counters.add("taken", len(fresh))
            for alert in fresh:
                self._enqueue(alert.alert_id)
            while len(self._journal.pending) > self._config.max_alerts:
                self._counters.add("evicted")
                self._journal.remove(next(iter(self._journal.pending)))
            self._gauge()
            self._changed.notify_all()
        return len(fresh)

    def close(self, drain_s: float = 2.0) -> None:
        """Give the channels `drain_s` to deliver what is there, then stop; the rest stays on disk for next time."""
        with self._changed:
            self._changed.wait_for(lambda: not any(self._queues.values()), drain_s)
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(0.5)
        with self._changed:
            self._journal.close()

    def _enqueue(self, alert_id: str) -> None:
        done = self._journal.done.get(alert_id, set())
        waiting = [name for name in self._queues if name not in done]
        for name in waiting:
            self._queues[name].append(alert_id)
        if not waiting:
            self._journal.remove(alert_id)

    def _drive(self, channel: Channel) -> None:
        failures = 0
        while (alert := self._next(channel.name)) is not None:
            try:
                channel.deliver(alert)
            except TryAgainError as error:
                failures += 1
                self._counters.add("retried", label=channel.name)
                _log.warning("%s: %s; trying again (%d)", channel.name, error, failures)
                self._rest(pause_s(failures, self._config, self._random()))
                continue
            except WillNeverWorkError as error:
                self._counters.add("refused", label=channel.name)
                _log.error("%s: alert %s not taken: %s", channel.name, alert.alert_id, error)
            except Exception:  # noqa: BLE001 - whatever a channel does wrong, the next alert goes out
                self._counters.add("failed", label=channel.name)
                _log.exception("%s: alert %s not delivered: a fault in the channel", channel.name, alert.alert_id)
            else:
                self._counters.add("delivered", label=channel.name)
            failures = 0
            self._finish(alert.alert_id, channel.name)

    def _next(self, name: str) -> Alert | None:
        """The oldest alert that the channel has not delivered; waits for one. None when stopping."""
        queue = self._queues[name]
        with self._changed:
            while not self._stopping:
                while queue and queue[0] not in self._journal.pending:
                    queue.popleft()
                if queue:
                    return self._journal.pending[queue[0]]
                self._changed.wait()
        return None

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, seconds)

    def _finish(self, alert_id: str, name: str) -> None:
        with self._changed:
            queue = self._queues[name]
            if queue and queue[0] == alert_id:
                queue.popleft()
            if alert_id in self._journal.pending:
                try:
                    self._journal.finish(alert_id, name)
                    if self._journal.done[alert_id] >= self._queues.keys():
                        self._journal.remove(alert_id)
                except OSError as error:
                    self._counters.add("journal_failed")
                    _log.warning("outbox: %s; alert %s may be delivered again", error, alert_id)
            self._gauge()
            self._changed.notify_all()

    def _gauge(self) -> None:
        for name, queue in self._queues.items():
            self._counters.set("waiting", len(queue), name)
