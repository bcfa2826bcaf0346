"""What the spool is told and what it hands out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from luytre_common.settings import at_least, setting

from luytre_agent.batch import Key, SealedBatch
from luytre_agent.spool.segment import Record


@dataclass(frozen=True)
class Config:
    """The disk spool: where batches wait until the collector has stored them."""

    directory: Path = setting(Path("/var/lib/luytre-agent/spool"), "folder of the spool; one agent per folder")
    max_bytes: int = setting(
        1 << 30, "quota, bytes; when it is reached the oldest segment is dropped and counted", at_least(1 << 16)
    )
    segment_bytes: int = setting(8 << 20, "a segment is closed at this size, bytes", at_least(1 << 12))
    fsync: Literal["segment", "batch", "never"] = setting(
        "segment",
        "wait for the disk after each segment (a power cut loses at most the newest), each batch (nothing), or never",
    )
    ledger_seconds: float = setting(5.0, "acknowledged positions are written down this often", at_least(0))


#: Makes the bytes that are sent, from a sealed batch, its numbering, its first sequence, and the time in seconds since
#: 1970.
Encode = Callable[[SealedBatch, Key, int, float], bytes]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two batches of the spool."""

    segment: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch that waits, and the place behind it."""

    record: Record
    position: Position
