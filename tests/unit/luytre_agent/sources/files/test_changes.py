"""What happens to files, as rows."""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path

import pytest

from tests.support.watched import Watch, sha256


def test_every_action(watch: Watch, folder: Path, rung: str) -> None:
    file, other = folder / "a", folder / "b"
    file.write_bytes(b"one")
    row = watch.one("created", file)
    assert (row["event_source"], row["file_type"], row["file_size"]) == (rung, "file", 3)
    assert (row["file_hash_sha256"], row["file_previous_hash_sha256"]) == (sha256(b"one"), "")
    file.write_bytes(b"two!")
    row = watch.one("modified", file)
    assert (row["file_hash_sha256"], row["file_previous_hash_sha256"]) == (sha256(b"two!"), sha256(b"one"))
    file.chmod(0o4711)
    row = watch.one("attributes", file)
    assert (row["file_mode"], row["file_previous_mode"]) == ("4711", "0644")
    assert row["file_owner"] == pwd.getpwuid(os.getuid()).pw_name
    file.rename(other)
    row = watch.one("moved", other)
    assert (row["file_previous_path"], row["file_hash_sha256"]) == (str(file), sha256(b"two!"))
    other.unlink()
    row = watch.one("deleted", other)
    assert (row["file_hash_sha256"], row["file_previous_hash_sha256"]) == ("", sha256(b"two!"))
    assert row["file_inode"] > 0
    assert len(watch.close()) == 5
    assert watch.count("rows") == 5
    assert watch.count("events") >= 5
    assert watch.count("files_known") == 1  # the folder


def test_many_writes_are_one_row(folder: Path, rung: str) -> None:
    watch = Watch(folder, rung, fold_seconds=0.3)
    for number in range(50):
        (folder / "log").write_text(str(number))
        watch.take(watch.source.poll(0.0))
    row = watch.one("created", folder / "log")
    assert row["file_hash_sha256"] == sha256(b"49")
    assert len(watch.close()) == 1
    assert watch.count("folded") >= 20


def test_a_write_that_changes_nothing_is_no_row(folder: Path, rung: str) -> None:
    (folder / "a").write_text("same")
    time.sleep(0.02)  # the kernel's clock of files has ticks
    watch = Watch(folder, rung)
    (folder / "a").open("a").close()
    while not watch.count("unchanged"):
        watch.take(watch.source.poll(0.1))
    assert watch.close() == []
    assert watch.count("unchanged") == 1


def test_directories_that_come_later_are_watched(watch: Watch, folder: Path) -> None:
    deep = folder / "a/b/c"
    deep.mkdir(parents=True)
    (deep / "early").write_text("1")
    watch.one("created", deep / "early")
    (deep / "late").write_text("2")
    watch.one("created", deep / "late")
    assert watch.count("directories_watched") == len(folder.parents) + 4


def test_a_directory_moved_in_along_and_out(watch: Watch, folder: Path, tmp_path: Path, rung: str) -> None:
    outside = tmp_path / "far/outside"
    outside.mkdir(parents=True)
    (outside / "file").write_text("1")
    outside.rename(folder / "in")
    assert watch.one("moved", folder / "in")["file_previous_path"] == ""
    assert watch.one("created", folder / "in/file")["event_source"] == "scan"
    (folder / "in").rename(folder / "on")
    (folder / "on/file").write_text("2")
    assert watch.one("moved", folder / "on")["file_previous_path"] == str(folder / "in")
    row = watch.one("modified", folder / "on/file")
    assert (row["file_previous_hash_sha256"], row["file_hash_sha256"]) == (sha256(b"1"), sha256(b"2"))
    (folder / "on").rename(outside)
    assert watch.one("deleted", folder / "on")["file_type"] == "dir"
    (outside / "file").write_text("nobody's business")
    watch.take(watch.source.poll(0.2))
    assert [row["event_action"] for row in watch.close()] == ["moved", "created", "moved", "modified", "deleted"]
    assert watch.count("files_known") == 1  # the folder
    assert watch.count("directories_watched") == len(folder.parents) + 1


