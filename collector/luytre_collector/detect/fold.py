"""Case folding: one function in three dialects.

Folding is ASCII only: A–Z become a–z, every other byte stays. It keeps the length of a text, maps a literal that occurs
in a text to one that occurs in the folded text, and is bit for bit what ClickHouse's `lower` and Arrow's `ascii_lower`
do. Unicode folding is none of these (`İ`, `ß`, the Kelvin sign), and differs between Python, Arrow and ClickHouse.
"""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

_TABLE = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def fold(text: str) -> str:
    """`text` with A–Z in lower case."""
    return text.translate(_TABLE)


def fold_arrow(texts: Any) -> Any:
    """The same for an Arrow string array."""
    return pc.ascii_lower(texts)


def fold_sql(expression: str) -> str:
    """The same as a ClickHouse expression."""
    return f"lower({expression})"
