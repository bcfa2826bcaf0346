"""A batch as the matcher wants it: plain arrays without nulls, dictionaries in one piece, derived columns filled in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from luytre_common.schema import Column, Kind

from luytre_collector.detect.elements import Element, elements
from luytre_collector.detect.fold import fold_arrow

_ZEROS: dict[Kind, Any] = {
    Kind.U8: 0,
    Kind.U16: 0,
    Kind.U32: 0,
    Kind.U64: 0,
    Kind.I32: 0,
    Kind.TIME: 0,
    Kind.IP: bytes(16),
    Kind.TEXT: "",
    Kind.NAME: "",
    Kind.TEXTS: [],
    Kind.U32S: [],
}
_PLAIN = {
    Kind.TEXT: pa.string(),
    Kind.NAME: pa.string(),
    Kind.TEXTS: pa.list_(pa.string()),
    Kind.U32S: pa.list_(pa.uint32()),
    Kind.IP: pa.binary(16),
}


class Batch:
    """The columns of some rows of one table, each prepared once and only when asked for."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self._arrays: dict[str, Any] = {}
        self._folded: dict[str, Any] = {}

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def array(self, column: Column) -> Any:
        """One array: dictionary-coded if the batch has it so, else plain; absent values are zeros, never null."""
        found = self._arrays.get(column.name)
        if found is None:
            found = self._arrays[column.name] = self._prepare(column)
        return found

    def _prepare(self, column: Column) -> Any:
        if column.name == "flow_duration" and "flow_duration" not in self.rows.column_names:
            ends, starts = (self.rows[name].cast(pa.int64()) for name in ("flow_end", "flow_start"))
            durations: Any = pc.max_element_wise(pc.subtract(ends, starts), pa.scalar(0, pa.int64()))
            return durations.cast(pa.uint64()).combine_chunks()
        if isinstance(column, Element):
            return elements(self.array(column.of), column.index)
        if column.name not in self.rows.column_names:
            return pa.array([_ZEROS[column.kind]] * len(self), type=_PLAIN.get(column.kind))
        chunks = self.rows.select([column.name]).unify_dictionaries()[column.name]
        if isinstance(chunks.type, pa.DictionaryType) and chunks.null_count:
            chunks = chunks.cast(pa.string())
        array: Any = chunks.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # pyarrow keeps an empty or a single chunk wrapped
            array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)
        if array.null_count:
            array = _fill(array, column)
        return array

    def values(self, column: Column, folded: bool) -> Any:
        """What there is to look at: the distinct values of a dictionary, the elements of a list, or the values."""
        key = f"{column.name}/{folded}"
        found = self._folded.get(key)
        if found is None:
            array = self.array(column)
            if isinstance(array, pa.DictionaryArray):
                array = array.dictionary
            elif isinstance(array, pa.ListArray):
                array = array.flatten()
            if array.null_count:
                array = pc.fill_null(array, "")
            found = self._folded[key] = fold_arrow(array) if folded else array
        return found

    def part(self, rows: Any) -> Batch:
        """Some of the rows, by their indices (Arrow array of int64), as a batch of their own."""
        return _Part(self, rows)

    def take(self, column: Column, folded: bool, rows: Any) -> list[Any]:
        """The values of some rows as Python objects."""
        array = self.array(column)
        if isinstance(array, pa.DictionaryArray):
            values, indices = self.values(column, folded), array.indices.take(rows)
            if len(values) < len(indices):  # each value becomes a Python object once
                return list(map(values.to_pylist().__getitem__, indices.to_pylist()))
            return list(values.take(indices).to_pylist())
        if isinstance(array, pa.ListArray):
            lists = array.take(rows)
            if folded:
                lists = pa.ListArray.from_arrays(lists.offsets, fold_arrow(lists.values))
            return list(lists.to_pylist())
        taken = array.take(rows)
        return list((fold_arrow(taken) if folded else taken).to_pylist())


class _Part(Batch):
    """Some rows of another batch. Dictionaries are that batch's, so they are folded once."""

    def __init__(self, whole: Batch, picked: Any) -> None:
        super().__init__(whole.rows)
        self._whole = whole
        self._picked = picked

    def __len__(self) -> int:
        return len(self._picked)

    def _prepare(self, column: Column) -> Any:
        if isinstance(column, Element):
            return elements(self.array(column.of), column.index)
        return self._whole.array(column).take(self._picked)

    def values(self, column: Column, folded: bool) -> Any:
        if isinstance(self.array(column), pa.DictionaryArray):
            return self._whole.values(column, folded)
        return super().values(column, folded)


def _fill(array: Any, column: Column) -> Any:
    if isinstance(array, pa.ListArray):
        return pa.array([value or [] for value in array.to_pylist()], type=array.type)
    return pc.fill_null(array, pa.scalar(_ZEROS[column.kind], type=array.type))


def rows_of(batch: Batch, column: Column, hits: Sequence[int]) -> Any:
    """The rows (Arrow array of int64, ascending) whose value, or one of whose elements, has one of these indices."""
    array = batch.array(column)
    wanted = pa.array(hits)
    if isinstance(array, pa.DictionaryArray):
        return pc.indices_nonzero(pc.is_in(array.indices, value_set=wanted.cast(array.indices.type))).cast(pa.int64())
    if isinstance(array, pa.ListArray):
        return pc.unique(pc.list_parent_indices(array).take(wanted)).cast(pa.int64())
    return wanted.cast(pa.int64())
