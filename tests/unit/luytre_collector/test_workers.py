"""Several workers: one numbering, one thread."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence

import pytest
from luytre_collector.ingest.admit import Admitted, Sender
from luytre_collector.pipeline import Postponed, Stored, Verdict
from luytre_collector.worker import Config, Worker
from luytre_collector.workers import Process, Workers
from luytre_common.telemetry import Counters

from tests.support.batches import NOW_US, admitted, message


class Seen:
    """Which thread was given which numbers of which numbering."""

    def __init__(self) -> None:
        self.by: defaultdict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
        self.answers: list[Verdict] = []
        self._changed = threading.Condition()
        self.made = 0

    def make(self, worker: Worker) -> Process:
        self.made += 1
        name = f"process {self.made}"

        def process(given: Sequence[Admitted]) -> list[Verdict]:
            with self._changed:
                for one in given:
                    self.by[one.sender.agent_id, one.table.name].append((name, one.first_sequence))
            return [Stored()] * len(given)

        return process

    def take(self, verdict: Verdict) -> None:
        with self._changed:
            self.answers.append(verdict)
            self._changed.notify()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.answers) >= count, 20)


def batch(agent: str, table: str, number: int, now_us: int = NOW_US) -> Admitted:
    return admitted(message(table, 10, number * 10), Sender(agent, agent), now_us)


def test_an_agent_has_one_worker_in_order_and_shares_are_even() -> None:
    counters, seen = Counters("pipeline"), Seen()
    workers = Workers(Config(workers=3, linger_s=0), counters)
    workers.start(seen.make)
    agents, tables = [f"web-{number}" for number in range(6)], ("dns", "tls", "agent_health")
    for number in range(5):
        for agent in agents:
            for table in tables:
                workers.submit(batch(agent, table, number), seen.take)
    seen.wait(90)
    workers.close()
    assert seen.made == 3
    assert seen.answers == [Stored()] * 90
    shares: defaultdict[str, set[str]] = defaultdict(set)
    for (agent, _), came in seen.by.items():
        assert [first for _, first in came] == [0, 10, 20, 30, 40]
        shares[agent] |= {name for name, _ in came}
    assert sorted(name for (name,) in shares.values()) == ["process 1"] * 2 + ["process 2"] * 2 + ["process 3"] * 2
    assert [counters.get("queued_batches", str(at)) for at in range(3)] == [0, 0, 0]


def test_all_are_held_and_the_oldest_of_all_counts() -> None:
    seen = Seen()
    workers = Workers(Config(workers=2, linger_s=0), Counters("pipeline"))
    assert workers.oldest_us() is None
    workers.hold("no room")
    workers.start(seen.make)
    workers.submit(batch("a", "dns", 0, NOW_US + 5), seen.take)
    workers.submit(batch("b", "dns", 0, NOW_US + 3), seen.take)
    assert workers.held
    assert workers.oldest_us() == NOW_US + 3
    assert seen.answers == []
    workers.hold(None)
    seen.wait(2)
    workers.hold("no room")
    workers.submit(batch("a", "dns", 1), seen.take)
    workers.close()
    assert seen.answers[2:] == [Postponed("no room")]
    workers.submit(batch("a", "dns", 2), seen.take)
    assert isinstance(seen.answers[3], Postponed)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_gauge_of_one_worker_has_no_label(workers: int) -> None:
    counters = Counters("pipeline")
    made = Workers(Config(workers=workers), counters)
    made.submit(batch("a", "dns", 0), lambda _: None)
    assert counters.get("queued_batches", "" if workers == 1 else "0") == 1
