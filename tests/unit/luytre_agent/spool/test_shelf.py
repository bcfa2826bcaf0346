"""What goes when there is no room: by class and age, on the quota and on a disk that is full."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from luytre_agent.spool import Spool

Make = Callable[..., Spool]
Told = Callable[[Spool], list[tuple[str, str, int, int]]]


def firsts(spool: Spool, table: str) -> list[int]:
    return [one.record.first for one in spool.pending() if one.record.table == table]


def put(spool: Spool, sealed: Any, table: str, count: int, now: float = 1000.0) -> int:
    return sum(spool.append(sealed(table=table), now) for _ in range(count))


def used(spool: Spool) -> int:
    return sum(path.stat().st_size for path in spool.config.directory.glob("*.seg"))


def test_a_segment_holds_one_class(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    for table in ("flows", "logins", "dns", "processes", "flows", "tls"):
        put(spool, sealed, table, 1)
    assert [one.record.table for one in spool.pending()] == ["logins", "processes", "dns", "tls", "flows", "flows"]
    assert len(list(spool.config.directory.glob("*.seg"))) == 3
    values = {(one.name, one.label): one.value for one in spool.samples()}
    assert values["class_bytes", "first"] > values["class_bytes", "last"] > 0
    spool.close()
    again = make_spool()
    assert [one.record.table for one in again.pending()] == ["logins", "processes", "dns", "tls", "flows", "flows"]


def test_the_newest_flow_goes_before_the_oldest_login(make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool(max_bytes=1 << 16)
    assert put(spool, sealed, "logins", 60) == 60
    assert put(spool, sealed, "flows", 400) == 400
    assert firsts(spool, "logins") == list(range(0, 180, 3))
    kept = firsts(spool, "flows")
    assert kept[-1] == 1197
    assert kept[0] > 0
    assert put(spool, sealed, "logins", 160) == 160
    assert firsts(spool, "logins") == list(range(0, 660, 3))
    assert spool.counters.get("rows_evicted", "logins") == 0
    left = firsts(spool, "flows")
    assert left == kept[len(kept) - len(left) :]
    assert spool.counters.get("rows_evicted", "flows") == 1200 - 3 * len(left)
    assert used(spool) <= 1 << 16
    spool.close()
    again = make_spool(max_bytes=1 << 16)
    assert [one for one in told(again) if one[0] == "flows"][-1][3] == left[0] - 1 if left else 1199


def test_middle_classes_go_before_higher_ones(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(max_bytes=1 << 16)
    for table in ("logins", "dns", "flows"):
        put(spool, sealed, table, 80)
    put(spool, sealed, "logins", 130)
    assert not firsts(spool, "flows")
    assert spool.counters.get("rows_evicted", "flows") == 240
    assert 0 < len(firsts(spool, "dns")) < 80
    assert len(firsts(spool, "logins")) == 210


def test_where_only_higher_classes_wait_new_rows_are_lost_and_counted(make_spool: Make, sealed: Any) -> None:
    heard: list[tuple[str, str, int, str]] = []
    spool = make_spool(
        max_bytes=1 << 16, tally=lambda key, entry, rows, cause: heard.append((key.stream, entry, rows, cause))
    )
    while used(spool) < (1 << 16) - 300:
        put(spool, sealed, "logins", 1)
    before = firsts(spool, "logins")
    assert put(spool, sealed, "flows", 20) == 0
    assert firsts(spool, "logins") == before
    lost = spool.counters.get("rows_lost", "flows/quota")
    assert lost == 60
    assert spool.counters.get("batches_lost", "flows") == 20

    def rows(table: str, entry: str, cause: str = "") -> int:
        return sum(one[2] for one in heard if (one[0], one[1], one[3]) == (table, entry, cause))

    assert rows("flows", "rows_lost", "quota") == lost
    assert rows("flows", "rows_spooled") == 0
    assert rows("logins", "rows_spooled") == 3 * len(before)
    spool.acknowledge(spool.boot_id, "logins", before[-1] + 2)
    assert spool.counters.get("rows_acknowledged", "logins") == 3 * len(before)
    assert put(spool, sealed, "flows", 10) == 10


def test_what_nobody_waits_for_goes_before_anything_is_lost(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(max_bytes=1 << 16)
    put(spool, sealed, "logins", 100)
    spool.acknowledge(spool.boot_id, "logins", 299)
    put(spool, sealed, "flows", 230)
    assert spool.counters.get("rows_evicted", "flows") == 0
    assert spool.unsettled() == 230


def test_what_is_too_old_goes(make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool(max_age_hours=1.0)
    put(spool, sealed, "flows", 2, now=1000.0)
    put(spool, sealed, "logins", 1, now=1000.0)
    put(spool, sealed, "flows", 1, now=2000.0)  # closes what is older than an eighth of the age
    put(spool, sealed, "flows", 1, now=4500.0)
    assert firsts(spool, "flows") == [0, 3, 6, 9]
    put(spool, sealed, "flows", 1, now=4700.0)
    assert firsts(spool, "flows") == [6, 9, 12]
    assert firsts(spool, "logins") == []
    assert spool.counters.get("rows_expired", "flows") == 6
    assert spool.counters.get("batches_expired", "logins") == 1
    put(spool, sealed, "flows", 1, now=4711.0)
    assert sorted(told(spool)) == [("flows", "age", 0, 5), ("logins", "age", 0, 2)]


def test_without_a_limit_nothing_is_too_old(make_spool: Make, sealed: Any) -> None:
    spool = make_spool()
    put(spool, sealed, "flows", 1, now=0.0)
    put(spool, sealed, "flows", 1, now=1e9)
    assert firsts(spool, "flows") == [0, 3]


def test_what_cannot_be_deleted_is_deleted_later(make_spool: Make, sealed: Any) -> None:
    spool = make_spool(segment_bytes=4096, max_bytes=1 << 20)
    put(spool, sealed, "flows", 30)
    oldest = min(spool.config.directory.glob("*.seg"))
    oldest.unlink()
    oldest.mkdir()
    before = {one.name: one.value for one in spool.samples()}["bytes"]
    spool.acknowledge(spool.boot_id, "flows", 59)
    assert spool.counters.get("removal_failures", "EISDIR") == 1
    assert spool.unsettled() == 10
    assert {one.name: one.value for one in spool.samples()}["bytes"] == before
    oldest.rmdir()
    put(spool, sealed, "flows", 30)
    bytes_now = {one.name: one.value for one in spool.samples()}["bytes"]
    assert bytes_now == used(spool)


@pytest.mark.root
def test_at_the_quota_nothing_is_given_up_on_a_disk_that_takes_nothing(
    small_disk: Path, make_spool: Make, sealed: Any
) -> None:
    first = make_spool(directory=small_disk / "spool", max_bytes=1 << 16)
    put(first, sealed, "flows", 280)
    first.close()
    spool = make_spool(directory=small_disk / "spool", max_bytes=1 << 16, max_age_hours=0.001)
    waiting = firsts(spool, "flows")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert put(spool, sealed, "logins", 20, now=9000.0) == 0
    assert firsts(spool, "flows") == waiting
    assert spool.counters.get("rows_evicted", "flows") == spool.counters.get("rows_expired", "flows") == 0
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert put(spool, sealed, "logins", 20, now=9000.0) == 20
    spool.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of 256 KiB."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    yield small
    subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.mark.root
def test_on_a_full_disk_flows_give_way_to_logins(small_disk: Path, make_spool: Make, sealed: Any, told: Told) -> None:
    spool = make_spool(directory=small_disk / "spool", segment_bytes=32 << 10)
    large = sealed(body=b"x" * 10_000)
    flows = sum(spool.append(large, 1000.0) for _ in range(40))
    assert 0 < flows < 40
    assert spool.counters.get("append_failures", "ENOSPC") == 40 - flows
    assert spool.counters.get("rows_lost", "flows/disk") == 3 * (40 - flows)
    assert put(spool, sealed, "logins", 100) == 100
    assert len(firsts(spool, "logins")) == 100
    gone = spool.counters.get("batches_evicted", "flows")
    assert gone > 0
    assert len(firsts(spool, "flows")) == flows - gone
    spool.close()
    again = make_spool(directory=small_disk / "spool")
    assert ("flows", "disk", 0, 3 * gone - 1) in told(again)
    again.close()


@pytest.mark.root
def test_on_a_full_disk_what_goes_is_written_down_before_a_kill(
    small_disk: Path, make_spool: Make, sealed: Any, told: Told, crash: Callable[[Spool], Path]
) -> None:
    spool = make_spool(directory=small_disk / "spool", segment_bytes=32 << 10)
    large = sealed(body=b"x" * 10_000)
    filler = small_disk / "somebody's"
    put(spool, sealed, "logins", 1)
    spool.append(large, 1000.0)
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], stderr=subprocess.DEVNULL, check=False)
    while spool.append(large, 1000.0):
        pass
    kept = spool.counters.get("batches_appended", "flows")
    while not spool.counters.get("batches_evicted", "flows"):
        put(spool, sealed, "logins", 20)
    again = make_spool(directory=crash(spool))
    gaps = [one for one in told(again) if one[0] == "flows"]
    left = firsts(again, "flows")
    assert sum(last - first + 1 for _, _, first, last in gaps) == 3 * (kept - len(left)) > 0


@pytest.mark.root
@pytest.mark.parametrize("spare", [True, False])
def test_a_disk_that_others_have_filled(spare: bool, small_disk: Path, make_spool: Make, sealed: Any) -> None:
    """Opened on a full disk: the agent starts, loses what it cannot keep, counts it, and goes on when there is room."""
    spool = make_spool(directory=small_disk / "spool")
    put(spool, sealed, "flows", 2)
    boot = spool.boot_id
    spool.close()
    if not spare:
        (small_disk / "spool/spare").unlink()
    filler = small_disk / "somebody's"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], stderr=subprocess.DEVNULL, check=False)
    again = make_spool(directory=small_disk / "spool")
    if not spare:
        assert again.boot_id != boot, "the file says that the old numbering ended cleanly: it must not go on"
        assert again.counters.get("ledger_failures", "ENOSPC") > 0
    assert not again.append(sealed(body=b"x" * 100_000), 1000.0)
    filler.unlink()
    assert again.append(sealed(), 1000.0)
    assert firsts(again, "flows") == [0, 3, 6 if spare else 0]
    again.close()
    assert firsts(make_spool(directory=small_disk / "spool"), "flows") == [0, 3, 6 if spare else 0]


@pytest.mark.root
def test_a_folder_that_is_read_only_for_a_while(small_disk: Path, make_spool: Make, sealed: Any) -> None:
    first = make_spool(directory=small_disk / "spool")
    put(first, sealed, "flows", 2)
    first.close()
    spool = make_spool(directory=small_disk / "spool")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert put(spool, sealed, "flows", 5) == 0
    assert spool.counters.get("append_failures", "EROFS") == 5
    assert spool.counters.get("rows_lost", "flows/disk") == 15
    spool.acknowledge(spool.boot_id, "flows", 5)
    assert spool.unsettled() == 0
    assert spool.counters.get("ledger_failures", "EROFS") > 0
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert put(spool, sealed, "flows", 5) == 5
    assert firsts(spool, "flows") == [6, 9, 12, 15, 18]
    spool.close()
    again = make_spool(directory=small_disk / "spool")
    assert firsts(again, "flows") == [6, 9, 12, 15, 18]
    assert len(list((small_disk / "spool").glob("*.seg"))) == 1


@pytest.fixture
def mortal_disk(tmp_path: Path) -> Any:
    """An ext4 file system that can be made to fail: `die(root)`, and to come back as after a reboot: `revive()`."""
    image, root = tmp_path / "image", tmp_path / "disk"
    root.mkdir()
    image.write_bytes(bytes(8 << 20))
    made = subprocess.run(["mkfs.ext4", "-q", str(image)], capture_output=True, text=True, check=False)
    mount = ["mount", "-o", "loop", str(image), str(root)]
    if made.returncode or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no loop device or no ext4 here")
    yield root, lambda: subprocess.run(["umount", str(root)], check=True) and subprocess.run(mount, check=True)
    subprocess.run(["umount", "-l", str(root)], check=True)


def die(root: Path) -> None:
    """Every later write fails with EIO (EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_LOGFLUSH, linux/ext4.h)."""
    fd = os.open(root, os.O_RDONLY)
    fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 1))
    os.close(fd)


@pytest.mark.root
def test_a_disk_that_fails(mortal_disk: Any, make_spool: Make, sealed: Any) -> None:
    root, revive = mortal_disk
    spool = make_spool(directory=root / "spool", fsync="batch", segment_bytes=4096)
    assert put(spool, sealed, "flows", 40) == 40
    assert put(spool, sealed, "logins", 5) == 5
    spool.acknowledge(spool.boot_id, "flows", 5)
    boot = spool.boot_id
    die(root)
    assert put(spool, sealed, "flows", 3) == 0
    assert spool.counters.get("append_failures", "EIO") == 3
    list(spool.pending())
    spool.acknowledge(spool.boot_id, "logins", 14)
    spool.refuse(spool.boot_id, "flows", 6)
    spool.close()
    assert spool.counters.get("ledger_failures", "EIO") > 0
    revive()
    again = make_spool(directory=root / "spool")
    assert firsts(again, "flows") == list(range(6, 120, 3))
    assert firsts(again, "logins") == list(range(0, 15, 3)), "sent again: that they were stored could not be kept"
    assert again.boot_id != boot
    assert put(again, sealed, "flows", 1) == 1
    again.close()


@pytest.mark.root
def test_a_disk_that_errors_have_made_read_only(mortal_disk: Any, make_spool: Make, sealed: Any) -> None:
    """As the kernel does it, with files open for writing, by errors=remount-ro."""
    root, revive = mortal_disk
    subprocess.run(["mount", "-o", "remount,errors=remount-ro", str(root)], check=True)
    spool = make_spool(directory=root / "spool", fsync="batch")
    assert put(spool, sealed, "flows", 10) == 10
    found = subprocess.run(["findmnt", "-no", "SOURCE", str(root)], capture_output=True, text=True, check=True)
    trigger = Path("/sys/fs/ext4") / Path(found.stdout.strip()).name / "trigger_fs_error"
    if not trigger.exists():
        pytest.skip("this kernel cannot be asked for an error of ext4")
    trigger.write_text("a test")
    assert put(spool, sealed, "flows", 3) == 0
    assert spool.counters.get("append_failures", "EROFS") == 3
    assert firsts(spool, "flows") == list(range(0, 30, 3)), "what is there can be read and sent"
    spool.acknowledge(spool.boot_id, "flows", 29)
    assert spool.unsettled() == 0
    spool.close()
    revive()
    again = make_spool(directory=root / "spool")
    assert firsts(again, "flows") == list(range(0, 30, 3))
    again.close()
