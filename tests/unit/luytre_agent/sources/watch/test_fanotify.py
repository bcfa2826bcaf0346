from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from luytre_agent.sources.watch.fanotify import Fanotify, parse
from luytre_agent.sources.watch.hint import GONE, NO_PIDFD, Did, Hint
from luytre_agent.sources.watch.safe import open_folder

#: A directory: fsid, and a handle of 8 bytes.
KEY = struct.pack("=IIIi", 1, 2, 8, 1) + b"handle!!"


def record(kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack("=BBH", kind, 0, 4 + len(body)) + body


def event(mask: int, *records: bytes, pid: int = 7) -> bytes:
    body = b"".join(records)
    return struct.pack("=IBBHQii", 24 + len(body), 3, 0, 24, mask, -1, pid) + body


def hints(data: bytes) -> list[Hint]:
    return list(parse(data, {KEY: "/etc"}.get))


def test_events_by_the_layout_of_the_header() -> None:
    name = record(2, KEY + b"passwd\0")
    gone = record(4, struct.pack("=i", -1))
    assert hints(event(0x8, name)) == [Hint(Did.WRITE, "/etc/passwd", pid=7, pidfd=NO_PIDFD)]
    assert hints(event(0x108, name, gone)) == [Hint(Did.CREATE | Did.WRITE, "/etc/passwd", pid=7, pidfd=GONE)]
    assert hints(event(0x4000_0100, name)) == [Hint(Did.CREATE, "/etc/passwd", is_dir=True, pid=7)]
    assert hints(event(0x4, record(2, KEY + b".\0"))) == [Hint(Did.ATTRIB, "/etc", pid=7)]
    assert hints(event(0x4000)) == [Hint(Did.OVERFLOW)]
    old, new = record(10, KEY + b"old\0"), record(12, KEY + b"new\0")
    assert hints(event(0x1000_0000, old, new)) == [Hint(Did.MOVE, "/etc/new", "/etc/old", pid=7)]
    assert hints(event(0x1000_0000, new)) == [Hint(Did.MOVE, "/etc/new", "", pid=7)]
    assert hints(event(0x40, name)) == [Hint(Did.MOVE, "", "/etc/passwd", pid=7)], "before Linux 5.17"
    assert hints(event(0x80, name)) == [Hint(Did.MOVE, "/etc/passwd", "", pid=7)]
    assert hints(event(0x8, name) + event(0x200, name)) == [
        Hint(Did.WRITE, "/etc/passwd", pid=7), Hint(Did.DELETE, "/etc/passwd", pid=7),
    ]  # fmt: skip


def test_a_directory_that_is_not_watched_any_more() -> None:
    assert hints(event(0x8, record(2, KEY[:-1] + b"?" + b"x\0"))) == []


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 255))
def test_no_bytes_raise(noise: bytes, at: int, value: int) -> None:
    hints(noise)
    good = bytearray(event(0x8, record(2, KEY + b"passwd\0")))
    good[at % len(good)] = value
    if good[24] != 4:  # that would be somebody's descriptor
        hints(bytes(good))


@pytest.mark.root
def test_descriptors_of_processes_are_closed_or_handed_on(tmp_path: Path) -> None:
    group = Fanotify()
    fd = open_folder(str(tmp_path))
    group.add(str(tmp_path), fd)
    os.close(fd)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    (tmp_path / "x").write_text("x")
    (hint,) = group.read()
    assert (hint.pid, hint.path) == (os.getpid(), f"{tmp_path}/x")
    assert hint.pidfd >= 0 or hint.pidfd == NO_PIDFD
    if hint.pidfd >= 0:
        os.close(hint.pidfd)
    group.forget(str(tmp_path))
    (tmp_path / "y").write_text("y")
    assert group.read() == []
    assert (group.watched(), len(os.listdir("/proc/self/fd"))) == (0, before)  # noqa: PTH208
    group.close()
