"""The HTTP endpoint of a running collector: users by the command, answers while rows arrive, counters in the tables."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import pytest
from luytre_collector.__main__ import main

from tests.support.bridge.process import Bridge
from tests.support.collector import CollectorProcess, stream
from tests.support.endpoint import PASSWORD, USER, Endpoint


def http(folder: Path, listen: str = "127.0.0.1:0", more: str = "") -> str:
    return f'[health]\ninterval_s = 0.2\n[http]\nlisten = "{listen}"\nusers = "{folder}/http-users"\n{more}'


def add_user(collector: CollectorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    assert main(["http", "user", "add", USER, "--config", str(collector.config)]) == 0


def test_a_running_collector_answers_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = CollectorProcess(tmp_path, http(tmp_path))
    add_user(collector, monkeypatch)
    collector.start()
    try:
        found = re.search(r"served on http://(127\.0\.0\.1:\d+) to 1 users", collector.log())
        assert found
        endpoint = Endpoint(found[1], tmp_path / "http-users")
        with stream(collector.address, collector.identity("web-01")) as agent:
            agent.hello()
            agents = endpoint.request("SELECT count() FROM flows")
            assert (agents.status, agents.body) == (200, b"0\n")
        assert endpoint.request("SELECT * FROM system.processes").code == 497
        deadline = time.monotonic() + 30
        sql = "SELECT max(value) n FROM collector_health WHERE component = 'http' AND counter = 'queries' FORMAT JSON"
        while not (rows := json.loads(endpoint.request(sql).body)["data"])[0]["n"]:
            assert time.monotonic() < deadline
        assert rows[0]["n"] >= 1
        assert collector.stop() == 0
        assert f"query of {USER}: " in collector.log()
        assert PASSWORD not in collector.log()
    finally:
        collector.close()


def test_check_names_what_others_could_reach(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path, http(tmp_path, "0.0.0.0:8123"))
    for command in ("check", "run"):
        done = collector.command(command, "--config", str(collector.config))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert "set http.tls = true" in done.stderr
    assert not (tmp_path / "store").exists()


def test_a_server_has_an_interface_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bridge(tmp_path / "tables") as bridge:
        more = f'[store]\nengine = "server"\n[store.server]\nhosts = ["{bridge.host}"]\n'
        collector = CollectorProcess(tmp_path, http(tmp_path, more=more))
        add_user(collector, monkeypatch)
        try:
            collector.start()
            assert "the ClickHouse server has its own HTTP interface" in collector.log()
            assert collector.stop() == 0
        finally:
            collector.close()
