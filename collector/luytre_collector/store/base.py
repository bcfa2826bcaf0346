"""What a store is: the same SQL and DDL on the embedded engine and on a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
from luytre_common.errors import LuytreError, UserError

#: What rows of a table are numbered in: agent_id, boot_id, stream.
Numbering = tuple[str, str, str]


class StoreError(LuytreError):
    """The store refused a statement for good: wrong SQL, wrong types."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached, is full, or is read-only for now: try again later, with the same token.

    Usually nothing was inserted; where the answer was lost, the token tells. `cause` is one of few words, by which
    retries are counted: `unreachable`, `timeout`, or ClickHouse's name of the error in small letters.
    """

    def __init__(self, message: str, cause: str = "unreachable") -> None:
        super().__init__(message)
        self.cause = cause


class OldServerError(StoreUnavailableError, UserError):
    """The server is too old: at the start the operator's mistake, later a reason to wait for a better host."""

    exit_code = UserError.exit_code

    def __init__(self, message: str) -> None:
        super().__init__(message, "old_version")


class QueryRefusedError(StoreError, UserError):
    """A person's SQL is wrong, or asks for more than a person may: the person's mistake, told in one line."""

    exit_code = UserError.exit_code


class Reading(Protocol):
    """Questions in, Arrow out."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT. Parameters are ClickHouse's, `{name:Type}` in the SQL: str, int, float, bool or lists of these.

        Columns come back as the schema's Arrow types (LowCardinality as a dictionary, IPv6 as 16 bytes, DateTime64(6)
        as timestamp[us, UTC]). The session's zone is UTC. A DateTime, as from `toStartOfHour`, comes back as seconds
        (uint32) from the embedded engine; ask for `toDateTime64(..., 6, 'UTC')`.
        """


class Statements(Reading, Protocol):
    """What those need of a store who look after its tables."""

    def command(self, statement: str) -> None:
        """Run a statement of ours that returns nothing, with all rights."""


class Store(Statements, Protocol):
    """Rows in, SQL out. Safe to call from several threads."""

    def open(self) -> None:
        """Connect. StoreUnavailableError, or UserError naming the remedy (folder locked by another collector)."""

    def migrate(self) -> Sequence[str]:
        """Bring the schema to today's; returns what was done, one line each; a second call returns nothing."""

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """Insert rows (the table's stored columns, in order, canonical Arrow types) whole, or raise and insert none.

        `token` names the rows: an insert with a token that was just used changes nothing.
        """

    def query_text(self, sql: str, form: str, utc: bool = False) -> bytes:
        """Run a read-only statement for a person; `form` is a ClickHouse output format (JSONEachRow, CSVWithNames...).

        Times are shown and read in the zone of the configuration, unless `utc`. QueryRefusedError, in one line, for
        wrong SQL, for what is not reading, and for what exceeds the limits on time, rows and memory.
        """

    def last_sequences(self, table: str, numberings: Sequence[Numbering]) -> Mapping[Numbering, int]:
        """The largest stored sequence of each numbering that has one. From the tables, not from memory.

        A thousand in one question cost little more than one: the engine's work is mostly in planning.
        """

    def close(self) -> None:
        """Finish what runs, release everything."""
