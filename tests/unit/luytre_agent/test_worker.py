from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from luytre_agent.ease import Ease
from luytre_agent.worker import State, Worker
from luytre_common.errors import Unavailable
from luytre_common.telemetry import Counters

from tests.support.sources import Batch, Scripted
from tests.support.waiting import until


def run(source: Scripted, counters: Counters, waits: Any = lambda failures: 0.0) -> tuple[Worker, list[Batch]]:
    got: list[Batch] = []
    worker = Worker("scripted", lambda: source, lambda batch, patient: got.append(batch), counters, waits)
    worker.start()
    return worker, got


def test_a_source_that_ends_is_closed_and_everything_is_handed_on() -> None:
    counters = Counters("sources")
    source = Scripted(polls=[[Batch(rows=1)], [], [Batch(rows=2)]], finishes=True, last=[Batch(rows=3)], fault="byte 9")
    worker, got = run(source, counters)
    worker.join()
    assert [batch.rows for batch in got] == [1, 2, 3]
    assert worker.state is State.FINISHED
    assert worker.fault == "byte 9"
    assert [sample.value for sample in worker.samples()] == [1], "the counters after the close"
    assert counters.get("source_available", "scripted") == 0


def test_a_stop_closes_the_source() -> None:
    counters, idle = Counters("sources"), threading.Event()
    source = Scripted(polls=[[Batch()]], last=[Batch(rows=9)], on_idle=idle.set)
    worker, got = run(source, counters)
    assert idle.wait(20)
    assert worker.state is State.AVAILABLE
    assert counters.get("source_available", "scripted") == 1
    worker.ask_to_stop()
    worker.join()
    assert source.closed == 1
    assert [batch.rows for batch in got] == [1, 9]
    assert counters.get("source_available", "scripted") == 0


def test_a_source_that_raises_is_counted_closed_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    counters, idle, waits = Counters("sources"), threading.Event(), []
    source = Scripted(polls=[[Batch()], RuntimeError("odd"), RuntimeError("odd"), [Batch()]], on_idle=idle.set)
    worker, got = run(source, counters, lambda failures: waits.append(failures) or 0.0)
    assert idle.wait(20)
    worker.ask_to_stop()
    worker.join()
    assert len(got) == 2
    assert (source.opened, source.closed) == (3, 3)
    assert counters.get("source_failures", "scripted") == 2
    assert waits[:2] == [1, 1]
    assert "scripted: failed in poll; it is started again" in caplog.text


def test_a_source_that_goes_away_is_said_closed_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    counters, idle = Counters("sources"), threading.Event()
    source = Scripted(polls=[[Batch()], Unavailable("gone"), [Batch()]], last=[Batch(rows=9)], on_idle=idle.set)
    worker, got = run(source, counters)
    assert idle.wait(20)
    worker.ask_to_stop()
    worker.join()
    assert [batch.rows for batch in got] == [1, 9, 1, 9]
    assert counters.get("source_failures", "scripted") == 0
    assert counters.get("source_unavailable", "scripted") == 1
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "scripted: not available: gone"
    ]


def test_an_unavailable_source_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    counters, waits, thrice = Counters("sources"), [], threading.Event()

    def wait(failures: int) -> float:
        waits.append(failures)
        if failures == 3:
            thrice.set()
        return 0.0

    worker, got = run(Scripted(unavailable="no such ring"), counters, wait)
    assert worker.settled.wait(20)
    assert thrice.wait(20)
    worker.ask_to_stop()
    worker.join()
    assert got == []
    assert worker.state is State.UNAVAILABLE
    assert waits[:3] == [1, 2, 3]
    assert counters.get("source_unavailable", "scripted") >= 3
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["scripted: not available: no such ring; help it"]


def test_a_source_that_does_not_come_back_is_hung() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def stuck() -> None:
        entered.set()
        go_on.wait(60)

    worker, _ = run(Scripted(on_idle=stuck), Counters("sources"))
    try:
        assert entered.wait(20)
        time.sleep(0.01)
        assert worker.hung(0.0)
        assert not worker.hung(1000.0)
    finally:
        go_on.set()
        worker.ask_to_stop()
        worker.join()
    assert not worker.hung(0.0), "it has ended"


def test_a_long_opening_is_no_hang_until_it_is_very_long(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(Scripted):
        def open(self) -> None:
            entered.set()
            go_on.wait(60)

    worker, _ = run(Slow(), Counters("sources"))
    try:
        assert entered.wait(20)
        time.sleep(0.01)
        assert not worker.hung(0.0)
        monkeypatch.setattr("luytre_agent.worker._OPEN_S", 0.0)
        assert worker.hung(0.0)
    finally:
        go_on.set()
        worker.ask_to_stop()
        worker.join()


def test_waiting_for_the_next_try_is_no_hang() -> None:
    worker, _ = run(Scripted(unavailable="no ring"), Counters("sources"), lambda failures: 600.0)
    assert worker.settled.wait(20)
    while worker.hung(-1.0):  # from the opening to the waiting
        time.sleep(0.001)
    worker.ask_to_stop()
    worker.join()


def test_what_a_source_may_leave_out_reaches_it_between_two_polls_also_after_it_began_anew() -> None:
    less, back = Ease(one_in=4), Ease()
    source = Scripted()
    worker, _ = run(source, Counters("sources"))
    until(lambda: worker.state is State.AVAILABLE)
    assert source.eased == []
    worker.ease(less)
    until(lambda: source.eased == [less])
    source.polls = [RuntimeError("odd")]
    until(lambda: source.eased == [less, less])
    assert source.opened == 2, "who was opened anew is told too"
    worker.ease(back)
    until(lambda: source.eased == [less, less, back])
    worker.ask_to_stop()
    worker.join()


def test_a_source_that_rests_is_not_polled_meanwhile_and_stops_at_once() -> None:
    polled: list[bool] = []
    source = Scripted(on_idle=lambda: polled.append(True), rest_s=600.0)
    worker, _ = run(source, Counters("sources"))
    worker.ease(Ease(rest_seconds=600.0))
    until(lambda: source.eased)
    time.sleep(0.1)
    before = len(polled)
    time.sleep(0.1)
    assert len(polled) == before
    worker.ask_to_stop()
    worker.join()
    assert source.closed == 1


@pytest.mark.parametrize("patient", [True, False])
def test_who_takes_the_batches_is_told_whether_the_source_can_wait(patient: bool) -> None:
    told: list[bool] = []
    source = Scripted(polls=[[Batch()]], finishes=True, last=[Batch()], patient=patient)
    worker = Worker("s", lambda: source, lambda _, patient: told.append(patient), Counters("sources"), lambda _: 0.0)
    worker.start()
    worker.join()
    assert told == [patient, patient]
