"""What a column and a table are, and the columns that every table begins with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property


class Kind(Enum):
    """The type of a column: as Arrow carries it on the wire and as ClickHouse stores it.

    Absent is the type's zero: 0, the empty string, the empty list, `::`. There is no null (see the design of rules:
    logic is two-valued).
    """

    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    I32 = "i32"
    TIME = "time"  # microseconds since 1970-01-01 UTC
    IP = "ip"  # 16 bytes, network order; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2)
    TEXT = "text"  # UTF-8; invalid bytes are replaced by U+FFFD where they are read
    NAME = "name"  # UTF-8 of few distinct values: dictionary-coded on the wire, LowCardinality at rest
    TEXTS = "texts"  # list of TEXT
    U32S = "u32s"  # list of U32

    @property
    def arrow(self) -> str:
        """The Arrow type, as pyarrow prints it."""
        return _ARROW[self]

    @property
    def clickhouse(self) -> str:
        """The ClickHouse type."""
        return _CLICKHOUSE[self]


_ARROW = {
    Kind.U8: "uint8",
    Kind.U16: "uint16",
    Kind.U32: "uint32",
    Kind.U64: "uint64",
    Kind.I32: "int32",
    Kind.TIME: "timestamp[us, tz=UTC]",
    Kind.IP: "fixed_size_binary[16]",
    Kind.TEXT: "string",
    Kind.NAME: "dictionary<values=string, indices=int32, ordered=0>",
    Kind.TEXTS: "list<item: string>",
    Kind.U32S: "list<item: uint32>",
}

_CLICKHOUSE = {
    Kind.U8: "UInt8",
    Kind.U16: "UInt16",
    Kind.U32: "UInt32",
    Kind.U64: "UInt64",
    Kind.I32: "Int32",
    Kind.TIME: "DateTime64(6, 'UTC')",
    Kind.IP: "IPv6",
    Kind.TEXT: "String",
    Kind.NAME: "LowCardinality(String)",
    Kind.TEXTS: "Array(String)",
    Kind.U32S: "Array(UInt32)",
}


#: A skip index for "is it this value": one in forty blocks is read for nothing.
VALUES = "bloom_filter(0.025)"


def words(size: int) -> str:
    """A skip index for whole words of a text, `size` bytes for each block of 8192 rows."""
    return f"tokenbf_v1({size}, 2, 0)"


class Maker(Enum):
    """Who fills a column."""

    AGENT = "agent"  # in the body of a batch
    COLLECTOR = "collector"  # stamped or computed on arrival
    SQL = "sql"  # an ALIAS: computed when asked for, not stored


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    name: the ECS field with dots as underscores; where ECS has none, Zeek's term.
    meaning: one line, with the unit and the source of a format.
    codec: ClickHouse codec expression, empty for what suits the kind (see the collector's `store.ddl`).
    sigma: names by which Sigma rules may call it, besides its own.
    elements: of a list, the word before the number by which Sigma rules call its elements: `a` for a0, a1, a2.
    alias: the SQL expression of an ALIAS column.
    example: a value as the documentation shows it.
    """

    name: str
    kind: Kind
    meaning: str
    codec: str = ""
    sigma: tuple[str, ...] = ()
    elements: str = ""
    maker: Maker = Maker.AGENT
    alias: str = ""
    example: str = ""


@dataclass(frozen=True)
class Table:
    """One table: its columns and how ClickHouse keeps it.

    event_time: the column that says when the row happened; rules and windows go by it.
    order_by: the primary key, "this host, this time".
    partition_by: by day of arrival, so that a batch, which arrives at one moment, is inserted into one partition whole;
    empty for no partitions.
    engine: a MergeTree of ClickHouse.
    indexes: skip indexes: a column's name, and the type of its index as ClickHouse writes it.
    from_agent: whether agents may send rows of it.
    numbered: whether its rows are numbered by who makes them; it then ends with the common columns. The others are
    registers: one row for each key, the newest counts.
    """

    name: str
    meaning: str
    own_columns: tuple[Column, ...]
    event_time: str
    order_by: tuple[str, ...]
    partition_by: str = "toDate(collector_time)"
    engine: str = "MergeTree"
    indexes: tuple[tuple[str, str], ...] = ()
    from_agent: bool = True
    numbered: bool = True

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """All columns in the order of the table: the table's own, then the common ones if its rows are numbered."""
        return self.own_columns + (COMMON if self.numbered else ())

    @cached_property
    def agent_columns(self) -> tuple[Column, ...]:
        """The columns that a batch body carries, in order."""
        return tuple(column for column in self.columns if column.maker is Maker.AGENT)

    @cached_property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns that an insert names, in order: all but the aliases."""
        return tuple(column for column in self.columns if column.maker is not Maker.SQL)

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError if there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}


COMMON: tuple[Column, ...] = (
    Column(
        "agent_id",
        Kind.NAME,
        "Identity of the sender: the common name of its certificate",
        maker=Maker.COLLECTOR,
        example="web-01",
    ),
    Column(
        "host_name",
        Kind.NAME,
        "Host name as the agent states it",
        maker=Maker.COLLECTOR,
        sigma=("host", "ComputerName", "Computer"),
        example="web-01.hue.example",
    ),
    Column(
        "boot_id",
        Kind.NAME,
        "One numbering of rows: a UUID, new with every host boot and every new spool",
        maker=Maker.COLLECTOR,
        example="0d4f6c0e-3f0b-4a5e-9d0e-0f5a1d2b3c4d",
    ),
    Column("stream", Kind.NAME, "Name of the numbering within the boot", maker=Maker.COLLECTOR, example="flows"),
    Column(
        "sequence",
        Kind.U64,
        "Number of the row in (agent_id, boot_id, stream), from 0, without gaps",
        codec="Delta, ZSTD",
        maker=Maker.COLLECTOR,
        example="1042",
    ),
    Column(
        "agent_time",
        Kind.TIME,
        "When the agent sealed the batch, by the agent's clock",
        codec="Delta, ZSTD",
        maker=Maker.COLLECTOR,
        example="2026-11-23 02:11:05.000000",
    ),
    Column(
        "collector_time",
        Kind.TIME,
        "When the collector received the batch, by its clock; the partition is its day",
        codec="Delta, ZSTD",
        maker=Maker.COLLECTOR,
        example="2026-11-23 02:11:05.100000",
    ),
)
