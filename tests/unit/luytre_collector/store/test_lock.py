"""One process per folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from luytre_collector.store.lock import NAME, FolderInUseError, FolderLock
from luytre_common.errors import UserError

HOLD = """
import sys, time
from pathlib import Path
from luytre_collector.store.lock import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(FolderInUseError, match=f"in use by the process with pid {os.getpid()}; stop it") as refused:
        second.acquire()
    assert refused.value.pid == os.getpid()
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "held\n"
        lock = FolderLock(tmp_path)
        with pytest.raises(FolderInUseError) as refused:
            lock.acquire()
        assert refused.value.pid == child.pid
        child.send_signal(signal.SIGKILL)
        child.wait()
    lock.acquire()
    assert (tmp_path / NAME).read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_lock_file_with_nonsense_has_no_pid(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    first.acquire()
    (tmp_path / NAME).write_text("nonsense")
    with pytest.raises(FolderInUseError, match="another process"):
        FolderLock(tmp_path).acquire()
    first.release()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        FolderLock(tmp_path / "gone").acquire()
