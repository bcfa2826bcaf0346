"""Policies to agents that are connected, and their reports back. Runs in the event loop of the server."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.ingest.control import Control, Stream
from luytre_collector.ingest.finding import clean
from luytre_collector.policy.folder import Published, best

_log = logging.getLogger("luytre.policy")

#: Reports that may wait for the table.
MAX_WAITING = 10_000
#: The longest message that is kept, characters.
_MOST = 500


@dataclass(frozen=True, slots=True)
class Heard:
    """What an agent said of a policy. at_us: when it was heard, microseconds since 1970."""

    agent_id: str
    host_name: str
    at_us: int
    version: int
    state: str
    message: str


class PolicyControl(Control):
    """Tells every agent the highest version that is for it, once on each stream."""

    def __init__(self, counters: Counters, now_us: Callable[[], int]) -> None:
        self._counters = counters
        self._now_us = now_us
        self._policies: tuple[Published, ...] = ()
        self._streams: dict[str, Stream] = {}
        self._told: dict[str, int] = {}
        self._heard: deque[Heard] = deque()

    def publish(self, policies: tuple[Published, ...]) -> None:
        """These are in time now, the highest version first. To be called in the event loop."""
        if policies == self._policies:
            return
        self._policies = policies
        for stream in self._streams.values():
            self._tell(stream)

    def entered(self, stream: Stream) -> None:
        """An agent that has an older version gets the newest at once."""
        agent_id = stream.peer.agent_id
        self._streams[agent_id] = stream
        self._told[agent_id] = stream.hello.policy_version
        self._tell(stream)

    def heard(self, stream: Stream, message: pb.AgentMessage) -> None:
        """A report waits for the table."""
        if message.WhichOneof("kind") != "policy_report":
            return
        report = message.policy_report
        if len(self._heard) >= MAX_WAITING:
            self._counters.add("reports_dropped", label="full")
            return
        known = report.state in pb.PolicyState.values()
        name = pb.PolicyState.Name(report.state) if known else "POLICY_STATE_UNSPECIFIED"
        text = "".join(sign if sign.isprintable() else " " for sign in report.message[:_MOST])
        host_name = clean(stream.hello.host_name)
        state = name.removeprefix("POLICY_STATE_").lower()
        self._counters.add("reports_heard", label=state)
        self._heard.append(Heard(stream.peer.agent_id, host_name, self._now_us(), report.version, state, text))

    def left(self, stream: Stream) -> None:
        """Nothing is told to it any more."""
        agent_id = stream.peer.agent_id
        if self._streams.get(agent_id) is stream:
            del self._streams[agent_id]
            del self._told[agent_id]

    def take(self) -> list[Heard]:
        """The reports that wait, oldest first. From any thread."""
        found = []
        while self._heard:
            found.append(self._heard.popleft())
        return found

    def _tell(self, stream: Stream) -> None:
        agent_id = stream.peer.agent_id
        policy = best(self._policies, agent_id)
        if policy is None or policy.document.version <= self._told[agent_id]:
            return
        version, signed = policy.document.version, policy.signed
        self._told[agent_id] = version
        self._counters.add("policies_told")
        _log.info("policy %d to %s", version, agent_id)
        message = pb.Policy(version=version, document=signed.document, signature=signed.signature)
        stream.tell(pb.CollectorMessage(policy=message))
