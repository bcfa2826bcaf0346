"""ClickHouse's messages become one line of the right kind."""

from __future__ import annotations

import contextlib

import chdb
import pytest
from luytre_collector.store.base import QueryRefusedError, StoreError, StoreUnavailableError
from luytre_collector.store.errors import (
    UNAVAILABLE,
    code_of,
    insert_error,
    name_of,
    one_line,
    query_error,
    store_error,
)

SYNTAX = (
    "Code: 62. DB::Exception: Syntax error: failed at position 7 (end of query): . Expected one of: ALL, DISTINCT ON,"
    " DISTINCT, TOP, not empty list of expressions, list of expressions, list of elements. (SYNTAX_ERROR)"
)
NESTED = (
    "Code: 164. DB::Exception: Code: 164. DB::Exception: Cannot modify 'x' setting in\nreadonly mode."
    " (READONLY) (version 26.9.2.1 (official build)). Stack trace:\n\n0. DB::Exception::Exception()"
)


def test_one_line() -> None:
    assert one_line(SYNTAX).startswith("Syntax error: failed at position 7 (end of query): . Expected one of: ALL,")
    assert one_line(SYNTAX).endswith("... (SYNTAX_ERROR)")
    assert len(one_line(SYNTAX)) < len(SYNTAX)
    assert "Stack" not in one_line(NESTED)
    assert "\n" not in one_line(NESTED)
    grant = "it's necessary to have the grant INSERT(a, b, c, d) ON luytre.flows. (ACCESS_DENIED)"
    assert one_line(grant) == grant.replace(", c, d", ", ...")
    assert one_line("x" * 5000) == "x" * 600 + "..."


def test_the_code() -> None:
    assert code_of(SYNTAX) == 62
    assert code_of("something else") == 0


@pytest.mark.parametrize(
    ("code", "kind"), [(243, StoreUnavailableError), (210, StoreUnavailableError), (62, StoreError)]
)
def test_what_may_pass_is_unavailable(code: int, kind: type[StoreError]) -> None:
    error = store_error(f"Code: {code}. DB::Exception: Something. (X)", "flows")
    assert type(error) is kind
    assert str(error) == "flows: Something. (X)"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(62, QueryRefusedError), (241, QueryRefusedError), (159, QueryRefusedError), (210, StoreUnavailableError)],
)
def test_a_query_that_asks_too_much_is_the_persons(code: int, kind: type[StoreError]) -> None:
    assert type(query_error(f"Code: {code}. DB::Exception: Something.")) is kind
    assert type(query_error("Something.", code=code)) is kind


@pytest.mark.parametrize(("code", "name"), {**UNAVAILABLE, 16: "NO_SUCH_COLUMN_IN_TABLE", 60: "UNKNOWN_TABLE"}.items())
def test_codes_have_the_engines_names(code: int, name: str) -> None:
    with contextlib.closing(chdb.connect(":memory:")) as engine:
        assert bytes(engine.query(f"SELECT errorCodeToName({code})", "TSVRaw").bytes()).decode() == f"{name}\n"
    error = insert_error(f"Code: {code}. DB::Exception: Something.", "flows")
    assert isinstance(error, StoreUnavailableError)
    assert error.cause == name_of(code) == name.lower()


def test_rows_wait_for_a_table_that_an_operator_must_repair() -> None:
    text = "Code: 60. DB::Exception: Table luytre.flows does not exist. (UNKNOWN_TABLE)"
    assert type(insert_error(text, "flows")) is StoreUnavailableError
    assert type(store_error(text)) is StoreError
    assert type(query_error(text)) is QueryRefusedError
    assert name_of(62) == "error_62"
