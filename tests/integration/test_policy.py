"""The real operator's commands, collector and agent: a policy is published, tried, applied, taken back, refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.services import AGENT, COLLECTOR, Service, Site
from tests.integration.conftest import Start, command, free_port

pytestmark = [pytest.mark.root, pytest.mark.slow]

DEADLINE_S = 90.0


class Fleet:
    """A collector that passes policies on, one agent, and the operator's folder."""

    def __init__(self, folder: Path, ours: Start) -> None:
        self.folder, self.ours = folder, ours
        self.site = Site(folder)
        self.watched = folder / "watched"
        self.watched.mkdir()
        self.version = 0
        settings = f'[policy]\ndirectory = "{folder}/policies"\ninterval_s = 0.2\n'
        self.site.make(listen=f"127.0.0.1:{free_port()}", settings=settings)
        for name in ("keys", "thief"):
            assert self.operator("key", "init", "--dir", folder / name).returncode == 0
        self.collector = ours(self.site.start_collector())

    def operator(self, *arguments: str | Path) -> Any:
        return command([*COLLECTOR, "policy", *arguments])

    def agent_config(self, trial_s: float) -> Path:
        return self.site.agent_toml(
            "web-01",
            f"""
[sources.packets]
interfaces = ["lo"]
[sources.files]
rung = "inotify"
defaults = false
homes = false
fold_seconds = 0.05
batch_seconds = 0.2
paths = ["{self.watched}"]
[sources.processes]
enabled = false
[sources.sockets]
enabled = false
[sources.logins]
enabled = false
[sources.inventory]
enabled = false
[policy]
key = "{self.folder}/keys/policy.pub"
trial_seconds = {trial_s}
""",
        )

    def start_agent(self, trial_s: float) -> Service:
        agent = self.ours(self.site.agent(self.agent_config(trial_s)))
        agent.start()
        return agent

    def publish(self, settings: str, keys: str = "keys") -> int:
        """As an operator does; the version."""
        self.version += 1
        source, signed = self.folder / "policy.toml", self.folder / "signed.policy"
        source.write_text(f'version = {self.version}\nagents = ["web-*"]\n[settings]\n{settings}\n')
        for arguments in (
            ("check", source),
            ("sign", source, "--key", self.folder / keys / "policy.key", "-o", signed),
            ("publish", signed, "--config", self.site.collector_toml),
        ):
            done = self.operator(*arguments)
            assert done.returncode == 0, done.stderr
        return self.version

    def rows(self, sql: str) -> list[dict[str, Any]]:
        return self.site.query(sql)

    def states(self, version: int) -> list[str]:
        sql = f"SELECT policy_state FROM policy_reports WHERE policy_version = {version} ORDER BY event_time, sequence"
        return [row["policy_state"] for row in self.rows(sql)]

    def message(self, version: int) -> str:
        sql = (
            f"SELECT policy_message FROM policy_reports WHERE policy_version = {version} ORDER BY sequence DESC LIMIT 1"
        )
        return str(self.rows(sql)[0]["policy_message"])

    def touched(self, name: str) -> int:
        (row,) = self.rows(f"SELECT count() AS n FROM files WHERE endsWith(file_path, '/{name}')")
        return int(row["n"])

    def status(self) -> tuple[int, dict[str, Any]]:
        done = self.operator("status", "--json", "--config", self.site.collector_toml)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    def in_force(self) -> dict[str, Any]:
        done = command([*AGENT, "policy", "show", "--json", "--config", self.folder / "web-01.toml"])
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def fleet(tmp_path: Path, ours: Start) -> Fleet:
    return Fleet(tmp_path, ours)


def wait(ready: Callable[[], bool], agent: Service) -> None:
    agent.wait_until(ready, DEADLINE_S)


