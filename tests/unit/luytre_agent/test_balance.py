from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luytre_agent import balance as balance_module
from luytre_agent.balance import Balance, Config, Growth, Line, Tally, rows_of, wait_s
from luytre_agent.batch import Key
from luytre_agent.sources.replay import json_lines
from luytre_agent.sources.state import StateFile
from luytre_common.ledger import Entry
from luytre_common.telemetry import Sample

BOOT = "0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d"
FLOWS = Key(BOOT, "flows")


def test_a_tally_adds_up_and_begins_anew_when_it_is_taken() -> None:
    tally = Tally()
    tally.add(FLOWS, Entry.ROWS_CUT, 3)
    tally.add(FLOWS, Entry.ROWS_CUT, 4)
    tally.add(FLOWS, Entry.ROWS_LOST, 2, "disk")
    tally.add(FLOWS, Entry.ROWS_LOST, 0, "queue")
    assert tally.take() == {Line(FLOWS, Entry.ROWS_CUT): 7, Line(FLOWS, Entry.ROWS_LOST, "disk"): 2}
    assert tally.take() == {}


def test_threads_do_not_lose_counts() -> None:
    tally = Tally()
    threads = [
        threading.Thread(target=lambda: [tally.add(FLOWS, Entry.ROWS_CUT, 1) for _ in range(2000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += sum(tally.take().values())
    assert taken + sum(tally.take().values()) == 8000


def test_what_belongs_together_is_taken_together_and_keeps_nobody_waiting() -> None:
    """Rows are cut and spooled in one interval, however long the disk takes between the two; a thread that reads a ring
    meanwhile adds what it has to say at once."""
    tally, begun, go = Tally(), threading.Event(), threading.Event()

    def append() -> None:
        with tally.whole():
            tally.add(FLOWS, Entry.ROWS_CUT, 3)
            begun.set()
            assert go.wait(20)
            tally.add(FLOWS, Entry.ROWS_SPOOLED, 3)

    thread = threading.Thread(target=append)
    thread.start()
    assert begun.wait(20)
    with tally.whole():
        tally.add(FLOWS, Entry.ROWS_CUT, 2)
        tally.add(FLOWS, Entry.ROWS_LOST, 2, "queue")
    assert tally.take() == {Line(FLOWS, Entry.ROWS_CUT): 2, Line(FLOWS, Entry.ROWS_LOST, "queue"): 2}
    go.set()
    thread.join()
    assert tally.take() == {Line(FLOWS, Entry.ROWS_CUT): 3, Line(FLOWS, Entry.ROWS_SPOOLED): 3}


def test_what_was_added_before_a_fault_is_not_lost() -> None:
    tally = Tally()

    def append() -> None:
        with tally.whole():
            tally.add(FLOWS, Entry.ROWS_CUT, 3)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        append()
    tally.add(FLOWS, Entry.ROWS_CUT, 1)
    assert tally.take() == {Line(FLOWS, Entry.ROWS_CUT): 4}


def packets(name: str, value: int, label: str = "eth0") -> Sample:
    return Sample("packets", name, label, value)


def test_growth_of_the_cores_counters_by_interface_and_cause() -> None:
    growth = Growth()
    first = [packets("packets", 10), packets("kernel_dropped", 0), packets("undecoded/not_ip", 2), packets("rows", 5)]
    assert growth.of(first, BOOT) == {
        Line(Key(BOOT, "eth0"), Entry.PACKETS_SEEN): 10,
        Line(Key(BOOT, "eth0"), Entry.UNDECODED, "not_ip"): 2,
    }
    later = [packets("packets", 25), packets("kernel_dropped", 3), packets("undecoded/not_ip", 2)]
    assert growth.of(later, BOOT) == {
        Line(Key(BOOT, "eth0"), Entry.PACKETS_SEEN): 15,
        Line(Key(BOOT, "eth0"), Entry.KERNEL_DROPPED): 3,
    }
    assert growth.of([Sample("spool", "packets", "eth0", 9)], BOOT) == {}


def test_an_interface_that_was_opened_anew_counts_from_nothing() -> None:
    growth = Growth()
    growth.of([packets("packets", 100)], BOOT)
    assert growth.of([packets("packets", 30)], BOOT) == {Line(Key(BOOT, "eth0"), Entry.PACKETS_SEEN): 30}


def test_counts_become_rows() -> None:
    batch = rows_of(
        {Line(FLOWS, Entry.ROWS_LOST, "disk"): 2, Line(Key(BOOT, "eth0"), Entry.PACKETS_SEEN): 1 << 40}, 1_800_000_000.0
    )
    assert batch is not None
    assert batch.table == "ledger"
    rows = [json.loads(line) for line in json_lines(batch, 0).splitlines()]
    names = ("ledger_boot_id", "ledger_stream", "ledger_entry", "ledger_cause")
    assert [(*(row[name] for name in names), int(row["ledger_count"])) for row in rows] == [
        (BOOT, "eth0", "packets_seen", "", 1 << 40),
        (BOOT, "flows", "rows_lost", "disk", 2),
    ]
    assert batch.first_event == 1_800_000_000_000_000
    assert rows_of({}, 1.0) is None


@settings(deadline=None)
@given(now=st.floats(0, 4e9), interval=st.sampled_from([1.0, 60.0, 300.0, 3600.0]))
def test_intervals_end_at_their_multiples(now: float, interval: float) -> None:
    waits = wait_s(now, interval)
    assert 0 < waits <= interval
    end = now + waits
    assert end / interval == pytest.approx(round(end / interval), abs=1e-6)


def test_it_writes_what_was_counted_and_once_more_at_the_end(tmp_path: Path) -> None:
    written: list[Any] = []
    wrote = threading.Event()
    tally = Tally()
    tally.add(FLOWS, Entry.ROWS_CUT, 5)

    def keep(batch: Any) -> None:
        written.append(batch)
        wrote.set()

    values = [packets("packets", 7)]
    clock = iter([1_800_000_059.99, *[1_800_003_600.0] * 1000])
    config = Config(interval_seconds=60.0)
    balance = Balance(config, tally, lambda: values, lambda: BOOT, keep, lambda: next(clock), StateFile(tmp_path, "b"))
    balance.start()
    assert wrote.wait(20)
    tally.add(FLOWS, Entry.ROWS_CUT, 6)
    values.append(packets("packets", 9, "eth1"))
    balance.stop()
    rows = [[json.loads(line) for line in json_lines(batch, 0).splitlines()] for batch in written]
    assert [[(row["ledger_stream"], int(row["ledger_count"])) for row in some] for some in rows] == [
        [("eth0", 7), ("flows", 5)],
        [("eth1", 9), ("flows", 6)],
    ]
    # The interval that ends with an hour is written as part of it.
    assert written[0].first_event == 1_800_003_599_999_999


def resting(tally: Tally, folder: Path) -> Balance:
    return Balance(Config(), tally, list, lambda: BOOT, lambda batch: None, lambda: 0.0, StateFile(folder, "b"))


def test_what_comes_after_the_last_rows_waits_for_the_next_run(tmp_path: Path) -> None:
    first, second, third = Tally(), Tally(), Tally()
    first.add(FLOWS, Entry.ROWS_ACKNOWLEDGED, 9)
    first.add(FLOWS, Entry.ROWS_LOST, 2, "disk")
    resting(first, tmp_path / "state").leave()
    resting(second, tmp_path / "state").recall()
    assert second.take() == {Line(FLOWS, Entry.ROWS_ACKNOWLEDGED): 9, Line(FLOWS, Entry.ROWS_LOST, "disk"): 2}
    resting(third, tmp_path / "state").recall()  # not twice
    assert third.take() == {}


@pytest.mark.parametrize("lines", ["7", "[[1]]", "[[1, 2, 3, 4, null]]", '[["a", "b", "c", "d", "e"]]', "null"])
def test_a_file_that_holds_something_else_is_counted_and_not_believed(lines: str, tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text(f'{{"lines": {lines}}}')
    tally = Tally()
    balance = resting(tally, tmp_path)
    balance.recall()
    assert tally.take() == {}
    assert balance.counters.get("recall_failures") == 1
    assert file.read_text() == "{}"


def test_a_folder_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    balance = resting(Tally(), tmp_path / "state")
    balance.recall()
    balance.leave()
    assert balance.counters.get("recall_failures") == 1
    assert balance.counters.get("leave_failures") == 1


def test_a_fault_ends_it_not_and_nothing_that_was_counted_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    wrote = threading.Event()
    tally = Tally()
    tally.add(FLOWS, Entry.ROWS_LOST, 5, "disk")
    calls: list[float] = []

    def failing(counts: Any, now: float) -> Any:
        calls.append(now)
        if len(calls) < 3:
            raise MemoryError
        wrote.set()
        return rows_of(counts, now)

    monkeypatch.setattr(balance_module, "rows_of", failing)
    config = Config(interval_seconds=0.01)
    balance = Balance(config, tally, list, lambda: BOOT, written.append, lambda: 0.0, StateFile(tmp_path, "b"))
    balance.start()
    assert wrote.wait(20)
    balance.stop()
    assert balance.counters.get("write_failures") == 2
    assert [int(json.loads(line)["ledger_count"]) for line in json_lines(written[0], 0).splitlines()] == [5]
