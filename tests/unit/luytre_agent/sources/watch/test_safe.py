from __future__ import annotations

import hashlib
import os
import resource
import socket
import threading
from pathlib import Path

import pytest
from luytre_agent.sources.watch.safe import Facts, look, open_folder

LIMIT = 1 << 20


def seen(path: Path | str, limit: int = LIMIT, known: Facts | None = None) -> Facts:
    facts = look(str(path), limit, known)
    assert facts is not None
    return facts


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 700_000)
    file.chmod(0o2640)
    facts = seen(file)
    assert facts.sha256 == hashlib.sha256(b"x" * 700_000).digest()
    assert (facts.kind, facts.size, facts.mode, facts.uid) == ("file", 700_000, 0o2640, os.getuid())
    assert (seen(file, 699_999).sha256, seen(file, 699_999).too_large) == (b"", True)
    calls: list[int] = []
    look(str(file), LIMIT, None, lambda: calls.append(1))
    assert len(calls) == 2, "between the parts"


def test_what_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    facts = seen(file)
    calls: list[int] = []
    known = Facts(**{**{name: getattr(facts, name) for name in Facts.__slots__}, "sha256": b"known"})
    assert look(str(file), LIMIT, known, lambda: calls.append(1)) == known


def test_no_link_is_followed_anywhere(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("secret")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").symlink_to("real/file")
    assert look(f"{tmp_path}/link/file", LIMIT) is None
    facts = seen(tmp_path / "file")
    assert (facts.kind, facts.sha256) == ("symlink", b"")
    with pytest.raises(NotADirectoryError):
        open_folder(f"{tmp_path}/link")


def test_a_race_of_links_never_shows_what_is_outside(tmp_path: Path) -> None:
    """Somebody swaps a file, and its directory, for links while we look."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file").write_text("harmless")
    (tmp_path / "way").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            inside.rename(tmp_path / "aside")
            (tmp_path / "way").rename(inside)
            inside.rename(tmp_path / "way")
            (tmp_path / "aside").rename(inside)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        found = []
        while len(found) < 2000 or (not any(found) and len(found) < 200_000):  # who swaps may be given more time
            found.append(look(f"{inside}/file", LIMIT))
    finally:
        stop.set()
        thread.join()
    secret = hashlib.sha256(b"secret").digest()
    assert not [facts for facts in found if facts and facts.sha256 == secret]
    assert [facts for facts in found if facts], "some looks found the file"


def test_nothing_blocks_and_nothing_is_woken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert seen(tmp_path / "fifo").kind == "fifo"
        assert seen(tmp_path / "socket").kind == "socket"
    assert seen("/dev/null").kind == "device"
    assert seen(tmp_path).kind == "dir"


def test_being_short_of_descriptors_is_not_taken_for_a_deletion(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            look(f"{tmp_path}/a", LIMIT)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_is_not_there(tmp_path: Path) -> None:
    assert look(f"{tmp_path}/none", LIMIT) is None
    assert look(f"{tmp_path}/none/none", LIMIT) is None
    assert look("/", LIMIT) is None
