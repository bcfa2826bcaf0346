"""The comparison, without a kernel: what is there is a dictionary, and time is a number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from luytre_agent.sources.watch.changes import Change, Changes, Snapshot
from luytre_agent.sources.watch.hint import Did, Hint
from luytre_agent.sources.watch.safe import Facts
from luytre_agent.sources.watch.who import Who
from luytre_common.telemetry import Counters

FILE = Facts("file", 1, 10, 3, 0o644, 0, 0, 100, 100, b"one")
ANNE, BILL = Who(1, name="anne"), Who(2, name="bill")


class World:
    def __init__(self) -> None:
        self.there: dict[str, Facts] = {}
        self.said: list[Change] = []
        self.counters = Counters("files")
        self.snapshot = Snapshot(1000, self.counters)
        self.changes = Changes(
            self.snapshot, lambda path, _: self.there.get(path), self.said.append, self.counters, moment_s=1.0
        )
        self.changes.started_ns = 1000

    def have(self, path: str, facts: Facts = FILE) -> None:
        self.there[path] = facts
        self.snapshot.put(path, facts)

    def do(self, did: Did, path: str = "/a", who: Who | None = ANNE, now: float = 0.0) -> None:
        self.changes.touched(Hint(did, path), who, now)

    def told(self) -> list[tuple[str, str, str]]:
        return [(one.action, one.path, one.who.name if one.who else "") for one in self.said]


@pytest.fixture
def world() -> World:
    return World()


def test_two_writers_within_a_moment_are_both_named(world: World) -> None:
    world.have("/a")
    world.do(Did.WRITE, who=ANNE)
    world.do(Did.WRITE, who=BILL, now=0.5)
    world.there["/a"] = replace(FILE, modified=2000, changed=2000, sha256=b"two")
    world.changes.due(1.4)
    assert world.told() == []
    world.changes.due(1.5)
    assert world.told() == [("modified", "/a", "anne"), ("modified", "/a", "bill")]
    assert world.counters.get("folded") == 1


def test_a_file_that_is_written_all_the_time_is_told_of_nevertheless(world: World) -> None:
    world.have("/a")
    for tenths in range(100):
        world.there["/a"] = replace(FILE, modified=2000 + tenths, changed=2000 + tenths, sha256=bytes([tenths]))
        world.do(Did.WRITE, now=tenths / 10)
        world.changes.due(tenths / 10)
    assert 1 <= len(world.said) <= 3


def test_what_was_known_of_a_writer_stays_known(world: World) -> None:
    world.do(Did.CREATE)
    world.there["/a"] = FILE
    world.do(Did.WRITE, who=Who(ANNE.pid), now=0.1)
    world.changes.settle_all()
    assert world.told() == [("created", "/a", "anne")]


def test_writers_are_bounded(world: World) -> None:
    world.have("/a")
    for pid in range(1, 21):
        world.do(Did.WRITE, who=Who(pid, name=str(pid)))
    world.there["/a"] = replace(FILE, modified=2000, changed=2000, sha256=b"two")
    world.changes.settle_all()
    assert len(world.said) == 8
    assert world.counters.get("writers_refused") == 12


def test_created_and_gone_again(world: World) -> None:
    world.do(Did.CREATE | Did.WRITE | Did.DELETE)
    assert [(one.action, one.oddities) for one in world.said] == [("created", ("vanished",)), ("deleted", ())]


def test_deleted_and_made_anew(world: World) -> None:
    world.have("/a")
    world.there["/a"] = replace(FILE, inode=11, sha256=b"two")
    world.do(Did.DELETE)
    world.do(Did.CREATE)
    world.changes.settle_all()
    assert world.told() == [("deleted", "/a", "anne"), ("created", "/a", "anne")]
    assert world.said[0].before == FILE


def test_a_change_during_the_first_look_is_not_lost(world: World) -> None:
    world.have("/a", replace(FILE, changed=1001))
    world.do(Did.WRITE)
    world.have("/b")
    world.do(Did.WRITE, "/b")
    world.changes.settle_all()
    assert world.told() == [("modified", "/a", "anne")]
    assert world.counters.get("unchanged") == 1


def test_found_first_and_explained_later_is_one_row(world: World) -> None:
    world.there["/a"] = FILE
    world.changes.found("/a", None, 0.0, rescan=False)
    world.do(Did.CREATE, now=0.1)
    world.changes.settle_all()
    assert world.told() == [("created", "/a", "anne")]
    assert world.said[0].source == ""


def test_what_a_directory_contains_is_no_change_of_its_own(world: World) -> None:
    folder = replace(FILE, kind="dir", sha256=b"")
    world.have("/d", folder)
    world.there["/d"] = replace(folder, size=9, modified=2000, changed=2000)
    world.do(Did.ATTRIB, "/d")
    world.changes.settle_all()
    assert world.told() == []
    world.there["/d"] = replace(folder, mode=0o777, changed=2000)
    world.do(Did.ATTRIB, "/d")
    world.changes.settle_all()
    assert world.told() == [("attributes", "/d", "anne")]


def test_moving_a_directory_takes_what_is_known_along(world: World) -> None:
    world.have("/d", replace(FILE, kind="dir"))
    world.have("/d/x")
    world.there = {"/e": replace(FILE, kind="dir"), "/e/x": FILE}
    world.changes.moved("/e", "/d", ANNE, 0.0, lambda _: True)
    assert world.told() == [("moved", "/e", "anne")]
    assert world.snapshot.get("/e/x") == FILE
    assert world.snapshot.under("/d") == []
