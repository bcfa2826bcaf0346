"""Which agents are here, which have said goodbye, and which have fallen silent. Pure: the clock's time comes with
every call, and what is found goes out as `Finding`s.

A sign of life is any message of an agent. One that gave none for `silent_after_s` is suspected; it may have gone to
another collector, so the store is asked for its newest rows before it is called silent. Not counted is the time in
which we could not have heard anything: after our own start, while reading waits for the store, and after a pause or a
step of our clock.
"""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.ingest.control import Control, Stream
from luytre_collector.ingest.finding import Finding, Kind, clean
from luytre_collector.ingest.skew import Skew
from luytre_collector.ingest.states import States

_SECOND = 1_000_000
#: An agent of which nothing was heard for so long is forgotten.
_FORGET_US = 7 * 86_400 * _SECOND
#: Findings about one agent in an hour; more are counted, but for those that take their time by themselves.
_MOST_IN_AN_HOUR = 60
_HOUR_US = 3600 * _SECOND
_SLOW = (Kind.SILENT, Kind.NOT_BACK)
#: How often the store is asked about an agent that is silent already.
_ASK_AGAIN_US = 30 * _SECOND


@dataclass(frozen=True)
class Config:
    """What agents say of themselves, and that they say something."""

    interval_s: float = setting(5.0, "seconds between looks for silent agents", at_least(0.1))
    silent_after_s: float = setting(45.0, "an agent that gave no sign for so long is silent, seconds", at_least(0.5))
    grace_s: float = setting(120.0, "how long agents have to come in after a start of the collector", at_least(0))
    expected: list[str] = setting(
        ["*"], "agents whose silence is an alert; a name without * or ? also if it was never heard"
    )
    ignored: list[str] = setting([], "agents that raise none of these alerts, also with * and ?")
    not_back_after_s: float = setting(
        900.0, "an agent that was stopped and is not back after so long is an alert; 0: never", at_least(0)
    )
    source_lost_after_s: float = setting(
        15.0, "a source of an agent that is not available for so long is an alert", at_least(0)
    )
    degraded_after_s: float = setting(300.0, "an agent that does less for so long is an alert, seconds", at_least(0))
    skew_alert_s: float = setting(5.0, "a clock that differs by more is an alert, seconds", at_least(0.1))
    skew_heartbeats: int = setting(3, "heartbeats in a row that must say so", at_least(1))


@dataclass(slots=True)
class _Agent:
    """What is known of one. Times in microseconds since 1970 by the collector's clock.

    heard_us: its last sign of life, here or elsewhere. said_us: the time of its last message here, as it was noted.
    counted_us: silence counts from here, if that is later than the last sign.
    here: it came in since our start. goodbye_us: when it said goodbye, 0 if those were not its last words.
    missed: it was told of as not back. caught_up_us: what it had spooled before has come, by its last heartbeat.
    silence: names the silence that was told of and goes on; empty if none does. silent_since_us: the last sign before
    it. told_us: arrival of the newest row before the last silence that was told of. found: findings in the hour `hour`.
    """

    host_name: str
    heard_us: int
    skew: Skew
    states: States
    said_us: int = 0
    counted_us: int = 0
    stream: Stream | None = None
    here: bool = False
    goodbye_us: int = 0
    reason: str = ""
    missed: bool = False
    silence: str = ""
    silent_since_us: int = 0
    told_us: int = -1
    asked_us: int = 0
    caught_up_us: int = 0
    hour: int = 0
    found: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """What the store knows of an agent when the collector starts.

    heard_us: arrival of its newest rows. goodbye_us, missed: it was stopped then, and it was told that it is not back.
    silence: names a silence that was told of and is not over. sources: those that were available.
    """

    host_name: str
    heard_us: int
    goodbye_us: int = 0
    missed: bool = False
    silence: str = ""
    sources: Sequence[str] = field(default=())


