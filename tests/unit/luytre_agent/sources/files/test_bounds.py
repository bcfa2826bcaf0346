"""What memory and the kernel's queue hold, and what becomes of the rest."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.watched import Watch, sha256


def test_memory_is_bounded(folder: Path, rung: str) -> None:
    watch = Watch(folder, rung, max_files=3, max_directories=len(folder.parents) + 2)
    for number in range(5):
        (folder / f"{number}").mkdir()
        (folder / f"{number}/file").write_text("x")
    watch.until(lambda rows: len(rows) >= 5)
    watch.close()
    assert watch.count("files_known") == 3
    assert watch.count("files_refused") >= 2
    assert watch.count("directories_watched") == len(folder.parents) + 2
    assert watch.count("directories_refused") >= 1


def test_what_the_kernel_dropped_is_found_again(folder: Path, rung: str) -> None:
    known, gone = folder / "known", folder / "gone"
    known.write_text("before")
    gone.write_text("x")
    watch = Watch(folder, rung, max_files=100_000)
    queue = int(Path(f"/proc/sys/fs/{rung}/max_queued_events").read_text())
    for number in range(queue + 100):  # fanotify folds the events of one name
        path = f"{folder}/{number}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        Path(path).unlink()
    known.write_text("after")
    gone.unlink()
    row = watch.one("modified", known)
    assert (row["event_source"], row["file_previous_hash_sha256"]) == ("scan", sha256(b"before"))
    assert row["file_oddities"] == "rescan process_unknown"
    assert watch.one("deleted", gone)["event_source"] == "scan"
    watch.close()
    assert watch.counters()["queue_overflows", rung] >= 1
    assert watch.count("rescans") >= 1
