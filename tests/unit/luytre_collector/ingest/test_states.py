from __future__ import annotations

from collections.abc import Mapping, Sequence

from luytre_collector.ingest.finding import Kind
from luytre_collector.ingest.presence import Config
from luytre_collector.ingest.skew import Skew
from luytre_collector.ingest.states import States
from luytre_common.wire.v1 import ingest_pb2 as pb

CONFIG = Config(source_lost_after_s=15, degraded_after_s=60, skew_alert_s=5, skew_heartbeats=2)
GOOD = Skew(2)


class Beats:
    """Heartbeats ten seconds apart."""

    def __init__(self) -> None:
        self.states = States(CONFIG)
        self.now_us = 1_000_000_000

    def __call__(
        self,
        sources: Mapping[str, str | None] | None = None,
        degradation: int = 0,
        skew: Skew = GOOD,
        reason: str = "",
        off: Sequence[str] = (),
    ) -> list[tuple[Kind, str, Mapping[str, object]]]:
        """`sources`: None for one that works, else what it lacks."""
        self.now_us += 10_000_000
        said = pb.Heartbeat(degradation=degradation, degradation_reason=reason, sources_off=off)
        for name, lacks in (sources or {}).items():
            said.sources.append(pb.SourceState(name=name, available=lacks is None, reason=lacks or ""))
        return [(kind, label, facts) for kind, label, _, facts in self.states.beat(said, skew, self.now_us)]


def test_a_source_that_stays_away_is_told_of_once_and_so_is_its_return() -> None:
    beat = Beats()
    assert beat({"files": None, "logins": None}) == []
    lost = {"files": "no rights", "logins": None}
    since = beat.now_us + 10_000_000
    assert beat(lost) == []
    assert beat(lost) == []
    assert beat(lost) == [(Kind.SOURCE_LOST, "files", {"source": "files", "reason": "no rights", "since_us": since})]
    assert beat(lost) == []
    assert list(beat.states.lost) == ["files"]
    assert beat({"files": None, "logins": None}) == [(Kind.SOURCE_BACK, "files", {"source": "files", "lost_for_s": 40})]
    assert not beat.states.lost
    assert beat(lost) == []


def test_one_that_blinks_or_was_never_there_is_not_lost() -> None:
    beat = Beats()
    for sources in ({"files": None}, {"files": "starting"}, {"files": "starting"}, {"files": None}, {"files": None}):
        assert beat({**sources, "sockets": "no BTF"}) == []


def test_what_a_policy_turned_off_is_not_missed_until_it_is_on_again() -> None:
    beat = Beats()
    beat({"packets:eth0#2": None, "packets:eth1": None, "files": None, "logins": None})
    for _ in range(3):
        beat({"packets:eth0#2": None, "packets:eth1": None, "files": "no rights", "logins": None})
    assert list(beat.states.lost) == ["files"]
    for _ in range(5):
        assert beat({"logins": None}, off=["packets", "files"]) == []
    assert not beat.states.lost
    assert beat({"logins": None, "files": None}) == []
    for _ in range(3):
        found = beat({"logins": None})
    assert [(kind, name) for kind, name, _ in found] == [(Kind.SOURCE_LOST, "files")]


def test_an_interface_may_go_while_there_are_others_but_not_the_last() -> None:
    beat = Beats()
    beat({"packets:eth0#2": None, "packets:veth1#9": None, "logins": None})
    for _ in range(4):
        assert beat({"packets:eth0#2": None, "logins": None}) == []
    for _ in range(2):
        assert beat({"logins": None}) == []
    ((kind, label, facts),) = beat({"logins": None})
    assert (kind, label) == (Kind.SOURCE_LOST, "packets:eth0#2")
    assert "gone" in str(facts["reason"])
    ((kind, label, _),) = beat({"packets:eth0#7": None, "logins": None})
    assert (kind, label) == (Kind.SOURCE_BACK, "packets:eth0#2")


def test_a_heartbeat_without_sources_says_nothing_of_them() -> None:
    beat = Beats()
    beat({"files": None})
    for _ in range(5):
        assert beat() == []


def test_what_the_store_knows_counts_as_having_been_there() -> None:
    beat = Beats()
    beat.states.available.update(["files"])
    for _ in range(2):
        assert beat({"files": "no rights"}) == []
    assert [kind for kind, _, _ in beat({"files": "no rights"})] == [Kind.SOURCE_LOST]


def test_hostile_names_and_numbers_are_bounded() -> None:
    beat = Beats()
    many = {f"s{at}": None for at in range(5000)}
    beat(many)
    assert len(beat.states.available) == 1000
    for turn in range(10):  # each time of other kinds, so that the ones before are lost
        beat({f"k{turn}-{at}:": None for at in range(1000)})
    assert len(beat.states.available) + len(beat.states.lost) == 1000
    beat.states.follow(f"r{at}" for at in range(5000))
    assert len(beat.states.available) + len(beat.states.lost) == 1000
    beat = Beats()
    beat({"\x1b[2J" + "n" * 500: None, "logins": None})
    for _ in range(2):
        beat({"logins": None})
    ((_, label, _),) = beat({"logins": None})
    assert len(label) == 128
    assert "\x1b" not in label


def test_only_files() -> None:
    beat = Beats()
    assert not beat.states.only_files
    beat({"replay:a.pcap": None})
    assert beat.states.only_files
    beat({"replay:a.pcap": None, "logins": None})
    assert not beat.states.only_files


def test_degradation_that_lasts() -> None:
    beat = Beats()
    assert beat(degradation=1, reason="memory") == []
    since = beat.now_us
    for _ in range(5):
        assert beat(degradation=2, reason="memory") == []
    assert beat.states.degraded_since_us == since
    assert beat(degradation=2, reason="memory") == [
        (Kind.DEGRADED, "", {"step": 2, "reason": "memory", "since_us": since})
    ]
    assert beat(degradation=3, reason="memory") == []
    assert beat() == [(Kind.RESTORED, "", {"degraded_for_s": 80})]
    assert beat() == []
    assert beat(degradation=1) == []
    assert beat() == []  # it did not last


def test_a_clock_that_is_off_and_right_again() -> None:
    beat, skew = Beats(), Skew(2)

    def off(seconds: float) -> list[tuple[Kind, str, Mapping[str, object]]]:
        skew.add(0, int(seconds * 1_000_000))
        return beat(skew=skew)

    assert off(0.01) == []
    assert off(-8) == []
    ((kind, _, facts),) = off(-8)
    assert (kind, facts) == (Kind.CLOCK_OFF, {"clock": "ahead", "skew_ms": 8000})
    assert off(-8) == []
    assert off(0) == []
    ((kind, _, facts),) = off(0.02)
    assert (kind, facts) == (Kind.CLOCK_RIGHT, {"skew_ms": 0, "off_for_s": 30})
    off(7)
    ((kind, _, facts),) = off(9)
    assert (kind, facts) == (Kind.CLOCK_OFF, {"clock": "behind", "skew_ms": 7000})
