from __future__ import annotations

import hashlib
import json
import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luytre_agent import _core
from luytre_agent.sources import files
from luytre_agent.sources.files import Config, Files
from luytre_agent.sources.watch.own import Own
from luytre_common.errors import Unavailable

Row = dict[str, Any]
DEADLINE_S = 15.0


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Watch:
    """An open source on one folder, and the rows that came of it."""

    def __init__(
        self,
        folder: Path,
        rung: str = "auto",
        told: _core.Owners | None = None,
        own: Own | None = None,
        **settings: Any,
    ) -> None:
        given: dict[str, Any] = {"paths": [str(folder)], "fold_seconds": 0.05, "defaults": False, **settings}
        self.source = Files(Config(rung=rung, homes=False, batch_seconds=0.05, **given), told, own=own)  # type: ignore[arg-type]
        self.rows: list[Row] = []
        self.source.open()

    def take(self, batches: Any) -> None:
        for batch in batches:
            self.rows += map(json.loads, _core.to_json_lines(batch).splitlines())

    def until(self, enough: Callable[[list[Row]], object]) -> list[Row]:
        """Poll until there are enough rows; fails after a while."""
        deadline = time.monotonic() + DEADLINE_S
        while not enough(self.rows):
            assert time.monotonic() < deadline, f"not seen: {self.rows} {self.counters()}"
            self.take(self.source.poll(0.1))
        return self.rows

    def one(self, action: str, path: Path | str) -> Row:
        """The only row of an action on a path."""

        def found(rows: list[Row]) -> list[Row]:
            return [row for row in rows if (row["event_action"], row["file_path"]) == (action, str(path))]

        (row,) = found(self.until(found))
        return row

    def close(self) -> list[Row]:
        self.take(self.source.close())
        return self.rows

    def counters(self) -> dict[tuple[str, str], int]:
        return {(sample.name, sample.label): sample.value for sample in self.source.samples()}

    def count(self, name: str) -> int:
        return sum(value for (one, _), value in self.counters().items() if one == name)


