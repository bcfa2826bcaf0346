"""What travels between the stages of the agent: sealed batches, and the numbering of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One numbering of rows: `boot_id` and `stream`."""

    boot_id: str
    stream: str


class SealedBatch(Protocol):
    """The body of a batch as the core seals it (`luytre_agent._core.Sealed`)."""

    @property
    def table(self) -> str:
        """Name of the table, of `luytre_common.schema.WIRE_TABLES`."""

    @property
    def rows(self) -> int:
        """Number of rows, at least 1."""

    @property
    def first_event(self) -> int:
        """Smallest event time, microseconds since 1970 UTC."""

    @property
    def last_event(self) -> int:
        """Largest event time, microseconds since 1970 UTC."""

    @property
    def raw_size(self) -> int:
        """Bytes of the Arrow IPC stream before compression."""

    @property
    def body(self) -> bytes:
        """One zstd frame around one Arrow IPC stream."""
