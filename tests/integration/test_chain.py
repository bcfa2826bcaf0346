"""A real collector and a real gRPC client: a batch that was altered, replaced or taken out on its way is noticed, also
by a collector that was started anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import message, rows
from tests.support.chained import Chained, altered
from tests.support.collector import AgentStream, CollectorProcess, stream

SETTINGS = """
[chains]
interval_s = 0.2
patience_s = 1.0
[health]
interval_s = 0.2
[presence]
interval_s = 0.2
"""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    made = CollectorProcess(tmp_path, SETTINGS)
    made.start()
    yield made
    made.close()


def until(ready: Callable[[], Any], collector: CollectorProcess) -> Any:
    deadline = time.monotonic() + 60
    while not (seen := ready()):
        assert time.monotonic() < deadline, collector.log()
        time.sleep(0.1)
    return seen


def alerts(collector: CollectorProcess) -> list[dict[str, Any]]:
    found = collector.query(
        "SELECT * FROM alerts FINAL WHERE rule_name LIKE 'Batch %' OR rule_name LIKE 'Rows %' ORDER BY event_time"
    )
    return [{**row, "evidence": json.loads(row["evidence"])} for row in found]


def gaps(collector: CollectorProcess) -> list[dict[str, Any]]:
    return collector.query("SELECT first_sequence, last_sequence, state, cause FROM gaps FINAL ORDER BY first_sequence")


def beat(agent: AgentStream) -> None:
    """Nothing waits on the agent."""
    agent.send(pb.AgentMessage(heartbeat=pb.Heartbeat(agent_time_us=time.time_ns() // 1000)))


def test_altered_on_its_way(collector: CollectorProcess) -> None:
    batches = Chained().batches(5)
    batches[2] = altered(batches[2])
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        answers = agent.deliver(*batches)
    assert [one.ack.through_sequence for one in answers] == [2, 5, 8, 11, 14]
    (alert,) = alerts(collector)  # stored before the rows were acknowledged
    assert alert["rule_name"] == "Batch Altered or Replaced on Its Way"
    assert alert["rule_name_vi"] == "Lô dữ liệu bị sửa hoặc bị thay thế trên đường đi"
    assert (alert["agent_id"], alert["rule_level"], alert["evidence"]["how"]) == ("web-01", "high", "altered")
    assert collector.value("SELECT count() AS n FROM flows") == 15
    until(lambda: collector.counter("batches_verified", "flows") == 4, collector)
    assert collector.counter("batches_broken", "altered") == 1


def test_a_collector_that_was_started_anew_knows_the_last_link(collector: CollectorProcess) -> None:
    made = Chained()
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(*made.batches(3))
    assert collector.stop() == 0  # writes the last links
    collector.start()
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(made.batch())
        until(lambda: collector.counter("batches_verified", "flows") == 1, collector)
        agent.deliver(altered(made.batch()))
        agent.deliver(made.batch())
    assert [one["evidence"]["first_sequence"] for one in alerts(collector)] == [12]
    until(lambda: collector.value("SELECT max(last_sequence) AS n FROM chains") == 17, collector)
    collector.kill()
    collector.start()
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(made.batch())
    until(lambda: collector.counter("batches_verified", "flows") == 1, collector)
    assert collector.counter("batches_unverified", "flows") == 0
    assert len(alerts(collector)) == 1


def test_taken_out_and_explained(collector: CollectorProcess) -> None:
    made = Chained()
    batches = made.batches(4)
    ledger = rows("ledger", 1, {
        "event_time": [time.time_ns() // 1000], "ledger_boot_id": [made.boot], "ledger_stream": ["flows"],
        "ledger_entry": ["gap"], "ledger_cause": ["quota"], "ledger_count": [6], "ledger_first_sequence": [3],
        "ledger_last_sequence": [8],
    })  # fmt: skip
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(batches[0], batches[3], message("ledger", 1, record=ledger))
        beat(agent)
        explained = {"first_sequence": 3, "last_sequence": 8, "state": "explained", "cause": "quota"}
        until(lambda: gaps(collector) == [explained], collector)
        until(lambda: collector.counter("gaps_explained", "quota") == 1, collector)
    assert alerts(collector) == []


def test_taken_out_and_nobody_says_why(collector: CollectorProcess) -> None:
    batches = Chained().batches(4)
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(batches[0], batches[3])

        def told() -> list[dict[str, Any]]:
            beat(agent)
            return alerts(collector)

        (alert,) = until(told, collector)
    assert alert["rule_name"] == "Rows of an Agent Missing Without Explanation"
    assert alert["rule_name_vi"] == "Thiếu dữ liệu của agent mà không rõ lý do"
    assert (alert["evidence"]["first_sequence"], alert["evidence"]["last_sequence"]) == (3, 8)
    assert [one["state"] for one in gaps(collector)] == ["unexplained"]
    collector.kill()
    collector.start()
    time.sleep(1)
    assert len(alerts(collector)) == 1
