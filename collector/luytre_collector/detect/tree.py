"""What a rule says, as a frozen tree: And, Or, Not over leaves; every Sigma modifier is already applied.

Logic is two-valued. Absent is the zero of the column's type ('', 0, '::', []), and there is no null:

* a leaf about text or an address is false when the value is absent (so `*` means: present);
* a number is compared as it is: user id 0 is root, and `null` on a number means 0;
* a leaf on a list is true when any element makes it true;
* `not` of false is true.

Text is compared folded (see `fold`), unless a leaf is `cased`. Build nodes with `conj`, `disj`, `neg` and the functions
of `leaves`, which simplify; `sql` and `stream` read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from luytre_common.schema import Column, Kind

from luytre_collector.detect.fold import fold


class How(Enum):
    """How a text leaf compares its literal to the value."""

    EXACT = "exact"
    CONTAINS = "contains"
    STARTS = "startswith"
    ENDS = "endswith"


class Wild(Enum):
    """A wildcard inside a glob."""

    MANY = "*"  # any number of characters, also none
    ONE = "?"  # exactly one character (code point)


@dataclass(frozen=True, slots=True)
class Const:
    """Always true or always false."""

    value: bool


@dataclass(frozen=True, slots=True)
class And:
    """True when every child is."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True when any child is."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the child is not."""

    child: Node


@dataclass(frozen=True, slots=True)
class Text:
    """A literal in a text; `value` is not empty, and folded unless `cased`."""

    column: Column
    how: How
    value: str
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Glob:
    """A whole text against a pattern with wildcards; literal parts are folded unless `cased`."""

    column: Column
    parts: tuple[str | Wild, ...]
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """An RE2 pattern found anywhere in the text as it is (not folded). The flags are part of the pattern."""

    column: Column
    pattern: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """An address between two others, both included; 16 bytes each, IPv4 as ::ffff:a.b.c.d."""

    column: Column
    low: bytes
    high: bytes


Operator = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Number:
    """A number against a whole number."""

    column: Column
    operator: Operator
    value: int


@dataclass(frozen=True, slots=True)
class Present:
    """The value is not its type's zero."""

    column: Column


@dataclass(frozen=True, slots=True)
class SameAs:
    """A column against another column of the same kind; false when either is absent."""

    column: Column
    how: How
    other: Column
    cased: bool = False


Leaf = Text | Glob | Regex | Addresses | Number | Present | SameAs
Node = Const | And | Or | Not | Leaf

TRUE = Const(True)
FALSE = Const(False)


def conj(nodes: Iterable[Node]) -> Node:
    """All of `nodes`, simplified; true if there are none."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.children if isinstance(node, And) else (node,))
    if FALSE in flat:
        return FALSE
    rest = tuple(dict.fromkeys(node for node in flat if node != TRUE))
    return rest[0] if len(rest) == 1 else And(rest) if rest else TRUE


def disj(nodes: Iterable[Node]) -> Node:
    """Any of `nodes`, simplified; false if there are none."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.children if isinstance(node, Or) else (node,))
    if TRUE in flat:
        return TRUE
    rest = tuple(dict.fromkeys(node for node in flat if node != FALSE))
    return rest[0] if len(rest) == 1 else Or(rest) if rest else FALSE


def neg(node: Node) -> Node:
    """Not `node`, simplified."""
    match node:
        case Const(value):
            return Const(not value)
        case Not(child):
            return child
        case _:
            return Not(node)


def leaves(node: Node) -> Iterator[Leaf]:
    """Every leaf, in order."""
    stack: list[Node] = [node]
    while stack:
        one = stack.pop()
        match one:
            case And(children) | Or(children):
                stack.extend(reversed(children))
            case Not(child):
                stack.append(child)
            case Const():
                pass
            case _:
                yield one


def conjuncts(node: Node) -> tuple[Node, ...]:
    """Nodes that must all hold for `node` to hold, and that suffice."""
    return node.children if isinstance(node, And) else (node,)


def depth(node: Node) -> int:
    """How many nodes stand above each other; every engine walks a tree by calling itself."""
    deepest = 0
    stack: list[tuple[Node, int]] = [(node, 1)]
    while stack:
        one, level = stack.pop()
        deepest = max(deepest, level)
        match one:
            case And(children) | Or(children):
                stack.extend((child, level + 1) for child in children)
            case Not(child):
                stack.append((child, level + 1))
            case _:
                pass
    return deepest


def columns(node: Node) -> tuple[Column, ...]:
    """The columns that decide, each once, in order."""
    found: dict[Column, None] = {}
    for leaf in leaves(node):
        found[leaf.column] = None
        if isinstance(leaf, SameAs):
            found[leaf.other] = None
    return tuple(found)


def glob_regex(parts: Iterable[str | Wild]) -> str:
    """The RE2 pattern of a glob: the whole text, where `.` also matches a line break."""
    pieces = [
        "" if part == "" else ".*" if part is Wild.MANY else "." if part is Wild.ONE else quote(str(part))
        for part in parts
    ]
    return "(?s)^" + "".join(pieces) + "$"


def quote(literal: str) -> str:
    """`literal` as an RE2 pattern: every ASCII character that is not a letter or digit escaped."""
    return "".join(char if char.isalnum() or ord(char) >= 128 else f"\\x{ord(char):02x}" for char in literal)


#: Columns whose few values are in most rows: finding one says nothing.
_COMMON = frozenset(
    {
        "attribution_method",
        "connection_history",
        "connection_state",
        "dns_header_flags",
        "dns_question_class",
        "dns_question_type",
        "dns_response_code",
        "event_action",
        "event_source",
        "flow_end_reason",
        "network_direction",
        "network_protocol",
        "network_transport",
        "stream",
        "tls_version",
    }
)

#: A part of a necessary literal is necessary too, and Hyperscan refuses very long ones.
_LONGEST = 64

#: A text that must occur in the folded value of a column for a rule to be true.
Witness = tuple[Column, str]


def witnesses(node: Node) -> frozenset[Witness] | None:
    """Necessary literals: when `node` is true, at least one of them occurs in its column. None if there are none.

    Every leaf implies the folded form of its own literal; an `or` needs one of each branch; an `and` may choose its
    best child; a `not` implies nothing.
    """
    match node:
        case Text(column) | Glob(column) if column.kind is Kind.IP or column.name in _COMMON:
            return None  # an address is stored as 16 bytes, not as text
        case Text(column, _, value, _):
            return frozenset({(column, fold(value)[:_LONGEST])})
        case Glob(column, parts, _):
            literals = [part for part in parts if isinstance(part, str)]
            return frozenset({(column, fold(max(literals, key=len))[:_LONGEST])}) if literals else None
        case And(children):
            known = [found for child in children if (found := witnesses(child)) is not None]
            return min(known, key=_cost) if known else None
        case Or(children):
            every = [witnesses(child) for child in children]
            if any(found is None for found in every):
                return None
            return frozenset().union(*(found for found in every if found is not None))
        case Const(False):
            return frozenset()
        case _:
            return None


def _cost(found: frozenset[Witness]) -> tuple[float, int]:
    """How often a set of witnesses will be seen, roughly: short literals and few-valued columns are seen often."""
    each = (26.0 ** -min(len(literal), 6) * (1.0 if column.kind is Kind.TEXT else 1000.0) for column, literal in found)
    return sum(each), len(found)
