"""Elements of lists as columns of their own: `a3` of an audit record is the fourth of `process_args`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute
from luytre_common.schema import Column, Kind, Maker

pc: Any = pyarrow.compute  # the stubs know each kernel by the exact type of its arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Element(Column):
    """The element of the list `of` at `index`, from 0; absent where the list is shorter.

    Its name is how ClickHouse calls it, counting from 1; past the end that is the empty string.
    """

    of: Column
    index: int


def element(of: Column, index: int) -> Element:
    """An element of a list of texts."""
    name = f"{of.name}[{index + 1}]"
    meaning = f"Element {index} of {of.name}"
    return Element(name=name, kind=Kind.TEXT, meaning=meaning, maker=Maker.SQL, alias=name, of=of, index=index)


def elements(lists: Any, index: int) -> Any:
    """The same of an Arrow list array without nulls; '' where a list is shorter."""
    starts = lists.offsets.slice(0, len(lists))
    places = pc.if_else(
        pc.greater(pc.list_value_length(lists), index), pc.add(starts, index), pa.scalar(None, pa.int32())
    )
    return pc.fill_null(lists.values.take(places), "")