def test_a_policys_life(fleet: Fleet) -> None:
    agent = fleet.start_agent(trial_s=4.0)
    wait(lambda: "packets:lo: running" in agent.log_text() and "files: running" in agent.log_text(), agent)
    (fleet.watched / "before").touch()
    wait(lambda: fleet.touched("before") > 0, agent)

    # A source is turned off: its rows stop, the others go on without a gap.
    off = fleet.publish("sources.files.enabled = false")
    wait(lambda: fleet.states(off) == ["trying", "applied"], agent)
    assert fleet.status()[0] == 0
    assert (fleet.status()[1]["verdict"], fleet.status()[1]["in_force"]) == ("current", off)
    (fleet.watched / "after").touch()
    mark = time.time()
    sql = (
        "SELECT toUnixTimestamp(max(event_time)) AS t FROM agent_health WHERE counter = 'policy_version' AND value = 1"
    )
    wait(lambda: int(fleet.rows(sql)[0]["t"]) > mark + 2, agent)
    assert fleet.touched("after") == 0
    assert agent.log_text().count("packets:lo: running") == 1
    assert fleet.in_force()["settings"] == {"sources.files.enabled": False}

    # An interface that is not there: capture would end, so the policy is taken back.
    bad = fleet.publish('sources.packets.interfaces = ["nope0"]')
    wait(lambda: fleet.states(bad) == ["trying", "rolled_back"], agent)
    assert "packets is not available any more" in fleet.message(bad)
    wait(lambda: agent.log_text().count("packets:lo: running") == 2, agent)
    assert fleet.in_force()["version"] == off
    code, found = fleet.status()
    assert (code, found["verdict"], found["in_force"], found["due"]) == (1, "rolled back", off, bad)
    wait(lambda: bool(fleet.rows("SELECT 1 FROM alerts WHERE rule_name LIKE 'Policy Taken Back%'")), agent)
    (alert,) = fleet.rows("SELECT * FROM alerts WHERE rule_name LIKE 'Policy Taken Back%'")
    assert (alert["agent_id"], alert["rule_level"]) == ("web-01", "high")
    assert alert["rule_name_vi"].startswith("Agent đã hoàn tác chính sách")

    # Who has the collector's folder has not the agents.
    forged = fleet.publish("sources.packets.enabled = false", keys="thief")
    wait(lambda: fleet.states(forged) == ["refused"], agent)
    assert fleet.message(forged) == "the signature is by none of this host's keys"
    assert fleet.in_force()["version"] == off
    lost = fleet.rows("SELECT evidence FROM alerts WHERE rule_name = 'Agent Lost a Source of Events'")
    assert [row for row in lost if '"files"' in row["evidence"]] == []  # what a policy turned off nobody misses
    assert agent.stop() == 0


def test_an_agent_that_is_killed_while_it_tries_a_policy_takes_it_back(fleet: Fleet) -> None:
    agent = fleet.start_agent(trial_s=600.0)
    wait(lambda: "packets:lo: running" in agent.log_text(), agent)
    tried = fleet.publish("sources.files.enabled = false")
    wait(lambda: fleet.states(tried) == ["trying"], agent)
    assert fleet.in_force()["trying"] == tried
    agent.kill()
    agent = fleet.start_agent(trial_s=2.0)
    wait(lambda: fleet.states(tried)[-1:] == ["rolled_back"], agent)
    assert fleet.message(tried) == "the agent ended while it was tried"
    wait(lambda: agent.log_text().count("files: running") == 2, agent)
    (fleet.watched / "again").touch()
    wait(lambda: fleet.touched("again") > 0, agent)

    # The next version is taken all the same, and is in force after the next kill.
    kept = fleet.publish("sources.files.enabled = false")
    wait(lambda: fleet.states(kept) == ["trying", "applied"], agent)
    agent.kill()
    agent = fleet.start_agent(trial_s=2.0)
    wait(lambda: agent.log_text().count("packets:lo: running") == 3, agent)
    assert agent.log_text().count("files: running") == 2
    assert fleet.in_force()["version"] == kept
    assert fleet.states(kept)[-1] == "applied"
    assert agent.stop() == 0


def test_an_agent_that_loses_its_collector_with_a_policy_takes_it_back(fleet: Fleet) -> None:
    agent = fleet.start_agent(trial_s=6.0)
    wait(lambda: "connected to collector" in agent.log_text(), agent)
    tried = fleet.publish("sources.files.enabled = false")
    wait(lambda: f"policy {tried} is tried" in agent.log_text(), agent)
    fleet.collector.kill()
    wait(lambda: f"policy {tried} is taken back: the connection to the collector was lost" in agent.log_text(), agent)
    wait(lambda: agent.log_text().count("files: running") == 2, agent)
    fleet.ours(fleet.site.start_collector())
    wait(lambda: fleet.states(tried)[-1:] == ["rolled_back"], agent)  # it was told of it when it was back
    assert agent.stop() == 0
