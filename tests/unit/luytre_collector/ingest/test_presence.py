from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import grpc
import pytest
from luytre_collector.ingest.control import Peer
from luytre_collector.ingest.finding import Finding, Kind
from luytre_collector.ingest.presence import Config, Past, Presence
from luytre_common.telemetry import Counters
from luytre_common.wire.v1 import ingest_pb2 as pb

SECOND = 1_000_000
BEGIN = 1_795_400_000 * SECOND
CONFIG = Config(silent_after_s=45, grace_s=120, interval_s=5, not_back_after_s=900)


@dataclass
class Line:
    """A stream."""

    peer: Peer
    hello: pb.Hello
    heard_us: int
    waiting: bool = False
    told: list[pb.CollectorMessage] = field(default_factory=list)

    def tell(self, message: pb.CollectorMessage) -> None:
        self.told.append(message)

    def end(self, status: grpc.StatusCode, message: str) -> None: ...

    def cut(self, status: grpc.StatusCode, message: str) -> None: ...


class Watched:
    """A presence, its clock, and a store that knows when rows of agents came."""

    def __init__(self, config: Config = CONFIG, past: Mapping[str, Past] | None = None) -> None:
        self.counters = Counters("presence")
        self.now = BEGIN
        self.presence = Presence(config, self.counters, self.now)
        self.presence.remember(past or {})
        self.rows: dict[str, int] = {}

    def enter(self, name: str = "web-01", host: str = "web-01.hue.example") -> Line:
        peer = Peer(name, 1, "f", 0, "ipv4:192.0.2.7:4")
        line = Line(peer, pb.Hello(host_name=host, agent_time_us=self.now), self.now)
        self.presence.entered(line)
        return line

    def beat(self, line: Line, **fields: object) -> None:
        line.heard_us = self.now
        given = {"agent_time_us": self.now, **fields}
        self.presence.heard(line, pb.AgentMessage(heartbeat=pb.Heartbeat(**given)))  # type: ignore[arg-type]

    def goodbye(self, line: Line, reason: str = "stopping") -> None:
        line.heard_us = self.now
        self.presence.heard(line, pb.AgentMessage(goodbye=pb.Goodbye(agent_time_us=self.now, reason=reason)))
        self.presence.left(line)

    def look(self) -> list[Finding]:
        suspects = self.presence.suspects(self.now)
        return self.presence.look(self.now, {one: self.rows.get(one, 0) for one in suspects})

    def after(self, seconds: float, lines: Sequence[Line] = ()) -> list[Finding]:
        """Looks every five seconds; `lines` speak every ten."""
        found = []
        for step in range(1, int(seconds / 5) + 1):
            self.now += 5 * SECOND
            if step % 2 == 0:
                for line in lines:
                    self.beat(line)
            found += self.look()
        return found

    def gauge(self, name: str) -> int:
        return self.counters.get(name)


def kinds(found: Sequence[Finding]) -> list[Kind]:
    return [one.kind for one in found]


def test_an_agent_that_speaks_is_not_silent() -> None:
    one = Watched()
    assert one.after(600, [one.enter()]) == []
    assert one.gauge("agents_present") == 1


def test_silence_is_told_of_once_within_a_minute_and_so_is_its_end() -> None:
    one = Watched()
    line = one.enter()
    one.after(60, [line])
    last = one.now
    one.rows["web-01"] = last - SECOND
    (found,) = one.after(50)
    assert (found.kind, found.agent_id, found.host_name) == (Kind.SILENT, "web-01", "web-01.hue.example")
    assert found.at_us - last < 60 * SECOND
    assert found.facts == {
        "story": str(last - SECOND), "connection": "open", "last_heard_us": last, "silent_for_s": 50,
    }  # fmt: skip
    assert one.gauge("agents_silent") == 1
    assert one.gauge("agents_present") == 0
    assert one.after(300) == []
    one.beat(line)
    (again,) = one.after(5)
    assert (again.kind, again.story) == (Kind.HEARD_AGAIN, found.story)
    assert again.facts == {"story": found.story, "after": "silence", "silent_for_s": 350}
    assert one.gauge("agents_silent") == 0
    assert one.after(300, [line]) == []


def test_batches_are_signs_of_life_too() -> None:
    one = Watched()
    line = one.enter()
    for _ in range(60):
        one.now += 5 * SECOND
        line.heard_us = one.now
        assert one.look() == []


def test_a_connection_that_broke_without_a_word() -> None:
    one = Watched()
    line = one.enter()
    one.presence.left(line)
    (found,) = one.after(50)
    assert (found.kind, found.facts["connection"]) == (Kind.SILENT, "closed")


def test_each_silence_is_a_story_of_its_own_also_without_rows() -> None:
    one = Watched()
    line = one.enter()
    stories = set()
    for _ in range(3):
        (found,) = one.after(50)
        stories.add(found.story)
        one.beat(line)
        assert kinds(one.after(5)) == [Kind.HEARD_AGAIN]
    assert len(stories) == 3