@pytest.fixture(params=[pytest.param("fanotify", marks=pytest.mark.root), "inotify"])
def rung(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "watched"
    made.mkdir()
    return made


@pytest.fixture
def watch(folder: Path, rung: str) -> Iterator[Watch]:
    made = Watch(folder, rung)
    yield made
    made.close()


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


@pytest.mark.root
def test_who_did_it(folder: Path) -> None:
    watch = Watch(folder, "fanotify")
    folder.chmod(0o777)
    for above in folder.parents:
        if not above.stat().st_mode & 1:
            above.chmod(0o711)
    script = 'echo x > "$0/file"; read line'
    www = pwd.getpwnam("www-data")
    command = ["/bin/sh", "-c", script, str(folder)]
    process = subprocess.Popen(command, user="www-data", stdin=subprocess.PIPE)
    row = watch.one("created", folder / "file")
    seen = _core.read_process(process.pid)
    process.communicate()
    watch.close()
    assert (row["process_pid"], row["process_name"]) == (process.pid, "sh")
    assert seen
    assert int(row["process_entity_id"]) == seen.entity_id > 1
    assert row["process_executable"] == os.path.realpath("/bin/sh")
    assert row["process_command_line"] == " ".join(command)
    assert (row["user_id"], row["user_name"], row["file_owner"]) == (www.pw_uid, "www-data", "www-data")
    assert row["file_oddities"] == ""


@pytest.mark.root
def test_of_a_process_that_is_gone_the_pid_is_left(folder: Path) -> None:
    watch = Watch(folder, "fanotify")
    process = subprocess.Popen(["/bin/touch", str(folder / "x")])
    process.wait()
    row = watch.one("created", folder / "x")
    watch.close()
    assert (row["process_pid"], row["process_entity_id"], row["process_name"]) == (process.pid, 0, "")
    assert (row["user_id"], row["file_oddities"]) == (4294967295, "process_unknown")
    assert watch.counters()["process_unknown", "fanotify"] == 1


@pytest.mark.root
def test_of_tools_that_are_gone_the_process_events_tell(folder: Path) -> None:
    owners, stop = _core.Owners(), threading.Event()
    events = _core.ProcessEvents("ebpf", owners=owners, hashes=False)

    def take_in() -> None:
        while not stop.is_set():
            events.poll(0.1)

    thread = threading.Thread(target=take_in)
    thread.start()
    watch = Watch(folder, "fanotify", owners)
    wanted: dict[str, tuple[int, str]] = {}
    for number in range(40):
        file = folder / str(number)
        command = ["/bin/sh", "-c", f"echo x > {file}"] if number % 2 else ["/bin/mkdir", str(file)]
        tool = subprocess.Popen(command)
        tool.wait()
        wanted[str(file)] = (tool.pid, " ".join(command))
    rows = watch.until(lambda rows: len({row["file_path"] for row in rows} & set(wanted)) == len(wanted))
    found = {row["file_path"]: (row["process_pid"], row["process_command_line"]) for row in rows}
    stop.set()
    thread.join()
    watch.close()
    events.close()
    assert found == wanted
    assert watch.count("process_unknown") == 0
    assert {row["user_name"] for row in rows} == {"root"}


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


def _opened_by(command: list[str], config: str) -> dict[str, Any]:
    """What comes of opening a source in a Python process that `command` starts."""
    code = (
        "import json\n"
        "from luytre_agent.sources.files import *\n"
        f"source, error = Files(Config({config})), ''\n"
        "try: source.open()\n"
        "except Unavailable as unavailable: error = str(unavailable)\n"
        "samples = [(one.name, one.label) for one in source.samples()]\n"
        "print(json.dumps({'error': error, 'rung': source.rung, 'refused': source.refused, 'samples': samples}))"
    )
    done = subprocess.run([*command, sys.executable, "-c", code], check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


NO_RIGHTS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]


@pytest.mark.root
def test_without_rights_the_next_rung_is_taken_and_the_refusal_told() -> None:
    told = _opened_by(NO_RIGHTS, "homes=False")
    assert told["rung"] == "inotify"
    assert told["refused"] == [["fanotify", "fanotify_init: Operation not permitted"]]
    assert ["refused", "fanotify"] in told["samples"]
    error = _opened_by(NO_RIGHTS, "rung='fanotify'")["error"]
    assert error.startswith("changes of files: fanotify: fanotify_init: Operation not permitted; run the agent as root")


@pytest.mark.root
def test_a_full_inotify_limit_names_the_sysctl(folder: Path) -> None:
    """In a user namespace of its own the limit can be set to nothing."""
    script = 'echo 0 > /proc/sys/user/max_inotify_watches; exec "$@"'
    told = _opened_by(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"],
        f"rung='inotify', defaults=False, homes=False, paths=[{str(folder)!r}]",
    )
    assert "No space left on device; raise the sysctl fs.inotify.max_user_watches" in told["error"]
    assert ["directories_refused", "inotify"] in told["samples"]


def test_a_rung_that_is_none_and_places_that_are_none() -> None:
    with pytest.raises(Unavailable, match="there is no such rung; give fanotify or inotify"):
        Files(Config(rung="kprobe")).open()  # type: ignore[arg-type]
    assert files.build(Config(enabled=False)) == {}
    with pytest.raises(Unavailable, match="none of the directories"):
        Files(Config(defaults=False, homes=False)).open()


@pytest.mark.root
def test_the_defaults_of_this_machine_open_and_close() -> None:
    source = Files(Config())
    source.open()
    assert (source.rung, source.refused) == ("fanotify", [])
    assert {sample.name: sample.value for sample in source.samples()}["directories_watched"] > 10
    source.close()
    assert source.poll(0.0) == ()


def test_the_agents_own_files_are_watched_by_default(folder: Path, rung: str) -> None:
    settings_file, programs = folder / "agent.toml", folder / "site"
    programs.mkdir()
    settings_file.write_text("a = 1")
    (programs / "app.py").write_text("pass")
    own = Own((str(settings_file), str(programs)))
    watch = Watch(folder / "elsewhere", rung, own=own, defaults=True)
    settings_file.write_text("a = 2")
    (programs / "app.py").write_text("exit()")
    (folder / "other").write_text("nobody asks")
    for path in (settings_file, programs / "app.py"):
        assert watch.one("modified", path)["file_previous_hash_sha256"]
    assert not [row for row in watch.close() if row["file_path"].endswith("other")]
    assert Watch(folder, rung, own=own, paths=[str(programs)]).source.close() == []


@pytest.mark.root
def test_the_spool_is_watched_for_what_others_do_there(folder: Path) -> None:
    spool = folder / "spool"
    spool.mkdir()
    ours, theirs = spool / "1.seg", spool / "2.seg"
    for path in (ours, theirs):
        path.write_bytes(b"rows" * 1000)
    watch = Watch(folder / "elsewhere", "fanotify", own=Own((), str(spool)), defaults=True)
    ours.write_bytes(b"more rows")
    (spool / "3.seg").write_bytes(b"rows")
    ours.unlink()
    subprocess.run(["dd", "if=/dev/zero", f"of={spool / '3.seg'}", "count=1"], check=True, capture_output=True)
    lingers = "import pathlib, sys; pathlib.Path(sys.argv[1]).unlink(); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", lingers, str(theirs)], stdin=subprocess.PIPE) as other:
        deleted = watch.one("deleted", theirs)
    assert deleted["process_pid"] == other.pid
    assert str(theirs) in deleted["process_command_line"]
    assert deleted["file_previous_hash_sha256"] == ""  # segments are large, and hashing them would cost too much
    rows = [(row["event_action"], row["file_path"]) for row in watch.close()]
    assert ("modified", str(spool / "3.seg")) in rows or ("created", str(spool / "3.seg")) in rows
    assert str(ours) not in {path for _, path in rows}
    assert watch.count("events_ignored") >= 1  # the kernel may tell of several changes of one file at once


def test_without_the_process_the_spool_is_not_watched(folder: Path) -> None:
    spool = folder / "spool"
    spool.mkdir()
    watch = Watch(folder, "inotify", own=Own((), str(spool)), paths=[str(folder / "x")], defaults=True)
    (spool / "1.seg").write_bytes(b"rows")
    (folder / "x").write_bytes(b"")
    watch.one("created", folder / "x")
    assert len(watch.close()) == 1
