"""Backup and restore of the embedded store: while it runs, when it is stopped, and of what is damaged."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from luytre_collector.backup import manifest
from luytre_collector.backup.make import backup
from luytre_collector.backup.restore import restore
from luytre_collector.store import embedded
from luytre_collector.store.choose import Config
from luytre_common.errors import UserError

from tests.support.batches import message
from tests.support.collector import CollectorProcess, stream

BOOT = "00000000-0000-4000-8000-000000000001"
ROWS = 20


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorProcess]:
    made = CollectorProcess(
        tmp_path_factory.mktemp("collector"), "[health]\ninterval_s = 0.2\n[rollups]\ninterval_s = 1\n"
    )
    made.start()
    yield made
    made.close()


@contextmanager
def delivering(collector: CollectorProcess) -> Iterator[Callable[[], int]]:
    """Rows arrive while inside; the function tells how many were acknowledged."""
    acknowledged = [collector_next(collector)]
    stop = threading.Event()

    def deliver() -> None:
        with stream(collector.address, collector.identity("web-01")) as agent:
            agent.hello()
            while not stop.is_set():
                (answer,) = agent.deliver(message("flows", ROWS, acknowledged[0], boot=BOOT))
                acknowledged[0] = answer.ack.through_sequence + 1

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield lambda: acknowledged[0]
    finally:
        stop.set()
        thread.join()


def collector_next(collector: CollectorProcess) -> int:
    return collector.value(f"SELECT if(count() = 0, 0, max(sequence) + 1) AS n FROM flows WHERE boot_id = '{BOOT}'")


def wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def elsewhere(collector: CollectorProcess, folder: Path) -> CollectorProcess:
    """Another collector with folders of its own."""
    folder.mkdir()
    made = CollectorProcess(folder)
    shutil.rmtree(made.pki)
    shutil.copytree(collector.pki, made.pki)
    return made


def fails(done: subprocess.CompletedProcess[str], code: int, *says: str) -> None:
    """It ends with this code and one line that says this."""
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1
    for text in says:
        assert text in done.stderr


@pytest.fixture(scope="module")
def made(collector: CollectorProcess, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, int]:
    """A backup that was made while rows arrived; how many were acknowledged before it began and after it ended."""
    folder = tmp_path_factory.mktemp("backups") / "one"
    with delivering(collector) as acknowledged:
        wait(lambda: acknowledged() >= 5 * ROWS)
        before = acknowledged()
        done = collector.command("backup", str(folder), "--config", str(collector.config))
        after = acknowledged() + ROWS  # one batch may be stored and not acknowledged yet
    assert done.returncode == 0, done.stderr
    assert "flows: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{folder}: ")
    return folder, before, after


def test_rows_before_the_backup_are_in_it_without_holes(
    collector: CollectorProcess, made: tuple[Path, int, int], tmp_path: Path
) -> None:
    folder, before, after = made
    other = elsewhere(collector, tmp_path / "other")
    done = other.command("restore", str(folder), "--config", str(other.config))
    assert done.returncode == 0, done.stderr
    restored = manifest.read(folder).tables["flows"].rows
    assert before <= restored <= after
    other.start()
    try:
        (row,) = other.query("SELECT count() AS n, uniqExact(sequence) AS d, max(sequence) + 1 AS m FROM flows")
        assert {int(value) for value in row.values()} == {restored}
        with stream(other.address, other.identity("web-01")) as agent:
            agent.hello()
            sent = [message("flows", ROWS, first, boot=BOOT) for first in (restored - ROWS, restored)]
            assert [answer.ack.through_sequence for answer in agent.deliver(*sent)] == [
                restored - 1,
                restored + ROWS - 1,
            ]
        (row,) = other.query("SELECT count() AS n, uniqExact(sequence) AS d FROM flows")
        assert {int(value) for value in row.values()} == {restored + ROWS}
    finally:
        other.close()
    fails(
        other.command("restore", str(folder), "--config", str(other.config)), 2, f"{other.folder}/store: is not empty"
    )


def test_frozen_parts_are_let_go(collector: CollectorProcess, made: tuple[Path, int, int]) -> None:
    assert made[0].is_dir()
    assert not list((collector.folder / "store/shadow").glob("luytre_backup_*"))
    wait(lambda: collector.counter("backups") >= 1)


def test_a_backup_of_a_stopped_collector(collector: CollectorProcess, tmp_path: Path) -> None:
    other = elsewhere(collector, tmp_path / "other")
    fails(other.command("backup", str(tmp_path / "b"), "--config", str(other.config)), 2, "no tables there yet")
    other.start()
    with stream(other.address, other.identity("web-01")) as agent:
        agent.hello()
        agent.deliver(message("flows", ROWS, 0, boot=BOOT), message("dns", ROWS, 0, boot=BOOT))
    assert other.stop() == 0
    left = other.folder / "store/shadow/luytre_backup_left/by/a/killed/one"
    left.mkdir(parents=True)
    done = other.command("backup", str(tmp_path / "b"), "--config", str(other.config))
    assert done.returncode == 0, done.stderr
    assert f"dns: {ROWS} rows in 1 parts" in done.stdout
    fails(
        other.command("backup", str(tmp_path / "b"), "--config", str(other.config)), 2, "holds ", "give an empty folder"
    )
    other.start()
    assert not left.exists()
    other.close()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(b"\0" * path.stat().st_size), "data.bin: changed; the backup is damaged"),
        (lambda path: path.write_bytes(b""), "data.bin: 0 bytes, not "),
        (lambda path: path.unlink(), "data.bin: No such file or directory; the backup is damaged"),
    ],
)
def test_a_damaged_backup_is_refused_before_anything_is_made(
    made: tuple[Path, int, int], tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made[0], copy)
    damage(next(copy.glob("tables/flows/*/data.bin")))
    with pytest.raises(UserError, match=says):
        restore(Config(embedded=embedded.Config(tmp_path / "store")), copy, print)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "manifest.json: not there; "),
        ("{", "manifest.json: not JSON"),
        ('{"format": 2}', "format 2, this collector reads 1; upgrade the collector"),
        ('{"format": 1}', "not a manifest of a backup"),
        ('{"collector": "", "schema_version": 999, "made_at": "", "tables": {}}', "has schema version 999"),
        ('{"collector": "", "schema_version": 1, "made_at": "", "tables": {"../x": {"create": "", "parts": {}}}}',
         "not a manifest"),
        ('{"collector": "", "schema_version": 1, "made_at": "", "tables": {"x": {"create": "DROP", "parts": {}}}}',
         "the statement of x creates something else"),
    ],
)  # fmt: skip
def test_what_is_no_backup(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=says):
        restore(Config(embedded=embedded.Config(tmp_path / "store")), tmp_path, print)


def test_a_server_has_its_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="BACKUP DATABASE luytre TO Disk"):
        backup(Config(engine="server"), tmp_path / "b", print, 0.0)
    with pytest.raises(UserError, match="RESTORE DATABASE luytre FROM Disk"):
        restore(Config(engine="server"), tmp_path / "b", print)


@pytest.mark.root
def test_another_file_system(made: tuple[Path, int, int], collector: CollectorProcess, tmp_path: Path) -> None:
    """Files are copied where they cannot be linked; where they have no room, nothing is left."""
    for size, code in (("64m", 0), ("200k", 1)):
        other = tmp_path / size
        other.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "luytre-test", str(other)], check=True)
        try:
            done = collector.command("backup", str(other / "backup"), "--config", str(collector.config))
            assert done.returncode == code, done.stderr
            if code:
                assert "No space left on device; make room" in done.stderr
                assert list((other / "backup").iterdir()) == []
            else:
                manifest.verify(other / "backup", manifest.read(other / "backup"))
        finally:
            subprocess.run(["umount", "--lazy", str(other)], check=True)
