"""Values in statements."""

from __future__ import annotations

import pytest
from luytre_collector.store import sql
from luytre_common.schema import TABLES


def test_parameters_as_text() -> None:
    given = {"a": "x\\\t\n\0'", "b": [1, "it's"], "c": True, "d": 2**64 - 1, "e": 0.5}
    assert sql.parameters(given) == {
        "a": "x\\\\\\t\\n\\0'", "b": "[1,'it\\'s']", "c": "true", "d": str(2**64 - 1), "e": "0.5",
    }  # fmt: skip
    assert sql.parameters(None) == {}


@pytest.mark.parametrize("value", [None, b"x", {}, object(), [None]])
def test_what_cannot_be_a_parameter(value: object) -> None:
    with pytest.raises(ValueError, match="cannot be a query parameter"):
        sql.parameter(value)


def test_settings() -> None:
    assert sql.settings_clause({"a": 1, "b": "it's"}) == "a = 1, b = 'it\\'s'"


def test_an_insert_names_what_is_stored() -> None:
    names = sql.column_list(TABLES["flows"])
    assert "`flow_id`" in names
    assert "network_community_id" not in names
