"""The outbox: kept until delivered, each channel by itself, each alert once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from luytre_collector.detect.alert import Alert
from luytre_collector.notify.base import TryAgainError, WillNeverWorkError
from luytre_collector.notify.outbox import Config, Outbox, pause_s
from luytre_common.errors import UserError
from luytre_common.telemetry import Counters

from tests.support.alerts import alert


class Told:
    """A channel that does as `behave` says and says when it has something."""

    def __init__(self, name: str, behave: Callable[[int], None] = lambda _: None) -> None:
        self.name = name
        self.got: list[str] = []
        self.tries = 0
        self.changed = threading.Condition()
        self._behave = behave

    def deliver(self, given: Alert) -> None:
        with self.changed:
            self.tries += 1
            tries = self.tries
            self.changed.notify_all()
        self._behave(tries)
        with self.changed:
            self.got.append(given.alert_id)
            self.changed.notify_all()

    def wait(self, count: int) -> list[str]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, 20)
            return list(self.got)


def outbox(folder: Path, channels: Sequence[Told], counters: Counters | None = None, **given: int) -> Outbox:
    config = Config(folder, retry_min_s=0.001, retry_max_s=0.01, **given)
    made = Outbox(config, channels, counters or Counters("outbox"), lambda: 0.5)
    made.open()
    return made


IDS = [alert(number).alert_id for number in range(10)]


def test_every_channel_gets_every_alert_once(tmp_path: Path) -> None:
    one, two, counters = Told("one"), Told("two"), Counters("outbox")
    box = outbox(tmp_path, [one, two], counters)
    assert box.add([alert(0), alert(1), alert(0)]) == 2
    assert box.add([alert(1)]) == 0
    assert box.known(IDS[0])
    assert not box.known(IDS[2])
    assert one.wait(2) == two.wait(2) == IDS[:2]
    box.close()
    assert counters.get("taken") == 2
    assert counters.get("known") == 2
    assert counters.get("delivered", "one") == 2
    assert counters.get("waiting", "one") == 0


def test_a_channel_that_fails_gets_it_again(tmp_path: Path) -> None:
    def fails_twice(tries: int) -> None:
        if tries < 3:
            raise TryAgainError("down")

    shaky, counters = Told("shaky", fails_twice), Counters("outbox")
    box = outbox(tmp_path, [shaky], counters)
    box.add([alert(0)])
    assert shaky.wait(1) == IDS[:1]
    box.close()
    assert counters.get("retried", "shaky") == 2


def test_what_is_refused_or_breaks_the_channel_is_let_go(tmp_path: Path) -> None:
    def fails(tries: int) -> None:
        if tries == 1:
            raise WillNeverWorkError("404")
        if tries == 2:
            raise ZeroDivisionError

    odd, counters = Told("odd", fails), Counters("outbox")
    box = outbox(tmp_path, [odd], counters)
    box.add([alert(0), alert(1), alert(2)])
    assert odd.wait(1) == [IDS[2]]
    box.close()
    assert counters.get("refused", "odd") == 1
    assert counters.get("failed", "odd") == 1


def test_a_channel_that_hangs_delays_only_itself(tmp_path: Path) -> None:
    release = threading.Event()
    hanging, quick = Told("hanging", lambda _: release.wait(20) and None), Told("quick")
    box = outbox(tmp_path, [hanging, quick])
    box.add([alert(0), alert(1)])
    assert quick.wait(2) == IDS[:2]
    assert hanging.got == []
    release.set()
    hanging.wait(2)
    box.close()


def test_what_was_not_delivered_is_delivered_after_a_restart(tmp_path: Path) -> None:
    def down(_: int) -> None:
        raise TryAgainError("down")

    first, never = Told("first"), Told("second", down)
    box = outbox(tmp_path, [first, never])
    box.add([alert(0)])
    first.wait(1)
    with never.changed:
        assert never.changed.wait_for(lambda: never.tries > 1, 20)
    box.close(drain_s=0)
    first, second = Told("first"), Told("second")
    box = outbox(tmp_path, [first, second])
    assert second.wait(1) == IDS[:1]
    assert box.add([alert(0)]) == 0
    box.close()
    assert first.got == []


def test_the_oldest_make_room(tmp_path: Path) -> None:
    counters, release = Counters("outbox"), threading.Event()
    hanging = Told("hanging", lambda _: release.wait(20) and None)
    box = outbox(tmp_path, [hanging], counters, max_alerts=2)
    box.add([alert(0)])
    with hanging.changed:
        assert hanging.changed.wait_for(lambda: hanging.tries == 1, 20)
    box.add([alert(1), alert(2), alert(3)])
    assert counters.get("evicted") == 2
    release.set()
    assert hanging.wait(3) == [IDS[0], IDS[2], IDS[3]]
    box.close()


def test_without_channels_nothing_is_kept(tmp_path: Path) -> None:
    box = outbox(tmp_path, [])
    box.add([alert(0)])
    box.close()
    again = outbox(tmp_path, [])
    assert again.known(IDS[0])
    again.close()


def test_a_disk_that_refuses_takes_nothing_in(tmp_path: Path) -> None:
    counters = Counters("outbox")
    channel = Told("one")
    box = outbox(tmp_path, [channel], counters)
    box.close()
    with pytest.raises(OSError, match="not open"):
        box.add([alert(0)])
    assert not box.known(IDS[0])


def test_a_delivery_that_cannot_be_noted_is_counted(tmp_path: Path) -> None:
    counters, release = Counters("outbox"), threading.Event()
    slow = Told("slow", lambda _: release.wait(20) and None)
    box = outbox(tmp_path, [slow], counters)
    box.add([alert(0)])
    with slow.changed:
        assert slow.changed.wait_for(lambda: slow.tries == 1, 20)
    box.close(drain_s=0)
    release.set()
    slow.wait(1)
    for thread in threading.enumerate():
        if thread.name == "slow":
            thread.join(20)
    assert counters.get("journal_failed") == 1


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"notify\.outbox\.directory"):
        outbox(tmp_path / "file", [])


def test_pauses_double_to_a_limit_and_spread() -> None:
    config = Config(retry_min_s=1.0, retry_max_s=60.0)
    assert [pause_s(failures, config, 1.0) for failures in (1, 2, 3, 10, 1000)] == [1, 2, 4, 60, 60]
    assert pause_s(1, config, 0.0) == 0.5


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    outbox = Outbox(Config(tmp_path), [], Counters("outbox"), lambda: 0.5)
    code = f"""
from pathlib import Path
from luytre_collector.notify.outbox import Config, Outbox
from luytre_common.telemetry import Counters
Outbox(Config(Path({str(tmp_path)!r})), [], Counters("outbox"), lambda: 0.5).open()
"""

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr

    outbox.open()
    assert "another collector uses it; give each its own notify.outbox.directory" in other()
    outbox.close()
    assert other() == ""
