"""Whatever comes in whatever order, and whenever the agent ends: in force is the last policy that came through, or the
host's own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_agent.policy import Seen
from luytre_agent.policy.model import Given, Source

from tests.support.policies import Bench, Host, Signer

#: good: comes through. harmful: the agent is not well with it. forged, broken: must be refused. stop, kill: of the
#: agent, while the one before is tried, or after.
Kind = Literal["good", "harmful", "forged", "broken", "stop", "kill"]

WELL = Seen({"files": Source(True)}, frozenset({"files"}), True)
ILL = Seen({"files": Source(False, "ill")}, frozenset({"files"}), True)
HARM = 599


@dataclass(frozen=True)
class Step:
    kind: Kind
    version: int
    during: bool


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["good", "good", "harmful", "forged", "broken", "stop", "kill"]),
        st.integers(1, 6),
        st.booleans(),
    ),
    max_size=8,
)


class Story:
    """The policies of an agent, and beside them what should be in force: `version`, 0 for the host's own."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.thief = Signer()
        self.version = self.highest = 0
        self.abandoned = []
        self.start()

    def start(self) -> None:
        self.bench.host = Host(seen=lambda given: ILL if given.get("health.interval_seconds") == HARM else WELL)
        self.bench.said.clear()
        self.bench.start()

    def policy(self, step: Step) -> Given:
        """A version says its number, and one that does harm says so."""
        seconds = HARM if step.kind == "harmful" else step.version
        signer = self.thief if step.kind == "forged" else self.bench.signer
        more = "run = 'id'" if step.kind == "broken" else ""
        return signer.given(step.version, f"health.interval_seconds = {seconds}", more=more)

    def play(self, step: Step) -> None:
        bench = self.bench
        if step.kind in ("stop", "kill"):
            self.end(step.kind)
            return
        bench.said.clear()
        bench.tell(self.policy(step))
        if step.kind in ("forged", "broken") or step.version < self.highest:
            bench.wait(step.version, "refused")
        elif step.version == self.highest:
            with bench.news:  # it was here: what was said of it is said again
                assert bench.news.wait_for(lambda: bench.said, 20)
        else:
            bench.wait(step.version, "trying")
            self.try_out(step)

    def try_out(self, step: Step) -> None:
        if step.during:  # the end comes while it is tried
            self.end("kill" if step.version % 2 else "stop")
            if step.version % 2:
                self.highest = step.version
                self.bench.wait(step.version, "rolled_back")
            else:
                self.highest = max(self.highest, step.version - 1)
            return
        self.highest = step.version
        self.bench.ticks += 2.0
        if step.kind == "harmful":
            self.bench.wait(step.version, "rolled_back")
        else:
            self.bench.wait(step.version, "applied")
            self.version = step.version

    def end(self, how: str) -> None:
        policies = self.bench.policies
        assert policies is not None
        if how == "kill":
            self.abandoned.append(policies)
        else:
            policies.stop()
        self.start()

    def expected(self) -> Mapping[str, Any]:
        return {"health.interval_seconds": self.version} if self.version else {}

    def close(self) -> None:
        self.bench.stop()
        for policies in self.abandoned:
            policies._trial = None  # a killed one writes nothing any more
            policies.stop()


@settings(max_examples=60, deadline=None)
@given(story=steps)
def test_in_force_is_the_last_that_came_through(tmp_path_factory: pytest.TempPathFactory, story: list[Step]) -> None:
    told = Story(Bench(tmp_path_factory.mktemp("policy")))
    try:
        for step in story:
            told.play(step)
            assert told.bench.host.settings == told.expected(), step
            assert told.bench.policies is not None
            assert told.bench.policies.version == told.version
    finally:
        told.close()
