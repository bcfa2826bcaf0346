"""The outbox on disk: cut at every byte, it opens, and what was on disk before is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from luytre_collector.notify.journal import Journal
from luytre_common.telemetry import Counters

from tests.support.alerts import alert

Opener = Callable[..., Journal]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens journals, the same file more than once without closing it: as after kill -9."""
    every: list[Journal] = []

    def open_one(path: Path, counters: Counters | None = None) -> Journal:
        every.append(Journal(path, counters or Counters("outbox")))
        every[-1].open()
        return every[-1]

    yield open_one
    for journal in every:
        journal.close()


def test_alerts_come_back_as_they_were(tmp_path: Path, opened: Opener) -> None:
    journal = opened(tmp_path / "j")
    journal.add([alert(1), alert(2)])
    journal.finish(alert(1).alert_id, "console")
    again = opened(tmp_path / "j")
    assert list(again.pending.values()) == [alert(1), alert(2)]
    assert again.done == {alert(1).alert_id: {"console"}}


def test_what_is_gone_is_still_known(tmp_path: Path, opened: Opener) -> None:
    journal = opened(tmp_path / "j")
    journal.add([alert(1)])
    journal.remove(alert(1).alert_id)
    for _ in range(2):
        journal = opened(tmp_path / "j")
        assert not journal.pending
        assert journal.seen(alert(1).alert_id)
        assert not journal.seen(alert(2).alert_id)


def test_cut_at_every_byte(tmp_path: Path, opened: Opener) -> None:
    journal = opened(tmp_path / "j")
    journal.add([alert(1)])
    whole_first = (tmp_path / "j").stat().st_size
    journal.add([alert(2)])
    data = (tmp_path / "j").read_bytes()
    for size in [*range(whole_first, len(data), 23), len(data) - 1]:
        (tmp_path / "cut").write_bytes(data[:size])
        counters = Counters("outbox")
        again = opened(tmp_path / "cut", counters)
        assert list(again.pending) == [alert(1).alert_id]
        assert counters.get("journal_torn") == (1 if size > whole_first else 0)
        again.add([alert(3)])
        assert list(opened(tmp_path / "cut").pending) == [alert(1).alert_id, alert(3).alert_id]


def test_the_file_is_rewritten_when_it_is_mostly_history(tmp_path: Path, opened: Opener) -> None:
    journal = opened(tmp_path / "j")
    big = "x" * 20_000
    for number in range(200):
        journal.add([alert(number, evidence={"text": big})])
        journal.remove(alert(number).alert_id)
    assert (tmp_path / "j").stat().st_size < 1_200_000
    assert opened(tmp_path / "j").seen(alert(0).alert_id)