def test_a_place_that_is_not_there_yet(tmp_path: Path, rung: str) -> None:
    place = tmp_path / "later/and/deeper"
    watch = Watch(place, rung)
    place.parent.mkdir(parents=True)
    watch.take(watch.source.poll(0.1))
    (place.parent / "other").write_text("not ours")
    place.write_text("ours")
    watch.one("created", place)
    place.unlink()
    (place.parent / "other").unlink()
    place.parent.rmdir()
    watch.one("deleted", place)
    place.mkdir(parents=True)
    (place / "x").write_text("again")
    watch.one("created", place / "x")
    assert not [row for row in watch.close() if "other" in row["file_path"]]
    assert watch.count("events_ignored") >= 1


def test_a_file_replaced_by_a_move_tells_both_contents(watch: Watch, folder: Path) -> None:
    (folder / "keys").write_text("old")
    watch.one("created", folder / "keys")
    (folder / "keys.new").write_text("new")
    (folder / "keys.new").rename(folder / "keys")
    row = watch.one("moved", folder / "keys")
    assert (row["file_previous_hash_sha256"], row["file_hash_sha256"]) == (sha256(b"old"), sha256(b"new"))


def test_links_and_pipes_are_told_but_not_opened(watch: Watch, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outside")
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    assert watch.one("created", folder / "link")["file_type"] == "symlink"
    row = watch.one("created", folder / "pipe")
    assert (row["file_type"], row["file_hash_sha256"]) == ("fifo", "")
    assert "not_regular" in row["file_oddities"]
    with pytest.raises(OSError, match="No such device"):  # ENXIO: nobody reads it
        os.open(folder / "pipe", os.O_WRONLY | os.O_NONBLOCK)
    assert sha256(b"outside") not in str(watch.close())


def test_a_directory_swapped_for_a_link_is_not_followed(watch: Watch, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "far"
    outside.mkdir()
    (outside / "file").write_text("outside")
    (folder / "sub").mkdir()
    (folder / "sub/file").write_text("inside")
    watch.one("created", folder / "sub/file")
    (folder / "sub/file").write_text("inside again")
    (folder / "sub").rename(tmp_path / "gone")
    (folder / "sub").symlink_to(outside)
    watch.until(lambda rows: [row for row in rows if row["file_type"] == "symlink"])
    assert sha256(b"outside") not in str(watch.close())


def test_large_files_are_not_hashed(folder: Path, rung: str) -> None:
    watch = Watch(folder, rung, hash_bytes=1000)
    (folder / "big").write_bytes(b"x" * 1001)
    row = watch.one("created", folder / "big")
    watch.close()
    assert (row["file_hash_sha256"], row["file_size"]) == ("", 1001)
    assert "too_large" in row["file_oddities"]


def test_the_first_look_gives_rows_only_if_wanted(folder: Path, rung: str) -> None:
    (folder / "a").write_text("x")
    quiet, loud = Watch(folder, rung), Watch(folder, rung, report_seen=True)
    assert quiet.close() == []
    assert quiet.count("files_known") == 2
    rows = loud.close()
    assert [(row["event_action"], row["event_source"]) for row in rows] == [("seen", "scan")] * 2
    assert {row["file_path"] for row in rows} == {str(folder), str(folder / "a")}


def test_what_is_left_out(folder: Path, rung: str) -> None:
    watch = Watch(folder, rung, exclude=[str(folder / "cache")])
    (folder / "cache").mkdir()
    (folder / "cache/x").write_text("x")
    (folder / "kept").write_text("x")
    watch.one("created", folder / "kept")
    assert len(watch.close()) == 1


@pytest.mark.root
def test_names_that_are_not_text(folder: Path, rung: str) -> None:
    watch = Watch(folder, rung)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\n")).write_text("x")
    watch.one("created", f"{folder}/\ufffd\n")
    watch.close()
