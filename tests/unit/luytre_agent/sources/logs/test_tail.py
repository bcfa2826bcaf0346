from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

from luytre_agent.sources.logs.split import Lines, Records
from luytre_agent.sources.logs.tail import Tail
from luytre_common.telemetry import Counters


class Reader:
    def __init__(self, path: Path, saved: Any = None, **settings: Any) -> None:
        self.now = 0.0
        self.counters = Counters("x")
        self.tail = Tail(path, settings.pop("split", Lines), self.counters, lambda: self.now, **settings)
        self.tail.open(saved)

    def read(self) -> list[str]:
        return [item.decode() for item in self.tail.read(1 << 24)]

    def count(self, name: str) -> int:
        return self.counters.get(name, "auth.log")


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_first_start_reads_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    append(path, "old\nhalf")
    reader = Reader(path)
    append(path, " whole\nnew\n")
    assert reader.read() == ["half whole", "new"]
    assert Reader(path, from_beginning=True).read() == ["old", "half whole", "new"]
    reader.tail.close()


def test_the_writer_that_has_not_noticed(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.touch()
    reader = Reader(path)
    writer = path.open("a")
    writer.write("one\n")
    writer.flush()
    path.rename(tmp_path / "auth.log.1")
    append(path, "two\n")
    assert reader.read() == ["one", "two"]
    writer.write("three\nunfinished")
    writer.close()
    assert reader.read() == ["three"]
    assert reader.count("rotations") == 1
    reader.now = 100.0
    assert reader.read() == ["unfinished"]
    assert reader.count("unterminated") == 1
    reader.tail.close()


def test_truncation_with_a_copy_and_without(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.touch()
    reader = Reader(path)
    append(path, "one\n")
    assert reader.read() == ["one"]
    append(path, "two\n")
    shutil.copyfile(path, tmp_path / "auth.log.1")
    os.truncate(path, 0)
    append(path, "three, longer than what was there\n")
    assert reader.read() == ["two", "three, longer than what was there"]
    assert (reader.count("truncations"), reader.count("truncations_without_copy")) == (1, 0)
    os.truncate(path, 0)
    append(path, "four\n")
    assert reader.read() == ["four"]
    assert (reader.count("truncations"), reader.count("truncations_without_copy")) == (2, 1)
    reader.tail.close()


def test_compressed_while_we_were_away_and_damaged(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.touch()
    reader = Reader(path)
    append(path, "one\n")
    assert reader.read() == ["one"]
    saved = reader.tail.state()
    reader.tail.close()
    append(path, "two\n")
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    path.write_text("three\n")
    (tmp_path / "auth.log.1.gz").write_bytes(packed)
    again = Reader(path, saved)
    assert again.read() == ["two", "three"]
    again.tail.close()
    (tmp_path / "auth.log.1.gz").write_bytes(packed[:-12])
    broken = Reader(path, saved)
    assert broken.read()[-1] == "three"
    assert broken.count("rotated_unreadable") + broken.count("rotated_missing") >= 1
    broken.tail.close()
    (tmp_path / "auth.log.1.gz").unlink()
    gone = Reader(path, saved)
    assert gone.read() == ["three"]
    # A new file may get the inode of a deleted one: then it looks cut off.
    assert gone.count("rotated_missing") + gone.count("truncations_without_copy") == 1
    gone.tail.close()


def test_rewritten_by_an_editor(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.touch()
    reader = Reader(path)
    append(path, "one\ntwo\n")
    assert reader.read() == ["one", "two"]
    (tmp_path / "copy").write_text("one\ntwo\nthree\n")
    (tmp_path / "copy").rename(path)
    assert reader.read() == ["three"]
    reader.tail.close()


def test_records_wait_until_they_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "wtmp"
    path.write_text("aaaab")
    reader = Reader(path, split=lambda: Records(4))
    append(path, "bbbccc")
    assert reader.read() == ["bbbb"]
    append(path, "c")
    assert reader.read() == ["cccc"]
    reader.tail.close()