def test_an_agent_that_went_to_another_collector_is_not_silent() -> None:
    one = Watched()
    one.presence.left(one.enter())
    for _ in range(30):
        one.rows["web-01"] = one.now
        assert one.after(10) == []
    (found,) = one.after(60)  # now it is silent there
    assert (found.kind, found.story) == (Kind.SILENT, str(one.rows["web-01"]))
    one.rows["web-01"] = one.now + 20 * SECOND
    (found,) = one.after(60)
    assert (found.kind, found.story) == (Kind.HEARD_AGAIN, str(found.facts["story"]))


def test_two_collectors_tell_the_same_story() -> None:
    first, second = Watched(), Watched(past={"web-01": Past("web-01.hue.example", BEGIN - 7 * SECOND)})
    line = first.enter()
    first.presence.left(line)
    first.rows = second.rows = {"web-01": BEGIN - 7 * SECOND}
    (here,), (there,) = first.after(200), second.after(200)
    assert (here.kind, here.story) == (there.kind, there.story) == (Kind.SILENT, str(BEGIN - 7 * SECOND))


def test_goodbye_is_not_silence() -> None:
    one = Watched()
    one.goodbye(one.enter())
    (found,) = one.after(5)
    assert (found.kind, found.facts["last_words"]) == (Kind.STOPPED, "stopping")
    assert one.counters.get("goodbyes") == 1
    assert one.gauge("agents_stopped") == 1
    assert one.after(890) == []
    (found,) = one.after(20)
    assert (found.kind, found.facts["away_for_s"]) == (Kind.NOT_BACK, 905)
    assert one.after(3000) == []
    line = one.enter()
    (found,) = one.after(5)
    assert (found.kind, found.facts) == (Kind.HEARD_AGAIN, {"after": "stop", "silent_for_s": 3915})
    assert one.gauge("agents_stopped") == 0
    assert one.after(100, [line]) == []


def test_a_restart_is_a_stop_and_nothing_else() -> None:
    one = Watched()
    one.goodbye(one.enter())
    one.now += 3 * SECOND
    line = one.enter()
    assert kinds(one.after(2000, [line])) == [Kind.STOPPED]


def test_a_stop_that_may_last() -> None:
    one = Watched(replace(CONFIG, not_back_after_s=0))
    one.goodbye(one.enter())
    assert kinds(one.after(4000)) == [Kind.STOPPED]


def test_capture_files_come_to_their_end() -> None:
    one = Watched()
    line = one.enter()
    one.beat(line, sources=[pb.SourceState(name="replay:a.pcap", available=True)])
    one.goodbye(line, "finished")
    assert kinds(one.after(2000)) == [Kind.FINISHED]
    line = one.enter("web-02")
    one.beat(line, sources=[pb.SourceState(name="packets:eth0", available=True)])
    one.goodbye(line, "finished")  # says who only pretends
    assert kinds(one.after(2000)) == [Kind.STOPPED, Kind.NOT_BACK]


def test_the_goodbye_of_a_stream_that_was_superseded_counts_for_nothing() -> None:
    one = Watched()
    older, newer = one.enter(), one.enter()
    one.goodbye(older)
    assert one.after(60, [newer]) == []


def test_who_is_expected_after_a_start() -> None:
    past = {
        "back": Past("a", BEGIN - 60 * SECOND),
        "silent": Past("b", BEGIN - 60 * SECOND),
        "stopped": Past("c", BEGIN - 600 * SECOND, goodbye_us=BEGIN - 600 * SECOND),
        "missed": Past("d", BEGIN - 6000 * SECOND, goodbye_us=BEGIN - 6000 * SECOND, missed=True),
        "told": Past("e", BEGIN - 600 * SECOND, silence=str(BEGIN - 600 * SECOND)),
    }
    one = Watched(past=past)
    one.rows = {name: known.heard_us for name, known in past.items()}
    one.now += 10 * SECOND
    lines = [one.enter("back"), one.enter("told")]
    found = one.after(200, lines)
    assert {(each.agent_id, each.kind) for each in found} == {
        ("told", Kind.HEARD_AGAIN), ("silent", Kind.SILENT),
    }  # fmt: skip
    (silent,) = (each for each in found if each.agent_id == "silent")
    assert 120 * SECOND <= silent.at_us - BEGIN < 180 * SECOND
    assert [(each.agent_id, each.kind) for each in one.after(300, lines)] == [("stopped", Kind.NOT_BACK)]


def test_the_grace_is_not_for_those_who_came_in() -> None:
    one = Watched()
    one.enter()
    assert kinds(one.after(50)) == [Kind.SILENT]


def test_a_name_that_is_expected_and_never_heard() -> None:
    one = Watched(replace(CONFIG, expected=["dc-*", "portal-01"]))
    one.presence.left(one.enter("web-01"))
    found = one.after(200)
    assert [(each.agent_id, each.kind) for each in found] == [("portal-01", Kind.SILENT)]
    assert found[0].facts["never_heard"] is True
    line = one.enter("portal-01")
    assert kinds(one.after(60, [line])) == [Kind.HEARD_AGAIN]
    one.presence.left(one.enter("dc-7"))
    assert [each.agent_id for each in one.after(60, [line])] == ["dc-7"]


