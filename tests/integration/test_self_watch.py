"""Real agent, real collector: whoever falls silent, stops, loses a source or has a wrong clock is an alert, in both
languages, once; a collector that is started anew still knows whom to expect."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_common.wire.v1 import ingest_pb2 as pb

from deploy.demo.namespaces import pair
from deploy.demo.services import Service, Site
from tests.integration.conftest import Start, free_port
from tests.support.collector import CollectorProcess, stream

PRESENCE = """
[presence]
interval_s = 0.2
silent_after_s = 3.0
grace_s = 6.0
not_back_after_s = 0
source_lost_after_s = 0.5
[chains]
interval_s = 0.5
patience_s = 5.0
"""
#: One source, which needs no rights and costs nothing.
LIGHT = """
[sources.packets]
enabled = false
[sources.processes]
enabled = false
[sources.sockets]
enabled = false
[sources.files]
enabled = false
[sources.logins]
enabled = false
[sources.inventory]
enabled = false
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.make(listen=f"127.0.0.1:{free_port()}", settings=PRESENCE)
    return made


def agent_of(site: Site, settings: str = LIGHT) -> Service:
    config = site.agent_toml("web-01", settings)
    config.write_text(config.read_text().replace("[health]\n", "[health]\nheartbeat_seconds = 0.3\n"))
    return site.agent(config)


def alerts(site: Site) -> list[dict[str, Any]]:
    rows = site.query("SELECT * FROM alerts FINAL WHERE rule_id LIKE 'c1a70b2e-%' ORDER BY event_time, rule_name")
    return [{**row, "evidence": json.loads(row["evidence"])} for row in rows]


def names(site: Site) -> list[str]:
    return [row["rule_name"] for row in alerts(site)]


def until(ready: Callable[[], bool], site: Site) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline, (names(site), (site.folder / "collector.log").read_text()[-2000:])
        time.sleep(0.1)


def is_here(site: Site) -> bool:
    found = site.query(
        "SELECT count() AS n FROM collector_health"
        " WHERE counter = 'messages_heard' AND label = 'heartbeat' AND value > 1"
    )
    return int(found[0]["n"]) > 0


def settle(site: Site, seconds: float = 4.0) -> list[str]:
    """What is there after everything that could still come."""
    time.sleep(seconds)
    return names(site)


def test_killed_is_silent_and_comes_back(site: Site, ours: Start) -> None:
    ours(site.start_collector())
    agent = ours(agent_of(site))
    agent.start()
    until(lambda: is_here(site), site)
    agent.kill()
    until(lambda: names(site) == ["Agent Silent"], site)
    assert settle(site) == ["Agent Silent"]
    (alert,) = alerts(site)
    assert (alert["agent_id"], alert["rule_level"], alert["host_name"]) == ("web-01", "high", "web-01")
    assert alert["rule_name_vi"] == "Agent mất liên lạc"
    assert alert["evidence"]["connection"] == "closed"
    assert alert["threat_technique_id"] == ["T1562.001", "T1562.006"]
    agent.start()
    until(lambda: "Agent Heard Again" in names(site), site)
    assert settle(site) == ["Agent Silent", "Agent Heard Again"]
    assert int(alerts(site)[1]["evidence"]["silent_for_s"]) >= 3


def test_frozen_is_silent_though_the_connection_is_open(site: Site, ours: Start) -> None:
    ours(site.start_collector())
    agent = ours(agent_of(site))
    agent.start()
    until(lambda: is_here(site), site)
    os.kill(agent.pid, signal.SIGSTOP)
    try:
        until(lambda: names(site) == ["Agent Silent"], site)
    finally:
        os.kill(agent.pid, signal.SIGCONT)
    assert alerts(site)[0]["evidence"]["connection"] == "open"
    until(lambda: names(site) == ["Agent Silent", "Agent Heard Again"], site)


def test_stopped_said_goodbye(site: Site, ours: Start) -> None:
    ours(site.start_collector())
    agent = ours(agent_of(site))
    agent.start()
    until(lambda: is_here(site), site)
    assert agent.stop() == 0
    until(lambda: names(site) == ["Agent Stopped"], site)
    assert settle(site, 6.0) == ["Agent Stopped"]
    (alert,) = alerts(site)
    assert (alert["rule_level"], alert["evidence"]["last_words"]) == ("low", "stopping")
    assert alert["rule_name_vi"] == "Agent đã bị dừng"


def test_a_collector_that_was_away_expects_the_same_agents(site: Site, ours: Start) -> None:
    collector = ours(site.start_collector())
    agent = ours(agent_of(site))
    agent.start()
    until(lambda: is_here(site), site)
    collector.kill()
    collector = ours(site.start_collector())
    assert settle(site, 8.0) == []  # it came back
    assert collector.stop() == 0
    agent.kill()
    collector = ours(site.start_collector())
    until(lambda: names(site) == ["Agent Silent"], site)
    collector.kill()
    ours(site.start_collector())
    assert settle(site, 9.0) == ["Agent Silent"]  # known, once


