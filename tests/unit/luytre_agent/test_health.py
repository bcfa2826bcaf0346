from __future__ import annotations

import json
import threading
from typing import Any

from luytre_agent.health import Config, Health, rows_of
from luytre_agent.sources.replay import json_lines
from luytre_common.telemetry import Sample


def test_every_sample_is_a_row() -> None:
    batch = rows_of([Sample("spool", "bytes", "", 7), Sample("packets", "kernel_dropped", "eth0", 3)], 1_700_000_000.5)
    assert batch is not None
    assert (batch.table, batch.rows) == ("agent_health", 2)
    assert batch.first_event == batch.last_event == 1_700_000_000_500_000
    rows = [json.loads(line) for line in json_lines(batch, 0).splitlines()]
    assert [(row["component"], row["counter"], row["label"], row["value"]) for row in rows] == [
        ("spool", "bytes", "", 7),
        ("packets", "kernel_dropped", "eth0", 3),
    ]


def test_nothing_to_say_is_no_batch_and_odd_values_are_clamped() -> None:
    assert rows_of([], 0.0) is None
    batch = rows_of([Sample("a", "b", "", -1), Sample("a", "c", "", 1 << 70)], 1.0)
    assert batch is not None
    values = [json.loads(line)["value"] for line in json_lines(batch, 0).splitlines()]
    assert [int(value) for value in values] == [0, (1 << 64) - 1]


def test_it_writes_every_interval_and_once_more_at_the_end() -> None:
    written: list[Any] = []
    twice = threading.Event()

    def keep(batch: Any) -> None:
        written.append(batch)
        if len(written) >= 2:
            twice.set()

    health = Health(Config(interval_seconds=0.01), lambda: [Sample("a", "b", "", 1)], keep, lambda: 5.0)
    health.start()
    assert twice.wait(20)
    before = len(written)
    health.stop()
    assert len(written) > before
    assert {batch.table for batch in written} == {"agent_health"}


def test_the_heart_beats_beside_and_is_asked_again_soon_while_nobody_hears() -> None:
    answers, beats, writes = [False, True], [], []
    thrice = threading.Event()

    def beat() -> bool:
        beats.append(len(beats))
        if len(beats) >= 3:
            thrice.set()
        return answers[min(len(beats), 2) - 1]

    config = Config(interval_seconds=600.0, heartbeat_seconds=0.01)
    health = Health(config, lambda: [Sample("a", "b", "", 1)], writes.append, lambda: 5.0, beat)
    health.start()
    assert thrice.wait(20)
    assert writes == []
    health.stop()
    assert len(writes) == 1


def test_another_rhythm_counts_at_once() -> None:
    written, beaten = threading.Event(), threading.Event()

    def beat() -> bool:
        beaten.set()
        return True

    config = Config(interval_seconds=600.0, heartbeat_seconds=20.0)
    health = Health(config, lambda: [Sample("a", "b", "", 1)], lambda _: written.set(), lambda: 5.0, beat)
    health.start()
    assert beaten.wait(20)
    beaten.clear()
    health.reconfigure(Config(interval_seconds=0.01, heartbeat_seconds=0.1))
    assert written.wait(20)
    assert beaten.wait(20)
    health.stop()


def test_a_fault_ends_neither_heartbeats_nor_rows() -> None:
    beats, writes = [], []
    enough = threading.Event()

    def beat() -> bool:
        beats.append(len(beats))
        raise RuntimeError("a fault")

    def gather() -> list[Sample]:
        writes.append(len(writes))
        if len(writes) >= 3 and len(beats) >= 3:
            enough.set()
        if not enough.is_set():
            raise RuntimeError("another")
        return []

    health = Health(Config(interval_seconds=0.01, heartbeat_seconds=0.01), gather, lambda _: None, lambda: 5.0, beat)
    health.start()
    assert enough.wait(20)
    health.stop()
    assert health.counters.get("failures", "beat") >= 3
    assert health.counters.get("failures", "write") >= 2
