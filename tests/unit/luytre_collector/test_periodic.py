"""Again and again, and its faults."""

import threading
from collections.abc import Sequence

import pytest
from luytre_collector.detect.alert import Alert
from luytre_collector.periodic import Periodic, ScheduledRules
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.telemetry import Counters

from tests.support.alerts import alert


def test_faults_are_counted_and_it_goes_on() -> None:
    counters, done = Counters("periodic"), threading.Event()
    steps = iter([StoreUnavailableError("away"), ZeroDivisionError("bug")])

    def action() -> None:
        if fault := next(steps, None):
            raise fault
        done.set()

    periodic = Periodic("health", 0.001, action, counters)
    periodic.start()
    assert done.wait(20)
    periodic.close()
    assert counters.get("failures", "health") == 2
    assert counters.get("runs", "health") >= 1


def test_closing_what_was_never_started() -> None:
    Periodic("x", 1.0, lambda: None, Counters("periodic")).close()


def test_alerts_that_could_not_be_raised_are_raised_next_round() -> None:
    raised: list[Alert] = []
    away = True

    def raise_alerts(alerts: Sequence[Alert]) -> None:
        if away:
            raise StoreUnavailableError("away")
        raised.extend(alerts)

    due = iter([[alert(1)], [alert(2)], []])
    rounds = ScheduledRules((lambda: next(due),), raise_alerts)
    with pytest.raises(StoreUnavailableError):
        rounds()
    away = False
    rounds()
    rounds()
    assert raised == [alert(1), alert(2)]
