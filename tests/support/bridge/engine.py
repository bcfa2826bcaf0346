"""Statements, parameters and blocks to chDB, each query on a connection of its own (opening one takes under 1 ms)."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import chdb

from tests.support.bridge.wire import Block, Setting, split_native

UNKNOWN_SETTING, NOT_IMPLEMENTED, SUPPORT_IS_DISABLED = 115, 48, 344


class EngineError(Exception):
    """What chDB, or the bridge in its name, says is wrong, with ClickHouse's code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        found = re.search(r"Code: (\d+)\. (?:DB::\w+: )?(.*)", str(error), re.DOTALL)
        if found is None:
            raise
        raise EngineError(int(found[1]), found[2]) from None


@dataclass(frozen=True)
class Insert:
    """`INSERT INTO table (columns) VALUES`, whose rows come as blocks."""

    statement: str
    table: str
    columns: str


_INSERT = re.compile(
    r"\s*(INSERT\s+INTO\s+(?:TABLE\s+)?([\w.`]+)\s*(?:\(([^()]*)\))?)\s*(?:VALUES|FORMAT\s+Native)\s*", re.IGNORECASE
)


def as_insert(sql: str) -> Insert | None:
    """The statement as an insert that waits for blocks; None for any other."""
    found = _INSERT.fullmatch(sql)
    return Insert(found[1], found[2], found[3] or "*") if found else None


class Engine:
    """chDB with its folder; stops when it is closed."""

    def __init__(self, folder: str, config: str = "") -> None:
        self._target = f"{folder}?config-file={config}" if config else folder
        self._anchor = chdb.connect(self._target)  # the engine lives as long as a connection

    def close(self) -> None:
        self._anchor.close()

    @contextlib.contextmanager
    def session(self, database: str, settings: Mapping[str, Setting] | None = None) -> Iterator[Session]:
        """A connection with these settings; EngineError for a database or an important setting that is not there."""
        connection = chdb.connect(self._target)
        try:
            if database != "default":  # where every connection begins; USE would ask for a right to see it
                with _faults():
                    connection.query(f"USE `{database}`")
            session = Session(connection)
            given = dict(settings or {})
            last = given.pop("readonly", None)  # after it nothing can be set
            for name, setting in [*given.items(), *([("readonly", last)] if last else [])]:
                try:
                    session.command(f"SET `{name}` = {_literal(setting.value)}")
                except EngineError as error:
                    if setting.important or error.code != UNKNOWN_SETTING:
                        raise
            yield session
        finally:
            connection.close()


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Session:
    """One connection to the engine."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def command(self, sql: str) -> None:
        with _faults():
            self._connection.query(sql)

    def select(self, sql: str, parameters: Mapping[str, str] | None = None) -> list[Block]:
        """The answer: a block without rows that names the columns, then the rows. Empty for what has no answer."""
        with _faults():
            blocks = split_native(bytes(self._connection.query(sql, "Native", dict(parameters or {})).bytes()))
        if not re.match(r"[\s(]*(SELECT|WITH|FROM)\b", sql, re.IGNORECASE):
            return [blocks[0].header, *blocks] if blocks else []
        if not blocks or "DateTime" in " ".join(blocks[0].types):  # in files, the zone of a DateTime is left out
            described = self._describe(f"DESCRIBE ({sql.rstrip().removesuffix(';')})", parameters)
            return [described, *(replace(block, types=described.types) for block in blocks if block.rows)]
        return [blocks[0].header, *(block for block in blocks if block.rows)]

    def sample(self, insert: Insert) -> Block:
        """The columns that an insert expects."""
        return self._describe(f"DESCRIBE (SELECT {insert.columns} FROM {insert.table})", None)

    def insert(self, insert: Insert, blocks: Sequence[Block]) -> None:
        """All blocks, or none. Through a file, because `send_insert` of chDB 4.4 keeps some errors to itself."""
        with _faults(), tempfile.NamedTemporaryFile(prefix="bridge-", suffix=".native") as file:
            for block in blocks:
                file.write(block.native)
            file.flush()
            self._connection.query(f"{insert.statement} FROM INFILE {_literal(file.name)} FORMAT Native")

    def temporary(self, name: str, block: Block) -> None:
        """External data of a query, as a temporary table."""
        columns = ", ".join(f"`{one}` {kind}" for one, kind in zip(block.names, block.types, strict=True))
        self.command(f"CREATE TEMPORARY TABLE `{name}` ({columns})")
        self.insert(Insert(f"INSERT INTO `{name}`", name, "*"), [block])

    def _describe(self, sql: str, parameters: Mapping[str, str] | None) -> Block:
        with _faults():
            text = bytes(self._connection.query(sql, "TSVRaw", dict(parameters or {})).bytes()).decode()
        pairs = [line.split("\t") for line in text.splitlines()]
        return Block([pair[0] for pair in pairs], [pair[1] for pair in pairs])
