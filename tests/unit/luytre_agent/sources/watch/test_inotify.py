from __future__ import annotations

import os
from pathlib import Path

import pytest
from luytre_agent.sources.watch.hint import Did, Hint
from luytre_agent.sources.watch.inotify import Inotify
from luytre_agent.sources.watch.safe import open_folder


def watching(*folders: Path) -> Inotify:
    made = Inotify()
    for folder in folders:
        fd = open_folder(str(folder))
        made.add(str(folder), fd)
        os.close(fd)
    return made


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made = (tmp_path / "a", tmp_path / "b")
    for folder in made:
        folder.mkdir()
    return made


def test_moves_between_in_and_out(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = folders
    inotify = watching(first, second)
    (tmp_path / "x").touch()
    (tmp_path / "x").rename(first / "x")
    assert inotify.read() == [Hint(Did.MOVE, f"{first}/x", "")]
    (first / "x").rename(second / "y")
    assert inotify.read() == [Hint(Did.MOVE, f"{second}/y", f"{first}/x")]
    (second / "y").rename(tmp_path / "z")
    assert inotify.read() == [Hint(Did.MOVE, "", f"{second}/y")]
    assert inotify.read() == []
    inotify.close()


def test_a_directory_that_goes_is_watched_no_more(folders: tuple[Path, Path]) -> None:
    first, second = folders
    inotify = watching(first, second)
    first.rmdir()
    inotify.read()
    assert (inotify.watched(), inotify.knows(str(first)), inotify.knows(str(second))) == (1, False, True)
    inotify.forget(str(second))
    (second / "x").touch()
    assert inotify.read() == []
    inotify.close()
