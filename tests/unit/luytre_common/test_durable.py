"""Names and contents are on the disk, or as before."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from luytre_common.durable import replace_file, sync_directory


def test_the_folder_itself_is_synced_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def note(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        sync(fd)

    monkeypatch.setattr(os, "fsync", note)
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    sync_directory(tmp_path)
    assert synced == [str(tmp_path)]
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "none"):
        with pytest.raises(OSError, match=name):
            sync_directory(tmp_path / name)


def test_a_file_is_replaced_whole_and_is_on_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    path.chmod(0o644)
    seen: list[tuple[str, str]] = []
    sync = os.fsync

    def note(fd: int) -> None:
        seen.append((Path(f"/proc/self/fd/{fd}").readlink().name, path.read_text()))
        sync(fd)

    monkeypatch.setattr(os, "fsync", note)
    (tmp_path / "state.new").write_text("what a crash has left, longer than the rest")
    (tmp_path / "state.new").chmod(0o666)
    replace_file(path, b"new")
    assert seen == [("state.new", "old"), (tmp_path.name, "new")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def test_a_file_that_cannot_be_replaced_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    path.write_text("old")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="full"):
            replace_file(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["state"]
    (tmp_path / "state.new").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link"):
        replace_file(path, b"new")
    assert path.read_text() == "old"
    assert not (tmp_path / "victim").exists()
