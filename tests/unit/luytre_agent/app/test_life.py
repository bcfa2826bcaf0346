"""From start to end: what is seen reaches the collector, and everything is let go of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from luytre_agent import config
from luytre_agent.app import Agent, hello, uplink_addresses
from luytre_agent.machine import kernel_boot_id, machine_id
from luytre_agent.sources import replay
from luytre_common.errors import LuytreError, UserError

from tests.support.collector_end import Collector
from tests.support.sources import Scripted

CAPTURE = Path(__file__).parents[3] / "golden/capture/tcp.pcap"


def test_what_sources_see_reaches_the_collector_with_the_agents_health(
    configured: config.Config, collector: Collector
) -> None:
    makers = replay.build(replay.Config(files=[CAPTURE]))
    agent = Agent(configured, lambda: makers)
    agent.run(threading.Event())  # ends by itself: the file does
    assert agent.undelivered == 0
    assert {batch.table for batch in collector.batches} >= {"flows", "agent_health"}
    assert collector.said[-1].goodbye.reason == "finished"
    (source,) = collector.said[-2].heartbeat.sources  # just before, or who reads files looks like one that was stopped
    assert (source.name.partition(":")[0], source.available) == ("replay", True)
    assert collector.hellos[0].host_name == "web-01.hue.example"
    names = {(sample.component, sample.name) for sample in agent.samples()}
    assert {
        ("replay", "packets"),
        ("spool", "rows_appended"),
        ("uplink", "acks"),
        ("sources", "source_available"),
    } <= names


def test_a_stop_closes_in_reverse_order_and_spools_the_last_batches(
    configured: config.Config, collector: Collector
) -> None:
    stop = threading.Event()
    last = replay.Replay(replay.Config(), CAPTURE)
    last.open()
    while not last.finished:
        last.poll(0.0)
    source = Scripted(last=list(last.close()), on_idle=stop.set)
    agent = Agent(configured, lambda: {"one": lambda: source})
    agent.run(stop)
    assert source.closed == 1
    assert sum(batch.row_count for batch in collector.batches if batch.table == "flows") > 0
    assert agent.undelivered == 0
    kinds = [one.WhichOneof("kind") for one in collector.said]
    assert set(kinds[:-1]) <= {"heartbeat"}
    assert (kinds[-1], collector.said[-1].goodbye.reason) == ("goodbye", "stopping")


def test_it_says_how_it_is_while_it_runs(configured: config.Config, collector: Collector) -> None:
    stop, heard = threading.Event(), threading.Event()

    def on_idle() -> None:
        stop.wait(0.01)
        if collector.said:
            heard.set()
            stop.set()

    agent = Agent(configured, lambda: {"one": lambda: Scripted(on_idle=on_idle)})
    agent.run(stop, seconds=60.0)
    assert heard.is_set()
    said = collector.said[0].heartbeat
    assert said.agent_time_us > 0
    assert (said.degradation, [one.name for one in said.sources]) == (0, ["one"])


def test_it_ends_after_the_given_time(configured: config.Config) -> None:
    Agent(configured, lambda: {"one": Scripted}).run(threading.Event(), seconds=0.0)


def test_without_a_source_it_fails_and_releases_everything(configured: config.Config) -> None:
    with pytest.raises(LuytreError, match="no source is available: one: no ring"):
        Agent(configured, lambda: {"one": lambda: Scripted(unavailable="no ring")}).run(threading.Event())
    Agent(configured, lambda: {"one": Scripted}).run(threading.Event(), seconds=0.0)


def test_a_spool_in_use_stops_the_start(configured: config.Config) -> None:
    first = Agent(configured, lambda: {"one": Scripted})
    first.start()
    with pytest.raises(UserError, match="another agent"):
        Agent(configured, lambda: {"one": Scripted}).start()
    first.stop()


def test_our_own_connection_is_known_by_every_address_of_the_collector() -> None:
    assert uplink_addresses("127.0.0.1:7071") == (("127.0.0.1", 7071),)
    assert uplink_addresses("[::1]:7071") == (("::1", 7071),)
    assert ("127.0.0.1", 7071) in uplink_addresses("localhost:7071")


def test_a_collector_without_an_address_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert uplink_addresses("no.such.name.invalid:7071") == ()
    assert "our own connection to it will be among the flows" in caplog.text


def test_hello_says_what_runs_where(configured: config.Config) -> None:
    said = hello(configured, "boot", 1.5)
    assert (said.machine_id, said.kernel_boot_id) == (machine_id(), kernel_boot_id())
    assert said.kernel_boot_id
    assert (said.protocol, said.boot_id, said.agent_time_us) == (1, "boot", 1_500_000)
    assert said.kernel == os.uname().release
    assert said.operating_system


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_real_process_with_zero(
    number: int, tmp_path: Path, configured: config.Config, collector: Collector
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(config.dump(configured).replace('["auto"]', '["lo"]'))
    with subprocess.Popen(
        [sys.executable, "-m", "luytre_agent", "run", "--config", str(path)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            collector.wait(lambda: bool(collector.batches))
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "spool").glob("*.seg")), "all was delivered"
