"""A real collector with its tables on a ClickHouse server (the bridge, see tests/support/bridge): what was acknowledged
is there, each row once, whichever of the two was killed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.batches import message
from tests.support.bridge.process import Bridge
from tests.support.collector import AgentStream, CollectorProcess, stream

BOOT = "00000000-0000-4000-8000-000000000042"
BATCHES, ROWS = 40, 100


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def batches() -> list[pb.Batch]:
    return [message("flows", ROWS, ROWS * number, boot=BOOT) for number in range(BATCHES)]


def through(agent: AgentStream, count: int) -> int:
    """The last row that is acknowledged after `count` more answers."""
    last = -1
    for _ in range(count):
        answer = agent.next()
        assert answer.HasField("ack"), answer
        last = answer.ack.through_sequence
    return last


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_and_a_collector_killed_while_rows_arrive(tmp_path: Path, workers: int) -> None:
    first, second = Bridge(tmp_path / "tables"), Bridge(tmp_path / "tables", port=free_port())
    extra = f"""
[store]
engine = "server"
[store.server]
hosts = ["127.0.0.1:{{}}", "{second.host}"]
connect_timeout_s = 2
[health]
interval_s = 0.2
[pipeline]
linger_s = 0.0
workers = {workers}
"""
    with first:
        collector = CollectorProcess(tmp_path, extra.format(first.port))
        try:
            collector.start()
            with (
                stream(collector.address, collector.identity("db-01")) as other,
                stream(collector.address, collector.identity("web-01")) as agent,
            ):
                other.hello()
                assert agent.hello().credit >= 1
                for batch in batches()[:10]:
                    other.send(batch)
                for batch in batches()[:20]:
                    agent.send(batch)
                assert through(agent, 3) == 3 * ROWS - 1
                first.kill()  # with inserts under way; the collector holds the rest and tries
                with second:
                    assert through(other, 10) == 10 * ROWS - 1
                    assert through(agent, 17) == 20 * ROWS - 1
                    for batch in batches()[20:]:
                        agent.send(batch)
                    through(agent, 5)
                    collector.kill()
                    collector.start()
                    with stream(collector.address, collector.identity("web-01")) as again:
                        again.hello()
                        for batch in batches()[20:]:  # the agent does not know what was stored
                            again.send(batch)
                        assert through(again, 20) == BATCHES * ROWS - 1
                    found = collector.query(
                        "SELECT agent_id AS agent, count() AS n, uniqExact(sequence) AS d, max(sequence) AS m"
                        f" FROM flows WHERE boot_id = '{BOOT}' GROUP BY agent ORDER BY agent"
                    )
                    assert [(row["agent"], row["n"], row["d"], row["m"] + 1) for row in found] == [
                        ("db-01", 10 * ROWS, 10 * ROWS, 10 * ROWS),
                        ("web-01", BATCHES * ROWS, BATCHES * ROWS, BATCHES * ROWS),
                    ]
                    assert collector.value("SELECT countIf(counter = 'store_retries') FROM collector_health") > 0
                    assert collector.value("SELECT countIf(counter = 'host_changed') FROM collector_health") > 0
                    assert collector.stop() == 0
        finally:
            collector.close()
