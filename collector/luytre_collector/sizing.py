"""How much machine a number of agents needs. Arithmetic only: figures that were measured go in, sizes come out.

The figures are those of the project's own benches on a shared virtual machine (two cores of an AMD EPYC): a real
server is seldom slower. Run the benches on yours and give what they print.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured, and what is assumed."""

    #: Bytes per row on disk after merging (`tests.bench.bench_store`); other tables are taken for process events.
    disk: Mapping[str, float]
    #: Shares of the tables among the rows of a server in use.
    mix: Mapping[str, float]
    #: Bytes of the derived tables per row of flows, if a pair talks four times a minute.
    derived: float = 9.0
    #: Bytes per row on the wire, zstd and TLS included.
    wire: float = 40.0
    #: Rows per CPU-second of a collector, derived tables included: half of what `tests.bench.bench_collector` prints
    #: for process events in the embedded store (265,000; flows 385,000), and some more for what is merged later.
    rows_per_cpu_second: float = 100_000.0
    #: Share of the machine that the mean load may take: the day has a busy hour, and stores merge.
    load: float = 0.25
    #: Agents of one collector (`ingest.max_streams`).
    agents_per_collector: int = 2_000
    #: Cores of one collector that it can use: one thread judges and inserts (`pipeline.workers`), others merge.
    cores_per_collector: int = 4
    #: What one embedded store should hold at most, and one shard of a cluster, bytes.
    embedded_bytes: float = 4e12
    shard_bytes: float = 10e12


MEASURED = Figures(
    disk={"flows": 36.6, "dns": 37.2, "tls": 26.1, "processes": 49.9},
    mix={"flows": 0.50, "dns": 0.15, "tls": 0.10, "processes": 0.25},
)


@dataclass(frozen=True, slots=True)
class Size:
    """What is needed. Bytes are of one replica; `total_bytes` of all."""

    agents: int
    events_per_second: float
    rows_per_day: float
    bytes_per_row: float
    wire_bits_per_second: float
    bytes_per_day: float
    kept_bytes: float
    total_bytes: float
    cores: float
    collectors: int
    store: str
    shards: int
    replicas: int


def size(agents: int, events_per_second: float, days: int, replicas: int, figures: Figures = MEASURED) -> Size:
    """For so many agents that each send so many rows per second on average, kept for so many days."""
    rows = agents * events_per_second
    each = sum(share * figures.disk[table] for table, share in figures.mix.items())
    each += figures.mix["flows"] * figures.derived
    daily = rows * _DAY_S * each
    kept = daily * days
    cores = rows / figures.rows_per_cpu_second / figures.load
    collectors = max(
        math.ceil(cores / figures.cores_per_collector), math.ceil(agents / figures.agents_per_collector), 1
    )
    embedded = collectors == 1 and kept <= figures.embedded_bytes and replicas == 1
    return Size(
        agents=agents,
        events_per_second=rows,
        rows_per_day=rows * _DAY_S,
        bytes_per_row=each,
        wire_bits_per_second=rows * figures.wire * 8,
        bytes_per_day=daily,
        kept_bytes=kept,
        total_bytes=kept * replicas,
        cores=cores,
        collectors=collectors,
        store="embedded" if embedded else "server",
        shards=1 if embedded else max(1, math.ceil(kept / figures.shard_bytes)),
        replicas=replicas,
    )
