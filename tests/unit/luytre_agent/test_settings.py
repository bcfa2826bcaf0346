from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from luytre_agent import config, sources
from luytre_agent.health import Health
from luytre_agent.settings import Settings
from luytre_agent.supervisor import Supervisor
from luytre_common import settings
from luytre_common.errors import ConfigError

from tests.support.sources import Scripted

OWN = config.load(Path(__file__).parents[2] / "golden/config/agent/minimal/in.toml")


class Bench:
    """Settings over sources that a test scripts: one of each kind that is configured."""

    def __init__(self) -> None:
        self.fault: OSError | None = None
        self.supervisor = Supervisor(self.nothing, lambda _: None, lambda _: 600.0, 600.0)
        health = Health(OWN.health, list, lambda _: None, lambda: 5.0)
        self.settings = Settings(OWN, self.make, self.supervisor, health, lambda: True)

    def nothing(self) -> sources.Makers:
        return {}

    def make(self, wanted: sources.Config) -> sources.Makers:
        if self.fault:
            raise self.fault
        return {kind: self.maker(kind) for kind in sources.kinds(wanted)}

    def maker(self, kind: str) -> Callable[[], Scripted]:
        return lambda: Scripted(name=kind, unavailable="no rights" if kind == "sockets" else "")

    def names(self) -> set[str]:
        return {worker.name for worker in self.supervisor.workers()}


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.settings.prepare({})()
    made.supervisor.start()
    yield made
    made.supervisor.stop()


def test_what_is_prepared_is_in_force_once_it_is_put_there(bench: Bench) -> None:
    put = bench.settings.prepare({"sources.files.enabled": False})
    assert not bench.settings.changed
    assert "files" in bench.names()
    put()
    assert bench.settings.changed
    assert bench.settings.off == {"files"}
    assert bench.names() == set(sources.SOURCES) - {"files"}
    bench.settings.prepare({})()
    assert (bench.settings.config, bench.settings.off) == (OWN, frozenset())
    assert "files" in bench.names()


def test_others_go_on(bench: Bench) -> None:
    before = {worker.name: worker for worker in bench.supervisor.workers()}
    bench.settings.prepare({"sources.files.fold_seconds": 3, "health.interval_seconds": 2})()
    after = {worker.name: worker for worker in bench.supervisor.workers()}
    assert {name for name in before if before[name] is not after[name]} == {"files"}


def test_a_redaction_makes_processes_anew(bench: Bench) -> None:
    before = {worker.name: worker for worker in bench.supervisor.workers()}
    try:
        bench.settings.prepare({"redact.patterns": ["secret-([0-9]+)"]})()
        after = {worker.name: worker for worker in bench.supervisor.workers()}
        assert {name for name in before if before[name] is not after[name]} == {"processes"}
        assert sources.redaction.redact("secret-77") == "secret-[redacted]"
    finally:
        bench.settings.prepare({})()
    assert sources.redaction.redact("secret-77") == "secret-77"


def test_what_is_no_configuration_is_not_prepared(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="is not a pattern"):
        bench.settings.prepare({"redact.patterns": ["("]})


def test_a_fault_on_the_way_leaves_all_as_it_was(bench: Bench) -> None:
    put = bench.settings.prepare({"sources.files.enabled": False, "redact.patterns": ["secret-([0-9]+)"]})
    bench.fault = OSError(5, "no netlink")
    with pytest.raises(OSError, match="no netlink"):
        put()
    assert not bench.settings.changed
    assert "files" in bench.names()
    assert sources.redaction.redact("secret-77") == "secret-77"


def test_how_the_agent_is(bench: Bench) -> None:
    seen = bench.settings.look()
    assert seen.kinds == set(sources.SOURCES)
    assert seen.connected
    assert seen.sources["files"].available
    assert not seen.sources["sockets"].available
    assert "no rights" in seen.sources["sockets"].reason


def test_a_policy_stays_over_a_configuration_that_is_read_anew(bench: Bench) -> None:
    bench.settings.prepare({"sources.files.enabled": False})()
    changed = settings.overlay(OWN, {"sources": {"logins": {"enabled": False}}, "policy": {"enabled": False}})
    assert bench.settings.adopt(changed) == ["[policy]"]
    assert bench.names() == set(sources.SOURCES) - {"files", "logins"}
    assert bench.settings.off == {"files"}
