from __future__ import annotations

import pytest
from luytre_collector.detect.sql import condition, literal
from luytre_collector.detect.tree import FALSE, TRUE, How, Not, Number, Text, disj
from luytre_collector.store.embedded import EmbeddedStore
from luytre_common.schema import TABLES

PORT = TABLES["flows"].column("destination_port")
TTL = TABLES["dns"].column("dns_answers_ttl")


@pytest.mark.parametrize(
    "text", ["", "a", "'", "\\", "\\'", "' OR 1 = 1 --", "{x:String}", "%_\n\0\t\r\b", "lũy tre 竹", "?", "\\x41", "/*"]
)
def test_a_literal_means_itself(store: EmbeddedStore, text: str) -> None:
    found = store.query(f"SELECT {literal(text)} AS text, length({literal(text)}) AS bytes").to_pylist()
    assert found == [{"text": text, "bytes": len(text.encode())}]


def test_shapes() -> None:
    assert condition(TRUE) == "1"
    assert condition(Not(FALSE)) == "NOT 0"
    assert condition(Not(disj([Number(PORT, "=", 1), Number(PORT, ">", 9)]))) == (
        "NOT (destination_port = 1 OR destination_port > 9)"
    )
    assert condition(Number(TTL, "<", 5)) == "arrayExists(x -> x < 5, dns_answers_ttl)"
    assert (
        condition(Text(TABLES["processes"].column("user_name"), How.STARTS, "ww"))
        == "startsWith(lower(user_name), 'ww')"
    )
