from __future__ import annotations

from luytre_collector.detect.tree import (
    FALSE,
    TRUE,
    And,
    Glob,
    How,
    Not,
    Or,
    Present,
    Text,
    Wild,
    columns,
    conj,
    disj,
    glob_regex,
    neg,
    witnesses,
)
from luytre_common.schema import TABLES

LINE = TABLES["processes"].column("process_command_line")
IMAGE = TABLES["processes"].column("process_executable")
ACTION = TABLES["processes"].column("event_action")
A, B = Text(LINE, How.CONTAINS, "alpha"), Text(IMAGE, How.ENDS, "/beta")


def test_simplification() -> None:
    assert conj([]) == TRUE
    assert disj([]) == FALSE
    assert conj([A, TRUE, And((A, B))]) == And((A, B))
    assert disj([A, Or((B, A)), FALSE]) == Or((A, B))
    assert conj([A, FALSE]) == FALSE
    assert neg(neg(A)) == A
    assert neg(TRUE) == FALSE


def test_witnesses_are_necessary_literals() -> None:
    assert witnesses(A) == {(LINE, "alpha")}
    assert witnesses(Text(LINE, How.EXACT, "Ab", cased=True)) == {(LINE, "ab")}
    assert witnesses(disj([A, B])) == {(LINE, "alpha"), (IMAGE, "/beta")}
    assert witnesses(conj([B, A])) == {(LINE, "alpha")}, "the column of many values is seldom hit for nothing"
    assert witnesses(Glob(LINE, (Wild.MANY, "ab", Wild.ONE, "abc"))) == {(LINE, "abc")}
    assert witnesses(disj([A, Present(LINE)])) is None
    assert witnesses(Not(A)) is None
    assert witnesses(Text(ACTION, How.EXACT, "exec")) is None, "it is in every row"


def test_columns_in_order() -> None:
    assert columns(conj([B, neg(A), B])) == (IMAGE, LINE)


def test_globs_quote_what_is_not_a_wildcard() -> None:
    assert glob_regex(("a.b", Wild.MANY, "(", Wild.ONE)) == r"(?s)^a\x2eb.*\x28.$"
