"""Columns added on arrival: first the common ones (`stamp`), then whatever `ENRICHERS` lists for the table.

To add an enricher: one file with a frozen `Config` and a class that takes rows and gives rows, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from luytre_collector.enrich import direction

#: Takes rows of a table with every stored column; returns the same rows with columns of its own filled in.
Enricher = Callable[[pa.Table], pa.Table]

#: Which enrichers rows of a table go through, in order.
ENRICHERS: dict[str, tuple[Callable[[direction.Config], Enricher], ...]] = {
    "flows": (direction.Direction,),
}


def build(config: direction.Config) -> dict[str, tuple[Enricher, ...]]:
    """The enrichers of every table, made from the configuration."""
    return {table: tuple(make(config) for make in makers) for table, makers in ENRICHERS.items()}
