"""The thread in front of the pipeline."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from luytre_collector.ingest.admit import Admitted
from luytre_collector.pipeline import Postponed, StoppingError, Stored, Verdict
from luytre_collector.worker import Config, Worker
from luytre_common.telemetry import Counters

from tests.support.batches import admitted, message

STORED = Stored()


class Answers:
    """Collects verdicts."""

    def __init__(self) -> None:
        self.got: dict[int, Verdict] = {}
        self._changed = threading.Condition()

    def submit(self, worker: Worker, *batches: Admitted) -> None:
        for batch in batches:
            worker.submit(batch, lambda verdict, at=batch.first_sequence: self._take(at, verdict))  # type: ignore[misc]

    def _take(self, at: int, verdict: Verdict) -> None:
        with self._changed:
            self.got[at] = verdict
            self._changed.notify_all()

    def wait(self, count: int) -> dict[int, Verdict]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.got) >= count, 20)
            return self.got


def batches(count: int, rows: int = 10) -> list[Admitted]:
    return [admitted(message("agent_health", rows, number * rows)) for number in range(count)]


def test_what_waits_is_taken_together_and_all_are_answered() -> None:
    seen: list[int] = []

    def process(given: Sequence[Admitted]) -> list[Verdict]:
        seen.append(len(given))
        return [STORED] * len(given)

    counters, answers = Counters("pipeline"), Answers()
    worker = Worker(Config(enough_rows=50, linger_s=20.0), counters)
    answers.submit(worker, *batches(5))
    assert counters.get("queued_batches") == 5
    worker.start(process)
    assert answers.wait(5) == dict.fromkeys(range(0, 50, 10), STORED)
    worker.close()
    assert seen == [5]
    assert counters.get("queued_batches") == 0


def test_rows_and_bytes_taken_together_are_bounded() -> None:
    for config in (Config(most_rows=25, linger_s=0), Config(most_bytes=2 * batches(1)[0].body_size + 1, linger_s=0)):
        seen: list[int] = []

        def process(given: Sequence[Admitted], seen: list[int] = seen) -> list[Verdict]:
            seen.append(len(given))
            return [STORED] * len(given)

        answers = Answers()
        worker = Worker(config, Counters("pipeline"))
        answers.submit(worker, *batches(5))
        worker.start(process)
        answers.wait(5)
        worker.close()
        assert seen == [2, 2, 1]


def test_closing_finishes_what_is_queued_and_takes_nothing_more() -> None:
    answers = Answers()
    worker = Worker(Config(linger_s=20.0), Counters("pipeline"))
    worker.start(lambda given: [STORED] * len(given))
    answers.submit(worker, *batches(2))
    worker.close()
    assert answers.got == {0: STORED, 10: STORED}
    late = admitted(message("agent_health", 1, 99))
    answers.submit(worker, late)
    assert isinstance(answers.got[99], Postponed)


def test_while_the_store_is_away_stopping_gives_batches_back() -> None:
    worker = Worker(Config(linger_s=0, retry_min_s=20.0, retry_max_s=20.0), Counters("pipeline"))
    waiting = threading.Event()

    def process(given: Sequence[Admitted]) -> list[Verdict]:
        waiting.set()
        if not worker.pause(1):
            raise StoppingError
        return [STORED] * len(given)

    answers = Answers()
    worker.start(process)
    answers.submit(worker, *batches(1))
    assert waiting.wait(20)
    worker.close()
    assert answers.got == {0: Postponed("the collector is stopping")}


def test_a_fault_in_the_pipeline_postpones_and_the_thread_lives() -> None:
    counters, answers = Counters("pipeline"), Answers()
    worker = Worker(Config(linger_s=0), counters)
    faults = iter([ZeroDivisionError("bug")])

    def process(given: Sequence[Admitted]) -> list[Verdict]:
        if fault := next(faults, None):
            raise fault
        return [STORED] * len(given)

    first, second = batches(2)
    worker.start(process)
    answers.submit(worker, first)
    assert isinstance(answers.wait(1)[0], Postponed)
    answers.submit(worker, by(second, 2))
    assert answers.wait(2)[10] == STORED
    worker.close()
    assert counters.get("pipeline_failed") == 1


def by(batch: Admitted, connection: int) -> Admitted:
    return replace(batch, sender=replace(batch.sender, connection=connection))


def test_what_comes_after_a_batch_that_goes_back_goes_back_too_until_the_agent_comes_again() -> None:
    """Were the later one stored, the earlier one would count as stored when it comes again, and be lost."""
    counters, answers = Counters("pipeline"), Answers()
    worker = Worker(Config(linger_s=0), counters)
    seen: list[tuple[int, int]] = []
    faults = iter([ZeroDivisionError("bug")])

    def process(given: Sequence[Admitted]) -> list[Verdict]:
        if fault := next(faults, None):
            raise fault
        seen.extend((one.sender.connection, one.first_sequence) for one in given)
        return [STORED] * len(given)

    first, second, third, other = batches(4)
    worker.start(process)
    answers.submit(worker, by(first, 7))
    assert isinstance(answers.wait(1)[0], Postponed)
    somebody = replace(other, sender=replace(other.sender, agent_id="web-02", connection=6))
    answers.submit(worker, by(second, 7), somebody, by(third, 3))
    assert answers.wait(4)[30] == STORED
    assert answers.got[10] == answers.got[20] == Postponed("an earlier batch is to be sent again")
    assert counters.get("postponed") == 2
    answers.got.clear()
    answers.submit(worker, by(first, 8), by(second, 8))
    assert answers.wait(2) == {0: STORED, 10: STORED}
    worker.close()
    assert seen == [(6, 30), (8, 0), (8, 10)]


def test_pauses_double_to_a_limit() -> None:
    worker = Worker(Config(retry_min_s=0.001, retry_max_s=0.002), Counters("pipeline"))
    assert worker.pause(1)
    assert worker.pause(1000)
    worker.close()
    assert not worker.pause(1)


def test_while_it_is_held_batches_wait_and_at_the_end_they_go_back() -> None:
    counters, answers = Counters("pipeline"), Answers()
    worker = Worker(Config(linger_s=0), counters)
    worker.hold("no room")
    worker.start(lambda given: [STORED] * len(given))
    first, second, third = batches(3)
    answers.submit(worker, first, second)
    assert counters.get("queued_batches") == 2
    assert answers.got == {}
    worker.hold(None)
    assert answers.wait(2) == {0: STORED, 10: STORED}
    worker.hold("no room")
    answers.submit(worker, third)
    worker.close()
    assert answers.got[20] == Postponed("no room")


def test_what_does_not_come_back_is_hung_and_asking_again_is_a_step() -> None:
    entered, go_on = threading.Event(), threading.Event()
    paused, end = threading.Event(), threading.Event()

    def process(given: Sequence[Admitted]) -> list[Verdict]:
        entered.set()
        go_on.wait(60)
        worker.pause(1)
        paused.set()
        end.wait(60)
        return [STORED] * len(given)

    answers = Answers()
    worker = Worker(Config(linger_s=0.0, retry_min_s=0.001), Counters("pipeline"))
    worker.start(process)
    assert not worker.hung(-1.0), "nothing was taken"
    answers.submit(worker, *batches(1))
    try:
        assert entered.wait(20)
        time.sleep(0.3)
        assert worker.hung(0.2)
        assert not worker.hung(1000.0)
        go_on.set()
        assert paused.wait(20)
        assert not worker.hung(1000.0)
    finally:
        go_on.set()
        end.set()
    answers.wait(1)
    worker.close()
    assert not worker.hung(-1.0)


def test_a_fault_with_the_batches_of_one_agent_does_not_hold_up_the_others() -> None:
    counters, answers = Counters("pipeline"), Answers()
    worker = Worker(Config(enough_rows=60, linger_s=20.0), counters)
    seen: list[list[tuple[str, int]]] = []

    def process(given: Sequence[Admitted]) -> list[Verdict]:
        seen.append([(one.sender.agent_id, one.first_sequence) for one in given])
        if any(one.sender.agent_id == "bad" for one in given):
            raise ZeroDivisionError("bug")
        return [STORED] * len(given)

    names = ("web-01", "bad", "web-02", "web-01", "bad", "web-02")
    mixed = [
        replace(one, sender=replace(one.sender, agent_id=name)) for one, name in zip(batches(6), names, strict=True)
    ]
    answers.submit(worker, *mixed)
    worker.start(process)
    got = answers.wait(6)
    worker.close()
    assert [at for at, verdict in sorted(got.items()) if verdict == STORED] == [0, 20, 30, 50]
    assert all(isinstance(got[at], Postponed) for at in (10, 40))
    assert seen[1:] == [
        [("web-01", 0), ("web-01", 30)], [("bad", 10), ("bad", 40)], [("web-02", 20), ("web-02", 50)]
    ]  # fmt: skip
    assert counters.get("pipeline_failed") == 2
    assert counters.get("pipeline_parted") == 6
