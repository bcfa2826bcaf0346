from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Position, Spool
from luytre_agent.spool.classes import LAST
from luytre_common.errors import UserError

Make = Callable[..., Spool]
Told = Callable[[Spool], list[tuple[str, str, int, int]]]


def waiting(spool: Spool, after: Position | None = None) -> list[tuple[str, str, int]]:
    """What waits, without what is told of gaps."""
    found = [one.record for one in spool.pending(after)]
    return [(one.key.boot_id, one.key.stream, one.first) for one in found if one.table != "ledger"]


def files(spool: Spool, pattern: str = "*.seg") -> list[str]:
    return sorted(path.name for path in spool.config.directory.glob(pattern))


def fill(spool: Spool, sealed: Any, count: int, table: str = "flows") -> None:
    for _ in range(count):
        assert spool.append(sealed(table=table), 1.0)


def test_batches_are_numbered_by_stream_and_come_back_in_order(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    for table in ("flows", "dns", "flows"):
        spool.append(sealed(table=table), 1.0)
    boot = spool.boot_id
    assert waiting(spool) == [(boot, "dns", 0), (boot, "flows", 0), (boot, "flows", 3)]
    assert spool.unsettled() == 3
    assert spool.counters.get("rows_appended", "flows") == 6
    assert spool.counters.get("batches_appended", "flows") == 2
    size = sum(len(one.record.batch) for one in spool.pending() if one.record.table == "flows")
    assert spool.counters.get("bytes_appended", "flows") == size


def test_pending_goes_on_where_it_stopped(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(segment_bytes=4096, max_bytes=1 << 20)
    fill(spool, sealed, 60)
    assert len(files(spool)) > 2
    positions = [one.position for one in spool.pending()]
    assert [len(waiting(spool, after)) for after in positions] == list(range(59, -1, -1))
    assert waiting(spool, positions[-1]) == []
    fill(spool, sealed, 1)
    assert len(waiting(spool, positions[-1])) == 1


def test_a_segment_goes_when_all_of_it_is_stored(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(segment_bytes=4096, max_bytes=1 << 20)
    fill(spool, sealed, 40)
    before = files(spool)
    in_first = [one.record for one in spool.pending() if one.position.places[LAST].segment == 0]
    spool.acknowledge(spool.boot_id, "flows", in_first[-1].last - 1)
    assert files(spool) == before
    spool.acknowledge(spool.boot_id, "flows", in_first[-1].last)
    assert files(spool) == before[1:]
    spool.acknowledge(spool.boot_id, "flows", 119)
    assert spool.unsettled() == 0
    assert waiting(spool) == []
    assert spool.counters.get("rows_acknowledged", "flows") == 120
    assert spool.counters.get("batches_acknowledged", "flows") == 40
    spool.close()
    assert files(spool) == []


def test_a_refused_batch_is_not_sent_again_also_after_a_restart(make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool()
    fill(spool, sealed, 3)
    spool.refuse(spool.boot_id, "flows", 3)
    assert [first for _, _, first in waiting(spool)] == [0, 6]
    assert spool.counters.get("rows_refused", "flows") == 3
    spool.close()
    again = make_spool()
    assert [first for _, _, first in waiting(again)] == [0, 6]
    again.acknowledge(again.boot_id, "flows", 8)
    assert waiting(again) == []
    assert told(again) == [("flows", "refused", 3, 5)]
    again.acknowledge(again.boot_id, "ledger", 0)
    assert again.unsettled() == 0


def test_acknowledgements_of_unknown_numberings_change_nothing(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    fill(spool, sealed, 1)
    spool.acknowledge("somebody else's", "flows", 1 << 60)
    spool.acknowledge(spool.boot_id, "dns", 1 << 60)
    spool.refuse(spool.boot_id, "flows", 1)
    assert spool.unsettled() == 1


def test_after_a_clean_close_the_numbering_goes_on(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    fill(spool, sealed, 2)
    boot = spool.boot_id
    spool.acknowledge(boot, "flows", 5)
    spool.close()
    again = make_spool()
    fill(again, sealed, 1)
    assert waiting(again) == [(boot, "flows", 6)]


def test_a_new_kernel_boot_begins_a_new_numbering(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    fill(spool, sealed, 1)
    boot = spool.boot_id
    spool.close()
    again = make_spool("kernel-2")
    fill(again, sealed, 1)
    assert again.boot_id != boot
    assert waiting(again) == [(boot, "flows", 0), (again.boot_id, "flows", 0)]


def test_after_a_crash_a_new_numbering_begins_and_nothing_is_lost(
    make_spool: Make, sealed: Any, crash: Callable[[Spool], Path]
) -> None:
    spool = make_spool()
    fill(spool, sealed, 3)
    spool.acknowledge(spool.boot_id, "flows", 2)
    again = make_spool(directory=crash(spool))
    assert again.boot_id != spool.boot_id
    assert waiting(again) == [(spool.boot_id, "flows", 3), (spool.boot_id, "flows", 6)]
    assert again.counters.get("numberings_begun") == 1


def test_at_the_quota_the_oldest_segment_is_dropped_and_counted(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(max_bytes=1 << 16)
    fill(spool, sealed, 1000)
    kept = waiting(spool)
    assert kept[-1][2] == 2997
    assert kept[0][2] > 0
    assert spool.counters.get("rows_evicted", "flows") == kept[0][2]
    assert spool.counters.get("batches_evicted", "flows") + len(kept) == 1000
    assert spool.unsettled() == len(list(spool.pending()))
    assert sum(path.stat().st_size for path in spool.config.directory.glob("*.seg")) <= 1 << 16


def test_a_batch_larger_than_the_quota_is_dropped_and_counted(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(max_bytes=1 << 16)
    fill(spool, sealed, 1)
    assert not spool.append(sealed(body=b"x" * (1 << 17)), 1.0)
    assert spool.counters.get("rows_lost", "flows/too_large") == 3
    assert spool.counters.get("batches_lost", "flows") == 1
    assert spool.counters.get("append_failures", "too_large") == 1
    fill(spool, sealed, 1)
    assert [first for _, _, first in waiting(spool)] == [0, 3]


def test_every_fsync_policy_keeps_batches(make_spool: Make, sealed: Any, tmp_path: Path) -> None:
    for policy in ("segment", "batch", "never"):
        spool = make_spool(directory=tmp_path / policy, fsync=policy)
        fill(spool, sealed, 2)
        spool.close()
        assert make_spool(directory=tmp_path / policy).unsettled() == 2


def test_two_agents_cannot_share_a_spool(make_spool: Make) -> None:
    make_spool()
    with pytest.raises(UserError, match="another agent"):
        make_spool()


def test_a_folder_that_cannot_be_made_is_a_clear_error(make_spool: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory; the agent must be able to write"):
        make_spool(directory=tmp_path / "file" / "spool")


def test_damage_while_running_costs_the_damaged_batch_only(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    fill(spool, sealed, 5)
    third = [one.record for one in spool.pending()][2]
    path = next(spool.config.directory.glob("*.seg"))
    data = bytearray(path.read_bytes())
    data[third.offset + 60] ^= 1
    path.write_bytes(data)
    assert [first for _, _, first in waiting(spool)] == [0, 3, 9, 12]
    assert spool.counters.get("rows_unreadable", "flows") == 3
    assert spool.counters.get("segments_unreadable") == 1
    assert spool.unsettled() == 4
    assert files(spool, "*.corrupt") == [path.with_suffix(".corrupt").name]
    fill(spool, sealed, 1)
    assert [first for _, _, first in waiting(spool)] == [0, 3, 9, 12, 15]


def test_segments_that_somebody_removed_are_counted(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    fill(spool, sealed, 2)
    next(spool.config.directory.glob("*.seg")).unlink()
    assert waiting(spool) == []
    assert spool.counters.get("rows_unreadable", "flows") == 6
    assert spool.unsettled() == 0
    fill(spool, sealed, 1)
    assert [first for _, _, first in waiting(spool)] == [6]


def test_a_ledger_that_cannot_be_written_is_counted_and_the_rest_goes_on(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    fill(spool, sealed, 2)
    (spool.config.directory / "ledger.new").mkdir()
    spool.acknowledge(spool.boot_id, "flows", 2)
    assert spool.counters.get("ledger_failures", "EISDIR") == 1
    (spool.config.directory / "ledger.new").rmdir()
    fill(spool, sealed, 1)
    spool.close()
    assert [first for _, _, first in waiting(make_spool())] == [3, 6]


def test_a_disk_that_does_not_sync_is_counted(make_spool: Make, sealed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "disk gone")

    spool = make_spool()
    fill(spool, sealed, 1)
    monkeypatch.setattr(os, "fdatasync", broken)
    spool.close()
    assert spool.counters.get("sync_failures", "EIO") == 1
    batch = make_spool(fsync="batch")
    assert not batch.append(sealed(), 1.0)
    assert batch.counters.get("append_failures", "EIO") == 1


def test_gauges(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    fill(spool, sealed, 2)
    values = {one.name: one.value for one in spool.samples()}
    assert values["segments"] == 1
    assert values["batches_waiting"] == 2
    assert values["bytes"] == next(spool.config.directory.glob("*.seg")).stat().st_size


def test_how_it_is_can_be_told_while_the_disk_keeps_somebody_waiting(
    make_spool: Make, sealed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make_spool()
    fill(spool, sealed, 2)
    size = next(spool.config.directory.glob("*.seg")).stat().st_size
    begun, go, told = threading.Event(), threading.Event(), []
    write = os.write

    def stalled(fd: int, data: bytes) -> int:
        begun.set()
        assert go.wait(30)
        return write(fd, data)

    monkeypatch.setattr(os, "write", stalled)
    appending = threading.Thread(target=fill, args=(spool, sealed, 1))
    appending.start()
    try:
        assert begun.wait(30)

        def ask() -> None:
            gauges = {one.name: one.value for one in spool.samples()}
            told.append((spool.unsettled(), spool.disk_bytes, spool.oldest_us(), gauges["batches_waiting"]))

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(10)
        assert told == [(2, size, 1_000_000, 2)]
    finally:
        go.set()
        appending.join()
    assert spool.unsettled() == 3


def test_many_threads(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(segment_bytes=8192, max_bytes=1 << 22)
    writers = [threading.Thread(target=fill, args=(spool, sealed, 100, table)) for table in ("flows", "dns", "tls")]
    seen: list[tuple[str, int]] = []

    def read() -> None:
        while len(seen) < 300 and spool.wait(lambda: spool.unsettled() > 0, 20):
            for stored in spool.pending():
                seen.append((stored.record.key.stream, stored.record.first))
                spool.acknowledge(spool.boot_id, stored.record.key.stream, stored.record.last)

    reader = threading.Thread(target=read)
    for thread in [*writers, reader]:
        thread.start()
    for thread in [*writers, reader]:
        thread.join()
    for table in ("flows", "dns", "tls"):
        assert [first for stream, first in seen if stream == table] == list(range(0, 300, 3))
    assert spool.unsettled() == 0


FULL_DISK = """
import logging, resource, sys
from dataclasses import dataclass
from pathlib import Path
from luytre_agent.spool import Config, Spool
@dataclass
class Sealed:
    table: str = "flows"
    rows: int = 3
    body: bytes = b""
spool = Spool(Config(directory=Path(sys.argv[1])), lambda sealed, key, first, now, link: b"x" * 5000, lambda: 1.0, "k")
spool.open()
kept = [spool.append(Sealed(), 1.0) for _ in range(5)]
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
kept += [spool.append(Sealed(), 1.0) for _ in range(3)]
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kept += [spool.append(Sealed(), 1.0) for _ in range(2)]
lost = spool.counters.get("rows_lost", "flows/disk")
print(*map(int, kept), [stored.record.first for stored in spool.pending()], lost,
      spool.counters.get("append_failures", "EFBIG"), sep="|")
"""


def test_when_the_disk_takes_no_more_rows_are_dropped_counted_and_it_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "spool")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1|1|1|1|1|0|0|0|1|1|[0, 3, 6, 9, 12, 15, 18]|9|3"
    assert "batch not kept ([Errno 27] File too large), 3 rows of flows lost" in run.stderr


@pytest.mark.root
def test_a_full_file_system(tmp_path: Path, make_spool: Make, sealed: Any) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        spool = make_spool(directory=small / "spool", max_bytes=1 << 30)
        kept = [spool.append(sealed(body=b"x" * 10_000), 1.0) for _ in range(50)]
        assert kept[0]
        assert not kept[-1]
        assert spool.counters.get("append_failures", "ENOSPC") == kept.count(False)
        assert len(waiting(spool)) == kept.count(True)
        spool.acknowledge(spool.boot_id, "flows", 3 * kept.count(True) - 1)
        assert spool.append(sealed(), 1.0)
        spool.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