def test_who_is_ignored() -> None:
    one = Watched(replace(CONFIG, ignored=["test-*"]))
    line = one.enter("test-1")
    one.presence.left(one.enter("test-2"))
    one.goodbye(line)
    assert one.after(2000) == []


def test_what_we_could_not_hear_is_nobodys_silence() -> None:
    one = Watched()
    line = one.enter()
    line.waiting = True  # batches wait for the store
    assert one.after(600) == []
    line.waiting = False
    assert one.after(45) == []
    assert kinds(one.after(5)) == [Kind.SILENT]


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_step_of_our_clock_or_a_pause(step_s: int) -> None:
    one = Watched()
    lines = [one.enter(), one.enter("web-02")]
    one.after(30, lines)
    one.now += step_s * SECOND
    assert one.look() == []
    assert one.counters.get("pauses") == 1
    assert one.after(40) == []
    assert {each.agent_id for each in one.after(20)} == {"web-01", "web-02"}
    assert one.counters.get("pauses") == 1


def test_a_store_that_takes_its_time_is_no_pause() -> None:
    one = Watched()
    one.enter()
    one.now += 20 * SECOND
    one.presence.suspects(one.now)
    one.now += 100 * SECOND
    one.presence.looked(one.now)
    assert kinds(one.after(5)) == [Kind.SILENT]
    assert one.counters.get("pauses") == 0


def test_nobody_is_judged_of_whom_the_store_was_not_asked() -> None:
    one = Watched()
    one.enter()
    one.now += 44 * SECOND
    one.presence.looked(one.now)
    assert one.presence.suspects(one.now) == []
    one.now += 2 * SECOND
    assert one.presence.look(one.now, {}) == []
    assert kinds(one.look()) == [Kind.SILENT]


def test_at_rest_nobody_falls_silent_but_a_goodbye_is_heard() -> None:
    one = Watched()
    lines = [one.enter(), one.enter("web-02")]
    one.presence.rest()
    one.goodbye(lines[1])
    assert kinds(one.after(200)) == [Kind.STOPPED]


def test_conditions_of_heartbeats_are_found_with_the_agents_name() -> None:
    one = Watched(replace(CONFIG, degraded_after_s=0, source_lost_after_s=0))
    line = one.enter()
    one.beat(line, degradation=1, sources=[pb.SourceState(name="files", available=True)])
    one.after(5)
    for _ in range(2):
        one.now += 10 * SECOND
        one.beat(line, degradation=1, sources=[pb.SourceState(name="files", reason="no rights")])
    (found,) = one.after(5)
    assert (found.kind, found.agent_id, found.facts["reason"]) == (Kind.SOURCE_LOST, "web-01", "no rights")
    assert found.story.startswith("files/")
    assert one.gauge("sources_lost") == 1
    assert one.gauge("agents_degraded") == 1


def test_the_skew_of_each_agent_is_a_gauge() -> None:
    one = Watched()
    line = one.enter()
    for _ in range(3):
        one.now += 10 * SECOND
        one.beat(line, agent_time_us=one.now - 7_250_000)
    assert one.counters.get("clock_skew_ms", "web-01") == 7250
    assert kinds(one.look()) == [Kind.CLOCK_OFF]
    for _ in range(3):
        one.now += 10 * SECOND
        one.beat(line, agent_time_us=one.now + 20_000)
    assert one.counters.get("clock_skew_ms", "web-01") == 20
    assert kinds(one.look()) == [Kind.CLOCK_RIGHT]


def test_what_an_agent_had_spooled_has_come() -> None:
    one = Watched()
    line = one.enter()
    assert not one.presence.caught_up("web-01", one.now - SECOND)
    assert not one.presence.caught_up("web-09", 0)
    one.beat(line, batches_waiting=5, oldest_waiting_us=one.now - 100 * SECOND)
    assert one.presence.caught_up("web-01", one.now - 101 * SECOND)
    assert not one.presence.caught_up("web-01", one.now - 99 * SECOND)
    one.beat(line)
    assert one.presence.caught_up("web-01", one.now - 1)


def test_agents_of_long_ago_are_forgotten_but_not_those_that_were_named() -> None:
    one = Watched(replace(CONFIG, expected=["*", "portal-01"]))
    one.goodbye(one.enter())
    one.after(1000)
    for _ in range(8):
        one.now += 86_400 * SECOND
        one.look()
    assert one.gauge("agents_stopped") == 0
    assert kinds(one.after(400)) == []  # told of before
    assert one.gauge("agents_silent") == 1


def test_an_agent_that_makes_trouble_on_purpose_floods_nobody_and_hides_nothing() -> None:
    one = Watched()
    for _ in range(500):
        one.goodbye(one.enter())
    assert len(one.look()) == 60
    assert one.counters.get("findings_left_out") == 440
    line = one.enter()
    assert kinds(one.after(60)) == [Kind.SILENT]
    one.beat(line)
    one.now += 3600 * SECOND
    one.presence.looked(one.now)
    one.goodbye(one.enter())
    assert Kind.STOPPED in kinds(one.look())
