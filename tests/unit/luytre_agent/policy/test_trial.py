from __future__ import annotations

from luytre_agent.policy.model import Seen, Source
from luytre_agent.policy.trial import Trial, lacking

KINDS = frozenset({"packets", "files", "sockets"})
WELL = {"packets:eth0#2": Source(True), "files": Source(True), "sockets": Source(False, "no rights", failures=5)}
BEFORE = Seen(WELL, KINDS, True)


def trial() -> Trial:
    return Trial(BEFORE, 100.0, 60.0)


def seen(connected: bool = True, kinds: frozenset[str] = KINDS, **changes: Source | None) -> Seen:
    sources = {name: source for name, source in {**WELL, **changes}.items() if source is not None}
    return Seen(sources, kinds, connected)


def test_who_stays_well_passes_at_the_end() -> None:
    one = trial()
    assert [one.judge(BEFORE, now) for now in (100.0, 130.0, 159.9, 160.0)] == [None, None, None, ""]


def test_what_was_missing_before_is_not_missed() -> None:
    assert trial().judge(seen(sockets=Source(False, "still no rights", failures=5)), 160.0) == ""


def test_what_was_turned_off_is_not_missed() -> None:
    assert trial().judge(seen(kinds=KINDS - {"files"}, files=None), 160.0) == ""


def test_a_source_that_is_gone_is_enough_after_a_third_of_the_time() -> None:
    one = trial()
    gone = seen(files=Source(False, "Permission denied"))
    assert one.judge(gone, 119.9) is None
    assert one.judge(gone, 120.0) == "files is not available any more: Permission denied"


def test_a_source_that_comes_back_is_well() -> None:
    one = trial()
    gone = seen(files=Source(False))
    assert one.judge(gone, 110.0) is None
    assert one.judge(BEFORE, 115.0) is None
    assert one.judge(gone, 130.0) is None
    assert one.judge(gone, 135.0) == "files is not available any more: it does not start"


def test_interfaces_are_a_kind_that_must_not_go_as_a_whole() -> None:
    one = trial()
    renamed = {"packets:eth0#2": None, "packets:eth0": Source(True), "packets:nope": Source(False, "no such")}
    assert one.judge(seen(**renamed), 160.0) == ""
    one = trial()
    wrong = {"packets:eth0#2": None, "packets:nope0": Source(False, "No such device")}
    assert one.judge(seen(**wrong), 121.0) == "packets is not available any more: No such device"
    one = trial()
    assert one.judge(seen(**{"packets:eth0#2": None}), 121.0) == (
        "packets is not available any more: nothing of it is there"
    )


def test_a_source_that_fails_again_and_again_is_enough_at_once() -> None:
    one = trial()
    assert one.judge(seen(files=Source(True, failures=2)), 101.0) is None
    assert one.judge(seen(files=Source(True, failures=3)), 102.0) == "files failed 3 times"
    assert one.judge(seen(sockets=Source(False, failures=8)), 103.0) == "sockets failed 3 times"
    assert one.judge(seen(new=Source(True, failures=3)), 104.0) == "new failed 3 times"


def test_the_collector_may_be_away_for_a_while() -> None:
    one = trial()
    assert one.judge(seen(connected=False), 159.0) is None
    assert one.judge(seen(connected=True), 160.0) == ""
    one = trial()
    assert one.judge(seen(connected=False), 160.0) == ("the connection to the collector was lost and did not come back")
    away = Trial(Seen(WELL, KINDS, False), 100.0, 60.0)
    assert away.judge(seen(connected=False), 160.0) == ""


def test_what_is_lacking() -> None:
    assert lacking(BEFORE) == "sockets: no rights"
    assert lacking(Seen({"a": Source(False)})) == "a: starting"
    assert lacking(Seen({"a": Source(True)})) == ""
