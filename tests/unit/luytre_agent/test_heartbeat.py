from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import uplink
from luytre_agent.heartbeat import Heart, backlog, goodbye, sources
from luytre_agent.spool import Spool
from luytre_agent.spool.model import Config
from luytre_agent.supervisor import Supervisor
from luytre_agent.worker import State, Worker
from luytre_common.wire.v1 import ingest_pb2 as pb

from tests.support.sources import Batch, Scripted
from tests.support.waiting import until


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(Config(directory=tmp_path / "spool"), uplink.encode, lambda: 5.0, "boot")
    made.open()
    yield made
    made.close()


@pytest.fixture
def workers() -> Iterator[Sequence[Worker]]:
    """One that works, one that lacks something, one whose file is read to its end."""
    makers: dict[str, Any] = {
        "works": Scripted,
        "lacks": lambda: Scripted(unavailable="no CAP_NET_RAW"),
        "read": lambda: Scripted(finishes=True),
    }
    supervisor = Supervisor(lambda: makers, lambda _: None, lambda _: 0.05, 60.0)
    supervisor.start()
    until(lambda: supervisor.workers()[2].state is State.FINISHED)
    yield supervisor.workers()
    supervisor.stop()


@dataclass
class Scarce:
    step: int = 2
    reason: str = "memory"


def test_the_state_of_every_source(workers: Sequence[Worker]) -> None:
    states = {one.name: (one.available, one.reason) for one in sources(workers)}
    assert states.pop("lacks") == (False, "no CAP_NET_RAW; help it")
    assert states == {"works": (True, ""), "read": (True, "")}


def test_a_source_that_is_starting_and_one_that_fails_without_a_word() -> None:
    worker = Worker("one", Scripted, lambda _: None, Supervisor(dict, print, float, 1).counters, lambda _: 0.0)
    assert sources([worker])[0] == pb.SourceState(name="one", reason="starting")
    worker.state = State.UNAVAILABLE
    assert sources([worker])[0].reason == "failed; the agent's log says why"
    worker.reason = "x" * 1000
    assert len(sources([worker])[0].reason) == 300


def test_what_waits_and_since_when(spool: Spool) -> None:
    assert backlog(spool) == (0, 0, 0)
    spool.append(Batch(rows=3), 7.5)  # type: ignore[arg-type]
    spool.append(Batch(rows=3), 8.5)  # type: ignore[arg-type]
    waiting, size, oldest_us = backlog(spool)
    assert (waiting, oldest_us) == (2, 7_500_000)
    assert size > 0
    spool.acknowledge(spool.boot_id, "flows", 2)
    assert backlog(spool)[0::2] == (1, 8_500_000)


def test_a_beat(spool: Spool, workers: Sequence[Worker]) -> None:
    said: list[pb.AgentMessage] = []
    governors: list[Scarce | None] = [None, Scarce()]

    def say(message: pb.AgentMessage) -> bool:
        said.append(message)
        return len(said) > 1

    heart = Heart(say, lambda: workers, spool, lambda: governors.pop(0), lambda: 12.5, lambda: {"logins", "files"})
    assert not heart.beat()
    assert heart.beat()
    first, second = (one.heartbeat for one in said)
    assert (first.agent_time_us, first.degradation, len(first.sources)) == (12_500_000, 0, 3)
    assert list(first.sources_off) == ["files", "logins"]
    assert (second.degradation, second.degradation_reason) == (2, "memory")


def test_goodbye() -> None:
    assert goodbye("stopping", 3.0).goodbye == pb.Goodbye(agent_time_us=3_000_000, reason="stopping")
