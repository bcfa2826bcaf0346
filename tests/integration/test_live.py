"""Real agent, real collector, real packets between two namespaces: what is in the tables equals what was done, also
when one of the two is killed in the middle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from deploy.demo import report, scripts, wire
from deploy.demo.namespaces import Pair, pair
from deploy.demo.scripts import CLIENT
from deploy.demo.services import Service, Site
from tests.integration.conftest import Start

pytestmark = pytest.mark.root

PORT = 9000
SAID, ANSWERED = b"x" * 700, b"y" * 1900
TALK = [(CLIENT, SAID), (not CLIENT, ANSWERED)]


@pytest.fixture
def ends() -> Iterator[Pair]:
    with pair() as made:
        yield made


def settings(ends: Pair) -> str:
    """Only blue's end of the wire; many small batches, so that a kill finds some on their way."""
    return f"""
[sources.packets]
interfaces = []
inactive_timeout_seconds = 2.0
batch_rows = 7
batch_seconds = 0.1

[[sources.packets.interface]]
name = "{ends.blue.interface}"
network_namespace = "{ends.blue.namespace}"
"""


def start_agent(site: Site, config: Path) -> Service:
    """An agent that has had counters of its capture stored by the collector that runs."""
    before = captured(site)
    agent = site.agent(config)
    agent.start()
    agent.wait_until(lambda: captured(site) > before, 60)
    return agent


def captured(site: Site) -> int:
    """Numberings that told of their capture: one more for each agent that began anew, whatever comes late of a killed
    one."""
    found = site.query(
        "SELECT uniqExact(boot_id) AS numberings FROM agent_health WHERE component = 'packets' AND counter = 'packets'"
    )
    return int(found[0]["numberings"])


def talk(ends: Pair, count: int, pause_s: float = 0.0) -> None:
    """So many connections from red to blue, each of them known to the byte."""
    with wire.listening(ends.blue, PORT) as listener:
        for _ in range(count):
            wire.converse(ends.red, listener, TALK)
            time.sleep(pause_s)


def truth(site: Site) -> tuple[int, int, int, int, int]:
    """Rows of the known connections, distinct flows, distinct rows, and bytes of either side."""
    (row,) = site.query(
        "SELECT count() AS rows, uniqExact(flow_id) AS flows, uniqExact(boot_id, stream, sequence) AS numbers,"
        f" sum(source_payload_bytes) AS said, sum(destination_payload_bytes) AS answered FROM flows"
        f" WHERE destination_port = {PORT} AND connection_state = 'SF'"
    )
    rows, flows, numbers, said, answered = (int(row[name]) for name in ("rows", "flows", "numbers", "said", "answered"))
    return rows, flows, numbers, said, answered


def expected(count: int) -> tuple[int, int, int, int, int]:
    return count, count, count, count * len(SAID), count * len(ANSWERED)


def gaps(site: Site) -> list[dict[str, object]]:
    """Numberings in which a row is missing or twice, of all tables that agents write."""
    every = " UNION ALL ".join(
        f"SELECT '{name}' AS name, agent_id, boot_id, stream, count() AS rows, uniqExact(sequence) AS numbers,"
        f" max(sequence) + 1 AS through FROM {name} GROUP BY agent_id, boot_id, stream"
        for name in ("flows", "dns", "tls", "processes", "agent_health")
    )
    return site.query(f"SELECT * FROM ({every}) WHERE rows != numbers OR rows != through")


def test_every_connection_is_one_row(site: Site, ours: Start, ends: Pair) -> None:
    collector = ours(site.start_collector())
    agent = ours(start_agent(site, site.agent_toml("web-01", settings(ends))))
    talk(ends, 150)
    lookups = wire.ask(ends.blue, ends.red, scripts.everyday_lookups(Random(4), 25))
    assert agent.stop() == 0
    assert truth(site) == expected(150)
    (dns,) = site.query("SELECT count() AS rows, uniqExact(dns_id) AS ids FROM dns WHERE dns_response_code = 'NOERROR'")
    assert int(dns["rows"]) == lookups
    assert gaps(site) == []
    (drops,) = site.query("SELECT max(value) AS drops FROM agent_health WHERE counter = 'kernel_dropped'")
    assert int(drops["drops"]) == 0
    assert {one.rule_id for one in report.alerts(site)} <= {*report.THE_END}
    assert collector.stop() == 0


def test_kill_9_of_the_collector(site: Site, ours: Start, ends: Pair) -> None:
    collector = ours(site.start_collector())
    agent = ours(start_agent(site, site.agent_toml("web-01", settings(ends))))
    talk(ends, 60, pause_s=0.02)
    collector.kill()
    talk(ends, 60, pause_s=0.02)
    collector = ours(site.start_collector())
    talk(ends, 60, pause_s=0.02)
    assert agent.stop(60) == 0
    assert truth(site) == expected(180)
    assert gaps(site) == []


def test_kill_9_of_the_agent(site: Site, ours: Start, ends: Pair) -> None:
    """What the core and the kernel held for it is lost with it; what it had spooled is not, and nothing is twice."""
    ours(site.start_collector())
    config = site.agent_toml("web-01", settings(ends))
    agent = ours(start_agent(site, config))
    talk(ends, 60)
    agent.wait_until(lambda: truth(site) == expected(60), 30)
    talk(ends, 60, pause_s=0.02)
    agent.kill()
    talk(ends, 20)  # nobody watches
    agent = ours(start_agent(site, config))
    talk(ends, 50, pause_s=0.02)
    assert agent.stop(60) == 0
    rows, flows, numbers, said, answered = truth(site)
    assert rows == flows == numbers
    assert (said, answered) == (rows * len(SAID), rows * len(ANSWERED))
    assert 60 + 50 <= rows <= 60 + 60 + 50
    assert gaps(site) == []


def test_agent_that_starts_before_its_collector(site: Site, ours: Start, ends: Pair) -> None:
    address = site.collector_toml.read_text().split('listen = "')[1].split('"')[0]
    agent = ours(site.agent(site.agent_toml("web-01", settings(ends), collector=address)))
    agent.start()
    agent.wait_until(lambda: "blue0: running" in agent.log_text(), 30)
    talk(ends, 40)
    ours(site.start_collector())
    assert agent.stop(60) == 0
    assert truth(site) == expected(40)
    assert gaps(site) == []
