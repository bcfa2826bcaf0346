"""Queries of people, with and without a collector that holds the folder."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from luytre_collector import query
from luytre_collector.query import FORMS, run_query, serve_queries, socket_path, visible
from luytre_collector.store import embedded
from luytre_collector.store.base import QueryRefusedError, Store, StoreUnavailableError
from luytre_collector.store.choose import Config, make_store
from luytre_common.errors import UserError
from luytre_common.schema import TABLES
from luytre_common.telemetry import Counters

from tests.contract.rows import make

ASK = """
import sys
from pathlib import Path
from luytre_common.errors import LuytreError
from luytre_collector.query import run_query
from luytre_collector.store import embedded
from luytre_collector.store.choose import Config
try:
    answer = run_query(Config(embedded=embedded.Config(directory=Path(sys.argv[1]))), sys.argv[2], sys.argv[3])
    sys.stdout.buffer.write(answer)
except LuytreError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(embedded=embedded.Config(directory=tmp_path / "store"))


@pytest.fixture
def counters() -> Counters:
    return Counters("query")


@pytest.fixture
def store(config: Config) -> Store:
    """Opened and filled by one process, this one."""
    one = make_store(config)
    one.open()
    one.migrate()
    one.insert("flows", make(TABLES["flows"], 20), "token")
    return one


@pytest.fixture
async def serving(config: Config, store: Store, counters: Counters) -> AsyncIterator[Path]:
    path = socket_path(config)
    assert path is not None
    async with serve_queries(store, path, counters):
        yield path
    store.close()


