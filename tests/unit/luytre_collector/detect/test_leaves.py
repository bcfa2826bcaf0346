# ruff: noqa: E501
from __future__ import annotations

import math

import pytest
from luytre_collector.detect import leaves
from luytre_collector.detect.leaves import LeafError
from luytre_collector.detect.tree import FALSE, TRUE, How, Number, Present, Text, Wild, neg
from luytre_common.schema import TABLES

PORT = TABLES["flows"].column("destination_port")
ADDRESS = TABLES["flows"].column("source_ip")
NAME = TABLES["flows"].column("user_name")
TTL = TABLES["dns"].column("dns_answers_ttl")


@pytest.mark.parametrize(
    ("parts", "node"),
    [
        ([], neg(Present(NAME))),
        ([""], neg(Present(NAME))),
        ([Wild.MANY, Wild.MANY], Present(NAME)),
        (["A", "b"], Text(NAME, How.EXACT, "ab")),
        ([Wild.MANY, "A", Wild.MANY], Text(NAME, How.CONTAINS, "a")),
    ],
)
def test_text_is_simplified(parts: list[str | Wild], node: object) -> None:
    assert leaves.text(NAME, parts, cased=False) == node


@pytest.mark.parametrize(
    ("operator", "value", "node"),
    [
        ("=", 1.5, FALSE), ("=", -1, FALSE), (">", -1, TRUE), (">=", -0.5, Number(PORT, ">=", 0)), ("<", 70000, TRUE), (">", 70000, FALSE),
        (">", 1.5, Number(PORT, ">", 1)), (">=", 1.5, Number(PORT, ">=", 2)), ("<", 1.5, Number(PORT, "<", 2)),
        ("<=", 1.5, Number(PORT, "<=", 1)), ("=", 22.0, Number(PORT, "=", 22)),
    ],
)  # fmt: skip
def test_numbers_are_whole_and_in_range(operator: leaves.Operator, value: float, node: object) -> None:
    assert leaves.number(PORT, operator, value) == node


def test_what_makes_no_sense_says_what_would() -> None:
    for make, said in (
        (lambda: leaves.text(PORT, ["x"], cased=False), "is a number"),
        (lambda: leaves.text(PORT, [Wild.MANY, "2"], cased=False), "is a number"),
        (lambda: leaves.number(NAME, ">", 1), "is text"),
        (lambda: leaves.number(ADDRESS, "=", 1), "is no number"),
        (lambda: leaves.number(PORT, "=", math.nan), "is no number"),
        (lambda: leaves.number(TTL, "=", 2**40), "is outside"),
        (lambda: leaves.regex(ADDRESS, "a", ""), "works on text"),
        (lambda: leaves.regex(NAME, "(", ""), "not an RE2 pattern"),
        (lambda: leaves.regex(NAME, "(a)\\1", ""), "not an RE2 pattern"),
        (lambda: leaves.regex(NAME, "a" * 5000, ""), "split it"),
        (lambda: leaves.same_as(NAME, How.EXACT, PORT, cased=False), "cannot be compared"),
        (lambda: leaves.same_as(PORT, How.CONTAINS, PORT, cased=False), "cannot be compared"),
    ):
        with pytest.raises(LeafError, match=said):
            make()
