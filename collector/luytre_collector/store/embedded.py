"""The embedded store: chDB, the ClickHouse engine in this process. One process at a time per folder.

What was found about chDB 4.4, and how it is used here:

* One engine per process, bound to one folder while any connection is open. A connection runs one statement at a time
  (others wait) and releases the GIL; connections run side by side. Hence three small pools: writers, readers, people.
* `FROM Python(name)` reads an Arrow table of the calling frame without copying: dictionaries, 16-byte binaries,
  microseconds and lists arrive as LowCardinality, IPv6, DateTime64(6) and Array.
* After an error a connection still holds the output so far and puts it before the next answer: see `Pool.take`.
* `readonly = 1`, once set, holds for the connection's life.
* Row policies are read from a file (see `access`), take their condition from a setting of the session, and leave
  projections and inserts alone.
* Insert tokens work on MergeTree (`non_replicated_deduplication_window`), also after reopening the folder.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
from luytre_common.errors import UserError
from luytre_common.settings import at_least, setting

from luytre_collector.store import access, guest, migrate, readonly, sql
from luytre_collector.store.base import Numbering, StoreError, StoreUnavailableError
from luytre_collector.store.errors import insert_error, query_error, store_error
from luytre_collector.store.guest import session
from luytre_collector.store.lock import FolderLock, is_locked
from luytre_collector.store.pool import Pool
from luytre_collector.store.rows import prepare, table_named


@dataclass(frozen=True)
class Config:
    """The engine in this process."""

    directory: Path = setting(Path("/var/lib/luytre-collector/store"), "folder of the tables, for one collector alone")
    memory_limit_bytes: int = setting(2 << 30, "most memory of the engine, bytes", at_least(256 << 20))


class EmbeddedStore:
    """See `Store`."""

    def __init__(self, config: Config, people: readonly.Config) -> None:
        self._config = config
        self._people = people
        self._lock = FolderLock(config.directory)
        self._engine: _Engine | None = None

    def open(self) -> None:
        """Lock the folder and start the engine in it."""
        chdb = _load()
        _make_folder(self._config.directory)
        self._lock.acquire()
        try:
            self._engine = _Engine(chdb, self._config, self._people)
        except BaseException:
            self._lock.release()
            raise

    def migrate(self) -> Sequence[str]:
        """See `Store.migrate`."""
        return migrate.migrate(self, self._people.time_zone)

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing, with all rights."""
        with self._running.writers.take() as connection:
            _run(connection, statement, "Null")

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See `Store.insert`."""
        columns = table_named(table)
        luytre_rows = prepare(columns, rows)  # the name by which the statement below finds it in this frame
        if not luytre_rows.num_rows:
            return
        settings: dict[str, int | str] = {**sql.INSERT_SETTINGS, "insert_deduplication_token": token}
        names = sql.column_list(columns)
        statement = (
            f"INSERT INTO {sql.DATABASE}.{table} ({names}) SETTINGS {sql.settings_clause(settings)}"
            f" SELECT {names} FROM Python(luytre_rows)"
        )
        with self._running.writers.take() as connection:
            try:
                connection.query(statement, "Null")
            except RuntimeError as error:
                raise insert_error(str(error), table) from None

    def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """See `Store.query`."""
        with self._running.readers.take() as connection:
            data = _run(connection, sql_text, "ArrowStream", sql.parameters(parameters))
        return _table(data)

    def query_text(self, sql_text: str, form: str, utc: bool = False) -> bytes:
        """See `Store.query_text`."""
        readonly.check_form(form)
        with self._running.people[utc].take() as connection:
            try:
                normal = connection.query(
                    "SELECT normalizeQueryKeepNames({statement:String})",
                    "TSVRaw",
                    {"statement": sql.parameter(sql_text)},
                )
                readonly.check(bytes(normal.bytes()).decode("utf-8", "replace"))
                return bytes(connection.query(sql_text, form).bytes())
            except RuntimeError as error:
                raise query_error(str(error)) from None

    def ask(self, question: guest.Question) -> guest.Answer:
        """Answer somebody who is not on this machine, in at most the rights of `guest.check`.

        AnswerError says why not in ClickHouse's words; StoreUnavailableError that there is nobody to ask.
        """
        return self._running.ask(question)

    def last_sequences(self, table: str, numberings: Sequence[Numbering]) -> Mapping[Numbering, int]:
        """See `Store.last_sequences`."""
        statements = sql.last_sequences(table_named(table), numberings)
        return dict(one for statement in statements for one in sql.found_sequences(self.query(statement)))

    def close(self) -> None:
        """See `Store.close`."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
            self._lock.release()

    @property
    def _running(self) -> _Engine:
        if self._engine is None:
            raise StoreUnavailableError("the store is not open")
        return self._engine