@pytest.mark.root
def test_an_interface_that_goes_is_a_source_lost(site: Site, ours: Start) -> None:
    ours(site.start_collector())
    with pair() as ends:
        blue = ends.blue
        settings = LIGHT.replace("[sources.packets]\nenabled = false\n", "") + (
            f'[sources.packets]\ninterfaces = []\n[[sources.packets.interface]]\nname = "{blue.interface}"\n'
            f'network_namespace = "{blue.namespace}"\n'
        )
        agent = ours(agent_of(site, settings))
        agent.start()
        until(lambda: is_here(site), site)
        time.sleep(1)
        subprocess.run(["ip", "-n", blue.namespace, "link", "delete", blue.interface], check=True, timeout=10)
        until(lambda: names(site) == ["Agent Lost a Source of Events"], site)
        (alert,) = alerts(site)
        assert (alert["rule_level"], alert["rule_name_vi"]) == ("medium", "Agent mất một nguồn sự kiện")
        assert blue.interface in alert["evidence"]["source"]
        assert alert["evidence"]["reason"]
        assert settle(site, 2.0) == ["Agent Lost a Source of Events"]
        assert agent.stop() == 0


def chain_counters(site: Site) -> dict[str, int]:
    """What the collector that runs, or the last one, counted of chains."""
    rows = site.query(
        "SELECT counter, sum(last) AS value FROM (SELECT counter, label, argMax(value, event_time) AS last"
        " FROM collector_health WHERE component = 'chain' GROUP BY counter, label, boot_id) GROUP BY counter"
    )
    return {row["counter"]: int(row["value"]) for row in rows}


def test_what_a_real_agent_sends_is_a_chain_also_over_kills_of_either(site: Site, ours: Start) -> None:
    collector = ours(site.start_collector())
    agent = ours(agent_of(site))
    agent.start()
    until(lambda: chain_counters(site).get("batches_verified", 0) > 5, site)
    agent.kill()
    agent.start()
    time.sleep(3)
    assert collector.stop() == 0
    time.sleep(2)
    ours(site.start_collector())
    before = chain_counters(site)["batches_verified"]
    until(lambda: chain_counters(site)["batches_verified"] > before + 5, site)
    assert agent.stop() == 0
    found = chain_counters(site)
    assert not {"batches_broken", "batches_unverified", "batches_unchained", "gaps_met"} & set(found), found
    assert not [name for name in names(site) if name.startswith(("Batch", "Rows"))]


def test_a_segment_that_is_taken_out_of_the_spool_is_noticed(site: Site, ours: Start) -> None:
    collector = ours(site.start_collector())
    agent = ours(agent_of(site, LIGHT))
    config = site.folder / "web-01.toml"
    config.write_text(config.read_text().replace("[spool]\n", "[spool]\nsegment_bytes = 4096\n"))
    agent.start()
    until(lambda: chain_counters(site).get("batches_verified", 0) > 3, site)
    collector.kill()
    spool = site.folder / "spool-web-01"
    agent.wait_until(lambda: len(list(spool.glob("*.seg"))) >= 6, 60)
    sorted(spool.glob("*.seg"))[2].unlink()
    ours(site.start_collector())
    until(lambda: any(name.startswith("Rows of an Agent") for name in names(site)), site)
    (alert,) = (row for row in alerts(site) if row["rule_name"].startswith("Rows of an Agent"))
    assert (alert["agent_id"], alert["evidence"]["stream"]) == ("web-01", "agent_health")
    assert int(alert["evidence"]["rows"]) > 0


def test_a_clock_that_is_off(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path, PRESENCE + "[health]\ninterval_s = 0.2\n")
    collector.start()

    def rows(name: str) -> list[dict[str, Any]]:
        found = collector.query(f"SELECT * FROM alerts FINAL WHERE rule_name = '{name}'")
        return [{**row, "evidence": json.loads(row["evidence"])} for row in found]

    def wait(ready: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while not (seen := ready()):
            assert time.monotonic() < deadline, collector.log()
            time.sleep(0.1)
        return seen

    try:
        with stream(collector.address, collector.identity("web-01")) as agent:
            agent.hello()

            def beat(ahead_s: float) -> None:
                for _ in range(3):
                    now_us = time.time_ns() // 1000 + int(ahead_s * 1_000_000)
                    agent.send(pb.AgentMessage(heartbeat=pb.Heartbeat(agent_time_us=now_us)))

            beat(600)
            (alert,) = wait(lambda: rows("Clock of a Host Is Off"))
            assert alert["evidence"]["clock"] == "ahead"
            assert 598_000 <= int(alert["evidence"]["skew_ms"]) <= 600_000
            assert alert["rule_name_vi"] == "Đồng hồ của máy chủ bị lệch"
            wait(lambda: collector.counter("clock_skew_ms", "web-01") >= 598_000)
            beat(600)
            beat(0)
            wait(lambda: rows("Clock of a Host Is Right Again"))
            assert len(rows("Clock of a Host Is Off")) == 1
            wait(lambda: collector.counter("clock_skew_ms", "web-01") < 5000)
    finally:
        collector.close()