class Presence(Control):
    """Heard from the event loop, looked at from another thread. See the top of the file."""

    def __init__(self, config: Config, counters: Counters, now_us: int) -> None:
        self._config = config
        self._counters = counters
        self._lock = threading.Lock()
        self._agents: dict[str, _Agent] = {}
        self._found: list[Finding] = []
        self._grace_until_us = now_us + int(config.grace_s * _SECOND)
        self._looked_us = now_us
        self._silent_us = int(config.silent_after_s * _SECOND)
        self._resting = False
        for name in config.expected:
            if not set(name) & set("*?["):
                self._agents[name] = self._new("", 0)
                self._agents[name].counted_us = now_us

    def remember(self, past: Mapping[str, Past]) -> None:
        """What the store knows, at the start."""
        with self._lock:
            for agent_id, known in past.items():
                agent = self._agents.setdefault(agent_id, self._new(known.host_name, known.heard_us))
                agent.host_name = agent.host_name or known.host_name
                agent.heard_us = max(agent.heard_us, known.heard_us)
                if not agent.here:
                    agent.goodbye_us, agent.missed, agent.silence = known.goodbye_us, known.missed, known.silence
                    agent.silent_since_us = known.heard_us
                    agent.told_us = known.heard_us if known.silence else -1
                agent.states.follow(known.sources)

    # What the event loop of the server says. `heard_us` of a stream is the time of the message.

    def entered(self, stream: Stream) -> None:
        """See `Control`."""
        with self._lock:
            agent = self._agent(stream)
            agent.stream, agent.here = stream, True
            if agent.goodbye_us and agent.missed:
                away = stream.heard_us - agent.goodbye_us
                self._find(Kind.HEARD_AGAIN, stream.peer.agent_id, agent, stream.heard_us,
                           f"stop/{agent.goodbye_us}", {"after": "stop", "silent_for_s": away // _SECOND})  # fmt: skip
            agent.goodbye_us, agent.reason, agent.missed = 0, "", False
            agent.skew.add(stream.hello.agent_time_us, stream.heard_us)
            self._tell_skew(stream.peer.agent_id, agent)

    def heard(self, stream: Stream, message: pb.AgentMessage) -> None:
        """See `Control`."""
        with self._lock:
            agent = self._agent(stream)
            match message.WhichOneof("kind"):
                case "heartbeat":
                    self._beat(stream.peer.agent_id, agent, message.heartbeat, stream.heard_us)
                case "goodbye":
                    if agent.stream is stream:  # not of one that a newer stream has taken the place of
                        self._goodbye(stream.peer.agent_id, agent, message.goodbye, stream.heard_us)

    def left(self, stream: Stream) -> None:
        """See `Control`."""
        with self._lock:
            agent = self._agent(stream)
            if agent.stream is stream:
                agent.stream = None

    def _agent(self, stream: Stream) -> _Agent:
        agent_id, at = stream.peer.agent_id, stream.heard_us
        agent = self._agents.get(agent_id)
        if agent is None:
            agent = self._agents[agent_id] = self._new("", at)
        agent.host_name = clean(stream.hello.host_name)
        if at != agent.said_us:
            agent.said_us = agent.heard_us = at
        return agent

    def _new(self, host_name: str, heard_us: int) -> _Agent:
        return _Agent(host_name, heard_us, Skew(self._config.skew_heartbeats), States(self._config))

    def _beat(self, agent_id: str, agent: _Agent, said: pb.Heartbeat, now_us: int) -> None:
        backlog_us = max(0, said.agent_time_us - said.oldest_waiting_us) if said.oldest_waiting_us else 0
        agent.caught_up_us = now_us - backlog_us
        agent.skew.add(said.agent_time_us, now_us)
        self._tell_skew(agent_id, agent)
        for kind, label, since_us, facts in agent.states.beat(said, agent.skew, now_us):
            self._find(kind, agent_id, agent, now_us, f"{label}/{since_us}", facts)

    def _tell_skew(self, agent_id: str, agent: _Agent) -> None:
        self._counters.set("clock_skew_ms", abs(agent.skew.us) // 1000, agent_id)

    def _goodbye(self, agent_id: str, agent: _Agent, said: pb.Goodbye, now_us: int) -> None:
        self._counters.add("goodbyes")
        agent.goodbye_us, agent.reason = now_us, clean(said.reason) or "none given"
        agent.missed = False
        files = agent.reason == "finished" and agent.states.only_files
        if files:
            agent.missed = True  # what has read its files to the end does not come back
        facts = {"last_words": agent.reason, "agent_time_us": said.agent_time_us}
        self._find(Kind.FINISHED if files else Kind.STOPPED, agent_id, agent, now_us, str(now_us), facts)

    # What the other thread asks.

    def suspects(self, now_us: int) -> list[str]:
        """Agents of which there was no sign here for too long: the store is to be asked for their newest rows."""
        with self._lock:
            self._notice_pause(now_us)
            return [] if self._resting else sorted(self._suspected(now_us))

    def look(self, now_us: int, newest: Mapping[str, int]) -> list[Finding]:
        """What was found since the last time. `newest`: of every suspect, arrival of its newest rows, 0 for none."""
        with self._lock:
            if not self._resting:
                for agent_id in self._suspected(now_us):
                    if agent_id in newest:
                        self._judge(agent_id, self._agents[agent_id], now_us, newest[agent_id])
                for agent_id, agent in self._agents.items():
                    self._judge_known(agent_id, agent, now_us)
            gone = [one for one, agent in self._agents.items() if self._is_forgotten(one, agent, now_us)]
            for one in gone:
                del self._agents[one]
            self._tell_gauges()
            found, self._found = self._found, []
            return found

    def looked(self, now_us: int) -> None:
        """The look is over; what the store took to answer was no pause of ours."""
        with self._lock:
            self._looked_us = max(self._looked_us, now_us)

    def rest(self) -> None:
        """Call no one silent any more: we are stopping."""
        with self._lock:
            self._resting = True

    def caught_up(self, agent_id: str, since_us: int) -> bool:
        """Whether everything has come that an agent had put into its spool before `since_us`."""
        with self._lock:
            agent = self._agents.get(agent_id)
            return agent is not None and agent.caught_up_us > since_us

    def _notice_pause(self, now_us: int) -> None:
        """Nobody is to blame for what happened while we did not run, or for a step of our clock."""
        usual_us = max(int(4 * self._config.interval_s * _SECOND), self._silent_us // 2)
        if not -_SECOND <= now_us - self._looked_us <= usual_us:
            self._counters.add("pauses")
            for agent in self._agents.values():
                agent.counted_us = now_us
                agent.heard_us = min(agent.heard_us, now_us)
            self._grace_until_us = min(self._grace_until_us, now_us + int(self._config.grace_s * _SECOND))
        self._looked_us = now_us

    def _suspected(self, now_us: int) -> Iterable[str]:
        for agent_id, agent in self._agents.items():
            stream = agent.stream
            if stream is not None:
                if stream.heard_us != agent.said_us:
                    agent.said_us = stream.heard_us
                    agent.heard_us = min(stream.heard_us, now_us)
                if stream.waiting:
                    agent.counted_us = now_us
            if agent.goodbye_us or not self._is_expected(agent_id):
                continue
            if now_us - max(agent.heard_us, agent.counted_us) <= self._silent_us:
                continue
            if not agent.here and now_us < self._grace_until_us:
                continue
            if not agent.silence or now_us - agent.asked_us >= _ASK_AGAIN_US:
                yield agent_id

    def _judge(self, agent_id: str, agent: _Agent, now_us: int, newest_us: int) -> None:
        agent.asked_us = now_us
        if newest_us and now_us - newest_us <= self._silent_us:  # another collector has it
            agent.heard_us = max(agent.heard_us, newest_us)
            return
        if agent.silence:
            return
        # Every collector that misses it finds the same newest row, and so names the silence alike.
        name = str(newest_us)
        if newest_us == agent.told_us:  # no rows since the last silence
            name = f"{newest_us}/{agent.heard_us}"
        agent.silence, agent.told_us = name, newest_us
        agent.silent_since_us = agent.heard_us
        facts: dict[str, object] = {"story": name, "connection": "open" if agent.stream else "closed"}
        if agent.heard_us:
            facts |= {"last_heard_us": agent.heard_us, "silent_for_s": (now_us - agent.heard_us) // _SECOND}
        else:
            facts["never_heard"] = True
        self._find(Kind.SILENT, agent_id, agent, now_us, name, facts)

    def _judge_known(self, agent_id: str, agent: _Agent, now_us: int) -> None:
        if agent.silence and now_us - agent.heard_us <= self._silent_us:
            facts: dict[str, object] = {"story": agent.silence, "after": "silence"}
            if agent.silent_since_us:
                facts["silent_for_s"] = (agent.heard_us - agent.silent_since_us) // _SECOND
            self._find(Kind.HEARD_AGAIN, agent_id, agent, now_us, agent.silence, facts)
            agent.silence = ""
        after_us = int(self._config.not_back_after_s * _SECOND)
        if agent.goodbye_us and not agent.missed and after_us and now_us - agent.goodbye_us > after_us:
            agent.missed = True
            away = {"stopped_us": agent.goodbye_us, "away_for_s": (now_us - agent.goodbye_us) // _SECOND}
            self._find(Kind.NOT_BACK, agent_id, agent, now_us, str(agent.goodbye_us), away)

    def _find(
        self, kind: Kind, agent_id: str, agent: _Agent, at_us: int, story: str, facts: Mapping[str, object]
    ) -> None:
        if self._is_ignored(agent_id):
            return
        if agent.hour != at_us // _HOUR_US:
            agent.hour, agent.found = at_us // _HOUR_US, 0
        agent.found += 1
        if agent.found > _MOST_IN_AN_HOUR and kind not in _SLOW:
            self._counters.add("findings_left_out")
        else:
            self._found.append(Finding(kind, agent_id, agent.host_name, at_us, story, facts))

    def _is_ignored(self, agent_id: str) -> bool:
        return any(fnmatch.fnmatchcase(agent_id, pattern) for pattern in self._config.ignored)

    def _is_expected(self, agent_id: str) -> bool:
        expected = any(fnmatch.fnmatchcase(agent_id, pattern) for pattern in self._config.expected)
        return expected and not self._is_ignored(agent_id)

    def _is_forgotten(self, agent_id: str, agent: _Agent, now_us: int) -> bool:
        named = agent_id in self._config.expected
        return agent.stream is None and not named and now_us - agent.heard_us > _FORGET_US

    def _tell_gauges(self) -> None:
        agents = self._agents.values()
        self._counters.set("agents_present", sum(one.stream is not None and not one.silence for one in agents))
        self._counters.set("agents_silent", sum(bool(one.silence) for one in agents))
        self._counters.set("agents_stopped", sum(bool(one.goodbye_us) for one in agents))
        self._counters.set("agents_degraded", sum(one.states.degraded_since_us > 0 for one in agents))
        self._counters.set("sources_lost", sum(len(one.states.lost) for one in agents))
