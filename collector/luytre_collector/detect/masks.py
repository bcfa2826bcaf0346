"""A tree over a whole batch as Arrow kernels: for rules without a necessary literal. No Python object per row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute
from luytre_common.schema import Kind

from luytre_collector.detect.columnar import Batch
from luytre_collector.detect.predicates import NO_ADDRESS, check, needed, value_check
from luytre_collector.detect.tree import (
    Addresses,
    And,
    Const,
    Glob,
    How,
    Leaf,
    Node,
    Not,
    Number,
    Or,
    Present,
    Regex,
    SameAs,
    Text,
    glob_regex,
)

# The stubs know each kernel by the exact type of its arguments; here types are known only when rules are.
pc: Any = pyarrow.compute

_COMPARE = {"=": pc.equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}
_TEXTS = {How.EXACT: pc.equal, How.CONTAINS: pc.match_substring, How.STARTS: pc.starts_with, How.ENDS: pc.ends_with}


def mask(node: Node, batch: Batch) -> Any:
    """A boolean array, one per row, without nulls."""
    match node:
        case Const(value):
            return pa.array([value]).take(pa.array([0] * len(batch), pa.int32()))
        case And(children):
            found = mask(children[0], batch)
            for child in children[1:]:
                found = pc.and_(found, mask(child, batch))
            return found
        case Or(children):
            found = mask(children[0], batch)
            for child in children[1:]:
                found = pc.or_(found, mask(child, batch))
            return found
        case Not(child):
            return pc.invert(mask(child, batch))
        case SameAs():
            return _same_as(node, batch)
        case _:
            return _leaf(node, batch)


def _leaf(leaf: Leaf, batch: Batch) -> Any:
    array = batch.array(leaf.column)
    if isinstance(leaf, Present) and isinstance(array, pa.ListArray):
        return pc.greater(pc.list_value_length(array), 0)
    found = _values(leaf, batch)
    if isinstance(array, pa.DictionaryArray):
        return found.take(array.indices)
    if isinstance(array, pa.ListArray):
        rows = pc.unique(pc.list_parent_indices(array).filter(found))
        every = pa.array(range(len(batch)), rows.type)
        return pc.is_in(every, value_set=rows)
    return found


def _values(leaf: Leaf, batch: Batch) -> Any:
    """The leaf on every value that there is to look at."""
    column = leaf.column
    ((_, folded),) = needed(leaf)
    values = batch.values(column, folded)
    match leaf:
        case Text() | Glob() if column.kind is Kind.IP:  # rare: addresses compared as text
            distinct = values.dictionary_encode()
            decide = value_check(leaf)
            return pa.array([decide(one) for one in distinct.dictionary.to_pylist()], pa.bool_()).take(distinct.indices)
        case Text(_, how, literal, _):
            return _TEXTS[how](values, literal)
        case Glob(_, parts, _):
            return pc.match_substring_regex(values, glob_regex(parts))
        case Regex(_, pattern):
            return pc.and_(pc.not_equal(values, ""), pc.match_substring_regex(values, pattern))
        case Addresses(_, low, high):
            inside = pc.and_(pc.greater_equal(values, _address(low)), pc.less_equal(values, _address(high)))
            return pc.and_(inside, pc.not_equal(values, _address(NO_ADDRESS)))
        case Number(_, operator, number):
            return _COMPARE[operator](values, pa.scalar(number, values.type))
        case Present():
            zero = _address(NO_ADDRESS) if column.kind is Kind.IP else pa.scalar(_zero(values.type), values.type)
            return pc.not_equal(values, zero)
        case SameAs():
            raise TypeError("compares two columns, not one")


def _same_as(leaf: SameAs, batch: Batch) -> Any:
    wanted = sorted(needed(leaf))
    every = pa.array(range(len(batch)), pa.int64())
    known = {column.name: column for column in (leaf.column, leaf.other)}
    values = [batch.take(known[name], folded, every) for name, folded in wanted]
    decide = check(leaf, {key: at for at, key in enumerate(wanted)})
    return pa.array([decide(row) for row in zip(*values, strict=True)], pa.bool_())


def _address(value: bytes) -> Any:
    return pa.scalar(value, pa.binary(16))


def _zero(kind: Any) -> Any:
    return "" if pa.types.is_string(kind) else 0
