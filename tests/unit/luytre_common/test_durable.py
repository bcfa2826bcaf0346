"""A folder is synced, whatever it is called by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from luytre_common.durable import sync_directory


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
