"""The collector's own counters as rows of `collector_health`."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from luytre_common.schema import TABLES
from luytre_common.settings import at_least, setting
from luytre_common.telemetry import Counters, Sample, gather

from luytre_collector.columns import arrow_type, stored_schema
from luytre_collector.store.base import Store

TABLE = TABLES["collector_health"]


@dataclass(frozen=True)
class Config:
    """The collector's own counters."""

    interval_s: float = setting(15.0, "how often they are written, seconds", at_least(0.1))


class HealthWriter:
    """Writes what all components have counted. Rows are numbered like an agent's: one numbering per process."""

    def __init__(
        self, store: Store, name: str, components: Sequence[Counters], clock: Callable[[], float], boot_id: str = ""
    ) -> None:
        self._store = store
        self._name = name
        self._host_name = socket.gethostname()
        self._components = components
        self._clock = clock
        self._boot_id = boot_id or str(uuid.uuid4())
        self._next = 0

    def write(self) -> int:
        """Write one row per counter now; how many. StoreUnavailableError: the same counters come with the next call."""
        samples = gather(self._components)
        if samples:
            rows = health_rows(samples, self._name, self._host_name, self._boot_id, self._next, self._now_us())
            self._store.insert(TABLE.name, rows, f"{self._name}/{self._boot_id}/{self._next}")
            self._next += len(samples)
        return len(samples)

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


def health_rows(
    samples: Sequence[Sample], name: str, host_name: str, boot_id: str, first_sequence: int, now_us: int
) -> pa.Table:
    """Samples as rows of `collector_health`. Pure."""
    count = len(samples)
    values: dict[str, Sequence[object]] = {
        "event_time": [now_us] * count,
        "component": [sample.component for sample in samples],
        "counter": [sample.name for sample in samples],
        "label": [sample.label for sample in samples],
        "value": [max(0, sample.value) for sample in samples],
        "agent_id": [name] * count,
        "host_name": [host_name] * count,
        "boot_id": [boot_id] * count,
        "stream": [TABLE.name] * count,
        "sequence": list(range(first_sequence, first_sequence + count)),
        "agent_time": [now_us] * count,
        "collector_time": [now_us] * count,
    }
    arrays = [pa.array(values[column.name], arrow_type(column.kind)) for column in TABLE.stored_columns]
    return pa.Table.from_arrays(arrays, schema=stored_schema(TABLE))
