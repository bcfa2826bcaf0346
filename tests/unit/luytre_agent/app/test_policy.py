"""Policies, from the collector into force, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import config
from luytre_agent.app import Agent
from luytre_agent.policy.model import Given
from luytre_agent.worker import State
from luytre_common import settings
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.collector_end import Collector, acknowledge
from tests.support.policies import Signer
from tests.support.waiting import until

SIGNER = Signer()


def only(**kinds: dict[str, Any]) -> dict[str, Any]:
    """Settings by which these kinds of sources run and no others."""
    off = ("files", "logins", "packets", "processes", "sockets", "network", "inventory")
    return {kind: kinds.get(kind, {"enabled": False}) for kind in off}


@pytest.fixture
def governed(configured: config.Config, tmp_path: Path) -> config.Config:
    """With a key for policies, and two sources that need no rights."""
    (tmp_path / "watched").mkdir()
    watched = {"rung": "inotify", "defaults": False, "homes": False, "paths": [str(tmp_path / "watched")]}
    own = only(files=watched, network={"firewall": False})
    policy = {"key": str(SIGNER.write_key(tmp_path / "policy.pub")), "trial_seconds": 1.0}
    return settings.overlay(configured, {"sources": own, "policy": policy})


def send(collector: Collector, given: Given) -> None:
    """With the next answer to a batch."""
    waiting = [pb.Policy(version=given.version, document=given.document, signature=given.signature)]

    def answer(collector: Collector, batch: pb.Batch) -> Iterator[pb.CollectorMessage]:
        yield from acknowledge(collector, batch)
        while waiting:
            yield pb.CollectorMessage(policy=waiting.pop())

    collector.answer = answer


def reported(collector: Collector, version: int, state: int) -> str:
    """The message of the report, once it came."""

    def found() -> list[str]:
        reports = [one.policy_report for one in collector.said if one.HasField("policy_report")]
        return [one.message for one in reports if (one.version, one.state) == (version, state)]

    until(found)
    return found()[0]


def test_a_policy_is_applied_and_is_in_force_at_the_next_start(governed: config.Config, collector: Collector) -> None:
    agent = Agent(governed)
    agent.start()
    assert {worker.name for worker in agent.supervisor.workers()} == {"files", "network"}
    files = next(worker for worker in agent.supervisor.workers() if worker.name == "files")
    send(collector, SIGNER.given(3, "sources.network.enabled = false\nhealth.interval_seconds = 1", agents="web-*"))
    assert reported(collector, 3, pb.POLICY_STATE_TRYING) == ""
    assert reported(collector, 3, pb.POLICY_STATE_APPLIED) == ""
    assert agent.supervisor.workers() == [files]
    assert files.state is State.AVAILABLE
    assert ("policy", "policy_version", 3) in [(one.component, one.name, one.value) for one in agent.samples()]
    agent.stop()
    again = Agent(governed)
    again.start()
    assert [worker.name for worker in again.supervisor.workers()] == ["files"]
    collector.wait(lambda: len(collector.hellos) >= 2)
    assert collector.hellos[-1].policy_version == 3
    again.stop()


@pytest.fixture
def capturing(governed: config.Config) -> config.Config:
    """One that captures the loopback device instead of watching files."""
    return settings.overlay(
        governed,
        {
            "sources": only(
                packets={"enabled": True, "interfaces": ["lo"]}, network={"enabled": True, "firewall": False}
            )
        },
    )


@pytest.mark.root
def test_a_policy_that_takes_a_source_away_is_taken_back(capturing: config.Config, collector: Collector) -> None:
    agent = Agent(capturing)
    agent.start()
    send(collector, SIGNER.given(1, 'sources.network.enabled = false\nsources.packets.interfaces = ["nope0"]'))
    assert "packets is not available any more: " in reported(collector, 1, pb.POLICY_STATE_ROLLED_BACK)
    assert {worker.name for worker in agent.supervisor.workers()} == {"packets:lo", "network"}
    assert agent.settings.config == capturing
    agent.stop()


@pytest.mark.root
def test_an_agent_that_would_not_start_with_a_policy_starts_without(
    capturing: config.Config, collector: Collector
) -> None:
    agent = Agent(capturing)
    agent.start()
    send(collector, SIGNER.given(1, "sources.network.enabled = false"))
    reported(collector, 1, pb.POLICY_STATE_APPLIED)
    agent.stop()
    gone = settings.overlay(capturing, {"sources": {"packets": {"interfaces": ["nope0"]}}})
    again = Agent(gone)
    again.start()
    assert {worker.name for worker in again.supervisor.workers()} == {"packets:nope0", "network"}
    assert "no source is available: packets:nope0" in reported(collector, 1, pb.POLICY_STATE_ROLLED_BACK)
    assert not again.settings.changed
    again.stop()


def test_what_one_policy_allowed_and_this_agent_does_not_is_left(governed: config.Config, collector: Collector) -> None:
    agent = Agent(governed)
    agent.start()
    send(collector, SIGNER.given(1, "sources.files.enabled = false"))
    reported(collector, 1, pb.POLICY_STATE_APPLIED)
    agent.stop()
    bare = settings.overlay(governed, {"sources": {"network": {"enabled": False}, "replay": {"files": []}}})
    again = Agent(bare)
    again.start()
    assert "turns off every source" in reported(collector, 1, pb.POLICY_STATE_ROLLED_BACK)
    assert [worker.name for worker in again.supervisor.workers()] == ["files"]
    again.stop()
