from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from luytre_agent import _core
from luytre_agent.sources.base import SealedBatch
from luytre_agent.sources.rows import Rows
from luytre_common.telemetry import Counters


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def messages(batches: Iterable[SealedBatch]) -> list[Any]:
    lines = [line for batch in batches for line in _core.to_json_lines(cast(_core.Sealed, batch)).splitlines()]
    return [json.loads(line)["message"] for line in lines]


def row(message: str) -> dict[str, Any]:
    return {"event_time": 1, "message": message}


def test_a_batch_is_due_by_age() -> None:
    clock = Clock()
    rows = Rows("logins", Counters("x"), batch_seconds=2.0, clock=clock)
    assert (rows.wait_s(0.5), rows.take(), rows.waiting) == (0.5, [], 0)
    rows.add(row("a"))
    clock.now += 1.75
    rows.add(row("b"))
    assert (rows.wait_s(0.5), rows.take(), rows.waiting) == (0.25, [], 2)
    clock.now += 0.25
    assert rows.wait_s(0.5) == 0.0
    assert messages(rows.take()) == ["a", "b"]
    assert rows.waiting == 0


def test_a_batch_is_full() -> None:
    rows = Rows("logins", Counters("x"), batch_rows=2, clock=Clock())
    for text in "abcde":
        rows.add(row(text))
    assert (rows.waiting, rows.wait_s(1.0)) == (5, 0.0)
    assert [messages([batch]) for batch in rows.take()] == [["a", "b"], ["c", "d"]]
    assert messages(rows.flush()) == ["e"]
    assert rows.flush() == []


def test_a_value_out_of_range_is_counted_and_harms_no_other_row() -> None:
    counters = Counters("x")
    rows = Rows("logins", counters, clock=Clock())
    assert rows.add(row("a"))
    assert not rows.add({"event_time": 1, "source_port": 65536})
    assert rows.add(row("b"))
    assert messages(rows.flush()) == ["a", "b"]
    assert (counters.get("rows", "logins"), counters.get("rows_refused", "logins")) == (2, 1)
