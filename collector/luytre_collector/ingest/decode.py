"""A batch body to columns: exactly the table's agent-made columns, in order, checked to the last byte.

Older agents lack columns: they become zeros. Newer agents bring columns that this collector does not know: they are
dropped and counted. Everything else that differs from the column table is refused.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import zstandard
from luytre_common.schema import Column, Kind
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.columns import arrow_type, schema_of, zeros
from luytre_collector.ingest import ipc
from luytre_collector.ingest.admit import Admitted, Refused


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows of a batch, and the names of columns that were dropped because no table here has them."""

    rows: pa.Table
    unknown_columns: tuple[str, ...] = ()


class _BadBodyError(Exception):
    """Why a body is refused."""


def decode(batch: Admitted) -> Decoded | Refused:
    """Open the body. Memory is bounded by `body_size`, whatever the bytes say."""
    try:
        stream = _inflate(batch)
        ipc.check(memoryview(stream))
        record = _read(stream)
        if record.num_rows != batch.row_count:
            raise _BadBodyError(f"{record.num_rows} rows in the body, row_count says {batch.row_count}")
        return _conform(record, batch)
    except (_BadBodyError, ipc.BadStreamError) as error:
        return Refused(pb.REFUSAL_CODE_BAD_BODY, str(error))


def _inflate(batch: Admitted) -> bytes:
    if not batch.zstd:
        return batch.body
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(batch.body)) as reader:
            stream = reader.read(batch.body_size + 1)
    except zstandard.ZstdError as error:
        raise _BadBodyError(f"not a zstd frame: {error}") from None
    if len(stream) != batch.body_size:
        more = "more than " if len(stream) > batch.body_size else ""
        raise _BadBodyError(
            f"body holds {more}{min(len(stream), batch.body_size)} bytes, body_size says {batch.body_size}"
        )
    return stream


def _read(stream: bytes) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
            record = reader.read_next_batch()
        record.validate(full=True)
    except (pa.ArrowException, OSError, StopIteration, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())[:200]
        raise _BadBodyError(f"not a sound Arrow stream: {line or type(error).__name__}") from None
    return record


def _conform(record: pa.RecordBatch, batch: Admitted) -> Decoded:
    names = record.schema.names
    if len(set(names)) != len(names):
        raise _BadBodyError("two columns have the same name")
    columns = batch.table.agent_columns
    arrays = [
        _column(record, column) if column.name in names else zeros(column.kind, record.num_rows) for column in columns
    ]
    known = {column.name for column in columns}
    rows = pa.Table.from_arrays(arrays, schema=schema_of(columns))
    return Decoded(rows, tuple(name for name in names if name not in known))


def _column(record: pa.RecordBatch, column: Column) -> Any:
    array: Any = record.column(column.name)
    wanted = arrow_type(column.kind)
    if array.type != wanted:
        if not _same_list(array.type, wanted):
            raise _BadBodyError(f"column {column.name} is {array.type}, not {wanted}")
        array = array.cast(wanted)
    if array.null_count or _inner_nulls(array, column.kind):
        raise _BadBodyError(f"column {column.name} holds nulls; absent is the type's zero")
    return array


def _same_list(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Lists may name their item otherwise, or say that it is never null."""
    return pa.types.is_list(given) and pa.types.is_list(wanted) and given.value_type == wanted.value_type


def _inner_nulls(array: Any, kind: Kind) -> bool:
    if kind is Kind.NAME:
        return bool(array.dictionary.null_count)
    if kind in (Kind.TEXTS, Kind.U32S):
        return bool(array.flatten().null_count)
    return False
