"""A real collector with the shipped rules: a row that matches becomes one alert, in the table and on the console,
however often it is sent; a story over many rows becomes one too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.batches import BOOT, ip, message, rows
from tests.support.collector import CollectorProcess, stream

SHELL = "Reverse Shell From Web Server User"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    made = CollectorProcess(
        tmp_path, "[detect.correlations]\ninterval_s = 0.5\n[notify.console]\nlanguage = 'en'\ntime_zone = 'UTC'\n"
    )
    made.start()
    yield made
    made.close()


def until(look: Callable[[], Any], collector: CollectorProcess) -> Any:
    deadline = time.monotonic() + 30
    while not (seen := look()):
        assert time.monotonic() < deadline, collector.log()
        time.sleep(0.1)
    return seen


def alerts(collector: CollectorProcess, rule: str) -> list[dict[str, Any]]:
    return collector.query(f"SELECT * FROM alerts FINAL WHERE rule_name = '{rule}'")


def shell() -> dict[str, list[Any]]:
    """What the shipped rule's own example says, in columns."""
    import luytre_rules
    from luytre_collector.detect.model import EventRule
    from luytre_collector.detect.rules import load

    (rule,) = (one for one in load([luytre_rules.FOLDER]).events if one.head.title == SHELL)
    assert isinstance(rule, EventRule)
    return {name: [value] for name, value in rule.examples.match[0].items()}


def test_an_event(collector: CollectorProcess) -> None:
    now_us = time.time_ns() // 1000
    record = rows("processes", 1, {"event_time": [now_us], **shell()})
    batch = message("processes", 1, record=record)
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(batch)
        (alert,) = alerts(collector, SHELL)  # stored before the row was acknowledged
        agent.deliver(batch)
    assert alert["agent_id"] == "web-01"
    assert alert["evidence_ids"] == [f"processes/web-01/{BOOT}/processes/0"]
    out = collector.folder / "stdout"
    until(lambda: SHELL in out.read_text(), collector)
    collector.kill()
    collector.start()
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(batch)
    assert len(alerts(collector, SHELL)) == 1
    assert collector.stop() == 0
    assert out.read_text().count(SHELL) == 1
    assert "web-01" in out.read_text()


def test_a_story(collector: CollectorProcess) -> None:
    now_us = time.time_ns() // 1000
    count = 200
    times = [now_us - 2_000_000 + 1000 * number for number in range(count)]
    given = {
        "flow_start": times,
        "flow_end": times,
        "source_ip": [ip("10.1.0.7")] * count,
        "destination_ip": [ip("10.1.0.80")] * count,
        "destination_port": list(range(1, count + 1)),
        "network_iana_number": [6] * count,
        "network_transport": ["tcp"] * count,
        "connection_state": ["REJ"] * count,
        "source_payload_bytes": [0] * count,
        "destination_payload_bytes": [0] * count,
    }
    record = rows("flows", count, given)
    with stream(collector.address, collector.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(message("flows", count, record=record))
        made = until(lambda: collector.query("SELECT * FROM alerts FINAL WHERE rule_kind = 'correlation'"), collector)
    assert len(made) == 1, made
    assert made[0]["source_ip"] == "::ffff:10.1.0.7"
    until(lambda: made[0]["rule_name"] in (collector.folder / "stdout").read_text(), collector)
