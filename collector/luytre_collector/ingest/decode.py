"""A batch body to columns: exactly the table's agent-made columns, in order, checked to the last byte.

Older agents lack columns: they become zeros. Newer agents bring columns that this collector does not know: they are
dropped and counted. Times that no calendar has (a broken clock, a corrupt capture) are moved to the nearest one that
has a place in the tables, and counted. Everything else that differs from the column table is refused.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import zstandard
from luytre_common.schema import Column, Kind
from luytre_common.wire.v1 import ingest_pb2 as pb

from luytre_collector.columns import arrow_type, schema_of, zeros
from luytre_collector.ingest import ipc
from luytre_collector.ingest.admit import MAX_TIME_US, Admitted, Refused


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows of a batch; the names of columns that were dropped because no table here has them; how many times were
    moved to 1970 or 2200."""

    rows: pa.Table
    unknown_columns: tuple[str, ...] = ()
    moved_times: int = 0


_ZSTD = pa.Codec("zstd")


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
    except UnicodeDecodeError:
        return Refused(pb.REFUSAL_CODE_BAD_BODY, "a column's name is not UTF-8")
    except pa.ArrowException as error:
        return Refused(pb.REFUSAL_CODE_BAD_BODY, f"columns cannot be read: {_one_line(error)}")


def _inflate(batch: Admitted) -> pa.Buffer:
    body = pa.py_buffer(batch.body)
    if not batch.zstd:
        return body
    try:
        if zstandard.frame_content_size(batch.body) == batch.body_size:
            made: pa.Buffer = _ZSTD.decompress(body, decompressed_size=batch.body_size)
            return made
    except (zstandard.ZstdError, OSError):  # not one sound frame of this size: what is wrong is found below
        pass
    return pa.py_buffer(_inflate_slowly(batch))


def _inflate_slowly(batch: Admitted) -> bytes:
    """For frames that do not say how long they are, and for good reasons why a frame is refused."""
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


def _read(stream: pa.Buffer) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(stream) as reader:
            record = reader.read_next_batch()
        record.validate(full=True)
    except (pa.ArrowException, OSError, StopIteration, UnicodeDecodeError) as error:
        raise _BadBodyError(f"not a sound Arrow stream: {_one_line(error)}") from None
    return record


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _conform(record: pa.RecordBatch, batch: Admitted) -> Decoded:
    names = record.schema.names
    if len(set(names)) != len(names):
        raise _BadBodyError("two columns have the same name")
    columns = batch.table.agent_columns
    arrays = []
    moved = 0
    for column in columns:
        if column.name not in names:
            arrays.append(zeros(column.kind, record.num_rows))
            continue
        array = _column(record, column)
        if column.kind is Kind.TIME:
            array, count = _possible(array)
            moved += count
        arrays.append(array)
    known = {column.name for column in columns}
    rows = pa.Table.from_arrays(arrays, schema=schema_of(columns))
    return Decoded(rows, tuple(name for name in names if name not in known), moved)


def _possible(times: Any) -> tuple[Any, int]:
    """The times, inside 1970 to 2200, and how many were not."""
    numbers: Any = times.view(pa.int64())
    least, most = (found.as_py() for found in pc.min_max(numbers).values())
    if least is None or (least >= 0 and most <= MAX_TIME_US):
        return times, 0
    low: Any = pa.scalar(0, pa.int64())
    high: Any = pa.scalar(MAX_TIME_US, pa.int64())
    outside: Any = pc.or_(pc.less(numbers, low), pc.greater(numbers, high))
    count = int(pc.sum(outside).as_py() or 0)
    inside: Any = pc.max_element_wise(pc.min_element_wise(numbers, high), low)
    return inside.view(times.type), count


def _column(record: pa.RecordBatch, column: Column) -> Any:
    array: Any = record.column(column.name)
    wanted = arrow_type(column.kind)
    if array.type != wanted:
        if not _same_list(array.type, wanted):
            raise _BadBodyError(f"column {column.name} is {str(array.type)[:100]}, not {wanted}")
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