class _Engine:
    """The connections to the engine."""

    def __init__(self, chdb: ModuleType, config: Config, people: readonly.Config) -> None:
        self._chdb = chdb
        self._target = (
            f"{config.directory}?config-file={_policies(config.directory)}"
            f"&max_server_memory_usage={config.memory_limit_bytes}"
            f"&mark_cache_size={config.memory_limit_bytes // 8}&index_mark_cache_size={config.memory_limit_bytes // 16}"
        )
        self._folder = config.directory
        self._people_config = people
        self._anchor = self._connect({})  # the engine stops when its last connection closes
        for database in (sql.DATABASE, sql.LOCAL_DATABASE):
            _run(self._anchor, f"CREATE DATABASE IF NOT EXISTS {database}", "Null")
        reading: dict[str, int | str] = {
            "session_timezone": "UTC",
            "output_format_arrow_low_cardinality_as_dictionary": 1,
            "output_format_arrow_compression_method": "none",
        }
        self.writers = Pool(lambda: self._connect({"session_timezone": "UTC"}), _disconnect, size=2)
        self.readers = Pool(lambda: self._connect(reading), _disconnect, size=4)
        self.people = {
            utc: Pool(lambda utc=utc: self._connect_person(people, utc), _disconnect, size=2)  # type: ignore[misc]
            for utc in (False, True)
        }
        self._table_functions = _run(self._anchor, "SELECT name FROM system.table_functions", "TSV").decode().split()

    def ask(self, question: guest.Question) -> guest.Answer:
        connection = self._connect({})
        try:
            return session.answer(connection, question, self._people_config, self._table_functions)
        finally:
            connection.close()

    def close(self) -> None:
        for pool in (*self.people.values(), self.readers, self.writers):
            pool.close()
        self._anchor.close()

    def _connect(self, settings: Mapping[str, int | str], database: str = "") -> Any:
        try:
            connection = self._chdb.connect(self._target)
        except RuntimeError as error:
            raise _start_error(self._folder, str(error)) from None
        if settings:
            _run(connection, f"SET {sql.settings_clause(settings)}", "Null")
        if database or settings:
            _run(connection, f"USE {database or sql.DATABASE}", "Null")
        return connection

    def _connect_person(self, people: readonly.Config, utc: bool) -> Any:
        zone, database = ("UTC", sql.DATABASE) if utc else (people.time_zone, sql.LOCAL_DATABASE)
        settings = {**readonly.settings(people, zone), "allow_python_table_function": 0}
        connection = self._connect(settings, database)
        _run(connection, "SET readonly = 1", "Null")
        return connection


def _load() -> ModuleType:
    try:
        return importlib.import_module("chdb")
    except ImportError:
        raise UserError(
            "the embedded store needs chdb; install luytre-collector[embedded], or set store.engine to server"
        ) from None


def _make_folder(directory: Path) -> None:
    if any(character in str(directory) for character in "?&%"):
        raise UserError(f"{directory}: ?, & and % cannot be in the path of the store's folder")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; give a folder that this user may write") from None
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        raise UserError(
            f"{directory}: belongs to user id {owner}, this is {os.geteuid()};"
            " run as the owner, so that the files stay the owner's"
        )


def _policies(directory: Path) -> Path:
    """Who sees which rows, in a file that the engine reads."""
    try:
        return access.write(directory.resolve() / "access")
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}; the collector's user must own the folder") from None


def _start_error(folder: Path, text: str) -> Exception:
    if "already initialized with path" in text:
        return UserError(f"{folder}: this process has another folder open, and the engine takes one at a time")
    if is_locked(folder / "status"):  # the engine tells this on standard error only
        return UserError(f"{folder}: in use by another ClickHouse engine; {folder}/status names it: stop it")
    return store_error(text, str(folder))


def _disconnect(connection: Any) -> None:
    connection.close()


def _run(connection: Any, statement: str, form: str, parameters: dict[str, str] | None = None) -> bytes:
    try:
        return bytes(connection.query(statement, form, parameters or {}).bytes())
    except RuntimeError as error:
        raise store_error(str(error)) from None


def _table(data: bytes) -> pa.Table:
    if not data:
        return pa.table({})
    try:
        table = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
    except pa.ArrowInvalid as error:
        raise StoreError(f"the engine's answer is not Arrow: {error}") from None
    return table.cast(pa.schema([pa.field(field.name, _nullable(field.type)) for field in table.schema]))


def _nullable(kind: pa.DataType) -> pa.DataType:
    """The engine marks what cannot be null; the types of the schema do not."""
    return pa.list_(_nullable(kind.value_type)) if isinstance(kind, pa.ListType) else kind
