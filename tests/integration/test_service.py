"""The programs as services: what the service manager hears."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.demo.services import AGENT, Site
from tests.support.batches import message, rows
from tests.support.collector import CollectorProcess, stream
from tests.support.manager import Manager
from tests.support.spooled import batches
from tests.unit.luytre_collector.test_reload import RULE


def test_the_collector_is_ready_when_agents_can_come_alive_meanwhile_and_stopping_at_the_end(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path)
    with Manager(str(tmp_path / "notify")) as manager:
        collector.start(NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="900000")
        try:
            heard = manager.wait(lambda all_: all_.count({"WATCHDOG": "1"}) >= 3)
            assert heard[0]["READY"] == "1"
            assert f"listens on {collector.address}" in heard[0]["STATUS"]
            assert collector.stop() == 0, collector.log()
        finally:
            collector.close()
        assert sum("STOPPING" in one for one in manager.wait(lambda all_: "STOPPING" in all_[-1])) == 1


def test_a_hangup_takes_new_rules_while_rows_come_in(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.yml").write_text(RULE.format(number=1, word="evil"))
    collector = CollectorProcess(tmp_path, f'[detect]\nrules = ["{folder}"]\n')
    with Manager(str(tmp_path / "notify")) as manager:
        collector.start(NOTIFY_SOCKET=manager.address)

        def hangup(said: str) -> None:
            collector.signal(signal.SIGHUP)
            manager.wait(lambda all_: all_[-1].get("STATUS", "").endswith(said))

        def run(number: int) -> list[str]:
            """A process that both rules are about; the rules that fired about it, or about those before."""
            given = {
                "event_time": [time.time_ns() // 1000],
                "event_action": ["exec"],
                "process_command_line": ["evil and odd"],
            }
            agent.deliver(message("processes", 1, number, record=rows("processes", 1, given)))
            found = collector.query("SELECT DISTINCT rule_name FROM alerts ORDER BY rule_name")
            return [str(row["rule_name"]) for row in found]

        try:
            with stream(collector.address, collector.identity("web-01")) as agent:
                agent.hello()
                assert run(0) == ["Rule 1"]
                (folder / "two.yml").write_text("title: [")
                hangup("1 rules as before")
                assert run(1) == ["Rule 1"]
                (folder / "two.yml").write_text(RULE.format(number=2, word="odd"))
                hangup("2 rules")
                assert run(2) == ["Rule 1", "Rule 2"], "over the same connection"
                text = collector.config.read_text()
                collector.config.write_text("[nonsense]")
                hangup("2 rules as before")
                collector.config.write_text(text)
                assert run(3) == ["Rule 1", "Rule 2"]
            assert collector.stop() == 0, collector.log()
        finally:
            collector.close()
    assert "two.yml:" in collector.log()


@pytest.mark.root
def test_the_agent_stopped_amid_traffic_has_spooled_all_and_goes_on_with_the_same_numbers(tmp_path: Path) -> None:
    """The collector is away, so that nothing leaves: the spool of two runs must be one numbering without a gap."""
    site = Site(tmp_path)
    site.make()
    settings = '[sources.packets]\ninterfaces = ["lo"]\nactive_timeout_seconds = 1.0\n'
    config = site.agent_toml("edge", settings, "127.0.0.1:1")
    config.write_text(config.read_text().replace("drain_seconds = 30.0", "drain_seconds = 2.0"))
    for _ in range(2):
        with Manager(str(tmp_path / "notify")) as manager, _traffic():
            environment = os.environ | {"NOTIFY_SOCKET": manager.address}
            log = (tmp_path / "log").open("ab")
            command = [*AGENT, "run", "--config", str(config)]
            with log, subprocess.Popen(command, stderr=log, env=environment) as process:
                try:
                    manager.wait(lambda all_: any("READY" in one for one in all_))
                    time.sleep(2.5)
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(10) == 0, "within ten seconds, by the promise"  # the limit is what is promised
                finally:
                    process.kill()
        (tmp_path / "notify").unlink()
    numbers: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for batch in batches(tmp_path / "spool-edge"):
        last = batch.first_sequence + batch.row_count
        numbers.setdefault((batch.boot_id, batch.stream), []).append((batch.first_sequence, last))
    assert len({boot_id for boot_id, _ in numbers}) == 1, "a clean end: the numbering goes on"
    assert len(numbers[next(iter(numbers))[0], "flows"]) >= 2
    for key, ranges in numbers.items():
        ranges.sort()
        assert [first for first, _ in ranges] == [0, *(last for _, last in ranges[:-1])], key


@contextmanager
def _traffic() -> Iterator[None]:
    """Datagrams on loopback, a few hundred a second, from many ports, at most for a minute."""
    end = threading.Event()

    def send() -> None:
        deadline = time.monotonic() + 60
        while not end.wait(0.02) and time.monotonic() < deadline:
            for _ in range(10):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(b"luytre", ("127.0.0.1", 9))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