async def ask_elsewhere(config: Config, sql: str, form: str = "CSVWithNames") -> tuple[int, bytes, str]:
    """As another process would: exit code, answer, error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASK, str(config.embedded.directory), sql, form,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, error = await process.communicate()
    return process.returncode or 0, out, error.decode()


async def test_a_running_collector_answers(config: Config, serving: Path, counters: Counters) -> None:
    assert await ask_elsewhere(config, "SELECT count() AS n FROM flows") == (0, b'"n"\n20\n', "")
    assert counters.get("queries") == 1


async def test_wrong_sql_ends_with_2_and_one_line(config: Config, serving: Path, counters: Counters) -> None:
    code, out, error = await ask_elsewhere(config, "SELECT nonsense FROM flows")
    assert (code, out) == (2, b"")
    assert "UNKNOWN_IDENTIFIER" in error
    assert error.count("\n") == 1
    assert counters.get("queries_refused") == 1


async def test_without_a_collector_the_store_is_opened(config: Config, store: Store) -> None:
    store.close()
    assert await ask_elsewhere(config, "SELECT count() AS n FROM flows") == (0, b'"n"\n20\n', "")
    code, _, error = await ask_elsewhere(config, "DROP TABLE flows")
    assert (code, error.count("\n")) == (2, 1)
    assert "DROP is not reading" in error


def test_a_folder_without_tables_names_the_remedy(config: Config) -> None:
    with pytest.raises(UserError, match="run: luytre-collector migrate"):
        run_query(config, "SELECT 1")
    assert not config.embedded.directory.exists()


async def test_a_holder_that_does_not_answer_is_told_by_pid(config: Config, store: Store) -> None:
    code, out, error = await ask_elsewhere(config, "SELECT 1")
    store.close()
    assert (code, out) == (1, b"")
    assert f"pid {os.getpid()} holds the store but answers no queries" in error


async def test_many_at_once(config: Config, serving: Path, counters: Counters) -> None:
    lock_error = asyncio.to_thread(run_query, config, "SELECT sum(number) AS s FROM numbers(1000)", "JSONEachRow")
    answers = await asyncio.gather(
        lock_error,
        *(asyncio.to_thread(run_query, config, f"SELECT {number} AS n", "JSONEachRow") for number in range(12)),
    )
    assert answers == [b'{"s":499500}\n', *(b'{"n":%d}\n' % number for number in range(12))]
    assert counters.get("queries") == 13


async def test_the_socket_is_private_and_goes_away(config: Config, store: Store, counters: Counters) -> None:
    path = config.embedded.directory / query.NAME
    path.write_text("left by a collector that was killed")
    async with serve_queries(store, path, counters):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    store.close()


async def test_a_deep_folder_has_a_socket_too(tmp_path: Path, counters: Counters) -> None:
    config = Config(embedded=embedded.Config(directory=tmp_path / ("d" * 100) / ("e" * 100)))
    one = make_store(config)
    one.open()
    one.migrate()
    path = socket_path(config)
    assert path is not None
    async with serve_queries(one, path, counters):
        assert await asyncio.to_thread(run_query, config, "SELECT 1 AS n", "JSONEachRow") == b'{"n":1}\n'
    one.close()


async def test_a_socket_that_cannot_be_made(store: Store, tmp_path: Path, counters: Counters) -> None:
    with pytest.raises(UserError, match="queries cannot be served"):
        async with serve_queries(store, tmp_path / "gone" / "s", counters):
            pass
    store.close()


@pytest.mark.parametrize(
    "request_", [b"nonsense\n", b"[]\n", b"{}\n", b"\xff\n", b"null\n", b'{"sql": 1}\n', b"", b"x" * (1 << 21)]
)
async def test_what_is_no_request_is_counted(serving: Path, counters: Counters, request_: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(serving))
    writer.write(request_)
    writer.write_eof()
    try:
        answer = json.loads(await reader.readline() or b'{"status": "failed"}')
        assert answer["status"] == "failed"
    except ConnectionResetError:
        pass
    writer.close()
    while not counters.get("query_requests_bad"):
        await asyncio.sleep(0.01)
    assert counters.get("query_requests_bad") == 1


async def test_a_client_that_goes_away_is_counted(serving: Path, counters: Counters) -> None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(serving))
    sql = "SELECT repeat('x', 1000) AS x FROM numbers(20000)"
    sock.sendall(json.dumps({"sql": sql, "form": "JSONEachRow", "utc": False}).encode() + b"\n")
    sock.close()
    while not counters.get("queries_failed", "peer_gone"):
        await asyncio.sleep(0.01)
    assert counters.get("queries_failed", "peer_gone") == 1


async def test_a_store_that_is_away_is_no_mistake_of_the_person(
    config: Config, serving: Path, store: Store, counters: Counters
) -> None:
    store.close()
    holder = embedded.FolderLock(config.embedded.directory)
    holder.acquire()
    with pytest.raises(StoreUnavailableError, match="not open"):
        await asyncio.to_thread(run_query, config, "SELECT 1")
    holder.release()
    assert counters.get("queries_failed", "store") == 1


@pytest.mark.root
async def test_other_users_are_refused(config: Config, serving: Path, counters: Counters) -> None:
    serving.chmod(0o666)
    for folder in (serving.parent, *serving.parent.parents[:4]):
        folder.chmod(folder.stat().st_mode | 0o011)
    script = (
        "import os, socket, sys\n"
        "folder = os.open(sys.argv[1], os.O_PATH)\n"
        "os.setuid(65534)\n"
        "sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)\n"
        "os.fchdir(folder)\n"
        "sock.connect('query.socket')\n"
        "sys.exit(len(sock.recv(1)))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(serving.parent))
    assert await process.wait() == 0
    assert counters.get("query_peers_refused") == 1


async def test_a_collector_does_what_it_offers_and_no_more(config: Config, store: Store, counters: Counters) -> None:
    def twice(given: object) -> object:
        if not isinstance(given, int):
            raise ValueError("not a number")
        if given < 0:
            raise StoreUnavailableError("away")
        return 2 * given

    path = socket_path(config)
    assert path is not None
    running = query.Running(config, os.getpid())
    async with serve_queries(store, path, counters, {"twice": twice}):
        assert await asyncio.to_thread(running.do, "twice", 21) == 42
        with pytest.raises(QueryRefusedError, match="twice: not a number"):
            await asyncio.to_thread(running.do, "twice", "x")
        with pytest.raises(QueryRefusedError, match="fly: this collector cannot do that while it runs"):
            await asyncio.to_thread(running.do, "fly", None)
        with pytest.raises(StoreUnavailableError, match="away"):
            await asyncio.to_thread(running.do, "twice", -1)
        rows = await asyncio.to_thread(running.query, "SELECT count() AS n, toDate('2026-11-05') AS d FROM flows")
        assert rows.column("n").to_pylist() == [20]
        with pytest.raises(UserError, match="more than 1048576 bytes"):
            running.do("twice", "x" * (1 << 20))
    store.close()
    assert counters.get("deeds", "twice") == 1
    assert counters.get("query_requests_bad") == 2
    assert counters.get("queries_failed", "store") == 1


def test_the_table_form_cannot_steer_a_terminal(config: Config, store: Store) -> None:
    store.close()
    sql = "SELECT process_command_line AS c FROM flows WHERE c LIKE '%\\x1b%' OR c LIKE '%gnp%' ORDER BY c"
    shown = run_query(config, sql).decode()
    assert "\\x1b[31mred" in shown
    assert "\\u202egnp.exe" in shown
    assert not set(shown) & {"\x1b", "\u202e"}
    assert b"\\u001B[31mred" in run_query(config, sql, FORMS["json"])


def test_visible_keeps_what_is_harmless() -> None:
    assert visible("│ lũy tre 竹 │\n".encode()) == "│ lũy tre 竹 │\n".encode()
    assert visible(b"a\0b\r\xff\xc2\x9b") == b"a\\x00b\\x0d\xef\xbf\xbd\\x9b"


def test_an_answer_cut_short_is_not_an_answer() -> None:
    with pytest.raises(StoreUnavailableError, match="went away"):
        query._read_answer(b'{"status": "ok", "size": 9}', io.BytesIO(b"short"))
    with pytest.raises(StoreUnavailableError, match="went away"):
        query._read_answer(b"", io.BytesIO())
    with pytest.raises(QueryRefusedError, match="no"):
        query._read_answer(b'{"status": "refused", "message": "no"}', io.BytesIO())
