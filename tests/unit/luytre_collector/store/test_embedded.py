"""What is special to the engine in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from luytre_collector.store import embedded, readonly, sql
from luytre_collector.store.base import StoreUnavailableError
from luytre_common.errors import UserError
from luytre_common.schema import TABLES

from tests.contract.rows import make


def make_store(directory: Path) -> embedded.EmbeddedStore:
    return embedded.EmbeddedStore(embedded.Config(directory=directory), readonly.Config())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[embedded.EmbeddedStore]:
    one = make_store(tmp_path / "store")
    one.open()
    one.migrate()
    yield one
    one.close()


def test_a_second_collector_ends_in_one_line(store: embedded.EmbeddedStore, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from luytre_collector.store import embedded, readonly\n"
        "from luytre_common.errors import LuytreError\n"
        "try:\n"
        "    embedded.EmbeddedStore(embedded.Config(directory=Path(sys.argv[1])), readonly.Config()).open()\n"
        "except LuytreError as error:\n"
        "    print(error)\n"
        "    sys.exit(error.exit_code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "store")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == (
        f"{tmp_path}/store: in use by the process with pid {os.getpid()}; stop it, or give this collector another"
        " directory in [store.embedded]\n"
    )
    assert done.stderr == ""


def test_another_engine_in_the_folder_is_named(tmp_path: Path) -> None:
    script = (
        "import sys, chdb\n"
        "connection = chdb.connect(sys.argv[1])\n"
        "connection.query('SELECT 1')\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    folder = tmp_path / "store"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(UserError, match="in use by another ClickHouse engine"):
            make_store(folder).open()
        child.stdin.close()
    store = make_store(folder)
    store.open()
    store.close()


def test_a_second_folder_in_one_process_is_refused(store: embedded.EmbeddedStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this process has another folder open"):
        make_store(tmp_path / "other").open()
    assert store.query("SELECT 1 AS one").num_rows == 1


def test_the_folder_is_for_its_owner_alone(store: embedded.EmbeddedStore, tmp_path: Path) -> None:
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["a?b", "a&b", "a%20b"])
def test_names_that_the_engine_would_misread(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be in the path"):
        make_store(tmp_path / name).open()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        make_store(tmp_path / "file" / "store").open()


@pytest.mark.root
def test_root_does_not_leave_its_files_with_another_user(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(UserError, match="belongs to user id 65534, this is 0; run as the owner"):
        make_store(folder).open()
    assert list(folder.iterdir()) == []


def fill(store: embedded.EmbeddedStore, done: list[int]) -> None:
    """Insert until there is no room; `done` gets the rows of every insert that succeeded."""
    rows = make(TABLES["flows"], 500)
    for number in range(1000):
        store.insert("flows", rows, f"{number}")
        done.append(rows.num_rows)


@pytest.mark.root
def test_a_full_disk_is_for_later_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "luytre-test", str(folder)], check=True)
    store = make_store(folder / "store")
    try:
        store.open()
        store.migrate()
        done: list[int] = []
        with pytest.raises(StoreUnavailableError, match=r"flows: .*space"):
            fill(store, done)
        assert done
        assert store.query("SELECT count() AS n FROM flows").to_pylist() == [{"n": sum(done)}]
    finally:
        store.close()
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("count", [1, 100])
def test_the_projection_answers_last_sequences(store: embedded.EmbeddedStore, count: int) -> None:
    store.insert("flows", make(TABLES["flows"], 50), "token")
    numberings = [("web-01", f"b{number}", "flows") for number in range(count)]
    (statement,) = sql.last_sequences(TABLES["flows"], numberings)
    explained = store.query(f"EXPLAIN projections = 1 {statement}")
    assert any("(last_sequence)" in line for line in explained.column(0).to_pylist())


def test_without_chdb_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    with pytest.raises(UserError, match=r"install luytre-collector\[embedded\]"):
        make_store(tmp_path / "store").open()
