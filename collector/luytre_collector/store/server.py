"""The store on a ClickHouse server or cluster, over the native protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from clickhouse_driver import Client, errors
from luytre_common.errors import UserError

from luytre_collector.store import columns, migrate, readonly, sql
from luytre_collector.store.base import StoreError, StoreUnavailableError
from luytre_collector.store.errors import query_error, store_error
from luytre_collector.store.pool import Pool
from luytre_collector.store.render import render
from luytre_collector.store.rows import prepare, table_named
from luytre_collector.store.server_config import Config as Config


class ServerStore:
    """See `Store`."""

    def __init__(self, config: Config, people: readonly.Config) -> None:
        self._config = config
        self._people = people
        self._pools: dict[str, Pool[Client]] = {}

    def open(self) -> None:
        """Connect once, to know that it is possible."""
        connect = _connector(self._config)
        self._pools = {
            database: Pool(lambda database=database: connect(database), Client.disconnect, size=4)  # type: ignore[misc]
            for database in ("default", sql.DATABASE, sql.LOCAL_DATABASE)
        }
        try:
            self.command("SELECT 1")
        except StoreError:
            self.close()
            raise

    def migrate(self) -> Sequence[str]:
        """See `Store.migrate`."""
        return migrate.migrate(_Migration(self), self._people.time_zone)

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing of interest, with all rights of the user."""
        with self._client("default") as client, _mapped():
            client.execute(statement)

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See `Store.insert`."""
        definition = table_named(table)
        prepared = prepare(definition, rows)
        if not prepared.num_rows:
            return
        data = columns.to_driver(definition, prepared)
        settings = {**sql.INSERT_SETTINGS, "insert_deduplication_token": token, "insert_block_size": 1 << 20}
        statement = f"INSERT INTO {sql.DATABASE}.{table} ({sql.column_list(definition)}) VALUES"
        with self._client(sql.DATABASE) as client, _mapped(table):
            client.execute(statement, data, columnar=True, settings=settings)

    def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """See `Store.query`."""
        return self.query_in(sql.DATABASE, sql_text, parameters)

    def query_in(self, database: str, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT beside another default database."""
        with self._client(database) as client, _mapped():
            data, types = client.execute(
                sql_text,
                _parameters(parameters),
                with_column_types=True,
                columnar=True,
                settings={"session_timezone": "UTC"},
            )
        return columns.to_arrow(types, data)

    def query_text(self, sql_text: str, form: str, utc: bool = False) -> bytes:
        """See `Store.query_text`."""
        readonly.check_form(form)
        zone, database = ("UTC", sql.DATABASE) if utc else (self._people.time_zone, sql.LOCAL_DATABASE)
        settings = {**readonly.settings(self._people, zone), "readonly": 1}
        with self._client(database) as client, _mapped(error=query_error):
            normal = client.execute(readonly.NORMALISE, {"statement": sql_text})
            readonly.check(str(normal[0][0]))
            data, types = client.execute(sql_text, with_column_types=True, columnar=True, settings=settings)
        return render(columns.to_arrow(types, data, for_people=True), form)

    def last_sequence(self, table: str, agent_id: str, boot_id: str, stream: str) -> int:
        """See `Store.last_sequence`."""
        found = self.query(
            sql.last_sequence(table_named(table)), {"agent_id": agent_id, "boot_id": boot_id, "stream": stream}
        )
        return int(found.column("last")[0].as_py()) if found.num_rows else -1

    def close(self) -> None:
        """See `Store.close`."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    @contextmanager
    def _client(self, database: str) -> Iterator[Client]:
        pool = self._pools.get(database)
        if pool is None:
            raise StoreUnavailableError("the store is not open")
        with pool.take() as client:
            yield client


@dataclass(frozen=True)
class _Migration:
    """The store before its databases are there."""

    store: ServerStore

    def command(self, statement: str) -> None:
        self.store.command(statement)

    def query(self, sql_text: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        return self.store.query_in("default", sql_text, parameters)


def _parameters(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """For the driver, which escapes strings and lists itself but would write True for a Bool."""
    return {name: int(value) if isinstance(value, bool) else value for name, value in (values or {}).items()}


@contextmanager
def _mapped(what: str = "", error: Callable[..., StoreError] | None = None) -> Iterator[None]:
    """The driver's exceptions as ours."""
    try:
        yield
    except errors.ServerException as fault:
        raise (
            error(fault.message, code=fault.code) if error else store_error(fault.message, what, fault.code)
        ) from None
    except (errors.TypeMismatchError, errors.UnknownTypeError, errors.CannotParseDomainError) as fault:
        raise StoreError(_line(fault)) from None
    except (errors.Error, EOFError, OSError) as fault:
        raise StoreUnavailableError(_line(fault)) from None


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__


def _connector(config: Config) -> Callable[[str], Client]:
    """Makes a client of a database; every fault of the configuration shows here, not at the first insert."""
    password = _password(config.password_file)
    for path in (config.authority, config.certificate, config.key):
        if path is not None and not path.is_file():
            raise UserError(f"{path}: no such file; see [store.server]")
    if config.compression != "none":
        _require_compression(config.compression)
    first, *others = config.hosts
    host, _, port = first.rpartition(":")
    given = {"ca_certs": config.authority, "certfile": config.certificate, "keyfile": config.key}

    def connect(database: str) -> Client:
        return Client(
            host=host.strip("[]"),
            port=int(port),
            alt_hosts=",".join(others) or None,
            database=database,
            user=config.user,
            password=password,
            secure=config.tls,
            compression=config.compression if config.compression != "none" else False,
            connect_timeout=config.connect_timeout_s,
            send_receive_timeout=config.timeout_s,
            client_name="luytre-collector",
            tcp_keepalive=True,
            settings={"server_side_params": True},
            **{name: str(path) for name, path in given.items() if path is not None},
        )

    return connect


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise UserError(f"{path}: no password in it ({error}); see store.server.password_file") from None


def _require_compression(method: str) -> None:
    from clickhouse_driver.compression import get_compressor_cls  # needs the extra packages

    try:
        get_compressor_cls(method)
    except (errors.UnknownCompressionMethod, RuntimeError):
        raise UserError(
            f"store.server.compression = {method}: install clickhouse-driver[{method}], or set none"
        ) from None
